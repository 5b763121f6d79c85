//! A table is a kind of row, and a schema its list of columns: name, type, field id and the sentence that says what the
//! column means.

use arrow_schema::{DataType, Field, Fields, Schema, SchemaRef, TimeUnit};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, LazyLock};

/// The eight tables of a data directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Table {
    /// One row an airing, written when it settles.
    Airings,
    /// The settled curve, one row a minute of an airing.
    Minutes,
    /// One row a session.
    Sessions,
    /// One row a retweet that counts.
    Retweets,
    /// The live curve: the columns of [`Table::Minutes`], written as each minute closes.
    Live,
    /// Events that could not be used, with their place and reason.
    Rejected,
    /// The log: every accepted event.
    Events,
    /// The correction ledger: one row a minute that an operator's `settle` moved.
    Corrections,
}

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    /// UTF-8.
    Text,
    /// UTF-8, the same for many rows that lie together; never null.
    Name,
    /// Bytes as they came.
    Bytes,
    /// 128 bits, big-endian, so that bytes order as numbers do.
    Id,
    /// int64
    Int,
    /// int32
    Int32,
    /// ms since the epoch, UTC.
    Instant,
    /// float64
    Mean,
    /// boolean
    Flag,
    /// List of (`ms`, `sessions`); its element and the two fields have the three field ids after the column's own.
    Stays,
}

/// One column. Field ids are for ever: a column that goes takes its id with it, a new one takes the next.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    pub(super) id: i32,
    pub(super) name: &'static str,
    pub(super) ty: Type,
    pub(super) nullable: bool,
    /// The version of the contract that brought it: a file of an earlier one does not have it.
    pub(super) since: u32,
    description: &'static str,
}

const fn one(id: i32, name: &'static str, ty: Type, description: &'static str) -> Column {
    Column { id, name, ty, nullable: false, since: 1, description }
}

/// A column in which a cell may be null.
const fn maybe(id: i32, name: &'static str, ty: Type, description: &'static str) -> Column {
    Column { nullable: true, ..one(id, name, ty, description) }
}

/// A column that version 2 of the contract brought.
const fn two(column: Column) -> Column {
    Column { since: 2, ..column }
}

const BROADCAST_ID: &str = "Id of the broadcast, as its events gave it.";
const AIRING_AT: &str = "First applied thing of the airing, UTC ms; with broadcast_id the airing's name.";
const STAYS: &str = "How long the sessions that ended here had lasted: HdrHistogram buckets of 3 significant digits, \
     ascending, no empty ones; they add up and merge to any percentile.";
const STAYS_ELEMENT: &str = "One bucket of the histogram.";
const STAYS_MS: &str = "Lowest value of the bucket, ms.";
const STAYS_SESSIONS: &str = "Sessions in the bucket.";

