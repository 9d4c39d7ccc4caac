//! Where an upload is: locations that change, that lead elsewhere, that move; and who is told who one is.

use urlsession::UrlSession;
use urlsession::uploads::UploadStrategy;
use urlsession_testkit::{Reply, UploadFault, UploadStep};

use super::*;

#[test]
fn two_urls_for_one_upload_fail_it_and_give_it_up() {
    for fault in [
        UploadFault::SecondLocation("/uploads/7".into()),
        UploadFault::SecondLocation("http://127.0.0.1:9/uploads/0".into()),
    ] {
        with_server(newest, |origin, server| {
            server.at(UploadStep::Creation, [fault.clone(), UploadFault::CutAt(LENGTH as u64 + 1)]);
            let error = upload(&session(origin), origin).unwrap_err();
            assert!(error.to_string().contains("two URLs"), "{error}");
            assert!(server.is_deleted(0), "{:?}", server.lines());
        });
    }
    with_server(newest, |origin, server| {
        // The last word of a protocol-level answer.
        let partly = Reply::new(201)
            .header("Upload-Complete", "?0")
            .header("Upload-Offset", "100000")
            .header("Location", "/uploads/7");
        server.at(UploadStep::Creation, [UploadFault::AnswerAt(CUT, partly)]);
        let error = upload(&session(origin), origin).unwrap_err();
        assert!(error.to_string().contains("two URLs"), "{error}");
        assert_eq!(server.lines().last().unwrap(), "DELETE /uploads/0");
    });
}

#[test]
fn the_location_of_the_targets_own_answer_is_the_targets() {
    with_server(
        || newest().answering(Reply::new(201).header("Location", "/made").body("made")),
        |origin, server| {
            server.at(UploadStep::Creation, [UploadFault::CutAt(CUT)]);
            let (data, response) = upload(&session(origin), origin).unwrap();
            assert_eq!(text(&data), "made");
            assert_eq!(response.http().unwrap().value("location"), Some("/made"));
            upload(&session(origin), origin).unwrap();
            assert_eq!(server.lines().len(), 4);
        },
    );
}

#[test]
fn a_location_on_an_append_says_nothing() {
    with_server(newest, |origin, server| {
        server.at(UploadStep::Creation, [UploadFault::CutAt(CUT)]);
        let version = ("Upload-Draft-Interop-Version", "8".to_owned());
        let fields = vec![version, ("Location", "/uploads/7".to_owned())];
        server.at(UploadStep::Append, [UploadFault::Interim(fields), UploadFault::CutAt(CUT)]);
        took_all(upload(&session(origin), origin), server);
        assert!(server.requests()[1..].iter().all(|request| request.target == "/uploads/0"));
    });
}

#[test]
fn a_redirect_of_the_target_is_followed_and_the_upload_is_created_there() {
    with_server(newest, |origin, server| {
        origin.enqueue("/elsewhere", Reply::new(307).header("Location", "/target"));
        server.at(UploadStep::Creation, [UploadFault::CutAt(CUT)]);
        let put = request(&origin.url("/elsewhere"), "PUT", None);
        took_all(session(origin).upload(put, body()).wait(), server);
        assert_eq!(server.lines()[0], "PUT /target ?1 100000 bytes");
    });
}

#[test]
fn an_upload_that_moves_is_followed_and_one_that_redirects_otherwise_is_not() {
    with_server(newest, |origin, server| {
        server.at(
            UploadStep::Creation,
            [UploadFault::CutAt(CUT), UploadFault::Location("/uploads/old".into())],
        );
        let moved = Reply::new(308).header("Location", "/uploads/0");
        origin.enqueue("/uploads/old", moved);
        took_all(upload(&session(origin), origin), server);
        assert_eq!(server.lines().last().unwrap(), "PATCH /uploads/0 ?1 @100000 200000 bytes");
    });
    for status in [301, 302, 303] {
        with_server(newest, |origin, server| {
            server.at(UploadStep::Creation, [UploadFault::CutAt(CUT)]);
            let there = Reply::new(status).header("Location", "/echo");
            server.at(UploadStep::Retrieval, [UploadFault::Answer(there)]);
            let error = upload(&session(origin), origin).unwrap_err();
            assert!(error.to_string().contains(&status.to_string()), "{error}");
            assert_eq!(server.lines().len(), 2);
        });
    }
}

