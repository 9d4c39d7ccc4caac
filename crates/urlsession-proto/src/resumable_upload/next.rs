//! What follows from a response: pure functions, one for each kind of request.

use std::fmt;
use std::time::Duration;

use http::StatusCode;

use super::{Dialect, Problem, UploadFields};

/// A final response, as far as it matters here. The caller has `None` in its place if there was none.
#[derive(Clone, Copy, Debug)]
pub struct Reply {
    /// Its status.
    pub status: StatusCode,
    /// Its fields.
    pub fields: UploadFields,
    /// What it says of a refusal.
    pub problem: Option<Problem>,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// The response is the answer to the whole upload.
    Done,
    /// Send on from here; if that is not said, from the end of what was sent.
    Continue {
        /// The offset the server named.
        at: Option<u64>,
    },
    /// Ask how much the server has (`HEAD`); after a pause if it, or the way to it, failed.
    Ask {
        /// Whether a pause is due.
        after_pause: bool,
    },
    /// The same request belongs to the URL in `Location`.
    Moved,
    /// The content was too long for one request: discover the limits (`OPTIONS`) and send less.
    Smaller,
    /// Give up; the server keeps what it has, or has lost it.
    Stop(Stop),
    /// Give up, and tell the server so (`DELETE`).
    Delete(Stop),
}

/// Why an upload cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// No response came, and nothing is known of where to go on.
    Lost,
    /// The server refuses.
    Refused(StatusCode),
    /// The server does not know the upload any more.
    Gone(StatusCode),
    /// The server answers as if it did not know the protocol.
    NotAnUpload,
    /// The lengths of server and client differ.
    LengthMismatch,
    /// The server has more than there is to send.
    OffsetAhead,
    /// The responses of one request name different URLs.
    LocationMismatch,
    /// The representation is longer than the server takes.
    TooLarge,
    /// It is shorter than the server takes.
    TooSmall,
    /// No parts can be cut that the server takes.
    LimitsCannotBeMet,
}

/// A request that created an upload.
#[derive(Clone, Copy, Debug)]
pub struct Creation {
    /// As it was sent.
    pub dialect: Dialect,
    /// It said that its content is complete.
    pub is_complete: bool,
    /// The upload's URL is known, from an interim response or this one.
    pub has_url: bool,
    /// An interim response said that the upload can be resumed.
    pub was_announced: bool,
}

/// After a request that creates an upload (draft -12 §4.2).
pub fn after_creation(creation: Creation, reply: Option<&Reply>) -> Next {
    let Some(Reply { status, fields, .. }) = reply else {
        return match creation.was_announced {
            true => Next::Ask { after_pause: true },
            false => Next::Stop(Stop::Lost),
        };
    };
    // The target's own answer is final, whatever it says.
    if fields.is_complete == Some(true) {
        return Next::Done;
    }
    if status.is_success() {
        return match (fields.is_complete, creation.is_complete) {
            // It has not come to the end of what it was sent, or was sent a part.
            (Some(false), _) | (None, false) if creation.has_url => match fields.offset {
                None if creation.is_complete => Next::Ask { after_pause: false },
                at => Next::Continue { at: at.or(Some(0)) },
            },
            (_, false) => Next::Stop(Stop::NotAnUpload),
            (_, true) => Next::Done,
        };
    }
    let is_of_protocol =
        fields.is_complete == Some(false) || fields.limits.is_some() || !creation.is_complete;
    match *status {
        StatusCode::PAYLOAD_TOO_LARGE if is_of_protocol && creation.is_complete => Next::Smaller,
        // What failed there is not the client's fault: it may go on (§4.2).
        status if is_retriable(status) && creation.was_announced => Next::Ask { after_pause: true },
        _ if creation.is_complete => Next::Done,
        // 3xx is for the target to say of an empty creation, too.
        status if status.is_redirection() => Next::Done,
        status => Next::Stop(Stop::Refused(status)),
    }
}

/// After `HEAD` (§4.3). `length` is that of the representation, if it is known; `reach`, how far it can be sent from any
/// offset: its end, or nothing beyond what was sent before.
pub fn after_head(length: Option<u64>, reach: Option<u64>, reply: Option<&Reply>) -> Next {
    let Some(Reply { status, fields, .. }) = reply else { return Next::Ask { after_pause: true } };
    if is_retriable(*status) {
        return Next::Ask { after_pause: true };
    }
    if let Some(next) = elsewhere(*status) {
        return next;
    }
    if let (Some(ours), Some(theirs)) = (length, fields.length)
        && ours != theirs
    {
        return Next::Stop(Stop::LengthMismatch);
    }
    if fields.is_complete == Some(true) {
        return Next::Done;
    }
    match fields.offset {
        None => Next::Stop(Stop::NotAnUpload),
        Some(at) if length.or(reach).is_some_and(|end| at > end) => Next::Delete(Stop::OffsetAhead),
        at => Next::Continue { at },
    }
}

