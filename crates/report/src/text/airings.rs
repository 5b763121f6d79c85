//! The table of airings: a line of text or two for each, with the definitions of its numbers below.

use audience::text as words;
use audience::{Ms, Zone};
use std::cmp::Reverse;
use unicode_width::UnicodeWidthStr;

use super::draw;
use super::{Look, Paint};
use crate::airing::{AiringLine, PROVISIONAL, TERMS, Term};

/// From this width on, what is in `minutes` is worth a column.
const WIDTH_OF_CURVE: usize = 80;

/// From this width on, the watch time has room.
const WIDTH_OF_WATCH_TIME: usize = 70;

/// From this width on, the lesser numbers have their columns, too.
const WIDTH_OF_ALL: usize = 120;

/// One column: its title, its cells, and what it is.
struct Column {
    title: &'static str,
    cells: Vec<String>,
    paint: Option<Paint>,
}

impl Column {
    /// Columns of the screen that its title and all its cells need.
    fn width(&self) -> usize {
        let lines = self.cells.iter().flat_map(|cell| cell.lines());
        lines.map(UnicodeWidthStr::width).chain([self.title.len()]).max().unwrap_or(0)
    }

    /// Texts begin at the left, numbers end at the right.
    fn is_text(&self) -> bool {
        matches!(self.title, "Broadcast" | "Curve")
    }
}

/// Of these airings at most so many: the newest, newest first.
pub fn newest(mut lines: Vec<AiringLine>, most: usize) -> Vec<AiringLine> {
    lines.sort_by_key(|line| Reverse(line.airing_at));
    lines.truncate(most);
    lines
}

/// Of these airings at most so many: those of the greatest peaks, the greatest first.
pub fn largest(mut lines: Vec<AiringLine>, most: usize) -> Vec<AiringLine> {
    lines.sort_by_key(|line| Reverse((line.viewers_max, line.viewer_ms)));
    lines.truncate(most);
    lines
}

/// The table in the order of `lines`, times as in `zone`, with the definitions below it; it ends with a line feed.
pub fn table(lines: &[AiringLine], zone: &Zone, look: Look) -> String {
    if lines.is_empty() {
        return "No airing here yet.\n".to_owned();
    }
    let mut columns = columns(lines, zone, look.width);
    let used: usize = columns.iter().map(|column| column.width() + GAP).sum();
    let name_width = look.width.saturating_sub(used).clamp(16, 48);
    columns.insert(
        0,
        Column {
            title: "Broadcast",
            cells: lines.iter().map(|line| name(line, zone, name_width)).collect(),
            paint: None,
        },
    );
    let text = draw_table(&columns, lines.len(), look);
    let mut marks = lines.iter().flat_map(AiringLine::marks).collect::<Vec<_>>();
    marks.sort_unstable_by_key(|mark| *mark != PROVISIONAL);
    marks.dedup();
    format!("{text}\n{}", footnote(&[TERMS, &[PEOPLE]].concat(), &marks, zone, look))
}

/// What stands in a column of the table alone.
const PEOPLE: Term = ("People", "the most concurrent people; as many: as at the peak, and then, too");

/// Spaces between columns.
const GAP: usize = 2;

fn name(line: &AiringLine, zone: &Zone, width: usize) -> String {
    let id = draw::cut(&draw::printable(&line.broadcast_id), width);
    let marks: String = line.marks().iter().map(|(mark, _)| format!("\n{mark}")).collect();
    format!("{id}\n{}{marks}", words::day_and_minute(zone.clock(line.airing_at)))
}

fn columns(lines: &[AiringLine], zone: &Zone, width: usize) -> Vec<Column> {
    let column = |title, paint, cell: &dyn Fn(&AiringLine) -> String| Column {
        title,
        cells: lines.iter().map(cell).collect(),
        paint,
    };
    let or_none = |text: Option<String>| text.unwrap_or_else(|| "–".to_owned());
    let mut columns = Vec::new();
    if width >= WIDTH_OF_CURVE {
        let spark = if width >= WIDTH_OF_ALL { (width - WIDTH_OF_ALL + 12).min(24) } else { 8 };
        columns.push(column("Curve", Some(Paint::Curve), &|line| draw::sparkline(&line.minutes, spark)));
    }
    columns.push(column("Peak", Some(Paint::Bold), &|line| peak(line, zone)));
    columns.push(column("People", None, &|line| people(line, zone, width)));
    columns.push(column("AMA", None, &|line| or_none(line.viewers_mean.map(|mean| words::decimal(mean, 1)))));
    if width >= WIDTH_OF_ALL {
        columns.push(column("Airtime", None, &|line| or_none(line.airtime_ms.map(words::span))));
    }
    columns.push(column("Reach", None, &|line| words::thousands(line.reach)));
    if width >= WIDTH_OF_ALL {
        columns.push(column("Sessions", None, &|line| words::thousands(line.sessions)));
    }
    if width >= WIDTH_OF_WATCH_TIME {
        columns.push(column("Watch time", None, &|line| words::hours(line.viewer_ms)));
    }
    if width >= WIDTH_OF_ALL {
        columns.push(column("Retweets", None, &|line| words::thousands(line.retweets)));
    }
    columns
}

