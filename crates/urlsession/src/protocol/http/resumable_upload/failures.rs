//! The errors of an upload that cannot continue.

use urlsession_proto::resumable_upload::Stop;

use crate::error::{Phase, UrlError, UrlErrorCode};
use crate::message::ResumeFailure;

pub(super) fn stopped(stop: Stop) -> UrlError {
    let code = match stop {
        Stop::TooLarge | Stop::LimitsCannotBeMet => UrlErrorCode::DataLengthExceedsMaximum,
        Stop::Gone(_) => UrlErrorCode::ResourceUnavailable,
        _ => UrlErrorCode::BadServerResponse,
    };
    let error = UrlError::new(code, Phase::Send, stop.to_string());
    match stop {
        Stop::Gone(_) => error.with_resume_failure(ResumeFailure::Expired),
        Stop::Refused(_) => error.with_resume_failure(ResumeFailure::Refused),
        Stop::Lost => error,
        _ => error.with_resume_failure(ResumeFailure::NotResumable),
    }
}

pub(super) fn elsewhere() -> UrlError {
    let detail = "the server keeps the upload at another origin, where nothing is sent unless \
                  allows_uploads_at_other_origins says so";
    UrlError::new(UrlErrorCode::BadServerResponse, Phase::Policy, detail)
        .with_resume_failure(ResumeFailure::NotResumable)
}

pub(super) fn exhausted(at: u64) -> UrlError {
    let detail = format!(
        "the upload goes on at byte {at}, and its body cannot be read from there; answer \
         need_new_body_stream_from, or upload data or a file"
    );
    UrlError::new(UrlErrorCode::RequestBodyStreamExhausted, Phase::Send, detail)
}
