//! A forgery: a data directory in which something is not true, while every checksum, size and
//! number of rows holds again.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type, TimestampMillisecondType};
use arrow_array::{
    Array, ArrayRef, BooleanArray, FixedSizeBinaryArray, Int32Array, Int64Array, RecordBatch, StringArray,
    TimestampMillisecondArray,
};
use arrow_schema::DataType;
use arrow_select::concat::concat_batches;
use arrow_select::filter::filter_record_batch;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::properties::WriterProperties;
use serde_json::Value;

use crate::support::files_under;

/// A directory whose files may be written anew.
pub(crate) struct Forgery {
    dir: PathBuf,
    /// The commits from the first on, without their checksums.
    pub(crate) commits: Vec<Value>,
}

impl Forgery {
    pub(crate) fn of(dir: &Path) -> Forgery {
        let read = |path: &PathBuf| serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        Forgery { dir: dir.to_owned(), commits: files_under(&dir.join("commits/main")).iter().map(read).collect() }
    }

    /// The files of a table, each with its rows.
    pub(crate) fn files(&self, table: &str) -> Vec<(PathBuf, RecordBatch)> {
        let files = files_under(&self.dir.join(table)).into_iter();
        files.map(|path| (path.clone(), read(&path))).collect()
    }

    /// The first file of a table that has a row for which `is_it` holds, and that row.
    #[track_caller]
    pub(crate) fn find(
        &self,
        table: &str,
        is_it: impl Fn(&RecordBatch, usize) -> bool,
    ) -> (PathBuf, RecordBatch, usize) {
        let files = self.files(table).into_iter();
        let mut found = files.filter_map(|(path, rows)| {
            let row = (0..rows.num_rows()).find(|row| is_it(&rows, *row))?;
            Some((path, rows, row))
        });
        found.next().unwrap_or_else(|| panic!("no such row in {table}"))
    }

    /// Changes one cell of the first row for which `is_it` holds.
    #[track_caller]
    pub(crate) fn change(&self, table: &str, column: &str, is_it: impl Fn(&RecordBatch, usize) -> bool, to: Cell) {
        let (path, rows, row) = self.find(table, is_it);
        write(&path, &with(&rows, column, row, to));
    }

    /// Takes a row away.
    pub(crate) fn remove(&self, path: &Path, row: usize) {
        let rows = read(path);
        let keep: BooleanArray = (0..rows.num_rows()).map(|other| Some(other != row)).collect();
        write(path, &filter_record_batch(&rows, &keep).unwrap());
    }

    /// Makes rows, sizes and checksums of all files and commits right, whatever the files hold now.
    pub(crate) fn seal(mut self) {
        let mut parent: Option<String> = None;
        for (commit, path) in self.commits.iter_mut().zip(files_under(&self.dir.join("commits/main"))) {
            for file in commit.get_mut("added").and_then(Value::as_array_mut).into_iter().flatten() {
                let path = self.dir.join(file["path"].as_str().unwrap());
                let bytes = fs::read(&path).unwrap();
                file["rows"] = read(&path).num_rows().into();
                file["bytes"] = bytes.len().into();
                file["blake3"] = blake3::hash(&bytes).to_hex().as_str().into();
            }
            if let Some(parent) = parent {
                commit["parent"]["checksum"] = parent.into();
            }
            let fields = commit.as_object_mut().unwrap();
            fields.remove("checksum");
            let body = serde_json::to_string(fields).unwrap();
            let body = body.strip_suffix('}').unwrap();
            let checksum = blake3::hash(body.as_bytes()).to_hex().to_string();
            fs::write(path, format!("{body},\"checksum\":\"{checksum}\"}}\n")).unwrap();
            parent = Some(checksum);
        }
    }
}

/// What a cell becomes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cell {
    Plus(i64),
    Number(i64),
    Text(&'static str),
    Flag(bool),
    /// A pseudonym of sixteen of this byte.
    Pseudonym(u8),
}

/// The number in a cell.
pub(crate) fn number(rows: &RecordBatch, column: &str, row: usize) -> i64 {
    let column = rows.column_by_name(column).unwrap();
    match column.data_type() {
        DataType::Int64 => column.as_primitive::<Int64Type>().value(row),
        DataType::Int32 => column.as_primitive::<Int32Type>().value(row).into(),
        _ => column.as_primitive::<TimestampMillisecondType>().value(row),
    }
}

