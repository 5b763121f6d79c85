//! The fuzz targets: everything that reads bytes from outside, each as one function that takes any bytes and panics
//! only where the product is wrong. They run under libFuzzer, and as plain tests. Each tells whether it could use the
//! bytes.

use std::collections::HashMap;
use std::io::{Cursor, Write};
use std::sync::Arc;

use aggregator::{FrozenLane, Rules};
use audience::{Decoder, Details, Key, Registry, fingerprint};
use exporter::{
    Passport, Restored, SnapshotError, SnapshotReader, Table, TableError, TableFile, merge_logs, write_snapshot,
};
use problem::Failure;
use storage::{Chain, KeyFile, PrivateTo, Store, answer_to, audit_chain, manifest_path, requests as requests_of};

/// A file of these bytes, in memory where there is such a thing: what is synced there costs nothing. It is its owner's
/// alone.
pub(crate) fn file(bytes: &[u8]) -> tempfile::NamedTempFile {
    let made = tempfile::NamedTempFile::new_in("/dev/shm").or_else(|_| tempfile::NamedTempFile::new());
    let mut made = made.expect("a temporary file can be made");
    made.write_all(bytes).expect("a file can be written");
    made
}

/// One event, as Kafka or a file brings it: the quick and the strict path say the same of it.
pub(crate) fn decoder(bytes: &[u8]) -> bool {
    let registry = Arc::new(Registry::new(|| Key([7; 16])));
    let (mut quick, mut strict) = (Decoder::new(Arc::clone(&registry)), Decoder::strict(registry));
    let mut is_event = false;
    // Twice, since the quick path tries the order of the keys of the event before.
    for _ in 0..2 {
        let (mut quick_details, mut strict_details) = (Details::new(), Details::new());
        let (one, other) = (quick.decode(bytes, &mut quick_details), strict.decode(bytes, &mut strict_details));
        assert_eq!(one, other, "quick and strict disagree");
        if let Err(rejection) = one {
            // What they are, and what is wrong with them, can be said of any bytes in a line or two.
            let said = [audience::flaw(rejection, bytes), audience::Guise::of(bytes).map(|guise| guise.to_string())];
            said.iter().flatten().for_each(|said| assert!(said.len() < 1_000, "too long for a terminal: {said}"));
        }
        if let Ok(event) = one {
            assert_eq!(quick_details.get(event.detail), strict_details.get(event.detail), "in a detail");
            let times = audience::time::TS_MIN..audience::time::TS_END;
            assert!(times.contains(&event.ts()), "an event of an impossible time");
            is_event = true;
        }
    }
    is_event
}

/// The manifests of a chain, a line each: as they are, and with their checksums made right, so that what is behind
/// those is read, too.
pub(crate) fn manifest(bytes: &[u8]) -> bool {
    let lines: Vec<Vec<u8>> = bytes.split_inclusive(|byte| *byte == b'\n').take(64).map(<[u8]>::to_vec).collect();
    let first = number_of(bytes);
    let opened = |lines: &[Vec<u8>]| {
        let numbers = lines.iter().zip(0_u64..).map(|(line, place)| (line, first.saturating_add(place)));
        let files: Vec<_> = numbers.map(|(line, number)| (manifest_path("main", number), line)).collect();
        let store = Store::in_memory(files.iter().map(|(path, line)| (path.as_str(), line.as_slice())));
        let store = store.expect("any file can lie in memory");
        let last = first.saturating_add(lines.len() as u64).saturating_sub(1);
        let opened = Chain::open_to(&store, "main", last).map(|chain| assert_eq!(chain.number(), last));
        let is_whole = opened.is_ok();
        let said = [opened, audit_chain(&store).map(drop), answer_to(&store, "main", "", &mut first.clone()).map(drop)];
        for error in said.into_iter().filter_map(Result::err) {
            assert!(matches!(error.exit_code(), 3 | 4), "a manifest that cannot be read exits {}", error.exit_code());
        }
        is_whole
    };
    let is_whole = opened(&lines);
    opened(&sealed(lines)) || is_whole
}

/// The number that the first manifest says it has.
fn number_of(bytes: &[u8]) -> u64 {
    let after = place(bytes, b"\"number\":").map_or(&[][..], |at| &bytes[at + 9..]);
    let digits = after.iter().take_while(|byte| byte.is_ascii_digit()).count();
    std::str::from_utf8(&after[..digits]).ok().and_then(|digits| digits.parse().ok()).unwrap_or(1)
}

fn place(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|here| here == part)
}

/// The manifests of a chain, each with the checksum that it should have, and that of the one before it.
fn sealed(mut lines: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    const SEAL: &[u8] = b",\"checksum\":\"";
    let mut before: Option<String> = None;
    for line in &mut lines {
        line.truncate(line.windows(SEAL.len()).rposition(|part| part == SEAL).unwrap_or(line.len()));
        let parent = place(line, b"\"parent\":{").and_then(|at| Some(at + place(&line[at..], SEAL)? + SEAL.len()));
        if let (Some(checksum), Some(at)) = (&before, parent)
            && let Some(named) = line.get_mut(at..at + checksum.len())
        {
            named.copy_from_slice(checksum.as_bytes());
        }
        let checksum = blake3::hash(line).to_hex().to_string();
        line.extend_from_slice(&[SEAL, checksum.as_bytes(), b"\"}\n"].concat());
        before = Some(checksum);
    }
    lines
}

