//! What outlives a load: the stores of a session. Each is one module with one public type.
//!
//! A store stores and finds data; the policies of `protocol/` decide which load uses it, and how.

mod application;
mod bounded_map;
#[cfg(feature = "cache")]
pub(crate) mod cache;
#[cfg(not(feature = "cache"))]
#[path = "store/no_cache.rs"]
mod cache;
mod cookies;
mod credentials;
#[cfg(feature = "persistent-stores")]
mod database;
mod hsts;
#[cfg(feature = "persistent-stores")]
mod key_file;
mod persistent;
mod upload_records;
mod upload_servers;
pub use application::BackendResult;
pub use cache::UrlCache;
#[cfg(feature = "cache")]
pub use cache::{KeptResponse, UrlCacheBackend};
pub(crate) use cookies::Visit;
pub use cookies::{
    HttpCookieBackend, HttpCookieChanges, HttpCookieStorage, KeptCookie, KeptCookieChanges, KeptCookieKey,
};
pub use credentials::{KeptCredential, UrlCredentialBackend, UrlCredentialStorage};
pub use hsts::HstsStorage;
pub(crate) use upload_records::UploadRecord;
pub use upload_records::UploadRecords;
pub(crate) use upload_servers::ServerSupport;
pub use upload_servers::UploadServerStorage;
