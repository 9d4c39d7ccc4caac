//! The outside world: clock, name resolution, dialling, the network path, and where the work runs.
//!
//! Nothing else in this crate reads a clock, resolves a name or opens a socket; a test passes its own [`Environment`]. This
//! module contains no policy: other modules decide what to do with a time or an address.

mod clock;
mod closing;
mod dialler;
mod file;
mod file_id;
mod folders;
mod forbidden;
pub(crate) mod fs;
mod gssapi;
mod interface_binding;
mod language;
mod loopback;
mod net;
mod path;
mod random;
mod runtime;
mod serial_threads;
#[cfg(target_os = "linux")]
mod splice_pipe;
#[cfg(not(target_os = "linux"))]
#[path = "env/no_splice_pipe.rs"]
mod splice_pipe;
mod thread;
mod unix_time;

use std::ffi::OsString;
use std::fmt;
use std::sync::Arc;

pub use clock::Clock;
#[allow(clippy::disallowed_types)] // its name for applications
pub use clock::SystemClock;
pub(crate) use clock::{StoreClock, Timer, system_wall};
pub(crate) use closing::close;
#[cfg(test)]
pub(crate) use closing::tests::fail_next as fail_next_close;
pub use dialler::{Dial, Socket, UnixSocket};
pub(crate) use file::{free_room, read_at, read_held, read_held_into, read_some, reserve};
pub(crate) use file_id::FileId;
pub(crate) use folders::{cache_folder, data_folder};
pub(crate) use forbidden::ForbiddenNetworks;
#[cfg(test)]
pub(crate) use gssapi::GssapiStep;
pub(crate) use gssapi::{Gssapi, GssapiContext, GssapiUser, SystemGssapi};
pub(crate) use language::preferred_languages;
pub(crate) use loopback::{is_localhost, is_loopback};
pub use net::{DomainResolutionProtocol, Resolve, SystemNet};
pub(crate) use net::{
    SocketOptions, Wire, is_out_of_descriptors, system_dial, system_resolve, system_source,
};
pub use path::{Interface, InterfaceKind, NetworkPath, PathStatus, SystemPath};
pub(crate) use random::random;
pub use runtime::block_on;
pub(crate) use runtime::{RuntimeHandle, RuntimeId, Wait, not_started, wait_on_this_thread};
pub(crate) use serial_threads::{SerialThreads, SerialWork};
pub(crate) use splice_pipe::SplicePipe;
pub(crate) use thread::JobThread;
#[cfg(test)]
pub(crate) use thread::tests::fail_next as fail_next_thread;
pub(crate) use unix_time::{epoch_micros, epoch_millis, epoch_seconds};

/// A variable of the process's environment.
pub(crate) fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

/// The services of the system that a session uses. Default: those of the system. Extension: no counterpart in Apple's API.
#[derive(Clone)]
#[non_exhaustive]
pub struct Environment {
    /// Monotonic and wall-clock time, and timers.
    pub clock: Arc<dyn Clock>,
    /// Resolves host names to addresses.
    pub resolver: Arc<dyn Resolve>,
    /// Opens connections to addresses or host names.
    pub dialler: Arc<dyn Dial>,
    /// The networks that this machine is connected to. Read only for loads that depend on it; connections to this machine
    /// itself do not.
    pub path: Arc<dyn NetworkPath>,
    /// Whether bodies may take ways on which they are not copied. For tests: without them all is the same, but slower.
    #[doc(hidden)]
    pub has_fast_paths: bool,
}

impl Default for Environment {
    fn default() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            resolver: Arc::new(SystemNet),
            dialler: Arc::new(SystemNet),
            path: Arc::new(SystemPath),
            has_fast_paths: true,
        }
    }
}

impl Environment {
    /// Sets [`clock`](field@Self::clock), to a clock or an `Arc` of one.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Sets [`resolver`](field@Self::resolver), to a resolver or an `Arc` of one.
    #[must_use]
    pub fn resolver(mut self, resolver: impl Resolve + 'static) -> Self {
        self.resolver = Arc::new(resolver);
        self
    }

    /// Sets [`dialler`](field@Self::dialler), to a dialler or an `Arc` of one.
    #[must_use]
    pub fn dialler(mut self, dialler: impl Dial + 'static) -> Self {
        self.dialler = Arc::new(dialler);
        self
    }

    /// Sets [`path`](field@Self::path), to a path or an `Arc` of one.
    #[must_use]
    pub fn path(mut self, path: impl NetworkPath + 'static) -> Self {
        self.path = Arc::new(path);
        self
    }

    /// Sets [`has_fast_paths`](field@Self::has_fast_paths).
    #[must_use]
    pub fn has_fast_paths(mut self, has_fast_paths: bool) -> Self {
        self.has_fast_paths = has_fast_paths;
        self
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment").finish_non_exhaustive()
    }
}
