//! Owns the reply script: what to answer, in which pieces, behind which gates, and how the connection ends.
//! It does not write anything; `h1` and `h2` perform the script.

use std::time::Duration;

use bytes::Bytes;

use crate::body::Body;
use crate::gate::Gate;

/// What becomes of the connection once the reply is out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// It serves the next request. The default, but for [`Reply::raw`] and [`Reply::no_length`].
    KeepAlive,
    /// It closes, and says so: `Connection: close`, or GOAWAY on HTTP/2.
    Close,
    /// It closes in order (FIN, and close_notify inside TLS) without having said so.
    SilentClose,
    /// TCP ends without TLS's close_notify (a truncation attack); the same as `SilentClose` without TLS.
    Cut,
    /// The server's direction ends; the other one is read until the client closes it.
    HalfClose,
    /// The connection is reset (SO_LINGER 0).
    Reset,
    /// It no longer speaks HTTP: what the client sends comes back, until it ends its direction. HTTP/1.1 only.
    Echo,
}

/// A bounded burst of HTTP/2 frames sent before the reply goes on as scripted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flood {
    /// This many PING frames.
    Ping(usize),
    /// This many empty SETTINGS frames.
    Settings(usize),
    /// This many empty DATA frames, after the head.
    EmptyData(usize),
    /// The head's block spread over this many CONTINUATION frames, each with one more field.
    Continuation(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    Length,
    Chunked,
    UntilClose,
}

#[derive(Clone, Debug)]
pub(crate) enum Kind {
    Response,
    Raw(Bytes),
    Drop,
    Stall,
    Routes,
}

/// The parts of a script only HTTP/2 performs.
#[derive(Clone, Debug, Default)]
pub(crate) struct H2Script {
    pub(crate) reset: Option<(u32, Option<u64>)>,
    pub(crate) goaway_below: Option<bool>,
    pub(crate) garbage: bool,
    pub(crate) flood: Option<Flood>,
    pub(crate) verbatim: bool,
    pub(crate) pings: bool,
}

/// A scripted answer. Built by chaining; a clone performs the same script at the same gates.
#[derive(Clone, Debug)]
#[must_use]
pub struct Reply {
    pub(crate) kind: Kind,
    pub(crate) status: u16,
    pub(crate) reason: Option<String>,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) informational: Vec<(u16, Vec<(String, String)>)>,
    pub(crate) body: Body,
    pub(crate) framing: Framing,
    pub(crate) trailers: Vec<(String, String)>,
    pub(crate) gates: Vec<Gate>,
    pub(crate) body_gates: Vec<(u64, Gate)>,
    pub(crate) read_gate: Option<Gate>,
    pub(crate) gap: Option<Duration>,
    pub(crate) delay: Option<Duration>,
    pub(crate) truncate: Option<u64>,
    pub(crate) early: bool,
    pub(crate) after: Option<After>,
    pub(crate) h2: H2Script,
}

impl Reply {
    /// A reply with that status, an empty body and the connection kept.
    pub fn new(status: u16) -> Self {
        Self::of(Kind::Response, status)
    }

    /// The connection closes without a byte of answer (RST_STREAM is [`Reply::h2_reset`]).
    pub fn drop_connection() -> Self {
        Self::of(Kind::Drop, 0)
    }

    /// Never answers; the connection stays until the client gives up.
    pub fn stall() -> Self {
        Self::of(Kind::Stall, 0)
    }

    /// Exactly these bytes on the connection, nothing added, then a close unless [`Reply::then`] says else.
    pub fn raw(bytes: impl Into<Vec<u8>>) -> Self {
        Self::of(Kind::Raw(bytes.into().into()), 0)
    }

    /// An empty 200 that is sent when the gate opens.
    pub fn held(gate: Gate) -> Self {
        Self::new(200).after(gate)
    }

    /// Lets the default routes answer; for handlers that care about some paths only.
    pub fn routes() -> Self {
        Self::of(Kind::Routes, 0)
    }

    fn of(kind: Kind, status: u16) -> Self {
        Self {
            kind,
            status,
            reason: None,
            headers: Vec::new(),
            informational: Vec::new(),
            body: Body::Whole(Bytes::new()),
            framing: Framing::Length,
            trailers: Vec::new(),
            gates: Vec::new(),
            body_gates: Vec::new(),
            read_gate: None,
            gap: None,
            delay: None,
            truncate: None,
            early: false,
            after: None,
            h2: H2Script::default(),
        }
    }

    /// Another status for the same reply.
    pub fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// The reason phrase of the HTTP/1 status line, in place of the registered one.
    pub fn reason(mut self, phrase: impl Into<String>) -> Self {
        self.reason = Some(phrase.into());
        self
    }

    /// Appends a field, spelled as given. A `Content-Length` or `Transfer-Encoding` given here replaces the
    /// computed one, right or wrong.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// The body, with its length declared.
    pub fn body(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.body = Body::Whole(bytes.into().into());
        self
    }

    /// A body of unannounced length, one HTTP/1 chunk (or HTTP/2 DATA frame) per element.
    pub fn chunked<C: Into<Vec<u8>>>(mut self, chunks: impl IntoIterator<Item = C>) -> Self {
        self.body = Body::Chunks(chunks.into_iter().map(|c| Bytes::from(c.into())).collect());
        self.framing = Framing::Chunked;
        self
    }

    /// A generated body of `total` bytes, byte `i` being `i % 251`, with its length declared.
    pub fn endless(mut self, total: u64) -> Self {
        self.body = Body::Pattern { start: 0, len: total };
        self
    }

