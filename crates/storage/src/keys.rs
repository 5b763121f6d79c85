//! The key file: the keys of the pseudonyms, one JSON line each, only ever added to. Whoever holds it can try out which
//! viewer is behind a pseudonym, and without it nobody can: its mode is 0600, and a file that others may read is
//! refused, not mended in silence.

use problem::{Awaited, Failure, awaits};
use serde::{Deserialize, Serialize};
use std::{
    collections::HashSet,
    fmt,
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

/// A key, and the broadcast it is for; `None` is the one key of the directory.
pub type Key = (Option<String>, [u8; 16]);

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
    /// Others may read or write it.
    #[error(
        "the key file {path} has mode {mode:04o}, so others could undo the pseudonyms: chmod 600 {path}",
        path = path.display()
    )]
    Open {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
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

impl KeyError {
    /// Whether there was no room on the disk: nothing was written, and it can be tried again.
    pub fn is_disk_full(&self) -> bool {
        self.awaits() == Some(Awaited::Room)
    }
}

impl Failure for KeyError {
    fn exit_code(&self) -> u8 {
        if matches!(self, KeyError::Damaged { .. }) { 4 } else { 3 }
    }
}

/// One line.
#[derive(Serialize, Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    broadcast_id: Option<std::borrow::Cow<'a, str>>,
    key: String,
}

/// An open key file, at whose end keys are added.
pub struct KeyFile {
    path: PathBuf,
    file: File,
    /// Bytes of whole lines.
    len: u64,
    /// Of these, bytes that are known to be on the disk.
    synced: u64,
    /// The folder's list of names has to be synced, too.
    is_new: bool,
    is_broken: bool,
    /// No other process may open it as this one did.
    is_alone: bool,
}

impl fmt::Debug for KeyFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyFile").field("path", &self.path).field("len", &self.len).finish_non_exhaustive()
    }
}

impl KeyFile {
    /// Opens `path`, making it with mode 0600 if it is absent, cuts a torn last line, and returns the keys in their
    /// order. Of two keys of one broadcast only the first is returned.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn open(path: &Path) -> Result<(KeyFile, Vec<Key>), KeyError> {
        KeyFile::open_if(path, |_| Ok(()))
    }

    /// Opens `path` as [`KeyFile::open`] does, but for this process alone: while it is open nobody else can open it
    /// like this. Two processes that add keys at once would give one broadcast two.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn open_alone(path: &Path) -> Result<(KeyFile, Vec<Key>), KeyError> {
        let (mut file, keys) = KeyFile::open_if(path, |file| lock_alone(path, file))?;
        file.is_alone = true;
        Ok((file, keys))
    }

    fn open_if(path: &Path, may: impl FnOnce(&File) -> Result<(), KeyError>) -> Result<(KeyFile, Vec<Key>), KeyError> {
        let io = |doing| move |source| KeyError::Io { doing, path: path.to_path_buf(), source };
        let is_new = !path.exists();
        let mut file = open_private(path).map_err(io("open"))?;
        refuse_open_mode(path, &file)?;
        may(&file)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(io("read"))?;
        // A line without its end was not synced, so no commit uses its key.
        let whole = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
        if whole < bytes.len() {
            file.set_len(whole as u64).and_then(|()| file.sync_all()).map_err(io("cut the torn last line of"))?;
        }
        let keys = parse(path, &bytes[..whole])?;
        Ok((
            KeyFile {
                path: path.to_path_buf(),
                file,
                len: whole as u64,
                synced: whole as u64,
                is_new,
                is_broken: false,
                is_alone: false,
            },
            keys,
        ))
    }

    /// Adds keys at the end. They may be used once [`KeyFile::sync`] has returned.
    ///
    /// # Errors
    /// [`KeyError`]; the file is then as it was before, or every later call fails.
    pub fn append(&mut self, keys: &[(Option<&str>, [u8; 16])]) -> Result<(), KeyError> {
        self.refuse_broken()?;
        let mut lines = Vec::with_capacity(keys.len() * 96);
        for (broadcast_id, key) in keys {
            let key = format!("{:032x}", u128::from_be_bytes(*key));
            let line = Line { broadcast_id: broadcast_id.map(Into::into), key };
            serde_json::to_writer(&mut lines, &line).expect("a line holds two strings, which JSON can say");
            lines.push(b'\n');
        }
        let end = SeekFrom::Start(self.len);
        if let Err(source) = self.file.seek(end).and_then(|_| self.file.write_all(&lines)) {
            self.is_broken = self.file.set_len(self.len).is_err();
            return Err(KeyError::Io { doing: "write", path: self.path.clone(), source });
        }
        self.len += lines.len() as u64;
        Ok(())
    }

    /// Syncs what was added to the disk.
    ///
    /// # Errors
    /// [`KeyError`]. Where there was no room, what was added is taken off again, so that it can be added anew; after
    /// any other error every later call fails, because what the disk holds is not known.
    pub fn sync(&mut self) -> Result<(), KeyError> {
        self.refuse_broken()?;
        let folder = self.path.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
        let sync_name = || if self.is_new { File::open(folder)?.sync_all() } else { Ok(()) };
        match self.file.sync_all().and_then(|()| sync_name()) {
            Ok(()) => {
                (self.is_new, self.synced) = (false, self.len);
                Ok(())
            }
            Err(source) => {
                // A sync that failed is never repeated on the same bytes: they are written anew.
                self.len = self.synced;
                self.is_broken = awaits(&source) != Some(Awaited::Room) || self.file.set_len(self.len).is_err();
                Err(KeyError::Io { doing: "sync", path: self.path.clone(), source })
            }
        }
    }

    /// Rewrites the file without the keys of `broadcast_id`, durably, and gives whether there was one. What the file
    /// held is overwritten, as far as the disk lets that be done.
    ///
    /// # Errors
    /// [`KeyError`]; the file is then as it was, or without the keys.
    pub fn forget(&mut self, broadcast_id: &str) -> Result<bool, KeyError> {
        self.refuse_broken()?;
        let path = self.path.clone();
        let io = |doing| {
            let path = path.clone();
            move |source| KeyError::Io { doing, path, source }
        };
        let mut bytes = Vec::new();
        self.file.rewind().and_then(|()| self.file.read_to_end(&mut bytes)).map_err(io("read"))?;
        let mut kept = Vec::with_capacity(bytes.len());
        for (at, line) in bytes.split_inclusive(|b| *b == b'\n').enumerate() {
            let damaged = |_| KeyError::Damaged { path: path.clone(), line: at + 1 };
            let parsed: Line<'_> = serde_json::from_slice(line).map_err(damaged)?;
            if parsed.broadcast_id.as_deref() != Some(broadcast_id) {
                kept.extend_from_slice(line);
            }
        }
        if kept.len() == bytes.len() {
            return Ok(false);
        }
        let mut new_path = path.clone().into_os_string();
        new_path.push(".new");
        let new_path = PathBuf::from(new_path);
        // A crash may have left one, with whatever mode.
        if let Err(source) = std::fs::remove_file(&new_path)
            && source.kind() != io::ErrorKind::NotFound
        {
            return Err(io("write")(source));
        }
        let mut new = open_private(&new_path).map_err(io("write"))?;
        new.write_all(&kept).and_then(|()| new.sync_all()).map_err(io("write"))?;
        if self.is_alone {
            lock_alone(&path, &new)?;
        }
        std::fs::rename(&new_path, &path).map_err(io("replace"))?;
        let mut old = std::mem::replace(&mut self.file, new);
        (self.len, self.synced) = (kept.len() as u64, kept.len() as u64);
        self.is_new = true;
        self.sync()?;
        bytes.fill(0);
        // Nothing has this name any more, and a disk that keeps old blocks keeps them anyway.
        let _ = old.rewind().and_then(|()| old.write_all(&bytes)).and_then(|()| old.sync_all());
        Ok(true)
    }

    fn refuse_broken(&self) -> Result<(), KeyError> {
        if self.is_broken { Err(KeyError::Broken { path: self.path.clone() }) } else { Ok(()) }
    }
}