/// After `PATCH` (§4.4), which said whether it was the last one.
pub fn after_append(dialect: Dialect, was_last: bool, reply: Option<&Reply>) -> Next {
    let Some(Reply { status, fields, problem }) = reply else { return Next::Ask { after_pause: true } };
    if fields.is_complete == Some(true) {
        return Next::Done;
    }
    if status.is_success() {
        return match (fields.is_complete, fields.offset) {
            // Who says nothing of the protocol answers for the target.
            (None, None) if was_last => Next::Done,
            (None, _) if was_last && !dialect.names_the_answer() => Next::Done,
            (_, None) if was_last => Next::Ask { after_pause: false },
            (_, at) => Next::Continue { at },
        };
    }
    match (*status, problem) {
        (_, Some(Problem::InconsistentLength)) => Next::Stop(Stop::LengthMismatch),
        (_, Some(Problem::MismatchingOffset { .. } | Problem::Completed)) | (StatusCode::CONFLICT, _) => {
            Next::Ask { after_pause: false }
        }
        (StatusCode::PAYLOAD_TOO_LARGE, _) => Next::Smaller,
        (status, _) if is_retriable(status) => Next::Ask { after_pause: true },
        // Before version 8 nothing tells the target's refusal from the protocol's.
        (status, _)
            if was_last && !dialect.names_the_answer() && !is_gone(status) && !status.is_redirection() =>
        {
            Next::Done
        }
        (status, _) => elsewhere(status).unwrap_or(Next::Stop(Stop::Refused(status))),
    }
}

/// Which dialect a creation may be repeated in, after a response that may be due to its fields; the inner `None` is
/// none, a plain request. Never once an interim response has announced the upload. `must_resume` leaves no plain
/// request.
pub fn fallback(dialect: Dialect, reply: &Reply, must_resume: bool) -> Option<Option<Dialect>> {
    let Reply { status, fields, .. } = reply;
    if fields.is_complete.is_some() || !matches!(status.as_u16(), 400 | 412 | 417 | 501) {
        return None;
    }
    // A server that says what it speaks is believed.
    if let Some(echo) = fields.version.and_then(Dialect::of_version)
        && echo < dialect
    {
        return Some(Some(echo));
    }
    match dialect.older() {
        // 412 is the answer of servers that take an unknown version for another protocol.
        Some(older) if must_resume || *status == StatusCode::PRECONDITION_FAILED => Some(Some(older)),
        _ if must_resume => None,
        _ => Some(None),
    }
}

/// How long to wait before the try after so many failures without progress; `None` is too many.
pub fn pause(failures: u32) -> Option<Duration> {
    match failures {
        0 | 1 => Some(Duration::ZERO),
        // 1, 2, 4, 8 s: what a network that changes hands takes.
        2..=5 => Some(Duration::from_secs(1 << (failures - 2))),
        _ => None,
    }
}

/// 5xx, and what says of itself that it passes: too slow (408), in use (423), too often (429).
fn is_retriable(status: StatusCode) -> bool {
    status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED
        || matches!(status.as_u16(), 408 | 423 | 429)
}

fn is_gone(status: StatusCode) -> bool {
    matches!(status, StatusCode::NOT_FOUND | StatusCode::GONE)
}

/// What is the same of all requests to the upload's own URL.
fn elsewhere(status: StatusCode) -> Option<Next> {
    match status {
        status if status.is_success() => None,
        StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT => Some(Next::Moved),
        status if is_gone(status) => Some(Next::Stop(Stop::Gone(status))),
        // §4.3, §4.4: other redirects are not expected, and not followed.
        status => Some(Next::Stop(Stop::Refused(status))),
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost => f.write_str("the server did not say where the upload can be resumed"),
            Self::Refused(status) => write!(f, "the server refuses to go on with the upload: {status}"),
            Self::Gone(status) => write!(f, "the server does not know the upload any more: {status}"),
            Self::NotAnUpload => f.write_str("the server answers as if it did not know resumable uploads"),
            Self::LengthMismatch => f.write_str("the server expects an upload of another length"),
            Self::OffsetAhead => f.write_str("the server has more bytes than there are to send"),
            Self::LocationMismatch => f.write_str("the server named two URLs for one upload"),
            Self::TooLarge => f.write_str("the body is longer than the server takes (max-size)"),
            Self::TooSmall => f.write_str("the body is shorter than the server takes (min-size)"),
            Self::LimitsCannotBeMet => f.write_str("the body cannot be cut into parts that the server takes"),
        }
    }
}

#[cfg(test)]
#[path = "next_tests.rs"]
mod tests;
