//! Owns the reading half of an HTTP/2 connection (RFC 9113, 5 and 6): frames, field blocks, receive windows.
//! What a correct client never sends is noted in the journal and answered as the RFC says.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::mpsc;

use super::fields::{self, RequestHead};
use super::frame::{self, Frame};
use super::hpack::Decoder;
use super::shared::Shared;
use super::{DEFAULT_WINDOW, respond};
use crate::io::End;
use crate::journal::{PriorityUpdate, Reset};
use crate::reply::Reply;
use crate::request::Recorded;
use crate::service::{Act, Cues};

/// How much is asked of the connection at once.
const READ: usize = 128 << 10;
/// A field block larger than this ends the connection.
const BLOCK_LIMIT: usize = 1 << 20;

/// Something the client did wrong.
pub(super) enum Fault {
    Connection(u32, String),
    Stream(u32, u32, String),
    /// Nothing: the server ends the connection.
    Over,
}

impl Fault {
    fn protocol(what: impl Into<String>) -> Self {
        Self::Connection(frame::PROTOCOL_ERROR, what.into())
    }
}

pub(super) struct Reader {
    shared: Shared,
    buffer: BytesMut,
    greeted: bool,
    settled: bool,
    decoder: Decoder,
    /// A field block that CONTINUATION goes on with.
    block: Option<Block>,
    incoming: HashMap<u32, Incoming>,
    window: Window,
    /// The client knows this server's settings.
    acknowledged: bool,
    released: (mpsc::UnboundedSender<u32>, mpsc::UnboundedReceiver<u32>),
}

struct Block {
    stream: u32,
    end_stream: bool,
    bytes: Vec<u8>,
}

/// A request whose half of the stream is open.
struct Incoming {
    id: usize,
    window: Window,
    /// A script keeps the stream from being credited.
    held: bool,
    script: Option<Reply>,
    answered: bool,
    length: Option<u64>,
    received: u64,
    /// A service follows it.
    cues: Option<Cues>,
}

/// A receive window: what the client may send, and what it sent and was not given back.
struct Window {
    left: i64,
    pending: u32,
    threshold: u32,
}

impl Window {
    fn new(left: u32, size: u32) -> Self {
        Self { left: i64::from(left), pending: 0, threshold: (size / 2).max(1) }
    }

    /// Takes received bytes; `false` when there was no space for them.
    fn take(&mut self, bytes: u32) -> bool {
        self.left -= i64::from(bytes);
        self.pending += bytes;
        self.left >= 0
    }

    /// What to give back now.
    fn give(&mut self, all: bool) -> Option<u32> {
        let due = self.pending >= self.threshold || (all && self.pending > 0);
        due.then(|| {
            self.left += i64::from(self.pending);
            std::mem::take(&mut self.pending)
        })
    }
}

impl Reader {
    pub(super) fn new(shared: Shared) -> Self {
        let size = shared.link.hub.h2.connection_window;
        Self {
            shared,
            buffer: BytesMut::new(),
            greeted: false,
            settled: false,
            decoder: Decoder::new(),
            block: None,
            incoming: HashMap::new(),
            window: Window::new(size, size),
            acknowledged: false,
            released: mpsc::unbounded_channel(),
        }
    }

    /// Reads until the client ends the connection; after a connection error it waits for the writer's end.
    pub(super) async fn run(&mut self, io: &mut (impl AsyncRead + Unpin)) -> End {
        let settings = self.shared.link.hub.h2;
        self.shared
            .urgent(frame::settings(&[(3, settings.max_concurrent_streams), (4, settings.initial_window)]));
        if settings.connection_window > DEFAULT_WINDOW {
            self.shared.urgent(frame::window_update(0, settings.connection_window - DEFAULT_WINDOW));
        }
        loop {
            while let Some(step) = self.step() {
                match step {
                    Ok(()) => {}
                    Err(Fault::Stream(stream, code, what)) => {
                        self.shared.link.hub.ledger.violation(format!("stream {stream}: {what}"));
                        self.incoming.remove(&stream);
                        self.shared.reset_now(stream, code);
                    }
                    Err(Fault::Over) => {
                        self.shared.end_now(End::Close { linger: true });
                        return std::future::pending().await;
                    }
                    Err(Fault::Connection(code, what)) => {
                        self.shared.urgent(frame::goaway(self.shared.newest(), code, &what));
                        self.shared.link.hub.ledger.violation(what);
                        self.shared.end_now(End::Close { linger: true });
                        return std::future::pending().await;
                    }
                }
            }
            self.buffer.reserve(READ);
            tokio::select! {
                read = io.read_buf(&mut self.buffer) => if !matches!(read, Ok(n) if n > 0) {
                    return End::Gone;
                },
                Some(stream) = self.released.1.recv() => self.release(stream),
            }
        }
    }

