//! The session's connections: the shell around the bookkeeping in [`state`].
//!
//! It locks, queries the bookkeeping, unlocks, and performs the actions. Dials run on the runtime that requested them,
//! independent of waiting loads: an abandoned load leaves a usable connection, and a stalled load stalls no other.

mod descriptors;
mod guard;
mod host;
mod http1_origins;
mod idle_time;
mod judging;
mod lru;
mod state;

use parking_lot::{Mutex, MutexGuard};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock, Weak};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use tracing::Instrument;
use url::Url;
use urlsession_proto::scheme::Scheme;

use self::guard::OnDrop;
use self::http1_origins::Http1Origins;
use self::judging::{Caller, Watched, decider, judge};
use self::state::{Acquire, Acquired, Action, DialId, Limits, PoolState, WaiterId};
use super::checkout::{Checkout, Exclusive, Guards, Multiplexed, open};
use super::connect::{Connected, connect};
use super::connection::{End, ExclusiveOwner, MultiplexedGuard};
use super::dial_progress::{DialFailure, DialProgress};
use super::head::asks_upgrade;
use super::origin::{Key, Origin, PoolPartition};
use super::reservation::Requester;
use super::route::Routes;
use super::tls::Tls;
use crate::auth::LoginCache;
use crate::configuration::{Configuration, HttpVersions};
use crate::env::{RuntimeHandle, RuntimeId, Timer};
use crate::error::Result;
use crate::load::{Attempt, BoxFuture, ConnectionChallengeHandler, Decider, IdlePause, Route, WaitReason};
use crate::message::{HostId, UrlRequest};

type Pooled = PoolState<Box<Exclusive>, Multiplexed, Caller, DialFailure>;
type Actions = state::Actions<Box<Exclusive>, Multiplexed, Caller>;

/// The connections of one session.
pub(crate) struct Pool {
    config: Arc<Configuration>,
    tls: Tls,
    logins: Arc<LoginCache>,
    routes: Routes,
    http1_origins: Http1Origins,
    state: Mutex<Pooled>,
    reapers: Mutex<Vec<RuntimeId>>,
    /// Among the pools of this process, from the first dial on.
    registration: OnceLock<descriptors::Registration>,
    has_system_clock: bool,
    /// Raised when connections are to be given up: those of an older one are not kept when their exchange ends.
    generation: AtomicU64,
    weak: OnceLock<Weak<Self>>,
}

impl Pool {
    pub(crate) fn new(config: Arc<Configuration>, logins: Arc<LoginCache>) -> Arc<Self> {
        let may_share = config.http_versions != HttpVersions::Http1;
        let limits = Limits {
            per_host: config.http_maximum_connections_per_host,
            open: config.maximum_open_connections,
            idle: config.maximum_idle_connections,
        };
        let state = Mutex::new(PoolState::new(limits, may_share));
        let clock = &config.environment.clock;
        let has_system_clock = clock.sleep_until(clock.now()).is_none();
        let routes = Routes::new(&config);
        let pool = Arc::new(Self {
            config,
            tls: Tls::default(),
            logins,
            routes,
            http1_origins: Http1Origins::default(),
            state,
            reapers: Mutex::default(),
            registration: OnceLock::new(),
            has_system_clock,
            generation: AtomicU64::new(0),
            weak: OnceLock::new(),
        });
        let weak = Arc::downgrade(&pool);
        pool.weak.get_or_init(|| weak);
        pool
    }

    /// The route to the server of this URL.
    #[inline]
    pub(crate) fn route(&self, url: &Url) -> Route {
        if self.routes.are_direct(&self.config) {
            return Route::Direct;
        }
        let host = url.host_str().unwrap_or_default();
        self.routes.of(&self.config, Scheme::of(url).is_secure(), host)
    }

