//! TLS by rustls over a stream of bytes: this module carries the handshake, `stream` the data after it.
//! `policy` decides about offers, client certificates and trust.

mod policy;
mod records;
mod stream;

use std::future::poll_fn;
use std::io;
use std::task::Poll;

use self::policy::{Handshake, Identity, Offer, Outcome, PresentedChain, failed};
pub(super) use self::policy::{Judge, Peer, Protocols, Tls, TlsProfile, judge_again, late_refusal};
pub(super) use self::stream::TlsStream;
use super::stream::Stream;
use crate::configuration::Configuration;
use crate::error::Result;

/// How a handshake ended.
pub(super) enum HandshakeOutcome {
    Done(Stream, Outcome),
    /// The server wants this certificate, with which the handshake is to be begun again on a new connection: nothing
    /// but a ClientHello was sent on this one.
    WantsIdentity(Identity),
}

/// Secures a stream, whatever is to be spoken on it. `judge` is asked about the server, and for the client's certificate unless
/// `identity` is it.
pub(super) async fn secure(
    tls: &Tls,
    config: &Configuration,
    stream: Stream,
    profile: TlsProfile<'_>,
    judge: Option<Judge<'_>>,
    identity: Option<Identity>,
) -> Result<HandshakeOutcome> {
    let (Offer { config: offered, name }, mut handshake) =
        Handshake::begin(tls, config, profile, judge, identity)?;
    let (gate, is_in_place) = (handshake.gate().clone(), config.environment.has_fast_paths);
    let stream = TlsStream::new(offered, name, stream.into_wire(), gate.clone(), is_in_place);
    let mut stream = Box::new(stream.map_err(failed)?);
    loop {
        let step = poll_fn(|cx| {
            if let Poll::Ready(result) = gate.during(|| stream.poll_handshake(cx)) {
                return Poll::Ready(Step::Done(result));
            }
            gate.take_shown().map_or(Poll::Pending, |shown| Poll::Ready(Step::Judge(shown)))
        });
        match step.await {
            Step::Done(result) => {
                result.map_err(|error| handshake.failed(error))?;
                break;
            }
            Step::Judge(shown) => {
                if let Some(identity) = handshake.judge(shown).await? {
                    return Ok(HandshakeOutcome::WantsIdentity(identity));
                }
            }
        }
    }
    let outcome = handshake.conclude(stream.session()).await?;
    Ok(HandshakeOutcome::Done(Stream::Tls(stream), outcome))
}

enum Step {
    Done(io::Result<()>),
    Judge(PresentedChain),
}
