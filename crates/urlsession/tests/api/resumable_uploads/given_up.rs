//! Given up: an upload whose task is cancelled, and that nobody can go on with, is deleted at its server.

use std::fs;
use std::time::Duration;

use urlsession::UrlErrorCode;
use urlsession::uploads::UploadRecords;
use urlsession_testkit::{Gate, Reply, UploadFault, UploadStep, Wire};

use super::*;

/// Cuts the upload, then holds the server back until the gate is opened: the task is in the middle.
fn cut_and_hold(origin: &Origin, server: &UploadServer) -> Gate {
    let gate = origin.hold();
    server.at(UploadStep::Creation, [UploadFault::CutAt(CUT)]);
    server.at(UploadStep::Retrieval, [UploadFault::Answer(Reply::new(503).after(gate.clone()))]);
    gate
}

#[track_caller]
fn wait_until_asked_to_delete(server: &UploadServer) {
    let start = std::time::Instant::now();
    while server.requests().iter().all(|request| request.method != "DELETE") {
        assert!(start.elapsed() < PATIENCE, "the server was not told");
        std::thread::yield_now();
    }
}

#[track_caller]
fn wait_until_deleted(server: &UploadServer, upload: usize) {
    let start = std::time::Instant::now();
    while !server.is_deleted(upload) {
        assert!(start.elapsed() < PATIENCE, "the server was not told");
        std::thread::yield_now();
    }
}

/// Whatever was on its way by now has come: a request that was begun later is answered.
fn settle(session: &UrlSession, origin: &Origin) {
    for _ in 0..3 {
        session.data(&*origin.url("/echo")).wait().unwrap();
    }
}

#[track_caller]
fn was_cancelled(result: Loaded) {
    let error = result.unwrap_err();
    assert_eq!((error.code(), error.resume_data()), (UrlErrorCode::Cancelled, None));
}

#[test]
fn a_cancelled_upload_is_deleted_at_its_server_in_every_version() {
    for version in VERSIONS {
        with_server(
            || UploadServer::new(version),
            |origin, server| {
                let session = session(origin);
                if version != 8 {
                    // The session learns the version from it.
                    upload(&session, origin).unwrap();
                }
                let gate = cut_and_hold(origin, server);
                let (task, receiver) = task_of(&session, origin);
                task.resume();
                assert!(gate.wait_reached(PATIENCE));
                task.cancel();
                was_cancelled(receiver.recv_timeout(PATIENCE).unwrap());
                let last = server.count() - 1;
                wait_until_deleted(server, last);
                let requests = server.requests();
                let delete = requests.last().unwrap();
                assert_eq!(delete.field("upload-draft-interop-version"), Some(&*version.to_string()));
                assert_eq!((&*delete.target, delete.bytes), (&*format!("/uploads/{last}"), 0));
                gate.release();
            },
        );
    }
}

#[test]
fn every_style_of_task_gives_its_upload_up_while_it_is_sent() {
    enum Style {
        Delegate,
        Handler,
        Future,
        Dropped,
        Session,
    }
    for style in [Style::Delegate, Style::Handler, Style::Future, Style::Dropped, Style::Session] {
        with_server(newest, |origin, server| {
            // The body does not come to its end.
            let gate = origin.hold();
            let stuck = Reply::new(200).after(gate.clone());
            server.at(UploadStep::Creation, [UploadFault::Answer(stuck)]);
            let (session, recorder) = recorded(origin);
            match style {
                Style::Handler => {
                    let (task, receiver) = task_of(&session, origin);
                    task.resume();
                    recorder.wait_for(|log| log.informational.len() == 1);
                    task.cancel();
                    was_cancelled(receiver.recv_timeout(PATIENCE).unwrap());
                }
                Style::Delegate | Style::Session => {
                    session.upload_task(post(origin), body()).resume();
                    recorder.wait_for(|log| log.informational.len() == 1);
                    match style {
                        Style::Session => session.invalidate_and_cancel(),
                        _ => session.all_tasks()[0].cancel(),
                    }
                    let error = recorder.completed(1).completions[0].clone().unwrap();
                    assert_eq!(error.code(), UrlErrorCode::Cancelled);
                }
                Style::Future | Style::Dropped => in_tokio(async {
                    let mut upload = session.upload(post(origin), body());
                    let task = upload.task();
                    let mut informed = std::pin::pin!(async {
                        while recorder.log().informational.is_empty() {
                            tokio::task::yield_now().await;
                        }
                    });
                    std::future::poll_fn(|cx| {
                        assert!(std::pin::Pin::new(&mut upload).poll(cx).is_pending());
                        informed.as_mut().poll(cx)
                    })
                    .await;
                    if let Style::Future = style {
                        task.cancel();
                        was_cancelled(upload.await);
                    }
                }),
            }
            wait_until_deleted(server, 0);
            assert_eq!(
                recorder.log().completions.len(),
                usize::from(!matches!(style, Style::Handler | Style::Future | Style::Dropped))
            );
            gate.release();
        });
    }
}

#[test]
fn an_upload_that_somebody_goes_on_with_is_not_deleted() {
    with_server(newest, |origin, server| {
        let gate = cut_and_hold(origin, server);
        let session = session(origin);
        let (task, receiver) = task_of(&session, origin);
        task.resume();
        assert!(gate.wait_reached(PATIENCE));
        let data = in_tokio(task.cancel_by_producing_resume_data()).unwrap();
        task.cancel();
        was_cancelled(receiver.recv_timeout(PATIENCE).unwrap());
        // A task that has not run gives nothing up, nor does a future that is dropped with its resume data left.
        session.upload_task_with_resume_data(data.clone()).cancel();
        drop(session.upload_resume_from(data.clone()));
        settle(&session, origin);
        gate.release();
        took_all(session.upload_resume_from(data).wait(), server);
        assert_eq!(server.lines()[5..], ["HEAD /uploads/0", "PATCH /uploads/0 ?1 @100000 200000 bytes"]);
    });
}