    /// The key of the connections for this request by this route; `None` for a URL without a host.
    pub(crate) fn key<'a>(&self, request: &'a UrlRequest, url: &'a Url, route: &'a Route) -> Option<Key<'a>> {
        let key =
            Key::of(url, PoolPartition::of(&self.config, request))?.in_zone(request.effective_zone_id());
        let is_http1_only =
            |host: HostId<'_>, port| asks_upgrade(request) || self.http1_origins.contains(host, port);
        Some(key.over_http1(is_http1_only).routed(route))
    }

    /// From now on the origin of this request is used over HTTP/1.1 only.
    pub(crate) fn require_http1(&self, request: &UrlRequest) {
        let port = request.url().port_or_known_default();
        if let (Some(host), Some(port)) = (HostId::of(request), port) {
            self.http1_origins.insert(host, port);
        }
    }

    /// A connection to the origin. A kept one is checked first, which costs a system call unless it was returned a
    /// moment ago: it must be open, and must have received no unsolicited bytes (RFC 9112 §6.3, §9.5).
    pub(crate) fn checkout<'a>(
        &'a self,
        key: Key<'a>,
        attempt: &'a mut Attempt<'_>,
    ) -> impl Future<Output = Result<Checkout>> + Send + 'a {
        let (waiting, pause_idle, judging, decider) = (None, None, None, Decider::Platform);
        Search { pool: self, key, attempt, waiting, pause_idle, decider, judging }
    }

    /// The requester of a connection.
    fn caller(&self, key: Key<'_>, attempt: &Attempt<'_>) -> Caller {
        let challenger = if key.has_questions() { attempt.context.challenger() } else { None };
        let decider = decider(challenger.as_deref());
        let requester = Requester { decider, revision: self.revision(), logins: attempt.logins.clone() };
        Caller { runtime: attempt.runtime.clone(), requester, challenger, progress: None }
    }

    /// A connection that other loads have made, if the caller's delegates do not refuse its server.
    async fn judged(&self, checkout: Checkout, key: Key<'_>, caller: Caller) -> Result<Checkout> {
        if let (Some(challenger), Some(peer)) = (&caller.challenger, &checkout.info().peer) {
            let who = (challenger, caller.requester.decider);
            if let Err(error) = judge(&self.config, key.host_and_port(), peer, who).await {
                if let Checkout::Exclusive(connection) = checkout {
                    self.released(connection, None);
                }
                return Err(error);
            }
        }
        Ok(checkout)
    }

    /// True if the connection may carry the exchange, as far as the pool knows.
    fn is_usable(&self, checkout: &mut Checkout, now: Instant) -> bool {
        let Checkout::Exclusive(connection) = checkout else { return true };
        // A test's clock may stand still, so it proves nothing.
        let was_just_released =
            self.has_system_clock && idle_time::is_over_at_once(connection.guard().released, now);
        let is_usable = !connection.is_reused() || connection.is_alive(!was_just_released);
        connection.guard_mut().leave();
        is_usable
    }

    /// A connection, or the number of the waiter.
    fn acquire(
        &self,
        key: Key<'_>,
        caller: &Caller,
        attempt: &Attempt<'_>,
        now: Instant,
    ) -> std::result::Result<Checkout, WaiterId> {
        let mut actions = Actions::new();
        let (priority, fresh) = (attempt.context.priority(), attempt.wants_new_connection);
        let acquire = self.lock().acquire(key, caller, now, priority, fresh, &mut actions);
        self.perform(&mut actions);
        match acquire {
            Acquire::Exclusive(connection) => Ok(Checkout::Exclusive(connection)),
            Acquire::Multiplexed(handle) => Ok(Checkout::Multiplexed(handle.lease())),
            Acquire::Wait(waiting) => Err(waiting),
        }
    }

    /// New loads get new connections: closes idle connections; busy ones finish their exchange only.
    pub(crate) fn give_up_connections(&self) {
        self.generation.fetch_add(1, Relaxed);
        let mut actions = Actions::new();
        self.lock().retire(&mut actions);
        self.perform(&mut actions);
    }

    /// Forgets TLS sessions, so that the next handshake with any server is a full one, and which servers require HTTP/1.1.
    pub(crate) fn forget_sessions(&self) {
        self.tls.forget_sessions();
        self.http1_origins.clear();
    }

    fn perform(&self, actions: &mut Actions) {
        for action in actions.drain(..) {
            match action {
                Action::Wake(waker) => waker.wake(),
                Action::Close(mut connection) => connection.guard_mut().stay(),
                Action::CloseMultiplexed(handle) => handle.close(),
                Action::Dial { origin, runtime, dial_id } => self.dial(origin, runtime, dial_id),
            }
        }
    }

    fn dial(&self, origin: Arc<Origin>, caller: Caller, dial_id: DialId) {
        let Caller { runtime, requester, challenger, progress } = caller;
        let progress = progress.unwrap_or_default();
        let Some(pool) = self.weak.get().and_then(Weak::upgrade) else { return };
        self.registration.get_or_init(|| descriptors::Registration::new(self.weak()));
        let (weak, lost, so_far) = (self.weak(), origin.clone(), progress.clone());
        let unreported = OnDrop::new(move || {
            weak.upgrade().inspect(|pool| pool.dial_is_lost(&lost, dial_id, so_far));
        });
        let runtime_of_dial = runtime.clone();
        let dial = async move {
            let runtime = runtime_of_dial;
            let Self { config, tls, logins, routes, .. } = &*pool;
            let origin = &origin;
            let watched = challenger.map(Watched::new);
            let asked = watched.clone().map(|watched| watched as Arc<dyn ConnectionChallengeHandler>);
            let judge = asked.as_ref().map(|challenger| (challenger, requester.decider));
            let connect = || connect(config, tls, (routes, logins), &runtime, origin, judge, &progress);
            let result = match connect().await {
                // In a box: other dials do not carry it.
                Err(error) if descriptors::are_lacking(&error) => {
                    let clock = &*config.environment.clock;
                    Box::pin(descriptors::connect_with_fewer(error, clock, &runtime, connect)).await
                }
                result => result,
            };
            let result = match result {
                Ok(connected) => pool.finish_dial(connected, origin, &runtime, &requester, dial_id).await,
                Err(error) => Err(error),
            };
            unreported.disarm();
            let was_decided = watched.is_some_and(|watched| watched.was_asked());
            let result = result.map_err(|error| DialFailure { error, progress });
            pool.dial_done(result, origin, &runtime, dial_id, was_decided);
        };
        // It is said within the task that it is begun for.
        runtime.spawn(dial.instrument(tracing::Span::current()));
    }

    async fn finish_dial(
        &self,
        mut connected: Connected,
        origin: &Arc<Origin>,
        runtime: &RuntimeHandle,
        requester: &Requester,
        dial_id: DialId,
    ) -> Result<Checkout> {
        if let Some(logins) = requester.logins.as_ref().filter(|_| connected.is_multiplexed) {
            connected.reservation.begin(logins);
        }
        let (origin_of, runtime_of) = (origin.clone(), runtime.clone());
        let multiplexed =
            MultiplexedReturn { pool: self.weak(), origin: origin_of, runtime: runtime_of, dial_id };
        let generation = self.generation.load(Relaxed);
        let guards = Guards { owner: self.weak(), generation, multiplexed, origin, runtime };
        open(connected, guards, &self.config.environment).await
    }

    fn dial_done(
        &self,
        result: std::result::Result<Checkout, DialFailure>,
        origin: &Arc<Origin>,
        runtime: &RuntimeHandle,
        dial_id: DialId,
        was_decided: bool,
    ) {
        let now = self.config.environment.clock.now();
        let until = self.rest_until(now);
        let mut actions = Actions::new();
        let mut state = self.lock();
        match result {
            Ok(Checkout::Exclusive(connection)) => {
                state.opened(origin, dial_id, connection, now, until, &mut actions)
            }
            Ok(Checkout::Multiplexed(handle)) => {
                state.opened_multiplexed(origin, dial_id, handle, now, until, &mut actions);
            }
            Err(error) => state.failed(origin, dial_id, error, was_decided, &mut actions),
        }
        drop(state);
        self.perform(&mut actions);
        self.watch(runtime, until);
    }

    fn check_in(
        &self,
        connection: Box<Exclusive>,
        origin: &Arc<Origin>,
        runtime: RuntimeHandle,
        now: Instant,
    ) {
        let until = idle_time::until_either(now, self.rest_until(now), connection.server_keeps_for());
        let mut actions = Actions::new();
        let caller = Caller { runtime, requester: Requester::default(), challenger: None, progress: None };
        self.lock().released(origin, &caller, connection, now, until, &mut actions);
        self.perform(&mut actions);
        self.watch(&caller.runtime, until);
    }

    /// An exchange on a shared connection has ended.
    fn check_in_multiplexed(&self, guard: &MultiplexedReturn) {
        let now = self.config.environment.clock.now();
        let until = self.rest_until(now);
        let mut actions = Actions::new();
        let is_idle = self.lock().returned(&guard.origin, guard.dial_id, now, until, &mut actions);
        self.perform(&mut actions);
        if is_idle {
            self.watch(&guard.runtime, until);
        }
    }

    /// One reaper task a runtime closes connections that are idle too long, and detects the end of the runtime.
    ///
    /// It runs first when the connection just returned is due, so that a connection in steady use does not start a new
    /// reaper each time. A connection due sooner is not used after its time, only closed later.
    fn watch(&self, runtime: &RuntimeHandle, first: Instant) {
        let id = runtime.id();
        let mut reapers = self.reapers.lock();
        if reapers.contains(&id) {
            return;
        }
        reapers.push(id);
        drop(reapers);
        let (pool, weak) = (self.weak(), self.weak());
        let runtime_gone = OnDrop::new(move || {
            weak.upgrade().inspect(|pool| pool.runtime_is_gone(id));
        });
        let (runtime, clock) = (runtime.clone(), self.config.environment.clock.clone());
        runtime.clone().spawn(async move {
            let mut next = first;
            loop {
                Timer::at(&*clock, &runtime, next).await;
                let Some(pool) = pool.upgrade() else { break };
                match pool.reap(id, clock.now()) {
                    Some(later) => next = later,
                    None => break,
                }
            }
            runtime_gone.disarm();
        });
    }

    /// Closes connections that are idle too long; `None` ends the reaper. Both under its lock, so that a connection that
    /// becomes idle meanwhile finds either this reaper or none.
    fn reap(&self, runtime: RuntimeId, now: Instant) -> Option<Instant> {
        let mut actions = Actions::new();
        let mut reapers = self.reapers.lock();
        let next = self.lock().expire(runtime, now, &mut actions);
        if next.is_none() {
            reapers.retain(|known| *known != runtime);
        }
        drop(reapers);
        self.perform(&mut actions);
        next
    }

    /// Of the credential store.
    fn revision(&self) -> u64 {
        self.config.url_credential_storage.as_ref().map_or(0, |storage| storage.revision())
    }

    fn rest_until(&self, now: Instant) -> Instant {
        idle_time::until(now, self.config.connection_idle_timeout)
    }

    /// A dial was dropped with its runtime.
    fn dial_is_lost(&self, origin: &Arc<Origin>, dial_id: DialId, progress: DialProgress) {
        let mut actions = Actions::new();
        self.lock().failed(origin, dial_id, DialFailure::with_runtime(progress), false, &mut actions);
        self.perform(&mut actions);
    }

    /// The reaper of a runtime was dropped with it.
    fn runtime_is_gone(&self, runtime: RuntimeId) {
        self.reapers.lock().retain(|known| *known != runtime);
        let mut actions = Actions::new();
        self.lock().runtime_gone(runtime, &mut actions);
        self.perform(&mut actions);
    }

    fn lock(&self) -> MutexGuard<'_, Pooled> {
        self.state.lock()
    }

    fn weak(&self) -> Weak<Self> {
        self.weak.get().cloned().unwrap_or_default()
    }
}

