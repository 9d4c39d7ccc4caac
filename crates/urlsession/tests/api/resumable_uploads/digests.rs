//! Digests: what is said of a body before it is sent, of each part of it, and what the server says of what it has got. The
//! server compares what it is told with what comes.

use std::fs;

use urlsession::uploads::DigestAlgorithm;
use urlsession::{BodyStream, MultipartForm, UrlErrorCode};
use urlsession_testkit::{Reply, UploadFault, UploadLimits, UploadStep, Wire};

use super::*;

const FIELDS: [&str; 3] = ["repr-digest", "content-digest", "want-repr-digest"];

/// The first characters of a digest say its algorithm.
fn kinds(request: &urlsession_testkit::UploadRequest) -> [Option<&str>; 3] {
    FIELDS.map(|name| request.field(name).map(|value| &value[..7]))
}

fn differs(result: Loaded) {
    let error = result.unwrap_err();
    assert_eq!(error.code(), UrlErrorCode::BadServerResponse);
    assert!(error.to_string().contains("got something else than was uploaded"), "{error}");
    assert!(error.resume_data().is_none());
}

#[test]
fn every_request_of_an_upload_says_what_its_content_hashes_to_and_the_first_what_all_of_it_does() {
    for (algorithm, key) in [(DigestAlgorithm::Sha256, "sha-256"), (DigestAlgorithm::Sha512, "sha-512")] {
        for from_file in [false, true] {
            with_server(newest, |origin, server| {
                let folder = tempfile::tempdir().unwrap();
                let file = folder.path().join("body");
                fs::write(&file, body()).unwrap();
                server.at(UploadStep::Creation, [UploadFault::CutAt(CUT)]);
                let upload = match from_file {
                    true => session(origin).upload_from_file(post(origin), &file),
                    false => session(origin).upload(post(origin), body()),
                };
                took_all(upload.sending_digest(algorithm).wait(), server);
                let requests = server.requests();
                assert_eq!(kinds(&requests[0]), [Some(key); 3]);
                assert_eq!(kinds(&requests[1]), [None, None, Some(key)], "HEAD has no content");
                assert_eq!(kinds(&requests[2]), [None, Some(key), Some(key)]);
            });
        }
    }
}

#[test]
fn what_is_asked_of_a_checked_upload_yields_to_the_session_s_fields() {
    with_server(newest, |origin, server| {
        let mut configuration = configuration(origin);
        for (name, value) in [("Accept-Encoding", "gzip"), ("Want-Repr-Digest", "sha-256=1")] {
            set_for_all(&mut configuration, name, value);
        }
        let upload = UrlSession::new(configuration).upload(post(origin), body());
        took_all(upload.sending_digest(DigestAlgorithm::Sha512).wait(), server);
        let sent = origin.requests().remove(0);
        assert_eq!(sent.header_all("accept-encoding"), ["gzip"]);
        assert_eq!(sent.header_all("want-repr-digest"), ["sha-256=1"]);
        assert!(sent.header("repr-digest").is_some_and(|digest| digest.starts_with("sha-512=")));
    });
}

#[test]
fn parts_have_digests_of_their_own_from_memory_files_and_forms() {
    with_server(
        || newest().limited(UploadLimits::appends(100_000)),
        |origin, server| {
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("body");
            fs::write(&file, body()).unwrap();
            let session = UrlSession::new(requiring(origin, UploadStrategy::Careful));
            let form = MultipartForm::new().with_text("note", "x").with_file("picture", &file).unwrap();
            for upload in [
                session.upload(post(origin), body()),
                session.upload_from_file(post(origin), &file),
                session.upload_from_form(post(origin), form),
            ] {
                let before = server.requests().len();
                upload.sending_digest(DigestAlgorithm::Sha256).wait().unwrap();
                let requests = server.requests().split_off(before);
                let (creation, appends) = requests.split_first().unwrap();
                assert_eq!(kinds(creation), [Some("sha-256"), None, Some("sha-256")], "it has no content");
                assert!(appends.len() >= 3);
                for append in appends {
                    assert_eq!(kinds(append), [None, Some("sha-256"), Some("sha-256")]);
                }
            }
        },
    );
}