#[test]
fn credentials_go_to_the_upload_at_the_targets_own_origin() {
    with_server(newest, |origin, server| {
        server.at(UploadStep::Creation, [UploadFault::CutAt(CUT)]);
        let mut post = post(origin);
        for (name, value) in
            [("Authorization", "Bearer s3cret"), ("Content-Type", "image/png"), ("X-Own", "1")]
        {
            post.set_value(name, value).unwrap();
        }
        took_all(session(origin).upload(post, body()).wait(), server);
        for seen in &server.requests() {
            assert_eq!(seen.field("authorization"), Some("Bearer s3cret"));
            assert_eq!(seen.field("x-own"), Some("1"));
        }
        let types = server.requests();
        let types = types.iter().map(|request| request.field("content-type").map(str::to_owned));
        let partial = Some("application/partial-upload".to_owned());
        assert_eq!(types.collect::<Vec<_>>(), [Some("image/png".to_owned()), None, partial]);
    });
}

#[test]
fn a_session_s_content_type_is_of_the_content_and_not_of_its_parts() {
    with_server(newest, |origin, server| {
        server.at(UploadStep::Creation, [UploadFault::CutAt(CUT)]);
        let mut configuration = configuration(origin);
        set_for_all(&mut configuration, "Content-Type", "image/png");
        took_all(UrlSession::new(configuration).upload(post(origin), body()).wait(), server);
        let requests = server.requests();
        assert_eq!(requests[0].field("content-type"), Some("image/png"));
        assert_eq!(requests[2].field("content-type"), Some("application/partial-upload"));
    });
}

#[test]
fn an_upload_at_another_origin_is_left_alone_unless_the_configuration_allows_it() {
    for wire in WIRES {
        let elsewhere = newest();
        let other = Origin::builder().wire(wire).uploads(&elsewhere).start();
        // The upload that the first server leads to.
        let first = UrlSession::new(requiring(&other, UploadStrategy::Careful));
        elsewhere.at(UploadStep::Append, [UploadFault::Answer(Reply::new(403))]);
        upload(&first, &other).unwrap_err();
        let seen = elsewhere.lines().len();

        let server = newest();
        let origin = Origin::builder().wire(wire).uploads(&server).start();
        let led = || vec![UploadFault::CutAt(0), UploadFault::Location(other.url("/uploads/0"))];
        let mut post = post(&origin);
        post.set_value("Authorization", "Bearer s3cret").unwrap();
        post.set_value("Cookie", "id=s3cret").unwrap();

        server.at(UploadStep::Creation, led());
        let error = session(&origin).upload(post.clone(), body()).wait().unwrap_err();
        assert!(error.to_string().contains("allows_uploads_at_other_origins"), "{error}");
        assert!(error.resume_data().is_none());
        // An upload that is not cut is none of its business.
        server.at(UploadStep::Creation, [UploadFault::Location(other.url("/uploads/0"))]);
        session(&origin).upload(post.clone(), body()).wait().unwrap();
        assert!(elsewhere.lines().len() <= seen + 1, "{:?}", elsewhere.lines());
        let before = elsewhere.lines().len();

        server.at(UploadStep::Creation, led());
        let allowed = configuration(&origin).allows_uploads_at_other_origins(true);
        let (data, _) = UrlSession::new(allowed).upload(post, body()).wait().unwrap();
        assert_eq!(text(&data), format!("took {LENGTH} bytes"));
        let there = elsewhere.requests().split_off(before);
        let lines = there.iter().map(|request| request.method.clone()).collect::<Vec<_>>();
        assert_eq!(lines, ["HEAD", "PATCH"]);
        for seen in there {
            assert_eq!((seen.field("authorization"), seen.field("cookie")), (None, None));
        }
    }
}