fn lock_alone(path: &Path, file: &File) -> Result<(), KeyError> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(KeyError::InUse { path: path.to_path_buf() }),
        Err(TryLockError::Error(source)) => Err(KeyError::Io { doing: "lock", path: path.to_path_buf(), source }),
    }
}

fn parse(path: &Path, bytes: &[u8]) -> Result<Vec<Key>, KeyError> {
    let mut keys = Vec::new();
    let mut seen = HashSet::new();
    for (at, line) in bytes.split_inclusive(|b| *b == b'\n').enumerate() {
        let damaged = || KeyError::Damaged { path: path.to_path_buf(), line: at + 1 };
        let line: Line<'_> = serde_json::from_slice(line).map_err(|_| damaged())?;
        let is_hex = line.key.len() == 32 && line.key.bytes().all(|b| b.is_ascii_hexdigit());
        let key = u128::from_str_radix(&line.key, 16).ok().filter(|_| is_hex).ok_or_else(damaged)?;
        let broadcast_id = line.broadcast_id.map(std::borrow::Cow::into_owned);
        if seen.insert(broadcast_id.clone()) {
            keys.push((broadcast_id, key.to_be_bytes()));
        }
    }
    Ok(keys)
}

#[cfg(unix)]
fn open_private(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

#[cfg(unix)]
fn refuse_open_mode(path: &Path, file: &File) -> Result<(), KeyError> {
    use std::os::unix::fs::PermissionsExt;
    let meta = file.metadata();
    let meta = meta.map_err(|source| KeyError::Io { doing: "open", path: path.to_path_buf(), source })?;
    let mode = meta.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 { Err(KeyError::Open { path: path.to_path_buf(), mode }) } else { Ok(()) }
}

#[cfg(not(unix))]
fn open_private(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)
}

