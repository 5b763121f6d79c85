//! A problem: why a command could not do what it was asked to, as a sentence for a person and an exit code for a script.

use std::fmt;

/// The exit code of a problem, as documented: 0 done, 1 a bug, 2 usage or configuration, 3 the world refused, 4 the data refused.
pub(crate) trait ExitCode: std::error::Error {
    /// 1 to 4.
    fn exit_code(&self) -> u8;
}

/// What ends a command early.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    /// 0 to 4. It is 0 only for a reader that had enough ([`Problem::reader_gone`]).
    pub(crate) code: u8,
    /// What was tried, on what, and what to do. Empty where there is nothing to say.
    pub(crate) message: String,
    /// What it waits for, where it may pass.
    pub(crate) awaits: Option<Awaited>,
}

/// What a problem may pass with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Awaited {
    /// There was no room on the disk.
    Room,
    /// The object store was away, or had no time.
    Store,
    /// The topic of rejected records took nothing.
    RejectedTopic,
}

impl Problem {
    /// A bug in this program: exit code 1.
    pub(crate) fn bug(message: impl Into<String>) -> Problem {
        Problem { code: 1, message: message.into(), awaits: None }
    }

    /// Wrong arguments or settings: exit code 2.
    pub(crate) fn usage(message: impl Into<String>) -> Problem {
        Problem { code: 2, message: message.into(), awaits: None }
    }

    /// The world refused (broker, disk, permission, a directory in use): exit code 3.
    pub(crate) fn world(message: impl Into<String>) -> Problem {
        Problem { code: 3, message: message.into(), awaits: None }
    }

    /// The data refused (corrupt or cut input, failed verification, `--strict`): exit code 4.
    pub(crate) fn data(message: impl Into<String>) -> Problem {
        Problem { code: 4, message: message.into(), awaits: None }
    }

    /// Whoever read our stdout went away, as `head` does: a success, and nothing to say.
    pub(crate) fn reader_gone() -> Problem {
        Problem { code: 0, message: String::new(), awaits: None }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl<E: ExitCode + 'static> From<E> for Problem {
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
        let awaits = match &error {
            error if exporter::disk_is_full(error) => Some(Awaited::Room),
            error if exporter::store_is_away(error) => Some(Awaited::Store),
            _ => None,
        };
        Problem { code: error.exit_code(), message, awaits }
    }
}

/// Errors of the rooms below know their own exit codes.
macro_rules! exit_codes {
    ($($error:ty),* $(,)?) => {$(
        impl ExitCode for $error {
            fn exit_code(&self) -> u8 {
                <$error>::exit_code(self)
            }
        }
    )*};
}

exit_codes!(
    storage::ChainError,
    storage::CommitError,
    storage::KeyError,
    settling::SpillError,
    storage::StoreError,
    exporter::TableError,
    ingester::files::InputError,
    ingester::kafka::KafkaError,
);

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("reading {path} failed")]
    struct Cut {
        path: &'static str,
        #[source]
        cause: std::io::Error,
    }

    impl ExitCode for Cut {
        fn exit_code(&self) -> u8 {
            4
        }
    }

    #[test]
    fn an_error_keeps_its_code_and_names_its_causes_once() {
        let cut = |words| Cut { path: "a.ndjson.gz", cause: std::io::Error::other(words) };
        let problem = Problem::from(cut("the file ends inside a block"));
        assert_eq!(problem, Problem::data("reading a.ndjson.gz failed: the file ends inside a block"));
        assert_eq!(Problem::from(cut("a.ndjson.gz failed")).message, "reading a.ndjson.gz failed");
    }
}
