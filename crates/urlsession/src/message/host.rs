//! Which host a request is for. An IPv6 address is one host in each zone (RFC 4007 §6).

use std::borrow::Cow;
use std::fmt;

use super::UrlRequest;

/// A host as URLs spell it, IPv6 in brackets, and the zone in which its address is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HostId<'a> {
    pub(crate) name: &'a str,
    /// Of IPv6 addresses only.
    pub(crate) zone: Option<&'a str>,
}

impl<'a> HostId<'a> {
    /// `None` if the request's URL has no host.
    pub(crate) fn of(request: &'a UrlRequest) -> Option<Self> {
        let name = request.url().host_str().filter(|host| !host.is_empty())?;
        Some(Self { name, zone: request.effective_zone_id() })
    }

    /// A host that is not in a zone.
    pub(crate) fn global(name: &'a str) -> Self {
        Self { name, zone: None }
    }

    /// The form for messages and protection spaces: `[fe80::1%eth0]`.
    pub(crate) fn text(self) -> Cow<'a, str> {
        match self.zone {
            None => Cow::Borrowed(self.name),
            Some(_) => Cow::Owned(self.to_string()),
        }
    }
}

/// With its zone, as RFC 4007 §11 spells it.
impl fmt::Display for HostId<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.zone {
            None => f.write_str(self.name),
            Some(zone) => write!(f, "{}%{zone}]", self.name.trim_end_matches(']')),
        }
    }
}
