//! `UrlProtocol`: what an application implements to load URLs itself, and the protocols registered in this process.
//!
//! `protocol::custom` chooses, starts and stops protocols. Apple: *URLProtocol*.

use parking_lot::{Mutex, MutexGuard};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::client::{UrlProtocolClient, UrlProtocolTask};
use crate::configuration::UrlProtocolClass;
use crate::error::Result;
use crate::message::UrlRequest;

/// A protocol of the application that loads URLs in place of the library: URLs of its own schemes, or any others.
///
/// One value serves many loads, at the same time and from several threads; the state of one load lives in the
/// future that [`start_loading`](Self::start_loading) returns. Set a protocol in
/// [`Configuration::protocol_classes`](field@crate::Configuration::protocol_classes), or
/// [register](UrlProtocolClass::register_class) it for the shared session.
///
/// The session offers it the request of each task, and the new request of each redirect of a custom protocol. The library
/// loads the redirects of HTTP by HTTP. Responses are not cached, and a protocol issues no authentication challenges.
///
/// A method that panics fails the task.
///
/// ```
/// use urlsession::protocols::{UrlProtocol, UrlProtocolClass, UrlProtocolClient, UrlProtocolLoading};
/// use urlsession::{Configuration, UrlRequest, UrlResponse, UrlSession};
///
/// struct Greeting;
///
/// impl UrlProtocol for Greeting {
///     fn can_init(&self, request: &UrlRequest) -> bool {
///         request.url().scheme() == "greeting"
///     }
///
///     fn start_loading(&self, client: UrlProtocolClient) -> UrlProtocolLoading {
///         Box::pin(async move {
///             let url = client.request().url().clone();
///             client.did_receive_response(UrlResponse::new(url, Some("text/plain"), None, None));
///             client.did_load("hello, ").await?;
///             client.did_load("world").await?;
///             client.did_finish_loading();
///             Ok(())
///         })
///     }
/// }
///
/// let mut configuration = Configuration::ephemeral();
/// configuration.protocol_classes.push(UrlProtocolClass::new(Greeting));
/// let (data, _) = UrlSession::new(configuration).data("greeting:").wait()?;
/// assert_eq!(data, "hello, world");
/// # Ok::<(), urlsession::UrlError>(())
/// ```
///
/// A protocol that only observes or changes requests loads them through another session, which does not use this
/// protocol. In a session that uses it, such as the shared session, the protocol marks the requests it has handled
/// with [`UrlRequest::set_property`] and does not claim them again.
#[doc(alias = "URLProtocol")]
pub trait UrlProtocol: Send + Sync {
    /// Whether this protocol loads the request. Must not block.
    #[doc(alias = "canInit(with:)")]
    fn can_init(&self, request: &UrlRequest) -> bool;

    /// Whether this protocol loads the [current request](UrlProtocolTask::current_request) of the task. The session calls
    /// this method. Default: the result of [`can_init`](Self::can_init). Must not block.
    #[doc(alias = "canInit(with:)")]
    fn can_init_with_task(&self, task: &UrlProtocolTask) -> bool {
        self.can_init(task.current_request())
    }

    /// The canonical form of the request: equivalent requests have the same form. Default: the request itself. The
    /// canonical request is loaded, and becomes the task's current request.
    #[doc(alias = "canonicalRequest(for:)")]
    fn canonical_request(&self, request: UrlRequest) -> UrlRequest {
        request
    }

    /// Loads the request, and passes the response, the data piece by piece, and the end to the client.
    ///
    /// The future is polled with the task, on the application's runtime or the library's I/O thread, so it must
    /// not block. While the task is suspended, the future is not polled. It is dropped when the load is over, has failed
    /// or is cancelled. An error that it returns fails the load, as [`did_fail`](UrlProtocolClient::did_fail) does. The
    /// future may end before the load if another owner holds a clone of the client: for example a thread, which waits
    /// with [`block_on`](crate::block_on).
    ///
    /// If the last client is dropped before [`did_finish_loading`](UrlProtocolClient::did_finish_loading), the load
    /// fails.
    #[doc(alias = "startLoading()")]
    #[doc(alias = "init(task:cachedResponse:client:)")]
    #[doc(alias = "init(request:cachedResponse:client:)")]
    fn start_loading(&self, client: UrlProtocolClient) -> UrlProtocolLoading;

    /// Called when the load of this task is over, for any reason: once for every
    /// [`start_loading`](Self::start_loading), after its future has been dropped. Later calls of the client have no
    /// effect. Default: does nothing, because dropping the future is enough for most protocols.
    #[doc(alias = "stopLoading()")]
    fn stop_loading(&self, task: &UrlProtocolTask) {
        let _ = task;
    }
}

/// A running load of a custom protocol, as [`UrlProtocol::start_loading`] returns it.
pub type UrlProtocolLoading = Pin<Box<dyn Future<Output = Result<()>> + Send>>;

impl UrlProtocolClass {
    /// Wraps a protocol, to set it in a configuration or to register it.
    pub fn new(protocol: impl UrlProtocol + 'static) -> Self {
        Self::of(Arc::new(protocol))
    }

    /// Registers the protocol for the shared session, which tries the last one registered first. Returns `false`, and
    /// changes nothing, if the protocol is already registered. Other sessions use
    /// [`protocol_classes`](field@crate::Configuration::protocol_classes).
    #[doc(alias = "registerClass(_:)")]
    pub fn register_class(&self) -> bool {
        let mut registered = registered();
        if registered.contains(self) {
            return false;
        }
        registered.push(self.clone());
        COUNT.store(registered.len(), Relaxed);
        true
    }

    /// Undoes [`register_class`](Self::register_class); running loads continue. Returns whether it was registered.
    #[doc(alias = "unregisterClass(_:)")]
    pub fn unregister_class(&self) -> bool {
        let mut registered = registered();
        let before = registered.len();
        registered.retain(|known| known != self);
        COUNT.store(registered.len(), Relaxed);
        registered.len() < before
    }
}

/// The registered protocols, the last one first. Takes no lock if there are none.
pub(super) fn all_registered() -> Vec<UrlProtocolClass> {
    match COUNT.load(Relaxed) {
        0 => Vec::new(),
        _ => registered().iter().rev().cloned().collect(),
    }
}

fn registered() -> MutexGuard<'static, Vec<UrlProtocolClass>> {
    static REGISTERED: Mutex<Vec<UrlProtocolClass>> = Mutex::new(Vec::new());
    REGISTERED.lock()
}

/// The number of registered protocols.
static COUNT: AtomicUsize = AtomicUsize::new(0);
