//! Owns the words between the codecs and a service that follows request bodies while they come, and may act within them.

use std::collections::VecDeque;

use crate::reply::Reply;
use crate::request::Recorded;

/// Who answers requests no script takes, before the handler and the routes.
pub(crate) trait Service: Send + Sync {
    /// The head is in. `None` leaves the request to others.
    fn begin(&self, head: &Recorded) -> Option<Cues>;

    /// The next bytes of the body.
    fn take(&self, id: usize, bytes: &[u8]);

    /// The whole body has come.
    fn end(&self, request: &Recorded) -> Reply;
}

/// What happens while a request's body comes, in order.
#[derive(Debug, Default)]
pub(crate) struct Cues {
    cues: VecDeque<(u64, Act)>,
    taken: u64,
}

/// What happens at one place of a body.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// A 1xx goes out.
    Inform(u16, Vec<(String, String)>),
    /// The connection ends without a word; what was said before reaches the client.
    Break,
    /// The answer comes now; what else comes of the body is dropped.
    Answer(Box<Reply>),
}

impl Cues {
    /// Once so many bytes are in; after what was said before for the same place.
    pub(crate) fn at(&mut self, bytes: u64, act: Act) {
        let place = self.cues.iter().position(|(at, _)| *at > bytes).unwrap_or(self.cues.len());
        self.cues.insert(place, (bytes, act));
    }

    /// How many of these bytes may be taken before the next act.
    pub(crate) fn space(&self, bytes: usize) -> usize {
        let left = self.cues.front().map_or(u64::MAX, |(at, _)| at - self.taken);
        bytes.min(usize::try_from(left).unwrap_or(usize::MAX))
    }

    pub(crate) fn took(&mut self, bytes: usize) {
        self.taken += bytes as u64;
    }

    /// The next act, if its place has been reached.
    pub(crate) fn due(&mut self) -> Option<Act> {
        if self.cues.front()?.0 > self.taken {
            return None;
        }
        self.cues.pop_front().map(|(_, act)| act)
    }
}
