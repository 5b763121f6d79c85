//! A backend is what lies under a store, a folder on a local disk or a prefix of an object store, and the ways to ask
//! it, waited for as long as there is patience, with a refusal that names what was tried, and on what.

use super::disk::Disk;
use super::patience::Patience;
use super::{error::StoreError, faults::Step};
use object_store::{ObjectStore, ObjectStoreExt};
use problem::{Awaited, Failure};
use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// What a store asks.
#[derive(Debug)]
pub(super) struct Backend {
    /// As it was given: a path, or a URL.
    pub(super) place: PathBuf,
    pub(super) objects: Arc<dyn ObjectStore>,
    runtime: tokio::runtime::Runtime,
    pub(super) medium: Medium,
}

#[derive(Debug)]
pub(super) enum Medium {
    Disk(Disk),
    Objects {
        /// Before each further attempt to find out whether a manifest was created.
        pauses: &'static [Duration],
        patience: Patience,
    },
}

/// What became of a manifest that was to be created.
#[derive(Debug)]
pub(crate) enum Put {
    Created,
    Exists,
}

impl Backend {
    pub(super) fn new(place: &Path, objects: Arc<dyn ObjectStore>, medium: Medium) -> Result<Backend, StoreError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|source| StoreError::Io {
            doing: "start a runtime for",
            path: place.to_path_buf(),
            source,
        })?;
        Ok(Backend { place: place.to_path_buf(), objects, runtime, medium })
    }

    /// Path or URL of what lies in it under a relative path.
    pub(super) fn path(&self, relative: &str) -> PathBuf {
        self.place.join(relative)
    }

    pub(super) fn disk(&self) -> Option<&Disk> {
        match &self.medium {
            Medium::Disk(disk) => Some(disk),
            Medium::Objects { .. } => None,
        }
    }

    /// Runs requests that are waited for each by [`Backend::ask`].
    pub(super) fn drive<T>(&self, requests: impl Future<Output = T>) -> T {
        self.runtime.block_on(requests)
    }

    /// The answer to one request.
    pub(super) fn block_on<T>(
        &self,
        request: impl Future<Output = object_store::Result<T>>,
    ) -> object_store::Result<T> {
        self.drive(self.ask(request))
    }

    /// Waits for the answer to a request, as long as there is patience.
    pub(super) async fn ask<T>(
        &self,
        request: impl Future<Output = object_store::Result<T>>,
    ) -> object_store::Result<T> {
        match &self.medium {
            Medium::Disk(_) => request.await,
            Medium::Objects { patience, .. } => patience.wait(request).await,
        }
    }

    pub(super) fn refused(
        &self,
        doing: &'static str,
        relative: &str,
    ) -> impl FnOnce(object_store::Error) -> StoreError {
        let path = self.path(relative).display().to_string();
        move |error| StoreError::Objects { doing, path, error }
    }

    pub(super) fn fault(&self, step: Step, path: &Path) -> io::Result<()> {
        self.disk().map_or(Ok(()), |disk| disk.fault(step, path))
    }

    /// Removes a file; one that is gone is removed.
    pub(super) fn remove(&self, relative: &str) -> Result<(), StoreError> {
        if let Some(disk) = self.disk() {
            return disk.remove(relative);
        }
        let location = object_store::path::Path::from(relative);
        let mut tries = 3;
        loop {
            tries -= 1;
            match self.block_on(self.objects.delete(&location)) {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => return Ok(()),
                // The client tries a lost request to remove no second time, as it may have been done; here that is as
                // good.
                Err(error) => {
                    let refused = self.refused("remove", relative)(error);
                    if tries == 0 || refused.awaits() != Some(Awaited::Store) {
                        return Err(refused);
                    }
                }
            }
        }
    }
}
