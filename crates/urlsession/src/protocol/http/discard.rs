//! Discards the body of a response that is not delivered, because another hop or attempt follows.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use crate::body::{Body, Draining};
use crate::env::{Clock, RuntimeHandle, Timer};
use crate::load::{Activity, Attempt};

/// Reads a body to its end if the connection can be used again then; else the connection is closed (over HTTP/2 the stream
/// is reset). A body that is long, or does not come at once, is not waited for.
pub(super) async fn discard(mut body: Body, attempt: &mut Attempt<'_>) {
    drain(&mut body, attempt.activity, attempt.clock, attempt.runtime).await;
    let now = attempt.clock.now();
    let transaction = attempt.transaction();
    transaction.response_end = body.has_ended().then_some(now);
    transaction.response_body_bytes = body.wire_bytes();
    transaction.response_body_bytes_after_decoding = body.delivered();
    transaction.request_body_bytes += body.sent_late();
}

/// As [`discard`], for a body that belongs to no transaction of its own.
pub(crate) async fn drain(body: &mut Body, activity: &Activity, clock: &dyn Clock, runtime: &RuntimeHandle) {
    let mut patience = pin!(None::<Timer>);
    while body.wire_bytes() < MOST_DRAINED {
        let (before, draining) = (body.wire_bytes(), body.draining(MOST_DRAINED));
        if draining == Draining::Useless {
            break;
        }
        let chunk = poll_fn(|cx| match body.poll_chunk(cx) {
            // The deadlines of the load hold for a login.
            Poll::Pending if draining == Draining::Useful => {
                if patience.is_none() {
                    patience.set(Some(Timer::at(clock, runtime, clock.now() + LONGEST_DRAIN)));
                }
                let timer = patience.as_mut().as_pin_mut();
                timer.map_or(Poll::Pending, |timer| timer.poll(cx)).map(|()| None)
            }
            ready => ready,
        });
        let chunk = chunk.await;
        activity.moved((body.wire_bytes() - before) as usize);
        if !matches!(chunk, Some(Ok(_))) {
            break;
        }
    }
}

/// A body up to this length is read for the connection's sake.
const MOST_DRAINED: u64 = 64 * 1024;
/// Counted from the first wait. About the cost of a new connection on slow networks.
const LONGEST_DRAIN: Duration = Duration::from_millis(500);
