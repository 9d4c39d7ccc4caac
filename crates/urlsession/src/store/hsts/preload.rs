//! The hosts that want TLS before anybody has visited them.
//!
//! Browsers ship a list of well over 100,000 (the HSTS preload list, hstspreload.org). This is the part of it that
//! does most and hardly changes: the top-level domains whose registries have entered them as a whole, so that every
//! name below them is covered, and a few of the largest sites. It is public knowledge: each entry can be looked up at
//! `https://hstspreload.org/api/v2/status?domain=<name>`.
//!
//! To add one, put it where it belongs in the order (a test checks that), provided that it is on the browsers' list
//! with `include_subdomains`. A site below one of these domains needs no entry.

use urlsession_proto::hsts::domains_of;

/// Is the host one of them, or below one? A look for each label; allocates nothing.
pub(super) fn knows(host: &str) -> bool {
    domains_of(host).any(|name| DOMAINS.binary_search(&name).is_ok())
}

/// In order; all with their subdomains.
const DOMAINS: [&str; 41] = [
    "accounts.google.com",
    "android",
    "app",
    "bank",
    "boo",
    "channel",
    "chrome",
    "dad",
    "day",
    "dev",
    "esq",
    "fly",
    "foo",
    "github.com",
    "gle",
    "gmail",
    "google",
    "hangout",
    "ing",
    "insurance",
    "mail.google.com",
    "meet",
    "meme",
    "mov",
    "new",
    "nexus",
    "page",
    "phd",
    "play",
    "prof",
    "rsvp",
    "search",
    "stripe.com",
    "wikibooks.org",
    "wikimedia.org",
    "wikipedia.org",
    "wikisource.org",
    "wiktionary.org",
    "www.dropbox.com",
    "youtube",
    "zip",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_in_order_and_in_lower_case() {
        assert!(DOMAINS.is_sorted_by(|a, b| a < b));
        assert!(DOMAINS.iter().all(|name| name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'.'))));
    }

    #[test]
    fn all_that_is_below_a_domain_of_the_list_is_known() {
        for host in ["dev", "a.dev", "a.b.c.app", "en.wikipedia.org", "github.com", "x.y.bank", "web.dev."] {
            assert!(knows(host), "{host}");
        }
        for host in ["dev.example", "adev", "com", "google.com", "wikipedia.org.example", "", "."] {
            assert!(!knows(host), "{host}");
        }
    }
}
