//! How far a task has come: sending and receiving as one fraction, which does not go back when the response begins.

/// Bytes that have moved, and how many there are if that is known.
pub(super) struct Way {
    pub(super) done: u64,
    pub(super) all: Option<u64>,
}

/// `None` if the length of what counts most is not known.
pub(super) fn of(sending: &Way, receiving: &Way, is_upload: bool) -> Option<f64> {
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

/// Bytes to move yet; `None` if how many count most is not known.
pub(super) fn left(sending: &Way, receiving: &Way, is_upload: bool) -> Option<u64> {
    let (to_send, to_receive) = (sending.left(), receiving.left());
    let of_most = if is_upload && sending.all != Some(0) { to_send } else { to_receive };
    of_most.map(|_| to_send.unwrap_or(0).saturating_add(to_receive.unwrap_or(0)))
}

impl Way {
    fn left(&self) -> Option<u64> {
        Some(self.all?.saturating_sub(self.done))
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_of_an_upload_does_not_wait_for_the_length_of_the_answer() {
        let way = |done, all| Way { done, all };
        let (sending, unanswered, answered) = (way(40, Some(100)), way(0, None), way(5, Some(30)));
        assert_eq!(left(&sending, &unanswered, true), Some(60));
        assert_eq!(left(&sending, &answered, true), Some(85));
        assert_eq!(left(&sending, &unanswered, false), None);
        assert_eq!(left(&way(0, None), &answered, false), Some(25));
        assert_eq!(left(&way(0, None), &answered, true), None);
        assert_eq!(left(&way(200, Some(100)), &answered, false), Some(25), "sent twice");
    }
}
