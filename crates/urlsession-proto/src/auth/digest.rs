//! Digest: proof of a password without sending it (RFC 7616; without `qop` as RFC 2069 had it).
//!
//! Client nonces come from the caller, and so does the decision to try a credential.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::Write as _;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::challenge::{Challenge, parameters};
use super::quoted::write_quoted;

/// What a server asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DigestChallenge {
    realm: String,
    nonce: String,
    opaque: Option<String>,
    /// As the server spelled it; it is said back.
    algorithm_name: Option<String>,
    algorithm: Algorithm,
    qop: Option<Qop>,
    domain: Option<String>,
    is_stale: bool,
    wants_user_hash: bool,
    is_utf8: bool,
    is_latin1: bool,
}

/// The hash, from the weakest to the strongest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hash {
    /// For old servers.
    Md5,
    /// SHA-256 (FIPS 180-4).
    Sha256,
    /// SHA-512/256 (FIPS 180-4).
    Sha512_256,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Algorithm {
    hash: Hash,
    /// Whether a key is made once for a series of requests (`-sess`).
    is_session: bool,
}

/// The quality of protection to use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Qop {
    /// Of the request line.
    Auth,
    /// Of the body too.
    AuthInt,
}

impl Qop {
    fn name(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::AuthInt => "auth-int",
        }
    }
}

impl DigestChallenge {
    /// Reads a challenge of this scheme. `None` if it is another's, has no realm or nonce, or knows only algorithms or
    /// qualities of protection that are not known here (RFC 7616 §3.3: such a one is ignored).
    pub fn of(challenge: &Challenge<'_>) -> Option<Self> {
        if !challenge.is("Digest") {
            return None;
        }
        let text = |name| challenge.parameter(name).map(str::to_owned);
        let says = |name, word: &str| {
            challenge.parameter(name).is_some_and(|value| value.eq_ignore_ascii_case(word))
        };
        let qop = match challenge.parameter("qop") {
            None => None,
            // An empty list offers nothing; servers that send one mean that there is none.
            Some(list) if list.split(',').all(|qop| qop.trim().is_empty()) => None,
            Some(list) => {
                let offers = |name| list.split(',').any(|qop| qop.trim().eq_ignore_ascii_case(name));
                // The body is protected by TLS better than by a hash, and a stream would have to be read twice.
                Some(if offers("auth") {
                    Qop::Auth
                } else if offers("auth-int") {
                    Qop::AuthInt
                } else {
                    return None;
                })
            }
        };
        Some(Self {
            realm: text("realm")?,
            nonce: text("nonce")?,
            opaque: text("opaque"),
            algorithm_name: text("algorithm"),
            algorithm: algorithm(challenge.parameter("algorithm"))?,
            qop,
            domain: text("domain"),
            is_stale: says("stale", "true"),
            wants_user_hash: says("userhash", "true"),
            is_utf8: says("charset", "UTF-8"),
            is_latin1: false,
        })
    }

    /// The challenge of a field that was decoded as ISO-8859-1: its texts are hashed and sent back as the bytes that they
    /// were (RFC 7616 leaves the encoding of a realm open unless `charset` names one).
    #[must_use]
    pub fn decoded_as_latin1(self) -> Self {
        Self { is_latin1: true, ..self }
    }

    /// A text of the challenge as it came.
    fn bytes<'a>(&self, text: &'a str) -> Cow<'a, [u8]> {
        if !self.is_latin1 || text.is_ascii() {
            return Cow::Borrowed(text.as_bytes());
        }
        let mut bytes = Vec::with_capacity(text.len());
        for c in text.chars() {
            match u8::try_from(u32::from(c)) {
                Ok(byte) => bytes.push(byte),
                Err(_) => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        Cow::Owned(bytes)
    }

    /// The realm.
    pub fn realm(&self) -> &str {
        &self.realm
    }

    /// The nonce.
    pub fn nonce(&self) -> &str {
        &self.nonce
    }

    /// The hash.
    pub fn hash(&self) -> Hash {
        self.algorithm.hash
    }

    /// Whether only the nonce of the last answer was too old, and the password right (RFC 7616 §3.3).
    pub fn is_stale(&self) -> bool {
        self.is_stale
    }

    /// The URIs the credential is good for, absolute or of this server; none given is the whole server.
    pub fn domain(&self) -> impl Iterator<Item = &str> {
        self.domain.as_deref().unwrap_or_default().split_ascii_whitespace()
    }

    /// Whether the body must be known before the request is sent.
    pub fn covers_body(&self) -> bool {
        self.qop == Some(Qop::AuthInt)
    }
}

