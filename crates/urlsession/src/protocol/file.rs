//! `file:` URLs: a regular file of this machine, read as the reader takes it.
//!
//! One chunk is in memory at a time, and no async worker waits for the disk. Folders are not listed, nothing is
//! written, and other hosts are refused. HTTP redirects to `file:` are not followed.

use std::io;
use std::path::Path;
use std::task::{Context, Poll};

use urlsession_proto::mime;

use crate::body::{Body, BodySource, ReadTarget};
use crate::configuration::Configuration;
use crate::env::fs::{self, File};
use crate::error::{Phase, Result, UrlError, UrlErrorCode};
use crate::load::{Attempt, BoxFuture, Protocol, Response};
use crate::message::{BodyStream, CachePolicy, Chunks, UrlRequest, UrlResponse};

/// The loader of `file`.
pub(super) struct Files {
    of_session: CachePolicy,
}

impl Files {
    pub(super) fn new(config: &Configuration) -> Self {
        Self { of_session: config.request_cache_policy }
    }

    /// Apple's *Understanding cache access*: files are never cached, and a policy decides only whether they may be loaded.
    fn check(&self, request: &UrlRequest) -> Result<()> {
        let policy = match request.cache_policy() {
            CachePolicy::UseProtocolCachePolicy => self.of_session,
            own => own,
        };
        if policy != CachePolicy::ReturnCacheDataDontLoad {
            return Ok(());
        }
        let detail = "the cache policy forbids loading, and files are never cached";
        Err(UrlError::new(UrlErrorCode::CannotLoadFromNetwork, Phase::Policy, detail))
    }
}

impl Protocol for Files {
    fn load<'a>(&'a self, attempt: &'a mut Attempt<'_>) -> BoxFuture<'a, Result<Response>> {
        Box::pin(async move {
            attempt.begin_transaction();
            attempt.context.requesting(&attempt.request);
            let checked = self.check(&attempt.request);
            let loaded = match checked {
                Ok(()) => load(attempt).await,
                Err(error) => Err(error),
            };
            let response = loaded.map_err(|error| error.with_url(attempt.request.url()))?;
            attempt.activity.moved(1);
            let now = attempt.clock.now();
            let transaction = attempt.transaction();
            transaction.response = Some(response.head.clone());
            (transaction.request_start, transaction.request_end) =
                (Some(transaction.fetch_start), Some(transaction.fetch_start));
            transaction.response_start = Some(now);
            Ok(response)
        })
    }
}

async fn load(attempt: &mut Attempt<'_>) -> Result<Response> {
    let path = path(&attempt.request)?;
    let kind = path.extension().and_then(|extension| mime::for_extension(extension.to_str()?));
    let kind = kind.unwrap_or("application/octet-stream");
    let opened = attempt.runtime.blocking(move || open(&path)).await;
    let (file, length) = opened.unwrap_or_else(|error| {
        let detail = format!("the file could not be opened: {error}");
        Err(UrlError::new(UrlErrorCode::CannotOpenFile, Phase::Head, detail).with_source(error))
    })?;
    let head = UrlResponse::new(attempt.request.url().clone(), Some(kind), Some(length), None);
    let Some(chunks) = BodyStream::from_reader(file).take() else {
        return Ok(Response { head, body: Body::empty() });
    };
    Ok(Response { head, body: Body::flow(Box::new(Reading { chunks, read: 0 })) })
}

/// The path of the URL, whose host may only be this machine (RFC 8089 §2).
fn path(request: &UrlRequest) -> Result<std::path::PathBuf> {
    let url = request.url();
    // On Windows such a path connects to the host, with the user's login.
    if url.host_str().is_some_and(|host| host != "localhost") {
        return Err(no_path("the URL names a file of another machine"));
    }
    url.to_file_path().map_err(|()| no_path("the URL names no file of this machine"))
}

fn no_path(why: &'static str) -> UrlError {
    UrlError::new(UrlErrorCode::BadUrl, Phase::Request, why)
}

/// Opens a regular file, and returns its length too. Opening anything else, such as a pipe, may block forever.
fn open(path: &Path) -> Result<(File, u64)> {
    let about = fs::metadata(path).map_err(unopened)?;
    if about.is_dir() {
        let detail = "the path is a folder, which is not listed";
        return Err(UrlError::new(UrlErrorCode::FileIsDirectory, Phase::Head, detail));
    }
    if !about.is_file() {
        let detail = "the path is neither a file nor a folder";
        return Err(UrlError::new(UrlErrorCode::CannotOpenFile, Phase::Head, detail));
    }
    let file = fs::open(path).map_err(unopened)?;
    Ok((file, about.len()))
}

fn unopened(error: io::Error) -> UrlError {
    let (code, detail) = match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
            (UrlErrorCode::FileDoesNotExist, "there is no such file")
        }
        io::ErrorKind::PermissionDenied => {
            (UrlErrorCode::NoPermissionsToReadFile, "this process may not read the file")
        }
        _ => (UrlErrorCode::CannotOpenFile, "the file cannot be opened"),
    };
    UrlError::new(code, Phase::Head, detail).with_source(error)
}

/// A file that is being read.
struct Reading {
    chunks: Chunks,
    read: u64,
}

impl BodySource for Reading {
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        target: &mut ReadTarget<'_>,
    ) -> Poll<Option<Result<usize>>> {
        self.chunks.as_mut().poll_next(cx).map(|chunk| match chunk {
            Some(Ok(chunk)) => {
                self.read += chunk.len() as u64;
                Some(Ok(target.put(chunk)))
            }
            Some(Err(error)) => {
                let failure =
                    UrlError::new(UrlErrorCode::CannotOpenFile, Phase::Body, "the file cannot be read");
                Some(Err(failure.with_source(error)))
            }
            None => None,
        })
    }

    fn wire_bytes(&self) -> u64 {
        self.read
    }

    fn sent_late(&self) -> u64 {
        0
    }

    fn finish(self: Box<Self>) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_says_has_apples_code() {
        for (kind, code) in [
            (io::ErrorKind::NotFound, -1100),
            (io::ErrorKind::NotADirectory, -1100),
            (io::ErrorKind::PermissionDenied, -1102),
            (io::ErrorKind::InvalidInput, -3001),
        ] {
            assert_eq!(unopened(kind.into()).code().number(), code, "{kind:?}");
        }
    }
}