/// The peak, and when it was.
fn peak(line: &AiringLine, zone: &Zone) -> String {
    words::thousands(line.viewers_max) + &when(line, line.viewers_max_at, zone)
}

/// The most concurrent people, and when that was where there is room; as many as at the peak, mostly.
fn people(line: &AiringLine, zone: &Zone, width: usize) -> String {
    let Some(people) = line.distinct else { return "–".to_owned() };
    if line.has_as_many_people() && line.viewers_max > 0 {
        return "as many".to_owned();
    }
    words::thousands(people.max) + &when(line, people.max_at.filter(|_| width >= WIDTH_OF_ALL), zone)
}

/// The lines below a number that say when it was; a day that does not go without saying has one of its own.
fn when(line: &AiringLine, at: Option<Ms>, zone: &Zone) -> String {
    let Some(clock) = at.map(|at| zone.clock(at)) else { return String::new() };
    let day = if line.crosses_days(zone) { format!("\non {}", words::day(clock)) } else { String::new() };
    format!("\nat {}{day}", words::second(clock))
}

/// The titles, a rule and the rows.
fn draw_table(columns: &[Column], rows: usize, look: Look) -> String {
    let widths: Vec<usize> = columns.iter().map(Column::width).collect();
    let titles: Vec<(&str, Option<Paint>)> = columns.iter().map(|column| (column.title, Some(Paint::Bold))).collect();
    let rule = "─".repeat(widths.iter().sum::<usize>() + GAP * (columns.len() - 1));
    let mut text = draw_row(columns, &widths, &titles, look) + &rule + "\n";
    for row in 0..rows {
        let cells: Vec<(&str, Option<Paint>)> =
            columns.iter().map(|column| (column.cells[row].as_str(), column.paint)).collect();
        text.push_str(&draw_row(columns, &widths, &cells, look));
    }
    text
}

/// One row of the table: as many lines as the highest of `cells` has; each line ends where its text does.
fn draw_row(columns: &[Column], widths: &[usize], cells: &[(&str, Option<Paint>)], look: Look) -> String {
    let height = cells.iter().map(|(cell, _)| cell.split('\n').count()).max().unwrap_or(0);
    let mut text = String::new();
    for at in 0..height {
        let mut line = String::new();
        for (place, (cell, paint)) in cells.iter().enumerate() {
            let width = widths[place];
            // The last space of a gap belongs to no column, so it is never painted.
            let gap = if place + 1 == cells.len() { 0 } else { GAP - 1 };
            match cell.split('\n').nth(at) {
                Some(part) => {
                    let blank = " ".repeat(width.saturating_sub(part.width()));
                    let (left, right) = if columns[place].is_text() { ("", &*blank) } else { (&*blank, "") };
                    line.push_str(&painted(&format!("{left}{part}{right}{:gap$}", ""), *paint, look));
                }
                None => line.push_str(&" ".repeat(width + gap)),
            }
            line.push(' ');
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn painted(text: &str, paint: Option<Paint>, look: Look) -> String {
    match paint {
        // The same cyan as elsewhere, by its number in the palette: so it was always written in this table.
        Some(Paint::Curve) if look.colour => format!("\x1b[38;5;6m{text}\x1b[39m"),
        Some(paint) => look.paint(text, paint),
        None => text.to_owned(),
    }
}

/// Columns that the longest term needs.
const TERM_WIDTH: usize = 18;

/// The definitions, one a line or more, and what the times are.
pub(super) fn footnote(terms: &[Term], marks: &[Term], zone: &Zone, look: Look) -> String {
    let mut text = String::new();
    let mut all: Vec<(&str, &str)> = Vec::new();
    all.extend(terms);
    all.extend(marks);
    all.push(("Times", zone.name()));
    for (term, definition) in all {
        for (at, line) in draw::wrap(definition, look.width.saturating_sub(TERM_WIDTH + 2)).into_iter().enumerate() {
            let line = format!("{:<TERM_WIDTH$}  {line}", if at == 0 { term } else { "" });
            let paint = if marks.iter().any(|mark| mark.0 == term) { Paint::Warning } else { Paint::Dim };
            text.push_str(&look.paint(&line, paint));
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests;
