//! `Known`: where the session is logged in, so that the next request need not be refused first.
//!
//! RFC 7617 §2.2, RFC 7616 §3.6. It lasts as long as the session, and until the store loses a credential.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::HeaderValue;
use url::Url;
use urlsession_proto::auth::basic::directory;
use urlsession_proto::auth::digest::{DigestExpectation, DigestRequest};

use crate::load::ConnectionLogin;
use crate::message::{HttpHead, UrlCredential, UrlProtectionSpace};
use crate::transport::auth::{Challenger, Login, Used, is_same};

/// The logins of a session, with servers or with its proxy.
#[derive(Default)]
pub(crate) struct Known {
    has_any: AtomicBool,
    entries: Mutex<Vec<Entry>>,
    /// Logins that belong to connections, by the origin they are for, the latest last.
    connections: Mutex<Vec<(url::Origin, Arc<ConnectionLogin>)>>,
}

struct Entry {
    /// Scheme, host and port: credentials never cross an origin.
    origin: url::Origin,
    /// Paths below which the login is good.
    below: Vec<String>,
    space: UrlProtectionSpace,
    credential: UrlCredential,
    login: Login,
    revision: u64,
}

/// A login that was sent unasked.
pub(super) struct Preemption {
    pub(super) used: Used,
    origin: url::Origin,
    expectation: Option<DigestExpectation>,
}

impl Known {
    /// One load, no lock.
    pub(super) fn is_empty(&self) -> bool {
        !self.has_any.load(Relaxed)
    }

    pub(crate) fn clear(&self) {
        self.lock().clear();
        self.connections().clear();
        self.has_any.store(false, Relaxed);
    }

    /// The login whose connections a request to `url` may use: that of the user the URL names, or if it names nobody the
    /// latest of the session. What another revision of the store vouched for is forgotten.
    pub(super) fn connection_login(
        &self,
        url: &Url,
        of_url: Option<&UrlCredential>,
        revision: u64,
    ) -> Option<Arc<ConnectionLogin>> {
        let origin = url.origin();
        let mut connections = self.connections();
        connections.retain(|(_, login)| login.revision() == Some(revision));
        let is_named = |login: &ConnectionLogin| {
            let credential = login.credential();
            of_url.is_none_or(|named| credential.is_some_and(|credential| is_same(named, credential)))
        };
        let mut all = connections.iter().rev();
        all.find(|(of, login)| *of == origin && is_named(login)).map(|(_, login)| login.clone())
    }

    /// A connection to the origin of `url` is logged in.
    pub(super) fn learn_connection(&self, url: &Url, login: Arc<ConnectionLogin>) {
        let origin = url.origin();
        let mut connections = self.connections();
        connections.retain(|(of, known)| *of != origin || !known.is_same(&login));
        if connections.len() == MOST_LOGINS {
            connections.remove(0);
        }
        connections.push((origin, login));
        self.has_any.store(true, Relaxed);
    }

    /// The login was refused.
    pub(super) fn forget_connection(&self, url: &Url, login: &ConnectionLogin) {
        let origin = url.origin();
        self.connections().retain(|(of, known)| *of != origin || !known.is_same(login));
    }

    /// The value for a request to `url`, where the session is logged in, as whom the URL names if it names anybody. What another
    /// revision of the store vouched for is forgotten.
    pub(super) fn authorize(
        &self,
        url: &Url,
        request: DigestRequest<'_>,
        of_url: Option<&UrlCredential>,
        revision: u64,
    ) -> Option<(HeaderValue, Preemption)> {
        let origin = url.origin();
        let mut entries = self.lock();
        entries.retain(|entry| entry.revision == revision);
        self.note(&entries);
        let reach = |entry: &Entry| {
            let below = entry.below.iter().filter(|below| is_below(url.path(), below));
            let is_named = of_url.is_none_or(|named| is_same(named, &entry.credential));
            below.map(String::len).max().filter(|_| entry.origin == origin && is_named)
        };
        // Of several the closest.
        let (_, entry) = entries
            .iter_mut()
            .filter_map(|entry| Some((reach(entry)?, entry)))
            .max_by_key(|(length, _)| *length)?;
        let (value, expectation) = entry.login.authorization(request)?;
        let used = Used {
            space: entry.space.clone(),
            credential: entry.credential.clone(),
            nonce: entry.login.nonce().map(Into::into),
        };
        Some((value, Preemption { used, origin, expectation }))
    }

    /// Takes note of what the server says of a login.
    pub(super) fn heard(&self, preemption: &Preemption, head: &HttpHead, challenger: Challenger<'_>) {
        let mut entries = self.lock();
        let is_it = |entry: &Entry| entry.origin == preemption.origin && entry.space == preemption.used.space;
        let Some(at) = entries.iter().position(is_it) else { return };
        // A request that went out before the nonce changed speaks of the old one.
        if entries[at].login.nonce() != preemption.used.nonce.as_deref() {
            return;
        }
        if !entries[at].login.heard(head, preemption.expectation.as_ref(), challenger) {
            entries.remove(at);
            self.note(&entries);
        }
    }

    pub(super) fn learn(
        &self,
        url: &Url,
        space: UrlProtectionSpace,
        credential: UrlCredential,
        login: Login,
        revision: u64,
    ) {
        let origin = url.origin();
        // RFC 7616 §3.3: to a proxy `domain` has no meaning.
        let mut below = if space.is_proxy() { vec!["/".into()] } else { reach(url, &login) };
        let mut entries = self.lock();
        if let Some(at) = entries.iter().position(|entry| entry.origin == origin && entry.space == space) {
            below.extend(entries.remove(at).below);
            below.truncate(MOST_PATHS);
        }
        below.sort_unstable();
        below.dedup();
        if entries.len() == MOST_LOGINS {
            entries.remove(0);
        }
        entries.push(Entry { origin, below, space, credential, login, revision });
        self.has_any.store(true, Relaxed);
    }

