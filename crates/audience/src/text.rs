//! Numbers and times as people read and write them. All times are UTC; [`Zone::clock`](crate::Zone::clock) gives those
//! of another zone.

use crate::decode::parse_rfc3339;
use crate::{Ms, time};

/// `1234567` as `1,234,567`.
pub fn thousands(number: i64) -> String {
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
pub fn count(number: u64) -> String {
    thousands(i64::try_from(number).unwrap_or(i64::MAX))
}

/// A finite number `>= 0` with `places` decimals and thousands separated.
pub fn decimal(number: f64, places: usize) -> String {
    let text = format!("{number:.places$}");
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let whole = whole.parse().map_or_else(|_| whole.to_owned(), thousands);
    if fraction.is_empty() { whole } else { format!("{whole}.{fraction}") }
}

/// Viewer-milliseconds as hours, with about three digits.
pub fn hours(viewer_ms: i64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "it is rounded to a few digits for people right after")]
    let hours = viewer_ms as f64 / 3_600_000.0;
    let places = if hours < 10.0 { 2 } else { usize::from(hours < 1_000.0) };
    format!("{} h", decimal(hours, places))
}

/// A length of time in its two largest units: `5 h 14 min`.
pub fn span(ms: Ms) -> String {
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
pub fn day_and_minute(at: Ms) -> String {
    time::rfc3339(at)[..16].replace('T', " ")
}

/// `03-14`.
pub fn day(at: Ms) -> String {
    time::rfc3339(at)[5..10].to_owned()
}

/// `19:31`.
pub fn minute(at: Ms) -> String {
    time::rfc3339(at)[11..16].to_owned()
}

/// `19:31:05`.
pub fn second(at: Ms) -> String {
    time::rfc3339(at)[11..19].to_owned()
}

/// The first instant of what is written: a time, or as much of one as somebody cared for (`2026`, `2026-03-14T19:31`).
/// `None` for what is no time.
pub fn beginning(text: &str) -> Option<Ms> {
    const REST: &str = "2000-01-01T00:00:00.000Z";
    parse_rfc3339(format!("{text}{}", REST.get(text.len()..)?).as_bytes())
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
        for written in ["2026-03-14T19:31:05.678Z", "2026-03-14T19:31:05.678"] {
            assert_eq!(beginning(written), Some(at));
        }
        let minute = 1_773_516_660_000;
        assert_eq!(["2026-03-14T19:31", "2026-03-14T19:31:0"].map(beginning), [Some(minute); 2]);
        assert_eq!(["2026", "2026-01-0"].map(beginning), [Some(1_767_225_600_000); 2]);
        assert_eq!(["yesterday", "14.3.2026", "2026-13", "2026-03-14T19:31:05.678Z!", "é"].map(beginning), [None; 5]);
        let spans = [0, 999, 59_999, 60_000, 61_000, 18_840_000, 86_400_000, 93_600_000].map(span);
        assert_eq!(spans, ["0 ms", "999 ms", "59 s", "1 min", "1 min 1 s", "5 h 14 min", "1 d", "1 d 2 h"]);
    }
}
