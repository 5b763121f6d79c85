//! A size as people write it: a whole number and its unit, `256MB` (thousands) or `1GiB` (1,024s). Inside it is bytes.

/// Unit and its bytes, from the smallest.
const UNITS: [(&str, u64); 9] = [
    ("B", 1),
    ("kB", 1_000),
    ("KiB", 1 << 10),
    ("MB", 1_000_000),
    ("MiB", 1 << 20),
    ("GB", 1_000_000_000),
    ("GiB", 1 << 30),
    ("TB", 1_000_000_000_000),
    ("TiB", 1 << 40),
];

/// What a size may look like, for messages.
pub(crate) const FORM: &str = "a whole number and its unit (512KiB, 256MB, 1GiB)";

/// Bytes of `text`; the error says what is wrong with it, as the rest of a sentence.
pub(crate) fn parse(text: &str) -> Result<u64, String> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    if number.is_empty() {
        return Err("has no number at its start".to_owned());
    }
    if unit.is_empty() {
        return Err("has no unit".to_owned());
    }
    // `KB` is what many write for `kB`; no other unit could be meant.
    let wanted = if unit == "KB" { "kB" } else { unit };
    let factor = UNITS.iter().find(|(name, _)| *name == wanted).map(|(_, bytes)| *bytes);
    let factor = factor.ok_or_else(|| format!("has an unknown unit, \"{unit}\""))?;
    number
        .parse::<u64>()
        .ok()
        .and_then(|n| n.checked_mul(factor))
        .ok_or_else(|| "is too large to be counted in bytes".to_owned())
}

/// The shortest way to write `bytes` exactly; [`parse`] gives it back.
pub(crate) fn write(bytes: u64) -> String {
    // 256 MB is also 250,000 KiB: the unit that leaves the least number is the one that was meant.
    let exact = UNITS.iter().filter(|(_, factor)| bytes.is_multiple_of(*factor) && bytes > 0);
    let (unit, factor) = exact.min_by_key(|(_, factor)| bytes / factor).unwrap_or(&UNITS[0]);
    format!("{}{unit}", bytes / factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_goes_in_and_comes_out() {
        for (text, bytes) in [
            ("0B", 0),
            ("1B", 1),
            ("3kB", 3_000),
            ("512KiB", 524_288),
            ("256MB", 256_000_000),
            ("1GiB", 1 << 30),
            ("2TiB", 2 << 40),
        ] {
            assert_eq!(parse(text), Ok(bytes), "{text}");
            assert_eq!(write(bytes), text);
        }
        assert_eq!(parse("3KB"), Ok(3_000));
        assert_eq!(write(1_536 << 20), "1536MiB");
    }

    #[test]
    fn what_is_no_size_is_refused_with_its_reason() {
        for (text, reason) in [
            ("", "has no number at its start"),
            ("GiB", "has no number at its start"),
            ("1024", "has no unit"),
            ("1G", "has an unknown unit, \"G\""),
            ("1gib", "has an unknown unit, \"gib\""),
            ("1.5GiB", "has an unknown unit, \".5GiB\""),
            ("99999999TiB", "is too large to be counted in bytes"),
        ] {
            assert_eq!(parse(text), Err(reason.to_owned()), "{text}");
        }
    }
}
