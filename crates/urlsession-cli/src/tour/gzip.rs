//! Stop: a compressed body, decoded while it arrives.

use urlsession::UrlSession;
use urlsession_testkit::{Origin, Reply, Wire};

use super::page::Page;
use super::witness::Witness;
use super::{Outcome, Stop, ensure, trusting};

pub(super) const STOP: Stop = Stop {
    title: "A gzip body, decoded on the fly",
    why: "The application sees content; the coding only shows in the metrics, and in the time it saved.",
    visit,
};

/// The same sentence 2000 times.
const CODED: &[u8] = include_bytes!("all-work.txt.gz");
const SENTENCE: &str = "All work and no play makes Jack a dull boy.";

fn visit(page: &mut Page) -> Outcome {
    let origin = Origin::start(Wire::H1);
    origin.enqueue("/novel", Reply::new(200).header("Content-Encoding", "gzip").body(CODED));
    let session = UrlSession::new(trusting(&origin));
    let (witness, testimony) = Witness::new();
    let (body, _) = session.data(origin.url("/novel")).delegate(witness).wait()?;
    let metrics = testimony.metrics()?;
    page.say(format_args!("{} bytes before decoding, {} after", CODED.len(), body.len()));
    page.timelines(&metrics);
    let text = String::from_utf8_lossy(&body);
    ensure(text.lines().count() == 2000 && text.lines().all(|line| line == SENTENCE), "the text is whole")?;
    let counted = metrics.transaction_metrics.first().map(|one| {
        (one.count_of_response_body_bytes_received, one.count_of_response_body_bytes_after_decoding)
    });
    ensure(counted == Some((CODED.len() as u64, body.len() as u64)), "the metrics count both")
}
