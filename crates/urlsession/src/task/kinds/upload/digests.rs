//! Digests of an upload (RFC 9530): those of its body, which are sent before it, and the comparison with the digest that
//! the server returns. The digests of the parts of a resumable upload are made where the parts are cut.

use std::sync::Arc;
use std::task::{Context, Poll, ready};

use aws_lc_rs::digest::Context as Hasher;
use http::HeaderMap;
use urlsession_proto::digest_fields::{digest_field, repr_digest, want_field};

use super::resuming::Resuming;
use crate::body::{Body, BodySource, ReadTarget};
use crate::body::{digest_of, hasher};
use crate::env::RuntimeHandle;
use crate::error::{Phase, Result, UrlError, UrlErrorCode};
use crate::load::Response;
use crate::message::{DigestAlgorithm, UrlRequest};
use crate::task::core::Core;
use crate::task::kinds::handles::UploadTask;

impl UploadTask {
    /// The algorithm of the digests that are sent; `None` sends none. Default: `None`.
    pub fn sends_digest(&self) -> Option<DigestAlgorithm> {
        self.core().live().kind_state::<Resuming>()?.digest
    }

    /// Sends a digest of the body before the body (`Repr-Digest` and `Content-Digest`, RFC 9530), requests a digest of the
    /// received body from the server (`Want-Repr-Digest`), and compares both. `None` does none of this. Default: `None`. A
    /// resumable upload sends the first digest in the request that creates the upload, and the digest of each further part
    /// with that part. Extension: no counterpart in Apple's API.
    ///
    /// If the response (2xx) has a different `Repr-Digest`, the task fails with
    /// [`BadServerResponse`](UrlErrorCode::BadServerResponse), once the response has been read: a digest of the response's
    /// own content does not count. A response without a digest passes. The response is requested uncoded.
    ///
    /// The body is read and hashed before anything is sent, on a separate thread: a file is read twice, and a part of it
    /// that is sent again a third time. The content of a stream cannot be known in advance: it is sent without digests. An
    /// upload from resume data may have only the rest of a body in memory. Then only the rest is hashed, and the server's
    /// digest is not checked. If the request itself has fields with these names, those are sent instead.
    ///
    /// # Errors
    /// [`Cancelled`](UrlErrorCode::Cancelled) after the first `resume`.
    pub fn set_sends_digest(&self, algorithm: Option<DigestAlgorithm>) -> Result<()> {
        let mut live = self.core().live();
        if live.has_run || live.error.is_some() {
            let detail = "the digests of an upload cannot be set after `resume()`";
            return Err(UrlError::new(UrlErrorCode::Cancelled, Phase::Request, detail));
        }
        live.kind_state_or_default::<Resuming>().digest = algorithm;
        Ok(())
    }
}

/// The digests of a body, made before it is sent.
pub(in crate::task) struct Digests {
    /// The request with the digest fields.
    pub(in crate::task) request: Arc<UrlRequest>,
    algorithm: DigestAlgorithm,
    digest: Vec<u8>,
    /// Whether the request has all of the uploaded body.
    is_whole: bool,
}

impl Core {
    /// The digests of the body, if they are wanted and can be made.
    pub(in crate::task) async fn digests(&self, runtime: &RuntimeHandle) -> Result<Option<Digests>> {
        let (algorithm, request, is_whole) = {
            let live = self.live();
            let (Some(resuming), Some(request)) = (live.kind_state::<Resuming>(), live.original.clone())
            else {
                return Ok(None);
            };
            let Some(algorithm) = resuming.digest else { return Ok(None) };
            let is_whole = resuming.point.as_ref().is_none_or(|point| point.base == 0);
            (algorithm, request, is_whole)
        };
        if request.content().is_empty() {
            return Ok(None);
        }
        let digest = {
            let _pause = self.activity.pause_idle();
            digest_of(request.content(), algorithm, runtime).await?
        };
        let Some(digest) = digest else { return Ok(None) };
        let mut request = (*request).clone();
        let of_session = &self.session.config.http_additional_headers;
        let said = is_whole.then(|| digest_field(algorithm, &digest)).flatten();
        let fields = [
            ("Repr-Digest", said.clone()),
            ("Content-Digest", said),
            ("Want-Repr-Digest", is_whole.then(|| want_field(algorithm))),
            ("Accept-Encoding", is_whole.then(|| "identity".to_owned())),
        ];
        for (name, value) in fields {
            if let Some(value) =
                value.filter(|_| request.value(name).is_none() && !of_session.contains_key(name))
            {
                request.fields_mut().set(name, value.into_bytes()).map_err(|error| {
                    UrlError::new(UrlErrorCode::BadUrl, Phase::Request, error.to_string())
                })?;
            }
        }
        Ok(Some(Digests { request: Arc::new(request), algorithm, digest, is_whole }))
    }

