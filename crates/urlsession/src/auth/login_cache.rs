//! `LoginCache`: where the session is logged in, with servers and proxies, so that the next request is not refused first.
//!
//! RFC 7617 §2.2, RFC 7616 §3.6. It lasts as long as the session, and until the store loses a credential.

use parking_lot::{Mutex, MutexGuard};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use http::{HeaderMap, HeaderValue};
use url::Url;
use urlsession_proto::auth::basic::directory;
use urlsession_proto::auth::digest::{DigestExpectation, DigestRequest};

use super::attempts::{Used, is_same};
use super::challenger::{Challenger, LoginKey};
use super::login::Login;
use crate::load::ConnectionLogin;
use crate::message::{UrlCredential, UrlProtectionSpace};

/// The logins of a session, with servers and proxies.
#[derive(Default)]
pub(crate) struct LoginCache {
    has_any: AtomicBool,
    entries: Mutex<Vec<LoginEntry>>,
    /// Logins that belong to connections, the latest last.
    connections: Mutex<Vec<(LoginKey, Arc<ConnectionLogin>)>>,
}

struct LoginEntry {
    key: LoginKey,
    /// Paths below which the login is good.
    below: Vec<String>,
    space: UrlProtectionSpace,
    credential: UrlCredential,
    login: Login,
    revision: u64,
}

/// A login that was sent without a challenge.
pub(crate) struct Preemption {
    pub(crate) used: Used,
    /// The revision of the credential store that vouches for it.
    pub(crate) revision: u64,
    key: LoginKey,
    expectation: Option<DigestExpectation>,
}

impl LoginCache {
    /// One load, no lock.
    pub(crate) fn is_empty(&self) -> bool {
        !self.has_any.load(Relaxed)
    }

    pub(crate) fn clear(&self) {
        self.lock().clear();
        self.connections().clear();
        self.has_any.store(false, Relaxed);
    }

    /// The login whose connections a request may use: that of the user its URL names, or if it names nobody the latest of
    /// the session. What another revision of the store vouched for is forgotten.
    pub(crate) fn connection_login(
        &self,
        challenger: Challenger<'_>,
        of_url: Option<&UrlCredential>,
        revision: u64,
    ) -> Option<Arc<ConnectionLogin>> {
        let key = challenger.key()?;
        let mut connections = self.connections();
        connections.retain(|(_, login)| login.revision() == Some(revision));
        let is_named = |login: &ConnectionLogin| {
            let credential = login.credential();
            of_url.is_none_or(|named| credential.is_some_and(|credential| is_same(named, credential)))
        };
        let mut all = connections.iter().rev();
        all.find(|(of, login)| *of == key && is_named(login)).map(|(_, login)| login.clone())
    }

    /// A connection is logged in.
    pub(crate) fn learn_connection(&self, challenger: Challenger<'_>, login: Arc<ConnectionLogin>) {
        let Some(key) = challenger.key() else { return };
        let mut connections = self.connections();
        connections.retain(|(of, known)| *of != key || !known.is_same(&login));
        if connections.len() == MOST_LOGINS {
            connections.remove(0);
        }
        connections.push((key, login));
        self.has_any.store(true, Relaxed);
    }

    /// The login was refused.
    pub(crate) fn forget_connection(&self, challenger: Challenger<'_>, login: &ConnectionLogin) {
        let key = challenger.key();
        self.connections().retain(|(of, known)| Some(of) != key.as_ref() || !known.is_same(login));
    }

    /// The value for a request, where the session is logged in, as `named` if that is anybody. What another revision of the
    /// store vouched for is forgotten.
    pub(crate) fn authorize(
        &self,
        challenger: Challenger<'_>,
        request: DigestRequest<'_>,
        named: Option<&UrlCredential>,
        revision: u64,
    ) -> Option<(HeaderValue, Preemption)> {
        let key = challenger.key()?;
        let path = challenger.url().map_or("/", Url::path);
        let mut entries = self.lock();
        entries.retain(|entry| entry.revision == revision);
        self.note(&entries);
        let reach = |entry: &LoginEntry| {
            let below = entry.below.iter().filter(|below| is_below(path, below));
            let is_named = named.is_none_or(|named| is_same(named, &entry.credential));
            below.map(String::len).max().filter(|_| entry.key == key && is_named)
        };
        // Of several the closest.
        let (_, entry) = entries
            .iter_mut()
            .filter_map(|entry| Some((reach(entry)?, entry)))
            .max_by_key(|(length, _)| *length)?;
        // Under the lock: no two requests show the same count of a nonce.
        let (value, expectation) = entry.login.authorization(request)?;
        let used = Used {
            space: entry.space.clone(),
            credential: entry.credential.clone(),
            nonce: entry.login.nonce().map(Into::into),
        };
        Some((value, Preemption { used, revision, key, expectation }))
    }

