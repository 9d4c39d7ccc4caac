//! What connections are pooled by: scheme, host and port (RFC 6454 §4).

use std::borrow::Borrow;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use url::Url;

/// An origin, kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) secure: bool,
    pub(crate) host: Box<str>,
    pub(crate) port: u16,
}

/// An origin, to look for: a lookup allocates nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key<'a> {
    secure: bool,
    host: &'a str,
    port: u16,
}

impl<'a> Key<'a> {
    /// `None` for a URL without a host.
    pub(crate) fn of(url: &'a Url) -> Option<Self> {
        let secure = url.scheme() == "https";
        let host = url.host_str().filter(|host| !host.is_empty())?;
        Some(Self { secure, host, port: url.port().unwrap_or(if secure { 443 } else { 80 }) })
    }

    pub(crate) fn to_owned(self) -> Origin {
        Origin { secure: self.secure, host: self.host.into(), port: self.port }
    }
}

/// Lets a map of kept origins be searched by a borrowed one.
pub(super) trait AsKey {
    fn as_key(&self) -> Key<'_>;
}

impl AsKey for Key<'_> {
    fn as_key(&self) -> Key<'_> {
        *self
    }
}

impl AsKey for Arc<Origin> {
    fn as_key(&self) -> Key<'_> {
        Key { secure: self.secure, host: &self.host, port: self.port }
    }
}

impl<'a> Borrow<dyn AsKey + 'a> for Arc<Origin> {
    fn borrow(&self) -> &(dyn AsKey + 'a) {
        self
    }
}

impl PartialEq for dyn AsKey + '_ {
    fn eq(&self, other: &Self) -> bool {
        self.as_key() == other.as_key()
    }
}

impl Eq for dyn AsKey + '_ {}

impl Hash for dyn AsKey + '_ {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_key().hash(state);
    }
}

impl Hash for Origin {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Key { secure: self.secure, host: &self.host, port: self.port }.hash(state);
    }
}