impl descriptors::HasIdle for Pool {
    fn close_idle(&self, closing: &mut Vec<End>) -> bool {
        let mut actions = Actions::new();
        let has_closed = self.lock().close_idle(&mut actions);
        closing.extend(actions.iter().filter_map(|action| match action {
            Action::CloseMultiplexed(handle) => Some(handle.watch_end()),
            _ => None,
        }));
        self.perform(&mut actions);
        has_closed
    }
}

/// A load that looks for a connection. It leaves the queue when it is dropped, and records the progress of the
/// dial that it waited for. Written by hand, since each load carries it.
struct Search<'a, 'b> {
    pool: &'a Pool,
    key: Key<'a>,
    attempt: &'a mut Attempt<'b>,
    waiting: Option<WaiterId>,
    /// The server's idle time does not include the wait for busy connections.
    pause_idle: Option<IdlePause<'b>>,
    decider: Decider,
    judging: Option<BoxFuture<'a, Result<Checkout>>>,
}

impl Future for Search<'_, '_> {
    type Output = Result<Checkout>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if self.judging.is_none() {
            let checkout = ready!(self.poll_find(cx))?;
            let peer = checkout.info().peer.as_ref();
            if self.decider == Decider::Platform || peer.is_none_or(|peer| peer.is_judged_by(self.decider)) {
                return Poll::Ready(Ok(checkout));
            }
            let caller = self.pool.caller(self.key, self.attempt);
            self.judging = Some(Box::pin(self.pool.judged(checkout, self.key, caller)));
        }
        self.judging.as_mut().map_or(Poll::Pending, |judging| judging.as_mut().poll(cx))
    }
}

