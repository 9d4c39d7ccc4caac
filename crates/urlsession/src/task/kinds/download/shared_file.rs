//! `SharedFile`: the partial file of a download, with the bytes to be written to it. It is shared by the code that writes,
//! flushes and ends the download. The partial file implements the work on the file.

use parking_lot::{Mutex, MutexGuard};
use std::sync::Arc;

use bytes::Bytes;

use crate::error::{Result, UrlError};

/// The partial file of a download, once it exists. A clone is the same file.
pub(in crate::task) struct SharedFile<S>(Arc<SharedFileState<S>>);

struct SharedFileState<S> {
    partial_file: Mutex<Option<S>>,
    /// Received bytes that are to be written. They are taken only under the lock of the partial file, so that the order is
    /// kept.
    batch: Mutex<Vec<Bytes>>,
}

impl<S> SharedFile<S> {
    /// Waits for the current writer.
    pub(super) fn lock(&self) -> MutexGuard<'_, Option<S>> {
        self.0.partial_file.lock()
    }

    /// The bytes that wait to be written.
    pub(super) fn batch(&self) -> MutexGuard<'_, Vec<Bytes>> {
        self.0.batch.lock()
    }

    /// The same bytes, to be written now to this partial file, which belongs to the shared file.
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
