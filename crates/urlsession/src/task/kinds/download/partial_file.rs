//! `PartialFile`: the file that a download is written to: its position, the hashes of its content, and the note that it can
//! be resumed with. Everything here blocks; the download decides what is written.

use std::io::{self, IoSlice, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tempfile::TempPath;
use url::Url;

use super::digest::{Checks, ContentDigest, Hashes};
use super::partial::{self, Names, TEMPORARY};
use super::preallocation::Preallocation;
use super::resume_info::{PartialLocation, ResumeInfo, ResumeRecord, UntrustedServers, is_resumable};
use super::stamp::Stamp;
use crate::env::fs::{File, Permissions};
use crate::env::{SplicePipe, close};
use crate::error::{Phase, Result, UrlError, UrlErrorCode};
use crate::message::{ResumeData, ResumeFailure, UrlRequest};
use crate::task::destination::{DownloadDestination, Unpublished, unclosed};
use crate::task::downloaded_file::DownloadedFile;

pub(in crate::task) struct PartialFile {
    file: File,
    /// Removes the file when it is dropped; taken out of here where the file is to be kept.
    path: Option<TempPath>,
    position: u64,
    hashes: Hashes,
    /// Whether the file's end is where the next bytes belong, and those before it are hashed.
    is_ready: bool,
    /// The information that it can be resumed with; `None` if it cannot be resumed.
    resume_info: Option<ResumeInfo>,
    /// The destination of the file, and the destination when the file was created: usually the same.
    destination: Option<DownloadDestination>,
    home: Option<DownloadDestination>,
    /// For a file that outlives the process: where its note is, and when and at which position the last note was written.
    names: Option<Names>,
    noted: Option<(Instant, u64)>,
    preallocation: Preallocation,
    /// A note or resume data names the file, so that it may be resumed.
    is_known: bool,
    /// Why it could not be flushed.
    failure: Option<UrlError>,
    /// Written bytes are lost, and the system does not say which: only the bytes of the last note are certain.
    is_damaged: bool,
}

/// The rest of a download that did not reach its end.
pub(super) struct PartialDownload {
    pub(super) data: ResumeData,
    /// Removes the file when it is dropped, unless a note or resume data names it.
    pub(super) path: Option<TempPath>,
}

impl PartialDownload {
    /// Keeps the file.
    pub(super) fn keep(path: Option<TempPath>) {
        // It can fail on Windows only, where it would have to remove an attribute that the file never had.
        let _ = path.map(TempPath::keep);
    }
}

impl PartialFile {
    /// A new file for the content of a response.
    pub(super) fn create(
        destination: Option<DownloadDestination>,
        suggested: &str,
        resume_info: Option<ResumeInfo>,
        now: Instant,
    ) -> Result<Self> {
        let (mut file, mut names) = (None, None);
        if let Some(destination) = &destination {
            destination.check(suggested)?;
            let shared =
                resume_info.as_ref().and_then(|resume_info| Names::of(destination, &resume_info.identity));
            // Where files cannot be locked, or another writer has this one, a draft belongs to this download only.
            if let Some(shared) = shared
                && let Ok(Some(taken)) = shared.take()
                && let Ok(path) = TempPath::try_from_path(&shared.part)
            {
                (file, names) = (Some((taken, path)), Some(shared));
            }
        }
        let (file, path) = match (file, &destination) {
            (Some(file), _) => file,
            (None, Some(destination)) => destination.draft(suggested)?,
            (None, None) => DownloadedFile::create(TEMPORARY)?,
        };
        Ok(Self {
            file,
            path: Some(path),
            position: 0,
            hashes: Hashes::new(&[]),
            is_ready: false,
            resume_info,
            home: destination.clone(),
            destination,
            noted: names.is_some().then_some((now, 0)),
            names,
            preallocation: Preallocation::default(),
            is_known: false,
            failure: None,
            is_damaged: false,
        })
    }

    /// The partial file of an earlier download for `destination`.
    pub(super) fn reopen(
        noted: &ResumeRecord,
        destination: Option<DownloadDestination>,
        now: Instant,
    ) -> Result<Self, ResumeFailure> {
        let (path, names, file) = partial::reopen(noted)?;
        let home = match &noted.place {
            PartialLocation::Destined(destination) => Some(destination.clone()),
            PartialLocation::Temporary(_) => None,
        };
        Ok(Self {
            file,
            path: Some(TempPath::try_from_path(path).map_err(|_| ResumeFailure::PartialMissing)?),
            position: noted.stamp.bytes,
            hashes: Hashes::new(&[]),
            is_ready: false,
            resume_info: Some(noted.resume_info.clone()),
            destination,
            home,
            noted: names.is_some().then_some((now, noted.stamp.bytes)),
            names,
            preallocation: Preallocation::default(),
            is_known: true,
            failure: None,
            is_damaged: false,
        })
    }

    pub(super) fn position(&self) -> u64 {
        self.position
    }

    pub(super) fn resume_info(&self) -> Option<&ResumeInfo> {
        self.resume_info.as_ref()
    }

    /// The rest is requested with this request from now on; `final_url` is its last URL, if that is known.
    pub(super) fn renew(&mut self, request: &UrlRequest, final_url: Option<&Url>) {
        if let Some(resume_info) = &mut self.resume_info {
            resume_info.request = request.clone();
            resume_info.final_url = final_url.cloned();
        }
    }

    /// The following bytes are from these servers, which only a delegate trusts.
    pub(super) fn note_untrusted(&mut self, servers: Option<UntrustedServers>) {
        if let Some(resume_info) = &mut self.resume_info {
            resume_info.untrusted = servers.or(resume_info.untrusted);
        }
    }

    /// Writes from `at` on, which is not after the position. The bytes before it are hashed, once.
    pub(super) fn go_on_at(
        &mut self,
        at: u64,
        complete: Option<u64>,
        expected: &[ContentDigest],
    ) -> Result<()> {
        if let Some(resume_info) = &mut self.resume_info {
            resume_info.complete = complete.or(resume_info.complete);
        }
        if self.is_ready && at == self.position {
            return Ok(());
        }
        // Overlapping bytes are overwritten, not cut off: a note may rely on them.
        let end = self.position.max(at);
        self.preallocation = Preallocation::default();
        self.file.set_len(end).and_then(|()| self.file.seek(SeekFrom::Start(0))).map_err(unwritten)?;
        self.hashes = Hashes::new(expected);
        if !self.hashes.is_empty() {
            let mut buffer = vec![0; HASHED_AT_ONCE];
            let mut left = at;
            while left > 0 {
                let space = &mut buffer[..left.min(HASHED_AT_ONCE as u64) as usize];
                self.file.read_exact(space).map_err(unwritten)?;
                self.hashes.update(space);
                left -= space.len() as u64;
            }
        }
        self.file.seek(SeekFrom::Start(at)).map_err(unwritten)?;
        (self.position, self.is_ready) = (at, true);
        Ok(())
    }

    /// Starts from the beginning, with the content of another response.
    pub(super) fn restart(
        &mut self,
        resume_info: Option<ResumeInfo>,
        expected: &[ContentDigest],
        now: Instant,
    ) -> Result<()> {
        // The note is removed first: it must never describe bytes that do not exist. If it reappears after a power failure,
        // its tail hash does not match.
        if let Some(names) = &self.names {
            names.forget();
        }
        self.is_known = false;
        self.noted = self.names.is_some().then_some((now, 0));
        self.resume_info = resume_info;
        (self.position, self.is_ready) = (0, false);
        let complete = self.resume_info.as_ref().and_then(|resume_info| resume_info.complete);
        self.go_on_at(0, complete, expected)
    }

    /// Reserves space for a file of `complete` bytes.
    pub(super) fn reserve(&mut self, complete: Option<u64>) -> Result<()> {
        self.preallocation.take(&self.file, self.position, complete).map_err(unwritten)
    }

    fn release(&mut self) -> Result<()> {
        self.preallocation.give_back(&self.file, self.position).map_err(unwritten)
    }

    /// Whether the kernel may write bytes to the file without this process seeing them.
    pub(super) fn suits_splice(&self) -> bool {
        self.hashes.is_empty()
    }

    /// Writes the bytes in a splice pipe. Bytes that were written before an error count.
    pub(super) fn write_from(&mut self, splice_pipe: &mut SplicePipe) -> Result<()> {
        splice_pipe.drain(&mut self.file, |n| self.position += n as u64).map_err(unwritten)
    }

    /// Writes received chunks. Bytes that were written before an error count.
    pub(super) fn write(&mut self, chunks: &[Bytes]) -> Result<()> {
        if let Some(error) = self.failure.take() {
            return Err(error);
        }
        let mut slices = chunks.iter().map(|chunk| IoSlice::new(chunk)).collect::<Vec<_>>();
        let mut slices = &mut slices[..];
        while !slices.is_empty() {
            match self.file.write_vectored(slices) {
                Ok(0) => return Err(unwritten(io::ErrorKind::WriteZero.into())),
                Ok(n) => {
                    self.position += n as u64;
                    IoSlice::advance_slices(&mut slices, n);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(unwritten(error)),
            }
        }
        if !self.hashes.is_empty() {
            chunks.iter().for_each(|chunk| self.hashes.update(chunk));
        }
        Ok(())
    }

    /// The work between writes, when it is due: reserves space, and writes the note.
    pub(super) fn tend(&mut self, checks: &Checks, now: Instant) {
        self.preallocation.take_more(&self.file, self.position);
        self.note(checks, now);
    }

    pub(super) fn is_tending_due(&self, now: Instant) -> bool {
        self.preallocation.is_due(self.position) || self.is_note_due(now)
    }

    /// Writes the note, if it is due. If a note cannot be written, less can be resumed, but the load continues.
    fn note(&mut self, checks: &Checks, now: Instant) {
        if !self.is_note_due(now) {
            return;
        }
        self.note_now(checks, now);
    }

    fn note_now(&mut self, checks: &Checks, now: Instant) {
        self.noted = Some((now, self.position));
        if let Err(error) = self.write_note(checks, false) {
            tracing::warn!(%error, "a download continues without a resume note");
            self.noted = None;
        }
    }

    /// Completes when all received bytes, followed by this batch, are on the disk, with a note. The download continues from
    /// there; the next writer receives an error.
    pub(super) fn flush(&mut self, batch: &[Bytes], checks: &Checks, now: Instant) {
        match self.write(batch) {
            Ok(()) => self.sync(checks, now),
            Err(error) => self.failure = Some(error),
        }
    }

    /// Waits until the written bytes are on the disk, and writes a note where notes are kept.
    fn sync(&mut self, checks: &Checks, now: Instant) {
        if let Err(error) = self.settle() {
            tracing::warn!(%error, "a download could not be flushed");
        } else if self.noted.is_some_and(|(_, bytes)| bytes != self.position) {
            self.note_now(checks, now);
        }
    }

    /// Waits until the written bytes are on the disk. A file system reports only once that bytes are lost, so the failure
    /// is stored: the download fails, and is not resumed from there.
    fn settle(&mut self) -> io::Result<()> {
        self.settled(self.file.sync_data())
    }

    fn settled(&mut self, synced: io::Result<()>) -> io::Result<()> {
        use io::ErrorKind as E;
        synced.inspect_err(|error| {
            // Some file systems do not support this call.
            if !matches!(error.kind(), E::InvalidInput | E::Unsupported | E::Interrupted) {
                self.is_damaged = true;
                self.failure.get_or_insert_with(|| unwritten(copy_of(error)));
            }
        })
    }

    fn is_note_due(&self, now: Instant) -> bool {
        let Some((at, bytes)) = self.noted else { return false };
        let new = self.position.saturating_sub(bytes);
        let by_time = new >= LITTLE && now.saturating_duration_since(at) >= NOTED_EVERY;
        by_time || new >= bytes.clamp(FEW, MANY)
    }

    /// Moves the file to its destination, if its digests are as expected. If it cannot be moved, it stays in `place`.
    pub(super) fn finish(place: &mut Option<Self>, suggested: &str) -> Result<DownloadedFile> {
        let Some(mut partial_file) = place.take() else { return Err(UrlError::cancelled()) };
        if let Some(error) = partial_file.failure.take() {
            return Err(error);
        }
        partial_file.release()?;
        let Some(path) = partial_file.path.take() else { return Err(UrlError::cancelled()) };
        if let Err(error) = std::mem::replace(&mut partial_file.hashes, Hashes::new(&[])).check() {
            // The file must not be resumed.
            if let Some(names) = &partial_file.names {
                names.forget();
            }
            drop(path);
            return Err(error);
        }
        let Some(destination) = &partial_file.destination else {
            if let Some(names) = &partial_file.names {
                names.forget();
            }
            let length = partial_file.position;
            closed(partial_file).map_err(|error| unclosed(&path, error))?;
            return Ok(DownloadedFile::temporary(path, length));
        };
        let is_beside = partial_file.home.as_ref().is_some_and(|home| home.shares_place(destination));
        let published = match is_beside {
            true => {
                let published =
                    destination.publish(suggested, &partial_file.file, path, partial_file.position);
                published.map_err(|Unpublished { error, path, is_late }| {
                    partial_file.is_damaged |= is_late;
                    (error, path)
                })
            }
            false => moved(&mut partial_file.file, &path, destination, suggested)
                .and_then(|Moved { file, draft, permissions }| {
                    let published = destination.publish(suggested, &file, draft, partial_file.position);
                    let published = published.map_err(|failure| failure.error)?;
                    // Not before: the temporary file is private. If this fails, the published file is private too.
                    let _ = file.set_permissions(permissions);
                    Ok(published)
                })
                .map_err(|error| (error, path)),
        };
        match published {
            Ok(file) => {
                if let Some(names) = &partial_file.names {
                    names.forget();
                }
                Ok(file)
            }
            Err((error, path)) => {
                partial_file.path = Some(path);
                *place = Some(partial_file);
                Err(error)
            }
        }
    }

    /// Ends the file before it is complete: what it can be resumed with, if it can be resumed and if that is wanted or
    /// noted.
    pub(super) fn leave(mut self, checks: &Checks, is_wanted: bool) -> Option<PartialDownload> {
        if (self.position == 0 && !self.is_known) || !(is_wanted || self.names.is_some()) {
            return None;
        }
        // A failure costs only space.
        let _ = self.release();
        let noted = match &self.names {
            Some(names) => {
                let names = names.clone();
                let noted = self.noted_last(&names, checks).ok()??;
                // Where no note can be written, the resume data still leads to the file, until another download takes its
                // name.
                self.is_known = true;
                noted
            }
            None => self.noted(checks, true).ok()??,
        };
        let data = noted.close_transaction();
        let path = self.path.take();
        match self.is_known {
            true => {
                PartialDownload::keep(path);
                Some(PartialDownload { data, path: None })
            }
            false => Some(PartialDownload { data, path }),
        }
    }

    fn write_note(&mut self, checks: &Checks, is_last: bool) -> Result<(), io::Error> {
        if let (Some(noted), Some(names)) = (self.noted(checks, is_last)?, &self.names) {
            names.write(&noted.seal_note())?;
            self.is_known = true;
        }
        Ok(())
    }

    /// Writes the last note. On a full disk a note is worth more than the last bytes, which are removed to make space for
    /// it.
    fn noted_last(&mut self, names: &Names, checks: &Checks) -> io::Result<Option<ResumeRecord>> {
        let mut blocks = BLOCKS.into_iter();
        loop {
            let Some(noted) = self.noted(checks, true)? else { return Ok(None) };
            if !names.write(&noted.seal_note()).is_err_and(|error| is_full(&error)) {
                return Ok(Some(noted));
            }
            let less = blocks.next().map(|block| self.position.saturating_sub(1) / block * block);
            let Some(less) = less.filter(|less| *less > 0) else { return Ok(Some(noted)) };
            self.file.set_len(less)?;
            self.position = less;
        }
    }

    /// The content of a note at this time.
    fn noted(&mut self, checks: &Checks, is_last: bool) -> io::Result<Option<ResumeRecord>> {
        if self.is_damaged || self.resume_info.is_none() {
            return Ok(None);
        }
        let place = match (&self.home, &self.names, &self.path) {
            (Some(destination), Some(_), _) => PartialLocation::Destined(destination.clone()),
            (None, _, Some(path)) => match path.file_name().and_then(|name| name.to_str()) {
                Some(name) => PartialLocation::Temporary(name.to_owned()),
                None => return Ok(None),
            },
            // A draft for a destination whose partial file belongs to another writer.
            _ => return Ok(None),
        };
        self.settle()?;
        let Some(resume_info) = &self.resume_info else { return Ok(None) };
        Ok(Some(ResumeRecord {
            resume_info: resume_info.clone(),
            stamp: Stamp::of(&self.file, self.position, is_last)?,
            place,
            expected: checks.expected.clone(),
            checks_repr_digest: checks.of_response,
        }))
    }
}

/// Closes the file of a complete download.
fn closed(partial_file: PartialFile) -> io::Result<()> {
    match partial_file.file.try_clone() {
        Ok(last) => {
            drop(partial_file);
            close(last)
        }
        // No descriptor is left to close the file with: the error of a close is requested now.
        Err(_) => partial_file.file.sync_data(),
    }
}

impl Drop for PartialFile {
    fn drop(&mut self) {
        let path = self.path.take();
        match self.is_known && self.resume_info.is_some() {
            true => PartialDownload::keep(path),
            false => drop(path),
        }
        // Only then may others lock it. A child process that was just created has the file open, too, so closing it would
        // not always be enough.
        let _ = self.file.unlock();
    }
}

/// The note that an earlier download left at a destination, if it belongs to this request.
pub(super) fn left_at(destination: &DownloadDestination, request: &UrlRequest) -> Option<ResumeRecord> {
    let identity = destination.identity(request);
    let mut noted = Names::of(destination, &identity)?.noted()?;
    if !is_resumable(request) || noted.resume_info.identity != identity {
        return None;
    }
    // The note does not contain the whole request.
    noted.resume_info.request = request.clone();
    Some(noted)
}

/// Removes the partial file of an earlier download at a destination that has been reached another way.
pub(super) fn tidy(destination: &DownloadDestination, identity: &str) {
    if let Some(names) = Names::beside(destination, identity) {
        names.remove();
    }
}

/// The file beside the destination, under a second name or, where that is not possible, as a copy. The original keeps its
/// name until the second one is published.
struct Moved {
    file: File,
    draft: TempPath,
    /// The permissions of any other file there.
    permissions: Permissions,
}

fn moved(file: &mut File, path: &Path, destination: &DownloadDestination, suggested: &str) -> Result<Moved> {
    let (mut copy, draft) = destination.draft(suggested)?;
    let permissions = copy.metadata().map_err(unwritten)?.permissions();
    let named = destination.second_name(suggested, path).and_then(|name| Ok((file.try_clone()?, name)));
    if let Ok((file, draft)) = named {
        return Ok(Moved { file, draft, permissions });
    }
    // The destination is on another file system, or on one where a file has only one name.
    file.seek(SeekFrom::Start(0)).and_then(|_| io::copy(file, &mut copy)).map_err(unwritten)?;
    Ok(Moved { file: copy, draft, permissions })
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// An error of the same kind and number; errors of the system cannot be cloned.
fn copy_of(error: &io::Error) -> io::Error {
    error.raw_os_error().map_or_else(|| error.kind().into(), io::Error::from_raw_os_error)
}

fn unwritten(error: io::Error) -> UrlError {
    let detail = match is_full(&error) || error.kind() == io::ErrorKind::FileTooLarge {
        true => "there is no space for the downloaded file",
        false => "the downloaded file could not be written",
    };
    UrlError::new(UrlErrorCode::CannotWriteToFile, Phase::Disk, detail).with_source(error)
}

/// A note waits for the disk. It is written when as many bytes are new as there were before, within these bounds,
const FEW: u64 = 1024 * 1024;
const MANY: u64 = 64 * 1024 * 1024;
/// or when this much time has passed and enough bytes are new.
const NOTED_EVERY: Duration = Duration::from_secs(1);
const LITTLE: u64 = 64 * 1024;
const HASHED_AT_ONCE: usize = 256 * 1024;
/// The bytes that are removed for a note on a full disk end at a multiple of one of these, tried in order: file systems
/// allocate space in blocks of this size.
const BLOCKS: [u64; 3] = [4 * 1024, 64 * 1024, 1024 * 1024];

#[cfg(test)]
mod tests {
    use http::Version;

    use super::*;
    use crate::env::{Clock, SystemClock, fail_next_close};
    use crate::message::HttpUrlResponse;

    const MIB: usize = 1024 * 1024;

    fn resume_info() -> ResumeInfo {
        let url: Url = "http://a/file".parse().unwrap();
        let fields = [("ETag", "\"a\"")];
        let response = HttpUrlResponse::new(url.clone(), 200, Version::HTTP_11, fields).unwrap();
        ResumeInfo::of(url.as_str(), &UrlRequest::new(url.clone()), &response, 0).unwrap()
    }

    fn partial_file(destination: &DownloadDestination, now: Instant) -> PartialFile {
        let mut partial_file =
            PartialFile::create(Some(destination.clone()), "a", Some(resume_info()), now).unwrap();
        partial_file.go_on_at(0, None, &[]).unwrap();
        partial_file
    }

    fn noted(destination: &DownloadDestination) -> Option<u64> {
        let noted = left_at(destination, &UrlRequest::new("http://a/file".parse().unwrap()))?;
        Some(noted.stamp.bytes)
    }

    #[test]
    fn notes_come_with_bytes_and_with_time_and_not_with_each_write() {
        let folder = tempfile::tempdir().unwrap();
        let destination = DownloadDestination::file(folder.path().join("a"));
        let start = SystemClock.now();
        let (mut partial_file, checks) = (partial_file(&destination, start), Checks::default());
        let mut write = |bytes: usize, after: Duration| {
            partial_file.write(&[vec![7; bytes].into()]).unwrap();
            partial_file.note(&checks, start + after);
            noted(&destination)
        };
        let (now, mib) = (Duration::ZERO, MIB as u64);
        assert_eq!(write(MIB - 1, now), None);
        assert_eq!(write(1, now), Some(mib));
        assert_eq!(write(MIB / 2, now), Some(mib));
        assert_eq!(write(MIB / 2, now), Some(2 * mib));
        assert_eq!(write(MIB, now), Some(2 * mib));
        assert_eq!(write(1, Duration::from_secs(1)), Some(3 * mib + 1));
        // Hardly anything is not worth a wait for the disk.
        assert_eq!(write(1, Duration::from_secs(9)), Some(3 * mib + 1));
        assert_eq!(write(LITTLE as usize, Duration::from_secs(9)), Some(3 * mib + 2 + LITTLE));
    }

    #[test]
    fn a_sink_that_is_dropped_leaves_what_is_noted_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let destination = DownloadDestination::file(folder.path().join("a"));
        let now = SystemClock.now();
        let count = || std::fs::read_dir(folder.path()).unwrap().count();
        let mut first = partial_file(&destination, now);
        first.write(&[vec![7; 1000].into()]).unwrap();
        drop(first);
        assert_eq!(count(), 0);
        let mut second = partial_file(&destination, now);
        second.write(&[vec![7; MIB].into()]).unwrap();
        second.note(&Checks::default(), now);
        second.write(&[vec![7; 1000].into()]).unwrap();
        drop(second);
        assert_eq!((count(), noted(&destination)), (2, Some(MIB as u64)));
        let left = left_at(&destination, &resume_info().request).unwrap();
        let mut third = PartialFile::reopen(&left, Some(destination.clone()), now).unwrap();
        assert_eq!(third.position(), MIB as u64);
        // What began anew is not what was noted.
        third.restart(Some(resume_info()), &[], now).unwrap();
        assert_eq!((count(), noted(&destination)), (1, None));
        drop(third);
        assert_eq!(count(), 0);
    }

    /// A sink of which a MiB is noted, and more is written.
    fn noted_sink(destination: &DownloadDestination) -> PartialFile {
        let now = SystemClock.now();
        let mut partial_file = partial_file(destination, now);
        partial_file.write(&[vec![7; MIB].into()]).unwrap();
        partial_file.note(&Checks::default(), now);
        partial_file.write(&[vec![7; 1000].into()]).unwrap();
        partial_file
    }

    #[test]
    fn a_temporary_file_that_cannot_be_closed_is_no_download() {
        let mut partial_file = PartialFile::create(None, "a", None, SystemClock.now()).unwrap();
        partial_file.go_on_at(0, None, &[]).unwrap();
        partial_file.write(&[Bytes::from_static(b"abc")]).unwrap();
        let path = partial_file.path.as_ref().unwrap().to_path_buf();
        fail_next_close(io::ErrorKind::QuotaExceeded);
        let error = PartialFile::finish(&mut Some(partial_file), "a").unwrap_err();
        assert_eq!((error.code(), error.phase()), (UrlErrorCode::CannotCloseFile, Phase::Disk));
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
        assert!(std::error::Error::source(&error).unwrap().to_string().contains("quota"), "{error:?}");
        assert!(!path.exists());
    }

    #[test]
    fn a_file_that_cannot_be_closed_does_not_get_to_its_destination_and_only_what_was_noted_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let destination = DownloadDestination::file(folder.path().join("a"));
        let mut place = Some(noted_sink(&destination));
        fail_next_close(io::ErrorKind::StorageFull);
        let error = PartialFile::finish(&mut place, "a").unwrap_err();
        assert_eq!(error.code(), UrlErrorCode::CannotCloseFile);
        assert!(error.to_string().contains(".a.urlsession-part") && !folder.path().join("a").exists());
        assert!(place.unwrap().leave(&Checks::default(), true).is_none());
        assert_eq!(noted(&destination), Some(MIB as u64));
    }

    #[test]
    fn what_got_lost_after_it_was_written_fails_the_download_though_it_is_said_only_once() {
        let folder = tempfile::tempdir().unwrap();
        let destination = DownloadDestination::file(folder.path().join("a"));
        for is_end in [false, true] {
            let mut partial_file = noted_sink(&destination);
            assert!(
                partial_file.settled(Err(io::ErrorKind::InvalidInput.into())).is_err()
                    && !partial_file.is_damaged
            );
            assert!(partial_file.settled(Err(io::ErrorKind::StorageFull.into())).is_err());
            let mut place = Some(partial_file);
            let error = match is_end {
                true => PartialFile::finish(&mut place, "a").unwrap_err(),
                false => place.as_mut().unwrap().write(&[Bytes::from_static(b"more")]).unwrap_err(),
            };
            assert_eq!(error.code(), UrlErrorCode::CannotWriteToFile);
            assert!(place.is_none_or(|partial_file| partial_file.leave(&Checks::default(), true).is_none()));
            assert_eq!(noted(&destination), Some(MIB as u64));
            assert!(!folder.path().join("a").exists());
        }
    }

    #[test]
    fn what_overlaps_is_written_over_and_what_lies_beyond_is_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let destination = DownloadDestination::file(folder.path().join("a"));
        let now = SystemClock.now();
        let mut partial_file = partial_file(&destination, now);
        partial_file.write(&[Bytes::from_static(b"0123456789")]).unwrap();
        let left = partial_file.leave(&Checks::default(), true).unwrap();
        let path = folder.path().join(".a.urlsession-part");
        let mut more = File::options().append(true).open(&path).unwrap();
        more.write_all(b"not of the download").unwrap();
        let noted = ResumeRecord::open(&left.data).unwrap();
        let mut partial_file = PartialFile::reopen(&noted, Some(destination), now).unwrap();
        let digest = ContentDigest::from_hex(SHA256).unwrap();
        partial_file.go_on_at(6, Some(12), &[digest]).unwrap();
        partial_file.write(&[Bytes::from_static(b"6789"), Bytes::from_static(b"ab")]).unwrap();
        let file = PartialFile::finish(&mut Some(partial_file), "a").unwrap();
        assert_eq!((std::fs::read(file.path()).unwrap().as_slice(), file.len()), (&b"0123456789ab"[..], 12));
    }

    /// Of `0123456789ab`.
    const SHA256: &str = "d407ad901895723f32d31e6515f5284beb4c01e70e56720d65099da4771f3193";
}
