//! The authentication layer over a scripted layer.

use super::super::test_support::{Reply, Script, run, run_request};
use super::*;
use crate::auth::LIMIT;
use crate::env::{GssapiContext, GssapiUser};
use crate::error::UrlError;
use crate::message::UrlRequest;

fn asks(value: &'static str) -> Reply {
    Reply { status: 401, fields: vec![("www-authenticate", value)], body: b"no" }
}

fn layer(script: &Script) -> Auth<&Script> {
    Auth::new(Some(UrlCredentialStorage::ephemeral()), Arc::new(NoTickets), Arc::default(), script)
}

/// A machine without Kerberos.
struct NoTickets;

impl Gssapi for NoTickets {
    fn find(&self) -> Result<()> {
        Err(UrlError::cancelled())
    }

    fn begin(&self, _: &str, _: Option<GssapiUser<'_>>) -> Result<Box<dyn GssapiContext>> {
        unreachable!("there is no library")
    }
}

#[test]
fn without_a_credential_a_refusal_is_the_answer_and_nothing_is_sent_again() {
    let script = Script::new([Ok(asks("Basic realm=r"))]);
    let (result, log) = run(&layer(&script), "GET", "http://a/");
    assert_eq!(result.unwrap_or_else(|error| panic!("{error}")).head.status_code(), Some(401));
    assert_eq!((script.seen().len(), log.len()), (1, 0));
}

#[test]
fn a_refusal_that_offers_nothing_known_is_the_answer() {
    for value in ["Bearer realm=x", "Negotiate", "Digest realm=r, nonce=n, algorithm=SHA-3", ""] {
        let script = Script::new([Ok(asks(value))]);
        let (result, _) = run(&layer(&script), "GET", "http://u:p@a/");
        assert_eq!(result.unwrap_or_else(|error| panic!("{error}")).head.status_code(), Some(401));
        assert_eq!(script.seen().len(), 1, "{value}");
    }
}

#[test]
fn each_try_sends_one_credential_beside_the_fields_of_the_other_layers() {
    let script = Script::new([Ok(asks("Basic realm=r")), Ok(200.into()), Ok(200.into())]);
    let layer = layer(&script);
    assert!(run(&layer, "GET", "http://u:p@a/").0.is_ok());
    assert!(run(&layer, "GET", "http://a/").0.is_ok());
    assert_eq!(*script.added.lock(), ["authorization: Basic dTpw", "authorization: Basic dTpw"]);
}

#[test]
fn a_login_of_one_scheme_is_not_sent_in_cleartext_for_another() {
    let script = Script::new([Ok(asks("Basic realm=r")), Ok(200.into()), Ok(200.into())]);
    let layer = layer(&script);
    assert!(run(&layer, "GET", "https://u:p@a/").0.is_ok());
    assert!(run(&layer, "GET", "http://a/").0.is_ok());
    assert_eq!(script.added.lock().len(), 1);
}

#[test]
fn a_server_to_which_every_nonce_is_stale_is_left_alone() {
    let value = |number: usize| match number % 2 {
        0 => "Digest realm=r, nonce=even, stale=true",
        _ => "Digest realm=r, nonce=odd, stale=true",
    };
    let script = Script::new((0..100).map(|number| Ok(asks(value(number)))));
    let (result, log) = run(&layer(&script), "GET", "http://u:p@a/");
    assert_eq!(result.unwrap_or_else(|error| panic!("{error}")).head.status_code(), Some(401));
    assert_eq!(script.seen().len(), LIMIT + 1);
    assert_eq!(log.len(), LIMIT + 1, "a transaction a try");
}

#[test]
fn the_same_nonce_again_is_a_refusal_and_not_stale() {
    let script = Script::new((0..10).map(|_| Ok(asks("Digest realm=r, nonce=same, stale=true"))));
    assert!(run(&layer(&script), "GET", "http://u:p@a/").0.is_ok());
    assert_eq!(script.seen().len(), 2);
}

#[test]
fn a_server_error_after_a_login_says_nothing_of_the_credential() {
    let script = Script::new([Ok(asks("Basic realm=r")), Ok(503.into()), Ok(200.into())]);
    let layer = layer(&script);
    assert!(run(&layer, "GET", "http://u:p@a/").0.is_ok());
    assert!(run(&layer, "GET", "http://a/").0.is_ok());
    assert_eq!(script.added.lock().len(), 1, "it is not remembered");
}

#[test]
fn a_request_with_its_own_authorization_is_never_touched() {
    let script = Script::new([Ok(asks("Basic realm=r"))]);
    let mut request = UrlRequest::new("http://u:p@a/".parse().unwrap_or_else(|error| panic!("{error}")));
    request.set_value("Authorization", "Bearer t").unwrap();
    assert!(run_request(&layer(&script), request).0.is_ok());
    assert_eq!(script.seen().len(), 1);
    assert!(script.added.lock().is_empty());
}
