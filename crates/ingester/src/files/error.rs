//! What can be wrong with an input file.

use problem::{Failure, in_shell};
use std::io;
use std::path::PathBuf;

/// Why a file could not be read. Each message names the file as it was given, and the place.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// It cannot be opened: it is missing, or may not be read.
    #[error("cannot open {path}: {source}. Check the name and the permissions.")]
    Open {
        /// The path as it was given.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// It is a folder.
    #[error("{} is a folder; name its files, for example {}/*.ndjson", path.display(), in_shell(path))]
    Folder {
        /// The path as it was given.
        path: PathBuf,
    },
    /// `-` was given more than once.
    #[error(
        "`-` stands for standard input, which can be read only once; it was given more than once. Other pipes have names of their own: jauge replay <(zcat a.gz) <(zcat b.gz)"
    )]
    StdinTwice,
    /// Two names of one pipe.
    #[error("{path} and {other} are the same pipe, whose bytes come only once: name it once.")]
    PipeTwice {
        /// The path as it was given.
        path: String,
        /// The other one.
        other: String,
    },
    /// The system failed to read it.
    #[error("cannot read {path} at byte {offset}: {source}.")]
    Read {
        /// The path as it was given.
        path: String,
        /// The byte of the file, as it is stored, from which it was to be read.
        offset: u64,
        /// What the system said.
        source: io::Error,
    },
    /// It became shorter while it was read.
    #[error(
        "{path} had {expected} bytes when it was opened and ends at byte {found} now: it was cut while being read. Read it again when nobody writes to it."
    )]
    Shrunk {
        /// The path as it was given.
        path: String,
        /// Its size when it was opened, in bytes.
        expected: u64,
        /// Where it ends now.
        found: u64,
    },
    /// Its compressed data is corrupt, or ends too early.
    #[error("{path} is a damaged {format} file: {reason} after {offset} uncompressed bytes. Get a whole copy of it.")]
    Corrupt {
        /// The path as it was given.
        path: String,
        /// `gzip` or `zstd`.
        format: &'static str,
        /// Uncompressed bytes that could be had before.
        offset: u64,
        /// What the decompressor said.
        reason: String,
    },
}

impl Failure for InputError {
    fn exit_code(&self) -> u8 {
        match self {
            InputError::StdinTwice | InputError::PipeTwice { .. } => 2,
            InputError::Open { .. }
            | InputError::Folder { .. }
            | InputError::Read { .. }
            | InputError::Shrunk { .. } => 3,
            InputError::Corrupt { .. } => 4,
        }
    }
}
