//! The live state as plain records, sorted, so that equal states are equal records: what a snapshot is written from and
//! read back to. Broadcasts are numbers of the registry. Events that wait for the watermark are no part of it: they are
//! in the log.

use audience::{MinuteRow, Ms, Stay};

/// Late events of one broadcast and minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LateMinute {
    /// Number of the broadcast.
    pub broadcast: u32,
    /// Start of the minute in which they came.
    pub minute_at: Ms,
    /// How many late events the minute has.
    pub late: i64,
}

/// How many open sessions and known viewers a broadcast has in one lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CrowdState {
    /// Number of the broadcast.
    pub broadcast: u32,
    /// Open sessions.
    pub sessions: i64,
    /// Known viewers.
    pub viewers: i64,
}

/// An open session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenSession {
    /// Number of the broadcast.
    pub broadcast: u32,
    /// 72 bits made of its viewer and its session.
    pub key: [u8; 9],
    /// 72 bits made of its viewer's pseudonym.
    pub viewer: [u8; 9],
    /// When it opened.
    pub joined_at: Ms,
    /// Its last sign of life.
    pub seen_at: Ms,
}

/// A viewer that an airing has had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ViewerState {
    /// Number of the broadcast.
    pub broadcast: u32,
    /// 72 bits made of its pseudonym.
    pub key: [u8; 9],
}

/// A session whose leave came so lately that a heartbeat would straggle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeftSession {
    /// Number of the broadcast.
    pub broadcast: u32,
    /// 72 bits made of its viewer and its session.
    pub key: [u8; 9],
    /// When its last leave took effect.
    pub left_at: Ms,
}

/// The owner's part between two rounds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LiveState {
    /// The watermark of the last round; `None` before the first.
    pub watermark: Option<Ms>,
    /// Ascending by broadcast.
    pub stages: Vec<StageState>,
    /// Sorted by broadcast and start.
    pub airings: Vec<AiringState>,
    /// Retweets that the airings on air have counted, sorted by broadcast and tweet.
    pub tweets: Vec<TweetState>,
    /// Late events whose minute is open or kept back, sorted by broadcast and minute.
    pub late: Vec<LateMinute>,
    /// Signs at their `ts` of what is not settled, sorted by broadcast and minute.
    pub unsettled: Vec<SignsState>,
    /// Ends of what is not settled, sorted by broadcast and instant.
    pub unsettled_ends: Vec<UnsettledEnd>,
    /// Where the broadcasts are settled up to, ascending by broadcast.
    pub frontiers: Vec<FrontierState>,
    /// The gaps of the input, by number.
    pub gaps: Vec<GapState>,
    /// What they left open, sorted by broadcast and gap.
    pub exposed: Vec<ExposedState>,
}

/// A gap of the input, as the live curve took it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GapState {
    /// Start of the first minute that it lies in; `Ms::MIN` where it is not known.
    pub from: Ms,
    /// Its end; `Ms::MAX` where it is not known.
    pub to: Ms,
}

/// The sessions of one broadcast that were open when a gap ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExposedState {
    /// Number of the broadcast.
    pub broadcast: u32,
    /// Number of the gap.
    pub gap: u32,
    /// How many of the sessions that the gap left open still are.
    pub open: i64,
    /// The latest end of those that are open no more.
    pub until: Option<Ms>,
}

/// What is known of a broadcast besides its airings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StageState {
    /// Number of the broadcast.
    pub broadcast: u32,
    /// Its last sign, unless it has been silent for `broadcast_idle` since.
    pub last_sign: Option<Ms>,
    /// The greatest `ts` of its applied ends.
    pub ended: Option<Ms>,
    /// When the end took effect since which it is off air; `None` where it is on air.
    pub off_air_since: Option<Ms>,
    /// Whether that end has parted two airings.
    pub has_parted: bool,
}

/// An airing that has an open minute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AiringState {
    /// Number of the broadcast.
    pub broadcast: u32,
    /// First applied thing.
    pub airing_at: Ms,
    /// Whether something has ended it, so that only its last minute is still to be written.
    pub over: bool,
    /// First of the minutes kept back before the open one; `None` where none is.
    pub kept_from: Option<Ms>,
    /// The open minute.
    pub minute: MinuteState,
    /// What its closed minutes hold.
    pub so_far: SoFar,
}

