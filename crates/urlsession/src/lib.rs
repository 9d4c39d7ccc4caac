//! A URL loading system: sessions, tasks, delegates and policies, for every platform.
//!
//! ```no_run
//! use urlsession::UrlSession;
//!
//! # async fn load() -> Result<(), urlsession::UrlError> {
//! let (data, response) = UrlSession::shared().data("https://example.com/").await?;
//! println!("{} bytes of {:?}", data.len(), response.mime_type());
//! # Ok(())
//! # }
//! ```
//!
//! The same from plain blocking code is `.data(…).wait()`, with a completion handler
//! [`data_task_with_handler`](UrlSession::data_task_with_handler), and call by call
//! [`data_task`](UrlSession::data_task) with a [`SessionDelegate`].
//!
//! # Features
//!
//! All are off by default. `keyring`: the passwords of the shared [`UrlCredentialStorage`] are in the platform's keyring.
//! `serde`: [`UrlRequest`] and [`HttpCookie`] can be serialized and deserialized; all their secrets are in what is
//! written.
//!
//! # The map
//!
//! The way of a request has one direction: session, task, protocol, layers, pool, wire, socket. A module
//! names only those to its right:
//!
//! `session ▸ task ▸ protocol ▸ transport ▸ auth ▸ configuration ▸ store ▸ load ▸ message ▸ env ▸ error ▸ proto`

// Unit tests may open files and sockets and read the clock (`clippy.toml`).
#![cfg_attr(test, allow(clippy::disallowed_methods, clippy::disallowed_types))]

#[macro_use]
mod setters;

mod auth;
mod configuration;
mod env;
mod error;
mod load;
mod message;
mod protocol;
mod session;
mod store;
mod task;
mod transport;

pub use bytes::Bytes;
pub use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version};
pub use url::Url;

pub use crate::configuration::{
    AppTransportSecurity, CertificateTransparencyLog, Configuration, ExceptionDomain, HttpVersions,
    MultipathServiceType, PinnedDomain, ProxyConfiguration, ProxyDictionary, ResumableUploads, TlsVersion,
    UploadStrategy,
};
pub use crate::env::DomainResolutionProtocol;
pub use crate::error::{NetworkUnavailableReason, Phase, Result, UnknownErrorCode, UrlError, UrlErrorCode};
pub use crate::load::{
    CacheBypass, CacheDecision, CacheLookup, CacheStorage, NotStored, RevalidationReason, StaleUse,
    UrlProtocol, UrlProtocolClass, UrlProtocolClient, UrlProtocolLoading, UrlProtocolTask, WaitReason,
};
pub use crate::message::{
    Attribution, BodyStream, BodyTrailers, CachePolicy, CachedUrlResponse, DataResponse, DigestAlgorithm,
    FormPart, HttpBody, HttpCookie, HttpCookieAcceptPolicy, HttpCookiePropertyKey, HttpCookieStringPolicy,
    HttpUrlResponse, IntoUrlRequest, InvalidBoundary, InvalidHeaderField, MultipartForm, NetworkServiceType,
    ResumeData, ResumeFailure, StoragePolicy, UrlRequest, UrlResponse,
};
pub use crate::message::{
    AuthChallengeDisposition, AuthenticationMethod, ServerTrust, UrlAuthenticationChallenge, UrlCredential,
    UrlCredentialPersistence, UrlProtectionSpace, UrlProtectionSpaceProtocol, UrlProtectionSpaceProxyType,
};
pub use crate::session::{DataTaskPublisher, DataTaskValues, SessionDelegate, Tasks, UrlSession};
pub use crate::store::{
    BackendResult, HstsStorage, HttpCookieBackend, HttpCookieChanges, HttpCookieStorage, KeptCookie,
    KeptCookieChanges, KeptCookieKey, KeptCredential, KeptResponse, UploadRecords, UploadServerStorage,
    UrlCache, UrlCacheBackend, UrlCredentialBackend, UrlCredentialStorage,
};
pub use crate::task::{
    AsyncBytes, BytesFuture, Changes, Characters, ContentDigest, DataFuture, DataTask, Decision,
    DelegateQueue, DownloadDestination, DownloadFuture, DownloadTask, DownloadedFile, HarEntry, HarLog,
    Lines, PersistError, Progress, ProgressChanges, QueueJob, ResourceFetchType, Responder,
    ResponseDisposition, SingleBytes, StateChanges, StreamTask, Task, TaskChange, TaskDelegate, TaskKind,
    TaskMetrics, TaskState, TransactionMetrics, UnicodeScalars, UploadFuture, UploadTask,
};

/// What a session takes from the outside world, for those who replace it: clocks, resolvers, networks.
pub mod environment {
    #[allow(clippy::disallowed_types)] // its name for applications
    pub use crate::env::SystemClock;
    pub use crate::env::{
        Clock, Dial, Environment, Interface, InterfaceKind, NetworkPath, PathStatus, Resolve, Socket,
        SystemNet, SystemPath, block_on,
    };
}
