//! What a subscriber of `tracing` hears of loads, and what nobody hears.

use std::fmt::{Debug, Write};
use std::sync::{Arc, Mutex};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};
use urlsession::authentication::{
    AuthChallengeDisposition, AuthenticationMethod, UrlCredential, UrlCredentialPersistence,
};
use urlsession::{Decision, DelegateQueue, UrlRequest, UrlSession};
use urlsession_testkit::Origin;

use crate::support::*;

/// Writes down what it is told, a line each.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<String>>>);

/// The fields of a span or event, as text.
#[derive(Default)]
struct Fields(String);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, " {}={value:?}", field.name()).unwrap();
    }
}

impl Heard {
    fn write(&self, metadata: &Metadata<'_>, record: impl FnOnce(&mut Fields)) {
        let mut fields = Fields::default();
        record(&mut fields);
        let (target, name) = (metadata.target(), if metadata.is_span() { metadata.name() } else { "" });
        self.0.lock().unwrap().push(format!("{} {target} {name}{}", metadata.level(), fields.0));
    }

    fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    /// The lines that say all of this.
    fn with(&self, parts: &[&str]) -> usize {
        let lines = self.lines();
        lines.iter().filter(|line| parts.iter().all(|part| line.contains(part))).count()
    }
}

impl Subscriber for Heard {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("urlsession")
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        self.write(span.metadata(), |fields| span.record(fields));
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        let mut fields = Fields::default();
        values.record(&mut fields);
        self.0.lock().unwrap().push(fields.0);
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        self.write(event.metadata(), |fields| event.record(fields));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// Of the whole process, which is the test's own.
fn subscribed() -> Heard {
    let heard = Heard::default();
    tracing::subscriber::set_global_default(heard.clone()).unwrap();
    heard
}

#[test]
fn a_subscriber_hears_of_sessions_tasks_transactions_and_connections_and_of_no_secret() {
    alone(|| {
        let heard = subscribed();
        for wire in WIRES {
            let origin = Origin::start(wire);
            let mut configuration = configuration(&origin);
            set_for_all(&mut configuration, "X-Key", "s3cret-default");
            let recorder = Recorder::new().answering(|challenge| {
                let is_first = challenge.previous_failure_count() == 0;
                Decision::now(match challenge.protection_space().authentication_method() {
                    AuthenticationMethod::HttpBasic if is_first => {
                        let persistence = UrlCredentialPersistence::None;
                        let credential = UrlCredential::new("user", "passwd", persistence);
                        AuthChallengeDisposition::UseCredential(Some(credential))
                    }
                    _ => AuthChallengeDisposition::PerformDefaultHandling,
                })
            });
            let session = UrlSession::with_delegate(configuration, recorder.clone(), DelegateQueue::serial());
            let mut request = UrlRequest::new(
                origin.url("/redirect/1?token=s3cret-query#s3cret-fragment").parse().unwrap(),
            );
            request.set_value("authorization", "Bearer s3cret-bearer").unwrap();
            request.set_value("cookie", "id=s3cret-cookie").unwrap();
            request.set_http_body(b"s3cret-body".to_vec());
            request.set_http_method("POST").unwrap();
            session.data_task(request).resume();
            recorder.completed(1);
            session.data_task(origin.url("/auth/basic?s3cret-query")).resume();
            recorder.completed(2);
            let failing =
                UrlRequest::new("http://me:s3cret-user@nowhere.invalid/?s3cret-query".parse().unwrap());
            session.data_task(failing).resume();
            recorder.completed(3);
            session.finish_tasks_and_invalidate();
            recorder.wait_for(|log| log.invalid == 1);
        }
        let lines = heard.lines().join("\n");
        assert!(!lines.contains("s3cret") && !lines.contains("passwd"), "{lines}");
        for (parts, least) in [
            (&["DEBUG urlsession::session", "created"][..], 3),
            (&["DEBUG urlsession::session", "invalidated"], 3),
            (
                &[
                    "DEBUG urlsession::task task",
                    "session=",
                    "task=1",
                    "kind=Data",
                    "method=\"POST\"",
                    "url=",
                ],
                3,
            ),
            (&["DEBUG urlsession::task", "state=Running"], 9),
            (&["DEBUG urlsession::task", "finished"], 6),
            (&["DEBUG urlsession::task", "failed", "code=-1022"], 3),
            (
                &[
                    "DEBUG urlsession::task",
                    "was challenged",
                    "method=HttpBasic",
                    "disposition=\"use credential\"",
                ],
                3,
            ),
            (&["TRACE urlsession::transaction", "began", "number=1", "/redirect/1"], 3),
            (&["DEBUG urlsession::transaction", "redirected", "status=302"], 3),
            (&["DEBUG urlsession::transaction", "ended", "number=1", "status=302", "connect_us="], 3),
            (
                &[
                    "DEBUG urlsession::transaction",
                    "ended",
                    "number=2",
                    "status=200",
                    "reused=true",
                    "cache=",
                ],
                3,
            ),
            (&["DEBUG urlsession::connection", "opened", "host=", "remote="], 3),
            (&["TRACE urlsession::connection", "reused"], 3),
            (&["DEBUG urlsession::connection", "closed"], 1),
        ] {
            assert!(heard.with(parts) >= least, "{parts:?}: {} of {least} in\n{lines}", heard.with(parts));
        }
        assert!(!lines.contains(&Level::INFO.to_string()), "{lines}");
    });
}
