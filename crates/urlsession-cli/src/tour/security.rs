//! Stop: no cleartext by accident.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use urlsession::environment::Resolve;
use urlsession::{UrlErrorCode, UrlSession};
use urlsession_testkit::{Origin, Reply, TestAuthority, Wire};

use super::page::Page;
use super::{Outcome, Stop, ensure, trusting};

pub(super) const STOP: Stop = Stop {
    title: "No cleartext by accident",
    why: "What travels in cleartext anybody may read and change: it is refused, and a host that wants TLS gets it.",
    visit,
};

/// Leads every name to the origin.
struct Everywhere(SocketAddr);

impl Resolve for Everywhere {
    fn resolve(
        &self,
        _: &str,
        _: u16,
    ) -> Option<Pin<Box<dyn Future<Output = std::io::Result<Vec<SocketAddr>>> + Send>>> {
        Some(Box::pin(std::future::ready(Ok(vec![self.0]))))
    }
}

fn visit(page: &mut Page) -> Outcome {
    let certificate = TestAuthority::new().leaf(&["shop.example", "www.shop.example", "blog.dev"]);
    let origin = Origin::builder().wire(Wire::TlsH1).certificate(certificate).start();
    let mut configuration = trusting(&origin);
    configuration.environment.resolver = Arc::new(Everywhere(origin.addr()));
    let session = UrlSession::new(configuration.clone());
    let url = |scheme: &str, host: &str| format!("{scheme}://{host}:{}/Peru", origin.port());

    let refused = |session: &UrlSession, host: &str| {
        let result = session.data(url("http", host)).wait();
        let code = UrlErrorCode::AppTransportSecurityRequiresSecureConnection;
        ensure(result.is_err_and(|error| error.code() == code), format!("cleartext to {host} is refused"))
    };
    refused(&session, "shop.example")?;
    page.say("http://shop.example is refused: cleartext (-1022), and nothing was sent");

    let reply = Reply::new(200).header("Strict-Transport-Security", "max-age=31536000; includeSubDomains");
    origin.enqueue("/Peru", reply.body("Lima"));
    session.data(url("https", "shop.example")).wait()?;
    page.say("https://shop.example says: Strict-Transport-Security: max-age=31536000; includeSubDomains");

    for host in ["shop.example", "www.shop.example", "blog.dev"] {
        let task = session.data(url("http", host)).wait()?;
        let loaded = task.1.url().scheme().to_owned();
        let why = if host == "blog.dev" { "every .dev wants TLS" } else { "it said so" };
        page.say(format_args!("http://{host} is loaded as {loaded}: {why}"));
        ensure(loaded == "https", format!("{host} is upgraded"))?;
    }
    let without = configuration.hsts_storage(None);
    refused(&UrlSession::new(without), "blog.dev")?;
    ensure(
        origin.requests().iter().all(|request| request.tls.is_some()),
        "no request ever travels in cleartext",
    )
}
