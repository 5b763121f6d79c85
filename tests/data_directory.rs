//! The tables of a data directory, as a stranger with the parquet crate finds them: by a plain glob, with every promise
//! about types, order and folders looked at on the way.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int32Type, Int64Type, TimestampMillisecondType};
use arrow_array::{Array, RecordBatch};
use arrow_schema::{DataType, Field, TimeUnit};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::support::files_under;
use crate::tables::{Ledger, Table, Tables};

/// A table of the contract: the column of its `date=` folders, and the order inside a file.
struct Promise {
    table: &'static str,
    date: &'static str,
    order: &'static [&'static str],
}

const PROMISES: [Promise; 7] = [
    Promise { table: "airings", date: "airing_at", order: &["broadcast_id", "airing_at"] },
    Promise { table: "minutes", date: "minute_at", order: &["broadcast_id", "minute_at"] },
    Promise { table: "sessions", date: "joined_at", order: &["broadcast_id", "viewer", "joined_at"] },
    Promise { table: "retweets", date: "retweeted_at", order: &["broadcast_id", "retweeted_at"] },
    Promise { table: "live", date: "minute_at", order: &["broadcast_id", "minute_at"] },
    Promise { table: "rejected", date: "received_at", order: &["partition", "offset"] },
    Promise { table: "corrections", date: "minute_at", order: &["broadcast_id", "minute_at", "commit"] },
];

/// The passport that each file carries; `jauge.lateness`, too, where there was one.
const PASSPORT: [&str; 11] = [
    "jauge.version",
    "jauge.contract",
    "jauge.unit",
    "jauge.session_timeout",
    "jauge.timeout_grace",
    "jauge.broadcast_idle",
    "jauge.end_idle",
    "jauge.straggler",
    "jauge.return_within",
    "jauge.input",
    "jauge.commit",
];

/// All that a finished replay left in `dir`.
pub(crate) fn read(dir: &Path) -> Tables {
    let or_empty = |name: &str, empty: Table| table(dir, name).unwrap_or(empty);
    let empty = Tables::empty();
    let basename = |source: &str| source.rsplit('/').next().unwrap_or(source).to_owned();
    Tables {
        airings: or_empty("airings", empty.airings),
        minutes: or_empty("minutes", empty.minutes),
        sessions: or_empty("sessions", empty.sessions),
        retweets: or_empty("retweets", empty.retweets),
        rejected: or_empty("rejected", empty.rejected.rename("file", "source"))
            .map("source", basename)
            .rename("source", "file"),
        ledger: ledger(dir),
    }
}

/// All rows of a table; `None` where it has no file.
pub(crate) fn table(dir: &Path, name: &str) -> Option<Table> {
    let promise = PROMISES.iter().find(|promise| promise.table == name).unwrap();
    let mut whole: Option<Table> = None;
    for path in files_under(&dir.join(name)) {
        assert!(path.extension().is_some_and(|e| e == "parquet"), "{} is no data file", path.display());
        let part = file(&path, promise);
        match &mut whole {
            Some(whole) => {
                assert_eq!(whole.columns, part.columns, "{} has other columns than its neighbours", path.display());
                whole.rows.extend(part.rows);
            }
            None => whole = Some(part),
        }
    }
    whole
}

/// Key-value metadata of one file.
pub(crate) fn passport(path: &Path) -> BTreeMap<String, String> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
    let pairs = reader.metadata().file_metadata().key_value_metadata().cloned().unwrap_or_default();
    pairs.into_iter().map(|pair| (pair.key, pair.value.unwrap_or_default())).collect()
}

/// Partition and offset of each event in a file of the log.
pub(crate) fn places(log: Vec<u8>) -> Vec<(i32, i64)> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(log)).unwrap().build().unwrap();
    let of_batch = |batch: RecordBatch| {
        let partitions = batch.column_by_name("partition").unwrap().as_primitive::<Int32Type>().clone();
        let offsets = batch.column_by_name("offset").unwrap().as_primitive::<Int64Type>().clone();
        let both = partitions.values().iter().copied().zip(offsets.values().iter().copied());
        both.collect::<Vec<_>>()
    };
    reader.flat_map(|batch| of_batch(batch.unwrap())).collect()
}

fn file(path: &Path, promise: &Promise) -> Table {
    let passport = passport(path);
    for key in PASSPORT {
        assert!(passport.contains_key(key), "{} has no {key} in its passport", path.display());
    }
    let open = File::open(path).unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(open).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let schema = reader.schema().clone();
    schema.fields().iter().for_each(|field| described(field, path));
    let columns: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    let mut table = Table::of(&columns.join(" "));
    let batches: Vec<RecordBatch> = reader.build().unwrap().map(Result::unwrap).collect();
    for batch in &batches {
        for row in 0..batch.num_rows() {
            table.push(batch.columns().iter().zip(schema.fields()).map(|(column, field)| cell(column, row, field)));
        }
    }
    assert!(!table.rows.is_empty(), "{} has no rows, and so no reason to be", path.display());
    in_order(&table, promise, path);
    in_its_folder(&table, promise, path);
    table
}

