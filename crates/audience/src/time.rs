//! Time arithmetic: milliseconds since the Unix epoch, UTC, and the civil dates of the partitions.

/// Milliseconds since the Unix epoch, UTC.
pub type Ms = i64;

/// Milliseconds of one minute.
pub const MINUTE_MS: Ms = 60_000;

/// Milliseconds of one day.
pub const DAY_MS: Ms = 86_400_000;

/// 2000-01-01T00:00:00Z, the first instant an event may have.
pub const TS_MIN: Ms = 946_684_800_000;

/// 2100-01-01T00:00:00Z, the first instant an event may no longer have.
pub const TS_END: Ms = 4_102_444_800_000;

/// Start of the minute that holds `t`.
pub const fn minute_of(t: Ms) -> Ms {
    t.div_euclid(MINUTE_MS) * MINUTE_MS
}

/// Days since 1970-01-01 of the UTC date that holds `t`.
pub const fn day_of(t: Ms) -> i64 {
    t.div_euclid(DAY_MS)
}

/// Days from 1970-01-01 to a date of the proleptic Gregorian calendar (H. Hinnant, "chrono-Compatible Low-Level Date
/// Algorithms", `days_from_civil`). `month` in 1..=12, `day` in 1..=31; the caller checks both.
pub const fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let yoe = y - era * 400;
    let mp = (month + 9) % 12;
    let doy = (153 * mp + 2) / 5 + day - 1;
    let doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    era * 146_097 + doe - 719_468
}

/// (year, month, day) of a day counted from 1970-01-01 (Hinnant's `civil_from_days`).
pub const fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z - era * 146_097;
    let yoe = (doe - doe / 1_460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let day = doy - (153 * mp + 2) / 5 + 1;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    let year = yoe + era * 400 + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}

/// `YYYY-MM-DD` of a day counted from 1970-01-01: the name of a date partition.
pub fn date_name(day: i64) -> String {
    let (y, m, d) = civil_from_days(day);
    format!("{y:04}-{m:02}-{d:02}")
}

/// `YYYY-MM-DDTHH:MM:SS.mmmZ` of an instant.
pub fn rfc3339(t: Ms) -> String {
    let ms = t.rem_euclid(DAY_MS);
    let (h, m, s) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1_000 % 60);
    format!("{}T{h:02}:{m:02}:{s:02}.{:03}Z", date_name(day_of(t)), ms % 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_go_there_and_back() {
        for day in -1_000..60_000 {
            let (y, m, d) = civil_from_days(day);
            assert_eq!(days_from_civil(y, m, d), day);
        }
        assert_eq!(days_from_civil(2000, 1, 1) * DAY_MS, TS_MIN);
        assert_eq!(days_from_civil(2100, 1, 1) * DAY_MS, TS_END);
        assert_eq!(rfc3339(1_459_711_860_007), "2016-04-03T19:31:00.007Z");
    }
}
