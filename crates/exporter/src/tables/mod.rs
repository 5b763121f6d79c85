//! A table is a kind of row with its columns, their order and types, kept as Parquet files: this module turns rows into
//! the bytes of one file, and back. It opens no file and knows no folder; what it writes to and reads from is handed
//! in.

mod airings;
mod chunk;
mod columns;
mod corrections;
mod dates;
mod error;
mod events;
mod footer;
mod hybrid;
mod merged;
mod minutes;
mod passport;
mod read;
mod rejected;
mod retweets;
mod row_group;
mod schema;
mod sessions;
mod stays;
mod tail;
#[cfg(test)]
mod tests;
mod write;

pub use corrections::CorrectionRow;
pub use dates::{
    airings_by_date, corrections_by_date, minutes_by_date, rejected_by_date, retweets_by_date, sessions_by_date,
    sort_events,
};
pub use error::TableError;
pub use events::{LoggedEvent, ON_TIME};
pub use merged::merge_logs;
pub use passport::Passport;
pub use read::{TableFile, rows_in};
pub use rejected::{PAYLOAD_MAX, RejectedRow};
pub use schema::Table;
pub use write::{TableRows, TableWriter, write_rows};
