//! Rows drawn for the tests of the tables, and the way there and back.

mod damage;
mod earlier;
mod files;
mod round_trips;
mod schemas;
mod tail;

use super::*;
use audience::time::{TS_END, TS_MIN};
use audience::{
    AiringRow, Detail, Details, DistinctAiring, DistinctMinute, Ended, Event, Field, Kind, MinuteRow, NO_DETAIL,
    Reason, Rejection, RetweetDetail, RetweetRow, SessionRow, Stay,
};
use bytes::Bytes;
use std::sync::Arc;

/// Noon of 3 April 2016, UTC.
pub(super) const NOON: i64 = 1_459_684_800_000;

/// Broadcasts by number. Their order is not that of their ids: é comes after z in UTF-8.
pub(super) fn names() -> Vec<Arc<str>> {
    ["émission du soir", "b", "a", "📺", "42"].map(Arc::from).to_vec()
}

fn number(id: &str) -> u32 {
    u32::try_from(names().iter().position(|name| **name == *id).unwrap()).unwrap()
}

fn source(id: &str) -> u32 {
    u32::from(id == "other")
}

/// Stands for the fingerprint that decoding makes: `t7` is 7.
fn fingerprint(tweet_id: &str) -> u128 {
    tweet_id[1..].parse().unwrap()
}

fn written(rows: TableRows<'_>) -> Bytes {
    Bytes::from(write_rows(rows, &names(), &Passport::default(), Vec::new()).unwrap())
}

fn open(table: Table, bytes: &Bytes) -> TableFile<Bytes> {
    TableFile::open(table, "drawn.parquet", bytes.clone()).unwrap()
}

pub(super) fn minute(broadcast: u32, minute_at: i64) -> MinuteRow {
    MinuteRow {
        broadcast,
        airing_at: NOON,
        minute_at,
        joins: 3,
        leaves: 1,
        lapses: 1,
        viewers_start: 0,
        viewers_end: 1,
        viewers_max: 2,
        viewers_max_at: minute_at + 59_999,
        viewers_min: 0,
        viewer_ms: 90_001,
        distinct: Some(DistinctMinute {
            start: 0,
            end: 1,
            max: 1,
            max_at: minute_at + 59_998,
            min: 0,
            ms: 80_001,
            returns: 1,
        }),
        new_viewers: 2,
        retweets: 1,
        retweet_followers: 1_000_000_000_000,
        stays: vec![Stay { ms: 0, sessions: 1 }, Stay { ms: 2_048, sessions: 1 }],
        late: 0,
        lapses_backdated: 0,
        complete: true,
    }
}

pub(super) fn airing(broadcast: u32, airing_at: i64) -> AiringRow {
    AiringRow {
        broadcast,
        airing_at,
        first_joined_at: Some(airing_at + 1),
        last_at: airing_at + 90_001,
        airtime_ms: Some(90_000),
        sessions: 3,
        reach: 2,
        viewers_max: 2,
        viewers_max_at: Some(airing_at + 7),
        viewer_ms: 100_000,
        distinct: Some(DistinctAiring { max: 1, max_at: Some(airing_at + 6), ms: 90_000, returns: 4 }),
        joins: 3,
        leaves: 1,
        lapses: 2,
        retweets: 1,
        retweet_followers: 0,
        stays: vec![Stay { ms: 5, sessions: 3 }],
        applied: 7,
        repeated: 1,
        orphaned: 1,
    }
}

/// A minute that came to be where none had been.
pub(super) fn correction(broadcast: u32, minute_at: i64) -> CorrectionRow {
    CorrectionRow {
        broadcast,
        minute_at,
        commit: 9,
        corrected_at: minute_at + 1,
        late_events: 2,
        late_span: Some((minute_at - 5, minute_at + 5)),
        rules_changed: false,
        before: None,
        after: Some(minute(broadcast, minute_at)),
    }
}

/// An airing to which nobody came.
fn empty_airing(broadcast: u32, airing_at: i64) -> AiringRow {
    AiringRow {
        first_joined_at: None,
        airtime_ms: None,
        viewers_max: 0,
        viewers_max_at: None,
        viewer_ms: 0,
        distinct: Some(DistinctAiring::default()),
        stays: Vec::new(),
        ..airing(broadcast, airing_at)
    }
}

pub(super) fn session(broadcast: u32, viewer: u128, joined_at: i64) -> SessionRow {
    let left_at = joined_at + 60_000;
    let session = viewer ^ 1;
    SessionRow { broadcast, via: NO_DETAIL, airing_at: NOON, viewer, session, joined_at, left_at, ended: Ended::Leave }
}