    /// Handles the next whole frame; `None` when there is none.
    fn step(&mut self) -> Option<Result<(), Fault>> {
        if !self.greeted {
            let length = self.buffer.len().min(frame::PREFACE.len());
            if self.buffer[..length] != frame::PREFACE[..length] {
                return Some(Err(Fault::protocol("no connection preface")));
            }
            if length < frame::PREFACE.len() {
                return None;
            }
            self.buffer.advance(length);
            self.greeted = true;
        }
        match Frame::take(&mut self.buffer) {
            Ok(frame) => frame.map(|frame| self.frame(&frame)),
            Err(frame::TooLarge) => {
                Some(Err(Fault::Connection(frame::FRAME_SIZE_ERROR, "frame too large".to_owned())))
            }
        }
    }

    fn frame(&mut self, frame: &Frame) -> Result<(), Fault> {
        if !self.settled && frame.kind != frame::SETTINGS {
            return Err(Fault::protocol("the first frame is not SETTINGS"));
        }
        if let Some(block) = &self.block
            && (frame.kind != frame::CONTINUATION || frame.stream != block.stream)
        {
            return Err(Fault::protocol("a field block interrupted"));
        }
        let on_connection = matches!(frame.kind, frame::SETTINGS | frame::PING | frame::GOAWAY);
        let on_stream = matches!(
            frame.kind,
            frame::DATA | frame::HEADERS | frame::PRIORITY | frame::RST_STREAM | frame::CONTINUATION
        );
        if (on_connection && frame.stream != 0) || (on_stream && frame.stream == 0) {
            return Err(Fault::protocol(format!("frame type {} on stream {}", frame.kind, frame.stream)));
        }
        match frame.kind {
            frame::DATA => self.data(frame),
            frame::HEADERS => {
                let bytes = frame.content().ok_or_else(|| Fault::protocol("padding of HEADERS"))?.to_vec();
                let end_stream = frame.has(frame::END_STREAM);
                self.extend(Block { stream: frame.stream, end_stream, bytes }, frame.has(frame::END_HEADERS))
            }
            frame::CONTINUATION => {
                let mut block =
                    self.block.take().ok_or_else(|| Fault::protocol("CONTINUATION of nothing"))?;
                block.bytes.extend_from_slice(&frame.payload);
                self.extend(block, frame.has(frame::END_HEADERS))
            }
            frame::RST_STREAM => self.reset(frame),
            frame::SETTINGS => self.settings(frame),
            frame::PUSH_PROMISE => Err(Fault::protocol("PUSH_PROMISE from a client")),
            frame::PING => self.ping(frame),
            frame::GOAWAY => {
                let code = frame.payload.get(4..8).and_then(|b| b.try_into().ok()).map(u32::from_be_bytes);
                let code = code.ok_or_else(|| wrong_size("GOAWAY"))?;
                self.shared.link.hub.ledger.note(|j| j.goaways.push(code));
                Ok(())
            }
            frame::WINDOW_UPDATE => self.window_update(frame),
            frame::PRIORITY_UPDATE => self.priority_update(frame),
            // PRIORITY says nothing any more, and unknown types are for others.
            _ => Ok(()),
        }
    }

    /// RFC 9218, 7.1: on the connection, for a stream a request is on.
    fn priority_update(&mut self, frame: &Frame) -> Result<(), Fault> {
        if frame.stream != 0 {
            return Err(Fault::protocol("PRIORITY_UPDATE on a stream"));
        }
        let Some((stream, value)) = frame.payload.split_first_chunk() else {
            return Err(wrong_size("PRIORITY_UPDATE"));
        };
        let update = PriorityUpdate {
            stream: u32::from_be_bytes(*stream),
            value: String::from_utf8_lossy(value).into_owned(),
        };
        self.shared.link.hub.ledger.note(|j| j.priority_updates.push(update));
        Ok(())
    }

