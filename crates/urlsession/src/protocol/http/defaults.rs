//! The header fields of every request of a session: the configuration's, then the fields that every client should send.

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderName, header};
use urlsession_proto::field::title_case;

use crate::configuration::Configuration;
use crate::env::preferred_languages;
use crate::transport::{DefaultFields, USER_AGENT, is_framing};

/// The configuration's additional fields (without reserved ones, and without `Expect`, which is not for every request),
/// `Accept`, `Accept-Language` of the user and `User-Agent`.
pub(super) fn defaults(config: &Configuration) -> DefaultFields {
    let of_configuration = config.http_additional_headers.iter();
    let of_configuration =
        of_configuration.filter(|(name, _)| !is_reserved(name.as_str()) && *name != header::EXPECT);
    let of_configuration = of_configuration
        .map(|(name, value)| (title_case(name.as_str()).into(), Bytes::copy_from_slice(value.as_bytes())))
        .collect();
    let mut owed: Vec<(Cow<'static, str>, Bytes)> = Vec::new();
    let mut add = |name: &'static str, value: Bytes| {
        if !config.http_additional_headers.contains_key(name) && !config.omits(name) {
            owed.push((name.into(), value));
        }
    };
    add("Accept", Bytes::from_static(b"*/*"));
    if let Some(languages) = accept_language(&preferred_languages()) {
        add("Accept-Language", languages.into());
    }
    add("User-Agent", Bytes::from_static(USER_AGENT.as_bytes()));
    DefaultFields::new(of_configuration, owed)
}

/// Warns, once for a session, which fields of the configuration are reserved and never sent.
pub(super) fn warn_of_reserved(config: &Configuration) {
    let names = config.http_additional_headers.keys().map(HeaderName::as_str);
    let reserved: Vec<_> = names.filter(|name| is_reserved(name) || is_framing(name)).collect();
    if !reserved.is_empty() {
        tracing::warn!("http_additional_headers: {} reserved, and not sent", reserved.join(", "));
    }
}

/// Apple: *httpAdditionalHeaders*, "reserved".
fn is_reserved(name: &str) -> bool {
    const RESERVED: [&str; 8] = [
        "authorization",
        "connection",
        "content-length",
        "host",
        "proxy-authenticate",
        "proxy-authorization",
        "transfer-encoding",
        "www-authenticate",
    ];
    RESERVED.iter().any(|reserved| reserved.eq_ignore_ascii_case(name))
}

/// Language tags in order of preference as a field value (RFC 9110 §12.5.4): `de-DE, en;q=0.9`.
fn accept_language(tags: &[String]) -> Option<String> {
    let weighted = tags.iter().take(MAX_LANGUAGES).enumerate().map(|(rank, tag)| match rank {
        0 => tag.clone(),
        rank => format!("{tag};q=0.{}", 10 - rank),
    });
    Some(weighted.collect::<Vec<_>>().join(", ")).filter(|value| !value.is_empty())
}

const MAX_LANGUAGES: usize = 6;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages_are_weighted_by_rank() {
        let tags = ["de-DE".to_owned(), "de".into(), "en".into()];
        assert_eq!(accept_language(&tags).unwrap(), "de-DE, de;q=0.9, en;q=0.8");
        assert_eq!(accept_language(&[]), None);
    }
}
