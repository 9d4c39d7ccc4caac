//! Owns performing a script on one HTTP/2 stream. Runs as a task of its own, which a reset of the stream or
//! the end of the connection aborts at any wait.

use std::sync::Arc;

use bytes::Bytes;

use super::frame::{self, CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, PING, SETTINGS};
use super::shared::{Shared, Stopped};
use super::writer::Out;
use super::{fields, hpack};
use crate::body::{Piece, Pieces};
use crate::io::End;
use crate::reply::{After, Flood, Kind, Reply};
use crate::request::Recorded;

/// The longest piece taken off a body at once; frames are cut from it.
const PIECE: usize = 64 << 10;

/// Performs the script; a stopped stream ends it early.
pub(super) async fn run(shared: Shared, stream: u32, request: Arc<Recorded>, reply: Reply) {
    // Whatever stopped the stream was noted where it happened.
    let _ = Responder { shared, stream }.perform(&request, reply).await;
}

/// How a stream's script left off.
enum Left {
    Done,
    /// The stream or the connection was ended by the script.
    Ended,
}

struct Responder {
    shared: Shared,
    stream: u32,
}

impl Responder {
    async fn perform(&self, request: &Recorded, reply: Reply) -> Result<(), Stopped> {
        let implied = if self.shared.link.hub.close_after_response { After::Close } else { After::KeepAlive };
        let after = reply.after.unwrap_or(implied);
        for (status, fields) in &reply.informational {
            let block = fields::informational(*status, fields);
            self.queue(frame::headers(self.stream, &block, false, self.shared.max_frame())).await?;
        }
        for gate in &reply.gates {
            gate.pass().await;
        }
        if let Some(delay) = reply.delay {
            tokio::time::sleep(delay).await;
        }
        if matches!(self.special(&reply).await?, Left::Ended) {
            return Ok(());
        }
        match &reply.kind {
            Kind::Stall => return std::future::pending().await,
            Kind::Drop => return self.end_connection(reply.ending()).await,
            Kind::Raw(bytes) => {
                self.queue(bytes.to_vec()).await?;
                return self.end_connection(reply.ending()).await;
            }
            Kind::Response | Kind::Routes => {}
        }
        if matches!(self.respond(request, reply).await?, Left::Ended) {
            return Ok(());
        }
        self.shared.queue(Out::Done).await?;
        self.shared.said(self.stream);
        self.end_connection(after).await
    }

    /// The parts of a script that come in place of a response or before it.
    async fn special(&self, reply: &Reply) -> Result<Left, Stopped> {
        let script = &reply.h2;
        if script.garbage {
            let idle = (self.shared.newest() | 1) + 2000;
            self.queue(frame::frame(DATA, 0, idle, b"garbage")).await?;
            return Ok(Left::Ended);
        }
        if let Some((code, None)) = script.reset {
            self.shared.reset(self.stream, code).await?;
            return Ok(Left::Ended);
        }
        match script.goaway_below {
            Some(true) => {
                self.shared.go_away(self.stream.saturating_sub(2)).await?;
                return Ok(Left::Ended);
            }
            Some(false) => self.shared.go_away(self.shared.newest()).await?,
            None => {}
        }
        match script.flood {
            Some(Flood::Ping(count)) => self.flood(count, &frame::frame(PING, 0, 0, b"flooding")).await?,
            Some(Flood::Settings(count)) => self.flood(count, &frame::frame(SETTINGS, 0, 0, &[])).await?,
            Some(Flood::EmptyData(_) | Flood::Continuation(_)) | None => {}
        }
        Ok(Left::Done)
    }

