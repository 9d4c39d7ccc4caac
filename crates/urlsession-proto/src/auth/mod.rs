//! HTTP authentication: what servers ask for, and what is answered with a user and a password.
//!
//! It keeps no credentials and chooses none; where a nonce, a client nonce or a time is needed, the caller brings it.

pub mod base64;
pub mod basic;
pub mod challenge;
pub mod digest;
pub mod ntlm;
mod quoted;
