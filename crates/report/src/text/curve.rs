//! The curve of one airing, drawn with blocks: concurrent viewers upwards, time to the right, the peak marked where it
//! was first reached, and the retweets as ticks on the axis of time.

use audience::text as words;
use audience::{MINUTE_MS, Ms, Zone, time};

use super::draw::{self, EIGHTHS};
use super::{Look, Paint, airings};
use crate::airing::{AiringLine, TERMS};

/// Rows of the curve: four steps of three.
const STEPS: usize = 4;
const ROWS_OF_STEP: usize = 3;
const ROWS: usize = STEPS * ROWS_OF_STEP;

/// A minute is never drawn wider, so that a short airing does not look like a plateau.
const COLUMNS_OF_MINUTE: usize = 6;

/// Stands below a minute that is not complete.
const INCOMPLETE: char = '░';

/// Times are written at these distances, minutes.
const DISTANCES: [i64; 15] = [1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1_440, 2_880, 10_080, 40_320];

/// The name of the airing, its numbers, its curve and their definitions; it ends with a line feed.
/// `retweeted_at` in any order; times are written as in `zone`.
pub fn airing(line: &AiringLine, retweeted_at: &[Ms], zone: &Zone, look: Look) -> String {
    let id = draw::cut(&draw::printable(&line.broadcast_id), look.width.saturating_sub(48).max(16));
    let at = words::day_and_minute(zone.clock(line.airing_at));
    let marks = line.marks();
    let said: String = marks.iter().map(|(mark, _)| look.paint(&format!("  {mark}"), Paint::Warning)).collect();
    let mut text = format!("{}  {at}{said}\n", look.paint(&id, Paint::Bold));
    for part in draw::wrap(&numbers(line, zone), look.width) {
        text.push_str(&format!("{}\n", part.replace('\u{a0}', " ")));
    }
    let plot = Plot::of(line, zone, look.width);
    let notes = airings::footnote(TERMS, &marks, zone, look);
    format!("{text}\n{}\n{notes}", plot.draw(line, retweeted_at, look))
}

/// The numbers in one paragraph; what belongs together is held by no-break spaces.
fn numbers(line: &AiringLine, zone: &Zone) -> String {
    let mut parts = peaks(line, zone);
    parts.extend(line.viewers_mean.map(|mean| format!("AMA {}", words::decimal(mean, 1))));
    parts.extend(line.airtime_ms.map(|ms| format!("airtime {}", words::span(ms))));
    parts.push(format!("reach {}", words::thousands(line.reach)));
    parts.push(format!("sessions {}", words::thousands(line.sessions)));
    parts.push(format!("watch time {}", words::hours(line.viewer_ms)));
    // A part that has commas of its own may break there.
    let held = |part: &String| part.replace(' ', "\u{a0}").replace(",\u{a0}", ", ");
    let parts: Vec<String> = parts.iter().map(held).collect();
    parts.join(" · ").replace(" ·", "\u{a0}·")
}

/// The most concurrent viewers, and the most concurrent people where those are others.
fn peaks(line: &AiringLine, zone: &Zone) -> Vec<String> {
    let at = |at: Option<Ms>| at.map(|at| format!(" at {}", line.moment(at, zone))).unwrap_or_default();
    let viewers = words::thousands(line.viewers_max);
    if line.viewers_max == 0 {
        return vec![format!("Peak {viewers}")];
    }
    let viewers_at = at(line.viewers_max_at);
    match line.distinct {
        Some(_) if line.has_as_many_people() => {
            vec![format!("Peak {viewers} concurrent viewers, as many people,{viewers_at}")]
        }
        Some(people) => vec![
            format!("Peak {viewers} concurrent viewers{viewers_at}"),
            format!("{} concurrent people{}", words::thousands(people.max), at(people.max_at)),
        ],
        None => vec![format!("Peak {viewers} concurrent viewers{viewers_at}")],
    }
}

/// A time below the axis: its column, and what the clocks show.
type Tick = (usize, Ms);

/// Where things are on the screen.
struct Plot<'a> {
    /// The greatest value of each column.
    columns: Vec<i64>,
    /// Minutes drawn, `>= 1`.
    minutes: usize,
    /// Start of the first minute.
    start: Ms,
    /// Value of one step of the vertical axis, `>= 1`.
    step: i64,
    /// Width of the vertical axis' numbers.
    margin: usize,
    /// Columns of the screen.
    width: usize,
    /// Whose clocks are shown.
    zone: &'a Zone,
}

