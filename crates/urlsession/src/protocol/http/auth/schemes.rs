//! From a credential to the value of `Authorization`, by each scheme that needs one exchange only.

use http::HeaderValue;
use url::{Position, Url};
use urlsession_proto::auth::basic;
use urlsession_proto::auth::digest::{AuthenticationInfo, DigestExpectation, DigestRequest, DigestSession};

use super::spaces::Scheme;
use crate::env::random;
use crate::error::{Phase, UrlError, UrlErrorCode};
use crate::message::{HttpBody, UrlCredential, UrlProtectionSpace, UrlRequest, UrlResponse};

/// A credential at work.
#[derive(Clone)]
pub(super) enum Login {
    Basic(HeaderValue),
    Digest(Box<DigestSession>),
}

impl Login {
    /// `None` for a scheme that needs more than one exchange. The credential must be usable.
    pub(super) fn begin(scheme: &Scheme, credential: &UrlCredential) -> Option<Self> {
        let (user, password) =
            (credential.user().unwrap_or_default(), credential.password().unwrap_or_default());
        match scheme {
            Scheme::Negotiate | Scheme::Ntlm => None,
            Scheme::Basic => {
                basic::authorization(user, password).and_then(|value| secret(&value)).map(Self::Basic)
            }
            Scheme::Digest(challenge) => {
                let session = DigestSession::begin((**challenge).clone(), user, password, &client_nonce());
                Some(Self::Digest(Box::new(session)))
            }
        }
    }

    /// The value for a request, and what the server will prove in return.
    pub(super) fn authorization(
        &mut self,
        request: &UrlRequest,
        url: &Url,
    ) -> Option<(HeaderValue, Option<DigestExpectation>)> {
        match self {
            Self::Basic(value) => Some((value.clone(), None)),
            Self::Digest(session) => {
                let request = DigestRequest {
                    method: request.http_method().as_str(),
                    uri: &url[Position::BeforePath..Position::AfterQuery],
                    body: body(request),
                };
                let (value, expectation) = session.authorize(request)?;
                Some((secret(&value)?, Some(expectation)))
            }
        }
    }

    pub(super) fn nonce(&self) -> Option<&str> {
        match self {
            Self::Basic(_) => None,
            Self::Digest(session) => Some(session.challenge().nonce()),
        }
    }

    /// Takes note of what the server says of a login (RFC 7616 §3.5). False if it does not know the password itself: it is
    /// not trusted with another proof.
    pub(super) fn heard(
        &mut self,
        response: &UrlResponse,
        expectation: Option<&DigestExpectation>,
        space: &UrlProtectionSpace,
    ) -> bool {
        let (Self::Digest(session), Some(head)) = (self, response.http_head()) else { return true };
        let field = head.fields.get("authentication-info").and_then(|value| value.to_str().ok());
        let Some(info) = field.map(AuthenticationInfo::parse) else { return true };
        if expectation.and_then(|expectation| info.proves(expectation)) == Some(false) {
            tracing::warn!(
                "{} accepted a digest but does not prove that it knows the password",
                space.host()
            );
            return false;
        }
        if let Some(nonce) = info.next_nonce() {
            session.use_next_nonce(nonce);
        }
        true
    }
}

/// Why a credential cannot be used by a scheme for this request; `None` if it can.
pub(super) fn unusable(
    scheme: &Scheme,
    credential: &UrlCredential,
    request: &UrlRequest,
) -> Option<UrlError> {
    let refuse =
        |detail| Some(UrlError::new(UrlErrorCode::UserAuthenticationRequired, Phase::Request, detail));
    let (Some(user), Some(password)) = (credential.user(), credential.password()) else {
        return refuse("the server asks for a user and a password, and the credential has none");
    };
    match scheme {
        Scheme::Basic if basic::authorization(user, password).is_none() => {
            refuse("a user with a colon, or control characters, cannot be sent by Basic authentication")
        }
        Scheme::Digest(challenge) if challenge.covers_body() && body(request).is_none() => {
            refuse("the server wants a digest of the body, which is a stream; use a body in memory")
        }
        Scheme::Digest(_) if user.chars().any(char::is_control) => {
            refuse("a user with control characters cannot be sent by Digest authentication")
        }
        _ => None,
    }
}

/// A value that HPACK never puts into its table, and `Debug` does not show.
pub(super) fn secret(value: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_bytes(value.as_bytes()).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// A stream is not known before it is sent.
fn body(request: &UrlRequest) -> Option<&[u8]> {
    match request.body() {
        HttpBody::None => Some(&[]),
        HttpBody::Data(data) => Some(data),
        HttpBody::Stream(_) => None,
    }
}

fn client_nonce() -> String {
    let mut bytes = [0; 18];
    random(&mut bytes);
    urlsession_proto::auth::base64::encode(&bytes)
}
