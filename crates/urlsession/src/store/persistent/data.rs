//! The parts that all stores have in common: contents in memory, and a backend. The store decides when they are used.

use std::time::SystemTime;

/// What is in memory. Sans-IO: the time is passed in, and what must be written is noted, not written.
pub(in crate::store) trait StoreData: Default + Send + 'static {
    /// Everything in the file.
    type Rows;
    /// What is to be written.
    type Batch;
    /// Who is told of changes; `()` if nobody is.
    type Watchers: Watch;

    /// Contents whose changes are noted for a disk; those of `default` have none.
    fn kept() -> Self;

    /// How many things are kept.
    fn len(&self) -> usize;

    /// Whether there is anything for the disk.
    fn has_lasting(&self) -> bool {
        self.len() > 0
    }

    /// Forgets everything, on the disk too. True if anything has changed.
    fn clear(&mut self) -> bool;

    /// Takes what another process has written: `rows` is the disk as it is now. What this process has not written yet
    /// stays as it is here.
    fn merge_from_disk(&mut self, rows: Self::Rows, now: SystemTime);

    /// Forgets what is too old, on the disk too.
    fn expire(&mut self, now: SystemTime);

    /// What is to be written now, if anything is; it counts as written.
    fn take_dirty(&mut self) -> Option<Self::Batch>;

    /// The batch could not be written, and is to be another time.
    fn mark_dirty(&mut self, batch: Self::Batch);

    /// There is no disk any more.
    fn forget_disk(&mut self);
}

pub(in crate::store) trait Watch: Default + Send + Sync + 'static {
    /// The contents have changed; called outside their lock.
    fn tell(&self) {}
}

impl Watch for () {}

/// Where contents are kept: a file, or an application's own store. All of it blocks.
pub(in crate::store) trait PersistentBackend<T: StoreData>: Send {
    /// Which store it is, for messages.
    fn name(&self) -> &'static str;

    /// Where it is kept, for messages: `at /path`.
    fn location(&self) -> String;

    /// Whether there is something, or may be.
    fn is_there(&self) -> bool;

    /// What is there; `None` if that is known since the last time.
    fn read(&mut self) -> Result<Option<T::Rows>, Error>;

    /// False if another process is at work: another time.
    fn write(&mut self, batch: &T::Batch, now: SystemTime) -> Result<bool, Error>;

    /// Removes what remains of what is gone.
    fn tidy(&mut self, effort: Effort) -> Result<(), Error>;

    /// It is not used any more.
    fn close(&mut self);
}

/// How much it may cost to remove what remains of what is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Effort {
    /// Nobody is waited for, and only a small file is written anew.
    Little,
    /// Somebody waits until nothing is left.
    All,
}

pub(in crate::store) type Error = Box<dyn std::error::Error + Send + Sync>;
