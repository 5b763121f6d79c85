//! A table file is one Parquet file that is read back into rows, a batch at a time. Whatever its bytes are, reading
//! ends in rows or in an error that names the file and the column.

use super::footer::footer;
use super::stays::Histograms;
use super::{Passport, Table, TableError};
use crate::caught::caught;
use arrow_array::cast::AsArray;
use arrow_array::{
    Array, BinaryArray, BooleanArray, FixedSizeBinaryArray, Float64Array, Int32Array, Int64Array, ListArray,
    RecordBatch, StringArray, TimestampMillisecondArray,
};
use arrow_schema::{ArrowError, DataType};
use audience::Ms;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowPredicateFn, ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader,
    ParquetRecordBatchReaderBuilder, RowFilter,
};
use parquet::file::reader::{ChunkReader, FileReader, SerializedFileReader};
use parquet::file::statistics::Statistics;
use std::fmt;
use std::sync::Arc;

/// The number of rows of a Parquet file, as its end says, or why it is none; whatever its table.
///
/// # Errors
/// The words of the decoder.
pub fn rows_in<R: ChunkReader + 'static>(file: R) -> Result<i64, String> {
    let reader = SerializedFileReader::new(file).map_err(|error| error.to_string())?;
    Ok(reader.metadata().file_metadata().num_rows())
}

/// A file of one table, its columns checked, its rows not yet read.
pub struct TableFile<R: ChunkReader> {
    file: String,
    table: Table,
    pub(super) builder: ParquetRecordBatchReaderBuilder<R>,
    passport: Passport,
    /// Rows decoded at once.
    batch_rows: usize,
}

impl<R: ChunkReader> fmt::Debug for TableFile<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TableFile").field("file", &self.file).field("table", &self.table).finish_non_exhaustive()
    }
}

