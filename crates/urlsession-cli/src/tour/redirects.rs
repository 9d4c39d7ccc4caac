//! Stop: a redirect chain, hop by hop.

use urlsession::UrlSession;
use urlsession_testkit::{Origin, Wire};

use super::page::Page;
use super::witness::{Event, Witness};
use super::{Outcome, Stop, ensure, trusting};

pub(super) const STOP: Stop = Stop {
    title: "A redirect chain, watched",
    why: "The delegate is asked at every hop and could refuse it or load something else instead.",
    visit,
};

fn visit(page: &mut Page) -> Outcome {
    let origin = Origin::start(Wire::TlsH2);
    let session = UrlSession::new(trusting(&origin));
    let (witness, testimony) = Witness::new();
    let (_, response) = session.data(origin.url("/redirect/2")).delegate(witness).wait()?;
    let mut hops = 0;
    let metrics = loop {
        match testimony.next()? {
            Event::Redirect(response, new_request) => {
                hops += 1;
                page.say(format_args!("{} to {new_request}", response.status_code()));
            }
            Event::Metrics(metrics) => break metrics,
            _ => {}
        }
    };
    page.say(format_args!("{} at {hops} hops", response.status_code().unwrap_or_default()));
    page.timelines(&metrics);
    ensure(hops == 2 && metrics.redirect_count == 2, "the chain has two hops")?;
    ensure(response.url().path() == "/jsonBody", "it ends at /jsonBody")?;
    ensure(origin.connection_count() == 1, "the whole chain takes one connection")
}
