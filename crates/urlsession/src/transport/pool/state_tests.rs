//! The bookkeeping of the pool, with numbers for connections: what its tests, by subject, have in common.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::task::Wake;
use std::time::Duration;

use super::super::host::SharedConnection;
use super::super::key::Lane;
use super::super::reservation::{Requester, Reservation};
use super::*;
use crate::load::{ConnectionLogin, Decider, LoginUse, LoginUses};
use crate::message::{
    AuthenticationMethod, UrlCredential, UrlCredentialPersistence, UrlProtectionSpace,
    UrlProtectionSpaceProtocol,
};

#[path = "state_tests/deciders.rs"]
mod deciders;
#[path = "state_tests/exclusive.rs"]
mod exclusive;
#[path = "state_tests/fairness.rs"]
mod fairness;
#[path = "state_tests/limits.rs"]
mod limits;
#[path = "state_tests/random.rs"]
mod random;
#[path = "state_tests/sharing.rs"]
mod sharing;

#[derive(Clone, Debug)]
struct Here(u8, Requester);

impl Place for Here {
    type Id = u8;

    fn id(&self) -> u8 {
        self.0
    }

    fn requester(&self) -> &Requester {
        &self.1
    }
}

impl Here {
    fn of(place: u8) -> Self {
        Self(place, Requester::default())
    }
}

/// Of a number below 1000 for everyone, of one in the thousands for that task.
impl Reserved for u32 {
    fn reservation(&self) -> &Reservation {
        let scope = match self / 1000 {
            0 => Scope::Everyone,
            task => Scope::Task(task.into()),
        };
        static OF_TASKS: Mutex<BTreeMap<u32, &Reservation>> = Mutex::new(BTreeMap::new());
        OF_TASKS
            .lock()
            .unwrap()
            .entry(self / 1000)
            .or_insert_with(|| Box::leak(Box::new(Reservation::new(scope, None))))
    }
}

#[derive(Clone, Debug)]
struct Many(Arc<AtomicBool>, Reservation);

impl Reserved for Many {
    fn reservation(&self) -> &Reservation {
        &self.1
    }
}

impl Shared for Many {
    fn is_open(&self) -> bool {
        self.0.load(Relaxed)
    }
}

fn many() -> Many {
    many_for(Scope::Everyone)
}

fn many_for(scope: Scope) -> Many {
    Many(Arc::new(AtomicBool::new(true)), Reservation::new(scope, None))
}

struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Relaxed);
    }
}

type Numbered = State<u32, Many, Here, &'static str>;

/// A pool of numbered connections, with the clock standing still.
struct Pool {
    state: Numbered,
    now: Instant,
    dials: Mutex<Vec<(Arc<Origin>, Here, Ticket)>>,
    closed: Vec<u32>,
    closed_shared: usize,
    woken: Arc<Count>,
}

const REST: Duration = Duration::from_secs(60);

impl Pool {
    fn new(limit: usize, may_share: bool) -> Self {
        Self::with_limits(limit, may_share, Limits { per_host: limit, open: 1000, idle: 1000 })
    }

    #[allow(clippy::disallowed_methods)]
    fn with_limits(limit: usize, may_share: bool, limits: Limits) -> Self {
        Self {
            state: State::new(Limits { per_host: limit, ..limits }, may_share),
            now: Instant::now(),
            dials: Mutex::default(),
            closed: Vec::new(),
            closed_shared: 0,
            woken: Arc::new(Count(AtomicUsize::new(0))),
        }
    }

    fn perform(&mut self, actions: Actions<u32, Many, Here>) {
        for action in actions {
            match action {
                Action::Dial { origin, place, ticket } => {
                    self.dials.lock().unwrap().push((origin, place, ticket))
                }
                Action::Wake(waker) => waker.wake(),
                Action::Close(connection) => self.closed.push(connection),
                Action::CloseShared(..) => self.closed_shared += 1,
            }
        }
    }

    /// Changes the state and performs what follows of it.
    fn act<T>(
        &mut self,
        change: impl FnOnce(&mut Numbered, Instant, &mut Actions<u32, Many, Here>) -> T,
    ) -> T {
        let mut actions = Actions::new();
        let answer = change(&mut self.state, self.now, &mut actions);
        self.perform(actions);
        answer
    }

    fn want_at(&mut self, url: &str, place: u8, priority: f32) -> Want<u32, Many> {
        let url = url.parse().unwrap();
        let key = Key::of(&url, Lane::default()).unwrap();
        self.act(|state, now, actions| state.want(key, &Here::of(place), now, priority, false, actions))
    }

    /// Waits for a connection about which these decide.
    fn wait_as(&mut self, url: &str, decider: Decider) -> Waiting {
        match self.want_as(url, decider) {
            Want::Wait(waiting) => waiting,
            other => panic!("{other:?}"),
        }
    }

    fn want_as(&mut self, url: &str, decider: Decider) -> Want<u32, Many> {
        self.want_for(url, Requester { decider, ..Requester::default() })
    }