/// Every column, and every part of one, has a description and a field id.
fn described(field: &Field, path: &Path) {
    let about = field.metadata();
    for key in ["description", "PARQUET:field_id"] {
        let known = about.get(key).is_some_and(|value| !value.is_empty());
        assert!(known, "{}: column {} has no {key}", path.display(), field.name());
    }
    if let DataType::List(item) = field.data_type() {
        let DataType::Struct(parts) = item.data_type() else { panic!("{} is a list of no structs", field.name()) };
        parts.iter().for_each(|part| described(part, path));
    }
}

/// One cell as text. Any type that the contract does not know is a failure.
fn cell(column: &dyn Array, row: usize, field: &Field) -> String {
    if column.is_null(row) {
        return String::new();
    }
    match column.data_type() {
        DataType::Utf8 => column.as_string::<i32>().value(row).to_owned(),
        DataType::Int64 => column.as_primitive::<Int64Type>().value(row).to_string(),
        DataType::Int32 => column.as_primitive::<Int32Type>().value(row).to_string(),
        DataType::Float64 => format!("{:?}", column.as_primitive::<Float64Type>().value(row)),
        DataType::Boolean => column.as_boolean().value(row).to_string(),
        DataType::Timestamp(TimeUnit::Millisecond, Some(zone)) if &**zone == "UTC" => {
            column.as_primitive::<TimestampMillisecondType>().value(row).to_string()
        }
        DataType::FixedSizeBinary(16) => hex(column.as_fixed_size_binary().value(row)),
        DataType::Binary => hex(column.as_binary::<i32>().value(row)),
        DataType::List(_) => {
            let stays = column.as_list::<i32>().value(row);
            let stays = stays.as_struct();
            let part = |name: &str| stays.column_by_name(name).unwrap().as_primitive::<Int64Type>().clone();
            let (ms, sessions) = (part("ms"), part("sessions"));
            let pairs = ms.values().iter().zip(sessions.values());
            pairs.map(|(ms, sessions)| format!("{ms}:{sessions}")).collect::<Vec<_>>().join(" ")
        }
        other => panic!("column {} has the type {other}, which the contract does not know", field.name()),
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The rows of a file ascend in the order that the contract promises.
fn in_order(table: &Table, promise: &Promise, path: &Path) {
    let places: Vec<usize> = promise.order.iter().map(|column| table.place(column)).collect();
    let key = |row: &[String]| -> Vec<(i64, String)> {
        // A number by its size, a text by its bytes; columns of one kind hold only the one or only the other.
        let of = |(place, column): (&usize, &&str)| match row[*place].parse() {
            Ok(number) if !matches!(*column, "broadcast_id" | "viewer") => (number, String::new()),
            _ => (0, row[*place].clone()),
        };
        places.iter().zip(promise.order).map(of).collect()
    };
    for pair in table.rows.windows(2) {
        let (one, next) = (key(&pair[0]), key(&pair[1]));
        assert!(one <= next, "{} is not sorted by {:?}: {one:?} before {next:?}", path.display(), promise.order);
    }
}

/// Each row lies in the folder of its UTC date.
fn in_its_folder(table: &Table, promise: &Promise, path: &Path) {
    let folder = path.parent().unwrap().file_name().unwrap().to_string_lossy().into_owned();
    let place = table.place(promise.date);
    let days = days_since_1970(folder.strip_prefix("date=").unwrap_or_else(|| panic!("{folder} names no date")));
    for row in &table.rows {
        let at: i64 = row[place].parse().unwrap();
        assert_eq!(at.div_euclid(86_400_000), days, "{}: a row of {at} lies in the wrong folder", path.display());
    }
}

pub(crate) fn days_since_1970(date: &str) -> i64 {
    let numbers: Vec<i64> = date.split('-').map(|n| n.parse().unwrap()).collect();
    let [year, month, day] = numbers[..] else { panic!("{date} is no date") };
    // Julian day numbers of the Gregorian calendar (Fliegel and van Flandern).
    let a = (month - 14) / 12;
    let julian = day - 32_075 + 1_461 * (year + 4_800 + a) / 4 + 367 * (month - 2 - a * 12) / 12
        - 3 * ((year + 4_900 + a) / 100) / 4;
    julian - 2_440_588
}

/// The ledger of the newest manifest.
fn ledger(dir: &Path) -> Ledger {
    let newest = files_under(&dir.join("commits/main")).pop().expect("a finished replay has a manifest");
    let manifest: serde_json::Value = serde_json::from_slice(&std::fs::read(&newest).unwrap()).unwrap();
    let ledger = &manifest["ledger"];
    let count = |name: &str| {
        ledger[name].as_i64().unwrap_or_else(|| panic!("no ledger.{name} in {}: {ledger}", newest.display()))
    };
    let found = Ledger {
        read: count("read"),
        applied: count("applied"),
        repeated: count("repeated"),
        orphaned: count("orphaned"),
        rejected: count("rejected"),
    };
    let accounted = found.applied + found.repeated + found.orphaned + found.rejected;
    assert_eq!(found.read, accounted, "the ledger of {} does not close: {ledger}", newest.display());
    found
}

#[test]
fn dates_are_counted_as_the_calendar_does() {
    assert_eq!(days_since_1970("1970-01-01"), 0);
    assert_eq!(days_since_1970("2000-02-29") * 86_400_000, 951_782_400_000);
    assert_eq!(days_since_1970("2100-01-01") * 86_400_000, 4_102_444_800_000);
}
