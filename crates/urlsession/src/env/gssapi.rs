//! Tickets of the machine's user: the system's GSSAPI (RFC 2743), found when it is first needed.
//!
//! This module defines the types; [`library`] makes the calls. The authentication layer decides when a ticket is used, and
//! for which user. All of it blocks: the library reads files and may contact a key distribution centre over the network.

#[cfg(target_os = "linux")]
mod library;

use crate::error::Result;

/// Who has tickets.
pub(crate) trait Gssapi: Send + Sync {
    /// Whether there are tickets at all. An error says why there are none.
    fn find(&self) -> Result<()>;

    /// Begins to prove to the HTTP service of `host` who one is: whose ticket this process finds, or a user for whom one
    /// is got with a password. Nothing is delegated; the service must prove itself too.
    fn begin(&self, host: &str, user: Option<GssapiUser<'_>>) -> Result<Box<dyn GssapiContext>>;
}

/// A proof in progress.
pub(crate) trait GssapiContext: Send {
    /// What to send next, given what the service said; the first time it has said nothing.
    fn step(&mut self, heard: Option<&[u8]>) -> Result<GssapiStep>;
}

/// A user as Kerberos names one, with or without a realm.
#[derive(Clone, Copy)]
#[cfg_attr(not(target_os = "linux"), allow(dead_code))] // read on Linux only
pub(crate) struct GssapiUser<'a> {
    pub(crate) name: &'a str,
    pub(crate) password: &'a str,
}

/// What one step came to.
pub(crate) struct GssapiStep {
    /// Empty if there is nothing to say.
    pub(crate) token: Vec<u8>,
    /// Both sides have proved themselves.
    pub(crate) is_done: bool,
}

/// The system's library: MIT Kerberos on Linux, nothing elsewhere.
pub(crate) struct SystemGssapi;

#[cfg(not(target_os = "linux"))]
impl Gssapi for SystemGssapi {
    fn find(&self) -> Result<()> {
        use crate::error::{Phase, UrlError, UrlErrorCode};
        let detail = "Negotiate authentication is spoken on Linux only";
        Err(UrlError::new(UrlErrorCode::UserAuthenticationRequired, Phase::Request, detail))
    }

    fn begin(&self, _: &str, _: Option<GssapiUser<'_>>) -> Result<Box<dyn GssapiContext>> {
        Err(self.find().err().unwrap_or_else(crate::error::UrlError::cancelled))
    }
}
