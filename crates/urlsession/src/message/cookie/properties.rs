//! A cookie as a list of properties, which is how applications make one. Apple: *HTTPCookiePropertyKey*.

use std::sync::Arc;

use url::Url;
use urlsession_proto::cookie;

use super::{CookieInner, HttpCookie, HttpCookieStringPolicy, Legacy, after, date_of, ports, ports_text};
use crate::env::{epoch_seconds, system_wall};

/// The name of a property of a cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[doc(alias = "HTTPCookiePropertyKey")]
pub enum HttpCookiePropertyKey {
    /// The name; required.
    #[doc(alias = "name")]
    Name,
    /// The value; required, may be empty.
    #[doc(alias = "value")]
    Value,
    /// The path; required.
    #[doc(alias = "path")]
    Path,
    /// The host, or with a leading dot the host and those below. Required, unless there is an `OriginUrl`.
    #[doc(alias = "domain")]
    Domain,
    /// A URL whose host is the domain.
    #[doc(alias = "originURL")]
    OriginUrl,
    /// `0` (default) or `1`.
    #[doc(alias = "version")]
    Version,
    /// The age in seconds from now on; takes precedence over `Expires`.
    #[doc(alias = "maximumAge")]
    MaximumAge,
    /// A date, such as `Wed, 21 Sep 2016 05:33:00 GMT`.
    #[doc(alias = "expires")]
    Expires,
    /// `TRUE` removes the cookie with the session, whatever its age. A `Version` of 1 without a `MaximumAge` has the same
    /// effect.
    #[doc(alias = "discard")]
    Discard,
    /// With any value, the cookie is secure.
    #[doc(alias = "secure")]
    Secure,
    /// Port numbers, separated by commas; for a version 0 cookie only the first counts.
    #[doc(alias = "port")]
    Port,
    /// `lax` or `strict`.
    #[doc(alias = "sameSitePolicy")]
    SameSitePolicy,
    /// What the cookie is for.
    #[doc(alias = "comment")]
    Comment,
    /// The URL of an explanation.
    #[doc(alias = "commentURL")]
    CommentUrl,
    /// With any value, the cookie was made by a script.
    #[doc(alias = "setByJavaScript")]
    SetByJavaScript,
}

impl HttpCookiePropertyKey {
    /// The key as Apple spells it: `Max-Age`, `CommentURL`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Name => "Name",
            Self::Value => "Value",
            Self::Path => "Path",
            Self::Domain => "Domain",
            Self::OriginUrl => "OriginURL",
            Self::Version => "Version",
            Self::MaximumAge => "Max-Age",
            Self::Expires => "Expires",
            Self::Discard => "Discard",
            Self::Secure => "Secure",
            Self::Port => "Port",
            Self::SameSitePolicy => "SameSite",
            Self::Comment => "Comment",
            Self::CommentUrl => "CommentURL",
            Self::SetByJavaScript => "SetByJavaScript",
        }
    }
}

impl HttpCookie {
    /// A cookie with these properties; of equal keys the last counts. `None` if a required one is missing, or if the
    /// cookie could not be sent: a name that is empty or holds `=` or `;`, a value that holds `;`, control characters
    /// in either, a path that does not begin with a slash, or more than 4096 bytes of name and value.
    #[doc(alias = "init(properties:)")]
    pub fn new<V: Into<String>>(
        properties: impl IntoIterator<Item = (HttpCookiePropertyKey, V)>,
    ) -> Option<Self> {
        use HttpCookiePropertyKey as Key;
        let all: Vec<(Key, String)> =
            properties.into_iter().map(|(key, value)| (key, value.into())).collect();
        let of = |key: Key| all.iter().rev().find(|(known, _)| *known == key).map(|(_, value)| &**value);

        let (name, value, path) = (of(Key::Name)?, of(Key::Value)?, of(Key::Path)?);
        let domain = match of(Key::Domain) {
            Some(domain) => domain.to_ascii_lowercase(),
            None => of(Key::OriginUrl)?.parse::<Url>().ok()?.host_str()?.to_owned(),
        };
        if name.is_empty() || !Self::is_sendable(name.as_bytes(), value.as_bytes(), [path, &domain]) {
            return None;
        }

        let version = u8::from(of(Key::Version) == Some("1"));
        let age = of(Key::MaximumAge).and_then(|age| age.trim().parse().ok());
        let is_discarded = match of(Key::Discard) {
            Some(discard) => discard.eq_ignore_ascii_case("TRUE"),
            None => version == 1 && age.is_none(),
        };
        let expires = match (is_discarded, age) {
            (true, _) => None,
            (false, Some(age)) => Some(after(system_wall(), age)),
            (false, None) => of(Key::Expires).and_then(cookie::parse_date).map(date_of),
        };
        let legacy = Legacy {
            comment: of(Key::Comment).map(Into::into),
            comment_url: of(Key::CommentUrl).map(Into::into),
            ports: of(Key::Port).and_then(|text| ports(text, version)),
        };
        Some(Self(Arc::new(CookieInner {
            name: name.into(),
            value: value.into(),
            domain: domain.into(),
            path: path.into(),
            expires,
            is_secure: of(Key::Secure).is_some(),
            is_http_only: false,
            is_partitioned: false,
            set_by_javascript: of(Key::SetByJavaScript).is_some(),
            version,
            same_site: of(Key::SameSitePolicy).and_then(same_site),
            legacy: (legacy != Legacy::default()).then(|| legacy.into()),
        })))
    }

