//! In the place of `sqlite_file` without the feature `persistent-stores`: every store is in memory.

use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use super::data::StoreData;
use super::store::Store;

pub(in crate::store) struct StoreRegistry<T>(PhantomData<fn() -> T>);

impl<T: StoreData> StoreRegistry<T> {
    pub(in crate::store) const fn none() -> Self {
        Self(PhantomData)
    }

    /// A store in memory; there is no file to share.
    pub(in crate::store) fn below(&self, _: impl FnOnce(&Path) -> PathBuf) -> Store<T> {
        Store::in_memory()
    }
}