    /// The head, the body and the trailers.
    async fn respond(&self, request: &Recorded, reply: Reply) -> Result<Left, Stopped> {
        let bodiless = reply.is_bodiless(&request.method);
        let block = fields::reply(&reply, bodiless);
        let trailers = (!reply.trailers.is_empty()).then(|| fields::encode_trailers(&reply));
        let reset = reply.h2.reset.and_then(|(code, at)| Some((code, at?)));
        let cut = reset.map(|(_, at)| at).or(reply.truncate);
        let mut pieces = Pieces::new(reply.body, reply.body_gates, cut, reply.gap);
        let empty_data = matches!(reply.h2.flood, Some(Flood::EmptyData(_)));
        let mut ended = bodiless || (pieces.is_spent() && trailers.is_none() && !empty_data);
        if ended {
            self.shared.ending(self.stream);
        }
        self.queue(match reply.h2.flood {
            Some(Flood::Continuation(count)) => self.spread(&block, count, ended),
            _ => frame::headers(self.stream, &block, ended, self.shared.max_frame()),
        })
        .await?;
        if ended {
            return Ok(Left::Done);
        }
        if let Some(Flood::EmptyData(count)) = reply.h2.flood {
            self.flood(count, &frame::frame(DATA, 0, self.stream, &[])).await?;
        }
        loop {
            match pieces.next(PIECE) {
                Piece::Data(data) => {
                    ended = pieces.is_spent() && trailers.is_none();
                    if ended {
                        self.shared.ending(self.stream);
                    }
                    self.shared.send_data(self.stream, data, ended).await?;
                }
                Piece::Wait(gate) => {
                    gate.pass().await;
                    if reply.h2.pings {
                        self.queue(frame::frame(PING, 0, 0, b"the gate")).await?;
                    }
                }
                Piece::Rest(gap) => tokio::time::sleep(gap).await,
                Piece::Cut => {
                    match reset {
                        Some((code, _)) => self.shared.reset(self.stream, code).await?,
                        None => self.end_connection(After::SilentClose).await?,
                    }
                    return Ok(Left::Ended);
                }
                Piece::End => break,
            }
        }
        if !ended {
            self.shared.ending(self.stream);
            match trailers {
                Some(block) => {
                    self.queue(frame::headers(self.stream, &block, true, self.shared.max_frame())).await?;
                }
                None => self.shared.send_data(self.stream, Bytes::new(), true).await?,
            }
        }
        Ok(Left::Done)
    }

    /// A block in HEADERS and then so many CONTINUATION frames, each with one more field.
    fn spread(&self, block: &[u8], count: usize, end_stream: bool) -> Vec<u8> {
        let end_stream = if end_stream { END_STREAM } else { 0 };
        let only = if count == 0 { END_HEADERS } else { 0 };
        let mut out = frame::frame(HEADERS, end_stream | only, self.stream, block);
        for i in 1..=count {
            let mut field = Vec::new();
            hpack::encode(&mut field, &format!("x-flood-{i}"), "continued");
            let flags = if i == count { END_HEADERS } else { 0 };
            out.extend_from_slice(&frame::frame(CONTINUATION, flags, self.stream, &field));
        }
        out
    }

    async fn flood(&self, count: usize, frame: &[u8]) -> Result<(), Stopped> {
        const BURST: usize = 1000;
        let mut left = count;
        while left > 0 {
            let burst = left.min(BURST);
            self.queue(frame.repeat(burst)).await?;
            left -= burst;
        }
        Ok(())
    }

    async fn end_connection(&self, after: After) -> Result<(), Stopped> {
        let end = match after {
            // There is nothing but HTTP on HTTP/2 without extended CONNECT.
            After::KeepAlive | After::Echo => return Ok(()),
            After::Close => return self.shared.go_away(self.shared.newest()).await,
            After::SilentClose => End::Close { linger: true },
            After::Cut => End::Cut,
            After::HalfClose => End::Half,
            After::Reset => End::Reset,
        };
        self.shared.queue(Out::End(end)).await
    }

    async fn queue(&self, frames: Vec<u8>) -> Result<(), Stopped> {
        self.shared.queue(Out::Bytes(frames)).await
    }
}
