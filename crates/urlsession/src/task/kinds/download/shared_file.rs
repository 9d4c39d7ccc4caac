//! `SharedFile`: where the partial file of a download is, with what is to be written to it. Several may come to it: who writes, who flushes,
//! who ends the download. What is done to the file is the partial file's business.

use parking_lot::{Mutex, MutexGuard};
use std::sync::Arc;

use bytes::Bytes;

use crate::error::{Result, UrlError};

/// The partial file of a download, once there is one. A clone is the same one.
pub(in crate::task) struct SharedFile<S>(Arc<SharedFileState<S>>);

struct SharedFileState<S> {
    partial_file: Mutex<Option<S>>,
    /// What has come and is to be written. It is taken only by who has the lock of the partial file, so that nothing is overtaken.
    batch: Mutex<Vec<Bytes>>,
}

impl<S> SharedFile<S> {
    /// Waits for whoever is writing.
    pub(super) fn lock(&self) -> MutexGuard<'_, Option<S>> {
        self.0.partial_file.lock()
    }

    /// What waits to be written.
    pub(super) fn batch(&self) -> MutexGuard<'_, Vec<Bytes>> {
        self.0.batch.lock()
    }

    /// The same, to be written now to this partial file, which is the shared file's.
    pub(super) fn take_batch(&self, _: &mut S) -> Vec<Bytes> {
        std::mem::take(&mut *self.batch())
    }

    /// Does something with the partial file.
    pub(super) fn with<T>(&self, work: impl FnOnce(&mut S) -> Result<T>) -> Result<T> {
        match &mut *self.lock() {
            Some(partial_file) => work(partial_file),
            None => Err(UrlError::cancelled()),
        }
    }
}

impl<S> Default for SharedFile<S> {
    fn default() -> Self {
        Self(Arc::new(SharedFileState { partial_file: Mutex::new(None), batch: Mutex::default() }))
    }
}

impl<S> Clone for SharedFile<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}
