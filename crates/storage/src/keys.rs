//! The key file: the keys of the pseudonyms, one JSON line each, only ever added to. Whoever holds it can try out which
//! viewer is behind a pseudonym, and without it nobody can: it is made with mode 0600, and one that everybody may read
//! is refused.

mod error;

use crate::private::{PrivateTo, mode_of};
pub use error::KeyError;
use problem::{Awaited, awaits};
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
    /// Why it can only be read, where that is so.
    read_only: Option<io::ErrorKind>,
}

const NO_NEW_KEY: &str = "and a broadcast that is new needs a key in it: name by --keys a file that can be written to, \
    such as a copy of this one with mode 0600; or have one key for all (pseudonyms = \"directory\")";
const NOT_FORGOTTEN: &str = "so no key can be destroyed there: take the broadcast's line out where the file is made";

impl fmt::Debug for KeyFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyFile").field("path", &self.path).field("len", &self.len).finish_non_exhaustive()
    }
}

impl KeyFile {
    /// Opens `path`, making it with mode 0600 if it is absent, cuts a torn last line, and returns the keys in their
    /// order. Of two keys of one broadcast only the first is returned. A file that can only be read will do as long as
    /// nothing is to be changed in it. `alone`: while it is open nobody else can open it like this, for two processes
    /// that add keys at once would give one broadcast two. `tell` is told what was mended.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn open(
        path: &Path,
        alone: bool,
        private_to: PrivateTo,
        tell: &dyn Fn(String),
    ) -> Result<(KeyFile, Vec<Key>), KeyError> {
        let io = |doing| move |source| KeyError::Io { doing, path: path.to_path_buf(), source };
        let is_new = !path.exists();
        let (mut file, read_only) = open_any(path).map_err(|source| match is_new {
            true => KeyError::Absent { path: path.to_path_buf(), source },
            false => io("open")(source),
        })?;
        see_to_mode(path, &file, private_to, tell)?;
        if alone {
            lock_alone(path, &file)?;
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(io("read"))?;
        if read_only.is_some() && serde_json::from_slice::<Line<'_>>(last_line(&bytes)).is_ok() {
            // Nobody adds to it, so a line without its end is one that was written by hand.
            bytes.push(b'\n');
        }
        // A line without its end was not synced, so no commit uses its key.
        let whole = bytes.len() - last_line(&bytes).len();
        if whole < bytes.len() && read_only.is_none() {
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
                is_alone: alone,
                read_only,
            },
            keys,
        ))
    }

    /// Where it is, and why it can only be read, if that is so.
    pub fn read_only(&self) -> Option<(&Path, io::ErrorKind)> {
        self.read_only.map(|why| (&*self.path, why))
    }

    /// Adds keys at the end. They may be used once [`KeyFile::sync`] has returned.
    ///
    /// # Errors
    /// [`KeyError`]; the file is then as it was before, or every later call fails.
    pub fn append(&mut self, keys: &[(Option<&str>, [u8; 16])]) -> Result<(), KeyError> {
        self.refuse_unwritable(NO_NEW_KEY)?;
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
        self.refuse_unwritable(NO_NEW_KEY)?;
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
        self.refuse_unwritable(NOT_FORGOTTEN)?;
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

    fn refuse_unwritable(&self, so: &'static str) -> Result<(), KeyError> {
        let path = || self.path.clone();
        match self.read_only {
            Some(why) => Err(KeyError::ReadOnly { path: path(), why, so }),
            None if self.is_broken => Err(KeyError::Broken { path: path() }),
            None => Ok(()),
        }
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

/// What follows the last line's end.
fn last_line(bytes: &[u8]) -> &[u8] {
    &bytes[bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1)..]
}

/// Opens the file, for reading alone where it cannot be written to; then also why not.
fn open_any(path: &Path) -> io::Result<(File, Option<io::ErrorKind>)> {
    match open_private(path) {
        Ok(file) => Ok((file, None)),
        Err(error) => match (error.kind(), File::open(path)) {
            (why @ (io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem), Ok(file)) => {
                Ok((file, Some(why)))
            }
            _ => Err(error),
        },
    }
}

fn open_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.read(true).write(true).create(true).truncate(false).open(path)
}

