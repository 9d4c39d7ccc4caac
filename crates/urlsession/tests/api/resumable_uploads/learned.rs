//! Learned: what the first upload shows of a server serves those that come later, in this run and the next.

use std::path::Path;
use std::time::Duration;

use urlsession::{Configuration, UploadServerStorage, UrlSession};
use urlsession_testkit::{Refusal, Reply, UploadFault, UploadLimits, UploadServer, UploadStep};

use super::*;

const MONTH: Duration = Duration::from_secs(30 * 24 * 60 * 60);

fn knowing(origin: &Origin, servers: Option<UploadServerStorage>) -> UrlSession {
    UrlSession::new(Configuration { upload_server_storage: servers, ..configuration(origin) })
}

/// A run of the application: a session with the file's store. The same file by another path is a store of its own, as in
/// another process.
fn in_run(number: usize, folder: &Path, origin: &Origin) -> UrlSession {
    let below = folder.join("below");
    std::fs::create_dir_all(&below).unwrap();
    let path = (0..number).fold(folder.to_owned(), |path, _| path.join("below/.."));
    knowing(origin, Some(UploadServerStorage::at(path.join("servers.db"))))
}

fn versions(server: &UploadServer) -> Vec<String> {
    let requests = server.requests();
    requests.iter().map(|r| r.field("upload-draft-interop-version").unwrap().to_owned()).collect()
}

#[test]
fn a_later_run_speaks_the_version_that_an_earlier_one_learned() {
    with_server(
        || UploadServer::new(6).speaking(&[6], Refusal::BadRequest),
        |origin, server| {
            let folder = tempfile::tempdir().unwrap();
            let first = in_run(0, folder.path(), origin);
            took_all(upload(&first, origin), server);
            in_tokio(first.flush());
            assert_eq!(versions(server), ["8", "6"]);
            upload(&in_run(1, folder.path(), origin), origin).unwrap();
            assert_eq!(versions(server), ["8", "6", "6"]);
            in_tokio(first.reset());
            upload(&in_run(2, folder.path(), origin), origin).unwrap();
            assert_eq!(versions(server)[3..], ["8", "6"], "a reset is for the file, too");
        },
    );
}

#[test]
fn a_later_run_sends_no_fields_where_they_were_refused() {
    for wire in WIRES {
        let origin = Origin::builder()
            .wire(wire)
            .handler(|request| match request.header("upload-draft-interop-version") {
                Some(_) => Reply::new(400),
                None => Reply::new(200),
            })
            .start();
        let folder = tempfile::tempdir().unwrap();
        let first = in_run(0, folder.path(), &origin);
        upload(&first, &origin).unwrap();
        in_tokio(first.flush());
        upload(&in_run(1, folder.path(), &origin), &origin).unwrap();
        assert_eq!(origin.requests().len(), 3);
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("servers.db"), "damaged").unwrap();
        upload(&in_run(0, folder.path(), &origin), &origin).unwrap();
        assert_eq!(origin.requests().len(), 5, "what cannot be read is not known");
    }
}

#[test]
fn a_later_run_is_careful_where_interim_responses_were_not_heard() {
    with_server(
        || newest().without_interim(),
        |origin, server| {
            let folder = tempfile::tempdir().unwrap();
            let first = in_run(0, folder.path(), origin);
            took_all(upload(&first, origin), server);
            in_tokio(first.flush());
            server.at(UploadStep::Append, [UploadFault::CutAt(CUT)]);
            upload(&in_run(1, folder.path(), origin), origin).unwrap();
            assert_eq!(
                server.lines()[1..],
                [
                    "OPTIONS /target",
                    "POST /target ?0",
                    "PATCH /uploads/1 ?1 @0 100000 bytes",
                    "HEAD /uploads/1",
                    "PATCH /uploads/1 ?1 @100000 200000 bytes",
                ]
            );
            assert!(server.content(1) == body());
        },
    );
}

#[test]
fn a_target_that_is_none_of_uploads_never_gets_an_empty_body_for_what_another_of_its_server_is() {
    with_server(
        || newest().without_interim(),
        |origin, server| {
            let session = session(origin);
            took_all(upload(&session, origin), server);
            origin.enqueue("/plain", Reply::new(405));
            origin.enqueue("/plain", Reply::new(200).body("plain"));
            let put = request(&origin.url("/plain"), "PUT", None);
            let (data, _) = session.upload(put, body()).wait().unwrap();
            assert_eq!(text(&data), "plain");
            let requests = origin.requests();
            let seen = requests[1..].iter().map(|request| (&*request.method, request.body_len));
            assert_eq!(seen.collect::<Vec<_>>(), [("OPTIONS", 0), ("PUT", LENGTH as u64)]);
        },
    );
}

#[test]
fn a_body_that_is_longer_than_a_server_is_known_to_take_at_once_is_sent_in_parts_from_the_beginning() {
    with_server(
        || newest().limited(UploadLimits::appends(200_000)),
        |origin, server| {
            let folder = tempfile::tempdir().unwrap();
            let first = in_run(0, folder.path(), origin);
            took_all(upload(&first, origin), server);
            in_tokio(first.flush());
            let before = server.lines().len();
            let later = in_run(1, folder.path(), origin);
            upload(&later, origin).unwrap();
            assert_eq!(
                server.lines()[before..],
                [
                    "OPTIONS /target",
                    "POST /target ?0",
                    "PATCH /uploads/1 ?0 @0 200000 bytes",
                    "PATCH /uploads/1 ?1 @200000 100000 bytes",
                ]
            );
            later.upload(post(origin), body().slice(..1000)).wait().unwrap();
            assert_eq!(server.lines()[before + 4..], ["POST /target ?1 1000 bytes"]);
        },
    );
}

#[test]
fn what_was_learned_is_learned_anew_after_30_days() {
    with_server(
        || UploadServer::new(6).speaking(&[6], Refusal::BadRequest),
        |origin, server| {
            let (session, clock) = with_clock(origin);
            for (time, said) in [(MONTH, &["8", "6"][..]), (MONTH / 2, &["8", "6"]), (MONTH / 3, &["6"])] {
                let before = server.requests().len();
                upload(&session, origin).unwrap();
                assert_eq!(versions(server)[before..], *said);
                clock.advance(time);
            }
        },
    );
}

#[test]
fn a_session_without_a_store_learns_nothing() {
    with_server(
        || UploadServer::new(6).speaking(&[6], Refusal::BadRequest),
        |origin, server| {
            let session = knowing(origin, None);
            upload(&session, origin).unwrap();
            upload(&session, origin).unwrap();
            assert_eq!(versions(server), ["8", "6", "8", "6"]);
        },
    );
}
