//! Owns the writing half of an HTTP/2 connection: control frames first, the rest in the order it was queued.

use bytes::Bytes;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;

use super::frame::HEAD;
use crate::io::End;
use crate::journal::Ledger;

/// Output is gathered up to this size before it is written.
const GATHER: usize = 256 << 10;

/// Something to write.
pub(super) enum Out {
    /// A frame's head and its payload, which is not copied until it is written.
    Frame([u8; HEAD], Bytes),
    /// Whole frames, or whatever a script says.
    Bytes(Vec<u8>),
    /// All of a reply is before this.
    Done,
    /// The connection ends here.
    End(End),
}

/// The receiving ends of what streams and reader have to say.
pub(super) struct Queues {
    /// Bounded, so that a slow client slows the responders and not the memory.
    pub(super) data: mpsc::Receiver<Out>,
    /// Never waits: the reader must go on reading even when the client does not.
    pub(super) control: mpsc::UnboundedReceiver<Out>,
}

/// Writes until the connection ends.
pub(super) async fn run(io: &mut (impl AsyncWrite + Unpin), mut queues: Queues, ledger: &Ledger) -> End {
    let mut buffer = Vec::with_capacity(GATHER + (64 << 10));
    loop {
        let first = tokio::select! {
            biased;
            Some(out) = queues.control.recv() => out,
            Some(out) = queues.data.recv() => out,
            else => return End::Gone,
        };
        let (mut next, mut done, mut end) = (Some(first), 0, None);
        while let Some(out) = next.take() {
            match out {
                Out::Frame(head, payload) => {
                    buffer.extend_from_slice(&head);
                    buffer.extend_from_slice(&payload);
                }
                Out::Bytes(bytes) => buffer.extend_from_slice(&bytes),
                Out::Done => done += 1,
                Out::End(how) => {
                    end = Some(how);
                    break;
                }
            }
            if buffer.len() < GATHER {
                next = queues.control.try_recv().or_else(|_| queues.data.try_recv()).ok();
            }
        }
        if io.write_all(&buffer).await.is_err() || io.flush().await.is_err() {
            return End::Gone;
        }
        buffer.clear();
        if done > 0 {
            ledger.note(|j| j.replies += done);
        }
        if let Some(end) = end {
            return end;
        }
    }
}
