//! What a server takes: limits that are obeyed, limits that shrink, limits that cannot be met.

use urlsession::uploads::UploadStrategy;
use urlsession::{UrlErrorCode, UrlSession};
use urlsession_testkit::{Reply, UploadFault, UploadLimits, UploadServer, UploadStep};

use super::*;

fn appends(max: u64) -> UploadLimits {
    UploadLimits::appends(max)
}

#[test]
fn a_body_is_sent_in_parts_as_long_as_the_server_takes() {
    for version in [8, 6] {
        with_server(
            || {
                UploadServer::new(version)
                    .limited(UploadLimits { min_append_size: Some(1000), ..appends(CUT + 1) })
            },
            |origin, server| {
                let session = UrlSession::new(requiring(origin, UploadStrategy::Careful));
                took_all(upload(&session, origin), server);
                let lines = server.lines();
                assert_eq!(
                    lines[lines.len() - 4..],
                    [
                        "POST /target ?0",
                        "PATCH /uploads/0 ?0 @0 100001 bytes",
                        "PATCH /uploads/0 ?0 @100001 100001 bytes",
                        "PATCH /uploads/0 ?1 @200002 99998 bytes",
                    ]
                );
            },
        );
    }
}

#[test]
fn a_body_that_is_too_long_at_once_is_not_sent_to_its_end() {
    with_server(newest, |origin, server| {
        // The server reads on only when the client has heard of the limit.
        let limited = UploadFault::Limit(appends(CUT));
        server.at(UploadStep::Creation, [limited, UploadFault::CutAt(LENGTH as u64 + 1)]);
        took_all(upload(&session(origin), origin), server);
        let appends = server.lines().into_iter().filter(|line| line.starts_with("PATCH")).collect::<Vec<_>>();
        assert_eq!(
            appends,
            [
                "PATCH /uploads/0 ?0 @0 100000 bytes",
                "PATCH /uploads/0 ?0 @100000 100000 bytes",
                "PATCH /uploads/0 ?1 @200000 100000 bytes",
            ]
        );
    });
}

#[test]
fn a_file_is_cut_into_parts_too() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("body");
    std::fs::write(&file, body()).unwrap();
    with_server(
        || newest().limited(appends(120_000)),
        |origin, server| {
            let session = UrlSession::new(requiring(origin, UploadStrategy::Careful));
            took_all(session.upload_from_file(post(origin), &file).wait(), server);
            assert_eq!(server.lines().len(), 4);
        },
    );
}

#[test]
fn limits_that_shrink_are_obeyed_from_then_on() {
    with_server(
        || newest().limited(appends(CUT)),
        |origin, server| {
            server.at(UploadStep::Append, [UploadFault::LimitAfter(appends(80_000))]);
            // The next is not announced: the append is refused, and the limits asked for.
            server.at(UploadStep::Append, []);
            server.at(UploadStep::Append, [UploadFault::Limit(appends(60_000))]);
            let session = UrlSession::new(requiring(origin, UploadStrategy::Careful));
            took_all(upload(&session, origin), server);
            assert_eq!(
                server.lines()[1..],
                [
                    "PATCH /uploads/0 ?0 @0 100000 bytes",
                    "PATCH /uploads/0 ?0 @100000 80000 bytes",
                    "PATCH /uploads/0 ?0 @180000 80000 bytes",
                    "OPTIONS /target",
                    "HEAD /uploads/0",
                    "PATCH /uploads/0 ?0 @180000 60000 bytes",
                    "PATCH /uploads/0 ?1 @240000 60000 bytes",
                ]
            );
        },
    );
}

#[test]
fn an_append_that_is_too_large_is_followed_by_smaller_ones_once_the_limits_are_known() {
    with_server(newest, |origin, server| {
        server.at(UploadStep::Creation, [UploadFault::CutAt(CUT)]);
        let refusal = UploadFault::Answer(Reply::new(413));
        server.at(UploadStep::Append, [refusal, UploadFault::LimitAfter(appends(150_000))]);
        took_all(upload(&session(origin), origin), server);
        assert_eq!(
            server.lines()[2..],
            [
                "PATCH /uploads/0 ?1 @100000 200000 bytes",
                "OPTIONS /target",
                "HEAD /uploads/0",
                "PATCH /uploads/0 ?0 @100000 150000 bytes",
                "PATCH /uploads/0 ?1 @250000 50000 bytes",
            ]
        );
    });
}

#[test]
fn a_creation_that_is_too_large_begins_carefully() {
    with_server(
        || newest().without_interim().limited(appends(200_000)),
        |origin, server| {
            let (data, _) = upload(&session(origin), origin).unwrap();
            assert_eq!(text(&data), format!("took {LENGTH} bytes"));
            assert_eq!(
                server.lines(),
                [
                    "POST /target ?1 300000 bytes",
                    "POST /target ?0",
                    "PATCH /uploads/1 ?0 @0 200000 bytes",
                    "PATCH /uploads/1 ?1 @200000 100000 bytes",
                ]
            );
        },
    );
}

#[test]
fn a_body_that_is_too_large_or_too_small_altogether_fails_and_is_given_up() {
    let small = UploadLimits { max_size: Some(1000), ..UploadLimits::default() };
    let large = UploadLimits { min_size: Some(1_000_000), ..UploadLimits::default() };
    for (limits, what, code) in [
        (small, "longer than the server takes", UrlErrorCode::DataLengthExceedsMaximum),
        (large, "shorter than the server takes", UrlErrorCode::BadServerResponse),
    ] {
        with_server(newest, |origin, server| {
            // Announced while the upload goes on.
            server.at(UploadStep::Creation, [UploadFault::CutAt(CUT)]);
            server.at(UploadStep::Retrieval, [UploadFault::Limit(limits)]);
            let error = upload(&session(origin), origin).unwrap_err();
            assert_eq!(error.code(), code, "{error}");
            assert!(error.to_string().contains(what), "{error}");
            assert!(server.is_deleted(0));
            // Announced at once: the answer is the server's refusal.
            let result = upload(&session(origin), origin);
            assert_eq!(result.unwrap_err().code(), code);
        });
    }
}

#[test]
fn parts_that_cannot_be_cut_fail_the_upload() {
    with_server(
        || newest().limited(UploadLimits { min_append_size: Some(70_000), ..appends(60_000) }),
        |origin, server| {
            let session = UrlSession::new(requiring(origin, UploadStrategy::Careful));
            let error = upload(&session, origin).unwrap_err();
            assert!(error.to_string().contains("cannot be cut into parts"), "{error}");
            assert_eq!(server.lines(), ["POST /target ?0", "DELETE /uploads/0"]);
        },
    );
}
