//! Stop: a kept connection the server has closed, and a request that must not be lost or sent twice.

use urlsession::{IntoUrlRequest, UrlSession};
use urlsession_testkit::{After, Origin, Reply, Wire};

use super::page::Page;
use super::witness::Witness;
use super::{Outcome, PATIENCE, Stop, ensure, trusting};

pub(super) const STOP: Stop = Stop {
    title: "A POST survives a connection that was closed behind its back",
    why: "Servers close idle connections without notice; a POST must then go out once, not twice or never.",
    visit,
};

fn visit(page: &mut Page) -> Outcome {
    let origin = Origin::start(Wire::H1);
    let session = UrlSession::new(trusting(&origin));
    origin.enqueue("/first", Reply::new(200).body("kept?").then(After::SilentClose));
    let (witness, testimony) = Witness::new();
    session.data(origin.url("/first")).delegate(witness).wait()?;
    ensure(origin.wait_for(|journal| journal.closed == 1, PATIENCE), "the server closes the connection")?;
    page.say("GET /first answered; its connection was kept, and the server has closed it since");
    page.timelines(&testimony.metrics()?);

    let mut order = origin.url("/echo").into_url_request()?;
    order.set_http_method("POST")?;
    order.set_http_body("one pizza");
    let (witness, testimony) = Witness::new();
    let (body, _) = session.data(order).delegate(witness).wait()?;
    let posts = origin.requests().iter().filter(|request| request.method == "POST").count();
    page.say(format_args!(
        "POST /echo arrived {posts} time, over connection number {}",
        origin.connection_count()
    ));
    page.timelines(&testimony.metrics()?);
    ensure(&body[..] == b"one pizza", "the order is echoed")?;
    ensure(posts == 1 && origin.connection_count() == 2, "it arrives once, over a second connection")
}
