//! Cryptographically secure random numbers from the operating system, by way of the TLS library.

use aws_lc_rs::rand;

/// Fills `bytes`.
pub(crate) fn random(bytes: &mut [u8]) {
    // It fails only where the system has no randomness: then there is no TLS either, and nothing may be sealed.
    rand::fill(bytes).unwrap_or_else(|_| panic!("the operating system gives no random bytes"));
}