/// Answers to one challenge, as long as its nonce is good: the nonce is counted.
#[derive(Clone)]
pub struct DigestSession {
    challenge: DigestChallenge,
    user: String,
    /// H(A1)
    key: String,
    cnonce: String,
    count: u32,
}

/// A request as it is digested.
#[derive(Clone, Copy, Debug)]
pub struct DigestRequest<'a> {
    /// The method.
    pub method: &'a str,
    /// The target as it stands in the request line.
    pub uri: &'a str,
    /// The body, if it is known.
    pub body: Option<&'a [u8]>,
}

impl DigestSession {
    /// Begins to answer. `cnonce` must be new and not to be guessed; it is used as long as the nonce.
    pub fn begin(challenge: DigestChallenge, user: &str, password: &str, cnonce: &str) -> Self {
        let hash = challenge.algorithm.hash;
        let secret = hash.hex(&[user.as_bytes(), &challenge.bytes(&challenge.realm), password.as_bytes()]);
        let key = match challenge.algorithm.is_session {
            // RFC 7616 §3.4.2: made once, of the first nonces.
            true => hash.hex(&[secret.as_bytes(), &challenge.bytes(&challenge.nonce), cnonce.as_bytes()]),
            false => secret,
        };
        Self { challenge, user: user.into(), key, cnonce: cnonce.into(), count: 0 }
    }

    /// What is being answered.
    pub fn challenge(&self) -> &DigestChallenge {
        &self.challenge
    }

    /// The value of `Authorization` for the next request, and what the server will prove in return. `None` if the body
    /// must be known and is not.
    pub fn authorize(&mut self, request: DigestRequest<'_>) -> Option<(Vec<u8>, DigestExpectation)> {
        let Self { challenge, key, cnonce, .. } = &*self;
        let hash = challenge.algorithm.hash;
        let count = format!("{:08x}", self.count.wrapping_add(1));
        let subject = match challenge.qop {
            Some(Qop::AuthInt) => {
                let body = hash.hex(&[request.body?]);
                hash.hex(&[request.method.as_bytes(), request.uri.as_bytes(), body.as_bytes()])
            }
            _ => hash.hex(&[request.method.as_bytes(), request.uri.as_bytes()]),
        };
        let response = response(challenge, key, cnonce, &count, &subject);
        let mut value = Vec::with_capacity(512);
        value.extend_from_slice(b"Digest ");
        self.write_user(&mut value);
        let quoted = |value: &mut Vec<u8>, name: &str, text: &str| {
            let _ = write!(value, ", {name}=");
            write_quoted(value, &challenge.bytes(text));
        };
        quoted(&mut value, "realm", &challenge.realm);
        quoted(&mut value, "uri", request.uri);
        if let Some(name) = &challenge.algorithm_name {
            let _ = write!(value, ", algorithm={name}");
        }
        quoted(&mut value, "nonce", &challenge.nonce);
        match challenge.qop {
            Some(qop) => {
                let _ = write!(value, ", nc={count}");
                quoted(&mut value, "cnonce", cnonce);
                let _ = write!(value, ", qop={}", qop.name());
            }
            None if challenge.algorithm.is_session => quoted(&mut value, "cnonce", cnonce),
            None => {}
        }
        quoted(&mut value, "response", &response);
        if let Some(opaque) = &challenge.opaque {
            quoted(&mut value, "opaque", opaque);
        }
        let expectation = self.expectation(&count, request.uri);
        self.count = self.count.wrapping_add(1);
        Some((value, expectation))
    }

    /// The server has named the nonce to use next (RFC 7616 §3.5).
    pub fn use_next_nonce(&mut self, nonce: &str) {
        self.challenge.nonce = nonce.into();
        self.count = 0;
    }

    /// RFC 7616 §3.4: what does not fit a quoted string of old is sent as `username*`, to servers that know UTF-8.
    fn write_user(&self, value: &mut Vec<u8>) {
        let challenge = &self.challenge;
        if challenge.wants_user_hash {
            let realm = challenge.bytes(&challenge.realm);
            let hash = challenge.algorithm.hash.hex(&[self.user.as_bytes(), &realm]);
            let _ = write!(value, "username=\"{hash}\"");
        } else if challenge.is_utf8 && !self.user.bytes().all(|b| matches!(b, b' '..=b'~')) {
            let _ = write!(value, "username*=UTF-8''{}", utf8_percent_encode(&self.user, NON_ALPHANUMERIC));
        } else {
            value.extend_from_slice(b"username=");
            write_quoted(value, self.user.as_bytes());
        }
        if challenge.wants_user_hash {
            value.extend_from_slice(b", userhash=true");
        }
    }

