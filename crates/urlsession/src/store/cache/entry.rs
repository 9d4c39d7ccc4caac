//! An entry of the cache: a response, its body or where that lies, and which requests it answers.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac::{self, HMAC_SHA256};
use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderName, StatusCode};
use url::{Position, Url};
use urlsession_proto::caching::{CacheControl, Freshness, Times};
use urlsession_proto::field::list;

use super::file::BodyFile;
use crate::body::Body;
use crate::env::RuntimeHandle;
use crate::message::codec;
use crate::message::{CachedUrlResponse, StoragePolicy, UrlRequest, UrlResponse, is_secret};

pub(crate) struct CacheEntry {
    pub(crate) key: Arc<str>,
    pub(crate) variant: Variant,
    pub(crate) response: UrlResponse,
    pub(crate) times: Times,
    /// `None` of a response that is not of HTTP.
    pub(crate) freshness: Option<Freshness>,
    /// When it was stored, in milliseconds since 1970.
    pub(crate) stored: i64,
    pub(crate) content: Content,
    pub(crate) user_info: Option<BTreeMap<String, String>>,
    pub(crate) policy: StoragePolicy,
    /// Whether the body is as it came, coded as the head says.
    pub(crate) is_coded: bool,
    /// Used since the disk was last told.
    pub(super) is_touched: AtomicBool,
}

/// A body.
#[derive(Clone)]
pub(crate) enum Content {
    Memory(Bytes),
    File(Arc<BodyFile>),
}

impl Content {
    /// The body, if nothing is to be waited for.
    pub(crate) fn at_once(&self) -> Option<Body> {
        let data = match self {
            Self::Memory(data) => data.clone(),
            Self::File(file) => file.held()?,
        };
        Some(Body::whole(data, 0))
    }

    /// The body; `None` if it is damaged.
    pub(crate) async fn body(&self, runtime: &RuntimeHandle) -> Option<Body> {
        match (self.at_once(), self) {
            (None, Self::File(file)) => file.body(runtime).await,
            (body, _) => body,
        }
    }

    pub(crate) fn length(&self) -> u64 {
        match self {
            Self::Memory(data) => data.len() as u64,
            Self::File(file) => file.length,
        }
    }
}

impl CacheEntry {
    pub(crate) fn new(
        key: Arc<str>,
        variant: Variant,
        cached: &CachedUrlResponse,
        times: Times,
        content: Content,
    ) -> Self {
        let mut new = Self {
            key,
            variant,
            response: cached.response().clone(),
            times,
            freshness: None,
            stored: times.received.saturating_mul(1000),
            content,
            user_info: cached.user_info().cloned(),
            policy: cached.storage_policy(),
            is_coded: cached.is_coded(),
            is_touched: AtomicBool::new(false),
        };
        new.judge();
        new
    }

    /// Works out the freshness of its head.
    pub(super) fn judge(&mut self) {
        self.freshness = self
            .response
            .http_head()
            .map(|head| Freshness::of(head.status, &head.fields, CacheControl::of(&head.fields), self.times));
    }

    /// The same body under a head that the server has confirmed.
    pub(crate) fn confirmed(&self, response: UrlResponse, times: Times) -> Self {
        let mut new = Self {
            key: self.key.clone(),
            variant: self.variant.clone(),
            response,
            times,
            freshness: None,
            stored: self.stored,
            content: self.content.clone(),
            user_info: self.user_info.clone(),
            policy: self.policy,
            is_coded: self.is_coded,
            is_touched: AtomicBool::new(false),
        };
        new.judge();
        new
    }

    /// The same with another body.
    pub(super) fn with_content(&self, content: Content) -> Self {
        let mut new = self.confirmed(self.response.clone(), self.times);
        new.content = content;
        new
    }

    /// Whether the entry is a part of a representation.
    pub(crate) fn is_part(&self) -> bool {
        self.response.status_code() == Some(StatusCode::PARTIAL_CONTENT.as_u16())
    }

    /// For the application; `data` is the body.
    pub(super) fn cached(&self, data: Bytes) -> CachedUrlResponse {
        let cached = match self.is_coded {
            true => CachedUrlResponse::coded(self.response.clone(), data),
            false => CachedUrlResponse::new(self.response.clone(), data),
        };
        cached.with_user_info(self.user_info.clone()).with_storage_policy(self.policy)
    }

    pub(super) fn touch(&self) {
        if !self.is_touched.load(Relaxed) {
            self.is_touched.store(true, Relaxed);
        }
    }

    /// What it takes: its body, its head, and something for the books.
    pub(super) fn size(&self) -> u64 {
        let head = self.response.http_head().map_or(0, |head| {
            let fields = head.fields.iter().map(|(name, value)| name.as_str().len() + value.len() + 32);
            head.raw.len() + fields.sum::<usize>()
        });
        self.content.length() + (head + self.key.len()) as u64 + OVERHEAD
    }
}