impl<R: ChunkReader + 'static> TableFile<R> {
    /// Reads the end of a file and checks that it has every column of `table`, each of its type; other columns are
    /// passed over, and what came with a later version of the contract than the file's own is not asked for. `file` is
    /// its name for messages.
    ///
    /// # Errors
    /// [`TableError::Corrupt`], [`TableError::MissingColumn`], [`TableError::ColumnType`], [`TableError::Io`].
    pub fn open(table: Table, file: &str, input: R) -> Result<TableFile<R>, TableError> {
        // The types are those of Parquet itself: the Arrow schema that a file carries beside them could say anything.
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let end = caught(|| ArrowReaderMetadata::try_new(Arc::new(footer(&input)?), options))
            .map_err(|panic| corrupt(file, table, panic))?
            .map_err(|error| TableError::of_read(file, table, error))?;
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(input, end);
        let passport = Passport::of_metadata(builder.metadata().file_metadata().key_value_metadata());
        let version = passport.contract_version().unwrap_or(u32::MAX);
        let mut roots = Vec::new();
        for (column, field) in table.columns().iter().zip(table.schema().fields()) {
            if column.since > version {
                continue;
            }
            let name = column.name;
            let Some((root, found)) = builder.schema().column_with_name(name) else {
                return Err(TableError::MissingColumn { file: file.to_owned(), table, column: name });
            };
            if !same_type(field.data_type(), found.data_type()) {
                return Err(TableError::ColumnType {
                    file: file.to_owned(),
                    table,
                    column: name,
                    expected: field.data_type().to_string(),
                    found: found.data_type().to_string(),
                });
            }
            roots.push(root);
        }
        let projection = ProjectionMask::roots(builder.parquet_schema(), roots);
        let builder = builder.with_projection(projection);
        Ok(TableFile { file: file.to_owned(), table, builder, passport, batch_rows: batch_rows(table) })
    }

    /// What made the file.
    pub fn passport(&self) -> &Passport {
        &self.passport
    }

    /// The same with so many rows decoded at once.
    pub(super) fn by(self, batch_rows: usize) -> TableFile<R> {
        TableFile { batch_rows, ..self }
    }

    /// Of a file of the log: the first and the last commit whose events it holds, as its end says; `None` where it does
    /// not.
    pub fn commits(&self) -> Option<(i64, i64)> {
        let columns = self.builder.parquet_schema().columns();
        let place = columns.iter().position(|column| column.path().string() == "commit")?;
        let mut range: Option<(i64, i64)> = None;
        for row_group in self.builder.metadata().row_groups() {
            let Some(Statistics::Int64(of)) = row_group.column(place).statistics() else { return None };
            let (first, last) = (*of.min_opt()?, *of.max_opt()?);
            range = Some(range.map_or((first, last), |(a, b)| (a.min(first), b.max(last))));
        }
        range
    }

    /// Rows of the file, as its end says.
    pub fn rows(&self) -> u64 {
        u64::try_from(self.builder.metadata().file_metadata().num_rows()).unwrap_or(0)
    }

    /// Only the rows of one broadcast: what cannot hold them is passed over unread. Not for [`Table::Rejected`], whose
    /// rows have no broadcast. Rows are then counted, in errors, among those read.
    #[must_use]
    pub fn of_broadcast(mut self, broadcast_id: &str) -> TableFile<R> {
        let schema = self.builder.parquet_schema();
        let Some(column) = schema.columns().iter().position(|column| column.path().string() == "broadcast_id") else {
            return self;
        };
        let row_groups = self.builder.metadata().row_groups().iter().enumerate();
        let near = row_groups.filter(|(_, row_group)| may_hold(row_group.column(column).statistics(), broadcast_id));
        let near = near.map(|(place, _)| place).collect();
        let wanted = broadcast_id.to_owned();
        let mask = ProjectionMask::leaves(schema, [column]);
        let predicate = ArrowPredicateFn::new(mask, move |batch| {
            let ids = batch.column(0).as_string_opt::<i32>();
            let ids = ids.ok_or_else(|| ArrowError::SchemaError("broadcast_id holds no strings".to_owned()))?;
            Ok(ids.iter().map(|id| Some(id == Some(wanted.as_str()))).collect())
        });
        self.builder = self.builder.with_row_groups(near).with_row_filter(RowFilter::new(vec![Box::new(predicate)]));
        self
    }

    pub(super) fn batches<T, F>(self, of: &[Table], decode: F) -> Result<Batches<F>, TableError>
    where
        F: FnMut(&TableBatch<'_>) -> Result<T, TableError>,
    {
        if !of.contains(&self.table) {
            return Err(TableError::bug(self.table, format!("its file was read as {}", of[0])));
        }
        let builder = self.builder.with_batch_size(self.batch_rows);
        let reader = caught(|| builder.build()).map_err(|panic| corrupt(&self.file, self.table, panic))?;
        let reader = reader.map_err(|error| TableError::of_read(&self.file, self.table, error))?;
        Ok(Batches { file: self.file, table: self.table, reader: Some(reader), next_row: 0, decode })
    }
}

/// Whether a row group with such statistics may hold `text`.
fn may_hold(statistics: Option<&Statistics>, text: &str) -> bool {
    let (least, greatest) = statistics.map_or((None, None), |all| (all.min_bytes_opt(), all.max_bytes_opt()));
    least.is_none_or(|least| least <= text.as_bytes()) && greatest.is_none_or(|greatest| text.as_bytes() <= greatest)
}

/// Rows decoded at once: few where one row can be large, so that memory stays bounded.
const fn batch_rows(table: Table) -> usize {
    match table {
        Table::Rejected => 256,
        Table::Airings | Table::Minutes | Table::Live | Table::Corrections => 1 << 10,
        Table::Sessions | Table::Retweets | Table::Events => 16 << 10,
    }
}

/// Whether two types are one, whatever is said about nulls and metadata inside.
fn same_type(expected: &DataType, found: &DataType) -> bool {
    match (expected, found) {
        (DataType::List(a), DataType::List(b)) => same_type(a.data_type(), b.data_type()),
        (DataType::Struct(a), DataType::Struct(b)) => {
            a.len() == b.len()
                && a.iter().zip(b).all(|(a, b)| a.name() == b.name() && same_type(a.data_type(), b.data_type()))
        }
        (a, b) => a == b,
    }
}

