//! Small drawings: numbers, times and texts as people read them, and the sparkline. All times are UTC.

use audience::{Ms, time};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Eighths of a cell, from none to all.
pub(crate) const EIGHTHS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// `1234567` as `1,234,567`.
pub(crate) fn thousands(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = if number < 0 { "-".to_owned() } else { String::new() };
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A count as people read it.
pub(crate) fn count(number: u64) -> String {
    thousands(i64::try_from(number).unwrap_or(i64::MAX))
}

/// A finite number `>= 0` with `places` decimals and thousands separated.
pub(crate) fn decimal(number: f64, places: usize) -> String {
    let text = format!("{number:.places$}");
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let whole = whole.parse().map_or_else(|_| whole.to_owned(), thousands);
    if fraction.is_empty() { whole } else { format!("{whole}.{fraction}") }
}

/// Viewer-milliseconds as hours, with about three digits.
pub(crate) fn hours(viewer_ms: i64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "it is rounded to a few digits for people right after")]
    let hours = viewer_ms as f64 / 3_600_000.0;
    let places = if hours < 10.0 { 2 } else { usize::from(hours < 1_000.0) };
    format!("{} h", decimal(hours, places))
}

/// A length of time in its two largest units: `5 h 14 min`.
pub(crate) fn span(ms: Ms) -> String {
    let two = |large: Ms, unit: &str, small: Ms, sub: &str| match small {
        0 => format!("{large} {unit}"),
        small => format!("{large} {unit} {small} {sub}"),
    };
    match ms / 1_000 {
        0 => format!("{ms} ms"),
        s if s < 60 => format!("{s} s"),
        s if s < 3_600 => two(s / 60, "min", s % 60, "s"),
        s if s < 86_400 => two(s / 3_600, "h", s / 60 % 60, "min"),
        s => two(s / 86_400, "d", s / 3_600 % 24, "h"),
    }
}

/// `2026-03-14 19:31`.
pub(crate) fn day_and_minute(at: Ms) -> String {
    time::rfc3339(at)[..16].replace('T', " ")
}

/// `03-14`.
pub(crate) fn day(at: Ms) -> String {
    time::rfc3339(at)[5..10].to_owned()
}

/// `19:31`.
pub(crate) fn minute(at: Ms) -> String {
    time::rfc3339(at)[11..16].to_owned()
}

/// `19:31:05`.
pub(crate) fn second(at: Ms) -> String {
    time::rfc3339(at)[11..19].to_owned()
}

/// An id that is safe to print: producers choose ids, and a terminal obeys what is in them. Control characters, and those that
/// turn the direction of text, become a replacement character.
pub(crate) fn printable(id: &str) -> String {
    let turns = |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2028}' | '\u{2029}' | '\u{2066}'..='\u{2069}');
    id.chars().map(|c| if c.is_control() || turns(c) { '\u{fffd}' } else { c }).collect()
}

/// `text` in at most `width` columns, cut with an ellipsis. `width >= 1`.
pub(crate) fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut short = String::new();
    let mut used = 1;
    for c in text.chars() {
        used += c.width().unwrap_or(0);
        if used > width {
            break;
        }
        short.push(c);
    }
    short.push('…');
    short
}

/// `text` broken at spaces into lines of at most `width` columns; a longer word has a line of its own.
pub(crate) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last_mut().expect("there is a line from the start");
        if !line.is_empty() && line.width() + 1 + word.width() > width {
            lines.push(word.to_owned());
            continue;
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines
}

/// Which of `columns` columns shows the `at`-th of `values` values, `at < values`, where there are at least as many values.
pub(crate) fn column_of(at: usize, values: usize, columns: usize) -> usize {
    ((at + 1) * columns - 1) / values
}

