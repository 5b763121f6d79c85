//! Sessions, curves and airings: settled from the whole log, or live as events come. Pure: events in; rows and counters
//! out.
//!
//! Nothing here does I/O, reads a clock, starts a thread or returns an error. One state machine (`machine`) knows what
//! an event does to a session; `settle` feeds it in the order (broadcast, viewer, session, ts), `live` in the order of
//! the watermark. What settles apart, by shards of viewers, `shard` adds up.

mod airings;
mod audit;
mod complete;
mod course;
mod curve;
mod ledger;
mod live;
mod machine;
mod presence;
mod rules;
mod second_look;
mod settle;
mod shard;
mod signs;
mod stays;
mod timeline;

pub use airings::{Airing, Airings, AppliedEnd, Frontier};
pub use audit::{Breach, audit_airing, audit_minute, audit_minutes};
pub use complete::{Completeness, Gap, Gaps};
pub use curve::{Flow, Stretches};
pub use ledger::Tally;
pub use live::{
    AiringState, Changes, CrowdState, Directives, Due, END_OF_DATA, ExposedState, FrontierState, FrozenLane, GapState,
    Gathered, Holder, Lane, LateMinute, LeftSession, Live, LiveAlone, LiveState, MinuteState, OpenSession,
    PartitionState, Resume, SettledBefore, SignsState, SoFar, StageState, Standing, TweetState, UnsettledEnd,
    ViewerState, Watermarks, Why,
};
pub use rules::Rules;
pub use second_look::SecondLook;
pub use settle::{Rows, Sorted};
pub use shard::{Part, Shard, settle_curve, shard_of};
pub use timeline::Timeline;
