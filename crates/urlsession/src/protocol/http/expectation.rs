//! Expectations: whether a request waits for the server's consent before it sends its body (`Expect: 100-continue`, RFC
//! 9110 §10.1.1), and the repetition after 417. The wire waits for the interim response.

use http::StatusCode;
use http::header::{EXPECT, HeaderValue};

use super::discard::discard;
use crate::configuration::Configuration;
use crate::error::Result;
use crate::load::{Attempt, Layer, Response};
use crate::message::{HttpBody, UrlRequest};

pub(super) struct Expectation<N> {
    /// Whether every request with a body sends `Expect: 100-continue`.
    is_for_all: bool,
    next: N,
}

impl<N> Expectation<N> {
    pub(super) fn new(config: &Configuration, next: N) -> Self {
        Self { is_for_all: asks(config.http_additional_headers.get(EXPECT).map(HeaderValue::as_bytes)), next }
    }

    /// RFC 9110 §10.1.1: not without a body.
    fn is_wanted(&self, request: &UrlRequest) -> bool {
        let is_wanted = || match request.fields().bytes("expect") {
            None => self.is_for_all,
            own => asks(own),
        };
        !request.content().is_empty() && is_wanted()
    }
}

impl<N: Layer> Layer for Expectation<N> {
    async fn load(&self, attempt: &mut Attempt<'_>) -> Result<Response> {
        attempt.expects = !attempt.expectation_failed && self.is_wanted(&attempt.request);
        let response = self.next.load(attempt).await?;
        if !attempt.expects || !has_failed(&attempt.request, &response) {
            return Ok(response);
        }
        // In a box of its own: most loads do not carry it.
        Box::pin(async {
            discard(response.body, attempt).await;
            (attempt.expectation_failed, attempt.expects) = (true, false);
            attempt.begin_transaction();
            self.next.load(attempt).await
        })
        .await
    }
}

/// RFC 9110 §10.1.1: after 417 the request is repeated without its expectation, if its body is still available.
fn has_failed(request: &UrlRequest, response: &Response) -> bool {
    let status = response.head.http_head().map(|head| head.status);
    let can_repeat = match request.content() {
        HttpBody::None | HttpBody::Data(_) => true,
        HttpBody::Stream(stream) => stream.is_of_delegate() || !stream.is_spent(),
    };
    status == Some(StatusCode::EXPECTATION_FAILED) && can_repeat
}

/// Whether this field value contains `100-continue`.
pub(super) fn asks(expect: Option<&[u8]>) -> bool {
    let is_asking = |member: &[u8]| member.trim_ascii().eq_ignore_ascii_case(b"100-continue");
    expect.is_some_and(|value| value.split(|&b| b == b',').any(is_asking))
}

#[cfg(test)]
mod tests {
    use super::super::test_support::{Script, run_request};
    use super::*;
    use crate::message::BodyStream;

    fn asking(body: Option<BodyStream>) -> UrlRequest {
        let mut request = UrlRequest::new("http://a/".parse().unwrap());
        request.set_http_method("PUT").unwrap();
        request.set_http_body("data");
        if let Some(stream) = body {
            request.set_http_body_stream(stream);
        }
        request.set_value("Expect", "100-continue").unwrap();
        request
    }

    fn over<N>(next: N) -> Expectation<N> {
        Expectation::new(&Configuration::ephemeral(), next)
    }

    #[test]
    fn a_refusal_that_nobody_risked_is_an_answer() {
        let script = Script::new([Ok(417), Ok(200)]);
        let mut plain = asking(None);
        plain.remove_value("Expect");
        let (result, _) = run_request(&over(&script), plain);
        assert_eq!((result.unwrap().head.status_code(), script.seen().len()), (Some(417), 1));
    }

    #[test]
    fn what_asks_first_is_known_in_any_case_and_in_a_list() {
        for value in ["100-continue", "100-Continue", "x=y, 100-continue "] {
            assert!(asks(Some(value.as_bytes())), "{value}");
        }
        assert!(!asks(Some(b"101-continue")) && !asks(None));
    }

    #[test]
    fn a_failed_expectation_is_given_up_once() {
        let script = Script::new([Ok(417), Ok(200)]);
        let (result, log) = run_request(&over(&script), asking(None));
        assert_eq!(result.unwrap().head.status_code(), Some(200));
        assert_eq!((script.seen().len(), log.len()), (2, 2));
        let script = Script::new([Ok(417), Ok(417)]);
        let (result, _) = run_request(&over(&script), asking(None));
        assert_eq!((result.unwrap().head.status_code(), script.seen().len()), (Some(417), 2));
    }

    #[test]
    fn a_stream_that_is_gone_leaves_the_refusal_as_the_answer() {
        let stream = BodyStream::from_reader(&b"x"[..]);
        let script = Script::new([Ok(417), Ok(200)]);
        let (result, _) = run_request(&over(&script), asking(Some(stream.clone())));
        assert_eq!(result.unwrap().head.status_code(), Some(200));
        drop(stream.take());
        let script = Script::new([Ok(417), Ok(200)]);
        let (result, _) = run_request(&over(&script), asking(Some(stream)));
        assert_eq!((result.unwrap().head.status_code(), script.seen().len()), (Some(417), 1));
    }
}
