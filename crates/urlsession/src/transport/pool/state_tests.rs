//! The bookkeeping of the pool, with numbers for connections.

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

#[path = "state_tests/fairness.rs"]
mod fairness;

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

/// A pool of numbered connections, with the clock standing still.
struct Pool {
    state: State<u32, Many, Here, &'static str>,
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

    fn want_at(&mut self, url: &str, place: u8, priority: f32) -> Want<u32, Many> {
        let mut actions = Actions::new();
        let url = url.parse().unwrap();
        let want = self.state.want(
            Key::of(&url, Lane::default()).unwrap(),
            &Here::of(place),
            self.now,
            priority,
            false,
            &mut actions,
        );
        self.perform(actions);
        want
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
        let mut actions = Actions::new();
        let url = url.parse().unwrap();
        let key = Key::of(&url, Lane::default()).unwrap();
        let want = self.state.want(key, &Here(0, requester), self.now, 0.5, false, &mut actions);
        self.perform(actions);
        want
    }

    /// The next dial fails after a delegate was asked.
    fn refuse(&mut self) {
        let (origin, _, ticket) = self.next_dial();
        let mut actions = Actions::new();
        self.state.failed(&origin, ticket, "refused", true, &mut actions);
        self.perform(actions);
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
        let mut actions = Actions::new();
        self.state.opened(&origin, ticket, connection, self.now, self.now + REST, &mut actions);
        self.perform(actions);
    }

    fn open_shared(&mut self, shared: Many) {
        let (origin, _, ticket) = self.next_dial();
        let mut actions = Actions::new();
        self.state.opened_shared(&origin, ticket, shared, self.now, self.now + REST, &mut actions);
        self.perform(actions);
    }

    fn fail(&mut self) {
        let (origin, _, ticket) = self.next_dial();
        let mut actions = Actions::new();
        self.state.failed(&origin, ticket, "refused", false, &mut actions);
        self.perform(actions);
    }

    fn release(&mut self, url: &str, place: u8, connection: u32) {
        let origin = origin(url);
        let mut actions = Actions::new();
        self.state.released(&origin, &Here::of(place), connection, self.now, self.now + REST, &mut actions);
        self.perform(actions);
    }

    fn close(&mut self, url: &str) {
        let mut actions = Actions::new();
        self.state.closed(&origin(url), &mut actions);
        self.perform(actions);
    }

    /// An exchange on a shared connection ends.
    fn return_shared(&mut self, url: &str, ticket: Ticket) {
        let mut actions = Actions::new();
        self.state.returned(&origin(url), ticket, self.now, self.now + REST, &mut actions);
        self.perform(actions);
    }

