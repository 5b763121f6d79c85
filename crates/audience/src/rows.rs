//! The rows that come out: sessions, retweets, minutes and airings. `broadcast` is the number of the registry; ids are
//! read there.

use crate::Ms;

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Ended {
    /// By its leave.
    Leave = 0,
    /// By the end of the broadcast.
    BroadcastEnd = 1,
    /// By silence: no sign of life for `session_timeout`.
    Timeout = 2,
    /// It was still open when the data, or its airing, ended.
    EndOfData = 3,
}

impl Ended {
    /// All reasons.
    pub const ALL: [Ended; 4] = [Ended::Leave, Ended::BroadcastEnd, Ended::Timeout, Ended::EndOfData];

    /// The word in the column `end_reason`.
    pub const fn word(self) -> &'static str {
        match self {
            Ended::Leave => "leave",
            Ended::BroadcastEnd => "broadcast_end",
            Ended::Timeout => "timeout",
            Ended::EndOfData => "end_of_data",
        }
    }
}

/// One session, [joined_at, left_at).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionRow {
    /// Number of the broadcast.
    pub broadcast: u32,
    /// Place of `via` in the `Details` that come with the rows, or `NO_DETAIL`.
    pub via: u32,
    /// Name of the airing, with the broadcast.
    pub airing_at: Ms,
    /// Pseudonym.
    pub viewer: u128,
    /// Pseudonym.
    pub session: u128,
    /// First ms.
    pub joined_at: Ms,
    /// First ms no longer; `>= joined_at`.
    pub left_at: Ms,
    /// How it ended.
    pub ended: Ended,
}

/// One retweet that counts. Its strings are in the `Details` that come with the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetweetRow {
    /// Number of the broadcast.
    pub broadcast: u32,
    /// Place of the retweet's strings in the `Details` that come with the rows.
    pub detail: u32,
    /// Name of the airing, with the broadcast.
    pub airing_at: Ms,
    /// Its earliest `ts`.
    pub retweeted_at: Ms,
}

/// A bucket of an HdrHistogram of 3 significant digits: how many sessions had lasted how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stay {
    /// Lowest value of the bucket, ms, `>= 0`.
    pub ms: i64,
    /// Sessions in it, `>= 1`.
    pub sessions: i64,
}

/// What one minute of one airing has of D, the concurrent people: the columns `distinct_…`, and `returns`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DistinctMinute {
    /// D just before the minute's first ms.
    pub start: i64,
    /// D at the minute's last ms.
    pub end: i64,
    /// Greatest D inside the minute.
    pub max: i64,
    /// First ms of that maximum.
    pub max_at: Ms,
    /// Least D inside the minute.
    pub min: i64,
    /// Integral of D over the minute, viewer-milliseconds.
    pub ms: i64,
    /// Settled only: intervals of a viewer's presence that begin here, soon after the end of the one before.
    pub returns: i64,
}

/// What an airing has of D, the concurrent people: the columns `distinct_…`, and `returns`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DistinctAiring {
    /// Greatest D.
    pub max: i64,
    /// First instant of that maximum; `None` for a maximum of 0.
    pub max_at: Option<Ms>,
    /// Integral of D, viewer-milliseconds.
    pub ms: i64,
    /// Intervals of a viewer's presence that begin soon after the end of the one before.
    pub returns: i64,
}

/// One minute of one airing's curve; column for column the contract's tables `minutes` and `live`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MinuteRow {
    /// Number of the broadcast.
    pub broadcast: u32,
    /// Name of the airing, with the broadcast.
    pub airing_at: Ms,
    /// Start of the minute, a multiple of 60,000.
    pub minute_at: Ms,
    /// Sessions opened.
    pub joins: i64,
    /// Sessions closed by a leave.
    pub leaves: i64,
    /// Sessions closed otherwise.
    pub lapses: i64,
    /// C just before the minute's first ms.
    pub viewers_start: i64,
    /// C at the minute's last ms.
    pub viewers_end: i64,
    /// Greatest C inside the minute.
    pub viewers_max: i64,
    /// First ms of that maximum.
    pub viewers_max_at: Ms,
    /// Least C inside the minute.
    pub viewers_min: i64,
    /// Integral of C over the minute, viewer-milliseconds.
    pub viewer_ms: i64,
    /// The same of D; `None` where version 1 of the contract wrote the row.
    pub distinct: Option<DistinctMinute>,
    /// Viewers whose first session of the airing starts here.
    pub new_viewers: i64,
    /// Retweets counted here.
    pub retweets: i64,
    /// Sum of their known followers.
    pub retweet_followers: i64,
    /// How long the sessions that ended here had lasted, ascending, no empty bucket.
    pub stays: Vec<Stay>,
    /// Live only: accepted events that came in this minute behind the watermark.
    pub late: i64,
    /// Live only: lapses booked here after their `left_at`.
    pub lapses_backdated: i64,
    /// False where a gap in the input was accepted.
    pub complete: bool,
}