pub(super) fn retweet(details: &mut Details, broadcast: u32, tweet_id: &str, retweeted_at: i64) -> RetweetRow {
    let said = RetweetDetail { tweet_id, user_id: "u", followers: None, retweet_of: None };
    RetweetRow { broadcast, detail: details.push(Detail::Retweet(said)), airing_at: NOON, retweeted_at }
}

pub(super) fn rejected(partition: i32, offset: i64, received_at: i64) -> RejectedRow {
    let payload = Some(b"{".to_vec());
    let rejection = Rejection::whole(Reason::NotJson);
    RejectedRow { source: Arc::from("events"), partition, offset, received_at, rejection, payload, payload_bytes: 1 }
}

fn logged(event: Event, offset: i64) -> LoggedEvent {
    LoggedEvent { event, late_at: ON_TIME, commit: 7, offset, source: 0, partition: 0 }
}

pub(super) fn event(kind: Kind, broadcast: u32, viewer: u128, ts: i64) -> LoggedEvent {
    logged(Event::new(kind, broadcast, viewer, viewer ^ 1, ts, NO_DETAIL), ts - NOON)
}

pub(super) fn end(broadcast: u32, ts: i64) -> LoggedEvent {
    logged(Event::new(Kind::End, broadcast, 0, 0, ts, NO_DETAIL), ts - NOON)
}

pub(super) fn tweet(details: &mut Details, broadcast: u32, tweet_id: &str, ts: i64) -> LoggedEvent {
    let said = RetweetDetail { tweet_id, user_id: "u", followers: Some(0), retweet_of: Some("t0") };
    let detail = details.push(Detail::Retweet(said));
    logged(Event::new(Kind::Retweet, broadcast, fingerprint(tweet_id), 0, ts, detail), ts - NOON)
}

/// One small file of each table.
fn small_files() -> Vec<(Table, Bytes)> {
    let mut details = Details::new();
    let sources = [Arc::from("topic")];
    let via = details.push(Detail::Via("t9"));
    let sessions = [SessionRow { via, ..session(2, 1, NOON) }, session(2, 5, NOON)];
    let retweets = [retweet(&mut details, 1, "t1", NOON)];
    let events = [
        end(2, NOON + 9),
        tweet(&mut details, 2, "t3", NOON),
        event(Kind::Join, 2, 5, NOON + 1),
        event(Kind::Leave, 2, 5, NOON + 8),
    ];
    let minutes = [minute(2, NOON), minute(1, NOON)];
    vec![
        (Table::Airings, written(TableRows::Airings(&[airing(2, NOON), empty_airing(1, NOON)]))),
        (Table::Minutes, written(TableRows::Minutes(&minutes))),
        (Table::Sessions, written(TableRows::Sessions(&sessions, &details))),
        (Table::Retweets, written(TableRows::Retweets(&retweets, &details))),
        (Table::Live, written(TableRows::Live(&minutes))),
        (Table::Rejected, written(TableRows::Rejected(&[rejected(0, 5, NOON), rejected(1, 2, NOON)]))),
        (Table::Events, written(TableRows::Events(&events, &details, &sources))),
        (Table::Corrections, written(TableRows::Corrections(&[correction(2, NOON), correction(1, NOON)]))),
    ]
}

/// Reads a whole file of any table; how many rows it has, or the first error.
fn read_all(table: Table, bytes: &Bytes) -> Result<usize, TableError> {
    let file = TableFile::open(table, "drawn.parquet", bytes.clone())?;
    let number = |_: &str| 0;
    let mut count = 0;
    match table {
        Table::Airings => file.airings(number)?.try_for_each(|rows| rows.map(|rows| count += rows.len()))?,
        Table::Minutes | Table::Live => {
            file.minutes(number)?.try_for_each(|rows| rows.map(|rows| count += rows.len()))?;
        }
        Table::Sessions => file.sessions(number)?.try_for_each(|rows| rows.map(|(rows, _)| count += rows.len()))?,
        Table::Retweets => file.retweets(number)?.try_for_each(|rows| rows.map(|(rows, _)| count += rows.len()))?,
        Table::Rejected => file.rejected()?.try_for_each(|rows| rows.map(|rows| count += rows.len()))?,
        Table::Events => {
            let batches = file.events(number, number, |_| 1)?;
            batches.into_iter().try_for_each(|rows| rows.map(|(rows, _)| count += rows.len()))?;
        }
        Table::Corrections => file.corrections(number)?.try_for_each(|rows| rows.map(|rows| count += rows.len()))?,
    }
    Ok(count)
}