/// Decoded batches of one file. After an error there is nothing more.
pub(super) struct Batches<F> {
    file: String,
    table: Table,
    reader: Option<ParquetRecordBatchReader>,
    next_row: u64,
    decode: F,
}

impl<T, F: FnMut(&TableBatch<'_>) -> Result<T, TableError>> Iterator for Batches<F> {
    type Item = Result<T, TableError>;

    fn next(&mut self) -> Option<Self::Item> {
        let reader = self.reader.as_mut()?;
        let rows = match caught(|| reader.next()) {
            Ok(None) => return None,
            Ok(Some(Ok(record))) => {
                let batch = TableBatch { file: &self.file, table: self.table, first_row: self.next_row, record };
                self.next_row += batch.len() as u64;
                (self.decode)(&batch)
            }
            Ok(Some(Err(error))) => Err(corrupt(&self.file, self.table, error.to_string())),
            Err(panic) => Err(corrupt(&self.file, self.table, panic)),
        };
        if rows.is_err() {
            self.reader = None;
        }
        Some(rows)
    }
}

fn corrupt(file: &str, table: Table, what: String) -> TableError {
    TableError::Corrupt { file: file.to_owned(), table, what }
}

/// Some rows of a file, still in columns.
pub(super) struct TableBatch<'a> {
    file: &'a str,
    table: Table,
    first_row: u64,
    record: RecordBatch,
}

/// The most bytes that an id has.
const ID_MAX: usize = 256;