#[rustfmt::skip]
const AIRINGS: &[Column] = &[
    one(1, "broadcast_id", Type::Name, BROADCAST_ID),
    one(2, "airing_at", Type::Instant, AIRING_AT),
    maybe(3, "first_joined_at", Type::Instant, "First joined_at of the airing, UTC ms; null if nobody came."),
    one(4, "last_at", Type::Instant, "Last applied thing of the airing, UTC ms."),
    maybe(5, "airtime_ms", Type::Int,
        "From the first joined_at to the last moment at which a session closed or an end was applied, ms; null if \
         nobody came."),
    one(6, "sessions", Type::Int, "Sessions of the airing."),
    one(7, "reach", Type::Int, "Distinct viewers of the airing."),
    one(8, "viewers_max", Type::Int, "Peak: the greatest number of concurrent viewers C, in sessions."),
    maybe(9, "viewers_max_at", Type::Instant, "First instant of the peak, UTC ms; null for a peak of 0."),
    one(10, "viewer_ms", Type::Int,
        "Exact integral of concurrent viewers over the airing, viewer-milliseconds: the watch time."),
    maybe(11, "viewers_mean", Type::Mean,
        "Average minute audience: viewer_ms / airtime_ms, in sessions; null where the airtime is zero or null."),
    two(one(24, "distinct_max", Type::Int, "The greatest number of concurrent people D, in viewers.")),
    two(maybe(25, "distinct_max_at", Type::Instant, "First instant of that maximum, UTC ms; null for a maximum of 0.")),
    two(one(26, "distinct_ms", Type::Int,
        "Exact integral of concurrent people over the airing, viewer-milliseconds: who watches twice at once counts once.")),
    two(maybe(27, "distinct_mean", Type::Mean,
        "distinct_ms / airtime_ms: mean concurrent people, in viewers; null where the airtime is zero or null.")),
    two(one(28, "returns", Type::Int,
        "Times that a viewer was there again at most return_within after having gone: no new audience.")),
    one(12, "joins", Type::Int, "Sessions opened."),
    one(13, "leaves", Type::Int, "Sessions closed by a leave."),
    one(14, "lapses", Type::Int,
        "Sessions closed otherwise: by the broadcast's end, by a time-out or by the end of the data."),
    one(15, "retweets", Type::Int, "Distinct retweets counted."),
    one(16, "retweet_followers", Type::Int,
        "Sum of the known followers of those who retweeted: potential reach, overlap not removed."),
    one(17, "stays", Type::Stays, STAYS),
    one(21, "applied", Type::Int, "Accepted events that had an effect."),
    one(22, "repeated", Type::Int, "Accepted events that said again what was known."),
    one(23, "orphaned", Type::Int, "Leaves that found no open session, and heartbeats that straggle."),
];

#[rustfmt::skip]
const MINUTES: &[Column] = &[
    one(1, "broadcast_id", Type::Name, BROADCAST_ID),
    one(2, "airing_at", Type::Instant, AIRING_AT),
    one(3, "minute_at", Type::Instant,
        "Start of the minute, UTC ms: the row is about [minute_at, minute_at + 60 s)."),
    one(4, "joins", Type::Int, "Sessions opened in the minute."),
    one(5, "leaves", Type::Int, "Sessions closed by a leave in the minute."),
    one(6, "lapses", Type::Int,
        "Sessions closed otherwise in the minute: by the broadcast's end, by a time-out or by the end of the data."),
    one(7, "viewers_start", Type::Int, "Concurrent viewers just before the minute's first ms, in sessions."),
    one(8, "viewers_end", Type::Int, "Concurrent viewers at the minute's last ms, in sessions."),
    one(9, "viewers_max", Type::Int, "Greatest number of concurrent viewers inside the minute, in sessions."),
    one(10, "viewers_max_at", Type::Instant, "First ms of that maximum, of 0, too; UTC ms."),
    one(11, "viewers_min", Type::Int, "Least number of concurrent viewers inside the minute, in sessions."),
    one(12, "viewer_ms", Type::Int, "Exact integral of concurrent viewers over the minute, viewer-milliseconds."),
    one(13, "viewers_mean", Type::Mean, "viewer_ms / 60,000: mean concurrent viewers of the minute, in sessions."),
    two(one(24, "distinct_start", Type::Int, "Concurrent people just before the minute's first ms, in viewers.")),
    two(one(25, "distinct_end", Type::Int, "Concurrent people at the minute's last ms, in viewers.")),
    two(one(26, "distinct_max", Type::Int, "Greatest number of concurrent people inside the minute, in viewers.")),
    two(one(27, "distinct_max_at", Type::Instant, "First ms of that maximum, of 0, too; UTC ms.")),
    two(one(28, "distinct_min", Type::Int, "Least number of concurrent people inside the minute, in viewers.")),
    two(one(29, "distinct_ms", Type::Int, "Exact integral of concurrent people over the minute, viewer-milliseconds.")),
    two(one(30, "distinct_mean", Type::Mean, "distinct_ms / 60,000: the mean of concurrent people, in viewers.")),
    two(one(31, "returns", Type::Int,
        "0 in live: times in the minute that a viewer was there again at most return_within after having gone.")),
    one(14, "new_viewers", Type::Int,
        "Viewers whose first session of this airing starts in the minute; their running sum is reach."),
    one(15, "retweets", Type::Int, "Distinct retweets counted in the minute."),
    one(16, "retweet_followers", Type::Int,
        "Sum of the known followers of those who retweeted in the minute: potential reach, overlap not removed."),
    one(17, "stays", Type::Stays, STAYS),
    one(21, "late", Type::Int,
        "Live only, 0 in minutes: accepted events that came in this minute behind the watermark."),
    one(22, "lapses_backdated", Type::Int,
        "Live only, 0 in minutes: lapses booked in this minute after their left_at."),
    one(23, "complete", Type::Flag,
        "False where the operator accepted a gap in the input, until every session open at the gap has ended."),
];

