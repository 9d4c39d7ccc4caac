//! One platform call: bytes of a file at a position, from wherever they are or only from the kernel's memory.
//!
//! What is in memory is read where it is wanted: to ask another thread takes longer than the copy. What is not may take
//! the disk's time, and is read by a thread that may wait.

use std::io;

use crate::env::fs::File;

/// `length` bytes from `offset` on, if the kernel has them all in memory; `None` if not, or if it does not say.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code)] // one preadv2 into memory that holds nothing yet, see the proof below
pub(crate) fn read_held(file: &File, offset: u64, length: usize) -> Option<Vec<u8>> {
    use std::os::fd::AsRawFd;

    let mut data = Vec::new();
    data.try_reserve_exact(length).ok()?;
    while data.len() < length {
        let (at, left) = (data.len(), length - data.len());
        let offset = libc::off_t::try_from(offset + at as u64).ok()?;
        let space = &mut data.spare_capacity_mut()[..left];
        let part = libc::iovec { iov_base: space.as_mut_ptr().cast(), iov_len: space.len() };
        // SAFETY: the descriptor is open for as long as `file` is borrowed; `part` is one buffer, which is `space`, and
        // the kernel writes at most its length into it and says how much that was.
        let read = unsafe { libc::preadv2(file.as_raw_fd(), &raw const part, 1, offset, libc::RWF_NOWAIT) };
        // An error is that it would wait, or that this file system does not know the question.
        let read = usize::try_from(read).ok().filter(|read| *read > 0)?;
        // SAFETY: these bytes of `space` have just been written, and they are within the capacity.
        unsafe { data.set_len(at + read) };
    }
    Some(data)
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn read_held(_: &File, _: u64, _: usize) -> Option<Vec<u8>> {
    None
}

/// As many bytes from `offset` on as the kernel has in memory, into `buffer`; `None` if there are none, or if it does not
/// say.
#[cfg(target_os = "linux")]
pub(crate) fn read_held_into(file: &File, offset: u64, buffer: &mut [u8]) -> Option<usize> {
    use rustix::io::{ReadWriteFlags, preadv2};
    let mut buffer = [io::IoSliceMut::new(buffer)];
    preadv2(file, &mut buffer, offset, ReadWriteFlags::NOWAIT).ok().filter(|read| *read > 0)
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn read_held_into(_: &File, _: u64, _: &mut [u8]) -> Option<usize> {
    None
}

/// Takes space on the disk for `length` bytes from `offset` on, without making the file longer. False where the system or
/// the file system cannot.
///
/// # Errors
/// If there is no space.
#[cfg(target_os = "linux")]
pub(crate) fn reserve(file: &File, offset: u64, length: u64) -> io::Result<bool> {
    use rustix::fs::{FallocateFlags, fallocate};
    use rustix::io::Errno;
    match fallocate(file, FallocateFlags::KEEP_SIZE, offset, length) {
        Ok(()) => Ok(true),
        Err(error @ (Errno::NOSPC | Errno::DQUOT | Errno::FBIG)) => Err(error.into()),
        Err(_) => Ok(false),
    }
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn reserve(_: &File, _: u64, _: u64) -> io::Result<bool> {
    Ok(false)
}

/// How many bytes are free where the file is, also those kept for the administrator; `None` if nobody says.
#[cfg(target_os = "linux")]
pub(crate) fn free_room(file: &File) -> Option<u64> {
    let space = rustix::fs::fstatvfs(file).ok()?;
    // A file system without a size says nothing.
    (space.f_blocks > 0).then(|| space.f_bfree.saturating_mul(space.f_frsize))
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn free_room(_: &File) -> Option<u64> {
    None
}

/// `length` bytes from `offset` on. Waits for the disk.
pub(crate) fn read_at(file: &File, offset: u64, length: usize) -> io::Result<Vec<u8>> {
    let mut data = vec![0; length];
    let mut read = 0;
    while read < length {
        match read_some(file, &mut data[read..], offset + read as u64) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(more) => read += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(data)
}

/// Some bytes from `offset` on; none at the end of the file. Waits for the disk.
#[cfg(unix)]
pub(crate) fn read_some(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buffer, offset)
}

/// Some bytes from `offset` on; none at the end of the file. Waits for the disk.
#[cfg(windows)]
pub(crate) fn read_some(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, buffer, offset)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn file(data: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(data).unwrap();
        file
    }

    #[test]
    fn a_part_is_read_from_its_place_whatever_was_read_before() {
        let data: Vec<u8> = (0..100_000).map(|at| (at % 251) as u8).collect();
        let file = file(&data);
        for (from, length) in [(0, 100_000), (70_000, 30_000), (5, 0), (99_999, 1)] {
            let wanted = &data[from..from + length];
            assert_eq!(read_at(&file, from as u64, length).unwrap(), wanted);
            if let Some(held) = read_held(&file, from as u64, length) {
                assert_eq!(held, wanted);
            }
            let mut buffer = vec![0; length];
            if let Some(held) = read_held_into(&file, from as u64, &mut buffer) {
                assert_eq!(buffer[..held], wanted[..held]);
            }
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn room_is_reserved_behind_the_end_and_there_is_an_end_to_it() {
        let file = file(b"short");
        reserve(&file, 5, 1 << 20).unwrap();
        assert_eq!(file.metadata().unwrap().len(), 5);
        assert!(free_room(&file).is_none_or(|free| free < i64::MAX as u64));
        assert!(reserve(&file, 5, i64::MAX as u64 - 5).is_err());
    }

    #[test]
    fn what_ends_too_soon_is_not_read() {
        let file = file(b"short");
        assert!(read_at(&file, 0, 6).is_err() && read_at(&file, 9, 1).is_err());
        assert!(read_held(&file, 0, 6).is_none() && read_held(&file, 9, 1).is_none());
        assert!(read_held_into(&file, 9, &mut [0]).is_none());
    }
}