/// Under which name the answer to a request is kept: the URL without its fragment. `None` if it is not kept at all:
/// only GET is, no URL with a user's name or password in it, and nothing of a host in a zone.
pub(crate) fn key(request: &UrlRequest) -> Option<&str> {
    let url = request.url_for_stores().filter(|_| *request.http_method() == http::Method::GET)?;
    key_of_url(url)
}

pub(crate) fn key_of_url(url: &Url) -> Option<&str> {
    let is_anonymous = url.username().is_empty() && url.password().is_none();
    is_anonymous.then(|| &url[..Position::AfterQuery])
}

/// Which requests an entry answers: those that say the same in the fields of its `Vary`, and in `Authorization`
/// always, since one user's answer is not another's. Values are kept as digests: they may be secrets. On disk the digests
/// are sealed with the folder's key, so that short secrets cannot be looked up; what comes from there stays sealed.
#[derive(Clone, Debug)]
pub(crate) struct Variant {
    fields: Vec<(HeaderName, Option<Digest>)>,
    seal: Option<Arc<Seal>>,
}

type Digest = [u8; 16];

/// What digests on disk are sealed with.
#[derive(Debug)]
pub(super) struct Seal {
    key: hmac::Key,
    /// Tells keys apart.
    check: Digest,
}

impl Seal {
    pub(super) fn new(key: &[u8]) -> Arc<Self> {
        let key = hmac::Key::new(HMAC_SHA256, key);
        let check = shortened(hmac::sign(&key, b"").as_ref());
        Arc::new(Self { key, check })
    }

    fn digest(&self, name: &str, digest: &Digest) -> Digest {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(name.as_bytes());
        context.update(b"=");
        context.update(digest);
        shortened(context.sign().as_ref())
    }
}

impl PartialEq for Seal {
    fn eq(&self, other: &Self) -> bool {
        self.check == other.check
    }
}

/// What a request says in a field.
pub(crate) enum Said<'a> {
    Value(&'a [u8]),
    Nothing,
    /// The session may add it: who asks does not know.
    Unknown,
}

impl Variant {
    /// Of a response that varies by `names`.
    pub(crate) fn of<'a>(mut names: Vec<HeaderName>, said: impl Fn(&str) -> Said<'a>) -> Self {
        if !names.contains(&AUTHORIZATION) {
            names.push(AUTHORIZATION);
        }
        names.sort_by(|a, b| a.as_str().cmp(b.as_str()));
        let value = |name: HeaderName| {
            let digest = match said(name.as_str()) {
                Said::Value(value) => Some(digest_of(name.as_str(), value)),
                Said::Nothing | Said::Unknown => None,
            };
            (name, digest)
        };
        Self { fields: names.into_iter().map(value).collect(), seal: None }
    }

    pub(crate) fn matches<'a>(&self, said: impl Fn(&str) -> Said<'a>) -> bool {
        self.fields.iter().all(|(name, stored)| match said(name.as_str()) {
            Said::Value(value) => stored.is_some_and(|stored| {
                let digest = digest_of(name.as_str(), value);
                stored == self.seal.as_ref().map_or(digest, |seal| seal.digest(name.as_str(), &digest))
            }),
            Said::Nothing => stored.is_none(),
            Said::Unknown => true,
        })
    }

    /// The same with sealed digests. Digests that another seal has are as they are: they are nobody's any more.
    fn sealed<'a>(&'a self, seal: &Arc<Seal>) -> Cow<'a, Self> {
        if self.seal.is_some() {
            return Cow::Borrowed(self);
        }
        let sealed = |(name, digest): &(HeaderName, Option<Digest>)| {
            (name.clone(), digest.as_ref().map(|digest| seal.digest(name.as_str(), digest)))
        };
        Cow::Owned(Self { fields: self.fields.iter().map(sealed).collect(), seal: Some(seal.clone()) })
    }

    /// For the disk: the same bytes for the same variant, by which it is found there.
    pub(super) fn to_bytes(&self, seal: &Arc<Seal>) -> Vec<u8> {
        let sealed = self.sealed(seal);
        codec::write(&sealed.fields.iter().map(|(name, digest)| (name.as_str(), digest)).collect::<Vec<_>>())
    }

    /// `None` if the bytes are none of ours.
    pub(super) fn from_bytes(bytes: &[u8], seal: &Arc<Seal>) -> Option<Self> {
        let read: Vec<(&str, Option<Digest>)> = codec::read(bytes)?;
        let field = |(name, digest): (&str, _)| Some((HeaderName::from_bytes(name.as_bytes()).ok()?, digest));
        let fields = read.into_iter().map(field).collect::<Option<_>>()?;
        Some(Self { fields, seal: Some(seal.clone()) })
    }
}

impl PartialEq for Variant {
    fn eq(&self, other: &Self) -> bool {
        match (&self.seal, &other.seal) {
            (Some(seal), None) => self.fields == other.sealed(seal).fields,
            (None, Some(seal)) => self.sealed(seal).fields == other.fields,
            (one, another) => one == another && self.fields == other.fields,
        }
    }
}

