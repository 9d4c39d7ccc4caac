//! The URL error of a broken exchange, and whether the server can have seen its request.

use std::io;

use urlsession_proto::http1::{BodyError, FramingError, HeadError};

use crate::env::Wire;
use crate::error::{Phase, UrlError, UrlErrorCode};
use crate::transport::acknowledged::acknowledged;
use crate::transport::tls::late_refusal;

/// The connection ended or broke before a final head, of which something had come if `is_begun`.
pub(super) fn lost(is_begun: bool, error: Option<io::Error>) -> UrlError {
    if let Some(refusal) = error.as_ref().and_then(late_refusal) {
        return refusal;
    }
    let detail = match is_begun {
        false => "the server closed the connection without an answer",
        true => "the server closed the connection in the middle of its answer",
    };
    let lost = UrlError::new(UrlErrorCode::NetworkConnectionLost, Phase::Head, detail);
    match error {
        Some(error) => lost.with_source(error),
        None => lost,
    }
}

/// No byte after the first `before` was taken by the system; or the server ended the connection in order, and the
/// segment that said so acknowledged none of them: it had closed before they came. A reset proves nothing, for
/// what it acknowledges is not counted (RFC 9293 §3.10.7.4).
pub(super) fn nothing_reached_the_server(wire: &Wire, before: u64, was_reset: bool) -> bool {
    if wire.written() == before {
        return true;
    }
    let acknowledged = wire.as_tcp().and_then(acknowledged);
    !was_reset && acknowledged.is_some_and(|acknowledged| acknowledged <= before)
}

pub(super) fn head_error(error: HeadError) -> UrlError {
    let code = match error {
        HeadError::TooLarge | HeadError::TooManyFields => UrlErrorCode::DataLengthExceedsMaximum,
        _ => UrlErrorCode::CannotParseResponse,
    };
    UrlError::new(code, Phase::Head, error.to_string()).with_source(error)
}

pub(super) fn framing_error(error: FramingError) -> UrlError {
    UrlError::new(UrlErrorCode::CannotParseResponse, Phase::Head, error.to_string()).with_source(error)
}

pub(super) fn body_error(error: BodyError) -> UrlError {
    UrlError::new(UrlErrorCode::BadServerResponse, Phase::Body, error.to_string()).with_source(error)
}

/// The connection broke in the middle of the body.
pub(super) fn broken(error: io::Error) -> UrlError {
    let detail = "the connection broke before the body was complete";
    UrlError::new(UrlErrorCode::NetworkConnectionLost, Phase::Body, detail).with_source(error)
}