#[test]
fn without_being_asked_for_nothing_is_said_or_checked() {
    with_server(newest, |origin, server| {
        server.at(UploadStep::Creation, [UploadFault::Damages(7), UploadFault::CutAt(CUT)]);
        upload(&session(origin), origin).unwrap();
        assert!(server.requests().iter().all(|request| kinds(request) == [None; 3]));
    });
}

#[test]
fn a_server_that_has_got_something_else_fails_the_upload_in_every_style() {
    with_server(newest, |origin, server| {
        let damage = || server.at(UploadStep::Creation, [UploadFault::Damages(7)]);
        let session = session(origin);
        damage();
        differs(session.upload(post(origin), body()).sending_digest(DigestAlgorithm::Sha256).wait());
        damage();
        let (task, receiver) = task_of(&session, origin);
        task.set_sends_digest(Some(DigestAlgorithm::Sha512)).unwrap();
        task.resume();
        assert!(task.set_sends_digest(None).is_err(), "it is too late");
        differs(receiver.recv_timeout(PATIENCE).unwrap());
        damage();
        let (session, recorder) = recorded(origin);
        let task = session.upload_task(post(origin), body());
        task.set_sends_digest(Some(DigestAlgorithm::Sha256)).unwrap();
        task.resume();
        let log = recorder.completed(1);
        differs(Err(log.completions[0].clone().unwrap()));
        assert_eq!(text(&log.data), "took 300000 bytes", "what it says can be read");
        // On resumption, and where only HEAD tells that it is complete.
        server.at(UploadStep::Creation, [UploadFault::CutAt(CUT)]);
        server.at(UploadStep::Append, [UploadFault::Damages(7)]);
        differs(session.upload(post(origin), body()).sending_digest(DigestAlgorithm::Sha256).wait());
        server.at(UploadStep::Creation, [UploadFault::Damages(7), UploadFault::LosesAnswer]);
        differs(session.upload(post(origin), body()).sending_digest(DigestAlgorithm::Sha256).wait());
        assert_eq!(server.lines().last().unwrap(), "HEAD /uploads/4");
    });
}

/// Of `hello`, as `sha256sum` has it.
const HELLO: &str = "sha-256=:LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=:";
/// Of `content`, in both algorithms.
const CONTENT: &str = "sha-256=:7XACtDnprIRfIjV9giusFERzD722AW0+yUMil7nsn3M=:";

#[test]
fn a_plain_upload_has_digests_too_and_its_answer_is_checked() {
    let plain = |session: &UrlSession, origin: &Origin| {
        let put = request(&origin.url("/plain"), "PUT", None);
        session.upload(put, "content").sending_digest(DigestAlgorithm::Sha256).wait()
    };
    on_every_wire(|origin| {
        let session = UrlSession::new(configuration(origin).resumable_uploads(ResumableUploads::Off));
        let says = |status, digest: &str, body: &str| {
            origin.enqueue("/plain", Reply::new(status).header("Repr-Digest", digest).body(body));
        };
        // The same; nothing; a digest of the answer itself; a refusal, which has no opinion.
        says(200, CONTENT, "hello");
        origin.enqueue("/plain", Reply::new(204));
        says(201, HELLO, "hello");
        says(403, HELLO, "no");
        for _ in 0..4 {
            plain(&session, origin).unwrap();
        }
        let seen = origin.requests().remove(0);
        assert_eq!(FIELDS.map(|name| seen.header(name)), [Some(CONTENT), Some(CONTENT), Some("sha-256=10")]);
        // Of neither; of the nothing that an empty answer has.
        says(200, HELLO, "hallo");
        says(200, HELLO, "");
        says(200, "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:", "");
        // In another algorithm than was asked for.
        says(200, &format!("sha-512=:{}==:", "A".repeat(86)), "hello");
        for _ in 0..4 {
            differs(plain(&session, origin));
        }
    });
}

