//! The table of airings: what `jauge show` prints, a line of text or two for each, with the definitions of its numbers below.

use audience::{Ms, time};
use comfy_table::{Attribute, Cell, CellAlignment, Color, ContentArrangement, LineStyle, Table, TableStyle};
use serde_json::{Value as Json, json};
use unicode_width::UnicodeWidthStr;

use crate::draw;
use crate::terminal::{Look, Paint};

/// One airing, as people ask for it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct AiringLine {
    /// As the producer gave it.
    pub(crate) broadcast_id: String,
    /// The first applied thing.
    pub(crate) airing_at: Ms,
    /// From the first join to the last applied thing; `None` where nobody came.
    pub(crate) airtime_ms: Option<Ms>,
    /// Sessions, `>= 0`.
    pub(crate) sessions: i64,
    /// Distinct viewers, `>= 0`.
    pub(crate) reach: i64,
    /// Peak, `>= 0`.
    pub(crate) viewers_max: i64,
    /// Its first instant; `None` for a peak of 0.
    pub(crate) viewers_max_at: Option<Ms>,
    /// AMA; `None` where the airtime is zero or none.
    pub(crate) viewers_mean: Option<f64>,
    /// Watch time, viewer-milliseconds.
    pub(crate) viewer_ms: i64,
    /// Retweets counted.
    pub(crate) retweets: i64,
    /// `viewers_max` of each minute, without gaps, from the minute of `airing_at`.
    pub(crate) minutes: Vec<i64>,
    /// Places in `minutes` of those that are not complete, ascending.
    pub(crate) incomplete: Vec<usize>,
    /// Not settled yet.
    pub(crate) provisional: bool,
}

impl AiringLine {
    /// What is to be known of all its numbers.
    pub(crate) fn marks(&self) -> Vec<Term> {
        let marks = [(self.provisional, PROVISIONAL), (!self.incomplete.is_empty(), NOT_COMPLETE)];
        marks.into_iter().filter(|(is_so, _)| *is_so).map(|(_, mark)| mark).collect()
    }

    /// The airing for programs: the names and units of the table `airings`, times as RFC 3339.
    pub(crate) fn as_json(&self) -> Json {
        json!({
            "broadcast_id": self.broadcast_id,
            "airing_at": time::rfc3339(self.airing_at),
            "airtime_ms": self.airtime_ms,
            "sessions": self.sessions,
            "reach": self.reach,
            "viewers_max": self.viewers_max,
            "viewers_max_at": self.viewers_max_at.map(time::rfc3339),
            "viewers_mean": self.viewers_mean,
            "viewer_ms": self.viewer_ms,
            "retweets": self.retweets,
            "provisional": self.provisional,
            // Who keeps no minutes does not know.
            "complete": (!self.minutes.is_empty()).then_some(self.incomplete.is_empty()),
        })
    }
}

/// A term and its definition.
pub(crate) type Term = (&'static str, &'static str);

const CONCURRENT: Term = ("Concurrent viewers", "sessions open at one instant");
const PEAK: Term = ("Peak", "the most concurrent viewers, and the first instant of it");
const AMA: Term = ("AMA", "average minute audience: watch time / airtime");
const AIRTIME: Term = ("Airtime", "from the first join to the last thing that happened in the airing");
const REACH: Term = ("Reach", "distinct viewers");
const SESSION: Term = ("Session", "one stay of one viewer, from a join to its end");
const WATCH_TIME: Term = ("Watch time", "the lengths of all sessions, added up");

/// Every term, each after those that it needs.
pub(crate) const TERMS: &[Term] = &[CONCURRENT, PEAK, AIRTIME, AMA, WATCH_TIME, REACH, SESSION];

/// What `provisional` says, beside a number.
pub(crate) const PROVISIONAL: Term =
    ("provisional", "not settled yet: computed from the events so far, and may change");

/// What `not complete` says, beside a number.
pub(crate) const NOT_COMPLETE: Term =
    ("not complete", "events were lost before they were read: counts are too low, levels uncertain");

/// From this width on, what is in `minutes` is worth a column, and the lesser numbers, too.
const WIDTH_OF_CURVE: usize = 72;
const WIDTH_OF_ALL: usize = 110;

/// One column: its title, its cells, and what it is.
struct Column {
    title: &'static str,
    cells: Vec<String>,
    paint: Option<Paint>,
}

