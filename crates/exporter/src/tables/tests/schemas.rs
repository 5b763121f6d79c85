//! What the columns are is public: a change here is a change of the contract.

use super::*;
use arrow_schema::{DataType, Field};
use std::collections::BTreeSet;

/// Every column as `path id type`, `?` where it may be null; nested ones below their list.
fn drawn(fields: &[Arc<Field>], prefix: &str, out: &mut Vec<String>) {
    for field in fields {
        let path = format!("{prefix}{}", field.name());
        let ty = match field.data_type() {
            DataType::Utf8 => "string",
            DataType::Binary => "binary",
            DataType::FixedSizeBinary(16) => "binary16",
            DataType::Int64 => "int64",
            DataType::Int32 => "int32",
            DataType::Float64 => "float64",
            DataType::Boolean => "boolean",
            DataType::List(_) => "list",
            DataType::Struct(_) => "struct",
            DataType::Timestamp(arrow_schema::TimeUnit::Millisecond, Some(zone)) if **zone == *"UTC" => "ms_utc",
            other => panic!("{path} is of type {other}"),
        };
        let null = if field.is_nullable() { "?" } else { "" };
        out.push(format!("{path} {} {ty}{null}", field.metadata()["PARQUET:field_id"]));
        match field.data_type() {
            DataType::List(element) => drawn(&[Arc::clone(element)], &format!("{path}."), out),
            DataType::Struct(fields) => drawn(fields, &format!("{path}."), out),
            _ => {}
        }
    }
}

const CURVE: &str = "broadcast_id 1 string, airing_at 2 ms_utc, minute_at 3 ms_utc, joins 4 int64, leaves 5 int64, \
    lapses 6 int64, viewers_start 7 int64, viewers_end 8 int64, viewers_max 9 int64, viewers_max_at 10 ms_utc, \
    viewers_min 11 int64, viewer_ms 12 int64, viewers_mean 13 float64, distinct_start 24 int64, distinct_end 25 int64, \
    distinct_max 26 int64, distinct_max_at 27 ms_utc, distinct_min 28 int64, distinct_ms 29 int64, \
    distinct_mean 30 float64, returns 31 int64, new_viewers 14 int64, retweets 15 int64, retweet_followers 16 int64, stays 17 list, stays.element 18 struct, stays.element.ms 19 int64, \
    stays.element.sessions 20 int64, late 21 int64, lapses_backdated 22 int64, complete 23 boolean";

