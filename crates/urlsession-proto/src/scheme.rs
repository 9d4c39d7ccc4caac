//! What is known of a URL by its scheme: whether it is spoken over TLS, its port, what it is over TLS.
//!
//! RFC 9110 §4.2, RFC 6455 §3, RFC 6797 §8.3.

use url::Url;

/// The scheme of a URL, as far as loading depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// HTTP in cleartext (RFC 9110 §4.2.1).
    Http,
    /// HTTP over TLS (RFC 9110 §4.2.2).
    Https,
    /// WebSocket in cleartext (RFC 6455 §3).
    Ws,
    /// WebSocket over TLS.
    Wss,
    /// Content in the URL itself (RFC 2397).
    Data,
    /// A file of the machine (RFC 8089).
    File,
    /// Any other.
    Other,
}

impl Scheme {
    /// The `url` crate has made the text lower case.
    #[must_use]
    #[inline]
    pub fn of(url: &Url) -> Self {
        match url.scheme() {
            "http" => Self::Http,
            "https" => Self::Https,
            "ws" => Self::Ws,
            "wss" => Self::Wss,
            "data" => Self::Data,
            "file" => Self::File,
            _ => Self::Other,
        }
    }

    /// True if URLs of this scheme are loaded by HTTP.
    #[must_use]
    #[inline]
    pub fn is_http(self) -> bool {
        matches!(self, Self::Http | Self::Https)
    }

    /// True if servers are spoken to over TLS.
    #[must_use]
    #[inline]
    pub fn is_secure(self) -> bool {
        matches!(self, Self::Https | Self::Wss)
    }

    /// `None` for schemes without a server.
    #[must_use]
    #[inline]
    pub fn default_port(self) -> Option<u16> {
        match self {
            Self::Http | Self::Ws => Some(80),
            Self::Https | Self::Wss => Some(443),
            Self::Data | Self::File | Self::Other => None,
        }
    }

    /// The same over TLS (RFC 6797 §8.3); `None` if it is so already, or there is no such thing.
    #[must_use]
    #[inline]
    pub fn upgraded(self) -> Option<&'static str> {
        match self {
            Self::Http => Some("https"),
            Self::Ws => Some("wss"),
            Self::Https | Self::Wss | Self::Data | Self::File | Self::Other => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(url: &str) -> Scheme {
        Scheme::of(&url.parse().unwrap())
    }

    #[test]
    fn a_scheme_says_whether_it_is_secure_its_port_and_what_it_is_over_tls() {
        for (url, scheme, is_http, is_secure, port, upgraded) in [
            ("HTTP://a/", Scheme::Http, true, false, Some(80), Some("https")),
            ("https://a/", Scheme::Https, true, true, Some(443), None),
            ("ws://a/", Scheme::Ws, false, false, Some(80), Some("wss")),
            ("wss://a/", Scheme::Wss, false, true, Some(443), None),
            ("data:,a", Scheme::Data, false, false, None, None),
            ("file:///a", Scheme::File, false, false, None, None),
            ("greeting:a", Scheme::Other, false, false, None, None),
        ] {
            let found = of(url);
            assert_eq!(found, scheme);
            assert_eq!((found.is_http(), found.is_secure()), (is_http, is_secure), "{url}");
            assert_eq!((found.default_port(), found.upgraded()), (port, upgraded), "{url}");
        }
    }
}
