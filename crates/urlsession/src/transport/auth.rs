//! Authentication as far as servers and proxies have it in common: what is offered, what was tried, what is sent.
//!
//! Whom to ask, and how requests are repeated, is for the auth room, and for tunnels about their proxies.

mod counsel;
mod schemes;
mod spaces;
mod verdict;

pub(crate) use self::counsel::{Counsel, Keeper, decide};
pub(crate) use self::schemes::{Login, ntlm_proof, ntlm_start};
use self::spaces::offers;
pub(crate) use self::spaces::{Asker, Offer, ntlm_challenge};
#[cfg(test)]
pub(crate) use self::verdict::LIMIT;
pub(crate) use self::verdict::{Trial, Used, is_same};
