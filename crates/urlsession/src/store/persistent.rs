//! `Store`: what stores have in common that are memory first, with or without a file behind them. It opens, locks and
//! counts, and sees to it that what changes is written; what is kept is its contents' to say ([`StoreData`]), and how
//! that looks on the disk (`Table`). The file is `sqlite_file`'s; without the feature `persistent-stores` there is none.

pub(super) mod data;
mod memory;
#[cfg(not(feature = "persistent-stores"))]
mod no_file;
mod persistence;
#[cfg(feature = "persistent-stores")]
mod sqlite_file;
mod store;

pub(super) use self::data::{PersistentBackend, StoreData, Watch};
#[cfg(not(feature = "persistent-stores"))]
pub(super) use self::no_file::StoreRegistry;
#[cfg(feature = "persistent-stores")]
pub(super) use self::sqlite_file::{Gone, StoreRegistry, Table};
pub(super) use self::store::Store;