fn digest_of(name: &str, value: &[u8]) -> Digest {
    shortened(digest(&SHA256, &normalized(name, value)).as_ref())
}

fn shortened(digest: &[u8]) -> Digest {
    let mut short = Digest::default();
    short.iter_mut().zip(digest).for_each(|(to, from)| *to = *from);
    short
}

/// What counts of a value when requests are compared (RFC 9111 §4.1): not the white space around it and around the
/// members of a list, which may have come in several lines; of languages, codings and character sets not the case.
/// Secrets are compared as they are.
fn normalized<'a>(name: &str, value: &'a [u8]) -> Cow<'a, [u8]> {
    let value = value.trim_ascii();
    let ignores_case = matches!(name, "accept-charset" | "accept-encoding" | "accept-language");
    let is_list = value.contains(&b',') && !is_secret(name);
    match std::str::from_utf8(value) {
        Ok(text) if is_list || ignores_case => {
            let mut text = list(text).collect::<Vec<_>>().join(",");
            if ignores_case {
                text.make_ascii_lowercase();
            }
            Cow::Owned(text.into_bytes())
        }
        _ => Cow::Borrowed(value),
    }
}

/// Pointers, tables and a row's own bytes, roughly.
const OVERHEAD: u64 = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_no_fragment_and_nobodys_name() {
        let key = |url: &str| key(&UrlRequest::new(url.parse().unwrap())).map(str::to_owned);
        assert_eq!(key("http://a/b?c#d").as_deref(), Some("http://a/b?c"));
        assert_ne!(key("http://a/b"), key("https://a/b"));
        assert_ne!(key("http://a/b?x=1"), key("http://a/b?x=2"));
        assert_eq!(key("http://me@a/"), None);
        assert_eq!(key("http://:secret@a/"), None);
    }

    #[test]
    fn lists_are_compared_by_their_members_and_secrets_as_they_are() {
        for (name, one, other, is_same) in [
            ("foo", "1,2", " 1 ,  2 ", true),
            ("foo", "1, 2", "2, 1", false),
            ("foo", "a", "A", false),
            ("foo", "\"1, 2\"", "\"1,2\"", false),
            ("accept-language", "en, de", "eN,De", true),
            ("accept-encoding", "gzip", "GZIP", true),
            ("cookie", "a=1, 2", "a=1,2", false),
            ("authorization", "Digest a, b", "Digest a,b", false),
        ] {
            let names = || vec![HeaderName::from_bytes(name.as_bytes()).unwrap()];
            let said = |value: &'static str| {
                move |of: &str| if of == name { Said::Value(value.as_bytes()) } else { Said::Nothing }
            };
            let variant = Variant::of(names(), said(one));
            assert_eq!(variant.matches(said(other)), is_same, "{name}: {one:?} {other:?}");
        }
    }

    #[test]
    fn a_variant_answers_who_says_the_same() {
        let names = vec![http::header::ACCEPT, http::header::COOKIE];
        let german = |name: &str| match name {
            "accept" => Said::Value(b" text/html "),
            _ => Said::Nothing,
        };
        let variant = Variant::of(names, german);
        assert!(variant.matches(german));
        assert!(variant.matches(|name| if name == "accept" {
            Said::Value(b"text/html")
        } else {
            Said::Nothing
        }));
        assert!(!variant.matches(|_| Said::Nothing));
        assert!(!variant.matches(|name| if name == "authorization" {
            Said::Value(b"x")
        } else {
            german(name)
        }));
        assert!(variant.matches(|_| Said::Unknown));
        let (seal, another) = (Seal::new(b"key"), Seal::new(b"another"));
        let bytes = variant.to_bytes(&seal);
        let sealed = Variant::from_bytes(&bytes, &seal).unwrap();
        assert!(sealed.matches(german) && !sealed.matches(|_| Said::Nothing));
        assert_eq!(sealed, variant);
        assert_eq!(variant, sealed);
        assert_eq!(sealed.to_bytes(&seal), bytes);
        let lost = Variant::from_bytes(&bytes, &another).unwrap();
        assert!(!lost.matches(german) && lost != variant && lost != sealed);
        assert_eq!(Variant::from_bytes(b"accept=short", &seal), None);
    }

    #[test]
    fn a_digest_on_disk_says_nothing_without_its_key() {
        let said = |name: &str| if name == "authorization" { Said::Value(b"Basic x") } else { Said::Nothing };
        let bytes = Variant::of(Vec::new(), said).to_bytes(&Seal::new(b"key"));
        let plain = digest(&SHA256, b"Basic x");
        assert!(!bytes.windows(8).any(|window| window == &plain.as_ref()[..8]));
        assert_ne!(bytes, Variant::of(Vec::new(), said).to_bytes(&Seal::new(b"another")));
    }
}