    pub(in crate::message) fn is_sendable(name: &[u8], value: &[u8], path_and_domain: [&str; 2]) -> bool {
        let is_one_part =
            |text: &[u8]| !text.iter().any(|b| *b == b';' || (b.is_ascii_control() && *b != b'\t'));
        let [path, domain] = path_and_domain;
        [name, value, path.as_bytes(), domain.as_bytes()].into_iter().all(is_one_part)
            && !name.contains(&b'=')
            && name.len() + value.len() <= cookie::MAX_PAIR
            && path.starts_with('/')
    }

    /// The properties that make a cookie like this one, without `HttpOnly` and `Partitioned`.
    pub fn properties(&self) -> Vec<(HttpCookiePropertyKey, String)> {
        use HttpCookiePropertyKey as Key;
        let mut all: Vec<(Key, String)> = vec![
            (Key::Name, self.name().into()),
            (Key::Value, self.value().into()),
            (Key::Path, self.path().into()),
            (Key::Domain, self.domain().into()),
            (Key::Version, self.version().to_string()),
        ];
        match self.expires_date() {
            Some(date) => {
                all.push((Key::Expires, cookie::format_date(epoch_seconds(date))));
                // Else a version 1 cookie without an age would be one of the session.
                all.extend((self.version() == 1).then(|| (Key::Discard, "FALSE".into())));
            }
            None => all.push((Key::Discard, "TRUE".into())),
        }
        all.extend(self.is_secure().then(|| (Key::Secure, "TRUE".into())));
        all.extend(self.is_set_by_javascript().then(|| (Key::SetByJavaScript, "TRUE".into())));
        all.extend(self.same_site_policy().map(|policy| (Key::SameSitePolicy, policy.as_str().into())));
        all.extend(self.comment().map(|text| (Key::Comment, text.into())));
        all.extend(self.comment_url().map(|text| (Key::CommentUrl, text.into())));
        all.extend(self.port_list().map(|ports| (Key::Port, ports_text(ports))));
        all
    }
}

fn same_site(text: &str) -> Option<HttpCookieStringPolicy> {
    [HttpCookieStringPolicy::SameSiteLax, HttpCookieStringPolicy::SameSiteStrict]
        .into_iter()
        .find(|policy| policy.as_str().eq_ignore_ascii_case(text))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::HttpCookiePropertyKey as Key;
    use super::*;

    const REQUIRED: [(Key, &str); 4] =
        [(Key::Name, "a"), (Key::Value, "b"), (Key::Path, "/"), (Key::Domain, "example.com")];

    fn with(more: &[(Key, &str)]) -> Option<HttpCookie> {
        HttpCookie::new(REQUIRED.iter().chain(more).copied())
    }

    #[test]
    fn a_cookie_without_a_required_property_is_none() {
        for (missing, _) in REQUIRED {
            let rest = REQUIRED.into_iter().filter(|(key, _)| *key != missing);
            assert!(HttpCookie::new(rest).is_none(), "{missing:?}");
        }
        assert!(with(&[]).is_some());
    }

    #[test]
    fn what_could_not_be_sent_is_refused() {
        let long = "v".repeat(4096);
        for (key, text) in [
            (Key::Name, ""),
            (Key::Name, "a=b"),
            (Key::Name, "a;b"),
            (Key::Name, "a\r\nX: y"),
            (Key::Value, "a;b"),
            (Key::Value, "a\nb"),
            (Key::Value, "a\0b"),
            (Key::Value, &long),
            (Key::Path, "x"),
            (Key::Path, "/\r"),
            (Key::Domain, "a;b"),
        ] {
            assert!(with(&[(key, text)]).is_none(), "{key:?} {text:?}");
        }
    }

    #[test]
    fn an_age_wins_over_a_date_and_discard_over_both() {
        let date = (Key::Expires, "Wed, 01 Jan 2020 12:30:00 GMT");
        let seconds = |more: &[(Key, &str)]| with(more).unwrap().expires_date().map(epoch_seconds);
        assert_eq!(seconds(&[date]), Some(1_577_881_800));
        assert!(seconds(&[date, (Key::MaximumAge, "60")]) > Some(1_577_881_800));
        assert_eq!(seconds(&[date, (Key::Discard, "TRUE")]), None);
        assert_eq!(seconds(&[date, (Key::Version, "1")]), None);
        assert_eq!(seconds(&[date, (Key::Version, "1"), (Key::Discard, "FALSE")]), Some(1_577_881_800));
        assert_eq!(seconds(&[(Key::Expires, "soon")]), None);
    }

    #[test]
    fn a_cookie_of_the_properties_of_another_is_the_same() {
        let full = with(&[
            (Key::Expires, "Wed, 01 Jan 2020 12:30:00 GMT"),
            (Key::Version, "1"),
            (Key::Discard, "FALSE"),
            (Key::Secure, "yes"),
            (Key::Port, "80, 443"),
            (Key::SameSitePolicy, "Strict"),
            (Key::Comment, "for tests"),
            (Key::CommentUrl, "https://example.com/why"),
            (Key::SetByJavaScript, "TRUE"),
        ])
        .unwrap();
        assert_eq!(full.port_list(), Some(&[80, 443][..]));
        for cookie in [full, with(&[]).unwrap()] {
            assert!(HttpCookie::new(cookie.properties()).unwrap() == cookie, "{cookie:?}");
        }
        assert_eq!(with(&[]).unwrap().expires_date().map(|_| Duration::ZERO), None);
    }
}
