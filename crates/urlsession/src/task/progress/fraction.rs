//! How far a task has come: sending and receiving as one fraction, which does not go back when the response begins.

/// Bytes that have moved, and how many there are if that is known.
pub(super) struct Way {
    pub(super) done: u64,
    pub(super) all: Option<u64>,
}

/// `None` if the length of what counts most is not known.
pub(super) fn of(sending: Way, receiving: Way, is_upload: bool) -> Option<f64> {
    let receiving_part = receiving.part();
    if sending.all == Some(0) {
        return receiving_part;
    }
    // Of a body of unknown length all is sent when the response has begun.
    let sending_part = sending.part().or(receiving_part.map(|_| 1.0));
    if is_upload {
        return Some(MORE * sending_part? + LESS * receiving_part.unwrap_or(0.0));
    }
    Some(LESS * sending_part? + MORE * receiving_part?)
}

impl Way {
    /// What is sent again counts again: it is no more than all.
    fn part(&self) -> Option<f64> {
        match self.all? {
            0 => Some(0.0),
            all => Some((self.done as f64 / all as f64).min(1.0)),
        }
    }
}

/// What sending is of an upload, and receiving of any other task.
const MORE: f64 = 0.95;
/// The rest.
const LESS: f64 = 0.05;
