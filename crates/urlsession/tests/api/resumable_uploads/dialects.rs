//! Versions: each in its own words, and servers that refuse the one they are spoken to in.

use urlsession::UrlSession;
use urlsession::uploads::UploadStrategy;
use urlsession_testkit::{Refusal, Reply, UploadFault, UploadServer, UploadStep};

use super::*;

#[test]
fn each_version_is_spoken_from_the_creation_to_the_last_append() {
    for version in VERSIONS {
        with_server(
            || UploadServer::new(version).speaking(&[version], Refusal::BadRequest),
            |origin, server| {
                let session = session(origin);
                // The session learns the version from the first.
                upload(&session, origin).unwrap();
                let before = server.requests().len();
                server.at(UploadStep::Creation, [UploadFault::CutAt(CUT)]);
                upload(&session, origin).unwrap();
                let requests = server.requests().split_off(before);
                let methods = requests.iter().map(|request| &*request.method).collect::<Vec<_>>();
                assert_eq!(methods, ["POST", "HEAD", "PATCH"], "{version}");
                for request in &requests {
                    assert_eq!(request.field("upload-draft-interop-version"), Some(&*version.to_string()));
                }
                let (creation, append) = (&requests[0], &requests[2]);
                let complete =
                    if version == 3 { ("upload-incomplete", "?0") } else { ("upload-complete", "?1") };
                let length = (version >= 6).then_some("300000");
                for request in [creation, append] {
                    assert_eq!(request.field(complete.0), Some(complete.1), "{version}");
                    assert_eq!(request.field("upload-length"), length, "{version}");
                }
                let partial = (version >= 6).then_some("application/partial-upload");
                assert_eq!(append.field("content-type"), partial, "{version}");
                assert_eq!(server.content(server.count() - 1), body());
            },
        );
    }
}

#[test]
fn a_server_that_takes_the_version_for_another_protocol_is_asked_in_older_ones() {
    with_server(
        || UploadServer::new(5).speaking(&[5], Refusal::PreconditionFailed),
        |origin, server| {
            let session = session(origin);
            took_all(upload(&session, origin), server);
            let versions = server.requests();
            let versions =
                versions.iter().map(|r| r.field("upload-draft-interop-version").unwrap().to_owned());
            assert_eq!(versions.collect::<Vec<_>>(), ["8", "6", "5"]);
            upload(&session, origin).unwrap();
            assert_eq!(server.requests().len(), 4, "it is known by then");
        },
    );
}

#[test]
fn a_server_that_refuses_the_fields_gets_the_request_without_them_and_is_known_for_it() {
    for status in [400, 412, 417, 501] {
        for wire in WIRES {
            let origin = Origin::builder()
                .wire(wire)
                .handler(move |request| match request.header("upload-draft-interop-version") {
                    Some(_) => Reply::new(status),
                    None => Reply::new(200).body("plain"),
                })
                .start();
            let session = session(&origin);
            let (data, _) = upload(&session, &origin).unwrap();
            assert_eq!(text(&data), "plain");
            // 412 may mean an older version.
            let tries = match status {
                412 => 5,
                _ => 2,
            };
            assert_eq!(origin.requests().len(), tries, "{status}");
            upload(&session, &origin).unwrap();
            let requests = origin.requests();
            assert_eq!(requests.len(), tries + 1);
            assert_eq!(requests[tries].header("upload-complete"), None);
            assert!(requests.iter().all(|request| request.body_len == LENGTH as u64));
        }
    }
}

#[test]
fn a_refusal_that_has_another_cause_is_the_answer_and_is_asked_for_once() {
    on_every_wire(|origin| {
        let session = session(origin);
        for (path, requests) in [("/first", 2), ("/second", 3)] {
            for _ in 0..2 {
                origin.enqueue(path, Reply::new(400).body("bad content"));
            }
            let post = request(&origin.url(path), "POST", None);
            let (data, response) = session.upload(post, body()).wait().unwrap();
            assert_eq!((text(&data), response.status_code()), ("bad content", Some(400)));
            assert_eq!(origin.requests().len(), requests);
        }
    });
}

#[test]
fn nothing_is_sent_twice_after_an_announcement_or_of_a_stream() {
    with_server(newest, |origin, server| {
        server.at(UploadStep::Creation, [UploadFault::Answer(Reply::new(400).body("no"))]);
        let (data, response) = upload(&session(origin), origin).unwrap();
        assert_eq!((text(&data), response.status_code()), ("no", Some(400)));
        assert_eq!(server.lines().len(), 1);
    });
    on_every_wire(|origin| {
        let stream = urlsession::BodyStream::from(Bytes::from_static(b"content"));
        let (session, recorder) =
            with_recorder(configuration(origin), Recorder::new().giving_bodies([stream]));
        origin.enqueue("/target", Reply::new(412));
        session.upload_task_with_streamed_request(post(origin)).resume();
        let log = recorder.completed(1);
        log.succeeded();
        assert_eq!(log.response.unwrap().status_code(), Some(412));
        assert_eq!(origin.requests().len(), 1);
    });
}