    fn expectation(&self, count: &str, uri: &str) -> DigestExpectation {
        let hash = self.challenge.algorithm.hash;
        let subject = hash.hex(&[b"", uri.as_bytes()]);
        DigestExpectation { response: response(&self.challenge, &self.key, &self.cnonce, count, &subject) }
    }
}

/// What a server that knows the password too says in `Authentication-Info`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DigestExpectation {
    response: String,
}

/// What an `Authentication-Info` field says (RFC 7616 §3.5).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuthenticationInfo<'a> {
    next_nonce: Option<Cow<'a, str>>,
    response: Option<Cow<'a, str>>,
    covers_body: bool,
}

impl<'a> AuthenticationInfo<'a> {
    /// Reads the field.
    pub fn parse(value: &'a str) -> Self {
        let mut info = Self::default();
        for (name, value) in parameters(value) {
            if name.eq_ignore_ascii_case("nextnonce") {
                info.next_nonce.get_or_insert(value);
            } else if name.eq_ignore_ascii_case("rspauth") {
                info.response.get_or_insert(value);
            } else if name.eq_ignore_ascii_case("qop") {
                info.covers_body = value.eq_ignore_ascii_case("auth-int");
            }
        }
        info
    }

    /// The nonce to use next.
    pub fn next_nonce(&self) -> Option<&str> {
        self.next_nonce.as_deref()
    }

    /// Whether the server has proved that it knows the password. `None` if it does not say, or says it of a body, which is not
    /// known when the head is read.
    pub fn proves(&self, expectation: &DigestExpectation) -> Option<bool> {
        let response = self.response.as_deref().filter(|_| !self.covers_body)?;
        Some(response.eq_ignore_ascii_case(&expectation.response))
    }
}

/// RFC 7616 §3.4.1; without `qop`, RFC 2069 §2.1.2.
fn response(challenge: &DigestChallenge, key: &str, cnonce: &str, count: &str, subject: &str) -> String {
    let nonce = &*challenge.bytes(&challenge.nonce);
    let (key, cnonce, count, subject) =
        (key.as_bytes(), cnonce.as_bytes(), count.as_bytes(), subject.as_bytes());
    match challenge.qop {
        Some(qop) => {
            challenge.algorithm.hash.hex(&[key, nonce, count, cnonce, qop.name().as_bytes(), subject])
        }
        None => challenge.algorithm.hash.hex(&[key, nonce, subject]),
    }
}

fn algorithm(name: Option<&str>) -> Option<Algorithm> {
    let name = name.unwrap_or("MD5");
    let (base, is_session) = match name.len().checked_sub(5).and_then(|at| name.split_at_checked(at)) {
        Some((base, end)) if end.eq_ignore_ascii_case("-sess") => (base, true),
        _ => (name, false),
    };
    let known = [("MD5", Hash::Md5), ("SHA-256", Hash::Sha256), ("SHA-512-256", Hash::Sha512_256)];
    let (_, hash) = known.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(base))?;
    Some(Algorithm { hash, is_session })
}

impl Hash {
    /// The parts with colons between them, hashed, in hexadecimal.
    fn hex(self, parts: &[&[u8]]) -> String {
        match self {
            Self::Md5 => hex_of::<md5::Md5>(parts),
            Self::Sha256 => hex_of::<sha2::Sha256>(parts),
            Self::Sha512_256 => hex_of::<sha2::Sha512_256>(parts),
        }
    }
}

