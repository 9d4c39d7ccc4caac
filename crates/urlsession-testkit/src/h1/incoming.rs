//! Owns reading: heads, bodies by length and by chunks (RFC 9112, 7.1), and noticing that the client is gone.

use std::future::Future;
use std::pin::pin;

use bytes::{Buf, Bytes};
use tokio::io::AsyncReadExt;

use super::head::{self, Framing};
use super::{Broken, Connection};
use crate::io::End;
use crate::request::field_text;
use crate::service::Act;

/// Longer heads, chunk lines and trailers are refused.
const HEAD_LIMIT: usize = 1 << 20;
/// How much is asked of the connection at once.
const READ: usize = 64 << 10;
/// What is read ahead while the server waits for something else.
const AHEAD_LIMIT: usize = 1 << 20;

impl Connection {
    /// The bytes of a head before its empty line (the CR of its last line included), or `None` when the
    /// client closed between requests.
    pub(super) async fn read_head(&mut self) -> Result<Option<Bytes>, Broken> {
        let mut seen = 0;
        loop {
            let from = seen.max(3) - 3;
            if let Some(at) = self.buffer[from..].windows(4).position(|w| w == b"\r\n\r\n") {
                let block = self.buffer.split_to(from + at + 1).freeze();
                self.buffer.advance(3);
                return Ok(Some(block));
            }
            seen = self.buffer.len();
            if seen > HEAD_LIMIT {
                return self.refuse("endless head".to_owned()).await;
            }
            if !self.fill().await? {
                if !self.buffer.is_empty() {
                    self.link.hub.ledger.violation("closed within a head");
                }
                return Ok(None);
            }
        }
    }

    /// Reads a body into the journal; gives its trailers.
    pub(super) async fn read_body(
        &mut self,
        id: usize,
        framing: Framing,
    ) -> Result<Vec<(String, String)>, Broken> {
        match framing {
            Framing::Length(length) => {
                self.act(id).await?;
                self.read_bytes(id, length).await?;
                Ok(Vec::new())
            }
            Framing::Chunked => loop {
                self.act(id).await?;
                let line = self.read_line().await?;
                let text = field_text(&line);
                let digits = text.split(';').next().unwrap_or_default().trim_end();
                let valid = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit());
                let Some(size) = u64::from_str_radix(digits, 16).ok().filter(|_| valid) else {
                    return self.refuse(format!("chunk size {text:?}")).await;
                };
                if size == 0 {
                    return self.read_trailers().await;
                }
                self.read_bytes(id, size).await?;
                if !self.read_line().await?.is_empty() {
                    return self.refuse("chunk longer than its size".to_owned()).await;
                }
            },
        }
    }

    async fn read_bytes(&mut self, id: usize, length: u64) -> Result<(), Broken> {
        let mut left = length;
        while left > 0 {
            if self.buffer.is_empty() && !self.fill().await? {
                return Err(Broken(End::Gone));
            }
            let mut take = usize::try_from(left).unwrap_or(usize::MAX).min(self.buffer.len());
            if let (Some(cues), Some(service)) = (&mut self.cues, &self.link.hub.service) {
                take = cues.space(take);
                cues.took(take);
                service.take(id, &self.buffer[..take]);
            }
            self.link.hub.ledger.body(id, &self.buffer[..take]);
            self.buffer.advance(take);
            left -= take as u64;
            self.act(id).await?;
        }
        Ok(())
    }

    /// Does what a service wants done here.
    async fn act(&mut self, id: usize) -> Result<(), Broken> {
        while let Some(act) = self.cues.as_mut().and_then(|cues| cues.due()) {
            match act {
                Act::Inform(status, fields) => self.send_informational(status, &fields).await?,
                Act::Break => return Err(Broken(End::Close { linger: true })),
                Act::Answer(reply) => {
                    let Some(seen) = self.link.hub.ledger.peek(id) else { return Err(Broken(End::Gone)) };
                    self.perform(&seen, *reply, false).await?;
                    self.link.hub.ledger.note(|j| j.replies += 1);
                    return Err(Broken(End::Close { linger: true }));
                }
            }
        }
        Ok(())
    }

    async fn read_trailers(&mut self) -> Result<Vec<(String, String)>, Broken> {
        let mut trailers = Vec::new();
        loop {
            let line = self.read_line().await?;
            if line.is_empty() {
                return Ok(trailers);
            }
            match head::field(&line) {
                Ok(field) => trailers.push(field),
                Err(what) => return self.refuse(what).await,
            }
        }
    }

    /// A line without its CRLF.
    async fn read_line(&mut self) -> Result<Bytes, Broken> {
        loop {
            if let Some(at) = self.buffer.iter().position(|b| *b == b'\n') {
                let line = self.buffer.split_to(at + 1).freeze();
                return match line.strip_suffix(b"\r\n") {
                    Some(text) => Ok(line.slice(..text.len())),
                    None => self.refuse("line without CRLF".to_owned()).await,
                };
            }
            if self.buffer.len() > HEAD_LIMIT {
                return self.refuse("endless line".to_owned()).await;
            }
            if !self.fill().await? {
                return Err(Broken(End::Gone));
            }
        }
    }

    /// Reads more; `false` at the end of the stream.
    async fn fill(&mut self) -> Result<bool, Broken> {
        self.buffer.reserve(READ);
        Ok(self.io.read_buf(&mut self.buffer).await? > 0)
    }

    /// Waits for something other than the client, but not longer than the client is there.
    pub(super) async fn unless_gone<F: Future>(&mut self, future: F) -> Result<F::Output, Broken> {
        let mut future = pin!(future);
        loop {
            if self.buffer.len() >= AHEAD_LIMIT {
                return Ok(future.await);
            }
            tokio::select! {
                biased;
                out = &mut future => return Ok(out),
                more = self.fill() => if !more? { return Err(Broken(End::Gone)) },
            }
        }
    }
}
