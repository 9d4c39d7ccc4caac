//! Which code an error has where more than one could be given.

use std::sync::Arc;

use urlsession::{
    DataTask, DelegateQueue, Phase, Progress, SessionDelegate, TaskDelegate, UrlError, UrlErrorCode,
    UrlSession,
};
use urlsession_testkit::{Reply, Wire};

use crate::support::*;

#[test]
fn a_body_that_was_announced_and_of_which_nothing_came_is_a_resource_of_zero_bytes() {
    for wire in [Wire::H1, Wire::TlsH1] {
        on(wire, |origin| {
            let session = session(origin);
            let code = |reply| {
                origin.enqueue("/cut", reply);
                let (_, result) = load_with_task(&session, origin.url("/cut"));
                let error = result.unwrap_err();
                assert_eq!(error.phase(), Phase::Body);
                error.code()
            };
            let long = || Reply::new(200).pattern(0, 1_000);
            assert_eq!(code(long().truncate_at(0)), UrlErrorCode::ZeroByteResource);
            assert_eq!(code(long().truncate_at(1)), UrlErrorCode::NetworkConnectionLost);
            let chunked = Reply::new(200).chunked(["some", "more"]).truncate_at(0);
            assert_eq!(code(chunked), UrlErrorCode::NetworkConnectionLost);
            origin.enqueue("/cut", Reply::new(200).pattern(0, 2_000_000).truncate_at(0));
            let error = session.download(origin.url("/cut")).wait().unwrap_err();
            assert_eq!(error.code(), UrlErrorCode::ZeroByteResource);
            assert!(error.is_retriable());
        });
    }
}

struct Clumsy;

impl TaskDelegate for Clumsy {
    fn did_receive_data(&self, _: &DataTask, _: urlsession::Bytes) {
        panic!("clumsy");
    }
}

impl SessionDelegate for Clumsy {}

/// What the library cancels, and why: the detail says it alone.
fn assert_misuse(error: &UrlError, phase: Phase) {
    assert_eq!((error.code(), error.phase()), (UrlErrorCode::Cancelled, phase), "{error}");
}

#[test]
fn what_an_application_does_wrong_is_not_of_an_unknown_cause() {
    on(Wire::H1, |origin| {
        let session =
            UrlSession::with_delegate(configuration(origin), Arc::new(Clumsy), DelegateQueue::serial());
        let task = session.data_task(origin.url("/Peru"));
        let progress = task.progress();
        task.resume();
        wait_until(|| task.error().is_some());
        assert_misuse(&task.error().unwrap(), Phase::Delegate);
        assert!(!progress.is_cancelled(), "nobody cancelled it");

        let refused = task.remove_delegate().unwrap_err();
        assert_misuse(&refused, Phase::Request);
        assert_eq!(refused.to_string(), "the delegate cannot be set after `resume()` (-999)");
        assert_misuse(
            &progress.add_child(&Progress::with_total_unit_count(1), 1).unwrap_err(),
            Phase::Request,
        );
    });
}