impl Search<'_, '_> {
    fn poll_find(&mut self, cx: &mut Context<'_>) -> Poll<Result<Checkout>> {
        loop {
            let granted = match self.waiting {
                Some(waiting) => Some(ready!(self.poll_grant(cx, waiting))?),
                None => None,
            };
            let now = self.attempt.clock.now();
            let mut checkout = match granted {
                Some(checkout) => checkout,
                None => {
                    let caller = self.pool.caller(self.key, self.attempt);
                    self.decider = caller.requester.decider;
                    match self.pool.acquire(self.key, &caller, self.attempt, now) {
                        Ok(checkout) => checkout,
                        Err(waiting) => {
                            self.waiting = Some(waiting);
                            continue;
                        }
                    }
                }
            };
            if self.pool.is_usable(&mut checkout, now) {
                return Poll::Ready(Ok(checkout));
            }
            // Dropping it reports it closed; the next turn finds another or dials.
        }
    }

    fn poll_grant(&mut self, cx: &mut Context<'_>, waiting: WaiterId) -> Poll<Result<Checkout>> {
        let mut state = self.pool.lock();
        // A change of the priority polls this future.
        state.prioritise(waiting, self.attempt.context.priority());
        let Some(acquired) = state.take(waiting, cx.waker()) else {
            if state.is_dialling_for(waiting) {
                self.pause_idle = None;
            } else if self.pause_idle.is_none() {
                self.pause_idle = Some(self.attempt.activity.pause_idle_for(WaitReason::Connection));
            }
            return Poll::Pending;
        };
        drop(state);
        (self.waiting, self.pause_idle) = (None, None);
        Poll::Ready(match acquired {
            Acquired::Exclusive(connection) => Ok(Checkout::Exclusive(connection)),
            Acquired::Multiplexed(handle, _) => Ok(Checkout::Multiplexed(handle.lease())),
            Acquired::Failed(failed) => Err(failed.note(self.attempt.transaction())),
        })
    }
}

