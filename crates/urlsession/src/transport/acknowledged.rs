//! One platform call: how many bytes the peer's TCP has acknowledged.
//!
//! A request of which no byte was acknowledged when the server ended the connection in order was not
//! processed: the proof that lets even a POST be sent again when a kept connection turns out to be closed.

use tokio::net::TcpStream;

/// Bytes of application data the peer has acknowledged since the connection was made; `None` where the system
/// does not say.
#[cfg(target_os = "linux")]
#[allow(unsafe_code)] // one getsockopt, see the proof below
pub(super) fn acknowledged(stream: &TcpStream) -> Option<u64> {
    use std::os::fd::AsRawFd;

    // Multipath TCP counts those of one path, which prove nothing of the others.
    if !matches!(socket2::SockRef::from(stream).protocol(), Ok(Some(socket2::Protocol::TCP))) {
        return None;
    }
    // struct tcp_info of linux/tcp.h: 8 bytes of flags, 24 fields of 4 bytes, two rates of 8, then tcpi_bytes_acked.
    const BYTES_ACKED: usize = 8 + 24 * 4 + 2 * 8;
    let mut info = [0u8; 256];
    let mut length = info.len() as libc::socklen_t;
    // SAFETY: the descriptor is open for as long as `stream` is borrowed; the kernel writes at most `length` bytes
    // into `info`, which is that long, and stores in `length` how many it wrote. Any bytes are a valid [u8; 256].
    let result = unsafe {
        libc::getsockopt(
            stream.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            info.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    let field = info.get(BYTES_ACKED..BYTES_ACKED + 8)?;
    if result != 0 || (length as usize) < BYTES_ACKED + 8 {
        return None;
    }
    let acked = u64::from_ne_bytes(field.try_into().ok()?);
    // The SYN counts as one.
    acked.checked_sub(1)
}

#[cfg(not(target_os = "linux"))]
pub(super) fn acknowledged(_: &TcpStream) -> Option<u64> {
    None
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::io::Read;
    use tokio::io::AsyncWriteExt;

    #[test]
    fn what_the_peer_received_is_acknowledged_and_nothing_before_it() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let (mut server, _) = listener.accept().unwrap();
            assert_eq!(acknowledged(&client), Some(0));
            client.write_all(&[7; 1000]).await.unwrap();
            server.read_exact(&mut [0; 1000]).unwrap();
            assert_eq!(acknowledged(&client), Some(1000));
            client.write_all(&[7; 23]).await.unwrap();
            server.read_exact(&mut [0; 23]).unwrap();
            assert_eq!(acknowledged(&client), Some(1023));
        });
    }

    #[test]
    fn what_is_written_to_a_closed_peer_is_not_acknowledged() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let (mut server, _) = listener.accept().unwrap();
            client.write_all(&[7; 10]).await.unwrap();
            server.read_exact(&mut [0; 10]).unwrap();
            drop(server);
            client.readable().await.unwrap();
            client.write_all(&[7; 500]).await.unwrap();
            // The reset arrives as an end or an error of reading, after the end the close itself sent.
            while !matches!(client.try_read(&mut [0; 8]), Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset)
            {
                client.ready(tokio::io::Interest::READABLE | tokio::io::Interest::ERROR).await.unwrap();
                if client.take_error().unwrap().is_some() {
                    break;
                }
            }
            assert_eq!(acknowledged(&client), Some(10));
        });
    }
}