#[test]
fn who_is_led_elsewhere_is_not_compared_with_what_was_sent() {
    on_every_wire(|origin| {
        origin.enqueue("/plain", Reply::new(303).header("Location", "/there"));
        origin.enqueue("/there", Reply::new(200).header("Repr-Digest", HELLO).body("something else"));
        let post = request(&origin.url("/plain"), "POST", None);
        let upload = session(origin).upload(post, "content").sending_digest(DigestAlgorithm::Sha256);
        assert_eq!(text(&upload.wait().unwrap().0), "something else");
        let seen = origin.requests().remove(1);
        assert_eq!((&*seen.method, FIELDS.map(|name| seen.header(name))), ("GET", [None; 3]));
    });
}

#[test]
fn a_stream_is_sent_without_and_the_applications_own_fields_as_they_are() {
    with_server(newest, |origin, server| {
        let stream = BodyStream::from_reader(std::io::Cursor::new(body()));
        let (session, recorder) =
            with_recorder(configuration(origin), Recorder::new().giving_bodies([stream]));
        let task = session.upload_task_with_streamed_request(post(origin));
        task.set_sends_digest(Some(DigestAlgorithm::Sha256)).unwrap();
        task.resume();
        recorder.completed(1).succeeded();
        assert_eq!(kinds(&server.requests()[0]), [None; 3]);
        let mut own = post(origin);
        own.set_value("Content-Digest", "unixsum=1").unwrap();
        own.set_value("Want-Repr-Digest", "unixsum=3").unwrap();
        own.set_value("X-Own", "/target").unwrap();
        origin.enqueue("/target", Reply::new(200));
        session.upload(own, body()).sending_digest(DigestAlgorithm::Sha256).wait().unwrap();
        let seen = origin.requests().remove(1);
        assert_eq!(seen.header_all("content-digest"), ["unixsum=1"]);
        assert_eq!(seen.header_all("want-repr-digest"), ["unixsum=3"]);
        assert_eq!(seen.header_all("repr-digest").len(), 1);
    });
}

#[test]
fn the_rest_of_what_was_in_memory_has_digests_and_is_not_compared_with_all_of_it() {
    with_server(newest, |origin, server| {
        server.at(UploadStep::Creation, [UploadFault::CutAt(CUT)]);
        server.at(UploadStep::Retrieval, [UploadFault::Answer(Reply::new(403))]);
        let session = session(origin);
        let first = session.upload(post(origin), body()).sending_digest(DigestAlgorithm::Sha256);
        let data = first.wait().unwrap_err().resume_data().unwrap();
        let upload = session.upload_resume_from(data).sending_digest(DigestAlgorithm::Sha256);
        took_all(upload.wait(), server);
        assert_eq!(kinds(server.requests().last().unwrap())[..2], [None, Some("sha-256")]);
    });
}

#[test]
fn a_cancelled_upload_is_not_hashed_to_its_end() {
    let origin = Origin::start(Wire::H1);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("body");
    // It takes hours.
    fs::File::create(&file).unwrap().set_len(8 << 40).unwrap();
    let runtime = runtime();
    let code = runtime.block_on(async {
        let upload =
            session(&origin).upload_from_file(post(&origin), &file).sending_digest(DigestAlgorithm::Sha256);
        let task = upload.task();
        let upload = tokio::spawn(upload);
        tokio::task::yield_now().await;
        task.cancel();
        upload.await.unwrap().unwrap_err().code()
    });
    assert_eq!(code, UrlErrorCode::Cancelled);
    let (sender, over) = mpsc::channel();
    // A runtime waits for its work before it is gone.
    std::thread::spawn(move || {
        drop(runtime);
        sender.send(()).unwrap();
    });
    over.recv_timeout(PATIENCE).expect("the body is being hashed still");
    assert!(origin.requests().is_empty());
}

#[test]
fn a_file_that_is_not_what_it_was_is_not_sent_at_all() {
    with_server(newest, |origin, server| {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("body");
        fs::write(&file, body()).unwrap();
        let upload = session(origin).upload_from_file(post(origin), &file);
        fs::write(&file, "other").unwrap();
        let error = upload.sending_digest(DigestAlgorithm::Sha256).wait().unwrap_err();
        assert_eq!(error.code(), UrlErrorCode::RequestBodyStreamExhausted);
        assert_eq!(server.lines(), [""; 0]);
    });
}
