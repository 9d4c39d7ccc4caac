//! Files and folders: the names of `std::fs` that the library uses, each one call of the system.
//!
//! No other module opens, lists or changes files by name (`clippy.toml`). An open [`File`] may be used everywhere. The
//! functions are called `fs::…` as those of the standard library are. They block.
#![allow(clippy::disallowed_methods)] // the one place

use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

pub(crate) use std::fs::{DirBuilder, File, Metadata, OpenOptions, Permissions, ReadDir, TryLockError};

/// Opens a file for reading.
pub(crate) fn open(path: impl AsRef<Path>) -> io::Result<File> {
    File::open(path)
}

/// How to open a file; nothing is asked for yet.
pub(crate) fn options() -> OpenOptions {
    OpenOptions::new()
}

/// How to create a folder.
pub(crate) fn folder_builder() -> DirBuilder {
    DirBuilder::new()
}

/// How to create a temporary file, which is removed when its path is dropped. For this user alone unless told otherwise.
pub(crate) fn temporary() -> tempfile::Builder<'static, 'static> {
    tempfile::Builder::new()
}

/// A file without a name in a folder.
#[cfg(unix)]
pub(crate) fn unnamed_in(folder: &Path) -> io::Result<File> {
    tempfile::tempfile_in(folder)
}

pub(crate) fn read(path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
    std::fs::read(path)
}

#[cfg(target_os = "linux")]
pub(crate) fn read_to_string(path: impl AsRef<Path>) -> io::Result<String> {
    std::fs::read_to_string(path)
}

/// Replaces what has the new name, unless that is a folder.
pub(crate) fn rename(from: impl AsRef<Path>, to: impl AsRef<Path>) -> io::Result<()> {
    std::fs::rename(from, to)
}

pub(crate) fn remove_file(path: impl AsRef<Path>) -> io::Result<()> {
    std::fs::remove_file(path)
}

/// A second name of a file; an error if the name is taken.
pub(crate) fn hard_link(original: impl AsRef<Path>, link: impl AsRef<Path>) -> io::Result<()> {
    std::fs::hard_link(original, link)
}

pub(crate) fn create_dir_all(path: impl AsRef<Path>) -> io::Result<()> {
    std::fs::create_dir_all(path)
}

pub(crate) fn read_dir(path: impl AsRef<Path>) -> io::Result<ReadDir> {
    std::fs::read_dir(path)
}

/// Of what the name leads to, links followed.
pub(crate) fn metadata(path: impl AsRef<Path>) -> io::Result<Metadata> {
    std::fs::metadata(path)
}

/// Of what has the name, a link itself too.
pub(crate) fn symlink_metadata(path: impl AsRef<Path>) -> io::Result<Metadata> {
    std::fs::symlink_metadata(path)
}

/// False too if it cannot be told.
pub(crate) fn exists(path: impl AsRef<Path>) -> bool {
    path.as_ref().exists()
}

/// False too if it cannot be told.
pub(crate) fn is_dir(path: impl AsRef<Path>) -> bool {
    path.as_ref().is_dir()
}

/// How long ago a file was written. Times of files are of the system's clock, so it is the system's clock that they are
/// compared with; `None` if the time is in the future.
pub(crate) fn age(written: SystemTime) -> Option<Duration> {
    SystemTime::now().duration_since(written).ok()
}
