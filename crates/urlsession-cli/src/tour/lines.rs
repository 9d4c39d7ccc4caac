//! Stop: lines of text, each read before the server sends the next.

use urlsession::UrlSession;
use urlsession::environment::{Clock, SystemClock};
use urlsession_testkit::{Gate, Origin, Reply, Wire};

use super::page::Page;
use super::witness::Witness;
use super::{Outcome, PATIENCE, Stop, ensure, trusting};

pub(super) const STOP: Stop = Stop {
    title: "Lines of a slow stream, as they come",
    why: "Logs, events and answers of language models are read while they are written, not afterwards.",
    visit,
};

const LINES: [&str; 4] = ["ready\n", "steady\n", "go\n", "gone\n"];

fn visit(page: &mut Page) -> Outcome {
    let origin = Origin::start(Wire::H1);
    let mut sent = 0;
    let mut gates = Vec::new();
    let mut reply = Reply::new(200).chunked(LINES);
    for line in &LINES[..LINES.len() - 1] {
        sent += line.len() as u64;
        let gate = Gate::new();
        reply = reply.body_gate(sent, gate.clone());
        gates.push(gate);
    }
    origin.enqueue("/race", reply);

    let session = UrlSession::new(trusting(&origin));
    let (witness, testimony) = Witness::new();
    let began = SystemClock.now();
    let (bytes, _) = session.bytes(origin.url("/race")).delegate(witness).wait()?;
    let mut lines = bytes.lines();
    for (at, expected) in LINES.iter().enumerate() {
        let line = lines.wait_line().ok_or("the stream ended early")??;
        let milliseconds = (SystemClock.now() - began).as_secs_f64() * 1000.0;
        page.say(format_args!("after {milliseconds:>6.2} ms: {line}"));
        ensure(line == expected.trim_end(), format!("the line is {expected:?}"))?;
        if let Some(gate) = gates.get(at) {
            ensure(gate.wait_reached(PATIENCE), "the server waits until the line was read")?;
            gate.release();
        }
    }
    ensure(lines.wait_line().is_none(), "the stream ends")?;
    page.timelines(&testimony.metrics()?);
    Ok(())
}