#[test]
fn who_requires_resumption_is_never_served_without() {
    for wire in WIRES {
        let origin = Origin::builder()
            .wire(wire)
            .handler(|request| match request.header("upload-draft-interop-version") {
                Some(_) => Reply::new(400).body("fields"),
                None => Reply::new(200).body("plain"),
            })
            .start();
        let session = UrlSession::new(requiring(&origin, UploadStrategy::Optimistic));
        let (data, response) = upload(&session, &origin).unwrap();
        assert_eq!((text(&data), response.status_code()), ("fields", Some(400)));
        let versions = origin.requests();
        let versions = versions.iter().map(|r| r.header("upload-draft-interop-version").unwrap().to_owned());
        assert_eq!(versions.collect::<Vec<_>>(), ["8", "6", "5", "3"]);
    }
}

#[test]
fn an_interim_response_of_another_version_is_ignored() {
    with_server(newest, |origin, server| {
        let location = || ("Location", "/uploads/0".to_owned());
        for fields in [
            vec![location(), ("Upload-Draft-Interop-Version", "6".to_owned())],
            vec![location()],
            vec![location(), ("Upload-Draft-Interop-Version", "\"8\"".to_owned())],
        ] {
            server.at(UploadStep::Creation, [UploadFault::Interim(fields), UploadFault::CutAt(CUT)]);
            let error = upload(&session(origin), origin).unwrap_err();
            assert_eq!(error.code(), urlsession::UrlErrorCode::NetworkConnectionLost);
            assert!(error.resume_data().is_none());
        }
        assert_eq!(server.lines().len(), 3);
    });
}

#[test]
fn a_server_of_a_version_to_come_loses_nothing_of_an_upload() {
    let newer = ("Upload-Draft-Interop-Version", "9");
    for status in [400, 412, 501] {
        for wire in WIRES {
            let origin = Origin::builder()
                .wire(wire)
                .handler(move |request| match request.header(newer.0) {
                    Some(_) => Reply::new(status).header(newer.0, newer.1),
                    None => Reply::new(200).body(format!("took {} bytes", request.body_len)),
                })
                .start();
            let session = session(&origin);
            for _ in 0..2 {
                let (data, _) = upload(&session, &origin).unwrap();
                assert_eq!(text(&data), format!("took {LENGTH} bytes"), "{status}");
            }
            // Whoever must be able to resume is told, and not left with half of it.
            let required = UrlSession::new(requiring(&origin, UploadStrategy::Careful));
            let error = upload(&required, &origin).unwrap_err();
            assert!(error.to_string().contains(&status.to_string()), "{error}");
            assert!(error.resume_data().is_none());
        }
    }
}

#[test]
fn an_announcement_of_a_version_to_come_is_none_and_the_upload_goes_on_without() {
    with_server(newest, |origin, server| {
        let announcement = || {
            let version = ("Upload-Draft-Interop-Version", "9".to_owned());
            UploadFault::Interim(vec![version, ("Location", "/uploads/7".to_owned())])
        };
        server.at(UploadStep::Creation, [announcement()]);
        took_all(upload(&session(origin), origin), server);
        server.at(UploadStep::Creation, [announcement(), UploadFault::CutAt(CUT)]);
        let error = upload(&session(origin), origin).unwrap_err();
        assert_eq!(error.code(), urlsession::UrlErrorCode::NetworkConnectionLost, "it says that it is lost");
        // It is at the server, as far as is known in a version that is spoken.
        let answer = Reply::new(201)
            .header("Upload-Draft-Interop-Version", "9")
            .header("Upload-Complete", "?0")
            .header("Upload-Offset", "100000")
            .header("Location", "/uploads/2");
        server.at(UploadStep::Creation, [announcement(), UploadFault::AnswerAt(CUT, answer)]);
        upload(&session(origin), origin).unwrap();
        assert!(server.content(2) == body() && server.is_complete(2));
        assert_eq!(server.lines().last().unwrap(), "PATCH /uploads/2 ?1 @100000 200000 bytes");
    });
}

#[test]
fn what_a_session_learned_is_forgotten_when_it_is_reset() {
    let origin = Origin::builder()
        .handler(|request| match request.header("upload-draft-interop-version") {
            Some(_) => Reply::new(400),
            None => Reply::new(200),
        })
        .start();
    let session = session(&origin);
    upload(&session, &origin).unwrap();
    in_tokio(session.reset());
    upload(&session, &origin).unwrap();
    assert_eq!(origin.requests().len(), 4);
}
