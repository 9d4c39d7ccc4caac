//! Owns what an upload server can be told to do: its steps, faults, refusals and limits.

use crate::reply::Reply;

/// The kinds of requests of an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UploadStep {
    /// The request to the target that creates it.
    Creation,
    /// `HEAD`.
    Retrieval,
    /// `PATCH`.
    Append,
    /// `DELETE`.
    Cancellation,
    /// `OPTIONS`.
    Discovery,
}

/// What goes wrong, or otherwise than usual, in one request.
#[derive(Clone, Debug)]
pub enum UploadFault {
    /// The connection ends once so many bytes of the body are in; they are kept.
    CutAt(u64),
    /// As a cut, but the bytes from the first number on are lost; the cut is after the second.
    CutLosing(u64, u64),
    /// All is taken and done; the connection ends in place of the answer.
    LosesAnswer,
    /// No 104 this time.
    NoInterim,
    /// 104 with other fields in place of the right ones.
    Interim(Vec<(&'static str, String)>),
    /// A second 104 like the first, but with this `Location`.
    SecondLocation(String),
    /// 104 with the offset every so many bytes.
    Progress(u64),
    /// The upload is said to be here: in the 104s and in the final response.
    Location(String),
    /// In the final response only.
    FinalLocation(String),
    /// Answers so once so many bytes are in, and keeps them.
    AnswerAt(u64, Reply),
    /// Answers so in the end, without having done what was asked.
    Answer(Reply),
    /// Keeps no more than so many bytes of the upload; an append then does not fit.
    Rewind(u64),
    /// This `Upload-Offset` is answered to `HEAD`.
    Offset(u64),
    /// This `Upload-Length` is answered to `HEAD`.
    Length(u64),
    /// The limits change before this request is looked at, of which its client has not heard.
    Limit(UploadLimits),
    /// The limits change with the answer to the request, which names the new ones.
    LimitAfter(UploadLimits),
    /// What is kept of the upload is damaged at this byte, once all of the request is in.
    Damages(u64),
    /// This field is not in the final response.
    Without(&'static str),
}

/// How a server refuses an interop version it does not speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// 400, naming the newest it speaks.
    BadRequest,
    /// 412, as one that takes it for another protocol.
    PreconditionFailed,
    /// This status, without a word.
    Status(u16),
    /// Not at all: the request is served as if it had no such fields.
    Ignore,
}

/// `Upload-Limit`: bytes, and seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UploadLimits {
    /// The longest upload.
    pub max_size: Option<u64>,
    /// The shortest upload.
    pub min_size: Option<u64>,
    /// The longest content of a request.
    pub max_append_size: Option<u64>,
    /// The shortest content of a request that is not the last.
    pub min_append_size: Option<u64>,
    /// How long it is kept.
    pub max_age: Option<u64>,
}

impl UploadLimits {
    /// Appends of so many bytes at most.
    pub fn appends(max: u64) -> Self {
        Self { max_append_size: Some(max), ..Self::default() }
    }
}
