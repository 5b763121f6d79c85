//! Records that are no events: each is kept with its partition, offset and reason, and stops nothing.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use super::{RULES, Topic, join, leave, ledger, line, settled_rows, verified};
use crate::data_directory::{self, hex};
use crate::kafka::RealKafka;
use crate::reference;
use crate::support::{folder, have};
use crate::tables::{Ledger, Tables};

/// A join of so many bytes.
fn padded(bytes: usize) -> Vec<u8> {
    let join = line(&join("padded", 1_000));
    let body = join.trim().strip_suffix('}').unwrap().trim_end().to_owned();
    let shell = body.len() + r#","pad":""}"#.len();
    format!(r#"{body},"pad":"{}"}}"#, "x".repeat(bytes - shell)).into_bytes()
}

#[test]
fn rejected_records_are_kept_with_their_places() {
    let Some(kafka) = have(RealKafka::shared()) else { return };
    let topic = Topic::of(kafka, "rejected", 2);
    let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap();
    let at = |ts: i64| format!(r#"{{"type":"end","broadcast_id":"soon","ts":{ts}}}"#).into_bytes();
    let good = [join("a", 0), leave("a", 60_000)];
    let mebibyte = 1 << 20;
    let records: Vec<(i32, Option<Vec<u8>>, &str, &str)> = vec![
        (0, None, "empty", ""),
        (1, Some(line(&good[0]).into_bytes()), "", ""),
        (1, Some(vec![]), "empty", ""),
        (0, Some(b" \t\r ".to_vec()), "empty", ""),
        (0, Some(b"\n".to_vec()), "empty", ""),
        (0, Some(padded(mebibyte)), "", ""),
        (0, Some(padded(mebibyte + 1)), "too_large", ""),
        (1, Some(vec![b'x'; 3_000_000]), "too_large", ""),
        (1, Some(b"\xff".to_vec()), "not_utf8", ""),
        (1, Some(b"{}".to_vec()), "missing_field", "type"),
        (1, Some(at(now + 600_000)), "from_the_future", "ts"),
        (0, Some(at(4_102_444_799_999)), "from_the_future", "ts"),
        (0, Some(at(4_102_444_800_000)), "timestamp_out_of_range", "ts"),
        (1, Some(line(&good[1]).into_bytes()), "", ""),
        (1, Some(b"[]".to_vec()), "not_an_object", ""),
    ];
    for (partition, value, ..) in &records {
        topic.send(*partition, value.as_deref());
    }
    topic.flush();
    let (folder, mut next) = (folder(), [0_i64; 2]);
    let mut expected = Vec::new();
    for (partition, value, reason, field) in &records {
        let offset = &mut next[usize::try_from(*partition).unwrap()];
        let value = value.clone().unwrap_or_default();
        if !reason.is_empty() {
            let place = ["rejected".to_owned(), partition.to_string(), offset.to_string()];
            let why = [(*reason).to_owned(), (*field).to_owned()];
            let payload = [hex(&value[..value.len().min(65_536)]), value.len().to_string()];
            expected.push(place.into_iter().chain(why).chain(payload).collect::<Vec<String>>());
        }
        *offset += 1;
    }
    expected.sort();

    let columns = ["source", "partition", "offset", "reason", "field", "payload", "payload_bytes"].map(str::to_owned);
    // Payloads are too long to be shown where all is well with the rest.
    let rows_are = |out: &Path, expected: &[Vec<String>]| {
        let found = data_directory::table(out, "rejected").unwrap().sorted(&columns);
        let short = |rows: &[Vec<String>]| rows.iter().map(|row| row[..5].to_vec()).collect::<Vec<_>>();
        assert_eq!(short(&found), short(expected));
        assert!(found == expected, "the bytes that were rejected");
    };
    let out = folder.path().join("run");
    topic.until_end(&out, &[]).exits(0);
    rows_are(&out, &expected);
    let events = [good[0].clone(), join("padded", 1_000), good[1].clone()];
    let settled = Tables { ledger: Ledger::default(), ..reference::settled(&events, RULES) };
    Tables::assert_equal(&settled, &settled_rows(&out), "rejected records");
    assert_eq!((ledger(&out, "read"), ledger(&out, "accepted"), ledger(&out, "rejected")), (15, 3, 12));
    verified(&out);

    // Without the bytes, where the operator wants none of them.
    let redacted = folder.path().join("redacted");
    topic.until_end(&redacted, &["--rejected-payload=redact"]).exits(0);
    expected.iter_mut().for_each(|row| row[5].clear());
    rows_are(&redacted, &expected);
    verified(&redacted);

    // The first of them ends a strict run, which names it.
    let strict = folder.path().join("strict");
    topic.until_end(&strict, &["--strict", "--lanes=1"]).exits(4).says(&["rejected/"]);
    assert!(data_directory::table(&strict, "rejected").is_none(), "a strict run publishes nothing more");
}

#[test]
fn how_far_ahead_an_event_may_be_is_a_setting() {
    let (_broker, topic) = Topic::embedded(1);
    let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap();
    for ahead in [60_000, 240_000, 900_000] {
        let line = format!(r#"{{"type":"end","broadcast_id":"soon","ts":{}}}"#, now + ahead);
        topic.send(0, Some(line.as_bytes()));
    }
    topic.flush();
    let folder = folder();
    for (future_max, rejected) in [("5min", 1), ("0s", 3), ("1h", 0)] {
        let out = folder.path().join(future_max);
        topic.until_end(&out, &[&format!("--future-max={future_max}")]).exits(0);
        assert_eq!((ledger(&out, "read"), ledger(&out, "rejected")), (3, rejected), "{future_max}");
        verified(&out);
    }
}
