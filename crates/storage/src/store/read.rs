//! A stored file is a whole data file that is read: from the disk, or from an object store in blocks of some MiB, of
//! which the last used are kept. Parquet reads its columns side by side, each in small steps, and a request for each
//! step would be slow and dear.

use super::backend::{Backend, Medium};
use super::error::StoreError;
use bytes::Bytes;
use exporter::{ChunkReader, Length, ParquetError};
use object_store::ObjectStoreExt;
use std::{
    collections::VecDeque,
    fs::File,
    io::{self, BufReader, Read},
    sync::{Arc, Mutex, PoisonError},
};

/// Bytes that one request asks for.
const BLOCK: u64 = if cfg!(test) { 32 } else { 2 << 20 };

/// Blocks that are kept of a file: one for each column of the widest table, and some.
const KEPT: usize = 24;

/// A data file that is read. Its end is where it was when it was opened.
#[derive(Debug)]
pub struct StoredFile(From);

#[derive(Debug)]
enum From {
    Disk(File),
    Objects(Arc<ObjectFile>),
}

#[derive(Debug)]
struct ObjectFile {
    backend: Arc<Backend>,
    path: String,
    len: u64,
    /// Number and bytes of the last used blocks, the last used first.
    kept: Mutex<VecDeque<(u64, Bytes)>>,
}

impl StoredFile {
    /// Opens `path`; `None` where it is absent.
    pub(super) fn open(backend: &Arc<Backend>, path: &str) -> Result<Option<StoredFile>, StoreError> {
        match &backend.medium {
            Medium::Disk(_) => match File::open(backend.path(path)) {
                Ok(file) => Ok(Some(StoredFile(From::Disk(file)))),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(source) => Err(StoreError::Io { doing: "read", path: backend.path(path), source }),
            },
            Medium::Objects { .. } => {
                let location = object_store::path::Path::from(path);
                let meta = match backend.block_on(backend.objects.head(&location)) {
                    Err(object_store::Error::NotFound { .. }) => return Ok(None),
                    other => other.map_err(backend.refused("read", path))?,
                };
                let file = ObjectFile {
                    backend: Arc::clone(backend),
                    path: path.to_owned(),
                    len: meta.size,
                    kept: Mutex::default(),
                };
                Ok(Some(StoredFile(From::Objects(Arc::new(file)))))
            }
        }
    }

    /// Hands all bytes to `take`, in their order, and keeps none. Gives their number.
    pub(crate) fn read_through(&mut self, mut take: impl FnMut(&[u8])) -> io::Result<u64> {
        let mut bytes = 0;
        match &mut self.0 {
            From::Disk(file) => {
                let mut buffer = vec![0; 1 << 17];
                loop {
                    match file.read(&mut buffer) {
                        Ok(0) => return Ok(bytes),
                        Ok(read) => {
                            take(&buffer[..read]);
                            bytes += read as u64;
                        }
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                        Err(error) => return Err(error),
                    }
                }
            }
            From::Objects(file) => {
                while bytes < file.len {
                    let block = file.fetch(bytes / BLOCK)?;
                    take(&block);
                    bytes += block.len() as u64;
                }
                Ok(bytes)
            }
        }
    }
}

impl ObjectFile {
    /// The block of that number, from the backend.
    fn fetch(&self, number: u64) -> io::Result<Bytes> {
        let range = number * BLOCK..((number + 1) * BLOCK).min(self.len);
        let wanted = range.end - range.start;
        let location = object_store::path::Path::from(self.path.as_str());
        let got = self.backend.block_on(self.backend.objects.get_range(&location, range));
        let block = got.map_err(self.backend.refused("read", &self.path)).map_err(io::Error::from)?;
        if block.len() as u64 != wanted {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the object is shorter than it was"));
        }
        Ok(block)
    }

    /// The block of that number, kept or fetched.
    fn block(&self, number: u64) -> io::Result<Bytes> {
        let kept = || self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let known = {
            let mut kept = kept();
            let place = kept.iter().position(|(known, _)| *known == number);
            place.and_then(|place| kept.remove(place))
        };
        let block = match known {
            Some((_, block)) => block,
            None => self.fetch(number)?,
        };
        let mut kept = kept();
        kept.push_front((number, block.clone()));
        kept.truncate(KEPT);
        Ok(block)
    }

    /// What there is from `at` in one block; empty at the end of the file.
    fn piece(&self, at: u64, most: usize) -> io::Result<Bytes> {
        if at >= self.len || most == 0 {
            return Ok(Bytes::new());
        }
        let block = self.block(at / BLOCK)?;
        let from = usize::try_from(at % BLOCK).map_err(io::Error::other)?;
        Ok(block.slice(from..block.len().min(from.saturating_add(most))))
    }

    fn bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        let first = self.piece(start, length)?;
        if first.len() == length {
            return Ok(first);
        }
        let mut bytes = Vec::with_capacity(length);
        bytes.extend_from_slice(&first);
        while bytes.len() < length {
            let piece = self.piece(start + bytes.len() as u64, length - bytes.len())?;
            if piece.is_empty() {
                return Err(ParquetError::EOF(format!("{length} bytes from {start} are beyond its end, {}", self.len)));
            }
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes.into())
    }
}

impl Length for StoredFile {
    fn len(&self) -> u64 {
        match &self.0 {
            From::Disk(file) => Length::len(file),
            From::Objects(file) => file.len,
        }
    }
}

/// Reads on from one place of a [`StoredFile`].
#[derive(Debug)]
pub struct StoredReader(Source);

#[derive(Debug)]
enum Source {
    Disk(BufReader<File>),
    Objects { file: Arc<ObjectFile>, at: u64 },
}

impl Read for StoredReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.0 {
            Source::Disk(file) => file.read(buffer),
            Source::Objects { file, at } => {
                let piece = file.piece(*at, buffer.len())?;
                buffer[..piece.len()].copy_from_slice(&piece);
                *at += piece.len() as u64;
                Ok(piece.len())
            }
        }
    }
}

impl ChunkReader for StoredFile {
    type T = StoredReader;

    fn get_read(&self, start: u64) -> Result<StoredReader, ParquetError> {
        Ok(StoredReader(match &self.0 {
            From::Disk(file) => Source::Disk(file.get_read(start)?),
            From::Objects(file) => Source::Objects { file: Arc::clone(file), at: start },
        }))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        match &self.0 {
            From::Disk(file) => file.get_bytes(start, length),
            From::Objects(file) => file.bytes(start, length),
        }
    }
}