/// One airing in one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AiringRow {
    /// Number of the broadcast.
    pub broadcast: u32,
    /// The first applied thing: the airing's name, with the broadcast.
    pub airing_at: Ms,
    /// The first join; `None` where nobody came.
    pub first_joined_at: Option<Ms>,
    /// The last applied thing.
    pub last_at: Ms,
    /// From the first join to the last moment at which a session closed or an end was applied, ms; `None` where nobody
    /// came.
    pub airtime_ms: Option<i64>,
    /// Sessions.
    pub sessions: i64,
    /// Distinct viewers.
    pub reach: i64,
    /// Peak.
    pub viewers_max: i64,
    /// First instant of the peak; `None` for a peak of 0.
    pub viewers_max_at: Option<Ms>,
    /// Integral of C, viewer-milliseconds.
    pub viewer_ms: i64,
    /// The same of D; `None` where version 1 of the contract wrote the row.
    pub distinct: Option<DistinctAiring>,
    /// Sessions opened.
    pub joins: i64,
    /// Sessions closed by a leave.
    pub leaves: i64,
    /// Sessions closed otherwise.
    pub lapses: i64,
    /// Retweets counted.
    pub retweets: i64,
    /// Sum of their known followers.
    pub retweet_followers: i64,
    /// How long its sessions lasted, ascending, no empty bucket.
    pub stays: Vec<Stay>,
    /// Events that had an effect.
    pub applied: i64,
    /// Events that said again what was known.
    pub repeated: i64,
    /// Leaves without an open session, and heartbeats that straggle.
    pub orphaned: i64,
}

impl AiringRow {
    /// Average minute audience: viewer_ms / airtime, the double nearest to the exact quotient; `None` where the airtime
    /// is zero or none.
    pub fn viewers_mean(&self) -> Option<f64> {
        self.mean_of(self.viewer_ms)
    }

    /// The same of D.
    pub fn distinct_mean(&self) -> Option<f64> {
        self.mean_of(self.distinct?.ms)
    }

    fn mean_of(&self, viewer_ms: i64) -> Option<f64> {
        self.airtime_ms.filter(|ms| *ms > 0).map(|ms| quotient(viewer_ms, ms))
    }
}

impl MinuteRow {
    /// viewer_ms / 60,000.
    pub fn viewers_mean(&self) -> f64 {
        quotient(self.viewer_ms, crate::MINUTE_MS)
    }

    /// The same of D.
    pub fn distinct_mean(&self) -> Option<f64> {
        self.distinct.map(|distinct| quotient(distinct.ms, crate::MINUTE_MS))
    }
}

/// The double nearest to `numerator / denominator`. Both are `>= 0`, the denominator `> 0`.
fn quotient(numerator: i64, denominator: i64) -> f64 {
    const EXACT: i64 = 1 << 53;
    if numerator <= EXACT && denominator <= EXACT {
        #[expect(clippy::cast_precision_loss, reason = "both are exact below 2^53")]
        return numerator as f64 / denominator as f64;
    }
    if numerator == 0 {
        return 0.0;
    }
    // Long division to 55 bits and a sticky bit: one rounding, at the end.
    let (n, d) = (i128::from(numerator).cast_unsigned(), i128::from(denominator).cast_unsigned());
    let shift = (55 + d.ilog2()).saturating_sub(n.ilog2());
    let shifted = n << shift;
    let sticky = u128::from(shifted % d != 0);
    #[expect(clippy::cast_precision_loss, reason = "this is the one rounding: the sticky bit makes it the nearest")]
    let scaled = ((shifted / d) << 1 | sticky) as f64;
    scaled / 2f64.powi(i32::try_from(shift).unwrap_or(0) + 1)
}

#[cfg(test)]
mod tests {
    use super::quotient;

    #[test]
    fn a_quotient_is_rounded_once() {
        assert_eq!(quotient(7, 2).to_bits(), 3.5f64.to_bits());
        let n = (1i64 << 60) + 1;
        assert_eq!(quotient(n, 1).to_bits(), (n as f64).to_bits());
        assert_eq!(quotient(0, i64::MAX).to_bits(), 0f64.to_bits());
        assert_eq!(quotient(i64::MAX, i64::MAX).to_bits(), 1f64.to_bits());
        assert_eq!(quotient(i64::MAX, 3).to_bits(), ((i64::MAX / 3) as f64).to_bits());
    }
}
