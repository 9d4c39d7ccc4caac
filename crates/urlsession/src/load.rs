//! The types of a load: what goes down the layers (`Attempt`), what comes back (`Response`), and the interfaces of
//! protocols, layers and tasks (`Protocol`, `Layer`, `TaskContext`).
//!
//! No decisions and no IO here.

mod activity;
mod decision;
pub(crate) mod detached;
pub(crate) mod events;
mod login;
mod peer;
mod route;
mod transaction;
mod upload;

use parking_lot::{Mutex, MutexGuard};
use std::any::Any;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use http::HeaderValue;
use smallvec::SmallVec;

pub use self::activity::WaitReason;
pub(crate) use self::activity::{Activity, IdlePause};
pub use self::decision::{
    CacheBypass, CacheDecision, CacheLookup, CacheStorage, NotStored, RevalidationReason, StaleUse,
};
pub(crate) use self::login::{ConnectionLogin, LoginUse, LoginUses};
pub(crate) use self::peer::{DecidedBy, Decider, PeerRecord};
pub(crate) use self::route::{Hop, ProxyKind, Route, RouteEnd};
pub(crate) use self::transaction::{
    ClientCertificate, ConnectionInfo, DialRecord, SentFields, SharedFields, Span, TransactionLog,
    TransactionRecord,
};
pub(crate) use self::upload::{UploadPoint, Uploading};
use crate::body::Body;
use crate::env::{Clock, ForbiddenNetworks, RuntimeHandle};
use crate::error::Result;
use crate::message::{
    AuthChallengeDisposition, BodyStream, DigestAlgorithm, UrlAuthenticationChallenge, UrlRequest,
    UrlResponse,
};

pub(crate) type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What loads the URLs of some schemes. The one dynamic boundary of a load.
pub(crate) trait Protocol: Send + Sync {
    fn load<'a>(&'a self, attempt: &'a mut Attempt<'_>) -> BoxFuture<'a, Result<Response>>;
}

/// A policy, or the wire at their end. Each policy owns the next one and calls it as often as it must.
pub(crate) trait Layer: Send + Sync {
    fn load(&self, attempt: &mut Attempt<'_>) -> impl Future<Output = Result<Response>> + Send;
}

/// The interface of a layer to its task: questions, events and properties.
pub(crate) trait TaskContext: TaskQuestions + TaskEvents + TaskProperties + UploadLink {}

impl<T: TaskQuestions + TaskEvents + TaskProperties + UploadLink> TaskContext for T {}

/// The questions of a layer to the task. The layer waits for the answers.
pub(crate) trait TaskQuestions: Send + Sync {
    /// The request to follow a redirect with, or `None` to keep the redirect response.
    fn redirect<'a>(
        &'a self,
        response: &'a UrlResponse,
        next: UrlRequest,
    ) -> BoxFuture<'a, Option<UrlRequest>>;

    /// What to do about a challenge. Without a delegate it is the default handling.
    fn challenge<'a>(
        &'a self,
        challenge: &'a UrlAuthenticationChallenge,
    ) -> BoxFuture<'a, AuthChallengeDisposition>;

    /// The handler of a connection's challenges; `None` if there is none.
    fn challenger(&self) -> Option<Arc<dyn ConnectionChallengeHandler>>;

    /// Another copy of the request's body stream without its first `offset` bytes; `None` if the application has none.
    fn new_body_from(&self, offset: u64) -> BoxFuture<'_, Option<BodyStream>>;

    /// True if a delegate decides what is cached.
    fn wants_will_cache(&self) -> bool;
}

/// The events that a layer reports to the task.
pub(crate) trait TaskEvents: Send + Sync {
    /// The request now being loaded.
    fn requesting(&self, request: &Arc<UrlRequest>);

    /// Its head has been handed to the wire, with these fields and by this protocol, an ALPN name.
    fn sends(&self, fields: &Arc<SentFields>, protocol: &'static str);

    /// Body bytes have been written.
    fn sent(&self, bytes: u64);

    /// As many were written by an earlier load.
    fn was_sent(&self, bytes: u64);

    /// True if a delegate receives informational responses.
    fn wants_informational(&self) -> bool;

    /// A 1xx response.
    fn informational(&self, response: UrlResponse);

    /// No network may be used, and the load waits for one.
    fn waiting_for_connectivity(&self);
}

/// The properties of the task that a layer may read. Layers do not change them.
pub(crate) trait TaskProperties: Send + Sync {
    /// The description of the task, which is about to load `current`.
    fn described(&self, current: &Arc<UrlRequest>) -> TaskDescription;