impl Drop for Search<'_, '_> {
    fn drop(&mut self) {
        if let Some(waiting) = self.waiting {
            let now = self.pool.config.environment.clock.now();
            let until = self.pool.rest_until(now);
            let mut actions = Actions::new();
            let mut state = self.pool.lock();
            // A load dropped while it waits for a connection has the progress of its dial.
            self.attempt.transaction().attempted = state.dial_of(waiting).and_then(Caller::dial_record);
            state.forget(waiting, now, until, &mut actions);
            drop(state);
            self.pool.perform(&mut actions);
        }
    }
}

impl ExclusiveOwner<Exclusive> for Pool {
    fn released(&self, mut connection: Box<Exclusive>, end: Option<Instant>) {
        let guard = connection.guard_mut();
        if guard.generation != self.generation.load(Relaxed) {
            return;
        }
        let now = end.unwrap_or_else(|| self.config.environment.clock.now());
        guard.released = Some(now);
        let (origin, runtime) = (guard.origin.clone(), guard.runtime.clone());
        if !connection.may_be_kept(|| self.revision()) {
            return;
        }
        connection.guard_mut().stay();
        self.check_in(connection, &origin, runtime, now);
    }

    fn closed(&self, origin: &Arc<Origin>) {
        let mut actions = Actions::new();
        self.lock().closed(origin, &mut actions);
        self.perform(&mut actions);
    }
}

/// The pool position of a connection for many exchanges.
struct MultiplexedReturn {
    pool: Weak<Pool>,
    origin: Arc<Origin>,
    runtime: RuntimeHandle,
    dial_id: DialId,
}

impl MultiplexedGuard for MultiplexedReturn {
    fn returned(&self) {
        if let Some(pool) = self.pool.upgrade() {
            pool.check_in_multiplexed(self);
        }
    }

    fn closed(&self) {
        if let Some(pool) = self.pool.upgrade() {
            let mut actions = Actions::new();
            pool.lock().multiplexed_closed(&self.origin, self.dial_id, &mut actions);
            pool.perform(&mut actions);
        }
    }
}
