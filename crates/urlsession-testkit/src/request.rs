//! Owns the picture of one request as it arrived: what handlers read and what the journal keeps.

use std::sync::Arc;

use crate::Wire;
use crate::body::pattern_matches;

/// How much of a request body is kept; the rest is counted only.
const KEPT_BODY: usize = 1 << 20;

/// A request as a handler sees it: the same as what is recorded.
pub type Request = Recorded;

/// One request as it came off the wire.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// Position in the order of arrival at this origin, from 0.
    pub id: usize,
    /// Index of the connection it came on, in the order of acceptance, from 0.
    pub connection: usize,
    /// The HTTP/2 stream, `None` on HTTP/1.
    pub stream: Option<u32>,
    /// The protocol that was really spoken (an ALPN fallback shows here).
    pub wire: Wire,
    /// The method, as spelled.
    pub method: String,
    /// The request target as sent: of the request line, or `:path`.
    pub target: String,
    /// The `Host` field or `:authority`.
    pub authority: Option<String>,
    /// The fields in order and as spelled, without the HTTP/2 pseudo-fields.
    pub headers: Vec<(String, String)>,
    /// The first mebibyte of the body, decoded from its transfer coding.
    pub body: Vec<u8>,
    /// The length of the whole body so far.
    pub body_len: u64,
    /// Whether every body byte so far is `index % 251`, the pattern of [`crate::pattern`].
    pub body_is_pattern: bool,
    /// The trailer fields.
    pub trailers: Vec<(String, String)>,
    /// What the handshake settled, `None` on a bare connection.
    pub tls: Option<Arc<TlsFacts>>,
}

impl Recorded {
    /// The target without its query.
    pub fn path(&self) -> &str {
        self.target.split_once('?').map_or(self.target.as_str(), |(path, _)| path)
    }

    /// The query, without its question mark.
    pub fn query(&self) -> Option<&str> {
        self.target.split_once('?').map(|(_, query)| query)
    }

    /// The first field of that name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(k, _)| k.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    /// Every field of that name, in any case, in order.
    pub fn header_all(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(k, _)| k.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str()).collect()
    }

    /// The kept body as text, with replacement characters where it is not UTF-8.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn take_body(&mut self, bytes: &[u8]) {
        self.body_is_pattern = self.body_is_pattern && pattern_matches(self.body_len, bytes);
        self.body_len += bytes.len() as u64;
        let space = KEPT_BODY.saturating_sub(self.body.len()).min(bytes.len());
        self.body.extend_from_slice(&bytes[..space]);
    }
}

/// What a TLS handshake settled, from the server's side.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFacts {
    /// `TLSv1_2` or `TLSv1_3`.
    pub version: String,
    /// The cipher suite's name.
    pub cipher_suite: String,
    /// The name the client asked for.
    pub server_name: Option<String>,
    /// The protocol ALPN settled on.
    pub alpn: Option<String>,
    /// Whether an earlier session was resumed.
    pub resumed: bool,
    /// The client's certificates in DER, leaf first.
    pub client_certificates: Vec<Vec<u8>>,
}

/// Field text from the wire: UTF-8 when it is, ISO-8859-1 otherwise, so that no byte is lost.
pub(crate) fn field_text(bytes: &[u8]) -> String {
    std::str::from_utf8(bytes).map_or_else(|_| bytes.iter().map(|b| char::from(*b)).collect(), str::to_owned)
}
