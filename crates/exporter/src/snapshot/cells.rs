//! Cells: the small records of the live state as rows of integers, each column with the name of its field, so that any
//! reader of Arrow can tell what they are.

use aggregator::{
    AiringState, CrowdState, ExposedState, FrontierState, GapState, LateMinute, MinuteState, SignsState, SoFar,
    StageState, TweetState, UnsettledEnd,
};
use audience::{Ms, Stay};

/// The cells of one record, in the order of their columns.
pub(super) type Row = Vec<Option<i64>>;

/// What lies in one or more columns of integers.
pub(super) trait IntegerCells: Sized {
    /// Appends the names of its columns; `name` is that of the field.
    fn names(name: &str, names: &mut Vec<String>);
    /// Appends its cells.
    fn put(&self, row: &mut Row);
    /// Takes its cells from the front; `None` where they cannot be its own.
    fn take(row: &mut impl Iterator<Item = Option<i64>>) -> Option<Self>;
}

/// A record that has a table of its own.
pub(super) trait Record: IntegerCells {
    /// The table's name.
    const TABLE: &str;
    /// The number of its broadcast, where it has one.
    fn broadcast(&mut self) -> Option<&mut u32>;
}

macro_rules! one_column {
    ($($ty:ty: $put:expr, $take:expr;)*) => {$(
        impl IntegerCells for $ty {
            fn names(name: &str, names: &mut Vec<String>) {
                names.push(name.to_owned());
            }
            fn put(&self, row: &mut Row) {
                row.push($put(*self));
            }
            fn take(row: &mut impl Iterator<Item = Option<i64>>) -> Option<Self> {
                $take(row.next())
            }
        }
    )*};
}

/// No instant and no count of ours is beyond: what is added to one, or to the other, cannot overflow.
const MOST: i64 = 1 << 53;

fn bounded(number: &i64) -> bool {
    (-MOST..=MOST).contains(number)
}

one_column! {
    i64: Some, |cell: Option<Option<i64>>| cell?.filter(bounded);
    Option<i64>: std::convert::identity, |cell: Option<Option<i64>>| cell.filter(|cell| cell.iter().all(bounded));
    u32: |cell| Some(i64::from(cell)), |cell: Option<Option<i64>>| u32::try_from(cell??).ok();
    bool: |cell| Some(i64::from(cell)), |cell: Option<Option<i64>>| Some(cell?? != 0);
}

/// A greatest number, and its first instant.
impl IntegerCells for Option<(i64, Ms)> {
    fn names(name: &str, names: &mut Vec<String>) {
        names.extend([name.to_owned(), format!("{name}_at")]);
    }
    fn put(&self, row: &mut Row) {
        row.extend([self.map(|(greatest, _)| greatest), self.map(|(_, at)| at)]);
    }
    fn take(row: &mut impl Iterator<Item = Option<i64>>) -> Option<Self> {
        let (greatest, at) = (<Option<i64> as IntegerCells>::take(row)?, <Option<Ms> as IntegerCells>::take(row)?);
        (greatest.is_some() == at.is_some()).then_some(greatest.zip(at))
    }
}

/// A fingerprint, as two halves.
impl IntegerCells for u128 {
    fn names(name: &str, names: &mut Vec<String>) {
        names.extend([format!("{name}_high"), format!("{name}_low")]);
    }
    fn put(&self, row: &mut Row) {
        let (high, low) = ((self >> 64) as u64, (self & u128::from(u64::MAX)) as u64);
        row.extend([Some(high.cast_signed()), Some(low.cast_signed())]);
    }
    fn take(row: &mut impl Iterator<Item = Option<i64>>) -> Option<Self> {
        let (high, low) = (row.next()??, row.next()??);
        Some(u128::from(high.cast_unsigned()) << 64 | u128::from(low.cast_unsigned()))
    }
}

/// The stays of a minute are in a table of their own.
impl IntegerCells for Vec<Stay> {
    fn names(_: &str, _: &mut Vec<String>) {}
    fn put(&self, _: &mut Row) {}
    fn take(_: &mut impl Iterator<Item = Option<i64>>) -> Option<Self> {
        Some(Vec::new())
    }
}

