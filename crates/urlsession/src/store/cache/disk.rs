//! The way to the cache on disk: a thread of its own, started when there is something to find or to keep.
//!
//! Jobs are done in the order in which they were given, so what was kept before is found after. What is certainly
//! not there, and what was found lately, is known without asking.

mod index;
mod open_files;
mod rows;
mod space;
mod store;

use parking_lot::Mutex;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError};

use tokio::sync::oneshot;

use self::index::{Index, WalStamp};
pub(super) use self::store::DiskStore;
use self::store::is_there;
use super::entry::Variant;
use super::memory::{DiskLookup, Memory};
use crate::env::JobThread;

pub(super) struct DiskWorker {
    folder: PathBuf,
    capacity: Arc<AtomicU64>,
    memory: Arc<Mutex<Memory>>,
    index: Arc<Mutex<Index>>,
    thread: JobThread<Job>,
    /// Jobs that are not done.
    waiting: Arc<AtomicUsize>,
    /// The second in which there was no store.
    absent: AtomicI64,
    next_body: AtomicU64,
}

type Job = Box<dyn FnOnce(&mut DiskStore) + Send>;

impl DiskWorker {
    /// `None` in a build without stores on disk.
    pub(super) fn new(folder: PathBuf, capacity: u64, memory: Arc<Mutex<Memory>>) -> Option<Self> {
        Some(Self {
            folder,
            capacity: Arc::new(capacity.into()),
            memory,
            index: Arc::default(),
            thread: JobThread::new(),
            waiting: Arc::default(),
            absent: AtomicI64::new(i64::MIN),
            next_body: AtomicU64::new(0),
        })
    }

    pub(super) fn capacity(&self) -> u64 {
        self.capacity.load(Relaxed)
    }

    pub(super) fn set_capacity(&self, capacity: u64) {
        self.capacity.store(capacity, Relaxed);
        self.run_if_there(DiskStore::shrink);
    }

    /// Whether it is worth asking for this key. One look at the file system; `now` is in seconds.
    pub(super) fn look(&self, key: &str, wanted: impl Fn(&Variant) -> bool, now: i64) -> DiskLookup {
        if self.capacity() == 0 {
            return DiskLookup::Nothing;
        }
        if !self.thread.is_started() {
            if self.absent.load(Relaxed) == now {
                return DiskLookup::Nothing;
            }
            if is_there(&self.folder) {
                return DiskLookup::Unknown;
            }
            self.absent.store(now, Relaxed);
            return DiskLookup::Nothing;
        }
        let mut index = self.index.lock();
        let is_current = index.mark.as_ref() == Some(&WalStamp::of(&self.folder));
        // What waits to be done may be a removal.
        if self.waiting.load(Ordering::Acquire) == 0 {
            if !is_current {
                index.opened.clear();
            } else if let Some(entry) = index.opened.find(key, wanted) {
                return DiskLookup::Entry(entry);
            }
        }
        let hash = Index::hash(key);
        match is_current && !index.known.contains(&hash) && !index.awaited.contains_key(&hash) {
            true => DiskLookup::Nothing,
            false => DiskLookup::Unknown,
        }
    }

    /// Something is about to be kept for this key.
    pub(super) fn expect(&self, key: &str) {
        let mut index = self.index.lock();
        *index.awaited.entry(Index::hash(key)).or_default() += 1;
    }

    /// A number for a body that comes piece by piece.
    pub(super) fn new_body(&self) -> u64 {
        self.next_body.fetch_add(1, Relaxed)
    }

    pub(super) fn run(&self, job: impl FnOnce(&mut DiskStore) + Send + 'static) {
        self.waiting.fetch_add(1, Ordering::AcqRel);
        let given = self.thread.give("urlsession-cache", Box::new(job), || {
            let mut disk_store = DiskStore::new(
                self.folder.clone(),
                self.capacity.clone(),
                self.memory.clone(),
                self.index.clone(),
            );
            let waiting = self.waiting.clone();
            move |jobs: Receiver<Job>| loop {
                let job = match disk_store.patience() {
                    Some(patience) => jobs.recv_timeout(patience),
                    None => jobs.recv().map_err(RecvTimeoutError::from),
                };
                match job {
                    Ok(job) => {
                        job(&mut disk_store);
                        disk_store.settle();
                        waiting.fetch_sub(1, Ordering::Release);
                    }
                    Err(RecvTimeoutError::Timeout) => disk_store.tidy(),
                    Err(RecvTimeoutError::Disconnected) => break,
                }
            }
        });
        if let Err(error) = given {
            self.waiting.fetch_sub(1, Ordering::Release);
            // The load goes on.
            tracing::warn!("the disk thread of a cache cannot be started for now: {error}");
        }
    }

    /// Only if something may have been kept: a store is not made for this.
    pub(super) fn run_if_there(&self, job: impl FnOnce(&mut DiskStore) + Send + 'static) {
        if self.thread.is_started() || is_there(&self.folder) {
            self.run(job);
        }
    }

    pub(super) async fn ask<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut DiskStore) -> T + Send + 'static,
    ) -> Option<T> {
        if !self.thread.is_started() && !is_there(&self.folder) {
            return None;
        }
        let (sender, answer) = oneshot::channel();
        self.run(move |disk_store| drop(sender.send(job(disk_store))));
        answer.await.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::fail_next_thread;
    use std::sync::mpsc::channel;

    #[test]
    fn a_cache_whose_thread_cannot_be_started_does_without_its_disk_until_it_can() {
        let folder = tempfile::tempdir().unwrap();
        let worker =
            DiskWorker::new(folder.path().join("cache"), 1 << 20, Arc::new(Mutex::new(Memory::new(0))))
                .unwrap();
        fail_next_thread(1);
        worker.run(|_| panic!("there is no thread"));
        assert_eq!(worker.waiting.load(Relaxed), 0);
        let (done, is_done) = channel();
        worker.run(move |_| done.send(()).unwrap());
        is_done.recv().unwrap();
    }
}
