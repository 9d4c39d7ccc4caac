//! What goes wrong on the way: cuts before and after the announcement, servers that fail, forget, or lose the answer.

use std::time::Duration;

use urlsession::uploads::UploadStrategy;
use urlsession::{UrlErrorCode, UrlSession};
use urlsession_testkit::{Refusal, Reply, UploadFault, UploadServer, UploadStep};

use super::*;

#[test]
fn an_upload_that_was_not_announced_fails_as_ever() {
    with_server(newest, |origin, server| {
        for at in [0, CUT] {
            server.at(UploadStep::Creation, [UploadFault::NoInterim, UploadFault::CutAt(at)]);
            let error = upload(&session(origin), origin).unwrap_err();
            assert_eq!(error.code(), UrlErrorCode::NetworkConnectionLost);
            assert!(error.resume_data().is_none());
        }
        server.at(UploadStep::Creation, [UploadFault::NoInterim, UploadFault::Answer(Reply::new(503))]);
        let (_, response) = upload(&session(origin), origin).unwrap();
        assert_eq!(response.status_code(), Some(503));
        assert_eq!(server.lines().len(), 3);
    });
}

#[test]
fn a_cut_at_any_place_is_made_up_for() {
    for cut in [0, 1, 16_383, 16_384, LENGTH as u64 - 1] {
        with_server(newest, |origin, server| {
            server.at(UploadStep::Creation, [UploadFault::CutAt(cut)]);
            took_all(upload(&session(origin), origin), server);
            let rest = LENGTH as u64 - cut;
            assert_eq!(server.lines().last().unwrap(), &format!("PATCH /uploads/0 ?1 @{cut} {rest} bytes"));
        });
    }
}

#[test]
fn a_server_that_fails_after_its_announcement_is_resumed() {
    for status in [500, 502, 503] {
        with_server(newest, |origin, server| {
            server.at(UploadStep::Creation, [UploadFault::AnswerAt(CUT, Reply::new(status))]);
            server.at(UploadStep::Append, [UploadFault::AnswerAt(CUT, Reply::new(status))]);
            took_all(upload(&session(origin), origin), server);
            assert_eq!(server.lines(), CUT_TWICE);
        });
    }
}

#[test]
fn an_error_of_the_target_itself_is_the_answer() {
    with_server(
        || newest().answering(Reply::new(500).body("the target is broken")),
        |origin, server| {
            server.at(UploadStep::Creation, [UploadFault::CutAt(CUT)]);
            let (data, response) = upload(&session(origin), origin).unwrap();
            assert_eq!((text(&data), response.status_code()), ("the target is broken", Some(500)));
            assert_eq!(server.lines().len(), 3);
        },
    );
}

#[test]
fn a_lost_answer_to_an_upload_that_is_complete_is_not_asked_for_twice() {
    with_server(newest, |origin, server| {
        server.at(UploadStep::Creation, [UploadFault::LosesAnswer]);
        let (data, response) = upload(&session(origin), origin).unwrap();
        assert_eq!((data.len(), response.status_code()), (0, Some(204)), "what HEAD says is all there is");
        assert_eq!(server.lines(), ["POST /target ?1 300000 bytes", "HEAD /uploads/0"]);
        server.at(UploadStep::Creation, [UploadFault::CutAt(CUT)]);
        server.at(UploadStep::Append, [UploadFault::LosesAnswer]);
        upload(&session(origin), origin).unwrap();
        assert_eq!(server.lines().last().unwrap(), "HEAD /uploads/1");
    });
}

#[test]
fn an_upload_that_came_whole_but_without_its_end_is_completed_by_nothing() {
    with_server(newest, |origin, server| {
        server.at(UploadStep::Creation, [UploadFault::CutAt(LENGTH as u64)]);
        took_all(upload(&session(origin), origin), server);
        assert_eq!(server.lines().last().unwrap(), "PATCH /uploads/0 ?1 @300000");
    });
}

