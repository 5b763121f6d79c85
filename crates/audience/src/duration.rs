//! A duration as people write it: a whole number and its unit, `250ms`, `30s`, `10min`, `6h`, `30d`. Inside it is
//! milliseconds.

use crate::Ms;

/// Unit and its milliseconds, from the smallest.
const UNITS: [(&str, Ms); 5] = [("ms", 1), ("s", 1_000), ("min", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// What a duration may look like, for messages.
pub const FORM: &str = "a whole number and its unit (250ms, 30s, 10min, 6h, 30d)";

/// Milliseconds of `text`, `>= 0`.
///
/// # Errors
/// What is wrong with `text`, as the rest of a sentence.
pub fn parse(text: &str) -> Result<Ms, String> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    if number.is_empty() {
        return Err("has no number at its start".to_owned());
    }
    let factor = match unit {
        "" => return Err("has no unit".to_owned()),
        // Everywhere else `m` is either of the two, and a month to some.
        "m" => return Err(format!("could be minutes or milliseconds: write {number}min or {number}ms")),
        _ => UNITS.iter().find(|(name, _)| *name == unit).map(|(_, ms)| *ms),
    };
    let factor = factor.ok_or_else(|| format!("has an unknown unit, \"{unit}\""))?;
    number
        .parse::<Ms>()
        .ok()
        .and_then(|n| n.checked_mul(factor))
        .ok_or_else(|| "is too long to be counted in milliseconds".to_owned())
}

/// The shortest way to write `ms` exactly; [`parse`] gives it back. `ms >= 0`.
pub fn write(ms: Ms) -> String {
    if ms == 0 {
        return "0s".to_owned();
    }
    let (unit, factor) = UNITS.into_iter().rev().find(|(_, factor)| ms % factor == 0).unwrap_or(UNITS[0]);
    format!("{}{unit}", ms / factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_goes_in_and_comes_out() {
        for (text, ms) in
            [("250ms", 250), ("30s", 30_000), ("10min", 600_000), ("6h", 21_600_000), ("30d", 2_592_000_000), ("0s", 0)]
        {
            assert_eq!(parse(text), Ok(ms), "{text}");
            assert_eq!(write(ms), text);
        }
        assert_eq!(write(90_000), "90s");
        assert_eq!(write(24 * 3_600_000), "1d");
        assert_eq!(write(1_001), "1001ms");
    }

    #[test]
    fn what_is_no_duration_is_refused_with_its_reason() {
        for (text, reason) in [
            ("", "has no number at its start"),
            ("s", "has no number at its start"),
            ("-5s", "has no number at its start"),
            ("30", "has no unit"),
            ("5m", "could be minutes or milliseconds: write 5min or 5ms"),
            ("1.5h", "has an unknown unit, \".5h\""),
            ("30 s", "has an unknown unit, \" s\""),
            ("30S", "has an unknown unit, \"S\""),
            ("9999999999999999d", "is too long to be counted in milliseconds"),
            ("99999999999999999999ms", "is too long to be counted in milliseconds"),
        ] {
            assert_eq!(parse(text), Err(reason.to_owned()), "{text}");
        }
    }
}