    fn want_for(&mut self, url: &str, requester: Requester) -> Want<u32, Many> {
        let url = url.parse().unwrap();
        let key = Key::of(&url, Lane::default()).unwrap();
        self.act(|state, now, actions| state.want(key, &Here(0, requester), now, 0.5, false, actions))
    }

    /// The next dial fails after a delegate was asked.
    fn refuse(&mut self) {
        let (origin, _, ticket) = self.next_dial();
        self.act(|state, _, actions| state.failed(&origin, ticket, "refused", true, actions));
    }

    fn wait(&mut self, url: &str) -> Waiting {
        match self.want_at(url, 0, 0.5) {
            Want::Wait(waiting) => waiting,
            other => panic!("{other:?}"),
        }
    }

    fn dials(&self) -> usize {
        self.dials.lock().unwrap().len()
    }

    fn next_dial(&self) -> (Arc<Origin>, Here, Ticket) {
        self.dials.lock().unwrap().remove(0)
    }

    fn open(&mut self, connection: u32) {
        let (origin, _, ticket) = self.next_dial();
        self.act(|state, now, actions| state.opened(&origin, ticket, connection, now, now + REST, actions));
    }

    fn open_shared(&mut self, shared: Many) {
        let (origin, _, ticket) = self.next_dial();
        self.act(|state, now, actions| {
            state.opened_shared(&origin, ticket, shared, now, now + REST, actions)
        });
    }

    fn fail(&mut self) {
        let (origin, _, ticket) = self.next_dial();
        self.act(|state, _, actions| state.failed(&origin, ticket, "refused", false, actions));
    }

    fn release(&mut self, url: &str, place: u8, connection: u32) {
        let origin = origin(url);
        self.act(|state, now, actions| {
            state.released(&origin, &Here::of(place), connection, now, now + REST, actions)
        });
    }

    fn close(&mut self, url: &str) {
        self.act(|state, _, actions| state.closed(&origin(url), actions));
    }

    /// An exchange on a shared connection ends.
    fn return_shared(&mut self, url: &str, ticket: Ticket) {
        self.act(|state, now, actions| state.returned(&origin(url), ticket, now, now + REST, actions));
    }

    fn shared_closes(&mut self, url: &str, ticket: Ticket) {
        self.act(|state, _, actions| state.shared_closed(&origin(url), ticket, actions));
    }

    /// The ticket of a shared connection of this host.
    fn ticket_of(&self, url: &str, handle: &Many) -> Ticket {
        let is_it = |shared: &&SharedConnection<Many, Here>| Arc::ptr_eq(&shared.handle.0, &handle.0);
        self.state.hosts[&origin(url)].shared.iter().find(is_it).unwrap().ticket
    }

    /// The ticket of the shared connection this waiter has got.
    fn got_shared(&mut self, waiting: Waiting) -> Ticket {
        match self.take(waiting) {
            Some(Grant::Shared(_, ticket)) => ticket,
            other => panic!("{other:?}"),
        }
    }

    /// Makes a connection to the host, which is in use.
    fn connect(&mut self, url: &str, connection: u32) {
        let waiting = self.wait(url);
        self.open(connection);
        assert_eq!(self.got(waiting), Some(connection));
    }

    /// Makes a connection to the host and leaves it idle.
    fn visit(&mut self, url: &str, connection: u32) {
        self.connect(url, connection);
        self.release(url, 0, connection);
    }

    /// Makes a shared connection to the host, which is in use.
    fn connect_shared(&mut self, url: &str) -> Ticket {
        let waiting = self.wait(url);
        self.open_shared(many());
        self.got_shared(waiting)
    }

    /// Closes what is too old by then; when the next is.
    fn expire(&mut self, by: Instant) -> Option<Instant> {
        self.act(|state, _, actions| state.expire(0, by, actions))
    }

    /// The hosts of the dials that are in progress.
    fn dialled(&self) -> Vec<String> {
        self.dials.lock().unwrap().iter().map(|(origin, ..)| origin.host.to_string()).collect()
    }

    fn forget(&mut self, waiting: Waiting) {
        self.act(|state, now, actions| state.forget(waiting, now, now + REST, actions));
    }

    fn take(&mut self, waiting: Waiting) -> Option<Grant<u32, Many, &'static str>> {
        let waker = Waker::from(self.woken.clone());
        self.state.take(waiting, &waker)
    }

    fn got(&mut self, waiting: Waiting) -> Option<u32> {
        match self.take(waiting) {
            Some(Grant::Exclusive(connection)) => Some(connection),
            None => None,
            Some(other) => panic!("{other:?}"),
        }
    }
}

fn origin(url: &str) -> Arc<Origin> {
    Arc::new(Key::of(&url.parse().unwrap(), Lane::default()).unwrap().to_owned())
}

const A: &str = "http://a/";
const S: &str = "https://a/";

fn is_shared(grant: Option<Grant<u32, Many, &'static str>>) -> bool {
    matches!(grant, Some(Grant::Shared(..)))
}

fn limits(open: usize, idle: usize) -> Limits {
    Limits { per_host: 6, open, idle }
}

const B: &str = "http://b/";
const C: &str = "http://c/";
const D: &str = "http://d/";
