//! In-process origins for tests of HTTP clients: HTTP/1.1 (RFC 9112), HTTP/2 (RFC 9113, RFC 7541) and TLS.
//!
//! This crate owns a server whose every byte is under the control of the test: the replies are scripts, the
//! pauses are [`Gate`]s which the test opens, and what the client sent is kept in a [`Journal`]. It shares no
//! codec with the client it tests: both protocols are written and parsed here from the RFCs. It does not own
//! a production server: it listens on 127.0.0.1 only, and trusts its handlers not to block.
//!
//! ```
//! use urlsession_testkit::{Origin, Reply, Wire};
//!
//! let origin = Origin::start(Wire::H1);
//! origin.enqueue("/scripted", Reply::new(200).header("X-Scripted", "yes").body("hello"));
//! assert!(origin.url("/scripted").starts_with("http://127.0.0.1:"));
//! assert_eq!(origin.connection_count(), 0);
//! ```

mod authority;
mod body;
mod builder;
mod gate;
mod h1;
mod h2;
mod hub;
mod io;
mod journal;
mod log;
mod origin;
mod platform;
mod proxy;
mod reply;
mod request;
mod routes;
mod service;
mod tls;
mod uploads;

pub use authority::{Certificate, TestAuthority};
pub use body::pattern;
pub use builder::{Accept, OriginBuilder};
pub use gate::{Gate, Hold};
pub use journal::{Journal, PriorityUpdate, Reset};
pub use log::{TestLog, stapled_timestamps};
pub use origin::Origin;
pub use platform::is_wine;
pub use proxy::{Proxy, ProxyFault, ProxyLogin};
pub use reply::{After, Flood, Reply};
pub use request::{Recorded, Request, TlsFacts};
pub use uploads::{Refusal, UploadFault, UploadLimits, UploadRequest, UploadServer, UploadStep};

/// What an origin speaks on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// HTTP/1.1 on a bare TCP connection.
    H1,
    /// HTTP/1.1 inside TLS; ALPN offers `http/1.1`.
    TlsH1,
    /// HTTP/2 inside TLS; ALPN offers `h2` and `http/1.1`, and a client without ALPN gets HTTP/1.1.
    TlsH2,
}

impl Wire {
    /// Whether the wire is inside TLS.
    pub const fn is_tls(self) -> bool {
        matches!(self, Self::TlsH1 | Self::TlsH2)
    }
}