    fn shared_closes(&mut self, url: &str, ticket: Ticket) {
        let mut actions = Actions::new();
        self.state.shared_closed(&origin(url), ticket, &mut actions);
        self.perform(actions);
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

    /// Makes a connection to the host and leaves it idle.
    fn visit(&mut self, url: &str, connection: u32) {
        let waiting = self.wait(url);
        self.open(connection);
        assert_eq!(self.got(waiting), Some(connection));
        self.release(url, 0, connection);
    }

    /// The hosts of the dials that are in progress.
    fn dialled(&self) -> Vec<String> {
        self.dials.lock().unwrap().iter().map(|(origin, ..)| origin.host.to_string()).collect()
    }

    fn forget(&mut self, waiting: Waiting) {
        let mut actions = Actions::new();
        self.state.forget(waiting, self.now, self.now + REST, &mut actions);
        self.perform(actions);
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

#[test]
fn one_connection_is_dialled_for_each_waiter_up_to_the_limit() {
    let mut pool = Pool::new(2, true);
    let waiting = [(); 5].map(|()| pool.wait(A));
    assert_eq!(pool.dials(), 2);
    pool.open(1);
    pool.open(2);
    assert_eq!((pool.got(waiting[0]), pool.got(waiting[1]), pool.got(waiting[2])), (Some(1), Some(2), None));
    assert_eq!(pool.dials(), 0, "the limit is reached");
    pool.release(A, 0, 1);
    assert_eq!(pool.got(waiting[2]), Some(1));
}

#[test]
fn a_rested_connection_is_reused_youngest_first_until_it_expires() {
    let mut pool = Pool::new(6, true);
    for connection in [1, 2] {
        pool.wait(A);
        pool.open(connection);
    }
    pool.release(A, 0, 1);
    pool.release(A, 0, 2);
    assert!(matches!(pool.want_at(A, 0, 0.5), Want::Exclusive(2)));
    pool.now += REST;
    pool.wait(A);
    assert_eq!((pool.closed.clone(), pool.dials()), (vec![1], 1));
}

#[test]
fn origins_do_not_mix() {
    let mut pool = Pool::new(6, true);
    pool.wait(A);
    pool.open(1);
    pool.release(A, 0, 1);
    for other in ["http://b/", "http://a:81/", S] {
        pool.wait(other);
    }
    assert_eq!(pool.dials(), 3);
    assert!(matches!(pool.want_at("http://a:80/other", 0, 0.5), Want::Exclusive(1)));
}

#[test]
fn while_nothing_is_known_of_an_origin_one_dial_serves_all() {
    let mut pool = Pool::new(6, true);
    let waiting = [(); 100].map(|()| pool.wait(S));
    assert_eq!(pool.dials(), 1);
    pool.open_shared(many());
    assert!(waiting.into_iter().all(|waiting| matches!(pool.take(waiting), Some(Grant::Shared(..)))));
    assert!(matches!(pool.want_at(S, 0, 0.5), Want::Shared(..)));
}

#[test]
fn an_origin_that_shares_nothing_is_dialled_for_the_others() {
    let mut pool = Pool::new(3, true);
    let waiting = [(); 10].map(|()| pool.wait(S));
    pool.open(1);
    assert_eq!(pool.got(waiting[0]), Some(1));
    assert_eq!(pool.dials(), 2, "up to the limit, at once");
}

#[test]
fn a_shared_connection_that_has_closed_is_replaced_by_one_dial() {
    let mut pool = Pool::new(6, true);
    pool.wait(S);
    let shared = many();
    pool.open_shared(shared.clone());
    shared.0.store(false, Relaxed);
    pool.wait(S);
    pool.wait(S);
    assert_eq!(pool.dials(), 1);
}

#[test]
fn a_released_connection_serves_a_waiter_whose_dial_then_serves_another() {
    let mut pool = Pool::new(6, true);
    let first = pool.wait(A);
    pool.open(1);
    assert_eq!(pool.got(first), Some(1));
    let [second, third] = [(); 2].map(|()| pool.wait(A));
    pool.release(A, 0, 1);
    assert_eq!(pool.got(second), Some(1));
    let fourth = pool.wait(A);
    assert_eq!(pool.dials(), 2, "the second's dial was adopted");
    pool.open(2);
    pool.open(3);
    assert_eq!((pool.got(third), pool.got(fourth)), (Some(2), Some(3)));
}

#[test]
fn higher_priorities_go_first_and_equal_ones_in_order() {
    let mut pool = Pool::new(1, true);
    let busy = pool.wait(A);
    pool.open(1);
    assert_eq!(pool.got(busy), Some(1));
    let [low, middle, high, later] =
        [0.1, 0.5, 0.9, 0.5].map(|priority| match pool.want_at(A, 0, priority) {
            Want::Wait(waiting) => waiting,
            other => panic!("{other:?}"),
        });
    for waiting in [high, middle, later, low] {
        pool.release(A, 0, 1);
        assert_eq!(pool.got(waiting), Some(1));
    }
}

#[test]
fn nobody_overtakes_those_who_wait() {
    let mut pool = Pool::new(1, true);
    let busy = pool.wait(A);
    pool.open(1);
    assert_eq!(pool.got(busy), Some(1));
    let first = pool.wait(A);
    pool.release(A, 0, 1);
    assert!(matches!(pool.want_at(A, 0, 0.5), Want::Wait(_)));
    assert_eq!(pool.got(first), Some(1));
}

#[test]
fn a_failed_dial_fails_its_waiter() {
    let mut pool = Pool::new(2, true);
    let waiting = [(); 4].map(|()| pool.wait(A));
    pool.fail();
    assert!(matches!(pool.take(waiting[0]), Some(Grant::Failed("refused"))));
    assert_eq!((pool.got(waiting[1]), pool.got(waiting[2])), (None, None), "dials are in progress");
    while pool.dials() > 0 {
        pool.fail();
    }
    assert!(waiting[1..].iter().all(|waiting| matches!(pool.take(*waiting), Some(Grant::Failed(_)))));
    assert!(pool.state.is_empty());
}

#[test]
fn a_failed_dial_that_was_to_serve_all_fails_all() {
    let mut pool = Pool::new(6, true);
    let waiting = [(); 100].map(|()| pool.wait(S));
    pool.fail();
    assert_eq!(pool.dials(), 0);
    assert!(waiting.into_iter().all(|waiting| matches!(pool.take(waiting), Some(Grant::Failed(_)))));
}

#[test]
fn a_waiter_that_leaves_gives_up_its_place_and_what_it_was_given() {
    let mut pool = Pool::new(1, true);
    let [first, second] = [(); 2].map(|()| pool.wait(A));
    pool.open(1);
    pool.forget(first);
    assert_eq!(pool.got(second), Some(1));
    let third = pool.wait(A);
    pool.forget(third);
    pool.release(A, 0, 1);
    assert!(matches!(pool.want_at(A, 0, 0.5), Want::Exclusive(1)));
}

#[test]
fn a_dial_whose_waiter_left_leaves_a_usable_connection() {
    let mut pool = Pool::new(6, true);
    let waiting = pool.wait(A);
    pool.forget(waiting);
    pool.open(1);
    assert!(matches!(pool.want_at(A, 0, 0.5), Want::Exclusive(1)));
}

#[test]
fn a_closed_connection_makes_room() {
    let mut pool = Pool::new(1, true);
    let first = pool.wait(A);
    pool.open(1);
    assert_eq!(pool.got(first), Some(1));
    pool.wait(A);
    assert_eq!(pool.dials(), 0);
    pool.close(A);
    assert_eq!(pool.dials(), 1);
}

#[test]
fn connections_stay_in_their_place_and_make_room_for_others() {
    let mut pool = Pool::new(1, true);
    pool.wait(A);
    pool.open(1);
    pool.release(A, 0, 1);
    let Want::Wait(elsewhere) = pool.want_at(A, 7, 0.5) else { panic!("another place has no connection") };
    assert_eq!((pool.closed.clone(), pool.dials()), (vec![1], 1));
    pool.open(2);
    assert_eq!(pool.got(elsewhere), Some(2));
    // Busy there, wanted here: it is closed when it is released.
    let here = pool.wait(A);
    pool.release(A, 7, 2);
    assert_eq!((pool.closed.clone(), pool.dials()), (vec![1, 2], 1));
    pool.open(3);
    assert_eq!(pool.got(here), Some(3));
}

#[test]
fn a_place_that_goes_takes_only_its_own() {
    let mut pool = Pool::new(6, true);
    pool.wait(A);
    pool.open(1);
    pool.release(A, 0, 1);
    pool.want_at(A, 7, 0.5);
    pool.open(2);
    pool.release(A, 7, 2);
    let mut actions = Actions::new();
    pool.state.place_gone(0, &mut actions);
    pool.perform(actions);
    assert_eq!(pool.closed, [1]);
    assert!(matches!(pool.want_at(A, 7, 0.5), Want::Exclusive(2)));
}

#[test]
fn what_is_expired_is_closed_and_forgotten() {
    let mut pool = Pool::new(6, true);
    let waiting = pool.wait(A);
    pool.open(1);
    assert_eq!(pool.got(waiting), Some(1));
    pool.release(A, 0, 1);
    let mut actions = Actions::new();
    assert_eq!(pool.state.expire(0, pool.now, &mut actions), Some(pool.now + REST));
    pool.now += REST;
    assert_eq!(pool.state.expire(0, pool.now, &mut actions), None);
    pool.perform(actions);
    assert_eq!(pool.closed, [1]);
    assert!(pool.state.is_empty());
}

#[test]
fn a_grant_wakes_its_waiter_once() {
    let mut pool = Pool::new(1, true);
    let waiting = pool.wait(A);
    assert_eq!(pool.got(waiting), None);
    pool.open(1);
    assert_eq!(pool.woken.0.load(Relaxed), 1);
    assert_eq!(pool.got(waiting), Some(1));
}

fn is_shared(grant: Option<Grant<u32, Many, &'static str>>) -> bool {
    matches!(grant, Some(Grant::Shared(..)))
}

#[test]
fn a_dial_serves_those_for_whom_the_same_delegates_are_asked() {
    let mut pool = Pool::new(6, true);
    let plain = [(); 3].map(|()| pool.wait(S));
    let session = [1, 2].map(|task| pool.wait_as(S, Decider::Session(task)));
    let own = [3, 4].map(|task| pool.wait_as(S, Decider::Task(task)));
    assert_eq!(pool.dials(), 4, "one without delegates, one of the session, one of each task");
    // The first that is for everyone serves all but those whose own delegates are being asked.
    pool.open_shared(many());
    let mut all = plain.into_iter().chain(session);
    assert!(all.all(|waiting| is_shared(pool.take(waiting))));
    pool.open_shared(many());
    assert!(own.iter().all(|waiting| pool.take(*waiting).is_none()));
    pool.open_shared(many());
    assert!(is_shared(pool.take(own[0])) && pool.take(own[1]).is_none());
    pool.refuse();
    assert!(matches!(pool.take(own[1]), Some(Grant::Failed("refused"))));
}

#[test]
fn a_shared_connection_for_one_task_wakes_only_that_one_and_the_others_dial_their_own() {
    let mut pool = Pool::new(6, true);
    let [one, two, three] = [1, 2, 3].map(|task| pool.wait_as(S, Decider::Session(task)));
    assert_eq!(pool.dials(), 1);
    pool.open_shared(many_for(Scope::Task(1)));
    assert!(is_shared(pool.take(one)) && pool.take(two).is_none() && pool.take(three).is_none());
    assert_eq!(pool.dials(), 2, "one for each of the others, at once");
    pool.open_shared(many_for(Scope::Task(2)));
    assert!(is_shared(pool.take(two)) && pool.take(three).is_none());
    pool.open_shared(many_for(Scope::Session));
    assert!(is_shared(pool.take(three)));
    // What is open serves whom it may.
    assert!(matches!(pool.want_as(S, Decider::Session(9)), Want::Shared(_)));
    assert!(matches!(pool.want_as(S, Decider::Task(9)), Want::Wait(_)));
    assert!(matches!(pool.want_as(S, Decider::Task(2)), Want::Shared(_)));
    assert!(matches!(pool.want_as(S, Decider::Platform), Want::Wait(_)));
}

#[test]
fn connections_for_tasks_that_are_over_are_idle_like_others() {
    let mut pool = Pool::with_limits(6, true, Limits { per_host: 6, open: 1000, idle: 3 });
    for task in 1..=5 {
        let waiting = pool.wait_as(S, Decider::Task(task));
        pool.open_shared(many_for(Scope::Task(task)));
        let ticket = pool.got_shared(waiting);
        pool.return_shared(S, ticket);
    }
    assert_eq!(pool.closed_shared, 2);
    assert!(matches!(pool.want_as(S, Decider::Task(5)), Want::Shared(_)));
    pool.now += REST;
    let mut actions = Actions::new();
    pool.state.expire(0, pool.now, &mut actions);
    pool.perform(actions);
    assert_eq!(pool.closed_shared, 4, "all but the one in use");
}

#[test]
fn a_login_for_once_has_a_shared_connection_of_its_own_which_is_closed_after_use() {
    let mut pool = Pool::new(6, true);
    let plain = pool.wait(S);
    pool.open_shared(many());
    assert!(is_shared(pool.take(plain)));
    let space = UrlProtectionSpace::new(
        "a",
        443,
        UrlProtectionSpaceProtocol::Https,
        None,
        AuthenticationMethod::Negotiate,
    );
    let credential = UrlCredential::new("ann", "pw", UrlCredentialPersistence::None);
    let login = LoginUse::Begin(ConnectionLogin::new(space, Some(credential), None));
    let logins = Arc::new(LoginUses { server: login, proxy: LoginUse::None });
    let requester = Requester { logins: Some(logins.clone()), ..Requester::default() };
    let Want::Wait(waiting) = pool.want_for(S, requester) else { panic!("a connection of its own") };
    let mut anns = many();
    anns.1.begin(&logins);
    pool.open_shared(anns);
    assert!(matches!(pool.want_at(S, 0, 0.5), Want::Shared(other) if !other.1.is_for_once()));
    let ticket = pool.got_shared(waiting);
    pool.return_shared(S, ticket);
    assert_eq!(pool.closed_shared, 1);
}

#[test]
fn a_dial_serves_whom_it_was_for_whatever_the_store_has_lost_meanwhile() {
    let stale = Reservation::new(Scope::Everyone, Some(1));
    let requester = Requester { revision: 2, ..Requester::default() };
    let mut pool = Pool::new(6, true);
    let waiting = [(); 2].map(|()| match pool.want_for(S, requester.clone()) {
        Want::Wait(waiting) => waiting,
        other => panic!("{other:?}"),
    });
    pool.open_shared(Many(Arc::new(AtomicBool::new(true)), stale));
    assert!(is_shared(pool.take(waiting[0])) && pool.take(waiting[1]).is_none());
    assert_eq!(pool.dials(), 1, "the other gets one of its own");
}

#[test]
fn a_refusal_fails_only_the_task_that_was_asked() {
    for url in [S, A] {
        let mut pool = Pool::new(1, true);
        let one = pool.wait_as(url, Decider::Session(1));
        let two = pool.wait_as(url, Decider::Session(2));
        let plain = pool.wait(url);
        pool.refuse();
        assert!(matches!(pool.take(one), Some(Grant::Failed("refused"))));
        assert!(pool.take(two).is_none() && pool.take(plain).is_none());
        assert!(pool.dials() > 0);
        for connection in 1.. {
            if pool.dials() == 0 {
                break;
            }
            pool.open(connection);
        }
        let Some(connection) = pool.got(two) else { panic!("nothing for the second") };
        pool.release(url, 0, connection);
        assert!(pool.got(plain).is_some());
    }
}

#[test]
fn a_waiter_does_not_fail_by_what_is_decided_in_a_dial_that_it_adopted() {
    let mut pool = Pool::new(1, true);
    let gone = pool.wait_as(A, Decider::Session(1));
    let waiting = pool.wait_as(A, Decider::Session(2));
    pool.forget(gone);
    let third = pool.wait_as(A, Decider::Session(3));
    pool.forget(third);
    pool.refuse();
    assert!(pool.take(waiting).is_none());
    pool.open(7);
    assert_eq!(pool.got(waiting), Some(7));
}

#[test]
fn a_dial_that_is_left_is_not_adopted_by_those_who_ask_other_delegates() {
    let mut pool = Pool::new(6, true);
    let gone = pool.wait_as(A, Decider::Task(1));
    pool.forget(gone);
    let waiting = pool.wait(A);
    assert_eq!(pool.dials(), 2);
    pool.open(1001);
    assert_eq!(pool.got(waiting), None, "it is for the task that has gone");
    pool.open(2);
    assert_eq!(pool.got(waiting), Some(2));
}

#[test]
fn a_task_that_is_being_asked_is_asked_once_whatever_else_is_learned_of_the_origin() {
    let mut pool = Pool::new(6, true);
    let asked = pool.wait_as(S, Decider::Task(1));
    let (origin, _, ticket) = pool.next_dial();
    let plain = pool.wait(S);
    pool.open(1);
    assert_eq!((pool.got(plain), pool.got(asked), pool.dials()), (Some(1), None, 0));
    pool.release(S, 0, 1);
    assert_eq!(pool.got(asked), None, "its delegate has not answered");
    let mut actions = Actions::new();
    pool.state.opened(&origin, ticket, 1001, pool.now, pool.now + REST, &mut actions);
    pool.perform(actions);
    assert_eq!((pool.got(asked), pool.dials()), (Some(1001), 0));
}

#[test]
fn an_idle_connection_of_a_task_is_its_own_and_makes_room_for_others() {
    let mut pool = Pool::new(1, true);
    let one = pool.wait_as(A, Decider::Task(1));
    pool.open(1001);
    assert_eq!(pool.got(one), Some(1001));
    pool.release(A, 0, 1001);
    assert!(matches!(pool.want_as(A, Decider::Task(1)), Want::Exclusive(1001)));
    pool.release(A, 0, 1001);
    let other = pool.wait_as(A, Decider::Task(2));
    assert_eq!((pool.closed.clone(), pool.dials()), (vec![1001], 1));
    pool.open(2);
    assert_eq!(pool.got(other), Some(2));
    // Others wait for it: it is closed when it is given back for a task that has no further use for it.
    let busy = pool.wait_as(A, Decider::Task(3));
    pool.release(A, 0, 2);
    assert_eq!(pool.got(busy), Some(2));
    let plain = pool.wait(A);
    pool.close(A);
    pool.open(3003);
    assert_eq!(pool.got(plain), None);
    assert_eq!((pool.closed.clone(), pool.dials()), (vec![1001, 3003], 1));
    pool.open(4);
    assert_eq!(pool.got(plain), Some(4));
}

#[test]
fn dials_of_tasks_with_delegates_of_their_own_keep_to_the_limit() {
    let mut pool = Pool::new(3, true);
    let waiting: Vec<_> = (1..=10).map(|task| pool.wait_as(S, Decider::Task(task))).collect();
    assert_eq!(pool.dials(), 3);
    for served in [8, 9, 10] {
        pool.open_shared(many());
        let all = waiting.iter().filter(|waiting| pool.take(**waiting).is_some());
        assert_eq!(all.count(), if served == 8 { 8 } else { 1 });
    }
}

#[test]
fn dials_that_turn_out_to_be_for_one_exchange_at_a_time_keep_to_the_limit() {
    let mut pool = Pool::new(3, true);
    let waiting: Vec<_> = (1..=10).map(|task| pool.wait_as(S, Decider::Task(task))).collect();
    for task in 1..=3 {
        assert_eq!(pool.dials(), 4 - task as usize, "with those that are open no more than three");
        pool.open(task * 1000);
        assert_eq!(pool.got(waiting[task as usize - 1]), Some(task * 1000));
    }
    pool.close(S);
    assert_eq!(pool.dials(), 1);
    pool.open_shared(many());
    // Of the three that were open two are.
    pool.close(S);
    pool.close(S);
    assert_eq!(pool.state.open, 1);
}

/// Ten thousand random moves: the limit holds, nobody is forgotten, and everything ends empty.
#[test]
fn no_sequence_of_events_breaks_the_limit_or_loses_a_waiter() {
    for seed in 1..200u64 {
        let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut next = |n: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random % n
        };
        let limit = 1 + next(4) as usize;
        let mut pool = Pool::new(limit, true);
        let (mut waiting, mut busy, mut numbers) = (Vec::new(), Vec::new(), 0..);
        for _ in 0..300 {
            match next(6) {
                0 | 1 => match pool.want_at(A, 0, next(3) as f32 / 2.0) {
                    Want::Wait(number) => waiting.push(number),
                    Want::Exclusive(connection) => busy.push(connection),
                    Want::Shared(..) => unreachable!(),
                },
                2 if pool.dials() > 0 => pool.open(numbers.next().unwrap()),
                3 if pool.dials() > 0 => pool.fail(),
                4 if !busy.is_empty() => {
                    let connection = busy.swap_remove(next(busy.len() as u64) as usize);
                    if next(2) == 0 { pool.release(A, 0, connection) } else { pool.close(A) }
                }
                5 if !waiting.is_empty() => {
                    let number = waiting.swap_remove(next(waiting.len() as u64) as usize);
                    pool.forget(number);
                }
                _ => {}
            }
            waiting.retain(|number| match pool.take(*number) {
                Some(Grant::Exclusive(connection)) => {
                    busy.push(connection);
                    false
                }
                Some(Grant::Failed(_)) => false,
                Some(Grant::Shared(..)) => unreachable!(),
                None => true,
            });
            assert!(busy.len() + pool.dials() <= limit, "seed {seed}");
        }
        // Everyone still waiting is served once what is busy comes back and what is dialled opens.
        for _ in 0..1000 {
            if pool.dials() > 0 {
                pool.open(numbers.next().unwrap());
            }
            if let Some(connection) = busy.pop() {
                pool.release(A, 0, connection);
            }
            waiting.retain(|number| match pool.take(*number) {
                Some(Grant::Exclusive(connection)) => {
                    busy.push(connection);
                    false
                }
                _ => true,
            });
        }
        assert!(waiting.is_empty() && busy.is_empty(), "seed {seed}: {} wait", waiting.len());
        pool.now += REST * 2;
        let mut actions = Actions::new();
        pool.state.expire(0, pool.now, &mut actions);
        pool.perform(actions);
        assert!(pool.state.is_empty(), "seed {seed}");
    }
}

fn limits(open: usize, idle: usize) -> Limits {
    Limits { per_host: 6, open, idle }
}

const B: &str = "http://b/";
const C: &str = "http://c/";
const D: &str = "http://d/";

#[test]
fn of_idle_connections_over_the_limit_the_one_idle_longest_is_closed() {
    let mut pool = Pool::with_limits(6, true, limits(10, 2));
    for (number, host) in [A, B, C].into_iter().enumerate() {
        pool.visit(host, number as u32);
    }
    assert_eq!(pool.closed, [0]);
    // Used again, it is the youngest.
    assert!(matches!(pool.want_at(B, 0, 0.5), Want::Exclusive(1)));
    pool.release(B, 0, 1);
    pool.visit(D, 3);
    assert_eq!(pool.closed, [0, 2]);
    let mut none = Pool::with_limits(6, true, limits(10, 0));
    none.visit(A, 1);
    assert_eq!(none.closed, [1]);
    assert!(none.state.is_empty(), "what is over is forgotten");
}

#[test]
fn at_the_limit_of_open_connections_the_one_idle_longest_is_closed_for_a_new_one() {
    let mut pool = Pool::with_limits(6, true, limits(2, 100));
    pool.visit(A, 1);
    pool.visit(B, 2);
    let waiting = pool.wait(C);
    assert_eq!((pool.closed.clone(), pool.dialled()), (vec![1], vec!["c".to_owned()]));
    pool.open(3);
    assert_eq!(pool.got(waiting), Some(3));
}

#[test]
fn hosts_take_turns_at_what_becomes_free() {
    let mut pool = Pool::with_limits(6, true, limits(1, 100));
    let busy = pool.wait(A);
    pool.open(1);
    assert_eq!(pool.got(busy), Some(1));
    let waiting = [pool.wait(B), pool.wait(B), pool.wait(C), pool.wait(D)];
    assert_eq!(pool.dials(), 0);
    pool.release(A, 0, 1);
    assert_eq!((pool.closed.clone(), pool.dialled()), (vec![1], vec!["b".to_owned()]));
    pool.open(2);
    assert_eq!(pool.got(waiting[0]), Some(2));
    // The connection serves whoever waits for this host: that is no new one.
    pool.release(B, 0, 2);
    assert_eq!(pool.got(waiting[1]), Some(2));
    pool.close(B);
    assert_eq!(pool.dialled(), ["c"]);
    pool.fail();
    assert!(matches!(pool.take(waiting[2]), Some(Grant::Failed(_))));
    assert_eq!(pool.dialled(), ["d"]);
}

#[test]
fn a_shared_connection_counts_and_is_closed_for_another_only_while_it_carries_nothing() {
    let mut pool = Pool::with_limits(6, true, limits(1, 100));
    let first = pool.wait(S);
    pool.open_shared(many());
    let ticket = pool.got_shared(first);
    assert!(matches!(pool.want_at(S, 0, 0.5), Want::Shared(..)));
    let other = pool.wait(B);
    assert_eq!(pool.dials(), 0);
    pool.return_shared(S, ticket);
    assert_eq!((pool.dials(), pool.closed_shared), (0, 0), "it carries another exchange");
    pool.return_shared(S, ticket);
    assert_eq!((pool.dialled(), pool.closed_shared), (vec!["b".to_owned()], 1));
    pool.open(1);
    assert_eq!(pool.got(other), Some(1));
    // It reports its end all the same.
    pool.shared_closes(S, ticket);
    pool.close(B);
    assert!(pool.state.is_empty());
}

#[test]
fn a_shared_connection_that_closes_by_itself_lets_another_be_made() {
    let mut pool = Pool::with_limits(6, true, limits(1, 100));
    let first = pool.wait(S);
    let shared = many();
    pool.open_shared(shared.clone());
    let ticket = pool.got_shared(first);
    pool.wait(B);
    shared.0.store(false, Relaxed);
    pool.shared_closes(S, ticket);
    assert_eq!(pool.dialled(), ["b"]);
    pool.return_shared(S, ticket);
}

#[test]
fn what_a_waiter_that_leaves_was_given_of_a_shared_connection_is_returned() {
    let mut pool = Pool::with_limits(6, true, limits(1, 100));
    let first = pool.wait(S);
    pool.open_shared(many());
    pool.forget(first);
    pool.wait(B);
    assert_eq!((pool.dialled(), pool.closed_shared), (vec!["b".to_owned()], 1));
}

#[test]
fn an_idle_shared_connection_expires_and_a_retired_one_is_closed_when_it_is_returned() {
    let mut pool = Pool::new(6, true);
    let waiting = pool.wait(S);
    pool.open_shared(many());
    let ticket = pool.got_shared(waiting);
    let mut actions = Actions::new();
    assert_eq!(pool.state.expire(0, pool.now + REST, &mut actions), None, "it is in use");
    pool.state.retire(&mut actions);
    assert_eq!(actions.len(), 0);
    let again = pool.wait(S);
    assert_eq!(pool.dials(), 1, "later loads get a new one");
    pool.return_shared(S, ticket);
    assert_eq!(pool.closed_shared, 1);
    pool.open_shared(many());
    let ticket = pool.got_shared(again);
    pool.return_shared(S, ticket);
    let mut actions = Actions::new();
    assert_eq!(pool.state.expire(0, pool.now, &mut actions), Some(pool.now + REST));
    assert_eq!(pool.state.expire(0, pool.now + REST, &mut actions), None);
    pool.perform(actions);
    assert_eq!(pool.closed_shared, 2);
    assert!(pool.state.is_empty());
}

#[test]
fn hosts_that_nobody_waits_for_any_more_are_forgotten() {
    let mut pool = Pool::with_limits(6, true, limits(1, 100));
    let busy = pool.wait(A);
    pool.open(1);
    assert_eq!(pool.got(busy), Some(1));
    for number in 0..10_000 {
        let waiting = pool.wait(&format!("http://h{number}/"));
        pool.forget(waiting);
    }
    assert!(pool.state.blocked.len() < 10, "{} are left", pool.state.blocked.len());
    pool.release(A, 0, 1);
    assert!(matches!(pool.want_at(A, 0, 0.5), Want::Exclusive(1)));
}

/// Random moves over several hosts, some of which share connections, for loads with several delegates, some of whose
/// connections are for one task: the limits hold, and whoever waits is served once
/// what is busy comes back.
#[test]
fn no_sequence_of_events_over_many_hosts_breaks_the_limits_or_loses_a_waiter() {
    #[derive(Debug)]
    enum Held {
        Exclusive(&'static str, u32),
        Shared(&'static str, Ticket),
    }
    let hosts = [A, B, C, D, S, "https://b/", "https://c/"];
    for seed in 1..100u64 {
        let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut next = |n: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            (random >> 11) % n
        };
        let limits =
            Limits { per_host: 1 + next(3) as usize, open: 1 + next(4) as usize, idle: next(4) as usize };
        let mut pool = Pool::with_limits(limits.per_host, true, limits);
        let mut waiting: Vec<(&'static str, Waiting)> = Vec::new();
        let (mut held, mut numbers): (Vec<Held>, _) = (Vec::new(), 0..);
        let open_next = |pool: &mut Pool, number: u32| {
            let (is_secure, decider) = {
                let dials = pool.dials.lock().unwrap();
                (dials[0].0.secure, dials[0].1.1.decider)
            };
            // Of three connections about which delegates decide two are for one task.
            let scope = match decider {
                Decider::Session(task) | Decider::Task(task) if number % 3 > 0 => Scope::Task(task),
                _ => Scope::Everyone,
            };
            match (is_secure, scope) {
                (true, scope) => pool.open_shared(many_for(scope)),
                (false, Scope::Task(task)) => pool.open(task as u32 * 1000 + number % 1000),
                (false, _) => pool.open(number % 1000),
            }
        };
        let collect = |pool: &mut Pool, waiting: &mut Vec<(&'static str, Waiting)>, held: &mut Vec<Held>| {
            waiting.retain(|(host, number)| {
                match pool.take(*number) {
                    Some(Grant::Exclusive(connection)) => held.push(Held::Exclusive(host, connection)),
                    Some(Grant::Shared(_, ticket)) => held.push(Held::Shared(host, ticket)),
                    Some(Grant::Failed(_)) => {}
                    None => return true,
                }
                false
            });
        };
        let give_back = |pool: &mut Pool, held: Held, keep: bool| match held {
            Held::Exclusive(host, connection) if keep => pool.release(host, 0, connection),
            Held::Exclusive(host, _) => pool.close(host),
            Held::Shared(host, ticket) => {
                if !keep {
                    pool.shared_closes(host, ticket);
                }
                pool.return_shared(host, ticket);
            }
        };
        for _ in 0..400 {
            match next(7) {
                0..=2 => {
                    let host = hosts[next(hosts.len() as u64) as usize];
                    let decider = match next(4) {
                        0 => Decider::Session(1 + next(3)),
                        1 => Decider::Task(1 + next(3)),
                        _ => Decider::Platform,
                    };
                    match pool.want_as(host, decider) {
                        Want::Wait(number) => {
                            pool.state.prioritise(number, next(3) as f32 / 2.0);
                            waiting.push((host, number));
                        }
                        Want::Exclusive(connection) => held.push(Held::Exclusive(host, connection)),
                        Want::Shared(handle) => {
                            held.push(Held::Shared(host, pool.ticket_of(host, &handle)));
                        }
                    }
                }
                3 if pool.dials() > 0 => open_next(&mut pool, numbers.next().unwrap()),
                4 if pool.dials() > 0 && next(3) == 0 => pool.fail(),
                5 if !held.is_empty() => {
                    let one = held.swap_remove(next(held.len() as u64) as usize);
                    give_back(&mut pool, one, next(3) > 0);
                }
                6 if !waiting.is_empty() && next(3) == 0 => {
                    let (_, number) = waiting.swap_remove(next(waiting.len() as u64) as usize);
                    pool.forget(number);
                }
                _ => {}
            }
            collect(&mut pool, &mut waiting, &mut held);
            assert!(pool.state.open <= limits.open, "seed {seed}");
            assert!(pool.state.idle.len() <= limits.idle, "seed {seed}");
            let free = pool.state.open < limits.open || !pool.state.idle.is_empty();
            assert!(pool.state.blocked.is_empty() || !free, "seed {seed}: hosts wait though one may be made");
        }
        for _ in 0..1000 {
            if pool.dials() > 0 {
                open_next(&mut pool, numbers.next().unwrap());
            }
            collect(&mut pool, &mut waiting, &mut held);
            if let Some(one) = held.pop() {
                give_back(&mut pool, one, true);
            }
        }
        assert!(waiting.is_empty() && held.is_empty(), "seed {seed}: {} wait, {held:?}", waiting.len());
        pool.now += REST * 2;
        let mut actions = Actions::new();
        pool.state.expire(0, pool.now, &mut actions);
        pool.perform(actions);
        assert!(pool.state.is_empty(), "seed {seed}: {} open", pool.state.open);
    }
}