/// The text in a cell.
pub(crate) fn text<'a>(rows: &'a RecordBatch, column: &str, row: usize) -> Option<&'a str> {
    let column = rows.column_by_name(column).unwrap().as_string::<i32>();
    column.is_valid(row).then(|| column.value(row))
}

/// The pseudonym in a cell.
pub(crate) fn pseudonym(rows: &RecordBatch, column: &str, row: usize) -> Vec<u8> {
    rows.column_by_name(column).unwrap().as_fixed_size_binary().value(row).to_vec()
}

/// The same rows with another cell.
pub(crate) fn with(rows: &RecordBatch, column: &str, row: usize, to: Cell) -> RecordBatch {
    let place = rows.schema().index_of(column).unwrap();
    let old = rows.column(place);
    let changed = |value: i64| match to {
        Cell::Plus(more) => value + more,
        Cell::Number(number) => number,
        other => panic!("{other:?} is no number for {column}"),
    };
    let at = |n: usize, value: Option<i64>| if n == row { Some(changed(value.unwrap_or(0))) } else { value };
    let new: ArrayRef = match old.data_type() {
        DataType::Int64 => {
            let old = old.as_primitive::<Int64Type>();
            Arc::new(old.iter().enumerate().map(|(n, value)| at(n, value)).collect::<Int64Array>())
        }
        DataType::Int32 => {
            let old = old.as_primitive::<Int32Type>();
            let small = |value: i64| i32::try_from(value).unwrap();
            let at = |(n, value): (usize, Option<i32>)| at(n, value.map(i64::from)).map(small);
            Arc::new(old.iter().enumerate().map(at).collect::<Int32Array>())
        }
        DataType::Timestamp(..) => {
            let old = old.as_primitive::<TimestampMillisecondType>();
            let new: TimestampMillisecondArray = old.iter().enumerate().map(|(n, value)| at(n, value)).collect();
            Arc::new(new.with_timezone("UTC"))
        }
        DataType::Utf8 => {
            let Cell::Text(text) = to else { panic!("{to:?} is no text for {column}") };
            let at = |(n, value)| if n == row { Some(text) } else { value };
            Arc::new(old.as_string::<i32>().iter().enumerate().map(at).collect::<StringArray>())
        }
        DataType::Boolean => {
            let Cell::Flag(flag) = to else { panic!("{to:?} is no flag for {column}") };
            let at = |(n, value)| if n == row { Some(flag) } else { value };
            Arc::new(old.as_boolean().iter().enumerate().map(at).collect::<BooleanArray>())
        }
        DataType::FixedSizeBinary(16) => {
            let Cell::Pseudonym(byte) = to else { panic!("{to:?} is no pseudonym for {column}") };
            let (old, new) = (old.as_fixed_size_binary(), [byte; 16]);
            let at = |n: usize| if n == row { Some(&new[..]) } else { old.is_valid(n).then(|| old.value(n)) };
            let cells = (0..old.len()).map(at);
            Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size(cells, 16).unwrap())
        }
        other => panic!("{column} is of type {other}"),
    };
    let mut columns = rows.columns().to_vec();
    columns[place] = new;
    RecordBatch::try_new(rows.schema(), columns).unwrap()
}

fn read(path: &Path) -> RecordBatch {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
    let schema = Arc::clone(reader.schema());
    let batches: Vec<RecordBatch> = reader.build().unwrap().map(Result::unwrap).collect();
    concat_batches(&schema, &batches).unwrap()
}

/// Writes a file anew, with the passport that it had.
pub(crate) fn write(path: &Path, rows: &RecordBatch) {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
    let passport = reader.metadata().file_metadata().key_value_metadata().cloned();
    let properties = WriterProperties::builder().set_key_value_metadata(passport).build();
    let mut writer = ArrowWriter::try_new(File::create(path).unwrap(), rows.schema(), Some(properties)).unwrap();
    writer.write(rows).unwrap();
    writer.close().unwrap();
}
