//! The airings of a broadcast: the unit of all that is settled.

use audience::Ms;

/// Up to where a broadcast is settled, and how it goes on from there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Frontier {
    /// What lies before it is settled.
    pub at: Ms,
    /// Its last event before that, where the broadcast is off air there: what comes next begins off air, unless the
    /// broadcast has been silent for `broadcast_idle` since.
    pub off_air: Option<Ms>,
}

impl Frontier {
    /// Nothing is settled.
    pub const NONE: Frontier = Frontier { at: Ms::MIN, off_air: None };
}

/// One airing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Airing {
    /// `broadcast_idle` before its first accepted event: an airing that began in what was lost began after this.
    pub quiet_from: Ms,
    /// Its first accepted event.
    pub first_sign: Ms,
    /// Its last accepted event.
    pub last_sign: Ms,
    /// Its first applied thing, which is its name; `Ms::MAX` where nothing is applied, and then it leaves no row.
    pub airing_at: Ms,
    /// Its ends that apply, ascending.
    pub ends: Vec<AppliedEnd>,
    /// Ends that came while it was off air.
    pub repeated_ends: i64,
    /// Whether it is off air from its beginning, and so to its end.
    pub is_off_air: bool,
    /// What has a smaller `ts` and is not known when it settles comes too late.
    pub frontier: Frontier,
}

/// An end that applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AppliedEnd {
    /// When.
    pub at: Ms,
    /// How often it was said.
    pub said: i64,
    /// The broadcast's next join after it, `Ms::MAX` where there is none: between the two it is off air.
    pub back_at: Ms,
}

impl Airing {
    /// Whether anything is applied, so that it has a name and rows.
    pub fn is_named(&self) -> bool {
        self.airing_at < Ms::MAX
    }

    /// Whether the broadcast is off air at the instant `at` of this airing.
    pub(crate) fn is_off_air_at(&self, at: Ms) -> bool {
        let before = self.ends.partition_point(|end| end.at < at);
        self.is_off_air || before.checked_sub(1).is_some_and(|last| at < self.ends[last].back_at)
    }
}

/// The airings of one broadcast, ascending. Every accepted event that is to be settled lies in one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Airings {
    /// The airings.
    pub airings: Vec<Airing>,
}

impl Airings {
    /// The place of the airing that holds the instant `at`, at or before the last sign of the broadcast.
    pub fn place_of(&self, at: Ms) -> usize {
        self.airings.partition_point(|airing| airing.last_sign < at)
    }

    /// The last event that is to be settled.
    pub(crate) fn last_sign(&self) -> Ms {
        self.airings.last().map_or(Ms::MIN, |airing| airing.last_sign)
    }
}
