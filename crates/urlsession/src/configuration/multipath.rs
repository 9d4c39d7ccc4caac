//! `MultipathServiceType`: how an application uses several networks at once.
//!
//! Apple: *URLSessionConfiguration.MultipathServiceType*.

/// Whether a connection may use several networks at the same time. Numbers are Apple's.
///
/// On Linux every type but [`None`](Self::None) asks the kernel for multipath TCP (RFC 8684); a kernel or a server without it
/// falls back to TCP. On every other system all types are plain TCP. The kernel's path manager and packet scheduler decide how
/// the networks are used, and an application cannot choose them: the three types differ only in name. Apple requires an
/// entitlement, and fails without one; this library requires none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[doc(alias = "URLSessionConfiguration.MultipathServiceType")]
#[doc(alias = "NSURLSessionMultipathServiceType")]
pub enum MultipathServiceType {
    /// One network: plain TCP, on every system.
    #[default]
    #[doc(alias = "none")]
    None = 0,
    /// Another network when the first is lost. On Linux this is multipath TCP, as for the next two types: the kernel decides
    /// whether the other network carries data before that. On other systems as [`None`](Self::None).
    #[doc(alias = "handover")]
    Handover = 1,
    /// The network that answers sooner. On Linux multipath TCP, and the kernel's scheduler decides, as for
    /// [`Handover`](Self::Handover). On other systems as [`None`](Self::None).
    #[doc(alias = "interactive")]
    Interactive = 2,
    /// All networks together. On Linux multipath TCP, and the kernel's scheduler decides, as for
    /// [`Handover`](Self::Handover). On other systems as [`None`](Self::None).
    #[doc(alias = "aggregate")]
    Aggregate = 3,
}
