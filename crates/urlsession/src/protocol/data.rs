//! `data:` URLs: the response is in the request.
//!
//! Their grammar is in `urlsession_proto::data_url`. The method has no effect, and nothing is sent.

use bytes::Bytes;
use urlsession_proto::data_url;

use crate::body::Body;
use crate::error::{Phase, Result, UrlError, UrlErrorCode};
use crate::load::{Attempt, BoxFuture, Protocol, Response};
use crate::message::{UrlRequest, UrlResponse};

/// The loader of `data`.
pub(super) struct DataUrls;

impl Protocol for DataUrls {
    fn load<'a>(&'a self, attempt: &'a mut Attempt<'_>) -> BoxFuture<'a, Result<Response>> {
        Box::pin(async move {
            attempt.begin_transaction();
            attempt.context.requesting(&attempt.request);
            let response = read(&attempt.request).map_err(|error| error.with_url(attempt.request.url()))?;
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

fn read(request: &UrlRequest) -> Result<Response> {
    let bad = |detail| UrlError::new(UrlErrorCode::BadUrl, Phase::Request, detail);
    let url = request.url();
    let data = data_url::parse(url.as_str())
        .map_err(|error| bad("the data: URL cannot be read").with_source(error))?;
    let length = data.body.len() as u64;
    let head = UrlResponse::new(url.clone(), Some(&data.mime), Some(length), data.charset.as_deref());
    Ok(Response { head, body: Body::whole(Bytes::from(data.body), length) })
}
