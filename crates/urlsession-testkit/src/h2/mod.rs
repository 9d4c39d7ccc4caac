//! Owns HTTP/2 on one connection (RFC 9113): a reader that judges what the client sends, one responder task
//! per stream, and a writer. Flow control is kept in both directions; server push is not offered.

mod fields;
mod frame;
mod hpack;
mod huffman;
mod reader;
mod respond;
mod shared;
mod writer;

use self::reader::Reader;
use self::shared::Shared;
use crate::hub::{Link, Open};
use crate::io::Io;

/// The window every stream and connection starts with (RFC 9113, 6.9.2).
pub(crate) const DEFAULT_WINDOW: u32 = 65_535;
/// The largest window.
pub(crate) const MAX_WINDOW: u32 = (1 << 31) - 1;

pub(crate) async fn serve(io: Io, link: Link, open: Open) {
    let (mut read, mut write) = tokio::io::split(io);
    let (shared, queues) = Shared::new(link);
    let mut reader = Reader::new(shared.clone());
    let end = tokio::select! {
        end = reader.run(&mut read) => end,
        end = writer::run(&mut write, queues, &shared.link.hub.ledger) => end,
    };
    shared.abort_all();
    read.unsplit(write).end(end, open).await;
}