/// The table, with the definitions below it; it ends with a line feed.
pub(crate) fn table(lines: &[AiringLine], look: Look) -> String {
    if lines.is_empty() {
        return "No airing here yet.\n".to_owned();
    }
    let mut columns = columns(lines, look.width);
    let used: usize = columns.iter().map(|column| column_width(column) + GAP).sum();
    let name_width = look.width.saturating_sub(used).clamp(16, 48);
    columns.insert(
        0,
        Column { title: "Broadcast", cells: lines.iter().map(|line| name(line, name_width)).collect(), paint: None },
    );
    let text = draw_table(&columns, lines.len(), look);
    let mut marks = lines.iter().flat_map(AiringLine::marks).collect::<Vec<_>>();
    marks.sort_unstable_by_key(|mark| *mark != PROVISIONAL);
    marks.dedup();
    format!("{text}\n{}", footnote(TERMS, &marks, look))
}

/// Spaces between columns.
const GAP: usize = 2;

fn name(line: &AiringLine, width: usize) -> String {
    let id = draw::cut(&draw::printable(&line.broadcast_id), width);
    let marks: String = line.marks().iter().map(|(mark, _)| format!("\n{mark}")).collect();
    format!("{id}\n{}{marks}", draw::day_and_minute(line.airing_at))
}

fn columns(lines: &[AiringLine], width: usize) -> Vec<Column> {
    let column = |title, paint, cell: &dyn Fn(&AiringLine) -> String| Column {
        title,
        cells: lines.iter().map(cell).collect(),
        paint,
    };
    let or_none = |text: Option<String>| text.unwrap_or_else(|| "–".to_owned());
    let mut columns = Vec::new();
    if width >= WIDTH_OF_CURVE {
        let spark = if width >= WIDTH_OF_ALL { 24 } else { 12 };
        columns.push(column("Curve", Some(Paint::Curve), &|line| draw::sparkline(&line.minutes, spark)));
    }
    columns.push(column("Peak", Some(Paint::Bold), &|line| {
        let at = line.viewers_max_at.map(|at| format!("\nat {}", draw::second(at))).unwrap_or_default();
        format!("{}{at}", draw::thousands(line.viewers_max))
    }));
    columns.push(column("AMA", None, &|line| or_none(line.viewers_mean.map(|mean| draw::decimal(mean, 1)))));
    if width >= WIDTH_OF_ALL {
        columns.push(column("Airtime", None, &|line| or_none(line.airtime_ms.map(draw::span))));
    }
    columns.push(column("Reach", None, &|line| draw::thousands(line.reach)));
    if width >= WIDTH_OF_ALL {
        columns.push(column("Sessions", None, &|line| draw::thousands(line.sessions)));
    }
    columns.push(column("Watch time", None, &|line| draw::hours(line.viewer_ms)));
    if width >= WIDTH_OF_ALL {
        columns.push(column("Retweets", None, &|line| draw::thousands(line.retweets)));
    }
    columns
}

fn column_width(column: &Column) -> usize {
    let lines = column.cells.iter().flat_map(|cell| cell.lines());
    lines.map(UnicodeWidthStr::width).chain([column.title.len()]).max().unwrap_or(0)
}

fn draw_table(columns: &[Column], rows: usize, look: Look) -> String {
    let mut table = Table::new();
    let rule = LineStyle::none().fill('─').junction('─');
    table.load_style(TableStyle::new().header_separator(rule)).set_content_arrangement(ContentArrangement::Disabled);
    table.force_no_tty();
    if look.colour {
        table.enforce_styling();
    }
    table.set_header(columns.iter().map(|column| Cell::new(column.title).add_attribute(Attribute::Bold)));
    for row in 0..rows {
        table.add_row(columns.iter().map(|column| {
            let cell = Cell::new(&column.cells[row]);
            match column.paint {
                Some(Paint::Curve) => cell.fg(Color::DarkCyan),
                Some(Paint::Bold) => cell.add_attribute(Attribute::Bold),
                _ => cell,
            }
        }));
    }
    for (at, (column, drawn)) in columns.iter().zip(table.column_iter_mut()).enumerate() {
        let text = matches!(column.title, "Broadcast" | "Curve");
        drawn.set_cell_alignment(if text { CellAlignment::Left } else { CellAlignment::Right });
        // The table adds a space of its own between columns.
        let padding = if at + 1 == columns.len() { 0 } else { GAP - 1 };
        drawn.set_padding((0, u16::try_from(padding).unwrap_or(0)));
    }
    table.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

/// Of the longest term.
const TERM_WIDTH: usize = 18;

/// The definitions, one a line or more, and what the times are.
pub(crate) fn footnote(terms: &[Term], marks: &[Term], look: Look) -> String {
    let mut text = String::new();
    for (term, definition) in terms.iter().chain(marks).copied().chain([("Times", "UTC")]) {
        for (at, line) in draw::wrap(definition, look.width - TERM_WIDTH - 2).into_iter().enumerate() {
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
