//! Stop: a download that is suspended in its middle and resumed.

use std::time::Duration;

use urlsession::{DelegateQueue, TaskState, UrlSession};
use urlsession_testkit::{Gate, Origin, Reply, Wire};

use super::page::Page;
use super::witness::{Event, Witness};
use super::{Outcome, Stop, ensure, trusting};

pub(super) const STOP: Stop = Stop {
    title: "Suspend and resume",
    why: "A suspended task holds the server back instead of filling memory, and loses nothing.",
    visit,
};

fn visit(page: &mut Page) -> Outcome {
    let origin = Origin::start(Wire::H1);
    let (witness, testimony) = Witness::new();
    let session = UrlSession::with_task_delegate(trusting(&origin), witness, DelegateQueue::serial());
    let gate = Gate::new();
    origin.enqueue("/film", Reply::new(200).endless(SIZE).body_gate(FIRST, gate.clone()));
    let task = session.data_task(origin.url("/film"));
    task.resume();
    let mut received = 0;
    while received < FIRST {
        if let Event::Data(data) = testimony.next()? {
            received += data.len() as u64;
        }
    }
    task.suspend();
    gate.release();
    ensure(task.state() == TaskState::Suspended, "the task is suspended")?;

    // What was on its way when the task was suspended is still delivered.
    let is_held_back = || !origin.wait_for(|journal| journal.replies > 0, MOMENT);
    ensure(is_held_back(), "the server cannot finish")?;
    let before = task.count_of_bytes_received();
    ensure(is_held_back(), "the server still cannot finish")?;
    let after = task.count_of_bytes_received();
    page.say(format_args!("suspended for {MOMENT:?} at {before} of {SIZE} bytes, and still at {after}"));
    ensure(before == after && after < SIZE, "nothing moves while the task is suspended")?;

    task.resume();
    let metrics = loop {
        match testimony.next()? {
            Event::Data(data) => received += data.len() as u64,
            Event::Metrics(metrics) => break metrics,
            _ => {}
        }
    };
    page.say(format_args!("resumed: {received} bytes in all"));
    page.timelines(&metrics);
    ensure(received == SIZE, "every byte arrives")?;
    ensure(matches!(testimony.next()?, Event::Complete(None)), "the task completes")
}

/// The server waits after this much, so that the task is surely suspended in the middle.
const FIRST: u64 = 1 << 20;
/// The rest is more than the system's buffers hold between two sockets.
const SIZE: u64 = 24 << 20;
const MOMENT: Duration = Duration::from_millis(60);