const GOLDEN: [(&str, &str); 8] = [
    (
        "airings",
        "broadcast_id 1 string, airing_at 2 ms_utc, first_joined_at 3 ms_utc?, last_at 4 ms_utc, airtime_ms 5 int64?, \
        sessions 6 int64, reach 7 int64, viewers_max 8 int64, viewers_max_at 9 ms_utc?, viewer_ms 10 int64, \
        viewers_mean 11 float64?, distinct_max 24 int64, distinct_max_at 25 ms_utc?, distinct_ms 26 int64, \
        distinct_mean 27 float64?, returns 28 int64, joins 12 int64, leaves 13 int64, lapses 14 int64, retweets 15 int64, \
        retweet_followers 16 int64, stays 17 list, stays.element 18 struct, stays.element.ms 19 int64, \
        stays.element.sessions 20 int64, applied 21 int64, repeated 22 int64, orphaned 23 int64",
    ),
    ("minutes", CURVE),
    (
        "sessions",
        "broadcast_id 1 string, airing_at 2 ms_utc, viewer 3 binary16, session 4 binary16, joined_at 5 ms_utc, \
        left_at 6 ms_utc, end_reason 7 string, via 8 string?",
    ),
    (
        "retweets",
        "broadcast_id 1 string, airing_at 2 ms_utc, tweet_id 3 string, user_id 4 string, followers 5 int64?, \
        retweeted_at 6 ms_utc, retweet_of 7 string?",
    ),
    ("live", CURVE),
    (
        "rejected",
        "source 1 string, partition 2 int32, offset 3 int64, received_at 4 ms_utc, reason 5 string, field 6 string, \
        payload 7 binary?, payload_bytes 8 int64",
    ),
    (
        "events",
        "broadcast_id 1 string, viewer 2 binary16?, session 3 binary16?, ts 4 ms_utc, type 5 string, via 6 string?, \
        tweet_id 7 string?, user_id 8 string?, followers 9 int64?, retweet_of 10 string?, late_at 11 ms_utc?, \
        commit 12 int64, source 13 string, partition 14 int32, offset 15 int64",
    ),
    (
        "corrections",
        "broadcast_id 1 string, minute_at 2 ms_utc, commit 3 int64, corrected_at 4 ms_utc, late_events 5 int64, \
        late_from 6 ms_utc?, late_to 7 ms_utc?, rules_changed 8 boolean, airing_at_before 9 ms_utc?, \
        airing_at_after 10 ms_utc?, joins_before 11 int64, joins_after 12 int64, leaves_before 13 int64, \
        leaves_after 14 int64, lapses_before 15 int64, lapses_after 16 int64, viewers_start_before 17 int64, \
        viewers_start_after 18 int64, viewers_end_before 19 int64, viewers_end_after 20 int64, \
        viewers_max_before 21 int64, viewers_max_after 22 int64, viewers_max_at_before 23 ms_utc?, \
        viewers_max_at_after 24 ms_utc?, viewers_min_before 25 int64, viewers_min_after 26 int64, \
        viewer_ms_before 27 int64, viewer_ms_after 28 int64, distinct_start_before 43 int64, \
        distinct_start_after 44 int64, distinct_end_before 45 int64, distinct_end_after 46 int64, \
        distinct_max_before 47 int64, distinct_max_after 48 int64, distinct_max_at_before 49 ms_utc?, \
        distinct_max_at_after 50 ms_utc?, distinct_min_before 51 int64, distinct_min_after 52 int64, \
        distinct_ms_before 53 int64, distinct_ms_after 54 int64, returns_before 55 int64, returns_after 56 int64, \
        new_viewers_before 29 int64, new_viewers_after 30 int64, \
        retweets_before 31 int64, retweets_after 32 int64, retweet_followers_before 33 int64, \
        retweet_followers_after 34 int64, stays_before 35 list, stays_before.element 36 struct, \
        stays_before.element.ms 37 int64, stays_before.element.sessions 38 int64, stays_after 39 list, \
        stays_after.element 40 struct, stays_after.element.ms 41 int64, stays_after.element.sessions 42 int64",
    ),
];

#[test]
fn columns_their_ids_and_types_are_as_published() {
    assert_eq!(Table::ALL.map(Table::name), GOLDEN.map(|(name, _)| name));
    for (name, golden) in GOLDEN {
        let mut columns = Vec::new();
        drawn(Table::of_name(name).unwrap().schema().fields(), "", &mut columns);
        assert_eq!(columns.join(", "), golden, "{name}");
    }
    assert_eq!(Table::of_name("viewers"), None);
}

#[test]
fn every_column_has_an_id_of_its_own_and_a_sentence() {
    fn walk(field: &Field, ids: &mut Vec<String>) {
        let sentence = &field.metadata()["description"];
        assert!(
            sentence.len() > 10 && sentence.ends_with('.') && !sentence.contains("  "),
            "{}: {sentence:?}",
            field.name()
        );
        ids.push(field.metadata()["PARQUET:field_id"].clone());
        match field.data_type() {
            DataType::List(element) => walk(element, ids),
            DataType::Struct(fields) => fields.iter().for_each(|field| walk(field, ids)),
            _ => {}
        }
    }
    for table in Table::ALL {
        let mut ids = Vec::new();
        table.schema().fields().iter().for_each(|field| walk(field, &mut ids));
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "{table}: {ids:?}");
    }
}

#[test]
fn files_are_sorted_and_dated_by_columns_that_they_have() {
    for table in Table::ALL {
        for column in table.sorted_by().iter().chain(&table.dated_by()) {
            assert!(table.schema().column_with_name(column).is_some(), "{table}.{column}");
        }
    }
}