/// The one record that says "not known" by the ends of time.
impl IntegerCells for GapState {
    fn names(_: &str, names: &mut Vec<String>) {
        names.extend(["from".to_owned(), "to".to_owned()]);
    }
    fn put(&self, row: &mut Row) {
        row.extend([Some(self.from), Some(self.to)]);
    }
    fn take(row: &mut impl Iterator<Item = Option<i64>>) -> Option<Self> {
        let (from, to) = (row.next()??, row.next()??);
        let is_sound = (from == Ms::MIN || bounded(&from)) && (to == Ms::MAX || bounded(&to));
        is_sound.then_some(GapState { from, to })
    }
}

/// Records whose fields are cells.
macro_rules! records {
    ($($record:ident { $($field:ident: $ty:ty),* $(,)? })*) => {$(
        impl IntegerCells for $record {
            fn names(name: &str, names: &mut Vec<String>) {
                let field = |field: &str| if name.is_empty() { field.to_owned() } else { format!("{name}.{field}") };
                $(<$ty as IntegerCells>::names(&field(stringify!($field)), names);)*
            }
            fn put(&self, row: &mut Row) {
                $(self.$field.put(row);)*
            }
            fn take(row: &mut impl Iterator<Item = Option<i64>>) -> Option<Self> {
                Some($record { $($field: <$ty as IntegerCells>::take(row)?),* })
            }
        }
    )*};
}

records! {
    LateMinute { broadcast: u32, minute_at: Ms, late: i64 }
    CrowdState { broadcast: u32, sessions: i64, viewers: i64 }
    StageState {
        broadcast: u32, last_sign: Option<Ms>, ended: Option<Ms>, off_air_since: Option<Ms>, has_parted: bool,
    }
    TweetState { broadcast: u32, tweet: u128 }
    SignsState { broadcast: u32, first: Ms, last: Ms, joins: Option<(Ms, Ms)> }
    UnsettledEnd { broadcast: u32, at: Ms }
    AiringState {
        broadcast: u32, airing_at: Ms, over: bool, kept_from: Option<Ms>, minute: MinuteState, so_far: SoFar,
    }
    MinuteState {
        minute_at: Ms, applied: bool, viewers_start: i64, viewers: i64, since: Ms, viewer_ms: i64,
        viewers_max: Option<(i64, Ms)>, viewers_min: i64, distinct_start: i64, distinct: i64, distinct_ms: i64,
        distinct_max: Option<(i64, Ms)>, distinct_min: i64, joins: i64, leaves: i64, lapses: i64, lapses_backdated: i64,
        new_viewers: i64, retweets: i64, retweet_followers: i64, stays: Vec<Stay>,
    }
    SoFar {
        joins: i64, leaves: i64, lapses: i64, reach: i64, retweets: i64, retweet_followers: i64, viewer_ms: i64,
        peak: Option<(i64, Ms)>, distinct_ms: i64, distinct_peak: Option<(i64, Ms)>,
    }
    ExposedState { broadcast: u32, gap: u32, open: i64, until: Option<Ms> }
    StayState { airing: u32, ms: i64, sessions: i64 }
    FrontierState { broadcast: u32, at: Ms, off_air: Option<Ms> }
}

/// Sessions that ended in the open minute of an airing, by how long they had lasted.
#[derive(Clone, Copy, Debug)]
pub(super) struct StayState {
    /// The row of the table `airings`.
    pub(super) airing: u32,
    pub(super) ms: i64,
    pub(super) sessions: i64,
}

macro_rules! tables {
    ($($record:ident $table:literal $broadcast:expr;)*) => {$(
        impl Record for $record {
            const TABLE: &str = $table;
            fn broadcast(&mut self) -> Option<&mut u32> {
                let of: fn(&mut $record) -> Option<&mut u32> = $broadcast;
                of(self)
            }
        }
    )*};
}

tables! {
    CrowdState "crowds" |one| Some(&mut one.broadcast);
    LateMinute "late" |one| Some(&mut one.broadcast);
    StageState "stages" |one| Some(&mut one.broadcast);
    TweetState "tweets" |one| Some(&mut one.broadcast);
    SignsState "signs" |one| Some(&mut one.broadcast);
    UnsettledEnd "ends" |one| Some(&mut one.broadcast);
    AiringState "airings" |one| Some(&mut one.broadcast);
    GapState "gaps" |_| None;
    ExposedState "exposed" |one| Some(&mut one.broadcast);
    StayState "stays" |_| None;
    FrontierState "frontiers" |one| Some(&mut one.broadcast);
}
