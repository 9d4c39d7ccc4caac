//! The progress of a task: sending and receiving as one fraction, which does not decrease when the response begins.

/// The bytes that have moved, and the total if that is known.
pub(super) struct Way {
    pub(super) done: u64,
    pub(super) all: Option<u64>,
}

/// `None` if the length of the larger part is not known.
pub(super) fn of(sending: &Way, receiving: &Way, is_upload: bool) -> Option<f64> {
    let receiving_part = receiving.part();
    if sending.all == Some(0) {
        return receiving_part;
    }
    // If the length of the body is not known, the body has been sent completely once the response has begun.
    let sending_part = sending.part().or(receiving_part.map(|_| 1.0));
    if is_upload {
        return Some(MORE * sending_part? + LESS * receiving_part.unwrap_or(0.0));
    }
    Some(LESS * sending_part? + MORE * receiving_part?)
}

/// Remaining bytes; `None` if the length of the larger part is not known.
pub(super) fn left(sending: &Way, receiving: &Way, is_upload: bool) -> Option<u64> {
    let (to_send, to_receive) = (sending.left(), receiving.left());
    let of_most = if is_upload && sending.all != Some(0) { to_send } else { to_receive };
    of_most.map(|_| to_send.unwrap_or(0).saturating_add(to_receive.unwrap_or(0)))
}

impl Way {
    fn left(&self) -> Option<u64> {
        Some(self.all?.saturating_sub(self.done))
    }

    /// Bytes that are sent again are counted again: the part is at most 1.
    fn part(&self) -> Option<f64> {
        match self.all? {
            0 => Some(0.0),
            all => Some((self.done as f64 / all as f64).min(1.0)),
        }
    }
}

/// The weight of sending for an upload, and of receiving for any other task.
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