#[rustfmt::skip]
const SESSIONS: &[Column] = &[
    one(1, "broadcast_id", Type::Name, BROADCAST_ID),
    one(2, "airing_at", Type::Instant, AIRING_AT),
    one(3, "viewer", Type::Id, "Keyed pseudonym of the viewer, 128 bits, big-endian."),
    one(4, "session", Type::Id,
        "Keyed pseudonym of the session, 128 bits, big-endian; that of the viewer where events name no session."),
    one(5, "joined_at", Type::Instant, "First ms of the session, UTC ms."),
    one(6, "left_at", Type::Instant, "First ms that is no longer of the session, UTC ms; never before joined_at."),
    one(7, "end_reason", Type::Name, "How it ended: leave, broadcast_end, timeout or end_of_data."),
    maybe(8, "via", Type::Text,
        "Id of the tweet or link that brought the viewer, from the join that opened the session; null where unknown."),
];

#[rustfmt::skip]
const RETWEETS: &[Column] = &[
    one(1, "broadcast_id", Type::Name, BROADCAST_ID),
    one(2, "airing_at", Type::Instant, AIRING_AT),
    one(3, "tweet_id", Type::Text, "Id of the retweet itself; it counts once an airing."),
    one(4, "user_id", Type::Text, "Id of who posted it."),
    maybe(5, "followers", Type::Int, "Followers of that account, 0 to 10^12; null where unknown."),
    one(6, "retweeted_at", Type::Instant, "Earliest ts of the retweet, UTC ms."),
    maybe(7, "retweet_of", Type::Text, "Id of the retweet or tweet that it passes on; null where unknown."),
];

#[rustfmt::skip]
const REJECTED: &[Column] = &[
    one(1, "source", Type::Text, "Where the event came from: the Kafka topic, or the file's path as given."),
    one(2, "partition", Type::Int32, "Kafka partition; 0 of a file."),
    one(3, "offset", Type::Int, "Kafka offset; of a file the place of the line's first byte, uncompressed."),
    one(4, "received_at", Type::Instant, "When it was received, UTC ms; of a file the start of the replay."),
    one(5, "reason", Type::Text, "Why it cannot be used: the first reason that applies."),
    one(6, "field", Type::Text, "The field that the reason is about; empty where it is about the whole event."),
    maybe(7, "payload", Type::Bytes,
        "The producer's bytes as they came, cut at 64 KiB; null where payloads are redacted."),
    one(8, "payload_bytes", Type::Int, "Size of the whole payload, bytes."),
];

