//! HTTP: the order of its policies, one file each.
//!
//! The first policy listed sees the request first and the response last. No policy depends on the others.

mod auth;
mod cache_request;
#[cfg(feature = "cache")]
mod caching;
#[cfg(not(feature = "cache"))]
#[path = "http/no_caching.rs"]
mod caching;
mod coding;
mod connectivity;
mod cookies;
mod defaults;
pub(super) mod discard;
mod exchange;
mod expectation;
mod hsts;
mod redirect;
mod resumable_upload;
mod retry;
mod routing;
mod security;
#[cfg(test)]
mod test_support;

use std::sync::Arc;

use self::auth::Auth;
use self::caching::{Caching, ShownCertificates};
use self::coding::Coding;
use self::connectivity::Connectivity;
use self::cookies::{Cookies, SetCookies};
use self::defaults::warn_of_reserved;
use self::exchange::Exchange;
use self::expectation::Expectation;
use self::hsts::Hsts;
use self::redirect::Redirect;
use self::resumable_upload::ResumableUpload;
use self::retry::Retry;
use self::routing::Routing;
use self::security::Security;
use crate::auth::LoginCache;
use crate::configuration::Configuration;
use crate::env::SystemGssapi;
use crate::error::Result;
use crate::load::{Attempt, BoxFuture, Layer, Protocol, Response};
use crate::transport::Pool;

/// The order of the policies:
///
/// 1. `Redirect`: every hop starts afresh
/// 2. `ResumableUpload`: every hop of an upload may take several requests, which all below see one by one
/// 3. `Security`: sees the URL of every hop, and may change it, which all below must know
/// 4. `Routing`: for the URL that is loaded; a proxy on the way asks who one is
/// 5. `Auth`: repeats a hop with credentials, for the server or the proxy
/// 6. `Cookies`: sends them; above the cache, whose entries may vary by them
/// 7. `Coding`: above the cache, which keeps coded bytes
/// 8. `Caching`: all below it costs network
/// 9. `Hsts`: reads what each response of the network says, 401s and confirmations included
/// 10. `SetCookies`: stores what each response of the network sets
/// 11. `Connectivity`: a cached answer needs no network
/// 12. `Retry`: repeats only what failed on the wire
/// 13. `Expectation`: a server that is asked before the body is sent
/// 14. `Exchange`: the wire
type HttpLoader<W = Expectation<Exchange>> = Redirect<
    ResumableUpload<
        Security<Routing<Auth<Cookies<Coding<Caching<Hsts<SetCookies<Connectivity<Retry<W>>>>>>>>>>,
    >,
>;

/// The loader of `http` and `https`.
pub(super) struct Http {
    loader: HttpLoader,
    certificates: Arc<ShownCertificates>,
}

impl Http {
    pub(super) fn new(config: Arc<Configuration>, pool: Arc<Pool>, logins: Arc<LoginCache>) -> Self {
        warn_of_reserved(&config);
        let exchange = Exchange::new(&config, pool.clone());
        let connectivity = Connectivity::new(config.clone(), Retry::new(Expectation::new(&config, exchange)));
        let network = Hsts::new(config.hsts_storage.clone(), SetCookies::new(config.clone(), connectivity));
        let certificates = Arc::<ShownCertificates>::default();
        let caching = Caching::new(config.clone(), certificates.clone(), network);
        let cookies = Cookies::new(config.clone(), Coding::new(caching).of(&config));
        let storage = config.url_credential_storage.clone();
        let auth = Auth::new(storage, Arc::new(SystemGssapi), logins, cookies)
            .with_negotiate_domains(&config)
            .behind_proxy(&config);
        let resumption =
            ResumableUpload::new(config.clone(), Security::new(config, Routing::new(pool, auth)));
        Self { loader: Redirect::new(resumption), certificates }
    }

    /// No certificate is known to be shown.
    pub(super) fn forget_certificates(&self) {
        self.certificates.clear();
    }
}

impl Protocol for Http {
    fn load<'a>(&'a self, attempt: &'a mut Attempt<'_>) -> BoxFuture<'a, Result<Response>> {
        Box::pin(self.loader.load(attempt))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::{RuntimeHandle, SystemClock};
    use crate::load::detached::DetachedContext;
    use crate::load::{Activity, TransactionLog};
    use crate::message::UrlRequest;

    /// glibc serves larger allocations from a list that all threads share, at several times the cost.
    #[test]
    fn what_a_load_needs_while_it_waits_is_a_small_allocation() {
        let config = Arc::new(Configuration::ephemeral());
        let logins = Arc::<LoginCache>::default();
        let http = Http::new(config.clone(), Pool::new(config, logins.clone()), logins);
        let request = Arc::new(UrlRequest::new("http://a/".parse().unwrap()));
        let (context, activity, mut log, runtime) = (
            DetachedContext::default(),
            Activity::default(),
            TransactionLog::new(),
            RuntimeHandle::own().unwrap(),
        );
        let mut attempt = Attempt::new(request, &context, &activity, &mut log, &runtime, &SystemClock);
        let load = http.load(&mut attempt);
        assert!(size_of_val(&*load) <= 1032, "{} bytes", size_of_val(&*load));
    }
}