impl Plot<'_> {
    fn of<'a>(line: &AiringLine, zone: &'a Zone, width: usize) -> Plot<'a> {
        let values = if line.minutes.is_empty() { &[0][..] } else { &line.minutes };
        let step = step_for(line.viewers_max.max(values.iter().copied().max().unwrap_or(0)));
        let margin = words::thousands(full(step)).len();
        let room = width.saturating_sub(margin + 2).max(1);
        let columns = match room / values.len() {
            0 => draw::squeeze(values, room),
            fit => values.iter().flat_map(|value| std::iter::repeat_n(*value, fit.min(COLUMNS_OF_MINUTE))).collect(),
        };
        Plot { columns, minutes: values.len(), start: time::minute_of(line.airing_at), step, margin, width, zone }
    }

    /// The column of an instant; `None` outside the airing.
    fn column_at(&self, at: Ms) -> Option<usize> {
        let minute =
            usize::try_from((at - self.start).div_euclid(MINUTE_MS)).ok().filter(|minute| *minute < self.minutes)?;
        let of_minute = self.columns.len() / self.minutes;
        if self.columns.len() < self.minutes {
            return Some(draw::column_of(minute, self.minutes, self.columns.len()));
        }
        let inside = usize::try_from(at.rem_euclid(MINUTE_MS)).unwrap_or(0);
        Some(minute * of_minute + inside * of_minute / 60_000)
    }

    fn draw(&self, line: &AiringLine, retweeted_at: &[Ms], look: Look) -> String {
        let mut text = look.paint(&format!("{:>1$} concurrent viewers (sessions)", "", self.margin), Paint::Dim);
        text.push('\n');
        let peak = line.viewers_max_at.and_then(|at| Some((self.peak_mark(line, at)?, at)));
        // A peak that fills the scale has its mark in a row above it.
        let highest = peak.as_ref().map_or(0, |((row, ..), _)| *row).max(ROWS - 1);
        for row in (0..=highest).rev() {
            let mark = peak
                .as_ref()
                .filter(|((at_row, ..), _)| *at_row == row)
                .map(|((_, column, mark), _)| (*column, mark.as_str()));
            let (bars, axis) = (self.bars(row), self.axis(row));
            let painted = match mark {
                // Nothing is as high as the row above the peak, so that the mark covers nothing.
                Some((column, mark)) => format!("{}{}", " ".repeat(column), look.paint(mark, Paint::Bold)),
                None => look.paint(bars.trim_end(), Paint::Curve),
            };
            text.push_str(format!("{axis}{painted}").trim_end());
            text.push('\n');
        }
        let (ticks, distance) = self.ticks();
        text.push_str(&format!("{:>1$} ", "0", self.margin));
        text.push_str(&self.time_axis(&ticks, retweeted_at, look));
        text.push('\n');
        for labels in self.labels(&ticks, distance, line.crosses_days(self.zone)) {
            text.push_str(&labels);
            text.push('\n');
        }
        if !line.incomplete.is_empty() {
            let marks = self.incomplete(&line.incomplete);
            text.push_str(&format!("{:1$}{2}\n", "", self.margin + 2, look.paint(&marks, Paint::Warning)));
        }
        text.push_str(&self.legend(&line.incomplete, retweeted_at, look));
        text
    }

    /// Row, first column and text of the peak's mark: to the right of it where there is room, else to the left.
    fn peak_mark(&self, line: &AiringLine, at: Ms) -> Option<(usize, usize, String)> {
        let column = self.column_at(at)?;
        let row = draw::filled(line.viewers_max, full(self.step), ROWS * 8).div_ceil(8);
        let words = format!("{} at {}", words::thousands(line.viewers_max), line.moment(at, self.zone));
        if column + 2 + words.len() <= self.columns.len().max(column + 1) || column < words.len() + 1 {
            return Some((row, column, format!("▼ {words}")));
        }
        Some((row, column - words.len() - 1, format!("{words} ▼")))
    }

    fn bars(&self, row: usize) -> String {
        let eighths = |value: &i64| draw::filled(*value, full(self.step), ROWS * 8).saturating_sub(row * 8).min(8);
        self.columns.iter().map(|value| EIGHTHS[eighths(value)]).collect()
    }

    /// A number stands at the row whose upper edge it is.
    fn axis(&self, row: usize) -> String {
        let step = (row + 1) / ROWS_OF_STEP;
        if row == ROWS || !(row + 1).is_multiple_of(ROWS_OF_STEP) {
            return format!("{:>1$} │", "", self.margin);
        }
        let value = self.step.saturating_mul(i64::try_from(step).unwrap_or(0));
        format!("{:>1$} ┤", words::thousands(value), self.margin)
    }

    /// The times below the axis, as many as there is room for, and their distance.
    fn ticks(&self) -> (Vec<Tick>, Ms) {
        let minutes = i64::try_from(self.minutes).unwrap_or(i64::MAX);
        let most = i64::try_from(self.columns.len() / 8).unwrap_or(1).max(1);
        let distance =
            DISTANCES.into_iter().find(|distance| minutes / distance <= most).unwrap_or(DISTANCES[14]) * MINUTE_MS;
        // Minute by minute, for clocks may leap in between.
        let instants = (0..minutes).map(|minute| self.start + minute * MINUTE_MS);
        let is_round = |at: &Ms| self.zone.clock(*at).rem_euclid(distance) == 0;
        let tick = |at: Ms| Some((self.column_at(at)?, self.zone.clock(at)));
        let ticks: Vec<Tick> = instants.filter(is_round).filter_map(tick).collect();
        if ticks.is_empty() {
            return (vec![(0, self.zone.clock(self.start))], MINUTE_MS);
        }
        (ticks, distance)
    }

    fn time_axis(&self, ticks: &[Tick], retweeted_at: &[Ms], look: Look) -> String {
        let mut retweets = vec![false; self.columns.len()];
        for column in retweeted_at.iter().filter_map(|at| self.column_at(*at)) {
            retweets[column] = true;
        }
        let mut text = "┼".to_owned();
        for (column, retweet) in retweets.into_iter().enumerate() {
            let tick = ticks.iter().any(|(at, _)| *at == column);
            match (retweet, tick) {
                (true, true) => text.push_str(&look.paint("┼", Paint::Mark)),
                (true, false) => text.push_str(&look.paint("┴", Paint::Mark)),
                (false, true) => text.push('┬'),
                (false, false) => text.push('─'),
            }
        }
        text
    }

    /// The lines below the axis: the times, and below them the days where there are several; or the days alone, where
    /// the ticks are no closer.
    fn labels(&self, ticks: &[Tick], distance: Ms, crosses_days: bool) -> Vec<String> {
        if distance >= time::DAY_MS {
            return vec![self.label(ticks, words::day)];
        }
        let mut first_of_day = ticks.to_vec();
        first_of_day.dedup_by_key(|(_, clock)| time::day_of(*clock));
        let days = crosses_days.then(|| self.label(&first_of_day, words::day));
        [self.label(ticks, words::minute)].into_iter().chain(days).collect()
    }

    /// A word of five letters, its middle below each tick, or as near to that as the screen allows; one for which there
    /// is no room gives way to that before.
    fn label(&self, ticks: &[Tick], words: fn(Ms) -> String) -> String {
        let mut text = String::new();
        for (column, clock) in ticks {
            let from = (self.margin + column).min(self.width.saturating_sub(5));
            if text.is_empty() || from > text.len() {
                text.push_str(&" ".repeat(from - text.len()));
                text.push_str(&words(*clock));
            }
        }
        text
    }

    /// A line of marks below the columns of these minutes.
    fn incomplete(&self, minutes: &[usize]) -> String {
        let of_minute = (self.columns.len() / self.minutes).max(1);
        let mut marks = vec![' '; self.columns.len()];
        for minute in minutes {
            let first = match self.columns.len() < self.minutes {
                true => draw::column_of(*minute, self.minutes, self.columns.len()),
                false => minute * of_minute,
            };
            marks[first..first + of_minute].fill(INCOMPLETE);
        }
        marks.iter().collect::<String>().trim_end().to_owned()
    }

    fn legend(&self, incomplete: &[usize], retweeted_at: &[Ms], look: Look) -> String {
        let mut parts = Vec::new();
        if self.columns.len() < self.minutes {
            #[expect(clippy::cast_precision_loss, reason = "both are small, and the quotient is rounded to a digit")]
            let minutes = self.minutes as f64 / self.columns.len() as f64;
            parts.push(format!("a column is {} min, as high as its greatest instant", words::decimal(minutes, 1)));
        }
        let retweets = retweeted_at.iter().filter(|at| self.column_at(**at).is_some()).count();
        if retweets > 0 {
            parts.push(format!("┴ retweets ({})", words::count(retweets as u64)));
        }
        if !incomplete.is_empty() {
            let minutes = words::count(incomplete.len() as u64);
            parts.push(format!("{INCOMPLETE} not complete ({minutes} min)"));
        }
        let one_line = parts.join(" · ");
        let fits = self.margin + 2 + one_line.chars().count() <= look.width;
        let lines = if fits && !one_line.is_empty() { vec![one_line] } else { parts };
        let line = |text: &String| look.paint(&format!("{:1$}{text}", "", self.margin + 2), Paint::Dim) + "\n";
        lines.iter().map(line).collect()
    }
}

/// The value at the top of the scale.
fn full(step: i64) -> i64 {
    step.saturating_mul(i64::try_from(STEPS).unwrap_or(1))
}

/// The least round number of which [`STEPS`] reach `viewers`; beyond all round numbers, what does.
fn step_for(viewers: i64) -> i64 {
    let steps = i64::try_from(STEPS).unwrap_or(1);
    let least = (viewers.max(1) - 1) / steps + 1;
    let mut ten: i64 = 1;
    while ten <= i64::MAX / 100 {
        for tenths in [10, 12, 15, 20, 25, 30, 40, 50, 60, 80] {
            let step = ten * tenths / 10;
            if ten * tenths % 10 == 0 && step >= least {
                return step;
            }
        }
        ten *= 10;
    }
    least
}

#[cfg(test)]
mod tests;
