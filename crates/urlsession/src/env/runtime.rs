//! Where a load runs: the caller's tokio runtime if there is one, else the library's own.
//!
//! The own runtime is one I/O thread, started on first use and never stopped. It does not decide what is
//! spawned: loads are polled by their callers, only connections' drivers and resumed tasks live here.

use parking_lot::Mutex;
use std::cell::Cell;
use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use tokio::runtime::{self, Handle, Runtime};
use tokio::sync::oneshot;

use super::thread::{no_thread, start_thread};
use crate::error::{Phase, UrlError, UrlErrorCode};

/// A reactor with an identity: connections belong to the place that made them and die with it.
#[derive(Clone, Debug)]
pub(crate) struct RuntimeHandle(Handle);

/// The identity of a place.
pub(crate) type RuntimeId = runtime::Id;

impl RuntimeHandle {
    /// The tokio runtime this is called in, if it has drivers for I/O and time, else the library's own.
    ///
    /// # Errors
    /// As [`own`](Self::own).
    pub(crate) fn current() -> io::Result<Self> {
        match Handle::try_current() {
            Ok(handle) if has_drivers(&handle) => Ok(Self(handle)),
            _ => Self::own(),
        }
    }

    /// The library's own runtime. If it cannot be started for lack of descriptors, one without sockets until there are
    /// some: [`why_without_sockets`](Self::why_without_sockets).
    ///
    /// # Errors
    /// Its thread cannot be started. It is tried again the next time.
    pub(crate) fn own() -> io::Result<Self> {
        static OWN: OnceLock<Handle> = OnceLock::new();
        static STARTING: Mutex<()> = Mutex::new(());
        if let Some(own) = OWN.get() {
            return Ok(Self(own.clone()));
        }
        let _one_at_a_time = STARTING.lock();
        if let Some(own) = OWN.get() {
            return Ok(Self(own.clone()));
        }
        let why = match start(true)? {
            Started::Whole(own) => return Ok(Self(OWN.get_or_init(|| own).clone())),
            Started::WithoutSockets(why) => why,
        };
        if let Some(without) = WITHOUT_SOCKETS.get() {
            return Ok(Self(without.handle.clone()));
        }
        match start(false)? {
            Started::Whole(handle) => {
                let without = WITHOUT_SOCKETS.get_or_init(|| WithoutSockets { handle, why });
                Ok(Self(without.handle.clone()))
            }
            Started::WithoutSockets(error) => Err(error),
        }
    }

    /// Why no socket can be opened here; `None` if one can.
    pub(crate) fn why_without_sockets(&self) -> Option<io::Error> {
        let here = WITHOUT_SOCKETS.get().filter(|it| it.handle.id() == self.id())?;
        // An error cannot be cloned.
        Some(match here.why.raw_os_error() {
            Some(code) => io::Error::from_raw_os_error(code),
            None => io::Error::new(here.why.kind(), here.why.to_string()),
        })
    }

    pub(crate) fn id(&self) -> RuntimeId {
        self.0.id()
    }

    pub(crate) fn enter(&self) -> runtime::EnterGuard<'_> {
        self.0.enter()
    }

    pub(crate) fn spawn<F>(&self, future: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.0.spawn(future);
    }

    /// Runs blocking work beside the reactor.
    ///
    /// # Errors
    /// The runtime is shutting down, the work panicked, or there is no thread for it and none can be started: it is done
    /// then when there is one again, as that of a load which is not waited for any more.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<T> {
        self.blocking_with((), work).await
    }

    /// The same. `held` is dropped when the work has been done, and after whoever waits was told.
    pub(crate) async fn blocking_with<T: Send + 'static>(
        &self,
        held: impl Send + 'static,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<T> {
        let (sender, done) = oneshot::channel();
        let work = move || {
            // It fails if nobody waits any more.
            let _ = sender.send(work());
            drop(held);
        };
        // There is no other way to ask tokio: it panics if it has no thread and cannot start one.
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(self.0.spawn_blocking(work)))) {
            let why = panic.downcast_ref::<String>().map_or("tokio does not say why", |why| why);
            return Err(no_thread("for blocking work", io::ErrorKind::WouldBlock, why));
        }
        done.await.map_err(|_| io::Error::other("the runtime is shutting down"))
    }
}

/// The error of a load that has nothing to run on.
pub(crate) fn not_started(error: io::Error) -> UrlError {
    let detail = format!("the library's own runtime cannot be started: {error}");
    UrlError::new(UrlErrorCode::ResourceUnavailable, Phase::Task, detail).with_source(error)
}

/// What tasks run on, to fail, while the library's own runtime cannot be started: it needs no descriptor.
struct WithoutSockets {
    handle: Handle,
    why: io::Error,
}

static WITHOUT_SOCKETS: OnceLock<WithoutSockets> = OnceLock::new();

/// Whether this runtime can be waited on for sockets and timers. `handle` is that of this thread.
fn has_drivers(handle: &Handle) -> bool {
    thread_local! {
        /// The runtime asked about last on this thread, and the answer.
        static LAST: Cell<Option<(RuntimeId, bool)>> = const { Cell::new(None) };
    }
    static KNOWN: Mutex<VecDeque<(RuntimeId, bool)>> = Mutex::new(VecDeque::new());

    let id = handle.id();
    if let Some((_, answer)) = LAST.get().filter(|(last, _)| *last == id) {
        return answer;
    }
    let mut known = KNOWN.lock();
    let found = known.iter().find(|(known, _)| *known == id).map(|(_, answer)| *answer);
    let answer = match found {
        Some(answer) => answer,
        None => {
            // What is not known is not remembered; the library's own runtime serves any load.
            let Some(answer) = try_drivers() else { return false };
            if known.len() >= MOST_KNOWN {
                known.pop_front();
            }
            known.push_back((id, answer));
            answer
        }
    };
    LAST.set(Some((id, answer)));
    answer
}

