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
//! Blocking code calls `.data(…).wait()`. [`data_task_with_handler`](UrlSession::data_task_with_handler) calls a completion
//! handler, and [`data_task`](UrlSession::data_task) reports each event to a [`SessionDelegate`].
//!
//! # Features
//!
//! All are off by default. `keyring`: the shared [`UrlCredentialStorage`](authentication::UrlCredentialStorage) keeps its
//! passwords in the platform's keyring. `serde`: [`UrlRequest`] and [`HttpCookie`](cookies::HttpCookie) can be serialized and
//! deserialized; the written form contains all their secrets. The crate `serde` itself is always a dependency, because resume
//! data and stores are written with it.
//!
//! # Where things are
//!
//! The root holds what most applications need. The rest is in modules: [`authentication`], [`bodies`], [`cache`], [`cookies`],
//! [`environment`], [`metrics`], [`network`], [`protocols`], [`security`], [`tasks`] and [`uploads`].
//!
//! # The map
//!
//! A request passes in one direction: session, task, protocol, layers, pool, wire, socket. A module uses only the modules to
//! its right:
//!
//! `session ▸ task ▸ protocol ▸ transport ▸ auth ▸ configuration ▸ store ▸ load ▸ body ▸ message ▸ env ▸ error ▸ proto`

// Unit tests may open files and sockets and read the clock (`clippy.toml`).
#![cfg_attr(test, allow(clippy::disallowed_methods, clippy::disallowed_types))]
// What modules share may have no user in a build without some of the features.
#![cfg_attr(
    not(all(
        feature = "brotli",
        feature = "cache",
        feature = "har",
        feature = "persistent-stores",
        feature = "zstd"
    )),
    allow(dead_code, unused_imports)
)]

#[macro_use]
mod setters;

mod auth;
mod body;
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

pub use crate::body::MultipartForm;
pub use crate::configuration::Configuration;
pub use crate::env::block_on;
pub use crate::error::{NetworkUnavailableReason, Phase, Result, UnknownErrorCode, UrlError, UrlErrorCode};
pub use crate::message::{
    BodyStream, CachePolicy, DataResponse, HttpBody, HttpUrlResponse, IntoUrlRequest, InvalidHeaderField,
    ResumeData, ResumeFailure, UrlRequest, UrlResponse,
};
pub use crate::session::{SessionDelegate, UrlSession};
pub use crate::task::{
    AsyncBytes, BytesFuture, DataFuture, DataTask, Decision, DelegateQueue, DownloadDestination,
    DownloadFuture, DownloadTask, DownloadedFile, PersistError, Progress, Responder, ResponseDisposition,
    StreamTask, Task, TaskDelegate, TaskState, UploadFuture, UploadTask,
};

/// Challenges, credentials and where credentials are stored.
pub mod authentication {
    pub use crate::message::{
        AuthChallengeDisposition, AuthenticationMethod, ServerTrust, UrlAuthenticationChallenge,
        UrlCredential, UrlCredentialPersistence, UrlProtectionSpace, UrlProtectionSpaceProtocol,
        UrlProtectionSpaceProxyType,
    };
    pub use crate::store::{BackendResult, KeptCredential, UrlCredentialBackend, UrlCredentialStorage};
}

/// Parts of bodies: the parts of forms, trailers, and the readers of bodies: text, single bytes, other traits.
pub mod bodies {
    pub use crate::body::{FormPart, InvalidBoundary};
    pub use crate::message::BodyTrailers;
    pub use crate::task::{BlockingReader, Characters, FuturesReader, Lines, SingleBytes, UnicodeScalars};
}

/// The cache, the interface for an application's own store, and what the cache did for a transaction.
pub mod cache {
    pub use crate::load::{
        CacheBypass, CacheDecision, CacheLookup, CacheStorage, NotStored, RevalidationReason, StaleUse,
    };
    pub use crate::message::{CachedUrlResponse, StoragePolicy};
    pub use crate::store::UrlCache;
    #[cfg(feature = "cache")]
    pub use crate::store::{BackendResult, KeptResponse, UrlCacheBackend};
}

/// Cookies, their storage, and the interface for an application's own store.
pub mod cookies {
    pub use crate::message::{
        HttpCookie, HttpCookieAcceptPolicy, HttpCookiePropertyKey, HttpCookieStringPolicy,
    };
    pub use crate::store::{
        BackendResult, HttpCookieBackend, HttpCookieChanges, HttpCookieStorage, KeptCookie,
        KeptCookieChanges, KeptCookieKey,
    };
}

/// What a task did and when, also as a log in the HAR 1.2 format.
pub mod metrics {
    pub use crate::env::DomainResolutionProtocol;
    #[cfg(feature = "har")]
    pub use crate::task::{HarEntry, HarLog};
    pub use crate::task::{ResourceFetchType, TaskMetrics, TransactionMetrics};
}

/// Proxies, HTTP versions, the service types of connections, and the attribution of loads.
pub mod network {
    pub use crate::configuration::{HttpVersions, MultipathServiceType, ProxyConfiguration, ProxyDictionary};
    pub use crate::message::{Attribution, NetworkServiceType};
}

/// Custom protocols, which load the requests that they claim.
pub mod protocols {
    pub use crate::configuration::UrlProtocolClass;
    pub use crate::protocol::{UrlProtocol, UrlProtocolClient, UrlProtocolLoading, UrlProtocolTask};
}

/// App Transport Security, pinned keys, certificate transparency, TLS versions, and the hosts that are loaded over TLS only.
pub mod security {
    pub use crate::configuration::{
        AppTransportSecurity, CertificateTransparencyLog, ExceptionDomain, PinnedDomain, TlsVersion,
    };
    pub use crate::store::HstsStorage;
}

/// What tasks report: changes, kinds, reasons to wait; and loads that can be repeated.
pub mod tasks {
    pub use crate::load::WaitReason;
    pub use crate::session::{DataTaskPublisher, DataTaskValues, Tasks};
    pub use crate::task::{
        Changes, ProgressChanges, QueueJob, RetryPolicy, StateChanges, TaskChange, TaskKind,
    };
}

/// Resumable uploads and digests of content.
pub mod uploads {
    pub use crate::configuration::{ResumableUploads, UploadStrategy};
    pub use crate::message::DigestAlgorithm;
    pub use crate::store::{UploadRecords, UploadServerStorage};
    pub use crate::task::ContentDigest;
}

/// What a session takes from the outside world, and an application can replace: clocks, resolvers, networks.
pub mod environment {
    #[allow(clippy::disallowed_types)] // its name for applications
    pub use crate::env::SystemClock;
    pub use crate::env::{
        Clock, Dial, Environment, Interface, InterfaceKind, NetworkPath, PathStatus, Resolve, Socket,
        SystemNet, SystemPath, UnixSocket,
    };
}