#[rustfmt::skip]
const EVENTS: &[Column] = &[
    one(1, "broadcast_id", Type::Name, BROADCAST_ID),
    maybe(2, "viewer", Type::Id,
        "Keyed pseudonym of the viewer, 128 bits, big-endian; null of a retweet and an end."),
    maybe(3, "session", Type::Id,
        "Keyed pseudonym of the session, 128 bits, big-endian; null of a retweet and an end."),
    one(4, "ts", Type::Instant, "When it happened by its producer's clock, UTC ms."),
    one(5, "type", Type::Name, "What happened: join, heartbeat, leave, retweet or end."),
    maybe(6, "via", Type::Text, "Of a join, id of the tweet or link that brought the viewer; null where unknown."),
    maybe(7, "tweet_id", Type::Text, "Of a retweet, its own id; else null."),
    maybe(8, "user_id", Type::Text, "Of a retweet, id of who posted it; else null."),
    maybe(9, "followers", Type::Int, "Of a retweet, followers of that account, 0 to 10^12; null where unknown."),
    maybe(10, "retweet_of", Type::Text,
        "Of a retweet, id of the retweet or tweet that it passes on; null where unknown."),
    maybe(11, "late_at", Type::Instant,
        "Where the event came behind the watermark, the watermark at which it took effect live, UTC ms; null \
         where it was on time."),
    one(12, "commit", Type::Int, "Number of the commit that took the event in."),
    one(13, "source", Type::Name, "Where the event came from: the Kafka topic."),
    one(14, "partition", Type::Int32, "Kafka partition."),
    one(15, "offset", Type::Int, "Kafka offset."),
];

const AIRING: &str = "with broadcast_id the airing's name, UTC ms; null where no airing had the minute.";

#[rustfmt::skip]
const CORRECTIONS: &[Column] = &[
    one(1, "broadcast_id", Type::Name, BROADCAST_ID),
    one(2, "minute_at", Type::Instant,
        "Start of the minute that moved, UTC ms: the row is about [minute_at, minute_at + 60 s)."),
    one(3, "commit", Type::Int, "Number of the commit that moved it."),
    one(4, "corrected_at", Type::Instant, "When that was by our clock, UTC ms."),
    one(5, "late_events", Type::Int,
        "Why: events of the broadcast that had come after it settled, and count from this correction on."),
    maybe(6, "late_from", Type::Instant, "First ts of those events, UTC ms; null where there were none."),
    maybe(7, "late_to", Type::Instant, "Last ts of those events, UTC ms; null where there were none."),
    one(8, "rules_changed", Type::Flag,
        "Why: whether other rules hold from this correction on (session_timeout, timeout_grace, broadcast_idle, end_idle, \
         straggler, return_within)."),
    maybe(9, "airing_at_before", Type::Instant, AIRING),
    maybe(10, "airing_at_after", Type::Instant, AIRING),
    one(11, "joins_before", Type::Int, JOINS), one(12, "joins_after", Type::Int, JOINS),
    one(13, "leaves_before", Type::Int, LEAVES), one(14, "leaves_after", Type::Int, LEAVES),
    one(15, "lapses_before", Type::Int, LAPSES), one(16, "lapses_after", Type::Int, LAPSES),
    one(17, "viewers_start_before", Type::Int, START), one(18, "viewers_start_after", Type::Int, START),
    one(19, "viewers_end_before", Type::Int, END), one(20, "viewers_end_after", Type::Int, END),
    one(21, "viewers_max_before", Type::Int, MAX), one(22, "viewers_max_after", Type::Int, MAX),
    maybe(23, "viewers_max_at_before", Type::Instant, MAX_AT), maybe(24, "viewers_max_at_after", Type::Instant, MAX_AT),
    one(25, "viewers_min_before", Type::Int, MIN), one(26, "viewers_min_after", Type::Int, MIN),
    one(27, "viewer_ms_before", Type::Int, VIEWER_MS), one(28, "viewer_ms_after", Type::Int, VIEWER_MS),
    two(one(43, "distinct_start_before", Type::Int, PEOPLE_START)),
    two(one(44, "distinct_start_after", Type::Int, PEOPLE_START)),
    two(one(45, "distinct_end_before", Type::Int, PEOPLE_END)),
    two(one(46, "distinct_end_after", Type::Int, PEOPLE_END)),
    two(one(47, "distinct_max_before", Type::Int, PEOPLE_MAX)),
    two(one(48, "distinct_max_after", Type::Int, PEOPLE_MAX)),
    two(maybe(49, "distinct_max_at_before", Type::Instant, MAX_AT)),
    two(maybe(50, "distinct_max_at_after", Type::Instant, MAX_AT)),
    two(one(51, "distinct_min_before", Type::Int, PEOPLE_MIN)),
    two(one(52, "distinct_min_after", Type::Int, PEOPLE_MIN)),
    two(one(53, "distinct_ms_before", Type::Int, PEOPLE_MS)), two(one(54, "distinct_ms_after", Type::Int, PEOPLE_MS)),
    two(one(55, "returns_before", Type::Int, RETURNS)), two(one(56, "returns_after", Type::Int, RETURNS)),
    one(29, "new_viewers_before", Type::Int, NEW), one(30, "new_viewers_after", Type::Int, NEW),
    one(31, "retweets_before", Type::Int, RETWEETED), one(32, "retweets_after", Type::Int, RETWEETED),
    one(33, "retweet_followers_before", Type::Int, FOLLOWERS), one(34, "retweet_followers_after", Type::Int, FOLLOWERS),
    one(35, "stays_before", Type::Stays, STAYS),
    one(39, "stays_after", Type::Stays, STAYS),
];

