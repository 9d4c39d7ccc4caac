//! The bookkeeping of the pool, with numbers for connections: what its tests, by subject, have in common.

use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::task::Wake;
use std::time::Duration;

use super::super::host::MultiplexedConnection;
use super::*;
use crate::load::{ConnectionLogin, Decider, LoginUse, LoginUses};
use crate::message::{
    AuthenticationMethod, UrlCredential, UrlCredentialPersistence, UrlProtectionSpace,
    UrlProtectionSpaceProtocol,
};
use crate::transport::origin::PoolPartition;
use crate::transport::reservation::{Requester, Reservation};

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

impl RuntimeKey for Here {
    type Id = u8;

    fn id(&self) -> u8 {
        self.0
    }

    fn requester(&self) -> &Requester {
        &self.1
    }
}

impl Here {
    fn of(runtime: u8) -> Self {
        Self(runtime, Requester::default())
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

impl Multiplexed for Many {
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

type Numbered = PoolState<u32, Many, Here, &'static str>;

/// A pool of numbered connections, with the clock standing still.
struct Pool {
    state: Numbered,
    now: Instant,
    dials: Mutex<Vec<(Arc<Origin>, Here, DialId)>>,
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
            state: PoolState::new(Limits { per_host: limit, ..limits }, may_share),
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
                Action::Dial { origin, runtime, dial_id } => {
                    self.dials.lock().push((origin, runtime, dial_id))
                }
                Action::Wake(waker) => waker.wake(),
                Action::Close(connection) => self.closed.push(connection),
                Action::CloseMultiplexed(..) => self.closed_shared += 1,
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

    fn want_at(&mut self, url: &str, runtime: u8, priority: f32) -> Acquire<u32, Many> {
        let url = url.parse().unwrap();
        let key = Key::of(&url, PoolPartition::default()).unwrap();
        self.act(|state, now, actions| state.acquire(key, &Here::of(runtime), now, priority, false, actions))
    }

    /// Waits for a connection about which these decide.
    fn wait_as(&mut self, url: &str, decider: Decider) -> WaiterId {
        match self.want_as(url, decider) {
            Acquire::Wait(waiting) => waiting,
            other => panic!("{other:?}"),
        }
    }

    fn want_as(&mut self, url: &str, decider: Decider) -> Acquire<u32, Many> {
        self.want_for(url, Requester { decider, ..Requester::default() })
    }

    fn want_for(&mut self, url: &str, requester: Requester) -> Acquire<u32, Many> {
        let url = url.parse().unwrap();
        let key = Key::of(&url, PoolPartition::default()).unwrap();
        self.act(|state, now, actions| state.acquire(key, &Here(0, requester), now, 0.5, false, actions))
    }

    /// The next dial fails after a delegate was asked.
    fn refuse(&mut self) {
        let (origin, _, dial_id) = self.next_dial();
        self.act(|state, _, actions| state.failed(&origin, dial_id, "refused", true, actions));
    }

    fn wait(&mut self, url: &str) -> WaiterId {
        match self.want_at(url, 0, 0.5) {
            Acquire::Wait(waiting) => waiting,
            other => panic!("{other:?}"),
        }
    }

    fn dials(&self) -> usize {
        self.dials.lock().len()
    }

    fn next_dial(&self) -> (Arc<Origin>, Here, DialId) {
        self.dials.lock().remove(0)
    }

    fn open(&mut self, connection: u32) {
        let (origin, _, dial_id) = self.next_dial();
        self.act(|state, now, actions| state.opened(&origin, dial_id, connection, now, now + REST, actions));
    }

    fn open_shared(&mut self, multiplexed: Many) {
        let (origin, _, dial_id) = self.next_dial();
        self.act(|state, now, actions| {
            state.opened_multiplexed(&origin, dial_id, multiplexed, now, now + REST, actions)
        });
    }

    fn fail(&mut self) {
        let (origin, _, dial_id) = self.next_dial();
        self.act(|state, _, actions| state.failed(&origin, dial_id, "refused", false, actions));
    }

    fn release(&mut self, url: &str, runtime: u8, connection: u32) {
        let origin = origin(url);
        self.act(|state, now, actions| {
            state.released(&origin, &Here::of(runtime), connection, now, now + REST, actions)
        });
    }

    fn close(&mut self, url: &str) {
        self.act(|state, _, actions| state.closed(&origin(url), actions));
    }

    /// An exchange on a shared connection ends.
    fn return_shared(&mut self, url: &str, dial_id: DialId) {
        self.act(|state, now, actions| state.returned(&origin(url), dial_id, now, now + REST, actions));
    }

    fn shared_closes(&mut self, url: &str, dial_id: DialId) {
        self.act(|state, _, actions| state.multiplexed_closed(&origin(url), dial_id, actions));
    }

    /// The number of a shared connection of this host.
    fn ticket_of(&self, url: &str, handle: &Many) -> DialId {
        let is_it =
            |multiplexed: &&MultiplexedConnection<Many, Here>| Arc::ptr_eq(&multiplexed.handle.0, &handle.0);
        self.state.hosts[&origin(url)].multiplexed.iter().find(is_it).unwrap().dial_id
    }

    /// The number of the shared connection this waiter has got.
    fn got_shared(&mut self, waiting: WaiterId) -> DialId {
        match self.take(waiting) {
            Some(Acquired::Multiplexed(_, dial_id)) => dial_id,
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
    fn connect_shared(&mut self, url: &str) -> DialId {
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
        self.dials.lock().iter().map(|(origin, ..)| origin.host.to_string()).collect()
    }

    fn forget(&mut self, waiting: WaiterId) {
        self.act(|state, now, actions| state.forget(waiting, now, now + REST, actions));
    }

    fn take(&mut self, waiting: WaiterId) -> Option<Acquired<u32, Many, &'static str>> {
        let waker = Waker::from(self.woken.clone());
        self.state.take(waiting, &waker)
    }

    fn got(&mut self, waiting: WaiterId) -> Option<u32> {
        match self.take(waiting) {
            Some(Acquired::Exclusive(connection)) => Some(connection),
            None => None,
            Some(other) => panic!("{other:?}"),
        }
    }
}

fn origin(url: &str) -> Arc<Origin> {
    Arc::new(Key::of(&url.parse().unwrap(), PoolPartition::default()).unwrap().to_owned())
}

const A: &str = "http://a/";
const S: &str = "https://a/";

fn is_shared(acquired: Option<Acquired<u32, Many, &'static str>>) -> bool {
    matches!(acquired, Some(Acquired::Multiplexed(..)))
}

fn limits(open: usize, idle: usize) -> Limits {
    Limits { per_host: 6, open, idle }
}

const B: &str = "http://b/";
const C: &str = "http://c/";
const D: &str = "http://d/";
