//! Learned: what the first upload shows of a server serves those that come later, in this run and the next.

use std::sync::Arc;
use std::time::Duration;

use urlsession::UrlSession;
use urlsession::uploads::UploadServerStorage;
use urlsession_testkit::{
    Refusal, Reply, TestAuthority, UploadFault, UploadLimits, UploadServer, UploadStep,
};

use super::*;

const MONTH: Duration = Duration::from_secs(30 * 24 * 60 * 60);

fn knowing(origin: &Origin, servers: Option<UploadServerStorage>) -> UrlSession {
    UrlSession::new(configuration(origin).upload_server_storage(servers))
}

/// A server that is not of this machine, as far as its name says, and the file of what is learned of it.
struct Far<'a> {
    origin: &'a Origin,
    folder: tempfile::TempDir,
}

impl<'a> Far<'a> {
    fn of(origin: &'a Origin) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("below")).unwrap();
        Self { origin, folder }
    }

    /// A run of the application: a session with the file's store. The same file by another path is a store of its own, as
    /// in another process.
    fn run(&self, number: usize) -> UrlSession {
        let path = (0..number).fold(self.folder.path().to_owned(), |path, _| path.join("below/.."));
        let mut configuration = configuration(self.origin);
        configuration.environment.resolver = Arc::new(Everywhere(self.origin.addr()));
        configuration.app_transport_security.allows_arbitrary_loads = true;
        configuration.upload_server_storage = Some(UploadServerStorage::at(path.join("servers.db")));
        UrlSession::new(configuration)
    }

    fn upload(&self, session: &UrlSession, body: Bytes) -> Loaded {
        let scheme = self.origin.url("/").split_once(':').unwrap().0.to_owned();
        let url = format!("{scheme}://{NAME}:{}/target", self.origin.port());
        session.upload(request(&url, "POST", None), body).wait()
    }
}

fn on_far_server(server: impl Fn() -> UploadServer, test: impl Fn(&Far<'_>, &UploadServer)) {
    for wire in WIRES {
        let server = server();
        let certificate = TestAuthority::new().leaf(&[NAME]);
        let origin = Origin::builder().wire(wire).certificate(certificate).uploads(&server).start();
        test(&Far::of(&origin), &server);
        assert_eq!(server.violations(), [""; 0], "{wire:?}");
    }
}

const NAME: &str = "uploads.test";

fn versions(server: &UploadServer) -> Vec<String> {
    let requests = server.requests();
    requests.iter().map(|r| r.field("upload-draft-interop-version").unwrap().to_owned()).collect()
}

#[test]
fn a_later_run_speaks_the_version_that_an_earlier_one_learned() {
    on_far_server(
        || UploadServer::new(6).speaking(&[6], Refusal::BadRequest),
        |far, server| {
            let first = far.run(0);
            took_all(far.upload(&first, body()), server);
            in_tokio(first.flush());
            assert_eq!(versions(server), ["8", "6"]);
            far.upload(&far.run(1), body()).unwrap();
            assert_eq!(versions(server), ["8", "6", "6"]);
            in_tokio(first.reset());
            far.upload(&far.run(2), body()).unwrap();
            assert_eq!(versions(server)[3..], ["8", "6"], "a reset is for the file, too");
        },
    );
}

#[test]
fn a_later_run_sends_no_fields_where_they_were_refused() {
    for wire in WIRES {
        let origin = Origin::builder()
            .wire(wire)
            .certificate(TestAuthority::new().leaf(&[NAME]))
            .handler(|request| match request.header("upload-draft-interop-version") {
                Some(_) => Reply::new(400),
                None => Reply::new(200),
            })
            .start();
        let far = Far::of(&origin);
        let first = far.run(0);
        far.upload(&first, body()).unwrap();
        in_tokio(first.flush());
        far.upload(&far.run(1), body()).unwrap();
        assert_eq!(origin.requests().len(), 3);
        let damaged = Far::of(&origin);
        std::fs::write(damaged.folder.path().join("servers.db"), "damaged").unwrap();
        damaged.upload(&damaged.run(0), body()).unwrap();
        assert_eq!(origin.requests().len(), 5, "what cannot be read is not known");
    }
}

#[test]
fn a_later_run_is_careful_where_interim_responses_were_not_heard() {
    on_far_server(
        || newest().without_interim(),
        |far, server| {
            let first = far.run(0);
            took_all(far.upload(&first, body()), server);
            in_tokio(first.flush());
            server.at(UploadStep::Append, [UploadFault::CutAt(CUT)]);
            far.upload(&far.run(1), body()).unwrap();
            assert_eq!(server.lines()[1..], CUT_CAREFULLY);
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
fn an_upload_goes_on_though_another_target_of_its_server_refuses_such() {
    with_server(newest, |origin, server| {
        server.at(UploadStep::Creation, [UploadFault::CutAt(CUT)]);
        server.at(UploadStep::Retrieval, [UploadFault::Answer(Reply::new(403))]);
        let session = session(origin);
        let data = upload(&session, origin).unwrap_err().resume_data().unwrap();
        origin.enqueue("/plain", Reply::new(400));
        origin.enqueue("/plain", Reply::new(200));
        session.upload(request(&origin.url("/plain"), "PUT", None), body()).wait().unwrap();
        took_all(session.upload_resume_from(data).wait(), server);
    });
}

#[test]
fn a_body_that_is_longer_than_a_server_is_known_to_take_at_once_is_sent_in_parts_from_the_beginning() {
    on_far_server(
        || newest().limited(UploadLimits::appends(200_000)),
        |far, server| {
            let first = far.run(0);
            took_all(far.upload(&first, body()), server);
            in_tokio(first.flush());
            let before = server.lines().len();
            let later = far.run(1);
            far.upload(&later, body()).unwrap();
            assert_eq!(
                server.lines()[before..],
                [
                    "OPTIONS /target",
                    "POST /target ?0",
                    "PATCH /uploads/1 ?0 @0 200000 bytes",
                    "PATCH /uploads/1 ?1 @200000 100000 bytes",
                ]
            );
            far.upload(&later, body().slice(..1000)).unwrap();
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
