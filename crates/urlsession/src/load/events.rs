//! The `tracing` output of the library: every span and event of sessions, tasks, transactions and connections, as
//! `docs/tracing.md` lists them. The stores emit their own warnings.
//!
//! Without a subscriber each costs one load of an atomic. The output contains no secrets: no user, password, query or
//! fragment of a URL, and no header field or body of a message.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use tracing::{Span, debug, debug_span, trace};
use url::Url;
use urlsession_proto::scheme::Scheme;

use super::transaction::{ConnectionInfo, TransactionRecord};
use crate::error::UrlError;
use crate::message::{AuthChallengeDisposition, UrlAuthenticationChallenge, UrlRequest};

/// The number of a session in this process.
pub(crate) fn session_created() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let session = NEXT.fetch_add(1, Relaxed);
    debug!(target: SESSION, session, "created");
    session
}

/// It takes no more tasks, and its last one is over.
pub(crate) fn session_invalidated(session: u64) {
    debug!(target: SESSION, session, "invalidated");
}

/// The span of a task, from its creation on: within that of whoever makes it.
#[inline]
pub(crate) fn task(session: u64, task: u64, kind: impl fmt::Debug, request: Option<&UrlRequest>) -> Span {
    debug_span!(
        target: TASK,
        "task",
        session,
        task,
        ?kind,
        method = request.map(|request| request.http_method().as_str()),
        url = request.map(|request| tracing::field::display(ShownUrl(request.url()))),
    )
}

/// A task's state is another.
#[inline]
pub(crate) fn task_state(span: &Span, state: impl fmt::Debug) {
    debug!(target: TASK, parent: span, ?state, "changed its state");
}

/// True if somebody hears how tasks end.
#[inline]
pub(crate) fn tells_ends() -> bool {
    tracing::enabled!(target: TASK, tracing::Level::DEBUG)
}

/// A task is over.
pub(crate) fn task_finished(span: &Span, error: Option<&UrlError>, sent: u64, received: u64) {
    match error {
        None => debug!(target: TASK, parent: span, sent, received, "finished"),
        Some(error) => {
            let (code, phase) = (error.code(), error.phase());
            debug!(target: TASK, parent: span, code = code.number(), name = code.name(), %phase, %error, sent, received, "failed");
        }
    }
}

/// A challenge has been answered.
pub(crate) fn challenged(
    span: &Span,
    challenge: &UrlAuthenticationChallenge,
    disposition: Option<&AuthChallengeDisposition>,
) {
    let space = challenge.protection_space();
    let disposition = disposition.map(|disposition| match disposition {
        AuthChallengeDisposition::UseCredential(_) => "use credential",
        AuthChallengeDisposition::PerformDefaultHandling => "default handling",
        AuthChallengeDisposition::CancelAuthenticationChallenge => "cancel",
        AuthChallengeDisposition::RejectProtectionSpace => "reject",
    });
    debug!(
        target: TASK,
        parent: span,
        method = ?space.authentication_method(),
        host = space.host(),
        port = space.port(),
        failures = challenge.previous_failure_count(),
        disposition,
        "was challenged"
    );
}

/// A request, of the loaded URL or of where it led, is about to be answered from somewhere.
#[inline]
pub(crate) fn transaction_began(number: usize, request: &UrlRequest) {
    trace!(
        target: TRANSACTION,
        number,
        method = request.http_method().as_str(),
        url = %ShownUrl(request.url()),
        "began"
    );
}

