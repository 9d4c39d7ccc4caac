//! `CachePolicy`: how a request uses the cache. `protocol::http::caching` carries the policy out.

/// How a load uses the cache. Numbers are Apple's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[doc(alias = "URLRequest.CachePolicy")]
#[doc(alias = "NSURLRequest.CachePolicy")]
pub enum CachePolicy {
    /// By the rules of the protocol.
    #[default]
    #[doc(alias = "useProtocolCachePolicy")]
    UseProtocolCachePolicy = 0,
    /// Always from the server. The response is kept if it may be.
    #[doc(alias = "reloadIgnoringLocalCacheData")]
    #[doc(alias = "reloadIgnoringCacheData")]
    ReloadIgnoringLocalCacheData = 1,
    /// Any cached response, however old; else from the server.
    #[doc(alias = "returnCacheDataElseLoad")]
    ReturnCacheDataElseLoad = 2,
    /// Any cached response, however old; else the load fails with
    /// [`CannotLoadFromNetwork`](crate::UrlErrorCode::CannotLoadFromNetwork), as Apple documents it (Apple's systems have been
    /// seen to give `ResourceUnavailable`). `file:` URLs are not cached and always fail with this policy; the other policies
    /// have no effect on them.
    #[doc(alias = "returnCacheDataDontLoad")]
    ReturnCacheDataDontLoad = 3,
    /// Always from the origin server, past every cache.
    #[doc(alias = "reloadIgnoringLocalAndRemoteCacheData")]
    ReloadIgnoringLocalAndRemoteCacheData = 4,
    /// A cached response only after the server has confirmed it.
    #[doc(alias = "reloadRevalidatingCacheData")]
    ReloadRevalidatingCacheData = 5,
}
