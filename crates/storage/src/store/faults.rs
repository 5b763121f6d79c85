//! A fault is something that goes wrong at one step on the disk: the seam by which a test kills, fills or cuts off a
//! data directory at any step of a commit. In the product nothing is set, and a step costs one look at a null pointer.

use std::{fmt, io, path::Path};

/// What a store is about to do to the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// Make a folder.
    MakeFolder,
    /// Create an empty `.part`.
    CreatePart,
    /// Write bytes to a `.part`.
    Write,
    /// Sync a file to the disk.
    SyncFile,
    /// Sync a folder's list of names to the disk.
    SyncFolder,
    /// Create a manifest, if it is absent.
    CreateManifest,
    /// The manifest is made; its reply is on the way. An error here is a lost reply.
    Reply,
    /// Give a file its final name.
    Rename,
    /// Remove a file.
    Remove,
}

/// Decides which steps fail. It is asked before each; an error is taken for the disk's own answer.
pub trait Faults: Send + Sync {
    /// Called before `step` on `path` (absolute; a folder for the folder steps).
    ///
    /// # Errors
    /// Whatever the disk is to answer; the step is then not done.
    fn before(&self, step: Step, path: &Path) -> io::Result<()>;
}

impl fmt::Debug for dyn Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Faults")
    }
}