fn hex_of<H: md5::Digest>(parts: &[&[u8]]) -> String {
    let mut hash = H::new();
    for (at, part) in parts.iter().enumerate() {
        if at > 0 {
            hash.update(b":");
        }
        hash.update(part);
    }
    let mut text = String::with_capacity(64);
    for byte in hash.finalize().iter() {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::challenge::challenges;
    use super::*;

    const NONCE: &str = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v";
    const CNONCE: &str = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";

    fn challenge(value: &str) -> Option<DigestChallenge> {
        challenges(value).iter().find_map(DigestChallenge::of)
    }

    fn mufasa(more: &str) -> DigestSession {
        let value = format!(r#"Digest realm="http-auth@example.org", nonce="{NONCE}"{more}"#);
        DigestSession::begin(challenge(&value).unwrap(), "Mufasa", "Circle of Life", CNONCE)
    }

    const GET: DigestRequest<'_> = DigestRequest { method: "GET", uri: "/dir/index.html", body: None };

    /// A parameter of an answer.
    fn part(value: &str, name: &str) -> Option<String> {
        challenges(value)[0].parameter(name).map(Into::into)
    }

    fn answer(session: &mut DigestSession) -> String {
        String::from_utf8(session.authorize(GET).unwrap().0).unwrap()
    }

    #[test]
    fn the_examples_of_rfc_7616_section_3_9_1() {
        for (algorithm, response) in [
            ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
            ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
        ] {
            let more = format!(r#", algorithm={algorithm}, qop="auth, auth-int", opaque="o""#);
            let value = answer(&mut mufasa(&more));
            assert_eq!(part(&value, "response").unwrap(), response);
            assert_eq!(part(&value, "nc").unwrap(), "00000001");
            assert_eq!(part(&value, "algorithm").unwrap(), algorithm);
            assert_eq!(part(&value, "opaque").unwrap(), "o");
            assert!(value.contains(", qop=auth,"), "{value}");
        }
    }

    #[test]
    fn the_example_of_rfc_7616_section_3_9_2_as_erratum_4897_corrects_it() {
        let value = "Digest realm=\"api@example.org\", qop=auth, algorithm=SHA-512-256, charset=UTF-8, userhash=true, \
                     nonce=\"5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK\"";
        let cnonce = "NTg6RKcb9boFIAS3KrFK9BGeh+iDa/sm6jUMp2wds69v";
        let mut session =
            DigestSession::begin(challenge(value).unwrap(), "Jäsøn Doe", "Secret, or not?", cnonce);
        let request = DigestRequest { method: "GET", uri: "/doe.json", body: None };
        let value = String::from_utf8(session.authorize(request).unwrap().0).unwrap();
        let user = "793263caabb707a56211940d90411ea4a575adeccb7e360aeb624ed06ece9b0b";
        let response = "3798d4131c277846293534c3edc11bd8a5e4cdcbff78b05db9d95eeb1cec68a5";
        assert_eq!(part(&value, "username").unwrap(), user);
        assert_eq!(part(&value, "response").unwrap(), response);
        assert_eq!(part(&value, "userhash").unwrap(), "true");
    }

    #[test]
    fn sessions_bodies_and_servers_without_a_quality_of_protection() {
        let response = |more, request| {
            let (value, _) = mufasa(more).authorize(request).unwrap();
            part(&String::from_utf8(value).unwrap(), "response").unwrap()
        };
        let post = DigestRequest { method: "POST", body: Some(b"v=%s"), ..GET };
        for (more, request, expected) in [
            (", algorithm=MD5-sess, qop=auth", GET, "e783283f46242139c486a698fec7211d"),
            (
                ", algorithm=sha-256-SESS, qop=auth",
                GET,
                "2fd51b3a77ad75bad6afad6003e818d767133c46d9e2749e7f5232ae1ea3efd7",
            ),
            (", qop=auth-int", post, "430143998a52fd70dd42208c081ce379"),
            (
                ", algorithm=SHA-256, qop=auth-int",
                post,
                "23a31f12fee0cc1b189d151cd868bab93e71c366f454ac879cf7a7329e4da550",
            ),
        ] {
            assert_eq!(response(more, request), expected, "{more}");
        }
        assert!(mufasa(", qop=auth-int").authorize(GET).is_none(), "the body is not known");
    }

    #[test]
    fn a_server_of_rfc_2069_gets_no_client_nonce() {
        let value = "Digest realm=\"testrealm@host.com\", nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\"";
        let mut session = DigestSession::begin(challenge(value).unwrap(), "Mufasa", "CircleOfLife", CNONCE);
        let value = answer(&mut session);
        // The RFC's own example has another value, which its erratum 749 corrects to this one.
        assert_eq!(part(&value, "response").unwrap(), "1949323746fe6a43ef61f9606e7febea");
        assert!(!value.contains("cnonce") && !value.contains("nc=") && !value.contains("qop"), "{value}");
    }

    #[test]
    fn nonces_are_counted_and_count_anew_when_the_server_names_another() {
        let mut session = mufasa(", qop=auth");
        let counts: Vec<_> = (0..3).map(|_| part(&answer(&mut session), "nc").unwrap()).collect();
        assert_eq!(counts, ["00000001", "00000002", "00000003"]);
        let info = AuthenticationInfo::parse(r#"nextnonce="n2", qop=auth"#);
        session.use_next_nonce(info.next_nonce().unwrap());
        let value = answer(&mut session);
        assert_eq!(
            (part(&value, "nc").unwrap(), part(&value, "nonce").unwrap()),
            ("00000001".into(), "n2".into())
        );
    }

    #[test]
    fn a_server_proves_that_it_knows_the_password() {
        let (_, expectation) = mufasa(", qop=auth").authorize(GET).unwrap();
        let proves = |value: &str| AuthenticationInfo::parse(value).proves(&expectation);
        assert_eq!(proves(r#"rspauth="9b712497bc9f91499fbcca1dfc5f09a5", qop=auth"#), Some(true));
        assert_eq!(proves(r#"rspauth="9b712497bc9f91499fbcca1dfc5f09a6""#), Some(false));
        assert_eq!(proves("nextnonce=x"), None);
        assert_eq!(proves(r#"rspauth="00", qop=auth-int"#), None);
    }

    #[test]
    fn users_beyond_ascii_are_named_as_the_server_can_read_it() {
        let user = |charset: &str| {
            let value = format!(r#"Digest realm="r", nonce="n"{charset}"#);
            let mut session = DigestSession::begin(challenge(&value).unwrap(), "Jäsøn \"D\"", "p", "c");
            answer(&mut session)
        };
        assert!(user("").contains(r#"username="Jäsøn \"D\"", "#));
        assert!(user(", charset=UTF-8").contains("username*=UTF-8''J%C3%A4s%C3%B8n%20%22D%22, "));
    }

    #[test]
    fn what_cannot_be_answered_is_no_challenge() {
        for value in [
            "Basic realm=x",
            "Digest realm=x",
            "Digest nonce=x",
            "Digest realm=x, nonce=y, algorithm=SHA-1",
            "Digest realm=x, nonce=y, algorithm=\"\"",
            "Digest realm=x, nonce=y, algorithm=-sess",
            "Digest realm=x, nonce=y, qop=\"auth-conf\"",
        ] {
            assert_eq!(challenge(value), None, "{value}");
        }
        let known = challenge(r#"Digest realm=x, nonce=y, stale=TRUE, domain="/a http://b/c""#).unwrap();
        assert!(known.is_stale());
        assert_eq!(known.domain().collect::<Vec<_>>(), ["/a", "http://b/c"]);
    }

    #[test]
    fn an_empty_quality_of_protection_is_none() {
        for qop in ["", " ", ",", " , "] {
            let value = answer(&mut mufasa(&format!(", qop=\"{qop}\"")));
            assert!(!value.contains("qop") && !value.contains("cnonce"), "{qop:?}: {value}");
            let without = answer(&mut mufasa(""));
            assert_eq!(part(&value, "response"), part(&without, "response"), "{qop:?}");
        }
    }

    #[test]
    fn a_latin_1_realm_is_hashed_and_sent_back_byte_for_byte() {
        let (user, password, nonce) = ("ann", "pw", "n\u{fc}");
        let value =
            format!("Digest realm=\"K\u{f6}ln\", nonce=\"{nonce}\", opaque=\"\u{ff}\", userhash=true");
        let challenge = challenge(&value).unwrap().decoded_as_latin1();
        assert_eq!(challenge.realm(), "K\u{f6}ln");
        let (value, _) = DigestSession::begin(challenge, user, password, "c").authorize(GET).unwrap();
        let h = |parts: &[&[u8]]| Hash::Md5.hex(parts);
        let key = h(&[b"ann", b"K\xf6ln", b"pw"]);
        let subject = h(&[b"GET", b"/dir/index.html"]);
        let response = h(&[key.as_bytes(), b"n\xfc", subject.as_bytes()]);
        let user = h(&[b"ann", b"K\xf6ln"]);
        let mut expected = format!("Digest username=\"{user}\", userhash=true, realm=\"K").into_bytes();
        expected.extend_from_slice(b"\xf6ln\", uri=\"/dir/index.html\", nonce=\"n\xfc\", response=\"");
        expected.extend_from_slice(response.as_bytes());
        expected.extend_from_slice(b"\", opaque=\"\xff\"");
        assert_eq!(String::from_utf8_lossy(&value), String::from_utf8_lossy(&expected));
        assert_eq!(value, expected);
    }

    #[test]
    fn what_a_server_says_is_said_back_so_that_it_reads_the_same() {
        let nonce = r#"a\"b\\c"#;
        let value = format!(r#"Digest realm="r", nonce="{nonce}""#);
        let mut session = DigestSession::begin(challenge(&value).unwrap(), "u", "p", "c");
        let value = answer(&mut session);
        assert!(value.contains(&format!(r#"nonce="{nonce}""#)), "{value}");
    }
}
