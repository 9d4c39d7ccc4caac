//! From a URL's scheme to who loads it.
//!
//! It knows schemes only; the policies of HTTP are in `protocol::http`.

mod http;

use std::sync::Arc;

use self::http::Http;
use crate::configuration::Configuration;
use crate::load::Protocol;
use crate::message::UrlRequest;
use crate::transport::Pool;

/// The protocols of a session.
pub(crate) struct Protocols {
    pool: Arc<Pool>,
    http: Http,
}

impl Protocols {
    pub(crate) fn new(config: &Arc<Configuration>) -> Self {
        let pool = Pool::new(config.clone());
        let http = Http::new(config.clone(), pool.clone());
        Self { pool, http }
    }

    /// Who loads this request; `None` if nobody knows the scheme. The `url` crate has made it lower case.
    pub(crate) fn of(&self, request: &UrlRequest) -> Option<&dyn Protocol> {
        match request.url()?.scheme() {
            "http" | "https" => Some(&self.http),
            _ => None,
        }
    }

    /// New loads get new connections.
    pub(crate) fn flush(&self) {
        self.pool.give_up_connections();
    }

    /// As `flush`, and nothing is remembered of any server.
    pub(crate) fn reset(&self) {
        self.http.forget_logins();
        self.pool.forget_tls_sessions();
        self.pool.give_up_connections();
    }
}