    fn extend(&mut self, block: Block, whole: bool) -> Result<(), Fault> {
        if block.bytes.len() > BLOCK_LIMIT {
            return Err(Fault::Connection(frame::ENHANCE_YOUR_CALM, "endless field block".to_owned()));
        }
        if !whole {
            self.block = Some(block);
            return Ok(());
        }
        let Block { stream, end_stream, bytes } = block;
        let section = self
            .decoder
            .decode(&bytes)
            .map_err(|what| Fault::Connection(frame::COMPRESSION_ERROR, format!("HPACK: {what}")))?;
        if stream.is_multiple_of(2) {
            return Err(Fault::protocol(format!("stream {stream} opened by a client")));
        }
        let opens = stream > self.shared.newest();
        if opens {
            self.shared.seen(stream);
        }
        if self.shared.is_refused(stream) || self.shared.was_cut(stream) {
            return Ok(());
        }
        if opens {
            let head = fields::request(section)
                .map_err(|what| Fault::Stream(stream, frame::PROTOCOL_ERROR, what))?;
            return self.request(stream, head, end_stream);
        }
        if !self.incoming.contains_key(&stream) {
            return Err(Fault::Connection(
                frame::STREAM_CLOSED,
                format!("HEADERS on closed stream {stream}"),
            ));
        }
        let trailers =
            fields::trailers(section).map_err(|what| Fault::Stream(stream, frame::PROTOCOL_ERROR, what))?;
        if !end_stream {
            let what = "trailers that do not end the stream".to_owned();
            return Err(Fault::Stream(stream, frame::PROTOCOL_ERROR, what));
        }
        self.end_stream(stream, trailers)
    }

    fn request(&mut self, stream: u32, head: RequestHead, end_stream: bool) -> Result<(), Fault> {
        let link = self.shared.link.clone();
        if self.shared.open_streams() >= link.hub.h2.max_concurrent_streams as usize {
            // A client that has not seen the settings yet is refused, not blamed.
            if self.acknowledged {
                link.hub.ledger.violation(format!("stream {stream}: more streams than the setting"));
            }
            self.shared.reset_now(stream, frame::REFUSED_STREAM);
            return Ok(());
        }
        self.shared.open(stream);
        let length = head.length;
        let id = link.hub.ledger.head(Recorded {
            id: 0,
            connection: link.index,
            stream: Some(stream),
            wire: link.wire,
            method: head.method,
            target: head.target,
            authority: head.authority,
            headers: head.fields,
            body: Vec::new(),
            body_len: 0,
            body_is_pattern: true,
            trailers: Vec::new(),
            tls: link.tls.clone(),
        });
        let Some(seen) = link.hub.ledger.peek(id) else { return Ok(()) };
        let mut script = link.hub.scripted(&seen.target);
        for (status, fields) in script.iter_mut().flat_map(|s| std::mem::take(&mut s.informational)) {
            let block = fields::informational(status, &fields);
            self.shared.urgent(frame::headers(stream, &block, false, self.shared.max_frame()));
        }
        let gate = script.as_mut().and_then(|script| script.read_gate.take());
        let initial = link.hub.h2.initial_window;
        let granted = if self.acknowledged { initial } else { initial.max(DEFAULT_WINDOW) };
        let mut incoming = Incoming {
            id,
            window: Window::new(granted, initial),
            held: gate.is_some(),
            script: None,
            answered: false,
            length,
            received: 0,
            cues: None,
        };
        if script.is_none() {
            incoming.cues = link.hub.service.as_ref().and_then(|service| service.begin(&seen));
        }
        match script {
            Some(script) if script.early => {
                incoming.answered = true;
                let reply = link.hub.resolve(script, &seen);
                self.answer(stream, &seen, reply);
            }
            script => incoming.script = script,
        }
        self.incoming.insert(stream, incoming);
        self.take(stream, &[])?;
        if end_stream {
            return self.end_stream(stream, Vec::new());
        }
        match gate {
            Some(gate) => {
                let released = self.released.0.clone();
                tokio::spawn(async move {
                    tokio::select! {
                        // The reader may be gone by now.
                        () = gate.pass() => drop(released.send(stream)),
                        () = released.closed() => {}
                    }
                });
            }
            None if initial == 0 => self.grant(stream),
            None => {}
        }
        Ok(())
    }

