//! The URL error of a broken stream or connection, and whether the request can be sent again (RFC 9113 §8.7).

use h2::Reason;

use crate::error::{Phase, Replay, UrlError, UrlErrorCode};
use crate::transport::tls::late_refusal;

/// Why there is no head.
pub(crate) enum Failure {
    Stream(h2::Error),
    Own(UrlError),
}

impl From<UrlError> for Failure {
    fn from(error: UrlError) -> Self {
        Self::Own(error)
    }
}

/// The connection could not be set up.
pub(super) fn connection_error(error: h2::Error) -> UrlError {
    if let Some(refusal) = error.get_io().and_then(late_refusal) {
        return refusal;
    }
    let (code, detail) = if error.is_io() {
        (UrlErrorCode::NetworkConnectionLost, "the connection broke during the HTTP/2 handshake")
    } else {
        (UrlErrorCode::BadServerResponse, "the server broke the HTTP/2 protocol during the handshake")
    };
    UrlError::new(code, Phase::Connect, detail).with_source(error)
}

/// The connection took no new stream: nothing was sent.
pub(super) fn not_sent(error: h2::Error) -> UrlError {
    let detail = "the HTTP/2 connection was closing";
    UrlError::new(UrlErrorCode::NetworkConnectionLost, Phase::Send, detail)
        .with_source(error)
        .with_replay(Replay::Safe)
}

/// The codec sends no such request; the connection has nothing to do with it.
pub(super) fn refused(error: h2::Error) -> UrlError {
    let detail = "the request cannot be sent over HTTP/2";
    UrlError::new(UrlErrorCode::BadUrl, Phase::Request, detail).with_source(error)
}

/// Whether the server requires HTTP/1.1 (RFC 9113 §7).
pub(super) fn requires_http1(error: &h2::Error) -> bool {
    error.is_remote() && error.reason() == Some(Reason::HTTP_1_1_REQUIRED)
}

/// A stream ended without a response, or in the middle of one.
pub(super) fn stream_error(error: h2::Error, phase: Phase, first_on_reused: bool) -> UrlError {
    use UrlErrorCode as C;
    if let Some(refusal) = error.get_io().and_then(late_refusal) {
        return refusal;
    }
    let is_refusal = |reason| matches!(reason, Reason::REFUSED_STREAM | Reason::HTTP_1_1_REQUIRED);
    let refused = error.is_remote() && error.is_reset() && error.reason().is_some_and(is_refusal);
    // The crate fails with GOAWAY only the streams above the last one the server says it has seen.
    let above_goaway = error.is_remote() && error.is_go_away();
    let (code, detail) = if requires_http1(&error) {
        (C::NetworkConnectionLost, "the server requires HTTP/1.1 (HTTP_1_1_REQUIRED)")
    } else if above_goaway {
        (C::NetworkConnectionLost, "the server closed the HTTP/2 connection (GOAWAY)")
    } else if error.is_remote() && error.is_reset() {
        match error.reason() {
            Some(Reason::REFUSED_STREAM) => {
                (C::NetworkConnectionLost, "the server refused the HTTP/2 stream")
            }
            Some(Reason::PROTOCOL_ERROR) => {
                (C::BadServerResponse, "the server says that we broke the HTTP/2 protocol")
            }
            _ => (C::NetworkConnectionLost, "the server reset the HTTP/2 stream"),
        }
    } else if error.is_io() {
        (C::NetworkConnectionLost, "the HTTP/2 connection broke")
    } else {
        (C::BadServerResponse, "the server broke the HTTP/2 protocol")
    };
    let replay = if phase == Phase::Head && (refused || above_goaway) {
        Replay::Safe
    } else if first_on_reused && error.is_io() {
        Replay::IfIdempotent
    } else {
        Replay::Unsafe
    };
    UrlError::new(code, phase, detail).with_source(error).with_replay(replay)
}
