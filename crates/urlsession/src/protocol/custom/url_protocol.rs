//! `UrlProtocol`: what an application implements to load URLs itself, and the list of those of the whole process.
//!
//! Who is chosen, started and stopped is decided in `protocol::custom`. Apple: *URLProtocol*.

use parking_lot::{Mutex, MutexGuard};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::client::{UrlProtocolClient, UrlProtocolTask};
use crate::configuration::UrlProtocolClass;
use crate::error::Result;
use crate::message::UrlRequest;

/// Loads URLs in place of the library: those of schemes of its own, or any others that it claims.
///
/// One value serves many loads, at the same time and from several threads; what belongs to one load lives in the
/// future that [`start_loading`](Self::start_loading) returns. It is set in
/// [`Configuration::protocol_classes`](field@crate::Configuration::protocol_classes), or
/// [registered](UrlProtocolClass::register_class) for the shared session.
///
/// It is asked about the request of a task, and about the one that a redirect of a custom protocol leads to; redirects
/// that HTTP follows itself stay with HTTP. Its responses are not cached, and it raises no authentication challenges.
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
/// One that only watches or changes what goes over the network loads through another session, of which it is not a
/// protocol. Where it is (the shared session, if it is registered), it marks the requests it has handled with
/// [`UrlRequest::set_property`] and does not claim them again.
#[doc(alias = "URLProtocol")]
pub trait UrlProtocol: Send + Sync {
    /// Whether it loads this request. It must not block.
    #[doc(alias = "canInit(with:)")]
    fn can_init(&self, request: &UrlRequest) -> bool;

    /// Whether it loads the [current request](UrlProtocolTask::current_request) of this task. This is what is asked; by
    /// default it asks [`can_init`](Self::can_init).
    #[doc(alias = "canInit(with:)")]
    fn can_init_with_task(&self, task: &UrlProtocolTask) -> bool {
        self.can_init(task.current_request())
    }

    /// The form of a request that stands for all that mean the same; by default the request itself. What is given
    /// here is loaded, and becomes the task's current request.
    #[doc(alias = "canonicalRequest(for:)")]
    fn canonical_request(&self, request: UrlRequest) -> UrlRequest {
        request
    }

    /// Loads, by telling the client: of the response, of its data piece by piece, and of the end.
    ///
    /// The future is polled where the task is, on the application's runtime or the library's I/O thread, so it must
    /// not block. While the task is suspended it is not polled. It is dropped when the load is over, has failed or
    /// is cancelled. An error it ends with fails the load as [`did_fail`](UrlProtocolClient::did_fail) does. It may
    /// end before the load does, if it has given a clone of the client to somebody else: to a thread, for example,
    /// which waits with [`block_on`](crate::block_on) where it has to.
    ///
    /// A load whose last client is dropped before [`did_finish_loading`](UrlProtocolClient::did_finish_loading) has
    /// failed.
    #[doc(alias = "startLoading()")]
    #[doc(alias = "init(task:cachedResponse:client:)")]
    #[doc(alias = "init(request:cachedResponse:client:)")]
    fn start_loading(&self, client: UrlProtocolClient) -> UrlProtocolLoading;

    /// The load of this task is over, for whatever reason: called once for every
    /// [`start_loading`](Self::start_loading), after its future has been dropped. Nothing the client says any more
    /// is heard. Does nothing by default: most have nothing to do that dropping their future does not do.
    #[doc(alias = "stopLoading()")]
    fn stop_loading(&self, task: &UrlProtocolTask) {
        let _ = task;
    }
}

/// A load of a custom protocol, under way.
pub type UrlProtocolLoading = Pin<Box<dyn Future<Output = Result<()>> + Send>>;

impl UrlProtocolClass {
    /// A protocol to set in a configuration or to register.
    pub fn new(protocol: impl UrlProtocol + 'static) -> Self {
        Self::of(Arc::new(protocol))
    }

    /// Lets it load requests of the shared session; the last one registered is asked first. Returns false, changing
    /// nothing, if it is registered. Other sessions have
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

    /// Undoes [`register_class`](Self::register_class); loads under way go on. Returns whether it was registered.
    #[doc(alias = "unregisterClass(_:)")]
    pub fn unregister_class(&self) -> bool {
        let mut registered = registered();
        let before = registered.len();
        registered.retain(|known| known != self);
        COUNT.store(registered.len(), Relaxed);
        registered.len() < before
    }
}

/// Those registered, the last one first. Without any it costs no lock.
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

/// How many are registered.
static COUNT: AtomicUsize = AtomicUsize::new(0);
