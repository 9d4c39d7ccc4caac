//! Retries: a request goes out again only if the server cannot have processed it.
//!
//! The error states whether that is so (`Replay`); the code that drives the wire records it. RFC 9110 §9.2.2.

use http::Method;
use urlsession_proto::method::is_idempotent;

use crate::error::{Replay, Result, UrlError};
use crate::load::{Attempt, Layer, Response, events};

pub(super) struct Retry<N> {
    next: N,
}

impl<N> Retry<N> {
    pub(super) fn new(next: N) -> Self {
        Self { next }
    }
}

impl<N: Layer> Layer for Retry<N> {
    async fn load(&self, attempt: &mut Attempt<'_>) -> Result<Response> {
        let mut tries = 1;
        loop {
            match self.next.load(attempt).await {
                Err(error) if may_repeat(&error, attempt.request.http_method(), tries) => {
                    tries += 1;
                    // Another kept connection may be as dead as this one.
                    attempt.wants_new_connection = true;
                    events::retried(&error, tries);
                    if let Some(failed) = attempt.log.last_mut() {
                        failed.error = Some(error);
                    }
                    attempt.begin_transaction();
                }
                result => return result,
            }
        }
    }
}

fn may_repeat(error: &UrlError, method: &Method, tries: usize) -> bool {
    tries < TRIES
        && match error.replay() {
            Replay::Safe => true,
            Replay::IfIdempotent => is_idempotent(method),
            Replay::Unsafe => false,
        }
}

/// Enough for a server that restarts its connections, too few to overload it.
const TRIES: usize = 4;

#[cfg(test)]
mod tests {
    use super::super::test_support::{Script, run};
    use super::*;
    use crate::error::{Phase, UrlErrorCode};

    fn lost(replay: Replay) -> UrlError {
        UrlError::new(UrlErrorCode::NetworkConnectionLost, Phase::Head, "test").with_replay(replay)
    }

    #[test]
    fn a_safe_failure_is_tried_again_on_a_new_connection_with_a_transaction_of_its_own() {
        let script = Script::new([Err(lost(Replay::Safe)), Ok(200)]);
        let (result, log) = run(&Retry::new(&script), "POST", "http://a/");
        assert!(result.is_ok());
        assert_eq!(script.seen(), ["POST http://a/", "POST http://a/ on a new connection"]);
        assert_eq!(log.len(), 1, "the first transaction is begun by the layer above");
    }

    #[test]
    fn a_failure_that_is_safe_for_idempotent_methods_repeats_get_but_not_post() {
        let script = Script::new([Err(lost(Replay::IfIdempotent)), Ok(200)]);
        assert!(run(&Retry::new(&script), "GET", "http://a/").0.is_ok());
        let script = Script::new([Err(lost(Replay::IfIdempotent)), Ok(200)]);
        assert!(run(&Retry::new(&script), "POST", "http://a/").0.is_err());
        assert_eq!(script.seen().len(), 1);
    }

    #[test]
    fn an_unsafe_failure_is_never_repeated() {
        let script = Script::new([Err(lost(Replay::Unsafe)), Ok(200)]);
        assert!(run(&Retry::new(&script), "GET", "http://a/").0.is_err());
        assert_eq!(script.seen().len(), 1);
    }

    #[test]
    fn a_server_that_fails_for_ever_is_left_alone() {
        let script = Script::new((0..10).map(|_| Err::<u16, _>(lost(Replay::Safe))));
        assert!(run(&Retry::new(&script), "GET", "http://a/").0.is_err());
        assert_eq!(script.seen().len(), TRIES);
    }
}