fn see_to_mode(path: &Path, file: &File, private_to: PrivateTo, tell: &dyn Fn(String)) -> Result<(), KeyError> {
    let path_buf = || path.to_path_buf();
    let mode = mode_of(file).map_err(|source| KeyError::Io { doing: "open", path: path_buf(), source })?;
    if mode & 0o007 != 0 {
        return Err(KeyError::Open { path: path_buf(), mode });
    }
    let refused = |(mode, source)| KeyError::OfGroup { path: path_buf(), mode, source };
    if let Some(mended) = private_to.keep(file, path, 0o600).map_err(refused)? {
        tell(mended);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use problem::Failure;

    fn open(path: &Path) -> Result<(KeyFile, Vec<Key>), KeyError> {
        KeyFile::open(path, false, PrivateTo::Owner, &drop)
    }

    #[test]
    fn keys_come_back_in_their_order_and_the_first_wins() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys");
        let (mut file, keys) = open(&path).unwrap();
        assert!(keys.is_empty());
        file.append(&[(Some("a\"\n"), [1; 16]), (None, [0; 16])]).unwrap();
        file.append(&[(Some("a\"\n"), [2; 16]), (Some(""), [3; 16])]).unwrap();
        file.sync().unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().next(), Some(r#"{"broadcast_id":"a\"\n","key":"01010101010101010101010101010101"}"#));
        let (_, keys) = open(&path).unwrap();
        assert_eq!(keys, [(Some("a\"\n".to_owned()), [1; 16]), (None, [0; 16]), (Some(String::new()), [3; 16])]);
    }

    #[test]
    fn a_forgotten_key_is_gone_and_the_file_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys");
        let (mut file, _) = open(&path).unwrap();
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
        let (_, keys) = open(&path).unwrap();
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
        let (mut file, _) = open(&path).unwrap();
        file.append(&[(Some("a"), [1; 16])]).unwrap();
        let whole = std::fs::read(&path).unwrap();
        file.append(&[(Some("b"), [2; 16])]).unwrap();
        let both = std::fs::read(&path).unwrap();
        for cut in whole.len()..both.len() {
            std::fs::write(&path, &both[..cut]).unwrap();
            let (mut file, keys) = open(&path).unwrap();
            assert_eq!(keys, [(Some("a".to_owned()), [1; 16])]);
            assert_eq!(std::fs::read(&path).unwrap(), whole);
            file.append(&[(Some("c"), [3; 16])]).unwrap();
            assert_eq!(open(&path).unwrap().1.len(), 2, "cut at {cut}");
        }
    }

    #[test]
    fn a_whole_line_that_is_no_key_is_damage() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys");
        drop(open(&path).unwrap());
        let good = format!("{{\"broadcast_id\":null,\"key\":\"{}\"}}\n", "0".repeat(32));
        for bad in
            ["\n", "{}\n", &good.replace("00\"", "0g\""), &good.replace("00\"", "0\""), &good.replace("\"00", "\"+0")]
        {
            std::fs::write(&path, format!("{good}{bad}{good}")).unwrap();
            let error = open(&path).unwrap_err();
            assert!(matches!(error, KeyError::Damaged { line: 2, .. }), "{bad}: {error}");
            assert_eq!(error.exit_code(), 4);
        }
    }

    #[test]
    fn one_process_adds_keys_at_a_time_where_it_asks_for_that() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys");
        let (held, _) = KeyFile::open(&path, true, PrivateTo::Owner, &drop).unwrap();
        let error = KeyFile::open(&path, true, PrivateTo::Owner, &drop).unwrap_err();
        assert!(error.exit_code() == 3 && error.to_string().contains("another jauge"), "{error}");
        open(&path).unwrap();
        drop(held);
        KeyFile::open(&path, true, PrivateTo::Owner, &drop).unwrap();
    }

    #[test]
    fn one_process_at_a_time_has_it_alone_also_after_a_key_was_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys");
        let (mut file, _) = KeyFile::open(&path, true, PrivateTo::Owner, &drop).unwrap();
        file.append(&[(Some("a"), [1; 16]), (Some("b"), [2; 16])]).unwrap();
        file.sync().unwrap();
        assert!(matches!(KeyFile::open(&path, true, PrivateTo::Owner, &drop), Err(KeyError::InUse { .. })));
        assert!(file.forget("a").unwrap());
        assert!(matches!(KeyFile::open(&path, true, PrivateTo::Owner, &drop), Err(KeyError::InUse { .. })));
        drop(file);
        assert_eq!(KeyFile::open(&path, true, PrivateTo::Owner, &drop).unwrap().1, [(Some("b".to_owned()), [2; 16])]);
    }

    #[cfg(unix)]
    #[test]
    fn it_is_its_owners_alone() {
        use std::{cell::RefCell, os::unix::fs::PermissionsExt};
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys");
        let mode = || std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        let set = |mode| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        drop(open(&path).unwrap());
        assert_eq!(mode(), 0o600);
        let said = RefCell::new(Vec::new());
        let open = |private_to| KeyFile::open(&path, false, private_to, &|text| said.borrow_mut().push(text));
        for group in [0o640, 0o660, 0o610] {
            set(group);
            open(PrivateTo::Group).unwrap();
            assert_eq!((mode(), said.take()), (group, vec![]));
            open(PrivateTo::Owner).unwrap();
            let said = said.take();
            assert!(mode() == 0o600 && said.len() == 1 && said[0].contains(&format!("0{group:o}")), "{said:?}");
        }
        for (everybody, private_to) in [(0o644, PrivateTo::Owner), (0o664, PrivateTo::Group), (0o602, PrivateTo::Group)]
        {
            set(everybody);
            let error = open(private_to).unwrap_err();
            assert!(error.exit_code() == 3 && error.to_string().contains("chmod 600"), "{error}");
            assert_eq!(mode(), everybody, "what everybody could read is not hidden again as if nothing had been");
        }
    }

    #[test]
    fn where_none_can_be_made_that_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let error = open(&dir.path().join("nowhere/keys")).unwrap_err();
        assert!(error.exit_code() == 3 && error.to_string().contains("there is no key file"), "{error}");
    }
}