/// It has ended, well or not. Of a connection that was made before nothing is said.
#[inline]
pub(crate) fn transaction_ended(number: usize, record: &TransactionRecord) {
    debug!(
        target: TRANSACTION,
        number,
        method = record.request.http_method().as_str(),
        url = %ShownUrl(record.request.url()),
        status = record.response.as_ref().and_then(|response| response.status_code()),
        protocol = record.connection.as_deref().map(|connection| connection.protocol),
        reused = record.reused,
        dns_us = micros(made(record).and_then(|made| made.domain_lookup).map(|span| (span.start, span.end))),
        connect_us = micros(made(record).and_then(|made| made.connect).map(|span| (span.start, span.end))),
        tls_us = micros(made(record).and_then(|made| made.secure).map(|span| (span.start, span.end))),
        request_us = micros(record.request_start.map(|start| (start, record.request_end))),
        wait_us = micros(record.request_end.map(|start| (start, record.response_start))),
        response_us = micros(record.response_start.map(|start| (start, record.response_end))),
        sent = record.request_body_bytes,
        received = record.response_body_bytes,
        cache = record.cache.map(tracing::field::display),
        code = record.error.as_ref().map(|error| error.code().number()),
        "ended"
    );
}

/// How the connection of a transaction was made, if that was done for it.
fn made(record: &TransactionRecord) -> Option<&super::DialRecord> {
    let connection = record.connection.as_deref().filter(|_| !record.reused);
    connection.map(|connection| &connection.made).or(record.attempted.as_deref())
}

/// In microseconds.
fn micros(span: Option<(std::time::Instant, Option<std::time::Instant>)>) -> Option<u64> {
    let (start, end) = span?;
    u64::try_from(end?.saturating_duration_since(start).as_micros()).ok()
}

/// A redirect is followed.
pub(crate) fn redirected(status: Option<u16>, to: &Url) {
    debug!(target: TRANSACTION, status, to = %ShownUrl(to), "redirected");
}

/// A request that has failed is sent again.
pub(crate) fn retried(error: &UrlError, tries: usize) {
    debug!(target: TRANSACTION, code = error.code().number(), phase = %error.phase(), tries, "is tried again");
}

/// A connection has been made.
pub(crate) fn connection_opened(host: &str, port: u16, info: &ConnectionInfo) {
    debug!(
        target: CONNECTION,
        host,
        port,
        protocol = info.protocol,
        tls = info.peer.is_some(),
        proxy = info.made.is_proxy,
        local = info.made.local.map(tracing::field::display),
        remote = info.made.remote.map(tracing::field::display),
        "opened"
    );
}

/// A connection carries another exchange.
#[inline]
pub(crate) fn connection_reused(info: &ConnectionInfo) {
    trace!(
        target: CONNECTION,
        protocol = info.protocol,
        local = info.made.local.map(tracing::field::display),
        remote = info.made.remote.map(tracing::field::display),
        "reused"
    );
}

/// A connection has been closed by either end.
pub(crate) fn connection_closed(host: &str, port: u16) {
    debug!(target: CONNECTION, host, port, "closed");
}

/// Scheme, host, port and path: all else of a URL may be a secret.
struct ShownUrl<'a>(&'a Url);

impl fmt::Display for ShownUrl<'_> {
    #[allow(clippy::disallowed_methods)] // it is shown
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = self.0;
        if Scheme::of(url) == Scheme::Data || url.cannot_be_a_base() {
            return write!(f, "{}:", url.scheme());
        }
        write!(f, "{}://{}", url.scheme(), url.host_str().unwrap_or_default())?;
        if let Some(port) = url.port() {
            write!(f, ":{port}")?;
        }
        f.write_str(url.path())
    }
}

const SESSION: &str = "urlsession::session";
const TASK: &str = "urlsession::task";
const TRANSACTION: &str = "urlsession::transaction";
const CONNECTION: &str = "urlsession::connection";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_url_only_scheme_host_port_and_path_are_shown() {
        for (url, shown) in [
            ("https://me:s3cret@a:1/b/c?token=s3cret#s3cret", "https://a:1/b/c"),
            ("http://[::1]/?s3cret", "http://[::1]/"),
            ("file:///tmp/x", "file:///tmp/x"),
            ("data:,s3cret", "data:"),
            ("me:s3cret@a", "me:"),
        ] {
            assert_eq!(ShownUrl(&url.parse().unwrap()).to_string(), shown);
        }
    }
}
