//! Rows, the log and the live state as the bytes of one file, and back: tables as Parquet, snapshots as Arrow IPC. What
//! is written to and read from is handed in; no file is opened here.

mod caught;
mod rules;
mod snapshot;
mod tables;

pub use parquet::errors::ParquetError;
pub use parquet::file::reader::{ChunkReader, Length};
pub use rules::SavedRules;
pub use snapshot::{
    Head, PartitionLane, Restored, SNAPSHOT_EXTENSION, SNAPSHOT_FORMAT, SnapshotError, SnapshotReader, write_snapshot,
};
pub use tables::{
    CorrectionRow, LoggedEvent, ON_TIME, PAYLOAD_MAX, Passport, RejectedRow, Table, TableError, TableFile, TableRows,
    TableWriter, airings_by_date, corrections_by_date, merge_logs, minutes_by_date, rejected_by_date, retweets_by_date,
    rows_in, sessions_by_date, sort_events, write_rows,
};
