//! Selects what loads a request: first the protocols of the application, then those of the library by the URL's scheme.
//!
//! It handles schemes only; the policies of HTTP are in `protocol::http`.

mod custom;
mod data;
mod file;
mod http;

use std::future::ready;
use std::sync::Arc;

use urlsession_proto::scheme::Scheme;

use self::custom::Custom;
pub use self::custom::{UrlProtocol, UrlProtocolClient, UrlProtocolLoading, UrlProtocolTask};
use self::data::DataUrls;
use self::file::Files;
use self::http::Http;
pub(crate) use self::http::discard::drain;
use crate::auth::LoginCache;
use crate::configuration::{Configuration, UrlProtocolClass};
use crate::error::{Phase, Result, UrlError, UrlErrorCode};
use crate::load::{Attempt, BoxFuture, Protocol, Response};
use crate::message::UrlRequest;
use crate::transport::Pool;

/// The protocols of a session.
pub(crate) struct Protocols {
    pool: Arc<Pool>,
    /// Logins at servers and proxies.
    logins: Arc<LoginCache>,
    custom: Custom,
    http: Http,
    files: Files,
}

impl Protocols {
    pub(crate) fn new(config: &Arc<Configuration>) -> Self {
        let logins = Arc::<LoginCache>::default();
        let pool = Pool::new(config.clone(), logins.clone());
        let http = Http::new(config.clone(), pool.clone(), logins.clone());
        let files = Files::new(config);
        Self { pool, logins, custom: Custom::new(config.clone()), http, files }
    }

    /// Loads by the first protocol that claims the request.
    pub(crate) fn load<'a>(&'a self, attempt: &'a mut Attempt<'_>) -> BoxFuture<'a, Result<Response>> {
        let classes = self.custom.classes();
        match classes.is_empty() {
            true => self.load_built_in(attempt),
            false => Box::pin(self.load_custom(classes, attempt)),
        }
    }

    /// Uses the protocols registered for the shared session, too.
    pub(crate) fn ask_registered(&self) {
        self.custom.ask_registered();
    }

    async fn load_custom(
        &self,
        classes: Vec<UrlProtocolClass>,
        attempt: &mut Attempt<'_>,
    ) -> Result<Response> {
        let mut hops = 0;
        while let Some(protocol) = custom::claim(&classes, attempt)? {
            match protocol.load(attempt, hops).await {
                Ok(Some(response)) => return Ok(response),
                Ok(None) => hops += 1,
                Err(error) => return Err(error.with_url(attempt.request.url())),
            }
        }
        self.load_built_in(attempt).await
    }

    /// Loads by HTTP, even if a custom protocol would claim the request.
    pub(crate) fn load_http<'a>(&'a self, attempt: &'a mut Attempt<'_>) -> BoxFuture<'a, Result<Response>> {
        self.http.load(attempt)
    }

    fn load_built_in<'a>(&'a self, attempt: &'a mut Attempt<'_>) -> BoxFuture<'a, Result<Response>> {
        match Scheme::of(attempt.request.url()) {
            Scheme::Http | Scheme::Https => self.http.load(attempt),
            Scheme::Data => DataUrls.load(attempt),
            Scheme::File => self.files.load(attempt),
            _ => Box::pin(ready(Err(unsupported(&attempt.request)))),
        }
    }

    /// New loads get new connections.
    pub(crate) fn flush(&self) {
        self.pool.give_up_connections();
    }

    /// As `flush`, and forgets logins, certificates and TLS sessions of all servers.
    pub(crate) fn reset(&self) {
        self.logins.clear();
        self.http.forget_certificates();
        self.pool.forget_sessions();
        self.pool.give_up_connections();
    }
}

#[allow(clippy::disallowed_methods)] // it is shown
fn unsupported(request: &UrlRequest) -> UrlError {
    let detail = format!("no protocol loads the scheme {:?}; set protocol_classes", request.url().scheme());
    UrlError::new(UrlErrorCode::UnsupportedUrl, Phase::Request, detail).with_url(request.url())
}
