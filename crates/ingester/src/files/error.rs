//! What can be wrong with an input file.

use super::foreign::Foreign;
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
    /// It is whole, but nothing that is read here: another program has to make lines of it.
    #[error("{path} {what}. {way}")]
    Foreign {
        /// The path as it was given.
        path: String,
        /// What it is, as a verb: "is a zip archive".
        what: String,
        /// What to do, as a sentence.
        way: String,
    },
}

impl InputError {
    /// That `path` is foreign, or, where `outer` is the command that unpacks it, what is inside.
    pub(super) fn foreign(path: &str, foreign: &Foreign, outer: Option<&str>) -> InputError {
        let (file, is_stdin) = (in_shell(path), path == "-");
        let command = match (outer, is_stdin) {
            (None, false) => foreign.from_file.map(|command| format!("{command} {file}")),
            (None, true) => foreign.from_pipe.map(|command| format!("… | {command}")),
            (Some(outer), false) => foreign.from_pipe.map(|command| format!("{outer} {file} | {command}")),
            (Some(outer), true) => foreign.from_pipe.map(|command| format!("… | {outer} | {command}")),
        };
        let way = command.map_or_else(
            || "Make lines of JSON of it first, or gzip or zstd of such lines; docs/events.md shows how.".to_owned(),
            |command| format!("Read it through a pipe: {command} | jauge replay - --out DIR"),
        );
        let inside = if outer.is_some() { "holds what " } else { "" };
        InputError::Foreign { path: path.to_owned(), what: format!("{inside}{foreign}"), way }
    }
}

impl Failure for InputError {
    fn exit_code(&self) -> u8 {
        match self {
            InputError::StdinTwice | InputError::PipeTwice { .. } => 2,
            InputError::Open { .. }
            | InputError::Folder { .. }
            | InputError::Read { .. }
            | InputError::Shrunk { .. } => 3,
            InputError::Corrupt { .. } | InputError::Foreign { .. } => 4,
        }
    }
}