    /// Stores what the challenger's fields contain about a login.
    pub(crate) fn heard(&self, preemption: &Preemption, fields: &HeaderMap, challenger: Challenger<'_>) {
        let mut entries = self.lock();
        let is_it = |entry: &LoginEntry| entry.key == preemption.key && entry.space == preemption.used.space;
        let Some(at) = entries.iter().position(is_it) else { return };
        // A request that went out before the nonce changed speaks of the old one.
        if entries[at].login.nonce() != preemption.used.nonce.as_deref() {
            return;
        }
        if !entries[at].login.heard(fields, preemption.expectation.as_ref(), challenger) {
            entries.remove(at);
            self.note(&entries);
        }
    }

    pub(crate) fn learn(&self, challenger: Challenger<'_>, used: Used, login: Login, revision: u64) {
        let Some(key) = challenger.key() else { return };
        let Used { space, credential, .. } = used;
        // RFC 7616 §3.3: to a proxy `domain` has no meaning.
        let mut below = challenger.url().map_or_else(|| vec!["/".into()], |url| reach(url, &login));
        let mut entries = self.lock();
        if let Some(at) = entries.iter().position(|entry| entry.key == key && entry.space == space) {
            below.extend(entries.remove(at).below);
            below.truncate(MOST_PATHS);
        }
        below.sort_unstable();
        below.dedup();
        if entries.len() == MOST_LOGINS {
            entries.remove(0);
        }
        entries.push(LoginEntry { key, below, space, credential, login, revision });
        self.has_any.store(true, Relaxed);
    }

    pub(crate) fn forget(&self, challenger: Challenger<'_>, space: &UrlProtectionSpace) {
        let key = challenger.key();
        let mut entries = self.lock();
        entries.retain(|entry| Some(&entry.key) != key.as_ref() || entry.space != *space);
        self.note(&entries);
    }

    fn note(&self, entries: &[LoginEntry]) {
        self.has_any.store(!entries.is_empty() || !self.connections().is_empty(), Relaxed);
    }

    fn connections(&self) -> MutexGuard<'_, Vec<(LoginKey, Arc<ConnectionLogin>)>> {
        self.connections.lock()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<LoginEntry>> {
        self.entries.lock()
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
    use crate::message::{
        AuthenticationMethod, UrlCredentialPersistence, UrlProtectionSpaceProtocol,
        UrlProtectionSpaceProxyType, UrlRequest,
    };
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

    fn request(url: &str) -> UrlRequest {
        UrlRequest::new(url.parse().unwrap())
    }

    fn used(realm: &str) -> Used {
        let credential = UrlCredential::new(realm, "p", UrlCredentialPersistence::ForSession);
        Used { space: space(realm), credential, nonce: None }
    }

    fn basic(value: &str) -> Login {
        Login::Basic(HeaderValue::from_str(value).unwrap())
    }

    fn learn(known: &LoginCache, url: &str, realm: &str) {
        known.learn(Challenger::Server(&request(url)), used(realm), basic(realm), 1);
    }

    fn sent(known: &LoginCache, url: &str) -> Option<String> {
        let (value, _) = known.authorize(Challenger::Server(&request(url)), SIGNED, None, 1)?;
        Some(value.to_str().unwrap().into())
    }

    #[test]
    fn basic_opens_the_directory_of_its_path_and_below_on_its_origin() {
        let known = LoginCache::default();
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
        let known = LoginCache::default();
        learn(&known, "http://a/", "outer");
        learn(&known, "http://a/in/", "inner");
        assert_eq!(sent(&known, "http://a/in/x").as_deref(), Some("inner"));
        assert_eq!(sent(&known, "http://a/out").as_deref(), Some("outer"));
        known.forget(Challenger::Server(&request("http://a/")), &space("inner"));
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
    fn a_login_is_for_one_proxy_of_one_kind_and_never_for_a_server_of_its_name() {
        use UrlProtectionSpaceProxyType::{Http, Https};
        let proxy = |host, port, kind| Challenger::Proxy { host, port, kind };
        let known = LoginCache::default();
        known.learn(proxy("a", 80, Http), used("proxy"), basic("proxy"), 1);
        let sent_to = |challenger| known.authorize(challenger, SIGNED, None, 1).is_some();
        assert!(sent_to(proxy("a", 80, Http)));
        for other in [proxy("b", 80, Http), proxy("a", 81, Http), proxy("a", 80, Https)] {
            assert!(!sent_to(other), "{other:?}");
        }
        assert_eq!(sent(&known, "http://a/"), None);
        learn(&known, "http://b/", "server");
        assert!(!sent_to(proxy("b", 80, Http)));
    }

    #[test]
    fn a_credential_the_store_has_lost_is_not_sent_again() {
        let known = LoginCache::default();
        learn(&known, "http://a/", "r");
        assert!(known.authorize(Challenger::Server(&request("http://a/")), SIGNED, None, 2).is_none());
        assert!(known.is_empty());
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let known = LoginCache::default();
        for number in 0..1000 {
            learn(&known, &format!("http://a/{number}/"), &format!("r{}", number % 100));
        }
        let entries = known.lock();
        assert_eq!(entries.len(), MOST_LOGINS);
        assert!(entries.iter().all(|entry| entry.below.len() <= MOST_PATHS));
    }
}
