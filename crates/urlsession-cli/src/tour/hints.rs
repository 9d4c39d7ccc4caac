//! Stop: an informational response before the real one.

use urlsession::UrlSession;
use urlsession_testkit::{Gate, Origin, Reply, Wire};

use super::page::Page;
use super::witness::{Event, Witness};
use super::{Outcome, PATIENCE, Stop, ensure, trusting};

pub(super) const STOP: Stop = Stop {
    title: "103 Early Hints",
    why: "A page can begin to fetch its style sheet while the server still thinks about the page.",
    visit,
};

fn visit(page: &mut Page) -> Outcome {
    let origin = Origin::start(Wire::TlsH2);
    let thinking = Gate::new();
    let hints = [("Link", "</style.css>; rel=preload; as=style")];
    let reply = Reply::new(200).body("the page").informational(103, &hints).after(thinking.clone());
    origin.enqueue("/page", reply);
    let session = UrlSession::new(trusting(&origin));
    let (witness, testimony) = Witness::new();
    let load = session.data(origin.url("/page")).delegate(witness);
    let load = std::thread::spawn(move || load.wait());

    let Event::Informational(hint) = testimony.next()? else { return Err("the hint comes first".into()) };
    ensure(thinking.wait_reached(PATIENCE) && !thinking.is_released(), "the server is still thinking")?;
    page.say(format_args!("{}: Link: {}", hint.status_code(), hint.value("link").unwrap_or_default()));
    thinking.release();
    let (body, response) = load.join().map_err(|_| "the load panicked")??;
    page.say(format_args!(
        "{}: {:?}",
        response.status_code().unwrap_or_default(),
        String::from_utf8_lossy(&body)
    ));
    page.timelines(&testimony.metrics()?);
    ensure(
        hint.status_code() == 103 && hint.value("link") == Some(hints[0].1),
        "the hint is a 103 with a Link",
    )?;
    ensure(&body[..] == b"the page", "the page follows")
}