#[test]
fn bytes_that_the_server_lost_are_sent_again() {
    with_server(newest, |origin, server| {
        server.at(UploadStep::Creation, [UploadFault::CutLosing(1000, CUT)]);
        took_all(upload(&session(origin), origin), server);
        assert_eq!(server.lines().last().unwrap(), "PATCH /uploads/0 ?1 @1000 299000 bytes");
    });
}

#[test]
fn a_conflict_is_cleared_up_by_asking_where_the_upload_is() {
    with_server(newest, |origin, server| {
        server.at(UploadStep::Creation, [UploadFault::CutAt(CUT)]);
        server.at(UploadStep::Append, [UploadFault::Rewind(5000)]);
        took_all(upload(&session(origin), origin), server);
        assert_eq!(
            server.lines()[2..],
            [
                "PATCH /uploads/0 ?1 @100000 200000 bytes",
                "HEAD /uploads/0",
                "PATCH /uploads/0 ?1 @5000 295000 bytes",
            ]
        );
    });
}

#[test]
fn an_offset_beyond_the_end_fails_the_upload_and_gives_it_up() {
    with_server(newest, |origin, server| {
        server.at(UploadStep::Creation, [UploadFault::CutAt(CUT)]);
        server.at(UploadStep::Retrieval, [UploadFault::Offset(LENGTH as u64 + 1)]);
        let error = upload(&session(origin), origin).unwrap_err();
        assert!(error.to_string().contains("more bytes than there are to send"), "{error}");
        assert!(error.resume_data().is_none());
        assert!(server.is_deleted(0));
        assert_eq!(server.lines().last().unwrap(), "DELETE /uploads/0");
    });
}

#[test]
fn a_server_that_means_another_length_is_not_sent_more() {
    with_server(newest, |origin, server| {
        server.at(UploadStep::Creation, [UploadFault::CutAt(CUT)]);
        server.at(UploadStep::Retrieval, [UploadFault::Length(5)]);
        let error = upload(&session(origin), origin).unwrap_err();
        assert!(error.to_string().contains("another length"), "{error}");
        assert_eq!(server.lines().len(), 2);
    });
}

#[test]
fn a_server_that_forgot_the_upload_fails_it_and_says_so() {
    for status in [404, 410] {
        with_server(newest, |origin, server| {
            server.at(UploadStep::Creation, [UploadFault::CutAt(CUT)]);
            server.at(UploadStep::Retrieval, [UploadFault::Answer(Reply::new(status))]);
            let error = upload(&session(origin), origin).unwrap_err();
            assert_eq!(error.code(), UrlErrorCode::ResourceUnavailable);
            assert_eq!(error.resume_failure(), Some(urlsession::ResumeFailure::Expired));
            assert!(error.resume_data().is_none());
            assert_eq!(server.lines().len(), 2, "nothing is begun anew behind the application's back");
        });
    }
}

#[test]
fn pauses_grow_until_the_upload_fails_with_what_it_can_go_on_with() {
    with_server(newest, |origin, server| {
        server.at(UploadStep::Creation, [UploadFault::CutAt(CUT)]);
        for _ in 0..5 {
            server.at(UploadStep::Retrieval, [UploadFault::Answer(Reply::new(503))]);
        }
        let (session, clock) = with_clock(origin);
        let (task, receiver) = task_of(&session, origin);
        task.resume();
        for (tries, pause) in [(1, 1), (2, 2), (3, 4), (4, 8)] {
            let asked = || server.lines().iter().filter(|line| line.starts_with("HEAD")).count();
            clock.wait_for_sleeper(Duration::from_secs(pause));
            assert_eq!(asked(), tries);
            clock.advance(Duration::from_secs(pause));
        }
        let error = receiver.recv_timeout(PATIENCE).unwrap().unwrap_err();
        assert!(error.to_string().contains("503"), "{error}");
        let data = error.resume_data().unwrap();
        let (data, _) = session.upload_resume_from(data).wait().unwrap();
        assert_eq!(text(&data), format!("took {LENGTH} bytes"));
        assert!(server.content(0) == body());
        assert_eq!(server.lines().last().unwrap(), "PATCH /uploads/0 ?1 @100000 200000 bytes");
    });
}

