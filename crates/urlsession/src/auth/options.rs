//! From the challenges of an HTTP response to the protection spaces that they offer, the strongest first.

use std::borrow::Cow;

use http::HeaderMap;
use urlsession_proto::auth::base64;
use urlsession_proto::auth::challenge::{Challenge, challenges};
use urlsession_proto::auth::digest::{DigestChallenge, Hash};
use urlsession_proto::auth::ntlm::NtlmChallenge;
use urlsession_proto::field::text_of;

use super::challenger::Challenger;
use crate::message::{AuthenticationMethod, HttpHead, UrlProtectionSpace};

/// A protection space that a challenger offers, and the scheme to enter it by.
#[derive(Clone, Debug)]
pub(crate) struct AuthOption {
    pub(crate) space: UrlProtectionSpace,
    pub(crate) scheme: AuthScheme,
}

/// An authentication scheme, with what its challenge says.
#[derive(Clone, Debug)]
pub(crate) enum AuthScheme {
    Negotiate,
    Ntlm,
    Digest(Box<DigestChallenge>),
    Basic,
}

/// The options of an HTTP response that can be used, the strongest first: each space once for a scheme, and 16 at most.
/// NTLM is about a connection, and so not for HTTP/2.
pub(crate) fn http_options(challenger: Challenger<'_>, head: &HttpHead) -> Vec<AuthOption> {
    options(challenger, &head.fields, head.version < http::Version::HTTP_2)
}

fn options(challenger: Challenger<'_>, fields: &HeaderMap, is_http1: bool) -> Vec<AuthOption> {
    let mut options = Vec::new();
    each(challenger, fields, |challenge, is_latin1| {
        let option = match () {
            // Tickets are for servers only.
            () if challenge.is("Negotiate") && !challenger.is_proxy() => {
                option(challenger, AuthScheme::Negotiate, None)
            }
            () if challenge.is("NTLM") && is_http1 => option(challenger, AuthScheme::Ntlm, None),
            // RFC 7617 §2 requires a realm; servers without one get the password all the same, as from other clients.
            () if challenge.is("Basic") => {
                option(challenger, AuthScheme::Basic, challenge.parameter("realm"))
            }
            () => DigestChallenge::of(&challenge).and_then(|digest| {
                let digest = if is_latin1 { digest.decoded_as_latin1() } else { digest };
                let realm = digest.realm().to_owned();
                option(challenger, AuthScheme::Digest(Box::new(digest)), Some(&realm))
            }),
        };
        options.extend(option);
    });
    // Stable: of equals the server's first counts.
    options.sort_by_key(|option| std::cmp::Reverse(option.scheme.strength()));
    let mut strongest: Vec<AuthOption> = Vec::new();
    for option in options {
        let is_same = |known: &AuthOption| {
            known.space == option.space && known.scheme.strength() == option.scheme.strength()
        };
        if strongest.len() < MOST_OFFERS && !strongest.iter().any(is_same) {
            strongest.push(option);
        }
    }
    strongest
}

fn option(challenger: Challenger<'_>, scheme: AuthScheme, realm: Option<&str>) -> Option<AuthOption> {
    Some(AuthOption { space: challenger.space(realm, scheme.method())?, scheme })
}

/// The message of a server or a proxy in the middle of an NTLM handshake.
pub(crate) fn ntlm_challenge(challenger: Challenger<'_>, fields: &HeaderMap) -> Option<NtlmChallenge> {
    let mut found = None;
    each(challenger, fields, |challenge, _| {
        if challenge.is("NTLM") && found.is_none() {
            found = challenge
                .token68()
                .and_then(base64::decode)
                .and_then(|message| NtlmChallenge::parse(&message));
        }
    });
    found
}

/// The token of a server in the middle or at the end of Negotiate (RFC 4559 §4.1, §5).
pub(crate) fn negotiate_token(challenger: Challenger<'_>, fields: &HeaderMap) -> Option<Vec<u8>> {
    let mut found = None;
    each(challenger, fields, |challenge, _| {
        if challenge.is("Negotiate") && found.is_none() {
            // What is no base64 is no proof either.
            found = challenge.token68().map(|token| base64::decode(token).unwrap_or_default());
        }
    });
    found
}

/// Calls `see` with every challenge, and whether its field was decoded as ISO-8859-1.
fn each(challenger: Challenger<'_>, fields: &HeaderMap, mut see: impl FnMut(Challenge<'_>, bool)) {
    for value in fields.get_all(challenger.challenge_field()) {
        let text = text_of(value.as_bytes());
        let is_latin1 = matches!(text, Cow::Owned(_));
        challenges(&text).into_iter().for_each(|challenge| see(challenge, is_latin1));
    }
}

/// The longest list of offers of one response: each of them is a question to the delegate.
const MOST_OFFERS: usize = 16;

impl AuthOption {
    pub(crate) fn is_negotiate(&self) -> bool {
        matches!(self.scheme, AuthScheme::Negotiate)
    }
}

impl AuthScheme {
    fn method(&self) -> AuthenticationMethod {
        match self {
            Self::Negotiate => AuthenticationMethod::Negotiate,
            Self::Ntlm => AuthenticationMethod::Ntlm,
            Self::Digest(_) => AuthenticationMethod::HttpDigest,
            Self::Basic => AuthenticationMethod::HttpBasic,
        }
    }

