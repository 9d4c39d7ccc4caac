//! `SplicePipe`: the kernel's way from a socket to a file, on which bytes do not come into this process (Linux: `splice`).
//!
//! This module contains no protocol: the owner of the socket determines how many bytes go to the file.

use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::task::{Context, Poll, ready};

use rustix::io::Errno;
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};
use tokio::io::Interest;
use tokio::net::TcpStream;

use crate::env::fs::File;

/// A pipe between the two.
pub(crate) struct SplicePipe {
    read: OwnedFd,
    write: OwnedFd,
    held: usize,
    /// The file cannot be spliced to.
    copies: bool,
}

impl SplicePipe {
    /// `None` where the system gives none, or only one so small that reading and writing is faster.
    pub(crate) fn new() -> Option<Self> {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).ok()?;
        fcntl_setpipe_size(&write, CAPACITY).ok()?;
        Some(Self { read, write, held: 0, copies: false })
    }

    /// Takes up to `most` bytes of the socket; none at its end. What was taken before must have been written.
    pub(crate) fn poll_fill(
        &mut self,
        stream: &TcpStream,
        cx: &mut Context<'_>,
        most: u64,
    ) -> Poll<io::Result<usize>> {
        let most = usize::try_from(most).unwrap_or(CAPACITY).min(CAPACITY);
        let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
        loop {
            ready!(stream.poll_read_ready(cx))?;
            // The pipe is empty: that it would block is of the socket.
            let moved = stream
                .try_io(Interest::READABLE, || Ok(splice(stream, None, &self.write, None, most, flags)?));
            match moved {
                Ok(n) => {
                    self.held = n;
                    return Poll::Ready(Ok(n));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    /// Writes what was taken where the file is; `wrote` hears how much, piece by piece. Waits for the disk.
    pub(crate) fn drain(&mut self, file: &mut File, mut wrote: impl FnMut(usize)) -> io::Result<()> {
        while self.held > 0 {
            if self.copies {
                self.copy(file, &mut wrote)?;
                continue;
            }
            match splice(&self.read, None, &*file, None, self.held, SpliceFlags::MOVE) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => {
                    self.held -= n;
                    wrote(n);
                }
                Err(Errno::INTR) => {}
                // Not every file system can.
                Err(Errno::INVAL) => self.copies = true,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Whether the pipe is worth using for more: not where its bytes are copied.
    pub(crate) fn is_good(&self) -> bool {
        !self.copies
    }

    fn copy(&mut self, file: &mut File, wrote: &mut impl FnMut(usize)) -> io::Result<()> {
        let mut buffer = [0; 16 * 1024];
        let space = self.held.min(buffer.len());
        let n = rustix::io::read(&self.read, &mut buffer[..space])?;
        self.held -= n;
        let mut left = &buffer[..n];
        while !left.is_empty() {
            match file.write(left) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => {
                    wrote(n);
                    left = &left[n..];
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Of a smaller pipe the calls cost more than the copying.
const CAPACITY: usize = 1024 * 1024;

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::io::{Read, Seek};
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn what_a_socket_has_comes_into_a_file_where_it_is() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let (mut server, _) = listener.accept().unwrap();
            let data: Vec<u8> = (0..3_000_000u32).map(|at| (at % 251) as u8).collect();
            let sent = data.clone();
            let sender = std::thread::spawn(move || server.write_all(&sent).unwrap());
            for copies in [false, true] {
                let mut splice_pipe = SplicePipe::new().unwrap();
                splice_pipe.copies = copies;
                let mut file = tempfile::tempfile().unwrap();
                file.write_all(b"before").unwrap();
                let (mut taken, part) = (0, if copies { 1_000_000 } else { 2_000_000 });
                while taken < part {
                    let most = (part - taken) as u64;
                    let n = poll_fn(|cx| splice_pipe.poll_fill(&stream, cx, most)).await.unwrap();
                    assert!(n > 0 && n as u64 <= most);
                    let mut wrote = 0;
                    splice_pipe.drain(&mut file, |n| wrote += n).unwrap();
                    assert_eq!(wrote, n);
                    taken += n;
                }
                let mut written = Vec::new();
                file.rewind().unwrap();
                file.read_to_end(&mut written).unwrap();
                let from = if copies { 2_000_000 } else { 0 };
                assert_eq!(written[..6], *b"before");
                assert!(written[6..] == data[from..from + part], "copies: {copies}");
            }
            sender.join().unwrap();
            // The server has closed.
            let mut splice_pipe = SplicePipe::new().unwrap();
            assert_eq!(poll_fn(|cx| splice_pipe.poll_fill(&stream, cx, 10)).await.unwrap(), 0);
        });
    }
}