#[cfg(not(unix))]
fn refuse_open_mode(_: &Path, _: &File) -> Result<(), KeyError> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_back_in_their_order_and_the_first_wins() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys");
        let (mut file, keys) = KeyFile::open(&path).unwrap();
        assert!(keys.is_empty());
        file.append(&[(Some("a\"\n"), [1; 16]), (None, [0; 16])]).unwrap();
        file.append(&[(Some("a\"\n"), [2; 16]), (Some(""), [3; 16])]).unwrap();
        file.sync().unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().next(), Some(r#"{"broadcast_id":"a\"\n","key":"01010101010101010101010101010101"}"#));
        let (_, keys) = KeyFile::open(&path).unwrap();
        assert_eq!(keys, [(Some("a\"\n".to_owned()), [1; 16]), (None, [0; 16]), (Some(String::new()), [3; 16])]);
    }

    #[test]
    fn a_forgotten_key_is_gone_and_the_file_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys");
        let (mut file, _) = KeyFile::open(&path).unwrap();
        file.append(&[(Some("a"), [1; 16]), (Some("b"), [2; 16]), (None, [3; 16]), (Some("a"), [4; 16])]).unwrap();
        file.sync().unwrap();
        let before = std::fs::read(&path).unwrap();
        std::fs::write(dir.path().join("keys.new"), "left by a crash, and longer than what comes".repeat(9)).unwrap();
        std::fs::hard_link(&path, dir.path().join("old")).unwrap();
        assert!(!file.forget("c").unwrap());
        assert_eq!(std::fs::read(&path).unwrap(), before);
        assert!(file.forget("a").unwrap());
        assert!(!file.forget("a").unwrap());
        file.append(&[(Some("a"), [5; 16])]).unwrap();
        file.sync().unwrap();
        let (_, keys) = KeyFile::open(&path).unwrap();
        assert_eq!(keys, [(Some("b".to_owned()), [2; 16]), (None, [3; 16]), (Some("a".to_owned()), [5; 16])]);
        assert_eq!(std::fs::read(dir.path().join("old")).unwrap(), vec![0; before.len()]);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2, "nothing beside it is left");
    }

    #[test]
    fn a_torn_last_line_is_cut_wherever_it_tore() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys");
        let (mut file, _) = KeyFile::open(&path).unwrap();
        file.append(&[(Some("a"), [1; 16])]).unwrap();
        let whole = std::fs::read(&path).unwrap();
        file.append(&[(Some("b"), [2; 16])]).unwrap();
        let both = std::fs::read(&path).unwrap();
        for cut in whole.len()..both.len() {
            std::fs::write(&path, &both[..cut]).unwrap();
            let (mut file, keys) = KeyFile::open(&path).unwrap();
            assert_eq!(keys, [(Some("a".to_owned()), [1; 16])]);
            assert_eq!(std::fs::read(&path).unwrap(), whole);
            file.append(&[(Some("c"), [3; 16])]).unwrap();
            assert_eq!(KeyFile::open(&path).unwrap().1.len(), 2, "cut at {cut}");
        }
    }

    #[test]
    fn a_whole_line_that_is_no_key_is_damage() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys");
        drop(KeyFile::open(&path).unwrap());
        let good = format!("{{\"broadcast_id\":null,\"key\":\"{}\"}}\n", "0".repeat(32));
        for bad in
            ["\n", "{}\n", &good.replace("00\"", "0g\""), &good.replace("00\"", "0\""), &good.replace("\"00", "\"+0")]
        {
            std::fs::write(&path, format!("{good}{bad}{good}")).unwrap();
            let error = KeyFile::open(&path).unwrap_err();
            assert!(matches!(error, KeyError::Damaged { line: 2, .. }), "{bad}: {error}");
            assert_eq!(error.exit_code(), 4);
        }
    }

    #[test]
    fn one_process_adds_keys_at_a_time_where_it_asks_for_that() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys");
        let (held, _) = KeyFile::open_alone(&path).unwrap();
        let error = KeyFile::open_alone(&path).unwrap_err();
        assert!(error.exit_code() == 3 && error.to_string().contains("another jauge"), "{error}");
        KeyFile::open(&path).unwrap();
        drop(held);
        KeyFile::open_alone(&path).unwrap();
    }

    #[test]
    fn one_process_at_a_time_has_it_alone_also_after_a_key_was_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys");
        let (mut file, _) = KeyFile::open_alone(&path).unwrap();
        file.append(&[(Some("a"), [1; 16]), (Some("b"), [2; 16])]).unwrap();
        file.sync().unwrap();
        assert!(matches!(KeyFile::open_alone(&path), Err(KeyError::InUse { .. })));
        assert!(file.forget("a").unwrap());
        assert!(matches!(KeyFile::open_alone(&path), Err(KeyError::InUse { .. })));
        drop(file);
        assert_eq!(KeyFile::open_alone(&path).unwrap().1, [(Some("b".to_owned()), [2; 16])]);
    }

    #[cfg(unix)]
    #[test]
    fn it_is_its_owners_alone() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys");
        drop(KeyFile::open(&path).unwrap());
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        let error = KeyFile::open(&path).unwrap_err();
        assert_eq!(error.exit_code(), 3);
        assert!(error.to_string().contains("chmod 600"), "{error}");
    }
}
