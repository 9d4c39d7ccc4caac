//! How far a task has come: sending and receiving as one fraction, which does not go back when the response begins.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::task::core::{Core, UNKNOWN};
use crate::task::kind::Kind;

/// `None` if the length of what counts most is not known.
pub(super) fn of(core: &Core) -> Option<f64> {
    let bytes = &core.bytes;
    let receiving = part(&bytes.received, &bytes.to_receive);
    if bytes.to_send.load(Relaxed) == 0 {
        return receiving;
    }
    // Of a body of unknown length all is sent when the response has begun.
    let sending = part(&bytes.sent, &bytes.to_send).or(receiving.map(|_| 1.0));
    match core.kind {
        Kind::Upload => Some(MORE * sending? + LESS * receiving.unwrap_or(0.0)),
        _ => Some(LESS * sending? + MORE * receiving?),
    }
}

/// What is sent again counts again: it is no more than all.
fn part(done: &AtomicU64, all: &AtomicU64) -> Option<f64> {
    match (done.load(Relaxed), all.load(Relaxed)) {
        (_, UNKNOWN) => None,
        (_, 0) => Some(0.0),
        (done, all) => Some((done as f64 / all as f64).min(1.0)),
    }
}

/// What sending is of an upload, and receiving of any other task.
const MORE: f64 = 0.95;
/// The rest.
const LESS: f64 = 0.05;
