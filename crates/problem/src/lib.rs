//! A problem: why something could not be done, as a sentence for a person and an exit code for a script.
//!
//! Each room has errors of its own and says of them, by [`Failure`], which exit code they have and what they may pass
//! with; whoever asked the room gets a [`Problem`]. Nothing here names a room.

use std::{error::Error, fmt, io};

/// An error of a room, as the binary needs to know it.
pub trait Failure: Error + 'static {
    /// 1 to 4, as documented: 1 a bug, 2 usage or configuration, 3 the world refused, 4 the data refused.
    fn exit_code(&self) -> u8;

    /// What it may pass with; `None` where it stays.
    fn awaits(&self) -> Option<Awaited>
    where
        Self: Sized,
    {
        awaits(self)
    }
}

/// What ends a command early.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// 0 to 4. It is 0 only for a reader that had enough ([`Problem::reader_gone`]).
    code: u8,
    /// What was tried, on what, and what to do. Empty where there is nothing to say.
    pub message: String,
    /// What it waits for, where it may pass.
    pub awaits: Option<Awaited>,
}

/// What sort of problem it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProblemKind {
    /// A bug in this program.
    Bug,
    /// Wrong arguments or settings.
    Usage,
    /// The world refused: broker, disk, permission, a directory in use.
    World,
    /// The data refused: corrupt or cut input, failed verification, `--strict`.
    Data,
    /// Whoever read our stdout had enough.
    ReaderGone,
}

/// What a problem may pass with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Awaited {
    /// There was no room on the disk.
    Room,
    /// The object store was away, or had no time.
    Store,
    /// The topic of rejected records took nothing.
    RejectedTopic,
}

impl Problem {
    /// A bug in this program: exit code 1.
    pub fn bug(message: impl Into<String>) -> Problem {
        Problem::answered(1, message)
    }

    /// Wrong arguments or settings: exit code 2.
    pub fn usage(message: impl Into<String>) -> Problem {
        Problem::answered(2, message)
    }

    /// The world refused (broker, disk, permission, a directory in use): exit code 3.
    pub fn world(message: impl Into<String>) -> Problem {
        Problem::answered(3, message)
    }

    /// The data refused (corrupt or cut input, failed verification, `--strict`): exit code 4.
    pub fn data(message: impl Into<String>) -> Problem {
        Problem::answered(4, message)
    }

    /// Whoever read our stdout went away, as `head` does: a success, and nothing to say.
    pub fn reader_gone() -> Problem {
        Problem::answered(0, "")
    }

    /// A problem that another process had, as its answer tells it: the exit code and the sentence.
    pub fn answered(code: u8, message: impl Into<String>) -> Problem {
        Problem { code, message: message.into(), awaits: None }
    }

    /// The same, which may pass.
    #[must_use]
    pub fn awaiting(self, awaited: Awaited) -> Problem {
        Problem { awaits: Some(awaited), ..self }
    }

    /// What sort it is: by this, and never by its exit code, is decided what happens next.
    pub fn kind(&self) -> ProblemKind {
        match self.code {
            0 => ProblemKind::ReaderGone,
            2 => ProblemKind::Usage,
            3 => ProblemKind::World,
            4 => ProblemKind::Data,
            _ => ProblemKind::Bug,
        }
    }

    /// What the process ends with, and what an answer repeats.
    pub fn exit_code(&self) -> u8 {
        self.code
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl<E: Failure> From<E> for Problem {
    /// The error's words and those of its causes, each once: some errors repeat their cause in their own words.
    fn from(error: E) -> Problem {
        let mut message = error.to_string();
        let mut cause = error.source();
        while let Some(inner) = cause {
            let words = inner.to_string();
            if !message.contains(&words) {
                message.push_str(": ");
                message.push_str(&words);
            }
            cause = inner.source();
        }
        Problem { code: error.exit_code(), message, awaits: error.awaits() }
    }
}

/// An error that may pass, on its way through somebody else's code, where its own type is not known any more: whoever
/// gets it back finds the mark among the causes of what it is told.
#[derive(Debug)]
pub struct Passing {
    awaits: Awaited,
    error: Box<dyn Error + Send + Sync>,
}

impl Passing {
    /// Marks `error` as one that may pass.
    pub fn new(awaits: Awaited, error: impl Into<Box<dyn Error + Send + Sync>>) -> Passing {
        Passing { awaits, error: error.into() }
    }
}

impl fmt::Display for Passing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl Error for Passing {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.error)
    }
}