impl TableBatch<'_> {
    pub(super) fn len(&self) -> usize {
        self.record.num_rows()
    }

    /// Whether the file has a column: one of an earlier version of the contract lacks some.
    pub(super) fn has(&self, column: &str) -> bool {
        self.record.column_by_name(column).is_some()
    }

    /// The error that a cell holds what it cannot.
    pub(super) fn wrong(&self, column: &'static str, row: usize, what: impl Into<String>) -> TableError {
        let row = self.first_row + row as u64;
        TableError::Value { file: self.file.to_owned(), table: self.table, column, row, what: what.into() }
    }

    /// The error that a cell's word is none of the contract's.
    pub(super) fn unknown(&self, column: &'static str, row: usize, word: &str) -> TableError {
        let word: String = word.chars().take(64).collect();
        self.wrong(column, row, format!("the unknown word {word:?}"))
    }

    fn array<A: Array + 'static>(&self, column: &'static str) -> Result<&A, TableError> {
        let array = self.record.column_by_name(column).and_then(|array| array.as_any().downcast_ref::<A>());
        array.ok_or_else(|| TableError::bug(self.table, format!("column {column} was decoded to another type")))
    }

    fn whole<A: Array + 'static>(&self, column: &'static str) -> Result<&A, TableError> {
        let array = self.array::<A>(column)?;
        match (0..array.len()).find(|row| array.null_count() > 0 && array.is_null(*row)) {
            Some(row) => Err(self.wrong(column, row, "null")),
            None => Ok(array),
        }
    }

    pub(super) fn ints(&self, column: &'static str) -> Result<&[i64], TableError> {
        Ok(self.whole::<Int64Array>(column)?.values())
    }

    pub(super) fn maybe_ints(&self, column: &'static str) -> Result<&Int64Array, TableError> {
        self.array(column)
    }

    pub(super) fn small_ints(&self, column: &'static str) -> Result<&[i32], TableError> {
        Ok(self.whole::<Int32Array>(column)?.values())
    }

    pub(super) fn instants(&self, column: &'static str) -> Result<&[Ms], TableError> {
        Ok(self.whole::<TimestampMillisecondArray>(column)?.values())
    }

    pub(super) fn maybe_instants(&self, column: &'static str) -> Result<&TimestampMillisecondArray, TableError> {
        self.array(column)
    }

    pub(super) fn maybe_means(&self, column: &'static str) -> Result<&Float64Array, TableError> {
        self.array(column)
    }

    /// Means are stored for those who read the table elsewhere; here they must be what the row's own integers give.
    pub(super) fn same_means(
        &self,
        column: &'static str,
        computed: impl Iterator<Item = Option<f64>>,
        stored: &Float64Array,
    ) -> Result<(), TableError> {
        let bits = |mean: Option<f64>| mean.map(f64::to_bits);
        let mut pairs = computed.zip(stored).enumerate();
        match pairs.find(|(_, (computed, stored))| bits(*computed) != bits(*stored)) {
            None => Ok(()),
            Some((row, (computed, stored))) => {
                let what = format!("{stored:?} where the row's integers give {computed:?}");
                Err(self.wrong(column, row, what))
            }
        }
    }

    pub(super) fn flags(&self, column: &'static str) -> Result<&BooleanArray, TableError> {
        self.whole(column)
    }

    pub(super) fn texts(&self, column: &'static str) -> Result<&StringArray, TableError> {
        self.whole(column)
    }

    pub(super) fn maybe_bytes(&self, column: &'static str) -> Result<&BinaryArray, TableError> {
        self.array(column)
    }

    pub(super) fn stays(&self, column: &'static str) -> Result<Histograms, TableError> {
        let cells = Histograms::of(self.whole::<ListArray>(column)?);
        cells.ok_or_else(|| self.wrong(column, 0, "or one near it has a null inside a list"))
    }

    pub(super) fn pseudonyms(&self, column: &'static str) -> Result<PseudonymColumn<'_>, TableError> {
        Ok(PseudonymColumn(self.whole(column)?))
    }

    pub(super) fn maybe_pseudonyms(&self, column: &'static str) -> Result<PseudonymColumn<'_>, TableError> {
        Ok(PseudonymColumn(self.array(column)?))
    }

    pub(super) fn maybe_ids(&self, column: &'static str) -> Result<Ids<'_>, TableError> {
        Ok(Ids { column, array: self.array(column)? })
    }

    /// The number of each row's broadcast.
    pub(super) fn broadcasts(&self, number: &mut impl FnMut(&str) -> u32) -> Result<Vec<u32>, TableError> {
        let ids = self.texts("broadcast_id")?;
        let lengths = ids.offsets().lengths().enumerate();
        match lengths.into_iter().find(|(_, bytes)| !(1..=ID_MAX).contains(bytes)) {
            Some((row, bytes)) => Err(self.wrong("broadcast_id", row, format!("an id of {bytes} bytes"))),
            None => self.numbers("broadcast_id", number),
        }
    }

    /// The number of each text. Equal texts mostly lie together, so `number` is asked at a change only.
    pub(super) fn numbers(
        &self,
        column: &'static str,
        number: &mut impl FnMut(&str) -> u32,
    ) -> Result<Vec<u32>, TableError> {
        let texts = self.texts(column)?;
        let mut numbers = Vec::with_capacity(texts.len());
        let mut last: Option<(&str, u32)> = None;
        for row in 0..texts.len() {
            let text = texts.value(row);
            let known = match last {
                Some((known, its)) if known == text => its,
                _ => number(text),
            };
            last = Some((text, known));
            numbers.push(known);
        }
        Ok(numbers)
    }
}

/// A decoded column of ids.
pub(super) struct Ids<'a> {
    column: &'static str,
    array: &'a StringArray,
}

impl<'a> Ids<'a> {
    /// The id of a row, `None` where it is null. An id has 1 to 256 bytes, and what keeps it relies on that.
    pub(super) fn get(&self, batch: &TableBatch<'_>, row: usize) -> Result<Option<&'a str>, TableError> {
        if self.array.is_null(row) {
            return Ok(None);
        }
        let id = self.array.value(row);
        match id.len() {
            1..=ID_MAX => Ok(Some(id)),
            bytes => Err(batch.wrong(self.column, row, format!("an id of {bytes} bytes"))),
        }
    }
}

/// A decoded column of pseudonyms.
pub(super) struct PseudonymColumn<'a>(&'a FixedSizeBinaryArray);

impl PseudonymColumn<'_> {
    /// The pseudonym of a row of a column that has no null.
    pub(super) fn get(&self, row: usize) -> u128 {
        self.0.value(row).try_into().map_or(0, u128::from_be_bytes)
    }

    /// The pseudonym of a row, `None` where it is null.
    pub(super) fn maybe(&self, row: usize) -> Option<u128> {
        (!self.0.is_null(row)).then(|| self.get(row))
    }
}
