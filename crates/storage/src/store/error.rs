//! A store error is a refusal of the world: a path, a permission, no room, an object store that is away. Each names
//! what was tried, and on what.

use problem::{Awaited, Failure, Passing, awaits};
use std::{error::Error, io, path::PathBuf};

/// The world refused something: a path, a permission, room.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A URL of an object store, where object stores were not built in.
    #[error(
        "cannot use {url}: this jauge was built without object stores; build it with `--features object-stores`, or give a folder on a local disk"
    )]
    NotBuilt {
        /// As given.
        url: String,
    },
    /// A URL that names no place.
    #[error("cannot use {url}: {why}; give s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, az://CONTAINER/PREFIX, or a folder")]
    Url {
        /// As given.
        url: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The directory is a file.
    #[error("cannot use {path} as a data directory: it is a file; give a folder", path = path.display())]
    NotAFolder {
        /// As given.
        path: PathBuf,
    },
    /// There is no such directory.
    #[error("there is no data directory {path}: check the path", path = path.display())]
    Absent {
        /// As given.
        path: PathBuf,
    },
    /// A directory that was to be new is not.
    #[error("{path} holds data already ({found}); give a new or empty folder", path = path.display())]
    HoldsData {
        /// The data directory.
        path: PathBuf,
        /// The first thing found in it.
        found: String,
    },
    /// Somebody else holds the directory.
    #[error("another jauge is writing to {path}{holder}; wait for it or stop it", path = path.display())]
    Locked {
        /// The data directory.
        path: PathBuf,
        /// " (process N)", where the lock file tells.
        holder: String,
    },
    /// The file system cannot do what every commit needs.
    #[error(
        "cannot keep a data directory in {path}: its file system {lacks} ({source}); give a folder on another, such as ext4, XFS, Btrfs or APFS (\"File systems\" in docs/operations.md)",
        path = path.display()
    )]
    Unfit {
        /// The data directory, or a folder of it.
        path: PathBuf,
        /// What it lacks, as the end of a sentence.
        lacks: &'static str,
        /// How it refused.
        source: io::Error,
    },
    /// The operating system refused.
    #[error("cannot {doing} {path}: {source}", path = path.display())]
    Io {
        /// What was tried, as a verb.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The object store refused. Its own words are many, so they are no cause that is told beside these.
    #[error("cannot {doing} {path}: {why}", why = why(error))]
    Objects {
        /// What was tried, as a verb.
        doing: &'static str,
        /// On what.
        path: String,
        /// Why not.
        error: object_store::Error,
    },
    /// The object store took a request to create a file, and then could not say whether it is there.
    #[error(
        "cannot tell whether {path} was created, for the object store gave no clear answer in time; the next start finds out"
    )]
    Undecided {
        /// The manifest.
        path: PathBuf,
    },
    /// The object store does not know how to create a file only if it is absent.
    #[error(
        "cannot use {path}: its object store overwrites a file that is to be created only if it is absent (If-None-Match: *), so two writers could not be kept apart; use one that knows this condition",
        path = path.display()
    )]
    Overwrites {
        /// The data directory.
        path: PathBuf,
    },
}

impl StoreError {
    /// Whether there was no room on the disk: wait for room and try again.
    pub fn is_disk_full(&self) -> bool {
        self.awaits() == Some(Awaited::Room)
    }
}

impl Failure for StoreError {
    fn exit_code(&self) -> u8 {
        if matches!(self, StoreError::NotBuilt { .. } | StoreError::Url { .. }) { 2 } else { 3 }
    }

    /// Besides room, an object store that is away or has no time for us, which passes.
    fn awaits(&self) -> Option<Awaited> {
        match self {
            StoreError::Undecided { .. } => Some(Awaited::Store),
            // The error speaks for the one within, and does not name it as its cause.
            StoreError::Objects { error, .. } => awaits(error).or_else(|| Refusal::of(error).awaits()),
            _ => awaits(self),
        }
    }
}

/// On the way through a reader or writer of files, which hands it back as what it was told. What may pass is marked as
/// such, which `io::Error::other` would not do.
impl From<StoreError> for io::Error {
    fn from(error: StoreError) -> io::Error {
        match error.awaits() {
            Some(awaits) => io::Error::other(Passing::new(awaits, error)),
            None => io::Error::other(error),
        }
    }
}

/// Why an object store refuses, as far as one can do something about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    NoCredentials,
    BadCredentials,
    Denied,
    NoBucket,
    /// It answers, but has no time: 503 and the like.
    Busy,
    /// It does not answer.
    Away,
    Other,
}

impl Refusal {
    fn awaits(self) -> Option<Awaited> {
        matches!(self, Refusal::Away | Refusal::Busy).then_some(Awaited::Store)
    }