#[test]
fn a_server_that_makes_progress_may_fail_as_often_as_it_likes() {
    with_server(newest, |origin, server| {
        server.at(UploadStep::Creation, [UploadFault::CutAt(20_000)]);
        for _ in 0..13 {
            server.at(UploadStep::Append, [UploadFault::CutAt(20_000)]);
        }
        took_all(upload(&session(origin), origin), server);
        assert_eq!(server.lines().len(), 1 + 2 * 14);
    });
}

#[test]
fn a_server_says_how_long_it_fails() {
    with_server(newest, |origin, server| {
        let busy = Reply::new(503).header("Retry-After", "7");
        server.at(UploadStep::Creation, [UploadFault::AnswerAt(CUT, busy)]);
        let (session, clock) = with_clock(origin);
        let (task, receiver) = task_of(&session, origin);
        task.resume();
        clock.wait_for_sleeper(Duration::from_secs(7));
        assert_eq!(server.lines().len(), 1);
        clock.advance(Duration::from_secs(7));
        took_all(receiver.recv_timeout(PATIENCE).unwrap(), server);
    });
}

#[test]
fn a_proxy_that_drops_interim_responses_is_passed_carefully_when_it_is_known() {
    with_server(
        || newest().without_interim(),
        |origin, server| {
            let session = session(origin);
            took_all(upload(&session, origin), server);
            assert_eq!(server.lines(), ["POST /target ?1 300000 bytes"]);
            server.at(UploadStep::Append, [UploadFault::CutAt(CUT)]);
            upload(&session, origin).unwrap();
            assert_eq!(server.lines()[1..], CUT_CAREFULLY);
            assert!(server.content(1) == body());
        },
    );
}

#[test]
fn an_application_may_be_careful_from_the_beginning_in_every_version() {
    for version in VERSIONS {
        with_server(
            || UploadServer::new(version).without_interim().speaking(&[version], Refusal::PreconditionFailed),
            |origin, server| {
                let session = UrlSession::new(requiring(origin, UploadStrategy::Careful));
                took_all(upload(&session, origin), server);
                let lines = server.lines();
                assert_eq!(
                    lines[lines.len() - 2..],
                    ["POST /target ?0", "PATCH /uploads/0 ?1 @0 300000 bytes"],
                    "{version}"
                );
                assert!(lines.iter().all(|line| !line.contains("?1") || line.starts_with("PATCH")));
            },
        );
    }
}

#[test]
fn a_careful_beginning_with_a_server_that_knows_nothing_of_it_fails() {
    on_every_wire(|origin| {
        let session = UrlSession::new(requiring(origin, UploadStrategy::Careful));
        origin.enqueue("/target", Reply::new(201).header("Location", "/made"));
        let error = upload(&session, origin).unwrap_err();
        assert!(error.to_string().contains("did not know resumable uploads"), "{error}");
        assert_eq!(origin.requests().len(), 1);
    });
}

#[test]
fn progress_notices_move_the_offset_and_reach_the_delegate() {
    with_server(newest, |origin, server| {
        let faults = [UploadFault::Progress(50_000), UploadFault::AnswerAt(120_000, Reply::new(503))];
        server.at(UploadStep::Creation, faults);
        let (session, recorder) = recorded(origin);
        session.upload_task(post(origin), body()).resume();
        let log = recorder.completed(1);
        log.succeeded();
        let offsets = log.informational.iter().map(|head| head.value("upload-offset").map(str::to_owned));
        let offsets = offsets.collect::<Vec<_>>();
        assert_eq!(offsets, [None, Some("50000".into()), Some("100000".into())]);
        assert!(server.content(0) == body());
    });
}
