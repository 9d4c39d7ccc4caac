//! Conversions from and to `UrlError`, and the checks that most applications need. The module adds nothing to an error.

use std::error::Error as StdError;
use std::io;

use super::{Phase, UrlError, UrlErrorCode};

impl UrlError {
    /// True if time ran out: the timeout of the request, of the resource, or of the system's own attempt to connect. Extension:
    /// no counterpart in Apple's API.
    pub fn is_timeout(&self) -> bool {
        self.code() == UrlErrorCode::TimedOut
    }

    /// True if a host name could not be looked up, or was not found. Extension: no counterpart in Apple's API.
    pub fn is_dns(&self) -> bool {
        self.phase() == Phase::Dns
    }

    /// True if the connection to the server or to a proxy could not be opened. Failures of the name lookup and of the TLS
    /// handshake do not count. Extension: no counterpart in Apple's API.
    pub fn is_connect(&self) -> bool {
        self.phase() == Phase::Connect
    }

    /// True if the TLS handshake failed, certificates included. Extension: no counterpart in Apple's API.
    pub fn is_tls(&self) -> bool {
        self.phase() == Phase::Tls
    }

    /// True if the task was cancelled, for any reason: see [`Cancelled`](UrlErrorCode::Cancelled). Extension: no counterpart in
    /// Apple's API.
    pub fn is_cancelled(&self) -> bool {
        self.code() == UrlErrorCode::Cancelled
    }
}

/// The kind is that of the first `io::Error` among the causes, else the kind nearest to the code, else `Other`. It is never
/// `Interrupted`, because readers continue after that kind. The `UrlError` itself is inside ([`get_ref`](io::Error::get_ref)).
impl From<UrlError> for io::Error {
    fn from(error: UrlError) -> Self {
        Self::new(kind(&error), error)
    }
}

fn kind(error: &UrlError) -> io::ErrorKind {
    use io::ErrorKind as Kind;
    let mut causes = std::iter::successors(error.source(), |cause| (*cause).source());
    if let Some(cause) = causes.find_map(|cause| cause.downcast_ref::<io::Error>()) {
        return if cause.kind() == Kind::Interrupted { Kind::Other } else { cause.kind() };
    }
    match error.code() {
        UrlErrorCode::TimedOut => Kind::TimedOut,
        UrlErrorCode::CannotFindHost | UrlErrorCode::FileDoesNotExist => Kind::NotFound,
        UrlErrorCode::CannotConnectToHost => Kind::ConnectionRefused,
        UrlErrorCode::NetworkConnectionLost => Kind::ConnectionAborted,
        UrlErrorCode::NotConnectedToInternet => Kind::NetworkUnreachable,
        UrlErrorCode::NoPermissionsToReadFile => Kind::PermissionDenied,
        UrlErrorCode::FileIsDirectory => Kind::IsADirectory,
        UrlErrorCode::BadUrl | UrlErrorCode::UnsupportedUrl => Kind::InvalidInput,
        UrlErrorCode::CannotParseResponse
        | UrlErrorCode::BadServerResponse
        | UrlErrorCode::CannotDecodeContentData
        | UrlErrorCode::CannotDecodeRawData => Kind::InvalidData,
        _ => Kind::Other,
    }
}

/// The code is [`BadUrl`](UrlErrorCode::BadUrl). The error does not contain the text that is not a URL.
impl From<url::ParseError> for UrlError {
    fn from(error: url::ParseError) -> Self {
        let detail = match error {
            url::ParseError::RelativeUrlWithoutBase => {
                "the text is not a URL: it has no scheme, such as https://".into()
            }
            _ => format!("the text is not a URL: {error}"),
        };
        Self::new(UrlErrorCode::BadUrl, Phase::Request, detail).with_source(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_which_of_the_common_ones_it_is() {
        let of = |code, phase| UrlError::new(code, phase, "why");
        let asked = |error: &UrlError| {
            [error.is_timeout(), error.is_dns(), error.is_connect(), error.is_tls(), error.is_cancelled()]
        };
        for (error, expected) in [
            (of(UrlErrorCode::TimedOut, Phase::Task), 0b10000),
            (of(UrlErrorCode::CannotFindHost, Phase::Dns), 0b01000),
            (of(UrlErrorCode::CannotConnectToHost, Phase::Connect), 0b00100),
            (of(UrlErrorCode::TimedOut, Phase::Connect), 0b10100),
            (of(UrlErrorCode::ServerCertificateUntrusted, Phase::Tls), 0b00010),
            (UrlError::cancelled(), 0b00001),
            (of(UrlErrorCode::BadServerResponse, Phase::Head), 0),
        ] {
            let answers = asked(&error).into_iter().fold(0, |all, answer| all << 1 | u8::from(answer));
            assert_eq!(answers, expected, "{error:?}");
        }
    }

    #[test]
    fn an_io_error_has_the_kind_of_its_cause_and_the_error_in_it() {
        let refused = UrlError::new(UrlErrorCode::CannotConnectToHost, Phase::Connect, "why");
        for (error, kind) in [
            (refused.clone(), io::ErrorKind::ConnectionRefused),
            (
                refused.with_source(io::Error::from(io::ErrorKind::HostUnreachable)),
                io::ErrorKind::HostUnreachable,
            ),
            (UrlError::new(UrlErrorCode::TimedOut, Phase::Task, "why"), io::ErrorKind::TimedOut),
            (UrlError::cancelled(), io::ErrorKind::Other),
            (
                UrlError::cancelled().with_source(io::Error::from(io::ErrorKind::Interrupted)),
                io::ErrorKind::Other,
            ),
            (UrlError::new(UrlErrorCode::HttpTooManyRedirects, Phase::Redirect, "why"), io::ErrorKind::Other),
        ] {
            let text = error.to_string();
            let io = io::Error::from(error.clone());
            let inner = io.get_ref().and_then(|inner| inner.downcast_ref::<UrlError>()).unwrap();
            assert_eq!((io.kind(), inner.code(), io.to_string()), (kind, error.code(), text));
        }
    }

    #[test]
    fn a_question_mark_turns_what_is_no_url_into_an_error() {
        fn parsed(text: &str) -> super::super::Result<url::Url> {
            Ok(text.parse::<url::Url>()?)
        }
        let error = parsed("example.com").unwrap_err();
        assert_eq!(error.code(), UrlErrorCode::BadUrl);
        assert!(error.detail().contains("no scheme"), "{error}");
        assert!(parsed("https://[::1").unwrap_err().detail().contains("IPv6"));
        assert!(parsed("https://example.com/").is_ok());
    }
}