    fn strength(&self) -> u8 {
        match self {
            Self::Negotiate => 5,
            Self::Ntlm => 4,
            Self::Digest(digest) => match digest.hash() {
                Hash::Sha512_256 => 3,
                Hash::Sha256 => 2,
                Hash::Md5 => 1,
            },
            Self::Basic => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, header};

    use super::*;
    use crate::message::{UrlProtectionSpaceProtocol, UrlRequest};

    fn request(url: &str) -> UrlRequest {
        UrlRequest::new(url.parse().unwrap())
    }

    fn read_on(url: &str, values: &[&'static str], is_http1: bool) -> Vec<UrlProtectionSpace> {
        let mut fields = HeaderMap::new();
        for value in values {
            fields.append(header::WWW_AUTHENTICATE, value.parse().unwrap());
        }
        options(Challenger::Server(&request(url)), &fields, is_http1)
            .into_iter()
            .map(|option| option.space)
            .collect()
    }

    fn read(values: &[&'static str]) -> Vec<(AuthenticationMethod, Option<String>)> {
        let spaces = read_on("https://a/", values, true);
        spaces.iter().map(|space| (space.authentication_method(), space.realm().map(Into::into))).collect()
    }

    use AuthenticationMethod as M;

    #[test]
    fn a_response_makes_spaces_of_its_url_and_its_challenges() {
        let spaces =
            read_on("https://outlook.office365.com/Microsoft-Server-ActiveSync", &["Basic Realm=\"\""], true);
        assert_eq!(spaces[0].authentication_method(), M::HttpBasic);
        assert_eq!(spaces[0].protocol(), Some(UrlProtectionSpaceProtocol::Https));
        assert_eq!(
            (spaces[0].port(), spaces[0].realm(), spaces[0].host()),
            (443, Some(""), "outlook.office365.com")
        );
        assert_eq!(read(&["Basic realm=\"test\""]), [(M::HttpBasic, Some("test".into()))]);
        assert_eq!(read(&["Digest realm=\"test\", nonce=\"n\""]), [(M::HttpDigest, Some("test".into()))]);
        assert_eq!(read(&["NTLM"]), [(M::Ntlm, None)]);
        assert_eq!(read(&["NT LM realm=\"test\""]), []);
        assert_eq!(read(&["fdsfds"]), []);
        assert_eq!(read(&[]), []);
    }

    #[test]
    fn the_strongest_comes_first_whatever_the_order_and_the_number_of_fields() {
        let strongest_last = [
            "Basic realm=b",
            "Digest realm=d5, nonce=n, Digest realm=d2, nonce=n, algorithm=SHA-256",
            "Digest realm=d512, nonce=n, algorithm=SHA-512-256, NTLM, Negotiate, Bearer realm=x",
        ];
        let expected = [
            (M::Negotiate, None),
            (M::Ntlm, None),
            (M::HttpDigest, Some("d512".to_owned())),
            (M::HttpDigest, Some("d2".into())),
            (M::HttpDigest, Some("d5".into())),
            (M::HttpBasic, Some("b".into())),
        ];
        assert_eq!(read(&strongest_last), expected);
    }

    #[test]
    fn basic_needs_no_realm() {
        for value in ["Basic", "basic charset=\"UTF-8\"", "Basic realm=", "Basic dG9rZW4="] {
            assert_eq!(read(&[value]), [(M::HttpBasic, None)], "{value}");
        }
        assert_eq!(read(&["Digest nonce=n, Basic"]), [(M::HttpBasic, None)]);
    }

    #[test]
    fn a_response_makes_sixteen_offers_at_most_and_they_are_the_strongest() {
        let url = request("https://a/");
        let mut fields = HeaderMap::new();
        for field in 0..250 {
            let many = (0..32).map(|number| format!("Digest realm=\"{field}-{number}\", nonce=n"));
            fields.append(header::WWW_AUTHENTICATE, many.collect::<Vec<_>>().join(", ").parse().unwrap());
        }
        fields.append(header::WWW_AUTHENTICATE, HeaderValue::from_static("NTLM, Negotiate, Basic realm=b"));
        let options = options(Challenger::Server(&url), &fields, true);
        let methods: Vec<_> = options.iter().map(|option| option.space.authentication_method()).collect();
        assert_eq!((methods.len(), &methods[..3]), (16, &[M::Negotiate, M::Ntlm, M::HttpDigest][..]));
        let same = ["Digest realm=r, nonce=n, ".repeat(31) + "Basic realm=b"];
        assert_eq!(read_on("https://a/", &[Box::leak(same[0].clone().into_boxed_str())], true).len(), 2);
    }

    #[test]
    fn ntlm_is_not_for_connections_that_many_share() {
        assert_eq!(read_on("https://a/", &["NTLM"], false), []);
        assert_eq!(read_on("https://a/", &["Negotiate"], false).len(), 1, "a ticket is for a request");
    }

    #[test]
    fn tokens_of_negotiate_are_found_beside_other_schemes() {
        let url = request("https://a/");
        let token = |values: &[&'static str]| {
            let mut fields = HeaderMap::new();
            for value in values {
                fields.append(header::WWW_AUTHENTICATE, value.parse().unwrap());
            }
            negotiate_token(Challenger::Server(&url), &fields)
        };
        assert_eq!(token(&["Basic realm=x", "negotiate YWJj"]), Some(b"abc".to_vec()));
        assert_eq!(token(&["Negotiate YWJj, Basic realm=x"]), Some(b"abc".to_vec()));
        assert_eq!(token(&["Negotiate a"]), Some(Vec::new()), "not base64");
        assert_eq!(token(&["Negotiate", "Basic realm=x"]), None);
    }
}
