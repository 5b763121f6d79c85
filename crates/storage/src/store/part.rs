//! A part is a data file on its way into a backend. On a disk it lies in the folder `parts`, synced when it is whole
//! and renamed once a manifest names it. An object store cannot rename: there it is an upload under its final name,
//! which is not there until it is whole.

use super::backend::{Backend, Medium};
use super::{error::StoreError, faults::Step};
use object_store::{MultipartUpload, ObjectStoreExt, PutPayload};
use std::{
    fs::File,
    io::{self, Write},
    mem,
    sync::Arc,
};

/// Bytes that are sent at once: over the 5 MiB that S3 asks of each piece but the last, the same for all as R2 asks,
/// and with 10,000 pieces good for 80 GiB.
const PIECE: usize = if cfg!(test) { 64 } else { 8 << 20 };

/// A file that is written.
#[derive(Debug)]
pub(crate) struct FilePart {
    backend: Arc<Backend>,
    /// The name under which it lies there.
    path: String,
    bytes: u64,
    to: To,
}

#[derive(Debug)]
enum To {
    Disk(File),
    Objects {
        /// Not sent yet; less than a [`PIECE`].
        piece: Vec<u8>,
        /// Begun with the first whole piece: a smaller file goes in one request.
        upload: Option<Box<dyn MultipartUpload>>,
    },
}

impl FilePart {
    /// Begins the file that lies at `path` until a manifest names it, which must be absent.
    pub(super) fn create(backend: &Arc<Backend>, path: String) -> Result<FilePart, StoreError> {
        let to = match &backend.medium {
            Medium::Disk(disk) => To::Disk(disk.create(&path)?),
            Medium::Objects { .. } => To::Objects { piece: Vec::new(), upload: None },
        };
        Ok(FilePart { backend: Arc::clone(backend), path, bytes: 0, to })
    }

    /// Makes the file durable. After an error it must be discarded and written anew: what failed to sync is never
    /// synced again.
    pub(crate) fn finish(&mut self) -> Result<(), StoreError> {
        match &mut self.to {
            To::Disk(file) => match &self.backend.medium {
                Medium::Disk(disk) => disk.sync_file(file, &self.path),
                Medium::Objects { .. } => Ok(()),
            },
            To::Objects { piece, upload } => {
                let location = object_store::path::Path::from(self.path.as_str());
                let rest = PutPayload::from(mem::take(piece));
                let backend = &self.backend;
                let done = backend.block_on(async {
                    match upload {
                        None => backend.objects.put(&location, rest).await.map(|_| ()),
                        Some(upload) => {
                            if rest.content_length() > 0 {
                                upload.put_part(rest).await?;
                            }
                            upload.complete().await.map(|_| ())
                        }
                    }
                });
                // The reply may have been lost, and a second request to complete an upload finds none. No other file
                // has this name.
                let is_whole = || {
                    let head = backend.block_on(backend.objects.head(&location));
                    head.is_ok_and(|meta| meta.size == self.bytes)
                };
                match done {
                    Err(error) if !is_whole() => Err(backend.refused("write", &self.path)(error)),
                    _ => {
                        *upload = None;
                        Ok(())
                    }
                }
            }
        }
    }

    /// Removes what there is of it, as far as that can be done: what stays is no data, and a next owner removes it.
    pub(crate) fn discard(self) {
        match self.to {
            To::Disk(file) => {
                drop(file);
                let _ = self.backend.remove(&self.path);
            }
            To::Objects { upload: Some(mut upload), .. } => {
                let _ = self.backend.block_on(upload.abort());
            }
            To::Objects { .. } => {
                let _ = self.backend.remove(&self.path);
            }
        }
    }
}

impl Write for FilePart {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let backend = &self.backend;
        let written = match &mut self.to {
            To::Disk(file) => {
                let place = backend.path(&self.path);
                // Whoever encodes into this writer does not know where it leads, and a person must.
                let placed = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", place.display()));
                backend.fault(Step::Write, &place).map_err(placed)?;
                file.write(buf).map_err(placed)?
            }
            To::Objects { piece, upload } => {
                let written = buf.len().min(PIECE - piece.len());
                piece.extend_from_slice(&buf[..written]);
                if piece.len() == PIECE {
                    let location = object_store::path::Path::from(self.path.as_str());
                    let whole = PutPayload::from(mem::take(piece));
                    let sent = backend.block_on(async {
                        if upload.is_none() {
                            *upload = Some(backend.objects.put_multipart(&location).await?);
                        }
                        match upload {
                            Some(upload) => upload.put_part(whole).await,
                            None => Ok(()),
                        }
                    });
                    sent.map_err(backend.refused("write", &self.path)).map_err(io::Error::from)?;
                }
                written
            }
        };
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
