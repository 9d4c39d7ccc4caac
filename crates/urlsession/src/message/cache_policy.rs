//! `CachePolicy`: what a request wants of the cache. What comes of it is `protocol::http::caching`'s business.

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
    /// Always from the server. The answer is kept if it may be.
    #[doc(alias = "reloadIgnoringLocalCacheData")]
    #[doc(alias = "reloadIgnoringCacheData")]
    ReloadIgnoringLocalCacheData = 1,
    /// Any cached answer, however old; else from the server.
    #[doc(alias = "returnCacheDataElseLoad")]
    ReturnCacheDataElseLoad = 2,
    /// Any cached answer, however old; else fail with [`CannotLoadFromNetwork`](crate::UrlErrorCode::CannotLoadFromNetwork), as
    /// Apple documents it (its systems have been seen to give `ResourceUnavailable`). `file:` URLs, which are not cached, fail
    /// always; the other policies mean nothing to them.
    #[doc(alias = "returnCacheDataDontLoad")]
    ReturnCacheDataDontLoad = 3,
    /// Always from the origin server, past every cache.
    #[doc(alias = "reloadIgnoringLocalAndRemoteCacheData")]
    ReloadIgnoringLocalAndRemoteCacheData = 4,
    /// A cached answer only after the server confirmed it.
    #[doc(alias = "reloadRevalidatingCacheData")]
    ReloadRevalidatingCacheData = 5,
}
