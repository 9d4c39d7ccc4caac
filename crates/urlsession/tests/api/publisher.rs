//! `DataTaskPublisher`: a load to be made again and again.

use std::future::IntoFuture;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Waker};

use futures_core::Stream;
use urlsession::tasks::DataTaskPublisher;
use urlsession::{
    Configuration, DelegateQueue, SessionDelegate, Task, TaskDelegate, TaskState, UrlErrorCode, UrlSession,
};
use urlsession_testkit::{Origin, Reply, Wire};

use crate::support::*;

/// Keeps the last task made, and counts.
#[derive(Default)]
struct Creations(AtomicU64, std::sync::Mutex<Option<Task>>);

impl TaskDelegate for Creations {
    fn did_create_task(&self, task: &Task) {
        self.0.fetch_add(1, Ordering::Relaxed);
        *self.1.lock().unwrap() = Some(task.clone());
    }
}
impl SessionDelegate for Creations {}

impl Creations {
    fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn last(&self) -> Task {
        self.1.lock().unwrap().clone().unwrap()
    }
}

fn counted(origin: &Origin) -> (UrlSession, Arc<Creations>) {
    let creations = Arc::new(Creations::default());
    let session =
        UrlSession::with_delegate(configuration(origin), creations.clone(), DelegateQueue::serial());
    (session, creations)
}

#[test]
fn each_who_awaits_gets_a_task_of_its_own() {
    on_every_wire(|origin| {
        let (session, creations) = counted(origin);
        let publisher = session.data_task_publisher(origin.url("/Nepal"));
        assert_eq!(creations.count(), 0);
        in_tokio(async {
            for _ in 0..2 {
                let (data, response) = (&publisher).await.unwrap();
                assert_eq!((text(&data), response.status_code()), ("Kathmandu", Some(200)));
            }
            assert_eq!(text(&publisher.clone().await.unwrap().0), "Kathmandu");
        });
        assert_eq!(text(&publisher.into_future().wait().unwrap().0), "Kathmandu");
        assert_eq!((creations.count(), origin.requests().len()), (4, 4));
    });
}

#[test]
fn its_values_are_one_and_are_loaded_on_demand() {
    on_every_wire(|origin| {
        let (session, creations) = counted(origin);
        let publisher = DataTaskPublisher::new(origin.url("/Peru"), session.clone());
        assert_eq!(publisher.request().unwrap().url().path(), "/Peru");
        let (first, second) = (publisher.values(), publisher.values());
        drop(publisher.values());
        assert_eq!((creations.count(), origin.requests().len()), (0, 0), "nobody has asked yet");
        in_tokio(async {
            for mut values in [first, second] {
                assert_eq!(text(&next(&mut values).await.unwrap().unwrap().0), "Lima");
                assert!(next(&mut values).await.is_none());
                assert!(next(&mut values).await.is_none());
            }
        });
        assert_eq!((creations.count(), origin.requests().len()), (2, 2));
    });
}

#[test]
fn who_stops_listening_cancels_the_task() {
    on_every_wire(|origin| {
        let gate = origin.hold();
        origin.enqueue("/held", Reply::held(gate.clone()));
        let (session, creations) = counted(origin);
        let mut values = session.data_task_publisher(origin.url("/held")).values();
        let mut cx = Context::from_waker(Waker::noop());
        assert!(Pin::new(&mut values).poll_next(&mut cx).is_pending());
        let task = creations.last();
        assert_eq!(task.state(), TaskState::Running);
        drop(values);
        in_tokio(drain(task.observe()));
        assert_eq!(task.error().unwrap().code(), UrlErrorCode::Cancelled);
    });
}

#[test]
fn a_failure_is_the_one_value() {
    on(Wire::H1, |_| {
        let session = UrlSession::new(Configuration::ephemeral());
        let publisher = session.data_task_publisher("http://:port/");
        assert!(publisher.request().is_none());
        let found = in_tokio(drain(publisher.values()));
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].as_ref().unwrap_err().code(), UrlErrorCode::BadUrl);
        assert_eq!(publisher.into_future().wait().unwrap_err().code(), UrlErrorCode::BadUrl);
    });
}
