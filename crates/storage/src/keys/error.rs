//! A key error is a key file that cannot be used, or not as is needed: each says what was tried, and what to do.

use problem::{Failure, in_shell};
use std::{io, path::PathBuf};

/// The key file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The operating system refused.
    #[error("cannot {doing} the key file {path}: {source}", path = path.display())]
    Io {
        /// What was tried, as a verb.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// There is none, and none can be made.
    #[error(
        "there is no key file {path}, and none can be made ({source}): name one by --keys in a folder that is there and can be written to",
        path = path.display()
    )]
    Absent {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Everybody may read or write it.
    #[error(
        "the key file {path} has mode {mode:04o}, so others could undo the pseudonyms: chmod 600 {in_shell}, and ask who has read it (a Kubernetes Secret: defaultMode: 0440)",
        path = path.display(),
        in_shell = in_shell(path)
    )]
    Open {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// Its group may read it, which was not chosen, and that is not ours to change.
    #[error(
        "the key file {path} has mode {mode:04o}, so its group could undo the pseudonyms, and that cannot be changed ({source}): set private_to = \"group\" if it is as it should be (a Kubernetes Secret, or fsGroup), or have its owner chmod 600 it",
        path = path.display()
    )]
    OfGroup {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
        /// Why not.
        source: io::Error,
    },
    /// It had to be changed and can only be read.
    #[error("the key file {path} can only be read ({why}), {so}", path = path.display())]
    ReadOnly {
        /// The file.
        path: PathBuf,
        /// Why it cannot be written to.
        why: io::ErrorKind,
        /// What cannot be done, and what to do.
        so: &'static str,
    },
    /// Another process adds keys to it.
    #[error("another jauge uses the key file {path}; wait for it or stop it", path = path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// A whole line is no key.
    #[error("line {line} of the key file {path} is no key: restore the file from a copy", path = path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
    },
    /// An earlier append or sync failed, so what the file holds is not known.
    #[error(
        "the key file {path} could not be written before: start again, so that it is read anew",
        path = path.display()
    )]
    Broken {
        /// The file.
        path: PathBuf,
    },
}

impl Failure for KeyError {
    fn exit_code(&self) -> u8 {
        if matches!(self, KeyError::Damaged { .. }) { 4 } else { 3 }
    }
}
