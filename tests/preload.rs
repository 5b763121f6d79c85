//! A preload is a small library that stands between the binary and one call of the system, and answers it otherwise: a
//! file system that cannot, a call that is held up. Each is a few lines of C, which need no right to trace.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{Need, finish, program};

/// The library of this C, compiled into a folder.
pub(crate) fn preload(folder: &Path, name: &str, source: &str) -> Need<PathBuf> {
    let (compiler, library) = (program("cc")?, folder.join(name).with_extension("so"));
    let mut command = Command::new(compiler);
    command.args(["-shared", "-fPIC", "-x", "c", "-", "-ldl", "-o"]).arg(&library);
    let ran = finish(command, source.as_bytes());
    if ran.code == Some(0) { Ok(library) } else { Err(format!("a C compiler that makes libraries: {}", ran.stderr)) }
}