const JOINS: &str = "Sessions opened in the minute; 0 where no airing had it.";
const LEAVES: &str = "Sessions closed by a leave in the minute; 0 where no airing had it.";
const LAPSES: &str = "Sessions closed otherwise in the minute; 0 where no airing had it.";
const START: &str = "Concurrent viewers just before the minute's first ms, in sessions; 0 where no airing had it.";
const END: &str = "Concurrent viewers at the minute's last ms, in sessions; 0 where no airing had it.";
const MAX: &str = "Greatest number of concurrent viewers inside the minute, in sessions; 0 where no airing had it.";
const MAX_AT: &str = "First ms of that maximum, UTC ms; null where no airing had the minute.";
const MIN: &str = "Least number of concurrent viewers inside the minute, in sessions; 0 where no airing had it.";
const VIEWER_MS: &str =
    "Exact integral of concurrent viewers over the minute, viewer-milliseconds; 0 where no airing had it.";
const PEOPLE_START: &str = "Concurrent people just before the minute's first ms, in viewers; 0 where no airing had it.";
const PEOPLE_END: &str = "Concurrent people at the minute's last ms, in viewers; 0 where no airing had it.";
const PEOPLE_MAX: &str =
    "Greatest number of concurrent people inside the minute, in viewers; 0 where no airing had it.";
const PEOPLE_MIN: &str = "Least number of concurrent people inside the minute, in viewers; 0 where no airing had it.";
const PEOPLE_MS: &str =
    "Exact integral of concurrent people over the minute, viewer-milliseconds; 0 where no airing had it.";
const RETURNS: &str =
    "Times in the minute that a viewer was there again soon after having gone; 0 where no airing had it.";
const NEW: &str = "Viewers whose first session of the airing starts in the minute; 0 where no airing had it.";
const RETWEETED: &str = "Distinct retweets counted in the minute; 0 where no airing had it.";
const FOLLOWERS: &str = "Sum of the known followers of those who retweeted in the minute; 0 where no airing had it.";

impl Table {
    /// All tables, in the contract's order.
    pub const ALL: [Table; 8] = [
        Table::Airings,
        Table::Minutes,
        Table::Sessions,
        Table::Retweets,
        Table::Live,
        Table::Rejected,
        Table::Events,
        Table::Corrections,
    ];

