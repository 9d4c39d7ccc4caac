//! Authentication as servers and proxies have it in common: what is offered, what was tried, what is sent next.
//!
//! Decisions do no IO: [`AuthDecision`] names the steps, and [`decide`] performs them. The caller repeats the request: the
//! authentication policy for servers and forward proxies, the dial for proxies of tunnels.

mod attempts;
mod challenger;
mod decide;
mod decision;
mod login;
mod login_cache;
mod options;

#[cfg(test)]
pub(crate) use self::attempts::LIMIT;
pub(crate) use self::attempts::{AuthAttempts, Used, is_same};
pub(crate) use self::challenger::Challenger;
pub(crate) use self::decide::{ChallengeHandler, CredentialCache, decide};
pub(crate) use self::login::{Login, ntlm_proof, ntlm_start, secret};
pub(crate) use self::login_cache::{LoginCache, Preemption};
pub(crate) use self::options::{AuthOption, http_options, negotiate_token, ntlm_challenge};