/// Tries the drivers of this thread's runtime. There is no other way to ask tokio: it panics where there is none, and
/// the panic hook is called, once for each such runtime. `None`: without a socket it cannot be tried.
#[allow(clippy::disallowed_methods)] // nothing sleeps: whether it can is asked
fn try_drivers() -> Option<bool> {
    let socket = std::net::UdpSocket::bind((std::net::Ipv4Addr::LOCALHOST, 0));
    let socket = socket.and_then(|socket| socket.set_nonblocking(true).map(|()| socket)).ok()?;
    let tried = catch_unwind(|| {
        drop(tokio::time::sleep(Duration::ZERO));
        drop(tokio::net::UdpSocket::from_std(socket));
    });
    Some(tried.is_ok())
}

/// Runtimes of which the answer is kept: an application has few.
const MOST_KNOWN: usize = 64;

enum Started {
    Whole(Handle),
    /// There are not the descriptors that sockets need.
    WithoutSockets(io::Error),
}

/// One thread for sockets and timers: a wake-up across threads costs more than the load itself.
///
/// # Errors
/// The thread cannot be started.
fn start(has_sockets: bool) -> io::Result<Started> {
    // First the thread: a runtime cannot be dropped where its caller may be in another.
    let (sender, given) = oneshot::channel::<Runtime>();
    start_thread("urlsession-io", move || {
        if let Ok(runtime) = given.blocking_recv() {
            IS_IO_THREAD.set(true);
            runtime.block_on(std::future::pending::<()>());
        }
    })?;
    let mut builder = runtime::Builder::new_current_thread();
    if has_sockets {
        builder.enable_io();
    }
    Ok(match builder.enable_time().thread_name("urlsession-blocking").build() {
        Ok(runtime) => {
            let handle = runtime.handle().clone();
            // The thread waits for it.
            let _ = sender.send(runtime);
            Started::Whole(handle)
        }
        Err(why) => Started::WithoutSockets(why),
    })
}

thread_local! {
    static IS_IO_THREAD: Cell<bool> = const { Cell::new(false) };
    /// How many calls of [`block_on`] this thread is in.
    static WAITS: Cell<usize> = const { Cell::new(0) };
}

/// How this thread waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// It does not, or it is not known: it is not in [`block_on`].
    No,
    /// In [`block_on`].
    Blocking,
    /// In [`block_on`], and it is the thread that serves the library's sockets and timers: what needs those never ends.
    BlockingIo,
}

/// How this thread waits.
pub(crate) fn wait_on_this_thread() -> Wait {
    match (WAITS.get() > 0, IS_IO_THREAD.get()) {
        (false, _) => Wait::No,
        (true, false) => Wait::Blocking,
        (true, true) => Wait::BlockingIo,
    }
}

/// One call of [`block_on`].
struct Waiting;

impl Waiting {
    fn begin() -> Self {
        WAITS.set(WAITS.get() + 1);
        Self
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        WAITS.set(WAITS.get() - 1);
    }
}

/// Blocks this thread until a future of the library, or another future that needs no runtime, completes. The future is
/// polled on this thread, and the thread is parked in between. Also works inside any runtime. The futures of loads have
/// their own `wait` method.
///
/// ```
/// use urlsession::{Configuration, UrlSession, block_on};
///
/// let session = UrlSession::new(Configuration::ephemeral());
/// block_on(session.reset());
/// ```
///
/// A load fails at once if it is waited for in a delegate call of its own session, or on the library's I/O thread, because
/// it cannot complete while that call runs.
pub fn block_on<F: Future>(future: F) -> F::Output {
    let _waiting = Waiting::begin();
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut cx = Context::from_waker(&waker);
    loop {
        match future.as_mut().poll(&mut cx) {
            Poll::Ready(output) => return output,
            // A wake between the poll and the park leaves a token, so that `park` returns at once.
            Poll::Pending => thread::park(),
        }
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.unpark();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Sender, channel};

    use super::*;

    /// Says so when it is woken, or dropped.
    struct Says(&'static str, Sender<&'static str>);

    impl Wake for Says {
        fn wake(self: Arc<Self>) {
            self.1.send(self.0).unwrap();
        }
    }

    struct Held(Says);

    impl Drop for Held {
        fn drop(&mut self) {
            self.0.1.send(self.0.0).unwrap();
        }
    }

    #[test]
    fn who_waits_for_work_is_told_before_what_was_held_is_let_go() {
        let (said, says) = channel();
        let (begin, begun) = channel();
        let waker = Waker::from(Arc::new(Says("told", said.clone())));
        let runtime = RuntimeHandle::own().unwrap();
        let work = runtime.blocking_with(Held(Says("let go", said)), move || begun.recv().unwrap());
        let mut work = pin!(work);
        assert!(work.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        begin.send(7).unwrap();
        assert_eq!([says.recv(), says.recv()], [Ok("told"), Ok("let go")]);
        let Poll::Ready(done) = work.poll(&mut Context::from_waker(&waker)) else { panic!("it is done") };
        assert_eq!(done.unwrap(), 7);
    }
}
