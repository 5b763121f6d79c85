//! A table is a kind of row with its columns, their order and types, kept as Parquet files: this module turns rows into the bytes
//! of one file, and back. It opens no file and knows no folder; what it writes to and reads from is handed in.

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
pub use read::TableFile;
pub use rejected::{PAYLOAD_MAX, RejectedRow};
pub use write::{Rows, TableWriter, write_rows};

use std::fmt;

/// The eight tables of a data directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Table {
    /// One row an airing, written when it settles.
    Airings,
    /// The settled curve, one row a minute of an airing.
    Minutes,
    /// One row a session.
    Sessions,
    /// One row a retweet that counts.
    Retweets,
    /// The live curve: the columns of [`Table::Minutes`], written as each minute closes.
    Live,
    /// Events that could not be used, with their place and reason.
    Rejected,
    /// The log: every accepted event.
    Events,
    /// The correction ledger: one row a minute that an operator's `settle` moved.
    Corrections,
}

impl Table {
    /// All tables, in the contract's order.
    pub const ALL: [Table; 8] = [
        Table::Airings,
        Table::Minutes,
        Table::Sessions,
        Table::Retweets,
        Table::Live,
        Table::Rejected,
        Table::Events,
        Table::Corrections,
    ];

    /// The table's name, which is also that of its folder.
    pub const fn name(self) -> &'static str {
        match self {
            Table::Airings => "airings",
            Table::Minutes => "minutes",
            Table::Sessions => "sessions",
            Table::Retweets => "retweets",
            Table::Live => "live",
            Table::Rejected => "rejected",
            Table::Events => "events",
            Table::Corrections => "corrections",
        }
    }

    /// The table of a name; `None` where there is none of it.
    pub fn of_name(name: &str) -> Option<Table> {
        Table::ALL.into_iter().find(|table| table.name() == name)
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
