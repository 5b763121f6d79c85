//! A table writer turns rows of one table, already sorted and of one partition, into the bytes of one Parquet file.

use super::columns::Cells;
use super::corrections::CorrectionRow;
use super::rejected::RejectedRow;
use super::row_group::RowGroup;
use super::{
    LoggedEvent, Passport, Table, TableError, airings, corrections, events, minutes, rejected, retweets, sessions,
};
use audience::{AiringRow, Details, MinuteRow, RetweetRow, SessionRow};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowRowGroupWriterFactory;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::SortingColumn;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::ColumnPath;
use std::fmt;
use std::io::{self, Write};
use std::sync::Arc;

/// Rows of one table, with the strings that they point to.
#[derive(Clone, Copy, Debug)]
pub enum TableRows<'a> {
    /// Of `airings`.
    Airings(&'a [AiringRow]),
    /// Of `minutes`.
    Minutes(&'a [MinuteRow]),
    /// Of `live`.
    Live(&'a [MinuteRow]),
    /// Of `sessions`, with the arena of their `via`.
    Sessions(&'a [SessionRow], &'a Details),
    /// Of `retweets`, with the arena of their strings.
    Retweets(&'a [RetweetRow], &'a Details),
    /// Of `rejected`.
    Rejected(&'a [RejectedRow]),
    /// Of `events`, with the arena of their strings and the names of the sources that they number.
    Events(&'a [LoggedEvent], &'a Details, &'a [Arc<str>]),
    /// Of `corrections`.
    Corrections(&'a [CorrectionRow]),
}

impl<'a> TableRows<'a> {
    /// The table that they are of.
    pub fn table(&self) -> Table {
        match self {
            TableRows::Airings(_) => Table::Airings,
            TableRows::Minutes(_) => Table::Minutes,
            TableRows::Live(_) => Table::Live,
            TableRows::Sessions(..) => Table::Sessions,
            TableRows::Retweets(..) => Table::Retweets,
            TableRows::Rejected(_) => Table::Rejected,
            TableRows::Events(..) => Table::Events,
            TableRows::Corrections(_) => Table::Corrections,
        }
    }

    /// How many they are.
    pub fn len(&self) -> usize {
        match self {
            TableRows::Airings(rows) => rows.len(),
            TableRows::Minutes(rows) | TableRows::Live(rows) => rows.len(),
            TableRows::Sessions(rows, _) => rows.len(),
            TableRows::Retweets(rows, _) => rows.len(),
            TableRows::Rejected(rows) => rows.len(),
            TableRows::Events(rows, ..) => rows.len(),
            TableRows::Corrections(rows) => rows.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The first `count` of them, and the rest.
    fn split(self, count: usize) -> (TableRows<'a>, TableRows<'a>) {
        macro_rules! halves {
            ($rows:ident, $of:expr) => {{
                let (first, rest) = $rows.split_at(count);
                ($of(first), $of(rest))
            }};
        }
        match self {
            TableRows::Airings(rows) => halves!(rows, TableRows::Airings),
            TableRows::Minutes(rows) => halves!(rows, TableRows::Minutes),
            TableRows::Live(rows) => halves!(rows, TableRows::Live),
            TableRows::Sessions(rows, details) => halves!(rows, |rows| TableRows::Sessions(rows, details)),
            TableRows::Retweets(rows, details) => halves!(rows, |rows| TableRows::Retweets(rows, details)),
            TableRows::Rejected(rows) => halves!(rows, TableRows::Rejected),
            TableRows::Events(rows, details, sources) => {
                halves!(rows, |rows| TableRows::Events(rows, details, sources))
            }
            TableRows::Corrections(rows) => halves!(rows, TableRows::Corrections),
        }
    }

    /// How many of them make one batch: so many that making it is cheap beside its rows, so few that its memory is
    /// bounded.
    fn batch_len(&self) -> usize {
        let full = |sizes: &mut dyn Iterator<Item = usize>| {
            let mut sum = 0;
            let within = sizes.take(BATCH_ROWS).take_while(|size| {
                sum += size;
                sum <= BATCH_BYTES
            });
            within.count().max(1)
        };
        match self {
            TableRows::Airings(rows) => full(&mut rows.iter().map(|row| size_of_val(row.stays.as_slice()))),
            TableRows::Minutes(rows) | TableRows::Live(rows) => {
                full(&mut rows.iter().map(|row| size_of_val(row.stays.as_slice())))
            }
            TableRows::Corrections(rows) => full(&mut rows.iter().map(CorrectionRow::stays_bytes)),
            TableRows::Rejected(rows) => full(&mut rows.iter().map(|row| row.payload.as_ref().map_or(0, Vec::len))),
            _ => BATCH_ROWS,
        }
        .min(self.len())
    }

    fn encode(self, names: &'a [Arc<str>]) -> Result<Vec<Cells<'a>>, TableError> {
        match self {
            TableRows::Airings(rows) => airings::encode(rows, names),
            TableRows::Minutes(rows) => minutes::encode(Table::Minutes, rows, names),
            TableRows::Live(rows) => minutes::encode(Table::Live, rows, names),
            TableRows::Sessions(rows, details) => sessions::encode(rows, details, names),
            TableRows::Retweets(rows, details) => retweets::encode(rows, details, names),
            TableRows::Rejected(rows) => Ok(rejected::encode(rows)),
            TableRows::Events(rows, details, sources) => events::encode(rows, details, names, sources),
            TableRows::Corrections(rows) => corrections::encode(rows, names),
        }
    }
}

/// Rows encoded at once, at most: their columns stay in the processor's cache, which halves the time that 64 Ki rows
/// take.
const BATCH_ROWS: usize = 4 << 10;

/// Payloads or stays encoded at once, bytes, unless one row alone has more.
const BATCH_BYTES: usize = 16 << 20;

/// Encoded bytes that wait for their row group to be full, at most (and one batch).
const ROW_GROUP_BYTES: usize = 32 << 20;

/// Rows of a row group, at most.
const ROW_GROUP_ROWS: usize = 1 << 20;

/// One file while it is written. Row groups go to `W` as they fill, so memory stays within some 32 MiB and one batch.
pub struct TableWriter<W: Write + Send> {
    table: Table,
    file: SerializedFileWriter<Output<W>>,
    factory: ArrowRowGroupWriterFactory,
    /// The row group that fills, where one does.
    filling: Option<RowGroup>,
}

impl<W: Write + Send> fmt::Debug for TableWriter<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TableWriter").field("table", &self.table).finish_non_exhaustive()
    }
}

impl<W: Write + Send> TableWriter<W> {
    /// A file of `table` that goes to `out`.
    ///
    /// # Errors
    /// [`TableError::Io`] where `out` refuses.
    pub fn new(table: Table, passport: &Passport, out: W) -> Result<TableWriter<W>, TableError> {
        let writer = ArrowWriter::try_new(Output(Some(out)), table.schema(), Some(properties(table, passport)));
        let (file, factory) =
            writer.and_then(ArrowWriter::into_serialized_writer).map_err(|error| TableError::of_write(table, error))?;
        Ok(TableWriter { table, file, factory, filling: None })
    }

    /// Appends rows of the writer's table, which come after those appended before in [`Table::sorted_by`]'s order.
    /// `names` gives the id of each broadcast by its number.
    ///
    /// # Errors
    /// [`TableError::Io`] where the output refuses; [`TableError::Bug`] where rows are of another table or names are
    /// missing.
    pub fn push(&mut self, rows: TableRows<'_>, names: &[Arc<str>]) -> Result<(), TableError> {
        if rows.table() != self.table {
            return Err(TableError::bug(self.table, format!("rows of table {} were pushed", rows.table())));
        }
        let mut rest = rows;
        while !rest.is_empty() {
            let mut filling = match self.filling.take() {
                Some(filling) => filling,
                None => RowGroup::new(self.table, &self.file, &self.factory).map_err(|error| self.refused(error))?,
            };
            let (batch, after) = rest.split(rest.batch_len().min(ROW_GROUP_ROWS - filling.rows()));
            rest = after;
            filling.push(batch.len(), batch.encode(names)?)?;
            if filling.rows() >= ROW_GROUP_ROWS || filling.encoded_bytes() >= ROW_GROUP_BYTES {
                filling.close(&mut self.file).map_err(|error| self.refused(error))?;
            } else {
                self.filling = Some(filling);
            }
        }
        Ok(())
    }

    /// Writes what is left and the file's end, and gives the output back.
    ///
    /// # Errors
    /// [`TableError::Io`] where the output refuses.
    pub fn finish(mut self) -> Result<W, TableError> {
        let table = self.table;
        let rest = self.filling.take().map_or(Ok(()), |filling| filling.close(&mut self.file));
        rest.and_then(|()| self.file.finish()).map_err(|error| TableError::of_write(table, error))?;
        self.file.inner_mut().0.take().ok_or_else(|| TableError::bug(table, "its file was finished twice"))
    }

    fn refused(&self, error: ParquetError) -> TableError {
        TableError::of_write(self.table, error)
    }
}

/// The output, which can be taken out after the file's end: the file writer's own way to give it back hides why it
/// could not.
struct Output<W>(Option<W>);

impl<W: Write> Write for Output<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.as_mut().map_or(Ok(bytes.len()), |out| out.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.as_mut().map_or(Ok(()), Write::flush)
    }
}

/// Writes `rows` as one whole file to `out`, and gives `out` back. They are sorted already, and of one partition.
///
/// # Errors
/// As [`TableWriter::push`].
pub fn write_rows<W: Write + Send>(
    rows: TableRows<'_>,
    names: &[Arc<str>],
    passport: &Passport,
    out: W,
) -> Result<W, TableError> {
    let mut writer = TableWriter::new(rows.table(), passport, out)?;
    writer.push(rows, names)?;
    writer.finish()
}

/// Texts and bytes that hardly repeat, so that a dictionary would only cost.
const SPREAD: [&str; 3] = ["tweet_id", "user_id", "payload"];

/// Numbers that hardly repeat, but lie near each other: kept as bit-packed differences they are as small as zstd makes
/// them, in a third of the time.
const NEAR: [&str; 4] = ["joined_at", "left_at", "ts", "offset"];

fn properties(table: Table, passport: &Passport) -> WriterProperties {
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_max_row_group_bytes(Some(ROW_GROUP_BYTES))
        .set_sorting_columns(Some(sorting(table)))
        .set_key_value_metadata(Some(passport.to_metadata()));
    for column in SPREAD {
        properties = properties.set_column_dictionary_enabled(ColumnPath::from(column), false);
    }
    for column in NEAR {
        properties = properties
            .set_column_dictionary_enabled(ColumnPath::from(column), false)
            .set_column_encoding(ColumnPath::from(column), Encoding::DELTA_BINARY_PACKED)
            .set_column_compression(ColumnPath::from(column), Compression::UNCOMPRESSED);
    }
    properties.build()
}

fn sorting(table: Table) -> Vec<SortingColumn> {
    table
        .sorted_by()
        .iter()
        .filter_map(|name| table.columns().iter().position(|column| column.name == *name))
        .filter_map(|place| i32::try_from(place).ok())
        .map(|column_idx| SortingColumn { column_idx, descending: false, nulls_first: true })
        .collect()
}