/// A minute that is not closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MinuteState {
    /// Its start.
    pub minute_at: Ms,
    /// Whether anything was applied in it.
    pub applied: bool,
    /// C just before its first ms.
    pub viewers_start: i64,
    /// C at `since`.
    pub viewers: i64,
    /// Up to where the curve has been read.
    pub since: Ms,
    /// Integral of C up to `since`.
    pub viewer_ms: i64,
    /// Greatest C that has lasted, and its first ms; `None` before any has.
    pub viewers_max: Option<(i64, Ms)>,
    /// Least C that has lasted.
    pub viewers_min: i64,
    /// D just before its first ms.
    pub distinct_start: i64,
    /// D at `since`.
    pub distinct: i64,
    /// Integral of D up to `since`.
    pub distinct_ms: i64,
    /// Greatest D that has lasted, and its first ms; `None` before any has.
    pub distinct_max: Option<(i64, Ms)>,
    /// Least D that has lasted.
    pub distinct_min: i64,
    /// Sessions opened.
    pub joins: i64,
    /// Sessions closed by a leave.
    pub leaves: i64,
    /// Sessions closed otherwise.
    pub lapses: i64,
    /// Lapses booked after their `left_at`.
    pub lapses_backdated: i64,
    /// Viewers whose first session of the airing started here.
    pub new_viewers: i64,
    /// Retweets counted.
    pub retweets: i64,
    /// Sum of their known followers.
    pub retweet_followers: i64,
    /// How long the sessions that ended here had lasted.
    pub stays: Vec<Stay>,
}

/// Sums over minutes of an airing, and its peak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SoFar {
    /// Sessions opened.
    pub joins: i64,
    /// Sessions closed by a leave.
    pub leaves: i64,
    /// Sessions closed otherwise.
    pub lapses: i64,
    /// Distinct viewers.
    pub reach: i64,
    /// Retweets counted.
    pub retweets: i64,
    /// Sum of their known followers.
    pub retweet_followers: i64,
    /// Integral of C.
    pub viewer_ms: i64,
    /// Greatest C, and its first ms; `None` for a peak of 0.
    pub peak: Option<(i64, Ms)>,
    /// Integral of D.
    pub distinct_ms: i64,
    /// Greatest D, and its first ms; `None` for a peak of 0.
    pub distinct_peak: Option<(i64, Ms)>,
}

impl SoFar {
    /// Takes in a minute that is closed.
    pub(super) fn add(&mut self, row: &MinuteRow) {
        self.joins += row.joins;
        self.leaves += row.leaves;
        self.lapses += row.lapses;
        self.reach += row.new_viewers;
        self.retweets += row.retweets;
        self.retweet_followers += row.retweet_followers;
        self.viewer_ms += row.viewer_ms;
        self.peak_at(Some((row.viewers_max, row.viewers_max_at)));
        if let Some(distinct) = &row.distinct {
            self.distinct_ms += distinct.ms;
            self.distinct_peak_at(Some((distinct.max, distinct.max_at)));
        }
    }

    /// Takes in the greatest C of a minute, and its first ms.
    pub(super) fn peak_at(&mut self, max: Option<(i64, Ms)>) {
        self.peak = greater(self.peak, max);
    }

    /// Takes in the greatest D of a minute, and its first ms.
    pub(super) fn distinct_peak_at(&mut self, max: Option<(i64, Ms)>) {
        self.distinct_peak = greater(self.distinct_peak, max);
    }
}

/// The peak, after a minute that had `max`.
fn greater(peak: Option<(i64, Ms)>, max: Option<(i64, Ms)>) -> Option<(i64, Ms)> {
    max.filter(|(viewers, _)| *viewers > peak.map_or(0, |(peak, _)| peak)).or(peak)
}

/// A retweet that is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TweetState {
    /// Number of the broadcast.
    pub broadcast: u32,
    /// Fingerprint of the tweet.
    pub tweet: u128,
}

/// Signs of one minute of what is not settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignsState {
    /// Number of the broadcast.
    pub broadcast: u32,
    /// The first sign.
    pub first: Ms,
    /// The last sign.
    pub last: Ms,
    /// The first and the last join, if there is one.
    pub joins: Option<(Ms, Ms)>,
}

/// An end of what is not settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnsettledEnd {
    /// Number of the broadcast.
    pub broadcast: u32,
    /// When.
    pub at: Ms,
}

/// Up to where a broadcast is settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrontierState {
    /// Number of the broadcast.
    pub broadcast: u32,
    /// Its frontier.
    pub at: Ms,
    /// Its last event before that, where it is off air there.
    pub off_air: Option<Ms>,
}
