//! `UploadRecords`: records of uploads that a later run of the application can resume. The module stores, finds and removes
//! files of a few hundred bytes; the task defines their contents.

use parking_lot::Mutex;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime};

use aws_lc_rs::digest::{SHA256, digest};

use crate::env::fs::{self, File};
use crate::env::{RuntimeHandle, data_folder};

/// Records of uploads from files, which survive the process: a folder with a small file for each upload in progress. See
/// [`UploadTask::set_resumable_across_runs`](crate::UploadTask::set_resumable_across_runs). A clone is the same folder.
///
/// A record is readable by the user only. It contains the upload's URL, which gives access to the upload like a password,
/// and no content. The record is removed when the upload is complete, or 30 days after it was written. Extension: no
/// counterpart in Apple's API.
#[derive(Clone, Debug)]
pub struct UploadRecords {
    folder: Option<Arc<Path>>,
}

/// One record, of an upload that is known by its key.
pub(crate) struct UploadRecord {
    path: PathBuf,
    asked: AtomicU64,
    /// Writes are done in order: the number of the last.
    done: Mutex<u64>,
}

impl UploadRecords {
    /// The folder of the application, below the user's data folder (on Linux
    /// `$XDG_DATA_HOME/urlsession/<application>/uploads`). For a user without a home folder, nothing is recorded.
    pub fn shared() -> Self {
        Self { folder: data_folder().map(|folder| folder.join("uploads").into()) }
    }

    /// Uses this folder, which is created when it is needed.
    pub fn at(folder: impl Into<PathBuf>) -> Self {
        Self { folder: Some(folder.into().into()) }
    }

    /// The record of a key, whether it is there or not. The key is hashed.
    pub(crate) fn record(&self, key: &[u8]) -> Option<Arc<UploadRecord>> {
        let mut name = String::new();
        for byte in digest(&SHA256, key).as_ref() {
            // A string takes everything.
            let _ = write!(name, "{byte:02x}");
        }
        let path = self.folder.as_ref()?.join(name + SUFFIX);
        Some(Arc::new(UploadRecord { path, asked: AtomicU64::new(0), done: Mutex::default() }))
    }
}

impl UploadRecord {
    /// What is recorded; blocks.
    pub(crate) fn read(&self, now: SystemTime) -> Option<Vec<u8>> {
        self.remove_old(now);
        let bytes = fs::read(&self.path).ok()?;
        (bytes.len() <= LONGEST).then_some(bytes)
    }

    /// Writes it at once, beside the reactor; what was asked for later wins.
    pub(crate) fn write_soon(self: &Arc<Self>, bytes: Vec<u8>) {
        let (record, number) = (self.clone(), self.asked.fetch_add(1, Relaxed) + 1);
        let work = move || record.change(number, |path| write(path, &bytes));
        match RuntimeHandle::own() {
            Ok(runtime) => runtime.clone().spawn(async move { drop(runtime.blocking(work).await) }),
            Err(_) => work(),
        }
    }

    /// Removes it; completes when it is gone.
    pub(crate) async fn remove(self: &Arc<Self>, runtime: &RuntimeHandle) {
        let (record, number) = (self.clone(), self.asked.fetch_add(1, Relaxed) + 1);
        let gone = |path: &Path| match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        };
        // What a runtime that shuts down leaves is removed when it is old.
        let _ = runtime.blocking(move || record.change(number, gone)).await;
    }

    fn change(&self, number: u64, change: impl FnOnce(&Path) -> io::Result<()>) {
        let mut done = self.done.lock();
        if number <= *done {
            return;
        }
        *done = number;
        if let Err(error) = change(&self.path) {
            tracing::warn!("an upload cannot be recorded and cannot be resumed in a later run: {error}");
        }
    }

    /// Removes records that no task has used.
    fn remove_old(&self, now: SystemTime) {
        let Some(folder) = self.path.parent().and_then(|folder| fs::read_dir(folder).ok()) else { return };
        for entry in folder.flatten() {
            let is_record = entry
                .file_name()
                .to_str()
                .is_some_and(|name| [SUFFIX, UNFINISHED].iter().any(|suffix| name.ends_with(suffix)));
            let written = entry.metadata().and_then(|metadata| metadata.modified());
            let is_old = written.is_ok_and(|written| now.duration_since(written).is_ok_and(|age| age > KEPT));
            if is_record && is_old {
                // Who cannot remove it now may later.
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

/// Writes the file atomically, readable by the user only.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    // Its permissions are the user's only. Left by a process that was killed, it goes when it is old, as a record.
    let mut file = fs::temporary().suffix(UNFINISHED).tempfile_in(folder)?;
    file.write_all(bytes)?;
    File::sync_data(file.as_file())?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

const SUFFIX: &str = ".upload";
/// Of one that is being written.
const UNFINISHED: &str = ".upload-new";

/// Bytes of a record.
const LONGEST: usize = 256 * 1024;

/// Servers keep uploads for hours or days.
const KEPT: Duration = Duration::from_secs(30 * 24 * 60 * 60);

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::env::block_on;

    #[test]
    fn a_record_is_found_by_its_key_until_it_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let records = UploadRecords::at(folder.path().join("new"));
        let record = records.record(b"key").unwrap();
        assert_eq!(record.read(SystemTime::now()), None);
        write(&record.path, b"where").unwrap();
        let again = records.record(b"key").unwrap();
        assert_eq!(again.read(SystemTime::now()).as_deref(), Some(&b"where"[..]));
        assert_eq!(records.record(b"other").unwrap().read(SystemTime::now()), None);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&record.path).unwrap().permissions().mode() & 0o077, 0);
        }
        block_on(again.remove(&RuntimeHandle::own().unwrap()));
        assert_eq!(record.read(SystemTime::now()), None);
    }

    #[test]
    fn what_was_asked_for_later_wins() {
        let folder = tempfile::tempdir().unwrap();
        let record = UploadRecords::at(folder.path()).record(b"key").unwrap();
        record.change(2, |path| write(path, b"second"));
        record.change(1, |path| write(path, b"first"));
        assert_eq!(record.read(SystemTime::now()).as_deref(), Some(&b"second"[..]));
    }

    #[test]
    fn a_record_nobody_comes_back_for_goes() {
        let folder = tempfile::tempdir().unwrap();
        let record = UploadRecords::at(folder.path()).record(b"key").unwrap();
        write(&record.path, b"where").unwrap();
        fs::write(folder.path().join("other"), "x").unwrap();
        assert_eq!(record.read(SystemTime::now() + KEPT + Duration::from_secs(60)), None);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