    /// True if the load was suspended or is over: no more bytes are to be moved in this poll. The code that halts the load
    /// wakes it when it continues.
    fn is_halted(&self) -> bool;

    /// True if the body is saved in a file, and therefore not cached.
    fn goes_to_file(&self) -> bool;

    /// 0 to 1. The load is polled again when it changes.
    fn priority(&self) -> f32;

    /// The same for as long as the response is read.
    fn lasting_priority(&self) -> Arc<dyn Priority>;
}

/// The description of a task for code outside the library.
#[derive(Clone, Debug)]
pub(crate) struct TaskDescription {
    pub(crate) identifier: u64,
    /// The application's own.
    pub(crate) label: Option<Arc<str>>,
    pub(crate) priority: f32,
    pub(crate) original: Arc<UrlRequest>,
    pub(crate) current: Arc<UrlRequest>,
}

/// What a resumable upload is to its task.
pub(crate) trait UploadLink: Send + Sync {
    /// How the upload begins, if the task is one. What is given once is not given again.
    fn upload(&self) -> Option<Uploading>;

    /// The algorithm of the digests of what is uploaded; `None` if there are to be none.
    fn digest(&self) -> Option<DigestAlgorithm>;

    /// Where the server keeps the upload from now on; `None`: nowhere any more.
    fn upload_stands(&self, point: Option<UploadPoint>);
}

/// Answers the challenges of a connection that outlives the load it was opened for, or also serves other loads.
pub(crate) trait ConnectionChallengeHandler: Send + Sync {
    fn challenge(
        self: Arc<Self>,
        challenge: UrlAuthenticationChallenge,
    ) -> BoxFuture<'static, (AuthChallengeDisposition, DecidedBy)>;

    /// The identifier of the task whose delegates are called.
    fn task(&self) -> u64;

