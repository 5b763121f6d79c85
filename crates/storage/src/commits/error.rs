//! A chain error: the commits of a data directory cannot be read, or are not what was written.

use super::manifest::CONTRACT;
use crate::store::StoreError;
use problem::{Awaited, Failure};
use std::{fmt, path::PathBuf};

/// The first thing that is wrong with a data directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The file, relative to the data directory.
    pub place: String,
    /// What is wrong with it, as the end of a sentence that begins with the place.
    pub what: String,
    /// What to do, as the end of a sentence.
    pub advice: &'static str,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.place, self.what)
    }
}

/// A chain that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ChainError {
    /// The world refused.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// The data is not what was written.
    #[error("the data directory is damaged: {0}; {advice}", advice = .0.advice)]
    Damaged(Damage),
    /// An earlier version of the contract made it.
    #[error(
        "{dir} is of version {contract} of the contract, and events are counted by version {CONTRACT} now, so nothing in it is changed: \
         replay its topic or its files into a new directory. `jauge show` and `jauge verify` still read it as what it is",
        dir = .dir.display()
    )]
    Older {
        /// The data directory.
        dir: PathBuf,
        /// Its version.
        contract: u32,
    },
    /// A newer version wrote it.
    #[error("{path} was written by jauge {version} ({why}); use that version or a newer one")]
    Newer {
        /// The manifest.
        path: String,
        /// The version of the product that wrote it.
        version: String,
        /// What this version cannot read.
        why: String,
    },
}

impl ChainError {
    pub(crate) fn damaged(place: &str, what: impl Into<String>) -> ChainError {
        ChainError::unlike(place, what, "restore it from a copy, or start a new one")
    }

    /// Damage that has an advice of its own.
    pub(crate) fn unlike(place: &str, what: impl Into<String>, advice: &'static str) -> ChainError {
        ChainError::Damaged(Damage { place: place.to_owned(), what: what.into(), advice })
    }
}

impl Failure for ChainError {
    fn exit_code(&self) -> u8 {
        match self {
            ChainError::Store(error) => error.exit_code(),
            ChainError::Damaged(_) => 4,
            ChainError::Older { .. } | ChainError::Newer { .. } => 3,
        }
    }

    fn awaits(&self) -> Option<Awaited> {
        match self {
            ChainError::Store(error) => error.awaits(),
            ChainError::Damaged(_) | ChainError::Older { .. } | ChainError::Newer { .. } => None,
        }
    }
}