    /// The part `start..start + len` of the generated body, for ranges.
    pub fn pattern(mut self, start: u64, len: u64) -> Self {
        self.body = Body::Pattern { start, len };
        self
    }

    /// A body that ends with the connection (HTTP/2: with the stream), no length declared.
    pub fn no_length(mut self) -> Self {
        self.framing = Framing::UntilClose;
        self
    }

    /// A trailer field; the body becomes chunked on HTTP/1.
    pub fn trailer(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.framing = Framing::Chunked;
        self.trailers.push((name.into(), value.into()));
        self
    }

    /// Several trailer fields.
    pub fn trailers(self, fields: &[(&str, &str)]) -> Self {
        fields.iter().fold(self, |reply, (name, value)| reply.trailer(*name, *value))
    }

    /// A 1xx reply that goes first; several are sent in order. In an enqueued script they are sent as soon as
    /// the request's head is in, before its body is read (`100`); from a handler, after the body.
    pub fn informational(mut self, status: u16, fields: &[(&str, &str)]) -> Self {
        let fields = fields.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        self.informational.push((status, fields));
        self
    }

    /// Waits at the gate before the head, after the 1xx replies.
    pub fn after(mut self, gate: Gate) -> Self {
        self.gates.push(gate);
        self
    }

    /// Waits at the gate once `at` bytes of the body are out (0: after the head).
    pub fn body_gate(mut self, at: u64, gate: Gate) -> Self {
        self.body_gates.push((at, gate));
        self
    }

    /// Enqueued scripts only: the request's body is not read (HTTP/2: not credited) until the gate opens. An
    /// HTTP/1 client that leaves meanwhile is noticed when it opens.
    pub fn read_gate(mut self, gate: Gate) -> Self {
        self.read_gate = Some(gate);
        self
    }

    /// Rests that long between two chunks; for demonstrations, tests use gates.
    pub fn gap(mut self, between: Duration) -> Self {
        self.gap = Some(between);
        self
    }

    /// Thinks that long before it answers; for measurements, tests use gates.
    pub fn delay(mut self, before: Duration) -> Self {
        self.delay = Some(before);
        self
    }

    /// Declares the body's length but closes after `n` bytes of it.
    pub fn truncate_at(mut self, n: u64) -> Self {
        self.truncate = Some(n);
        self
    }

    /// Enqueued scripts only: answers as soon as the request's head is in, not waiting for its body.
    pub fn early(mut self) -> Self {
        self.early = true;
        self
    }

    /// What becomes of the connection afterwards.
    pub fn then(mut self, after: After) -> Self {
        self.after = Some(after);
        self
    }

    /// HTTP/2: RST_STREAM with that code in place of a response.
    pub fn h2_reset(mut self, code: u32) -> Self {
        self.h2.reset = Some((code, None));
        self
    }

    /// HTTP/2: the head and `n` bytes of the body, then RST_STREAM with that code.
    pub fn h2_reset_at(mut self, code: u32, n: u64) -> Self {
        self.h2.reset = Some((code, Some(n)));
        self
    }

    /// HTTP/2: GOAWAY. With `last_stream_id_below` its last stream is one below this stream, which is thereby
    /// not processed and gets no answer; newer streams are dropped with it. Else the newest stream is the last
    /// one, and this one is answered. The connection closes when the remaining streams are done.
    pub fn h2_goaway(mut self, last_stream_id_below: bool) -> Self {
        self.h2.goaway_below = Some(last_stream_id_below);
        self
    }

    /// HTTP/2: a protocol error in place of a response (DATA on an idle stream).
    pub fn h2_garbage(mut self) -> Self {
        self.h2.garbage = true;
        self
    }

    /// HTTP/2: a bounded flood before the response.
    pub fn h2_flood(mut self, flood: Flood) -> Self {
        self.h2.flood = Some(flood);
        self
    }

    /// HTTP/2: a PING whenever a gate of the body has opened.
    pub fn h2_ping(mut self) -> Self {
        self.h2.pings = true;
        self
    }

    /// HTTP/2: sends the fields as spelled, upper case and connection-specific ones included (malformed).
    pub fn h2_verbatim(mut self) -> Self {
        self.h2.verbatim = true;
        self
    }

    pub(crate) fn has_header(&self, name: &str) -> bool {
        self.headers.iter().any(|(k, _)| k.eq_ignore_ascii_case(name))
    }

    /// What the script says or its framing implies.
    pub(crate) fn ending(&self) -> After {
        let implied = match (&self.kind, self.framing) {
            (Kind::Raw(_) | Kind::Drop, _) | (_, Framing::UntilClose) => After::SilentClose,
            _ => After::KeepAlive,
        };
        self.after.unwrap_or(implied)
    }

    /// Whether a response with this status to this method has no body on the wire.
    pub(crate) fn is_bodiless(&self, method: &str) -> bool {
        method == "HEAD" || matches!(self.status, 100..=199 | 204 | 304)
    }
}

/// The registered reason phrase (RFC 9110, 15).
pub(crate) fn reason_of(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        101 => "Switching Protocols",
        102 => "Processing",
        103 => "Early Hints",
        104 => "Upload Resumption Supported",
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        203 => "Non-Authoritative Information",
        204 => "No Content",
        205 => "Reset Content",
        206 => "Partial Content",
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        305 => "Use Proxy",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        416 => "Range Not Satisfiable",
        415 => "Unsupported Media Type",
        417 => "Expectation Failed",
        422 => "Unprocessable Content",
        423 => "Locked",
        421 => "Misdirected Request",
        425 => "Too Early",
        426 => "Upgrade Required",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "",
    }
}
