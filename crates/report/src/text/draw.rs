//! Small drawings: texts that fit, and the sparkline.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Eighths of a cell, from none to all.
pub(super) const EIGHTHS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// An id that is safe to print: producers choose ids, and a terminal obeys what is in them. Control characters, and
/// those that turn the direction of text, become a replacement character.
pub fn printable(id: &str) -> String {
    let turns = |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2028}' | '\u{2029}' | '\u{2066}'..='\u{2069}');
    id.chars().map(|c| if c.is_control() || turns(c) { '\u{fffd}' } else { c }).collect()
}

/// `text` in at most `width` columns, cut with an ellipsis. `width >= 1`.
pub fn cut(text: &str, width: usize) -> String {
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
pub fn wrap(text: &str, width: usize) -> Vec<String> {
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

/// Which of `columns` columns shows the `at`-th of `values` values, `at < values`, where there are
/// at least as many values.
pub(super) fn column_of(at: usize, values: usize, columns: usize) -> usize {
    ((at + 1) * columns - 1) / values
}

/// `values` in at most `columns` columns, `columns >= 1`: each shows the greatest of its values, so
/// that no peak is lost.
pub(super) fn squeeze(values: &[i64], columns: usize) -> Vec<i64> {
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
pub(super) fn filled(value: i64, full: i64, steps: usize) -> usize {
    let (value, full) = (i128::from(value.max(0)), i128::from(full.max(1)));
    let steps = i128::try_from(steps).unwrap_or(0);
    usize::try_from(((value * steps + full - 1) / full).min(steps)).unwrap_or(0)
}

/// A curve in one line of at most `width` characters, from nothing to its own greatest value.
pub fn sparkline(values: &[i64], width: usize) -> String {
    let columns = squeeze(values, width.max(1));
    let full = columns.iter().copied().max().unwrap_or(0);
    columns.iter().map(|value| EIGHTHS[filled(*value, full, 8)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

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
