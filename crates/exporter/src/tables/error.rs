//! A table error: a file that could not be written, or that is not what its table says.

use super::Table;
use parquet::errors::ParquetError;
use problem::Failure;
use std::io;

/// What can go wrong between rows and the bytes of a file.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// The place written to or read from refused.
    #[error(
        "cannot {verb} {file} (table {table}): {source}; free or repair the disk or store it lies on, then start again"
    )]
    Io {
        /// `read` or `write`.
        verb: &'static str,
        /// The file, as the caller named it.
        file: String,
        /// Its table.
        table: Table,
        /// What the place said.
        source: io::Error,
    },
    /// The bytes are no Parquet file, or a cut or damaged one.
    #[error("{file} (table {table}) is no whole Parquet file: {what}; put back a sound copy of it")]
    Corrupt {
        /// The file, as the caller named it.
        file: String,
        /// The table that it should hold.
        table: Table,
        /// What the decoder said.
        what: String,
    },
    /// A column of the table is not in the file.
    #[error(
        "{file} has no column {column}, which every file of table {table} has; it was not written by jauge, \
         or by a version that is not known here"
    )]
    MissingColumn {
        /// The file, as the caller named it.
        file: String,
        /// The table that it should hold.
        table: Table,
        /// The column.
        column: &'static str,
    },
    /// A column has another type than its own.
    #[error(
        "column {column} of {file} (table {table}) is {found} where it should be {expected}; \
         the file was not written by jauge"
    )]
    ColumnType {
        /// The file, as the caller named it.
        file: String,
        /// The table that it should hold.
        table: Table,
        /// The column.
        column: &'static str,
        /// Its type by the contract.
        expected: String,
        /// Its type in the file.
        found: String,
    },
    /// A cell holds what its column cannot hold.
    #[error("row {row} of {file} (table {table}) has {what} in column {column}; put back a sound copy of the file")]
    Value {
        /// The file, as the caller named it.
        file: String,
        /// The table that it should hold.
        table: Table,
        /// The column.
        column: &'static str,
        /// The row, counted from 0.
        row: u64,
        /// What is there.
        what: String,
    },
    /// Rows and their file or their strings do not belong together: a mistake of the caller.
    #[error("cannot encode rows of table {table}: {what}; this is a bug in jauge")]
    Bug {
        /// The table.
        table: Table,
        /// What does not fit.
        what: String,
    },
}

impl Failure for TableError {
    fn exit_code(&self) -> u8 {
        match self {
            TableError::Io { .. } => 3,
            TableError::Corrupt { .. }
            | TableError::MissingColumn { .. }
            | TableError::ColumnType { .. }
            | TableError::Value { .. } => 4,
            TableError::Bug { .. } => 1,
        }
    }
}

impl TableError {
    pub(super) fn bug(table: Table, what: impl Into<String>) -> TableError {
        TableError::Bug { table, what: what.into() }
    }

    /// Encoding fails only where the place written to does, or by a bug.
    pub(super) fn of_write(table: Table, error: ParquetError) -> TableError {
        match io_error(error) {
            Ok(source) => TableError::Io { verb: "write", file: format!("a new {table} file"), table, source },
            Err(error) => TableError::bug(table, error.to_string()),
        }
    }

    /// A file that ends too early is a fault of the data, not of the disk.
    pub(super) fn of_read(file: &str, table: Table, error: ParquetError) -> TableError {
        let file = file.to_owned();
        match io_error(error) {
            Ok(source) if source.kind() != io::ErrorKind::UnexpectedEof => {
                TableError::Io { verb: "read", file, table, source }
            }
            Ok(source) => TableError::Corrupt { file, table, what: source.to_string() },
            Err(error) => TableError::Corrupt { file, table, what: error.to_string() },
        }
    }
}

fn io_error(error: ParquetError) -> Result<io::Error, ParquetError> {
    match error {
        ParquetError::External(inner) => match inner.downcast::<io::Error>() {
            Ok(source) => Ok(*source),
            Err(inner) => Err(ParquetError::External(inner)),
        },
        other => Err(other),
    }
}