#[test]
fn an_upload_that_is_complete_or_was_never_announced_is_not_deleted() {
    with_server(newest, |origin, server| {
        let (session, recorder) = recorded(origin);
        // The answer has begun and does not end.
        let gate = origin.hold();
        let answer =
            Reply::new(200).header("Upload-Complete", "?1").body("begin and end").body_gate(5, gate.clone());
        server.at(UploadStep::Creation, [UploadFault::Answer(answer)]);
        let task = session.upload_task(post(origin), body());
        task.resume();
        recorder.wait_for(|log| !log.data.is_empty());
        task.cancel();
        recorder.completed(1);
        gate.release();
        let unannounced = origin.hold();
        server.at(
            UploadStep::Creation,
            [UploadFault::NoInterim, UploadFault::Answer(Reply::new(200).after(unannounced.clone()))],
        );
        let task = session.upload_task(post(origin), body());
        task.resume();
        assert!(unannounced.wait_reached(PATIENCE));
        task.cancel();
        recorder.completed(2);
        unannounced.release();
        settle(&session, origin);
        assert!(!server.is_deleted(0) && !server.is_deleted(1), "{:?}", server.lines());
    });
}

#[test]
fn the_record_goes_with_an_upload_that_is_cancelled() {
    with_server(newest, |origin, server| {
        let folder = tempfile::tempdir().unwrap();
        let (file, place) = (folder.path().join("body"), folder.path().join("records"));
        fs::write(&file, body()).unwrap();
        let records = UploadRecords::at(&place);
        let recorded = || fs::read_dir(&place).map_or(0, |entries| entries.count());
        let gate = cut_and_hold(origin, server);
        let session = session(origin);
        let task = session.upload_task_from_file(post(origin), &file);
        task.set_resumable_across_runs(&records);
        task.resume();
        assert!(gate.wait_reached(PATIENCE));
        task.cancel();
        wait_until_deleted(server, 0);
        assert_eq!(recorded(), 0, "it goes before the server hears of it");
        gate.release();
        let before = server.lines().len();
        session.upload_from_file(post(origin), &file).resumable_across_runs(&records).wait().unwrap();
        assert_eq!(server.lines()[before..], ["POST /target ?1 300000 bytes"]);
    });
}

#[test]
fn credentials_go_with_the_deletion_to_the_targets_own_origin_only() {
    for wire in WIRES {
        let other = newest();
        let elsewhere = Origin::builder().wire(wire).uploads(&other).start();
        let server = newest();
        let origin = Origin::builder().wire(wire).uploads(&server).start();
        let mut post = post(&origin);
        for (name, value) in [("Authorization", "Bearer s3cret"), ("Cookie", "id=s3cret")] {
            post.set_value(name, value).unwrap();
        }
        for (location, allows) in [
            ("/uploads/0".to_owned(), false),
            (elsewhere.url("/uploads/0"), false),
            (elsewhere.url("/uploads/0"), true),
        ] {
            let gate = origin.hold();
            let stuck = Reply::new(200).after(gate.clone());
            server.at(
                UploadStep::Creation,
                [UploadFault::Location(location.clone()), UploadFault::Answer(stuck)],
            );
            let configuration = configuration(&origin)
                .allows_uploads_at_other_origins(allows)
                .additional_trust_anchors([origin.trust_anchor_der(), elsewhere.trust_anchor_der()]);
            let (session, recorder) = with_recorder(configuration, Recorder::new());
            let task = session.upload_task(post.clone(), body());
            task.resume();
            recorder.wait_for(|log| log.informational.len() == 1);
            task.cancel();
            if location.starts_with('/') {
                wait_until_asked_to_delete(&server);
                let requests = server.requests();
                let seen = requests.last().unwrap();
                assert_eq!(
                    (seen.field("authorization"), seen.field("cookie")),
                    (Some("Bearer s3cret"), Some("id=s3cret"))
                );
            } else if allows {
                wait_until_asked_to_delete(&other);
                let requests = other.requests();
                let seen = requests.last().unwrap();
                assert_eq!(
                    (&*seen.method, seen.field("authorization"), seen.field("cookie")),
                    ("DELETE", None, None)
                );
            } else {
                settle(&session, &origin);
                session.data(&*elsewhere.url("/echo")).wait().unwrap();
                assert!(other.lines().iter().all(|line| line == "GET /echo"), "{:?}", other.lines());
            }
            gate.release();
        }
    }
}

#[test]
fn a_server_that_does_not_answer_is_not_waited_for() {
    let server = newest();
    let origin = Origin::builder().wire(Wire::TlsH2).uploads(&server).start();
    let gate = origin.hold();
    server.at(UploadStep::Creation, [UploadFault::Answer(Reply::new(200).after(gate.clone()))]);
    server.at(UploadStep::Cancellation, [UploadFault::Answer(Reply::new(204).after(gate.clone()))]);
    let clock = HandClock::new();
    let mut configuration = configuration(&origin);
    configuration.environment.clock = std::sync::Arc::new(clock.clone());
    let (session, recorder) = with_recorder(configuration, Recorder::new());
    let task = session.upload_task(post(&origin), body());
    task.resume();
    recorder.wait_for(|log| log.informational.len() == 1);
    task.cancel();
    recorder.completed(1);
    wait_until_asked_to_delete(&server);
    assert!(origin.wait_for(|journal| journal.resets.len() == 1, PATIENCE), "of the creation");
    clock.advance_until(Duration::from_secs(5), || origin.journal(|journal| journal.resets.len() == 2));
    gate.release();
}
