//! Options: everything that decides which events a simulation makes.

use crate::Ms;

/// 2016-04-03T17:31:00Z, 19:31 in Paris (UTC+2): when the night began, reckoned back from its end and its 5 h 14.
pub const NIGHT_AT: Ms = 1_459_704_660_000;

const TS_MIN: Ms = 946_684_800_000;
const TS_END: Ms = 4_102_444_800_000;
const DAY_MS: Ms = 86_400_000;

/// What to simulate. The same options make the same bytes, for ever and everywhere.
///
/// `seed`, `broadcasts`, `scale`, `zipf`, `start`, `spread_ms`, `retweets`, `via`, `word_of_mouth` and `end` decide
/// what happens, `lost_leaves` and `heartbeat_ms` what clients tell of it. The others only decide when and how often an
/// event arrives, and change nothing in the truth.
#[derive(Clone, Debug, PartialEq)]
pub struct NightOptions {
    /// Where all chance comes from.
    pub seed: u64,
    /// Broadcasts, 1 to 100,000: the night, then drawn shows of 15 min to 5 h.
    pub broadcasts: u32,
    /// Size of the night: 1.0 is 385,000 sessions and a peak of 81,000. Over 0, at most 100.
    pub scale: f64,
    /// The k-th broadcast has the night's size divided by k^zipf. 0 to 5.
    pub zipf: f64,
    /// Start of the night, ms since the Unix epoch; all events lie in [2000-01-01, 2100-01-01).
    pub start: Ms,
    /// The other broadcasts start uniformly in [start, start + spread_ms). 0 to 366 days.
    pub spread_ms: Ms,
    /// Retweets of the night, 0 to 100,000; a smaller or shorter show has fewer. More of them bring fewer joins each.
    pub retweets: u32,
    /// Share of the joins that a retweet brought directly that carry its `via`, 0 to 1.
    pub via: f64,
    /// Joins that one join brings by word of mouth, 0 to 0.9; a reconnect brings none.
    pub word_of_mouth: f64,
    /// Whether a broadcast ends with its `end`. Without it everybody leaves within a minute of the close.
    pub end: bool,
    /// Share of the leaves that no client tells, 0 to 1.
    pub lost_leaves: f64,
    /// Every client gives a sign of life each so many ms after its join, at least 1,000; none where `None`.
    pub heartbeat_ms: Option<Ms>,
    /// Each event arrives up to so many ms after its `ts`, uniformly. 0 to 1 day.
    pub disorder_ms: Ms,
    /// Share of the events that arrive twice, each copy with its own delay, 0 to 1.
    pub duplicates: f64,
    /// Share of the events that arrive late, 0 to 1; an `end` never is.
    pub late: f64,
    /// A late event comes so many ms to twice as many after it would have come. 0 to 1 day.
    pub late_ms: Ms,
}

impl Default for NightOptions {
    /// The night, as it was published, on a perfect network.
    fn default() -> NightOptions {
        NightOptions {
            seed: 1,
            broadcasts: 1,
            scale: 1.0,
            zipf: 1.0,
            start: NIGHT_AT,
            spread_ms: 4 * 3_600_000,
            retweets: 300,
            via: 0.35,
            word_of_mouth: 0.2,
            end: true,
            lost_leaves: 0.0,
            heartbeat_ms: None,
            disorder_ms: 0,
            duplicates: 0.0,
            late: 0.0,
            late_ms: 60_000,
        }
    }
}

impl NightOptions {
    /// Says whether every option lies in its range.
    ///
    /// # Errors
    ///
    /// One sentence that names the first option that does not, its value, and the range.
    pub fn validate(&self) -> Result<(), String> {
        within("broadcasts", self.broadcasts, 1, 100_000)?;
        if self.scale <= 0.0 {
            return Err(format!("scale is {}, but an audience needs one over 0", self.scale));
        }
        within("scale", self.scale, 0.0, 100.0)?;
        within("zipf", self.zipf, 0.0, 5.0)?;
        within("spread_ms", self.spread_ms, 0, 366 * DAY_MS)?;
        within("retweets", self.retweets, 0, 100_000)?;
        within("via", self.via, 0.0, 1.0)?;
        within("word_of_mouth", self.word_of_mouth, 0.0, 0.9)?;
        within("lost_leaves", self.lost_leaves, 0.0, 1.0)?;
        if let Some(ms) = self.heartbeat_ms {
            within("heartbeat_ms", ms, 1_000, DAY_MS)?;
        }
        within("disorder_ms", self.disorder_ms, 0, DAY_MS)?;
        within("duplicates", self.duplicates, 0.0, 1.0)?;
        within("late", self.late, 0.0, 1.0)?;
        within("late_ms", self.late_ms, 0, DAY_MS)?;
        // A day is more than any broadcast lasts.
        within("start", self.start, TS_MIN, TS_END - DAY_MS - self.spread_ms)
    }
}

/// Refuses a value outside `least..=most`, and what compares with nothing.
fn within<T: Copy + PartialOrd + std::fmt::Display>(option: &str, value: T, least: T, most: T) -> Result<(), String> {
    if value >= least && value <= most {
        return Ok(());
    }
    Err(format!("{option} is {value}, but must be {least} to {most}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_valid_and_what_is_not_is_named() {
        let fine = NightOptions::default();
        assert_eq!(fine.validate(), Ok(()));
        let wrong = [
            ("broadcasts", NightOptions { broadcasts: 0, ..fine.clone() }),
            ("scale", NightOptions { scale: 0.0, ..fine.clone() }),
            ("scale", NightOptions { scale: f64::NAN, ..fine.clone() }),
            ("scale", NightOptions { scale: f64::INFINITY, ..fine.clone() }),
            ("start", NightOptions { start: TS_MIN - 1, ..fine.clone() }),
            ("start", NightOptions { start: TS_END - DAY_MS, ..fine.clone() }),
            ("duplicates", NightOptions { duplicates: 1.5, ..fine.clone() }),
            ("late", NightOptions { late: f64::NAN, ..fine.clone() }),
            ("heartbeat_ms", NightOptions { heartbeat_ms: Some(10), ..fine.clone() }),
            ("word_of_mouth", NightOptions { word_of_mouth: 1.0, ..fine.clone() }),
            ("disorder_ms", NightOptions { disorder_ms: -1, ..fine }),
        ];
        for (name, options) in wrong {
            let said = options.validate().expect_err(name);
            assert!(said.starts_with(name), "{said}");
        }
    }
}
