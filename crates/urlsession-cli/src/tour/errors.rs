//! Stop: errors that say what went wrong, where, and what to do.

use std::future::ready;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use urlsession::environment::Resolve;
use urlsession::{Configuration, UrlErrorCode, UrlSession};
use urlsession_testkit::{Origin, TestAuthority, Wire};

use super::page::Page;
use super::witness::Witness;
use super::{Outcome, Stop, ensure};

pub(super) const STOP: Stop = Stop {
    title: "Errors that say what to do",
    why: "An error has Apple's code, the step that failed, and a sentence a person can act on.",
    visit,
};

fn visit(page: &mut Page) -> Outcome {
    let origin = Origin::builder().wire(Wire::TlsH1).certificate(TestAuthority::new().self_signed()).start();
    let configuration = Configuration::ephemeral;

    let refused = format!("https://127.0.0.1:{}/", origin.closed_port());
    fails(page, configuration(), &refused, UrlErrorCode::CannotConnectToHost)?;
    fails(page, configuration(), &origin.url("/"), UrlErrorCode::ServerCertificateUntrusted)?;

    let asked = Arc::new(AtomicBool::new(false));
    let mut watched = configuration();
    watched.environment.resolver = Arc::new(Nowhere(asked.clone()));
    let code = UrlErrorCode::AppTransportSecurityRequiresSecureConnection;
    fails(page, watched, "http://example.com/", code)?;
    ensure(!asked.load(Ordering::Relaxed), "App Transport Security refuses before the network is touched")
}

fn fails(page: &mut Page, configuration: Configuration, url: &str, code: UrlErrorCode) -> Outcome {
    let (witness, testimony) = Witness::new();
    let result = UrlSession::new(configuration).data(url).delegate(witness).wait();
    let error = result.err().ok_or_else(|| format!("{url} was loaded"))?;
    page.say(format_args!("{error}"));
    page.timelines(&testimony.metrics()?);
    ensure(error.code() == code, format!("the code is {}", code.number()))
}

/// A resolver that knows nobody and remembers that it was asked.
struct Nowhere(Arc<AtomicBool>);

impl Resolve for Nowhere {
    fn resolve(
        &self,
        _: &str,
        _: u16,
    ) -> Option<Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>> {
        self.0.store(true, Ordering::Relaxed);
        Some(Box::pin(ready(Ok(Vec::new()))))
    }
}