/// A request of an operator: it can be read, left again and read as the same, or it is said why not.
pub(crate) fn requests(bytes: &[u8]) -> bool {
    let asked = |store: &Store| requests_of(store).expect("memory can be read").pop().expect("it is there").request;
    let name = format!("requests/{:032}.json", 0);
    let Ok(request) = asked(&Store::in_memory([(name.as_str(), bytes)]).expect("any file can lie in memory")) else {
        return false;
    };
    let store = Store::in_memory([]).expect("memory can be empty");
    request.leave(&store).expect("memory takes what one leaves");
    assert_eq!(asked(&store).as_ref(), Ok(&request), "a request becomes another");
    true
}

/// The key file: it is refused, or gives the same keys each time that it is opened.
pub(crate) fn keys(bytes: &[u8]) -> bool {
    let file = file(bytes);
    let open = || KeyFile::open(file.path(), false, PrivateTo::Owner, &drop);
    match open() {
        Ok((_, keys)) => {
            let (_, again) = open().expect("what was read is read again");
            assert_eq!(keys, again, "the keys have changed");
            !keys.is_empty()
        }
        Err(error) => {
            assert_eq!(error.exit_code(), 4, "{error}");
            false
        }
    }
}

/// The rules by which the state of a snapshot goes on.
pub(crate) const RULES: Rules = Rules {
    session_timeout: Some(400_000),
    timeout_grace: 0,
    broadcast_idle: 600_000,
    end_idle: Some(120_000),
    straggler: 60_000,
    return_within: 60_000,
};

/// A snapshot behind its checksum, which is the manifest's: it is no snapshot, or a state that is written and read back
/// as the same.
pub(crate) fn snapshot(bytes: &[u8]) -> bool {
    let Ok((once, _)) = rewritten(bytes) else { return false };
    let (twice, entries) = rewritten(&once).expect("what was written is read");
    assert_eq!(once, twice, "a state changes while it is written and read ({entries} entries)");
    true
}

/// A snapshot as it is written after it was read, and how many sessions and viewers it held.
fn rewritten(bytes: &[u8]) -> Result<(Vec<u8>, u64), SnapshotError> {
    let reader = SnapshotReader::open(Cursor::new(bytes), bytes.len() as u64)?;
    let head = reader.head().clone();
    // A run looks at the head first: lanes that are not its own are of no use to it.
    if head.lanes > 4 {
        return Err(SnapshotError::Corrupt("other lanes".to_owned()));
    }
    let (mut numbers, mut names) = (HashMap::<String, u32>::new(), Vec::<Arc<str>>::new());
    let Restored { lanes, live, entries } = reader.restore(RULES, |id| {
        *numbers.entry(id.to_owned()).or_insert_with(|| {
            names.push(Arc::from(id));
            u32::try_from(names.len() - 1).expect("there are few broadcasts")
        })
    })?;
    let frozen = lanes.iter().map(|lane| lane.freeze().expect("nothing is held"));
    let frozen: Vec<FrozenLane> = frozen.collect();
    let mut bytes = Vec::new();
    write_snapshot(&mut bytes, &head, &names, frozen, &live.snapshot())?;
    Ok((bytes, entries))
}

/// A Parquet file, taken for each of the tables: rows, or an error that says whose fault it is.
pub(crate) fn tables(bytes: &[u8]) -> bool {
    let bytes = bytes::Bytes::copy_from_slice(bytes);
    let mut is_read = false;
    for table in Table::ALL {
        match rows(table, &bytes) {
            Ok(_) => is_read = true,
            Err(error) => assert_eq!(error.exit_code(), 4, "{table}: {error}"),
        }
    }
    is_read
}

/// Reads all rows of a file in each way that it is read; how many there are, or the first error.
pub(crate) fn rows(table: Table, bytes: &bytes::Bytes) -> Result<usize, TableError> {
    let open = || TableFile::open(table, "fuzzed.parquet", bytes.clone());
    let file = open()?;
    let number = |_: &str| 0;
    let mut count = 0;
    match table {
        Table::Airings => file.airings(number)?.try_for_each(|rows| rows.map(|rows| count += rows.len()))?,
        Table::Minutes | Table::Live => {
            file.minutes(number)?.try_for_each(|rows| rows.map(|rows| count += rows.len()))?;
            open()?.of_broadcast("b").minutes(number)?.try_for_each(|rows| rows.map(drop))?;
        }
        Table::Corrections => file.corrections(number)?.try_for_each(|rows| rows.map(|rows| count += rows.len()))?,
        Table::Sessions => file.sessions(number)?.try_for_each(|rows| rows.map(|(rows, _)| count += rows.len()))?,
        Table::Retweets => file.retweets(number)?.try_for_each(|rows| rows.map(|(rows, _)| count += rows.len()))?,
        Table::Rejected => file.rejected()?.try_for_each(|rows| rows.map(|rows| count += rows.len()))?,
        Table::Events => {
            let _ = file.commits();
            let batches = file.events(number, number, fingerprint)?;
            batches.into_iter().try_for_each(|rows| rows.map(|(rows, _)| count += rows.len()))?;
            let tail = open()?.tail(1, audience::time::TS_MIN).events(number, number, fingerprint)?;
            tail.into_iter().try_for_each(|rows| rows.map(drop))?;
            let merged = merge_logs(vec![open()?], &Passport::default(), || Ok(Vec::new()), |_, _| true, || true);
            let merged: Option<(Vec<u8>, u64)> = merged?;
            assert_eq!(merged.map_or(0, |(_, rows)| rows), count as u64, "a merge has as many rows");
        }
    }
    Ok(count)
}
