//! One platform call: closes a file and returns the error of the file system. `File` ignores this error when it is dropped.
//!
//! A file system on another machine (NFS, SMB), or of a program (FUSE), may take what is written and say only when the file
//! is closed that the disk is full, or that what was written is lost.

use std::io;

use super::fs::File;

/// Closes a descriptor of the file. Whatever comes of it, the descriptor is gone.
///
/// On Linux the file system is asked also while the file has other descriptors, elsewhere only with the last.
///
/// # Errors
/// If something that was written before may not have got into the file.
#[cfg(unix)]
#[allow(unsafe_code)] // one close, see the proof below
pub(crate) fn close(file: File) -> io::Result<()> {
    use std::os::fd::IntoRawFd;

    #[cfg(test)]
    let injected = tests::injected();
    // SAFETY: `into_raw_fd` gives up the file's own open descriptor: nothing else closes or uses it.
    let closed = match unsafe { libc::close(file.into_raw_fd()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    };
    #[cfg(test)]
    let closed = closed.and(injected);
    told(closed)
}

/// Closes a handle of the file. Whatever comes of it, the handle is gone.
///
/// # Errors
/// If something that was written before may not have got into the file.
#[cfg(windows)]
#[allow(unsafe_code)] // one CloseHandle, see the proof below
pub(crate) fn close(file: File) -> io::Result<()> {
    use std::os::windows::io::IntoRawHandle;

    #[cfg(test)]
    let injected = tests::injected();
    // SAFETY: `into_raw_handle` gives up the file's own open handle: nothing else closes or uses it.
    let closed = match unsafe { windows_sys::Win32::Foundation::CloseHandle(file.into_raw_handle()) } {
        0 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    };
    #[cfg(test)]
    let closed = closed.and(injected);
    told(closed)
}

/// A signal that came meanwhile says nothing of the file, which is closed (close(2)).
fn told(closed: io::Result<()>) -> io::Result<()> {
    closed.or_else(|error| if error.kind() == io::ErrorKind::Interrupted { Ok(()) } else { Err(error) })
}

#[cfg(test)]
pub(crate) mod tests {
    use std::cell::Cell;

    use super::*;

    std::thread_local! {
        static FAILURE: Cell<Option<io::ErrorKind>> = const { Cell::new(None) };
    }

    /// The next file that this thread closes has been on a file system that says this of it.
    pub(crate) fn fail_next(kind: io::ErrorKind) {
        FAILURE.set(Some(kind));
    }

    pub(super) fn injected() -> io::Result<()> {
        FAILURE.take().map_or(Ok(()), |kind| Err(kind.into()))
    }

    #[cfg(unix)]
    #[test]
    fn what_is_closed_is_closed() {
        use std::io::{Read, Write};

        let (mut reader, writer) = io::pipe().unwrap();
        let mut file = File::from(std::os::fd::OwnedFd::from(writer));
        file.write_all(b"abc").unwrap();
        close(file).unwrap();
        let mut all = String::new();
        reader.read_to_string(&mut all).unwrap();
        assert_eq!(all, "abc");
    }

    #[test]
    fn a_signal_is_no_failure_and_a_full_disk_is() {
        let told = |kind| {
            fail_next(kind);
            close(tempfile::tempfile().unwrap()).map_err(|error| error.kind())
        };
        assert_eq!(told(io::ErrorKind::Interrupted), Ok(()));
        assert_eq!(told(io::ErrorKind::QuotaExceeded), Err(io::ErrorKind::QuotaExceeded));
    }
}