    /// True if the task has a delegate of its own, which is called before the session's.
    fn is_of_task(&self) -> bool;
}

/// The current priority of a response.
pub(crate) trait Priority: Send + Sync {
    /// 0 to 1.
    fn priority(&self) -> f32;
}

/// One pass of a request down the layers.
pub(crate) struct Attempt<'a> {
    /// The request of this hop. It is never edited; what a layer sends beside it is in `added`.
    pub(crate) request: Arc<UrlRequest>,
    /// Header fields of the layers; a field of the request itself or of the configuration wins.
    pub(crate) added: SmallVec<[(&'static str, HeaderValue); 2]>,
    /// After a failure of a reused connection the next try takes a new one.
    pub(crate) wants_new_connection: bool,
    /// The server does not meet expectations (RFC 9110 §15.5.18): none is sent.
    pub(crate) expectation_failed: bool,
    /// `Expect: 100-continue` is sent before the body.
    pub(crate) expects: bool,
    /// The way to the server of the request.
    pub(crate) route: Route,
    /// What its connection must not lead over.
    pub(crate) forbidden: ForbiddenNetworks,
    /// Some authentication belongs to a connection: it is kept here from one exchange to the next.
    pub(crate) hold: Option<ConnectionPin>,
    /// What the exchange does about the login of its connection; `None` for nearly all.
    pub(crate) logins: Option<Arc<LoginUses>>,
    pub(crate) context: &'a dyn TaskContext,
    pub(crate) activity: &'a Activity,
    pub(crate) log: &'a mut TransactionLog,
    pub(crate) runtime: &'a RuntimeHandle,
    pub(crate) clock: &'a dyn Clock,
}

/// Keeps the connection of one exchange for the next one of the same attempt. Only the wire interprets its contents.
///
/// An empty one takes the connection once the response has been read to its end; a full one gives it back to the next
/// exchange, and does not get it again unless it is a lasting one.
#[derive(Clone, Default)]
pub(crate) struct ConnectionPin(Arc<Mutex<Held>>);

#[derive(Default)]
struct Held {
    connection: Option<Box<dyn Kept>>,
    is_lasting: bool,
    is_let_go: bool,
}

/// A connection that can be kept.
pub(crate) trait Kept: Any + Send {
    /// Gives it to others.
    fn release(self: Box<Self>);
}

impl ConnectionPin {
    /// For as many exchanges as follow each other, until it is [let go](Self::let_go).
    pub(crate) fn lasting() -> Self {
        Self(Arc::new(Mutex::new(Held { is_lasting: true, ..Held::default() })))
    }

    /// Keeps a connection, or releases it if no exchange waits for it any more.
    pub(crate) fn put(&self, connection: Box<dyn Kept>) {
        let mut held = self.lock();
        if held.is_let_go {
            drop(held);
            connection.release();
        } else {
            held.connection = Some(connection);
        }
    }

    pub(crate) fn take(&self) -> Option<Box<dyn Any + Send>> {
        let connection = self.lock().connection.take()?;
        Some(connection)
    }

    pub(crate) fn is_lasting(&self) -> bool {
        self.lock().is_lasting
    }

    /// No exchange follows: the connection is for others, now or once the response has been read.
    pub(crate) fn let_go(&self) {
        let mut held = self.lock();
        held.is_let_go = true;
        let connection = held.connection.take();
        drop(held);
        if let Some(connection) = connection {
            connection.release();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.0.lock()
    }
}

impl<'a> Attempt<'a> {
    /// The first pass of a load.
    #[inline]
    pub(crate) fn new(
        request: Arc<UrlRequest>,
        context: &'a dyn TaskContext,
        activity: &'a Activity,
        log: &'a mut TransactionLog,
        runtime: &'a RuntimeHandle,
        clock: &'a dyn Clock,
    ) -> Self {
        Self {
            request,
            added: SmallVec::new(),
            wants_new_connection: false,
            expectation_failed: false,
            expects: false,
            route: Route::Direct,
            forbidden: ForbiddenNetworks::default(),
            hold: None,
            logins: None,
            context,
            activity,
            log,
            runtime,
            clock,
        }
    }

    /// Begins a transaction: a hop, or a hop tried again.
    pub(crate) fn begin_transaction(&mut self) {
        if let Some(last) = self.log.last() {
            events::transaction_ended(self.log.len(), last);
        }
        events::transaction_began(self.log.len() + 1, &self.request);
        self.log.push(TransactionRecord::start(self.request.clone(), self.clock.now()));
    }

    /// The transaction in progress.
    pub(crate) fn transaction(&mut self) -> &mut TransactionRecord {
        if self.log.is_empty() {
            self.begin_transaction();
        }
        let last = self.log.len() - 1;
        &mut self.log[last]
    }

    /// True if the transaction in progress is with a server that only a delegate trusts.
    pub(crate) fn is_server_untrusted(&self) -> bool {
        self.connection().is_some_and(|connection| connection.is_overridden)
    }

    /// The certificate that was shown in the transaction in progress.
    pub(crate) fn client_certificate(&self) -> Option<&ClientCertificate> {
        self.connection()?.client_certificate.as_ref()
    }

    pub(crate) fn is_certificate_for_once(&self) -> bool {
        self.client_certificate().is_some_and(|certificate| certificate.is_for_once)
    }

    fn connection(&self) -> Option<&ConnectionInfo> {
        self.log.last()?.connection.as_deref()
    }
}

/// The result of a load.
pub(crate) struct Response {
    pub(crate) head: UrlResponse,
    pub(crate) body: Body,
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use super::*;

    struct Connection(Arc<AtomicUsize>);

    impl Kept for Connection {
        fn release(self: Box<Self>) {
            self.0.fetch_add(1, Relaxed);
        }
    }

    #[test]
    fn a_kept_connection_is_for_others_once_it_is_let_go_whichever_comes_first() {
        let released = Arc::new(AtomicUsize::new(0));
        let hold = ConnectionPin::lasting();
        hold.put(Box::new(Connection(released.clone())));
        assert!(hold.take().is_some_and(|connection| connection.is::<Connection>()));
        assert!(hold.take().is_none());
        hold.put(Box::new(Connection(released.clone())));
        assert_eq!(released.load(Relaxed), 0);
        hold.let_go();
        assert_eq!(released.load(Relaxed), 1);
        hold.put(Box::new(Connection(released.clone())));
        assert_eq!(released.load(Relaxed), 2);
        assert!(hold.take().is_none());
    }
}
