//! Incremental: where interim responses do not get through, those on the way are asked to forward parts as they come.

use urlsession::uploads::UploadStrategy;
use urlsession_testkit::{Reply, UploadFault, UploadLimits, UploadStep};

use super::*;

/// Each request, and whether it asks for that.
fn asked(server: &UploadServer) -> Vec<(String, bool)> {
    let asks = |request: &urlsession_testkit::UploadRequest| match request.field("incremental") {
        Some(value) => {
            assert_eq!(value, "?1");
            true
        }
        None => false,
    };
    server.requests().iter().map(|request| (request.method.clone(), asks(request))).collect()
}

fn careful(origin: &Origin) -> UrlSession {
    UrlSession::new(requiring(origin, UploadStrategy::Careful))
}

fn expected(requests: &[(&str, bool)]) -> Vec<(String, bool)> {
    requests.iter().map(|(method, asks)| ((*method).to_owned(), *asks)).collect()
}

#[test]
fn parts_are_to_be_forwarded_as_they_come_where_interim_responses_do_not_get_through() {
    with_server(
        || newest().without_interim(),
        |origin, server| {
            let session = session(origin);
            upload(&session, origin).unwrap();
            server.at(UploadStep::Append, [UploadFault::CutAt(CUT)]);
            upload(&session, origin).unwrap();
            let all = [
                ("POST", false),
                ("OPTIONS", false),
                ("POST", false),
                ("PATCH", true),
                ("HEAD", false),
                ("PATCH", true),
            ];
            assert_eq!(asked(server), expected(&all));
        },
    );
    with_server(
        || newest().without_interim().limited(UploadLimits::appends(200_000)),
        |origin, server| {
            upload(&careful(origin), origin).unwrap();
            assert_eq!(asked(server), expected(&[("POST", false), ("PATCH", true), ("PATCH", true)]));
        },
    );
}

#[test]
fn nobody_is_asked_where_interim_responses_get_through() {
    with_server(newest, |origin, server| {
        server.at(UploadStep::Creation, [UploadFault::CutAt(CUT)]);
        upload(&session(origin), origin).unwrap();
        upload(&careful(origin), origin).unwrap();
        let all = [("POST", false), ("HEAD", false), ("PATCH", false), ("POST", false), ("PATCH", false)];
        assert_eq!(asked(server), expected(&all));
    });
}

#[test]
fn an_empty_part_is_nothing_to_forward() {
    with_server(
        || newest().without_interim(),
        |origin, server| {
            server.at(UploadStep::Append, [UploadFault::CutAt(LENGTH as u64)]);
            upload(&careful(origin), origin).unwrap();
            let all = [("POST", false), ("PATCH", true), ("HEAD", false), ("PATCH", false)];
            assert_eq!(asked(server), expected(&all));
        },
    );
}

#[test]
fn who_refuses_it_is_asked_again_without() {
    for status in [429, 501, 503] {
        with_server(
            || newest().without_interim(),
            |origin, server| {
                server.at(UploadStep::Append, [UploadFault::Answer(Reply::new(status))]);
                took_all(upload(&careful(origin), origin), server);
                let all = [("POST", false), ("PATCH", true), ("HEAD", false), ("PATCH", false)];
                assert_eq!(asked(server), expected(&all), "{status}");
            },
        );
    }
}

#[test]
fn a_refusal_that_has_another_cause_is_one_all_the_same() {
    with_server(
        || newest().without_interim(),
        |origin, server| {
            server.at(UploadStep::Append, [UploadFault::Answer(Reply::new(501))]);
            server.at(UploadStep::Append, [UploadFault::Answer(Reply::new(501))]);
            let error = upload(&careful(origin), origin).unwrap_err();
            assert!(error.to_string().contains("501"), "{error}");
            assert_eq!(server.lines().len(), 4);
        },
    );
}
