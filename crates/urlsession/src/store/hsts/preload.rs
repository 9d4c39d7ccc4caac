//! The preload list: hosts that are loaded over TLS only, even on the first visit.
//!
//! Browsers ship a list of well over 100,000 (the HSTS preload list, hstspreload.org). This is the part of it that
//! does most and hardly changes: all top-level domains that their registries have entered as a whole, so that every
//! name below them is covered, and a few of the largest sites. It is public knowledge: each entry can be looked up at
//! `https://hstspreload.org/api/v2/status?domain=<name>`. All were compared with the list as of January 2025 (version
//! 2025.1.1 of the Python package `hstspreload`, a copy of Chromium's).
//!
//! To add one, put it where it belongs in the order (a test checks that), provided that it is on the browsers' list
//! with `include_subdomains`. A site below one of these domains needs no entry.

use urlsession_proto::hsts::domains_of;

/// Whether the host is one of them, or below one. A look for each label; allocates nothing.
pub(super) fn knows(host: &str) -> bool {
    domains_of(host).any(|name| DOMAINS.binary_search(&name).is_ok())
}

/// In order; all with their subdomains.
const DOMAINS: [&str; 61] = [
    "accounts.google.com",
    "amazon",
    "android",
    "app",
    "audible",
    "azure",
    "bank",
    "bing",
    "boo",
    "channel",
    "chrome",
    "dad",
    "day",
    "dev",
    "eat",
    "esq",
    "fire",
    "fly",
    "foo",
    "fujitsu",
    "github.com",
    "gle",
    "gmail",
    "google",
    "hangout",
    "hotmail",
    "imdb",
    "ing",
    "insurance",
    "kindle",
    "mail.google.com",
    "meet",
    "meme",
    "microsoft",
    "mov",
    "new",
    "nexus",
    "office",
    "page",
    "phd",
    "play",
    "prime",
    "prof",
    "rsvp",
    "search",
    "silk",
    "skype",
    "stripe.com",
    "wikibooks.org",
    "wikimedia.org",
    "wikipedia.org",
    "wikisource.org",
    "wiktionary.org",
    "windows",
    "www.dropbox.com",
    "xbox",
    "xn--cckwcxetd",
    "xn--jlq480n2rg",
    "youtube",
    "zappos",
    "zip",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_in_order_and_in_lower_case() {
        assert!(DOMAINS.is_sorted_by(|a, b| a < b));
        assert!(
            DOMAINS
                .iter()
                .all(|name| name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.')))
        );
    }

    #[test]
    fn all_that_is_below_a_domain_of_the_list_is_known() {
        for host in
            ["dev", "a.dev", "a.b.c.app", "en.wikipedia.org", "github.com", "x.y.bank", "web.dev.", "my.xbox"]
        {
            assert!(knows(host), "{host}");
        }
        for host in ["dev.example", "adev", "com", "google.com", "wikipedia.org.example", "", "."] {
            assert!(!knows(host), "{host}");
        }
    }
}
