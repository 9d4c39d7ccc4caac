//! Stop: a task that waits for a network, and a rule that forbids one.

use parking_lot::Mutex;
use std::future::{Future, poll_fn, ready};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::task::{Poll, Waker};

use urlsession::environment::{Interface, InterfaceKind, NetworkPath, PathStatus, Resolve};
use urlsession::{Configuration, DelegateQueue, Task, TaskDelegate, UrlError, UrlSession};
use urlsession_testkit::{Origin, Wire};

use super::page::Page;
use super::{Outcome, PATIENCE, Stop, ensure};

pub(super) const STOP: Stop = Stop {
    title: "Waiting for a network",
    why: "A task may wait for a network instead of failing, and stay off networks that cost money.",
    visit,
};

fn visit(page: &mut Page) -> Outcome {
    let origin = Origin::start(Wire::H1);
    let url = format!("http://tour.local:{}/Nepal", origin.port());
    let path = Path::default();
    let mut configuration = Configuration::ephemeral().waits_for_connectivity(true);
    configuration.environment.path = Arc::new(path.clone());
    configuration.environment.resolver = Arc::new(Names(origin.addr()));

    let (sender, events) = channel();
    let delegate = Arc::new(Traveller(Mutex::new(sender)));
    let session = UrlSession::with_task_delegate(configuration.clone(), delegate, DelegateQueue::serial());
    session.data_task(&url).resume();
    let first = events.recv_timeout(PATIENCE)?;
    page.say(format_args!("no network: {first}"));
    ensure(first == "the task waits", "the task says that it waits")?;
    path.become_over(InterfaceKind::Wifi);
    let second = events.recv_timeout(PATIENCE)?;
    page.say(format_args!("Wi-Fi comes: {second}"));
    ensure(second == "the task is complete", "the task completes once there is a network")?;

    path.become_over(InterfaceKind::Cellular);
    configuration.waits_for_connectivity = false;
    configuration.allows_cellular_access = false;
    let Err(error) = UrlSession::new(configuration).data(&url).wait() else {
        return Err("a forbidden network was used".into());
    };
    page.say(format_args!("only a cellular network, which is forbidden: {error}"));
    page.say("");
    ensure(error.network_unavailable_reason().is_some(), "the error says which rule forbids the network")
}

/// Tells of waiting and of the end.
struct Traveller(Mutex<Sender<String>>);

impl Traveller {
    fn tell(&self, event: String) {
        // Nobody listens any more once the stop has gone wrong.
        let _ = self.0.lock().send(event);
    }
}

impl TaskDelegate for Traveller {
    fn task_is_waiting_for_connectivity(&self, _: &Task) {
        self.tell("the task waits".into());
    }

    fn did_complete(&self, _: &Task, error: Option<&UrlError>) {
        self.tell(error.map_or_else(|| "the task is complete".into(), ToString::to_string));
    }
}

/// A network path moved by hand. A clone is the same path.
#[derive(Clone, Default)]
struct Path(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    interface: Option<InterfaceKind>,
    changes: usize,
    waiting: Vec<Waker>,
}

impl Path {
    fn become_over(&self, kind: InterfaceKind) {
        let mut state = self.0.lock();
        state.interface = Some(kind);
        state.changes += 1;
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        waiting.into_iter().for_each(Waker::wake);
    }
}

impl NetworkPath for Path {
    fn status(&self) -> Option<PathStatus> {
        let kind = self.0.lock().interface;
        let interface = |kind| Interface::new("tour0", kind);
        Some(PathStatus::new(kind.map(interface)))
    }

    fn changed(&self) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let state = self.0.clone();
        let seen = state.lock().changes;
        Box::pin(poll_fn(move |cx| {
            let mut state = state.lock();
            if state.changes != seen {
                return Poll::Ready(());
            }
            state.waiting.push(cx.waker().clone());
            Poll::Pending
        }))
    }
}

/// Every name is the origin's.
struct Names(SocketAddr);

impl Resolve for Names {
    fn resolve(
        &self,
        _: &str,
        _: u16,
    ) -> Option<Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>> {
        Some(Box::pin(ready(Ok(vec![self.0]))))
    }
}