    /// The request's half of the stream is over: answer it.
    fn end_stream(&mut self, stream: u32, trailers: Vec<(String, String)>) -> Result<(), Fault> {
        let Some(incoming) = self.incoming.remove(&stream) else { return Ok(()) };
        if incoming.length.is_some_and(|length| length != incoming.received) {
            let what = format!("content-length {:?}, but {} bytes", incoming.length, incoming.received);
            return Err(Fault::Stream(stream, frame::PROTOCOL_ERROR, what));
        }
        let hub = &self.shared.link.hub;
        let Some(request) = hub.ledger.finish(incoming.id, trailers) else { return Ok(()) };
        if !incoming.answered {
            let reply = match (incoming.script, incoming.cues, &hub.service) {
                (Some(script), ..) => hub.resolve(script, &request),
                (None, Some(_), Some(service)) => service.end(&request),
                _ => hub.answer(&request),
            };
            self.answer(stream, &request, reply);
        }
        self.shared.heard(stream);
        Ok(())
    }

    fn answer(&self, stream: u32, request: &Arc<Recorded>, reply: Reply) {
        let responder = tokio::spawn(respond::run(self.shared.clone(), stream, Arc::clone(request), reply));
        self.shared.attach(stream, responder.abort_handle());
    }

    fn data(&mut self, frame: &Frame) -> Result<(), Fault> {
        let stream = frame.stream;
        // Padding counts in the windows (6.9.1). A frame's length fits 24 bits.
        let length = frame.payload.len() as u32;
        if !self.window.take(length) {
            return Err(Fault::Connection(
                frame::FLOW_CONTROL_ERROR,
                "the connection's window exceeded".to_owned(),
            ));
        }
        if let Some(increment) = self.window.give(false) {
            self.shared.urgent(frame::window_update(0, increment));
        }
        if stream > self.shared.newest() {
            return Err(Fault::protocol(format!("DATA on idle stream {stream}")));
        }
        if self.shared.is_refused(stream) || self.shared.was_cut(stream) {
            self.incoming.remove(&stream);
            return Ok(());
        }
        let content = frame.content().ok_or_else(|| Fault::protocol("padding of DATA"))?;
        let Some(incoming) = self.incoming.get_mut(&stream) else {
            let what = "DATA on a closed stream".to_owned();
            return Err(Fault::Stream(stream, frame::STREAM_CLOSED, what));
        };
        if !incoming.window.take(length) {
            let what = "the stream's window exceeded".to_owned();
            return Err(Fault::Stream(stream, frame::FLOW_CONTROL_ERROR, what));
        }
        incoming.received += content.len() as u64;
        self.take(stream, &content)?;
        let Some(incoming) = self.incoming.get_mut(&stream) else { return Ok(()) };
        if frame.has(frame::END_STREAM) {
            return self.end_stream(stream, Vec::new());
        }
        if !incoming.held
            && let Some(increment) = incoming.window.give(false)
        {
            self.shared.urgent(frame::window_update(stream, increment));
        }
        Ok(())
    }

    /// Files a piece of a body, and does what a service wants done within it.
    fn take(&mut self, stream: u32, mut content: &[u8]) -> Result<(), Fault> {
        let hub = self.shared.link.hub.clone();
        while let Some(incoming) = self.incoming.get_mut(&stream) {
            let id = incoming.id;
            let mut size = content.len();
            if let (Some(cues), Some(service), false) = (&mut incoming.cues, &hub.service, incoming.answered)
            {
                size = cues.space(size);
                cues.took(size);
                service.take(id, &content[..size]);
            }
            hub.ledger.body(id, &content[..size]);
            content = &content[size..];
            while let Some(act) = self.due(stream) {
                match act {
                    Act::Inform(status, fields) => {
                        let block = fields::informational(status, &fields);
                        self.shared.urgent(frame::headers(stream, &block, false, self.shared.max_frame()));
                    }
                    Act::Break => return Err(Fault::Over),
                    Act::Answer(reply) => {
                        if let (Some(seen), Some(incoming)) =
                            (hub.ledger.peek(id), self.incoming.get_mut(&stream))
                        {
                            incoming.answered = true;
                            self.answer(stream, &seen, *reply);
                        }
                    }
                }
            }
            if content.is_empty() {
                break;
            }
        }
        Ok(())
    }

    fn due(&mut self, stream: u32) -> Option<Act> {
        let incoming = self.incoming.get_mut(&stream).filter(|incoming| !incoming.answered)?;
        incoming.cues.as_mut()?.due()
    }

    /// A script lets the request's body come.
    fn release(&mut self, stream: u32) {
        let Some(incoming) = self.incoming.get_mut(&stream) else { return };
        incoming.held = false;
        if let Some(increment) = incoming.window.give(true) {
            self.shared.urgent(frame::window_update(stream, increment));
        } else if self.shared.link.hub.h2.initial_window == 0 {
            self.grant(stream);
        }
    }

