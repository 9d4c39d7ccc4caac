//! Stop: one load in each of the three styles, on each wire.

use std::sync::mpsc;

use urlsession::block_on;
use urlsession::{Bytes, DelegateQueue, UrlResponse, UrlSession};
use urlsession_testkit::{Origin, Wire};

use super::page::Page;
use super::witness::{Event, Testimony, Witness};
use super::{Outcome, PATIENCE, Stop, ensure, trusting};

pub(super) const STOP: Stop = Stop {
    title: "Three styles on three wires",
    why: "A future, a completion handler and a delegate load alike, and each finds the connection kept warm.",
    visit,
};

type Loaded = Result<(Bytes, UrlResponse), Box<dyn std::error::Error>>;

fn visit(page: &mut Page) -> Outcome {
    let wires = [
        (Wire::H1, "HTTP/1.1 in cleartext", "http/1.1"),
        (Wire::TlsH1, "HTTP/1.1 in TLS", "http/1.1"),
        (Wire::TlsH2, "HTTP/2 in TLS", "h2"),
    ];
    for (wire, name, protocol) in wires {
        let origin = Origin::start(wire);
        let (witness, testimony) = Witness::new();
        let session = UrlSession::with_task_delegate(trusting(&origin), witness, DelegateQueue::serial());
        let styles: [(&str, &dyn Fn() -> Loaded); 3] = [
            ("async", &|| Ok(block_on(session.data(origin.url("/Nepal")).into_future())?)),
            ("handler", &|| by_handler(&session, &origin)),
            ("delegate", &|| by_delegate(&session, &origin, &testimony)),
        ];
        for (style, load) in styles {
            let (body, response) = load()?;
            let text = String::from_utf8_lossy(&body);
            page.say(format_args!("{name}, {style}: {text:?}"));
            ensure(text == "Kathmandu", "the capital of Nepal is Kathmandu")?;
            ensure(response.status_code() == Some(200), "the status is 200")?;
            let metrics = testimony.metrics()?;
            page.timelines(&metrics);
            let spoken = metrics.transaction_metrics.iter().map(|one| one.network_protocol_name);
            ensure(spoken.eq([Some(protocol)]), format!("one transaction, over {protocol}"))?;
        }
        ensure(origin.connection_count() == 1, "three loads share one connection")?;
    }
    Ok(())
}

fn by_handler(session: &UrlSession, origin: &Origin) -> Loaded {
    let (sender, result) = mpsc::channel();
    let handler = move |result| drop(sender.send(result));
    session.data_task_with_handler(origin.url("/Nepal"), handler).resume();
    Ok(result.recv_timeout(PATIENCE)??)
}

/// Metrics come between data and completion: they are left for the caller.
fn by_delegate(session: &UrlSession, origin: &Origin, testimony: &Testimony) -> Loaded {
    session.data_task(origin.url("/Nepal")).resume();
    let Event::Response(response) = testimony.next()? else { return Err("the response comes first".into()) };
    let mut body = Vec::new();
    while body.len() < "Kathmandu".len() {
        let Event::Data(data) = testimony.next()? else { return Err("data comes next".into()) };
        body.extend_from_slice(&data);
    }
    Ok((body.into(), response))
}
