//! The raw bytes of a stream are counted and summed as they come, before anything decompresses them.

use std::io::{self, BufReader, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crc_fast::{CrcAlgorithm, Digest};

/// Enough for few system calls, small beside a block.
const BUFFER_BYTES: usize = 256 << 10;

/// What is known of a stream's raw bytes so far.
#[derive(Debug, Default)]
pub(super) struct RawTally {
    bytes: AtomicU64,
    crc64: AtomicU64,
    /// Reading failed, so an error that comes out of a decompressor is the system's and not the data's.
    failed: AtomicBool,
}

impl RawTally {
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Acquire)
    }

    pub(super) fn crc64(&self) -> u64 {
        self.crc64.load(Ordering::Acquire)
    }

    pub(super) fn failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }
}

/// A reader of raw bytes that keeps a [`RawTally`].
pub(super) struct RawReader {
    inner: Box<dyn Read + Send>,
    digest: Digest,
    tally: Arc<RawTally>,
    /// Raw bytes of all sources together.
    progress: Arc<AtomicU64>,
}

impl std::fmt::Debug for RawReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Raw").field("tally", &self.tally).finish_non_exhaustive()
    }
}

impl RawReader {
    pub(super) fn buffered(
        inner: Box<dyn Read + Send>,
        tally: &Arc<RawTally>,
        progress: &Arc<AtomicU64>,
    ) -> BufReader<RawReader> {
        let digest = Digest::new(CrcAlgorithm::Crc64Nvme);
        let raw = RawReader { inner, digest, tally: Arc::clone(tally), progress: Arc::clone(progress) };
        BufReader::with_capacity(BUFFER_BYTES, raw)
    }
}

impl Read for RawReader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.inner.read(into) {
                Ok(count) => {
                    self.digest.update(&into[..count]);
                    self.tally.crc64.store(self.digest.finalize(), Ordering::Release);
                    self.tally.bytes.fetch_add(count as u64, Ordering::AcqRel);
                    self.progress.fetch_add(count as u64, Ordering::Relaxed);
                    return Ok(count);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.tally.failed.store(true, Ordering::Release);
                    return Err(error);
                }
            }
        }
    }
}