    /// Opens the window of a stream that starts with none.
    fn grant(&mut self, stream: u32) {
        if let Some(incoming) = self.incoming.get_mut(&stream) {
            incoming.window.left += i64::from(DEFAULT_WINDOW);
            incoming.window.threshold = DEFAULT_WINDOW / 2;
            self.shared.urgent(frame::window_update(stream, DEFAULT_WINDOW));
        }
    }

    fn reset(&mut self, frame: &Frame) -> Result<(), Fault> {
        let code = frame.number().ok_or_else(|| wrong_size("RST_STREAM"))?;
        if frame.stream > self.shared.newest() {
            return Err(Fault::protocol("RST_STREAM on an idle stream"));
        }
        self.incoming.remove(&frame.stream);
        self.shared.forget(frame.stream);
        let reset = Reset { connection: self.shared.link.index, stream: frame.stream, code };
        self.shared.link.hub.ledger.note(|j| j.resets.push(reset));
        Ok(())
    }

    fn settings(&mut self, frame: &Frame) -> Result<(), Fault> {
        self.settled = true;
        if frame.has(frame::ACK) {
            if !frame.payload.is_empty() {
                return Err(wrong_size("acknowledged SETTINGS"));
            }
            if !self.acknowledged {
                self.acknowledged = true;
                let initial = i64::from(self.shared.link.hub.h2.initial_window);
                let change = (initial - i64::from(DEFAULT_WINDOW)).min(0);
                self.incoming.values_mut().for_each(|incoming| incoming.window.left += change);
            }
            self.shared.link.hub.ledger.note(|j| j.settings_acks += 1);
            return Ok(());
        }
        let (values, rest) = frame.payload.as_chunks::<6>();
        if !rest.is_empty() {
            return Err(wrong_size("SETTINGS"));
        }
        for [i0, i1, v0, v1, v2, v3] in values {
            let value = u32::from_be_bytes([*v0, *v1, *v2, *v3]);
            match (u16::from_be_bytes([*i0, *i1]), value) {
                (2, 2..) => return Err(Fault::protocol("SETTINGS_ENABLE_PUSH")),
                (4, value) => {
                    let legal = value <= super::MAX_WINDOW && self.shared.set_initial_window(value).is_ok();
                    if !legal {
                        return Err(Fault::Connection(
                            frame::FLOW_CONTROL_ERROR,
                            "SETTINGS_INITIAL_WINDOW_SIZE".to_owned(),
                        ));
                    }
                }
                (5, 16_384..=16_777_215) => self.shared.set_max_frame(value as usize),
                (5, _) => return Err(Fault::protocol("SETTINGS_MAX_FRAME_SIZE")),
                _ => {}
            }
        }
        self.shared.urgent(frame::frame(frame::SETTINGS, frame::ACK, 0, &[]));
        Ok(())
    }

    fn ping(&mut self, frame: &Frame) -> Result<(), Fault> {
        if frame.payload.len() != 8 {
            return Err(wrong_size("PING"));
        }
        if frame.has(frame::ACK) {
            self.shared.link.hub.ledger.note(|j| j.ping_acks += 1);
        } else {
            self.shared.urgent(frame::frame(frame::PING, frame::ACK, 0, &frame.payload));
        }
        Ok(())
    }

    fn window_update(&mut self, frame: &Frame) -> Result<(), Fault> {
        let increment = frame.number().ok_or_else(|| wrong_size("WINDOW_UPDATE"))? & super::MAX_WINDOW;
        let stream = frame.stream;
        if stream > self.shared.newest() {
            return Err(Fault::protocol("WINDOW_UPDATE on an idle stream"));
        }
        if increment > 0 && self.shared.credit(stream, increment).is_ok() {
            return Ok(());
        }
        let what = format!("WINDOW_UPDATE of stream {stream} by {increment}");
        Err(match (stream, increment) {
            (0, 0) => Fault::protocol(what),
            (0, _) => Fault::Connection(frame::FLOW_CONTROL_ERROR, what),
            (_, 0) => Fault::Stream(stream, frame::PROTOCOL_ERROR, what),
            _ => Fault::Stream(stream, frame::FLOW_CONTROL_ERROR, what),
        })
    }
}

fn wrong_size(frame: &str) -> Fault {
    Fault::Connection(frame::FRAME_SIZE_ERROR, format!("size of {frame}"))
}
