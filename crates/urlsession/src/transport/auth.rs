//! Authentication as far as servers and proxies have it in common: what is offered, what was tried, what is sent.
//!
//! Whom to ask, and how requests are repeated, is for the auth layer, and for tunnels about their proxies.

mod challenge_handler;
mod schemes;
mod spaces;
mod verdict;

pub(crate) use self::challenge_handler::{ChallengeHandler, CredentialCache, decide};
pub(crate) use self::schemes::{Login, ntlm_proof, ntlm_start, secret};
pub(crate) use self::spaces::{AuthOption, Challenger, negotiate_token, ntlm_challenge, options};
#[cfg(test)]
pub(crate) use self::verdict::LIMIT;
pub(crate) use self::verdict::{AuthAttempts, Used, is_same};