/// `values` in at most `columns` columns, `columns >= 1`: each shows the greatest of its values, so that no peak is lost.
pub(crate) fn squeeze(values: &[i64], columns: usize) -> Vec<i64> {
    if values.len() <= columns {
        return values.to_vec();
    }
    let mut squeezed = vec![0; columns];
    for (at, value) in values.iter().enumerate() {
        let column = column_of(at, values.len(), columns);
        squeezed[column] = squeezed[column].max(*value);
    }
    squeezed
}

/// How many of `steps` steps a column of `value` fills, where `full` fills all. Rounded up: one viewer is not nobody.
pub(crate) fn filled(value: i64, full: i64, steps: usize) -> usize {
    let (value, full) = (i128::from(value.max(0)), i128::from(full.max(1)));
    let steps = i128::try_from(steps).unwrap_or(0);
    usize::try_from(((value * steps + full - 1) / full).min(steps)).unwrap_or(0)
}

/// A curve in one line of at most `width` characters, from nothing to its own greatest value.
pub(crate) fn sparkline(values: &[i64], width: usize) -> String {
    let columns = squeeze(values, width.max(1));
    let full = columns.iter().copied().max().unwrap_or(0);
    columns.iter().map(|value| EIGHTHS[filled(*value, full, 8)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_their_thousands_apart() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (81_220, "81,220"), (-1_234_567, "-1,234,567")]
        {
            assert_eq!(thousands(number), text);
        }
        assert_eq!(thousands(i64::MIN), "-9,223,372,036,854,775,808");
        assert_eq!(
            (decimal(1_234.56, 1), decimal(999.96, 1), decimal(0.0, 0)),
            ("1,234.6".into(), "1,000.0".into(), "0".into())
        );
        assert_eq!(
            (hours(36_000), hours(3_600_000 * 12), hours(3_600_000 * 320_412)),
            ("0.01 h".into(), "12.0 h".into(), "320,412 h".into())
        );
    }

    #[test]
    fn times_are_read_off_the_instant() {
        let at = 1_773_516_665_678;
        assert_eq!((day_and_minute(at).as_str(), day(at).as_str()), ("2026-03-14 19:31", "03-14"));
        assert_eq!((minute(at).as_str(), second(at).as_str()), ("19:31", "19:31:05"));
        let spans = [0, 999, 59_999, 60_000, 61_000, 18_840_000, 86_400_000, 93_600_000].map(span);
        assert_eq!(spans, ["0 ms", "999 ms", "59 s", "1 min", "1 min 1 s", "5 h 14 min", "1 d", "1 d 2 h"]);
    }

    #[test]
    fn a_sparkline_keeps_the_peak_and_the_single_viewer() {
        assert_eq!(sparkline(&[0, 1, 50, 100, 800, 400, 1, 0], 8), " ▁▁▁█▄▁ ");
        assert_eq!(sparkline(&[0, 0, 0, 8, 0, 0, 1, 1, 2], 3), " █▂");
        assert_eq!(sparkline(&[0, 0], 8), "  ");
        assert_eq!(sparkline(&[], 8), "");
        assert_eq!(sparkline(&[i64::MAX, i64::MAX / 2], 8), "█▄");
    }

    #[test]
    fn every_column_has_its_values_in_order() {
        for values in 1..40 {
            for columns in 1..=values {
                let places: Vec<usize> = (0..values).map(|at| column_of(at, values, columns)).collect();
                assert!(
                    places.is_sorted() && places[values - 1] == columns - 1 && places[0] == 0,
                    "{values} in {columns}: {places:?}"
                );
                assert!(places.windows(2).all(|pair| pair[1] - pair[0] <= 1), "{values} in {columns}: {places:?}");
            }
        }
    }

    #[test]
    fn texts_of_others_fit_and_command_nothing() {
        assert_eq!(printable("a\x1b[31m\u{202e}b\n"), "a\u{fffd}[31m\u{fffd}b\u{fffd}");
        assert_eq!(
            (cut("gala", 4), cut("gala-2026", 5), cut("日本語", 5)),
            ("gala".into(), "gala…".into(), "日本…".into())
        );
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
    }
}
