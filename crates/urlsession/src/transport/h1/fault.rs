//! Which URL error a broken exchange is, and whether the request can be sent again.

use std::io;

use urlsession_proto::http1::{BodyError, FramingError, HeadError};

use super::Connection;
use crate::error::{Phase, Replay, UrlError, UrlErrorCode};
use crate::transport::acknowledged::acknowledged;
use crate::transport::tls::late_refusal;

impl Connection {
    /// The connection ended or broke before a final head.
    pub(super) fn lost(&mut self, error: Option<io::Error>) -> UrlError {
        let detail = if self.input.is_empty() {
            "the server closed the connection without an answer"
        } else {
            "the server closed the connection in the middle of its answer"
        };
        let lost = UrlError::new(UrlErrorCode::NetworkConnectionLost, Phase::Head, detail);
        let is_reset = |error: &io::Error| error.kind() == io::ErrorKind::ConnectionReset;
        self.was_reset =
            error.as_ref().is_some_and(is_reset) || self.write_error.as_ref().is_some_and(is_reset);
        let error = error.or_else(|| self.write_error.take());
        if let Some(refusal) = error.as_ref().and_then(late_refusal) {
            return refusal;
        }
        match error {
            Some(error) => lost.with_source(error),
            None => lost,
        }
    }

    /// Adds to the error of an exchange whether the server can have seen the request (RFC 9110 §9.2.2).
    pub(super) fn judge(&self, error: UrlError, reused: bool) -> UrlError {
        if error.code() != UrlErrorCode::NetworkConnectionLost || !self.input.is_empty() || !reused {
            return error;
        }
        let replay = if self.nothing_reached_the_server() { Replay::Safe } else { Replay::IfIdempotent };
        error.with_replay(replay)
    }

    /// No byte of this exchange was taken by the system; or the server ended the connection in order, and the
    /// segment that said so acknowledged none of them: it had closed before they came. A reset proves nothing, for
    /// what it acknowledges is not counted (RFC 9293 §3.10.7.4).
    fn nothing_reached_the_server(&self) -> bool {
        let wire = self.stream.wire();
        if wire.written() == self.written_before {
            return true;
        }
        let acknowledged = wire.as_tcp().and_then(acknowledged);
        !self.was_reset && acknowledged.is_some_and(|acknowledged| acknowledged <= self.written_before)
    }
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