    pub(super) fn forget(&self, url: &Url, space: &UrlProtectionSpace) {
        let origin = url.origin();
        let mut entries = self.lock();
        entries.retain(|entry| entry.origin != origin || entry.space != *space);
        self.note(&entries);
    }

    fn note(&self, entries: &[Entry]) {
        self.has_any.store(!entries.is_empty() || !self.connections().is_empty(), Relaxed);
    }

    fn connections(&self) -> MutexGuard<'_, Vec<(url::Origin, Arc<ConnectionLogin>)>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The paths a login is good for: of Basic the directory of the one that asked (RFC 7617 §2.2), of Digest what the server
/// says, or all of it (RFC 7616 §3.3). Other servers it names do not get anything unasked.
fn reach(url: &Url, login: &Login) -> Vec<String> {
    let Login::Digest(session) = login else { return vec![directory(url.path()).into()] };
    let named = session.challenge().domain().take(MOST_PATHS).filter_map(|uri| url.join(uri).ok());
    let paths: Vec<_> =
        named.filter(|named| named.origin() == url.origin()).map(|named| named.path().to_owned()).collect();
    let is_named = session.challenge().domain().next().is_some();
    if is_named { paths } else { vec!["/".into()] }
}

/// Whole segments only: `/a` is not below `/ab`.
fn is_below(path: &str, below: &str) -> bool {
    path.strip_prefix(below)
        .is_some_and(|rest| below.ends_with('/') || rest.is_empty() || rest.starts_with('/'))
}

const MOST_LOGINS: usize = 64;
const MOST_PATHS: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{AuthenticationMethod, UrlCredentialPersistence, UrlProtectionSpaceProtocol};
    use urlsession_proto::auth::challenge::challenges;
    use urlsession_proto::auth::digest::{DigestChallenge, DigestSession};

    const SIGNED: DigestRequest<'static> = DigestRequest { method: "GET", uri: "/", body: None };

    fn space(realm: &str) -> UrlProtectionSpace {
        UrlProtectionSpace::new(
            "a",
            0,
            UrlProtectionSpaceProtocol::Http,
            Some(realm),
            AuthenticationMethod::HttpBasic,
        )
    }

    fn learn(known: &Known, url: &str, realm: &str) {
        let credential = UrlCredential::new(realm, "p", UrlCredentialPersistence::ForSession);
        let login = Login::Basic(HeaderValue::from_str(realm).unwrap());
        known.learn(&url.parse().unwrap(), space(realm), credential, login, 1);
    }

    fn sent(known: &Known, url: &str) -> Option<String> {
        let (value, _) = known.authorize(&url.parse().unwrap(), SIGNED, None, 1)?;
        Some(value.to_str().unwrap().into())
    }

    #[test]
    fn basic_opens_the_directory_of_its_path_and_below_on_its_origin() {
        let known = Known::default();
        assert!(known.is_empty());
        learn(&known, "http://a/docs/index.html", "docs");
        for url in ["http://a/docs/", "http://a/docs/x", "http://a/docs/deep/x?y"] {
            assert_eq!(sent(&known, url).as_deref(), Some("docs"), "{url}");
        }
        for url in [
            "http://a/",
            "http://a/doc",
            "http://a/docs",
            "https://a/docs/",
            "http://a:81/docs/",
            "http://b/docs/",
        ] {
            assert_eq!(sent(&known, url), None, "{url}");
        }
    }

    #[test]
    fn of_several_logins_the_closest_is_sent() {
        let known = Known::default();
        learn(&known, "http://a/", "outer");
        learn(&known, "http://a/in/", "inner");
        assert_eq!(sent(&known, "http://a/in/x").as_deref(), Some("inner"));
        assert_eq!(sent(&known, "http://a/out").as_deref(), Some("outer"));
        known.forget(&"http://a/".parse().unwrap(), &space("inner"));
        assert_eq!(sent(&known, "http://a/in/x").as_deref(), Some("outer"));
    }

    #[test]
    fn digest_opens_what_the_server_names_and_only_on_its_own_origin() {
        let login = |domain: &str| {
            let value = format!(r#"Digest realm="r", nonce="n"{domain}"#);
            let challenge = DigestChallenge::of(&challenges(&value)[0]).unwrap();
            Login::Digest(Box::new(DigestSession::begin(challenge, "u", "p", "c")))
        };
        let url: Url = "http://a/x/y".parse().unwrap();
        assert_eq!(reach(&url, &login("")), ["/"]);
        assert_eq!(reach(&url, &login(r#", domain="/one http://a/two http://b/three""#)), ["/one", "/two"]);
        assert!(reach(&url, &login(r#", domain="http://b/three""#)).is_empty());
        assert!(is_below("/one", "/one") && is_below("/one/x", "/one") && !is_below("/ones", "/one"));
    }

    #[test]
    fn a_credential_the_store_has_lost_is_not_sent_again() {
        let known = Known::default();
        learn(&known, "http://a/", "r");
        assert!(known.authorize(&"http://a/".parse().unwrap(), SIGNED, None, 2).is_none());
        assert!(known.is_empty());
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let known = Known::default();
        for number in 0..1000 {
            learn(&known, &format!("http://a/{number}/"), &format!("r{}", number % 100));
        }
        let entries = known.lock();
        assert_eq!(entries.len(), MOST_LOGINS);
        assert!(entries.iter().all(|entry| entry.below.len() <= MOST_PATHS));
    }
}
