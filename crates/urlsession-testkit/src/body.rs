//! Owns reply bodies and how they are cut into pieces: patterns without storage, gates, gaps, truncation.
//! It does not know how a piece is framed; `h1` and `h2` do.

use std::collections::VecDeque;
use std::sync::OnceLock;
use std::time::Duration;

use bytes::Bytes;

use crate::gate::Gate;

/// The generated bodies repeat with this period, a prime, so that a lost or doubled block shows.
const PERIOD: u64 = 251;
/// How much of the pattern is held in memory, once per process.
const WINDOW: usize = 256 << 10;

/// The `len` bytes of the generated pattern from `start` on: byte `i` is `i % 251`.
pub fn pattern(start: u64, len: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(len);
    while bytes.len() < len {
        bytes.extend_from_slice(&window(start + bytes.len() as u64, len - bytes.len()));
    }
    bytes
}

/// A view of the pattern, as long as the window allows.
fn window(start: u64, len: usize) -> Bytes {
    static PATTERN: OnceLock<Bytes> = OnceLock::new();
    let held = PATTERN.get_or_init(|| (0..WINDOW as u64 + PERIOD).map(|i| (i % PERIOD) as u8).collect());
    let from = (start % PERIOD) as usize;
    held.slice(from..from + len.min(WINDOW))
}

pub(crate) fn pattern_matches(start: u64, bytes: &[u8]) -> bool {
    let mut at = start;
    bytes.chunks(WINDOW).all(|part| {
        let same = window(at, part.len()) == part;
        at += part.len() as u64;
        same
    })
}

/// The bytes of a reply.
#[derive(Clone, Debug)]
pub(crate) enum Body {
    Whole(Bytes),
    Chunks(Vec<Bytes>),
    Pattern { start: u64, len: u64 },
}

impl Body {
    pub(crate) fn len(&self) -> u64 {
        match self {
            Self::Whole(bytes) => bytes.len() as u64,
            Self::Chunks(chunks) => chunks.iter().map(|c| c.len() as u64).sum(),
            Self::Pattern { len, .. } => *len,
        }
    }
}

/// What comes next of a body.
#[derive(Debug)]
pub(crate) enum Piece {
    Data(Bytes),
    Wait(Gate),
    Rest(Duration),
    /// The script ends the body here, before its end.
    Cut,
    End,
}

/// A body on its way out.
pub(crate) struct Pieces {
    body: Body,
    chunks: VecDeque<Bytes>,
    at: u64,
    gates: VecDeque<(u64, Gate)>,
    cut: Option<u64>,
    gap: Option<Duration>,
    rest_due: bool,
}

impl Pieces {
    pub(crate) fn new(
        body: Body,
        mut gates: Vec<(u64, Gate)>,
        cut: Option<u64>,
        gap: Option<Duration>,
    ) -> Self {
        gates.sort_by_key(|(at, _)| *at);
        let chunks = match &body {
            Body::Whole(bytes) => VecDeque::from([bytes.clone()]),
            Body::Chunks(chunks) => chunks.iter().cloned().collect(),
            Body::Pattern { .. } => VecDeque::new(),
        };
        Self { body, chunks, at: 0, gates: gates.into(), cut, gap, rest_due: false }
    }

    /// The next piece, of at most `max` bytes.
    pub(crate) fn next(&mut self, max: usize) -> Piece {
        if self.gates.front().is_some_and(|(at, _)| *at <= self.at)
            && let Some((_, gate)) = self.gates.pop_front()
        {
            return Piece::Wait(gate);
        }
        if self.cut.is_some_and(|cut| cut <= self.at) {
            return Piece::Cut;
        }
        while self.chunks.front().is_some_and(Bytes::is_empty) {
            self.chunks.pop_front();
        }
        if self.rest_due {
            self.rest_due = false;
            if let Some(gap) = self.gap.filter(|_| !self.chunks.is_empty()) {
                return Piece::Rest(gap);
            }
        }
        let mut space = max as u64;
        if let Some((at, _)) = self.gates.front() {
            space = space.min(at - self.at);
        }
        if let Some(cut) = self.cut {
            space = space.min(cut - self.at);
        }
        let space = usize::try_from(space).unwrap_or(usize::MAX);
        let data = match &self.body {
            Body::Pattern { start, len } => {
                let left = usize::try_from(len - self.at).unwrap_or(usize::MAX);
                if left == 0 { None } else { Some(window(start + self.at, left.min(space))) }
            }
            Body::Whole(_) | Body::Chunks(_) => {
                self.chunks.front_mut().map(|c| c.split_to(space.min(c.len())))
            }
        };
        match data {
            Some(data) => {
                self.at += data.len() as u64;
                self.rest_due = self.chunks.front().is_some_and(Bytes::is_empty);
                Piece::Data(data)
            }
            None => Piece::End,
        }
    }

    /// Whether the bytes are all handed out and nothing else stands before the end.
    pub(crate) fn is_spent(&self) -> bool {
        let bytes = match &self.body {
            Body::Pattern { len, .. } => self.at == *len,
            Body::Whole(_) | Body::Chunks(_) => self.chunks.iter().all(Bytes::is_empty),
        };
        bytes && self.gates.is_empty() && self.cut.is_none_or(|cut| cut > self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pattern_has_its_period_at_any_offset() {
        for start in [0_u64, 1, 250, 251, 252, 1 << 33] {
            let bytes = pattern(start, 700_000);
            assert_eq!(bytes.len(), 700_000);
            assert!(bytes.iter().zip(start..).all(|(b, i)| u64::from(*b) == i % 251));
            assert!(pattern_matches(start, &bytes));
            assert!(!pattern_matches(start + 1, &bytes));
        }
    }

    #[test]
    fn gates_and_cuts_split_the_body() {
        let body = Body::Chunks(vec![Bytes::from_static(b"abcd"), Bytes::new(), Bytes::from_static(b"efgh")]);
        let mut pieces = Pieces::new(body, vec![(6, Gate::new()), (0, Gate::new())], Some(7), None);
        let mut seen = String::new();
        loop {
            match pieces.next(3) {
                Piece::Data(bytes) => seen.push_str(&format!("[{}]", String::from_utf8_lossy(&bytes))),
                Piece::Wait(_) => seen.push('|'),
                Piece::Rest(_) => seen.push('_'),
                Piece::Cut => break seen.push('!'),
                Piece::End => break seen.push('.'),
            }
        }
        assert_eq!(seen, "|[abc][d][ef]|[g]!");
    }
}
