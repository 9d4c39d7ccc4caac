//! Coded bodies: whatever the damage, a body decodes to the same however it is split, or is an error however it is split.

use urlsession_proto::coding::{ContentCoding, ContentDecoder, Decoded};

use crate::grammars::Told;

/// The first byte chooses the coding, the second the split; the others are the body.
pub(crate) fn coded_body(input: &[u8]) -> Told {
    let [coding, seed, body @ ..] = input else { return Told::default() };
    let coding = match coding % 4 {
        0 => ContentCoding::Gzip,
        1 => ContentCoding::Deflate,
        2 => ContentCoding::Brotli,
        _ => ContentCoding::Zstd,
    };
    let whole = decode(coding, body, usize::MAX);
    let split = decode(coding, body, usize::from(*seed % 16) + 1);
    // What is cut off at the limit has errors of its own.
    if [&whole, &split].iter().all(|read| !matches!(read, Err(Failure::TooLong))) {
        assert_eq!(whole.as_ref().ok(), split.as_ref().ok(), "{coding:?} in pieces");
    }
    let length = whole.as_ref().map_or(0, Vec::len).checked_ilog2();
    // A few bytes may decode to very many: what is bounded is the output of each step.
    Told::new(0, (format!("{coding:?}"), length, whole.err()))
}

#[derive(Debug, Hash)]
enum Failure {
    Refused,
    Truncated,
    TooLong,
}

fn decode(coding: ContentCoding, body: &[u8], piece: usize) -> Result<Vec<u8>, Failure> {
    let (mut decoder, mut all, mut out) = (ContentDecoder::new(coding), Vec::new(), [0; 4096]);
    for mut input in body.chunks(piece.min(body.len().max(1))) {
        while !input.is_empty() || decoder.has_more() {
            let step = decoder.decode(input, &mut out).map_err(|_| Failure::Refused)?;
            let Decoded { consumed, written } = step;
            assert!(consumed > 0 || written > 0 || !decoder.has_more(), "no progress");
            all.extend_from_slice(&out[..written]);
            input = &input[consumed..];
            if all.len() > LONGEST {
                return Err(Failure::TooLong);
            }
        }
    }
    decoder.finish().map(|()| all).map_err(|_| Failure::Truncated)
}

const LONGEST: usize = 1 << 20;
