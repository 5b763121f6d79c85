//! Whatever a file holds, reading it ends in rows or in an error that says what is wrong with it.

use super::*;
use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use problem::Failure;

fn small(table: Table) -> Bytes {
    small_files().into_iter().find(|(of, _)| *of == table).unwrap().1
}

/// The small file of `table` with one column changed: given another array, or dropped.
fn altered(table: Table, column: &str, array: Option<ArrayRef>) -> Bytes {
    let mut reader = ParquetRecordBatchReaderBuilder::try_new(small(table)).unwrap().build().unwrap();
    let batch = reader.next().unwrap().unwrap();
    let schema = batch.schema();
    let mut columns: Vec<(String, ArrayRef)> =
        schema.fields().iter().map(|field| field.name().clone()).zip(batch.columns().to_vec()).collect();
    let place = columns.iter().position(|(name, _)| name == column).unwrap();
    match array {
        Some(array) => columns[place].1 = array,
        None => drop(columns.remove(place)),
    }
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    Bytes::from(writer.into_inner().unwrap())
}

fn refusal(table: Table, bytes: &Bytes) -> String {
    let error = read_all(table, bytes).unwrap_err();
    assert_eq!(error.exit_code(), 4, "{error}");
    error.to_string()
}

#[test]
fn a_missing_column_is_named() {
    for table in Table::ALL {
        for field in table.schema().fields() {
            let said = refusal(table, &altered(table, field.name(), None));
            assert!(said.contains(&format!("no column {}", field.name())) && said.contains("drawn.parquet"), "{said}");
        }
    }
}

#[test]
fn a_column_of_another_type_is_named() {
    let texts: ArrayRef = Arc::new(StringArray::from_iter_values(["x", "y"]));
    let said = refusal(Table::Minutes, &altered(Table::Minutes, "joins", Some(Arc::clone(&texts))));
    assert!(said.contains("column joins of drawn.parquet (table minutes) is Utf8 where it should be Int64"), "{said}");
    let said = refusal(Table::Minutes, &altered(Table::Minutes, "stays", Some(texts)));
    assert!(said.contains("column stays"), "{said}");
    let naive: ArrayRef = Arc::new(TimestampMillisecondArray::from_iter_values([0, 1]));
    let said = refusal(Table::Sessions, &altered(Table::Sessions, "joined_at", Some(naive)));
    assert!(said.contains("column joined_at"), "{said}");
}

#[test]
fn a_cell_that_cannot_be_is_named_with_its_row() {
    let texts = |cells: &[Option<&str>]| -> ArrayRef { Arc::new(StringArray::from_iter(cells)) };
    let ints = |cells: &[Option<i64>]| -> ArrayRef { Arc::new(Int64Array::from_iter(cells)) };
    let long = "x".repeat(257);
    let instants: ArrayRef =
        Arc::new(TimestampMillisecondArray::from_iter_values([NOON, NOON, 7, NOON]).with_timezone("UTC"));
    let mean: ArrayRef = Arc::new(Float64Array::from_iter_values([90_001.0 / 60_000.0, 1.5]));
    let four = [Some("end"), Some("retweet"), Some("join"), None];
    let cases = [
        (
            Table::Minutes,
            "joins",
            ints(&[Some(1), None]),
            "row 1 of drawn.parquet (table minutes) has null in column joins",
        ),
        (Table::Minutes, "viewers_mean", mean, "row 1"),
        (Table::Airings, "airtime_ms", ints(&[Some(-1), None]), "row 0"),
        (
            Table::Sessions,
            "end_reason",
            texts(&[Some("leave"), Some("left")]),
            "row 1 of drawn.parquet (table sessions) has the unknown word \"left\"",
        ),
        (Table::Sessions, "via", texts(&[None, Some("")]), "an id of 0 bytes"),
        (Table::Sessions, "via", texts(&[Some(&long), None]), "an id of 257 bytes"),
        (Table::Sessions, "broadcast_id", texts(&[Some(&long), None]), "row 1"),
        (Table::Retweets, "followers", ints(&[Some(-5)]), "has -5 in column followers"),
        (Table::Rejected, "field", texts(&[Some(""), Some("viewer")]), "row 1"),
        (Table::Events, "type", texts(&four), "null in column type"),
        (
            Table::Events,
            "type",
            texts(&[Some("join"); 4]),
            "row 0 of drawn.parquet (table events) has null in column viewer",
        ),
        (Table::Events, "type", texts(&[Some("retweet"); 4]), "null in column tweet_id"),
        (Table::Events, "ts", instants, "row 2"),
    ];
    for (table, column, array, expected) in cases {
        let said = refusal(table, &altered(table, column, Some(array)));
        assert!(said.contains(expected) && said.contains(table.name()), "{table}.{column}: {said}");
    }
}

#[test]
fn a_cut_file_is_refused() {
    for (table, bytes) in small_files() {
        for len in (0..bytes.len()).step_by(97).chain([bytes.len() - 1]) {
            refusal(table, &bytes.slice(..len));
        }
    }
}

#[test]
fn a_damaged_file_is_refused_or_read_and_never_a_panic() {
    for (table, bytes) in small_files() {
        assert_eq!(
            read_all(table, &bytes).unwrap(),
            if table == Table::Events {
                4
            } else if table == Table::Retweets {
                1
            } else {
                2
            }
        );
        // A stride that is prime to the sizes of things: every kind of place is hit, in a second instead of a minute.
        for (at, flip) in (0..bytes.len()).step_by(17).zip([0x01, 0x80, 0xff].into_iter().cycle()) {
            let mut damaged = bytes.to_vec();
            damaged[at] ^= flip;
            if let Err(error) = read_all(table, &Bytes::from(damaged)) {
                assert_eq!(error.exit_code(), 4, "byte {at} of {table}: {error}");
            }
        }
    }
}

#[test]
fn rows_of_another_table_and_unknown_broadcasts_are_bugs() {
    let mut writer = TableWriter::new(Table::Minutes, &Passport::default(), Vec::new()).unwrap();
    for (rows, expected) in [
        (TableRows::Live(&[minute(2, NOON)]), "rows of table live were pushed"),
        (TableRows::Minutes(&[minute(99, NOON)]), "no text of column broadcast_id has number 99"),
    ] {
        let error = writer.push(rows, &names()).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert_eq!(error.exit_code(), 1);
    }
    let error = open(Table::Sessions, &small(Table::Sessions)).minutes(number).err().unwrap();
    assert_eq!(error.exit_code(), 1);
}

#[test]
fn a_full_disk_is_the_world() {
    struct Full(usize);
    impl std::io::Write for Full {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 = self.0.checked_sub(bytes.len()).ok_or(std::io::ErrorKind::StorageFull)?;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    for room in [0, 100] {
        let rows = [session(2, 1, NOON)];
        let error =
            write_rows(TableRows::Sessions(&rows, &Details::new()), &names(), &Passport::default(), Full(room)).err();
        assert!(
            matches!(&error, Some(TableError::Io { source, .. }) if source.kind() == std::io::ErrorKind::StorageFull),
            "{error:?}"
        );
        assert_eq!(error.unwrap().exit_code(), 3);
    }
}