    /// Whether the upload is prepared before it is sent.
    pub(in crate::task) fn prepares_upload(&self) -> bool {
        let live = self.live();
        live.kind_state::<Resuming>()
            .is_some_and(|resuming| resuming.record.is_some() || resuming.digest.is_some())
    }
}

impl Digests {
    /// The response, which fails if it says that the server received a different body.
    pub(in crate::task) async fn check(
        self,
        core: &Core,
        runtime: &RuntimeHandle,
        mut response: Response,
    ) -> Result<Response> {
        let Some(head) = response.head.http_head().filter(|head| head.status.is_success()) else {
            return Ok(response);
        };
        // If the request was redirected to another resource, the server has not received the upload.
        let is_answer = core
            .live()
            .current
            .as_ref()
            .is_some_and(|request| request.http_method() == self.request.http_method());
        if !self.is_whole || !is_answer {
            return Ok(response);
        }
        let Some((algorithm, theirs)) = of_kind(&head.fields, self.algorithm) else { return Ok(response) };
        let ours = match algorithm == self.algorithm {
            true => self.digest,
            // Not the digest that was requested, but it is compared nevertheless.
            false => match digest_of(self.request.content(), algorithm, runtime).await? {
                Some(digest) => digest,
                None => return Ok(response),
            },
        };
        if ours == theirs {
            return Ok(response);
        }
        let is_coded = head.fields.contains_key(http::header::CONTENT_ENCODING);
        let mismatch = mismatch(algorithm, &ours, &theirs);
        if response.body.is_empty() || is_coded {
            return Err(mismatch.with_url(response.head.url()));
        }
        // RFC 9530 §3.1: a response about the request has the digest of its own content.
        let body = std::mem::replace(&mut response.body, Body::empty());
        let enclosed = Enclosed { body, theirs, hasher: Some(hasher(algorithm)), mismatch: Some(mismatch) };
        response.body = Body::flow(Box::new(enclosed)).plain();
        Ok(response)
    }
}

/// A digest of the response; of this algorithm, if the response has several.
fn of_kind(fields: &HeaderMap, algorithm: DigestAlgorithm) -> Option<(DigestAlgorithm, Vec<u8>)> {
    let said = repr_digest(fields);
    said.into_iter().min_by_key(|(other, _)| *other != algorithm)
}

fn mismatch(algorithm: DigestAlgorithm, ours: &[u8], theirs: &[u8]) -> UrlError {
    let hex = |digest: &[u8]| digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let detail = format!(
        "the server has got something else than was uploaded: {} {} was sent, {} is there",
        algorithm.key(),
        hex(ours),
        hex(theirs)
    );
    UrlError::new(UrlErrorCode::BadServerResponse, Phase::Body, detail)
}

/// A body whose digest is compared at its end.
struct Enclosed {
    body: Body,
    theirs: Vec<u8>,
    hasher: Option<Hasher>,
    mismatch: Option<UrlError>,
}

impl BodySource for Enclosed {
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        target: &mut ReadTarget<'_>,
    ) -> Poll<Option<Result<usize>>> {
        let chunk = ready!(self.body.poll_chunk(cx));
        match &chunk {
            Some(Ok(chunk)) => {
                if let Some(hasher) = &mut self.hasher {
                    hasher.update(chunk);
                }
            }
            Some(Err(_)) => self.hasher = None,
            None => {
                let is_of_this = self.hasher.take().is_none_or(|own| own.finish().as_ref() == self.theirs);
                if let Some(mismatch) = self.mismatch.take().filter(|_| !is_of_this) {
                    return Poll::Ready(Some(Err(mismatch)));
                }
            }
        }
        Poll::Ready(target.take(chunk))
    }

    fn wire_bytes(&self) -> u64 {
        self.body.wire_bytes()
    }

    fn sent_late(&self) -> u64 {
        self.body.sent_late()
    }

    fn take_trailers(&mut self) -> Option<HeaderMap> {
        self.body.take_trailers()
    }

    fn finish(self: Box<Self>) {}
}