    /// Much of this is told by the store in words alone.
    fn of(error: &object_store::Error) -> Refusal {
        let text = words(error);
        let says = |parts: &[&str]| parts.iter().any(|part| text.contains(part));
        match error {
            // Where none are set, those of the machine in the cloud are asked for, at addresses that only such a
            // machine can reach.
            _ if says(&["169.254.169.254", "169.254.170.2", "metadata.google.internal", "http://metadata"]) => {
                Refusal::NoCredentials
            }
            _ if says(&["InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "ExpiredToken"]) => {
                Refusal::BadCredentials
            }
            object_store::Error::Unauthenticated { .. } => Refusal::BadCredentials,
            object_store::Error::PermissionDenied { .. } => Refusal::Denied,
            // Of a list they are told in words alone.
            _ if says(&["status code: 401"]) => Refusal::BadCredentials,
            _ if says(&["status code: 403"]) => Refusal::Denied,
            _ if says(&["NoSuchBucket", "bucket does not exist", "ContainerNotFound", "container does not exist"]) => {
                Refusal::NoBucket
            }
            object_store::Error::Generic { .. }
                if says(&["status code: 5", "status code: 429", "SlowDown"]) && !says(&["status code: 501"]) =>
            {
                Refusal::Busy
            }
            object_store::Error::Generic { .. } if awaits(error).is_none() && says(&["HTTP error", "timed out"]) => {
                Refusal::Away
            }
            _ => Refusal::Other,
        }
    }
}

/// The words of an error and of all its causes.
fn words(error: &(dyn Error + 'static)) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        words.push_str(": ");
        words.push_str(&error.to_string());
        cause = error.source();
    }
    words
}

/// Why not, and what to do.
fn why(error: &object_store::Error) -> String {
    const CREDENTIALS: &str = "set those of the environment, such as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY";
    match Refusal::of(error) {
        Refusal::NoCredentials => format!("there are no credentials for the object store; {CREDENTIALS}"),
        Refusal::BadCredentials => format!("the object store does not know the credentials; {CREDENTIALS}"),
        Refusal::Denied => {
            "the object store denies it to these credentials; they need the right to list, read, write and delete \
             under the prefix"
                .to_owned()
        }
        Refusal::NoBucket => {
            "there is no such bucket; make it, or check the URL, the endpoint and the region".to_owned()
        }
        Refusal::Busy => format!("the object store is there but has no time for it, or fails ({})", last_cause(error)),
        Refusal::Away => format!(
            "the object store does not answer ({}); check the endpoint, such as AWS_ENDPOINT, and the network",
            last_cause(error)
        ),
        Refusal::Other => error.to_string(),
    }
}

/// What began it, on one line and not too long.
fn last_cause(error: &(dyn Error + 'static)) -> String {
    let mut last = error;
    while let Some(cause) = last.source() {
        last = cause;
    }
    let line = last.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CommitError;

    fn generic(words: &str) -> object_store::Error {
        object_store::Error::Generic { store: "S3", source: words.to_owned().into() }
    }

    #[test]
    fn no_room_is_seen_through_wrappers() {
        let full = || io::Error::from(io::ErrorKind::StorageFull);
        let wrapped = parquet::errors::ParquetError::External(Box::new(full()));
        assert_eq!(awaits(&wrapped), Some(Awaited::Room));
        assert_eq!(awaits(&io::Error::other(wrapped)), Some(Awaited::Room));
        let error = object_store::Error::Generic { store: "x", source: Box::new(full()) };
        let error = StoreError::Objects { doing: "create", path: String::new(), error };
        assert!(error.is_disk_full() && awaits(&io::Error::from(error)) == Some(Awaited::Room));
        let denied = io::Error::from(io::ErrorKind::PermissionDenied);
        assert!(!StoreError::Io { doing: "create", path: PathBuf::new(), source: denied }.is_disk_full());
    }

    #[test]
    fn a_store_that_is_away_is_told_from_one_that_refuses() {
        let objects = |error| StoreError::Objects { doing: "read", path: "s3://b/p".to_owned(), error };
        let status = "Server returned non-2xx status code: 503 Service Unavailable: <Code>SlowDown</Code>";
        for passing in [status, "HTTP error: error sending request", "HTTP error: operation timed out"] {
            let error = parquet::errors::ParquetError::External(Box::new(io::Error::from(objects(generic(passing)))));
            assert_eq!(awaits(&error), Some(Awaited::Store), "{passing}");
        }
        let undecided = || StoreError::Undecided { path: PathBuf::new() };
        assert_eq!(undecided().awaits(), Some(Awaited::Store));
        assert!(CommitError::Chain(undecided().into()).may_pass());
        assert!(CommitError::Store { number: 1, source: undecided() }.may_pass());
        let cases = [
            (generic("GET http://169.254.169.254/latest: HTTP error"), "no credentials"),
            (generic("status code: 404: <Code>NoSuchBucket</Code>"), "no such bucket"),
            (generic("status code: 403: <Code>SignatureDoesNotMatch</Code>"), "does not know the credentials"),
            (object_store::Error::PermissionDenied { path: "p".into(), source: "403".into() }, "denies it"),
            (generic("status code: 403 Forbidden: <Code>AccessDenied</Code>"), "denies it"),
            (generic("something else"), "something else"),
        ];
        for (error, says) in cases {
            let error = objects(error);
            let told = error.to_string();
            assert!(
                told.contains(says) && told.starts_with("cannot read s3://b/p: ") && !told.contains('\n'),
                "{told}"
            );
            assert!(error.awaits().is_none() && error.exit_code() == 3, "{told}");
        }
    }
}