/// What `error` may pass with, if it, or anything that caused it, says so: no room on the disk, or what [`Passing`]
/// says.
pub fn awaits(error: &(dyn Error + 'static)) -> Option<Awaited> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let io = error.downcast_ref::<io::Error>();
        if io.is_some_and(|io| matches!(io.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)) {
            return Some(Awaited::Room);
        }
        if let Some(passing) = error.downcast_ref::<Passing>() {
            return Some(passing.awaits);
        }
        cause = match io.and_then(io::Error::get_ref) {
            // `io::Error::source` skips the error that it wraps.
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        };
    }
    None
}

/// A path as one types it into a shell: for what a sentence asks to be done.
pub fn typed(path: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "_-./=:,+@%".contains(c);
    let path = if path.starts_with('-') && path != "-" { format!("./{path}") } else { path.to_owned() };
    let is_plain = !path.is_empty() && path.chars().all(plain);
    if is_plain { path } else { format!("'{}'", path.replace('\'', "'\\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("reading {path} failed")]
    struct Cut {
        path: &'static str,
        #[source]
        cause: io::Error,
    }

    impl Failure for Cut {
        fn exit_code(&self) -> u8 {
            4
        }
    }

    #[test]
    fn an_error_keeps_its_code_and_names_its_causes_once() {
        let cut = |words| Cut { path: "a.ndjson.gz", cause: io::Error::other(words) };
        let problem = Problem::from(cut("the file ends inside a block"));
        assert_eq!(problem, Problem::data("reading a.ndjson.gz failed: the file ends inside a block"));
        assert_eq!(Problem::from(cut("a.ndjson.gz failed")).message, "reading a.ndjson.gz failed");
    }

    #[test]
    fn what_may_pass_is_seen_through_wrappers_and_its_words_are_told_once() {
        let read = |cause| Problem::from(Cut { path: "a", cause });
        let away = Passing::new(Awaited::Store, "no answer from the store");
        let problem = read(io::Error::other(io::Error::other(away)));
        assert_eq!(problem, Problem::data("reading a failed: no answer from the store").awaiting(Awaited::Store));
        let full = || io::Error::from(io::ErrorKind::StorageFull);
        assert_eq!(read(io::Error::other(full())).awaits, Some(Awaited::Room));
        assert_eq!(read(io::ErrorKind::QuotaExceeded.into()).awaits, Some(Awaited::Room));
        assert_eq!(read(io::ErrorKind::PermissionDenied.into()).awaits, None);
    }

    #[test]
    fn a_path_is_typed_as_a_shell_reads_it() {
        let cases =
            [("a/b-1.ndjson", "a/b-1.ndjson"), ("a b", "'a b'"), ("it's", "'it'\\''s'"), ("-x", "./-x"), ("", "''")];
        for (path, shell) in cases {
            assert_eq!(typed(path), shell);
        }
    }

    #[test]
    fn a_code_is_a_kind_and_an_answer_keeps_it() {
        let kinds =
            [ProblemKind::ReaderGone, ProblemKind::Bug, ProblemKind::Usage, ProblemKind::World, ProblemKind::Data];
        for (code, kind) in (0..).zip(kinds) {
            let problem = Problem::answered(code, "No.");
            assert_eq!((problem.exit_code(), problem.kind()), (code, kind));
        }
        assert_eq!(Problem::answered(3, "No."), Problem::world("No."));
    }
}