    /// The table's name, which is also that of its folder.
    pub const fn name(self) -> &'static str {
        match self {
            Table::Airings => "airings",
            Table::Minutes => "minutes",
            Table::Sessions => "sessions",
            Table::Retweets => "retweets",
            Table::Live => "live",
            Table::Rejected => "rejected",
            Table::Events => "events",
            Table::Corrections => "corrections",
        }
    }

    /// The table of a name; `None` where there is none of it.
    pub fn of_name(name: &str) -> Option<Table> {
        Table::ALL.into_iter().find(|table| table.name() == name)
    }

    /// Its columns, in the contract's order.
    pub(super) const fn columns(self) -> &'static [Column] {
        match self {
            Table::Airings => AIRINGS,
            Table::Minutes | Table::Live => MINUTES,
            Table::Sessions => SESSIONS,
            Table::Retweets => RETWEETS,
            Table::Rejected => REJECTED,
            Table::Events => EVENTS,
            Table::Corrections => CORRECTIONS,
        }
    }

    /// The columns by which rows are sorted inside a file, ascending, nulls first.
    pub const fn sorted_by(self) -> &'static [&'static str] {
        match self {
            Table::Airings => &["broadcast_id", "airing_at"],
            Table::Minutes | Table::Live => &["broadcast_id", "minute_at"],
            Table::Sessions => &["broadcast_id", "viewer", "joined_at"],
            Table::Retweets => &["broadcast_id", "retweeted_at"],
            Table::Rejected => &["partition", "offset"],
            Table::Events => &["broadcast_id", "viewer", "session", "ts"],
            Table::Corrections => &["broadcast_id", "minute_at", "commit"],
        }
    }

    /// The column whose UTC date names the partition; `None` of [`Table::Events`], which is partitioned by writer.
    pub const fn dated_by(self) -> Option<&'static str> {
        match self {
            Table::Airings => Some("airing_at"),
            Table::Minutes | Table::Live | Table::Corrections => Some("minute_at"),
            Table::Sessions => Some("joined_at"),
            Table::Retweets => Some("retweeted_at"),
            Table::Rejected => Some("received_at"),
            Table::Events => None,
        }
    }

    /// Its Arrow schema. Every field, inner ones too, carries the metadata `PARQUET:field_id` and `description`.
    pub fn schema(self) -> SchemaRef {
        static SCHEMAS: LazyLock<[SchemaRef; 8]> =
            LazyLock::new(|| Table::ALL.map(|table| Arc::new(Schema::new(fields(table.columns())))));
        Arc::clone(&SCHEMAS[self as usize])
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

fn fields(columns: &[Column]) -> Fields {
    columns
        .iter()
        .map(|column| field(column.id, column.name, column.data_type(), column.nullable, column.description))
        .collect()
}

fn field(id: i32, name: &str, data_type: DataType, nullable: bool, description: &str) -> Field {
    let metadata = [("PARQUET:field_id", id.to_string()), ("description", description.to_owned())];
    let metadata: HashMap<String, String> = metadata.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    Field::new(name, data_type, nullable).with_metadata(metadata)
}

impl Column {
    fn data_type(&self) -> DataType {
        match self.ty {
            Type::Text | Type::Name => DataType::Utf8,
            Type::Bytes => DataType::Binary,
            Type::Id => DataType::FixedSizeBinary(16),
            Type::Int => DataType::Int64,
            Type::Int32 => DataType::Int32,
            Type::Instant => DataType::Timestamp(TimeUnit::Millisecond, Some(Arc::from("UTC"))),
            Type::Mean => DataType::Float64,
            Type::Flag => DataType::Boolean,
            Type::Stays => DataType::List(Arc::new(stay_field(self.id))),
        }
    }
}

/// The element of a list of stays. Its name is the one that the Parquet format gives to the element of any list.
fn stay_field(list_id: i32) -> Field {
    let fields = Fields::from(vec![
        field(list_id + 2, "ms", DataType::Int64, false, STAYS_MS),
        field(list_id + 3, "sessions", DataType::Int64, false, STAYS_SESSIONS),
    ]);
    field(list_id + 1, "element", DataType::Struct(fields), false, STAYS_ELEMENT)
}
