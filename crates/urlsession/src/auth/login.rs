//! From a credential to the value of `Authorization` or `Proxy-Authorization`.

use std::time::SystemTime;

use http::{HeaderMap, HeaderValue};
use urlsession_proto::auth::base64;
use urlsession_proto::auth::basic;
use urlsession_proto::auth::digest::{AuthenticationInfo, DigestExpectation, DigestRequest, DigestSession};
use urlsession_proto::auth::ntlm::{self, NtlmChallenge, NtlmUser};

use super::challenger::Challenger;
use super::options::AuthScheme;
use crate::env::random;
use crate::error::{Phase, UrlError, UrlErrorCode};
use crate::message::UrlCredential;

/// A credential at work.
#[derive(Clone)]
pub(crate) enum Login {
    Basic(HeaderValue),
    Digest(Box<DigestSession>),
}

impl Login {
    /// `None` for a scheme that needs more than one exchange. The credential must be usable.
    pub(crate) fn begin(scheme: &AuthScheme, credential: &UrlCredential) -> Option<Self> {
        let (user, password) =
            (credential.user().unwrap_or_default(), credential.password().unwrap_or_default());
        match scheme {
            AuthScheme::Negotiate | AuthScheme::Ntlm => None,
            AuthScheme::Basic => {
                basic::authorization(user, password).and_then(|value| secret(&value)).map(Self::Basic)
            }
            AuthScheme::Digest(challenge) => {
                let session = DigestSession::begin((**challenge).clone(), user, password, &client_nonce());
                Some(Self::Digest(Box::new(session)))
            }
        }
    }

    /// The value for a request, and what the server will prove in return.
    pub(crate) fn authorization(
        &mut self,
        request: DigestRequest<'_>,
    ) -> Option<(HeaderValue, Option<DigestExpectation>)> {
        match self {
            Self::Basic(value) => Some((value.clone(), None)),
            Self::Digest(session) => {
                let (value, expectation) = session.authorize(request)?;
                Some((secret(&value)?, Some(expectation)))
            }
        }
    }

    pub(crate) fn nonce(&self) -> Option<&str> {
        match self {
            Self::Basic(_) => None,
            Self::Digest(session) => Some(session.challenge().nonce()),
        }
    }

    /// Takes note of what the server says of a login (RFC 7616 §3.5). False if it does not know the password itself: it is
    /// not trusted with another proof.
    pub(crate) fn heard(
        &mut self,
        fields: &HeaderMap,
        expectation: Option<&DigestExpectation>,
        challenger: Challenger<'_>,
    ) -> bool {
        let Self::Digest(session) = self else { return true };
        let field = fields.get(challenger.info_field()).and_then(|value| value.to_str().ok());
        let Some(info) = field.map(AuthenticationInfo::parse) else { return true };
        if expectation.and_then(|expectation| info.proves(expectation)) == Some(false) {
            tracing::warn!(
                "{} accepted a digest but does not prove that it knows the password",
                challenger.host()
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
    scheme: &AuthScheme,
    credential: &UrlCredential,
    is_body_known: bool,
) -> Option<UrlError> {
    let refuse =
        |detail| Some(UrlError::new(UrlErrorCode::UserAuthenticationRequired, Phase::Request, detail));
    let (Some(user), Some(password)) = (credential.user(), credential.password()) else {
        return refuse("the server asks for a user and a password, and the credential has none");
    };
    match scheme {
        AuthScheme::Basic if basic::authorization(user, password).is_none() => {
            refuse("a user with a colon, or control characters, cannot be sent by Basic authentication")
        }
        AuthScheme::Digest(challenge) if challenge.covers_body() && !is_body_known => {
            refuse("the server wants a digest of the body, which is a stream; use a body in memory")
        }
        AuthScheme::Digest(_) if user.chars().any(char::is_control) => {
            refuse("a user with control characters cannot be sent by Digest authentication")
        }
        _ => None,
    }
}

/// A value that HPACK never puts into its table, and `Debug` does not show.
pub(crate) fn secret(value: impl AsRef<[u8]>) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_bytes(value.as_ref()).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// The first message of NTLM.
pub(crate) fn ntlm_start() -> Option<HeaderValue> {
    ntlm_value(&ntlm::negotiate())
}

/// The last message of NTLM, of this moment.
pub(crate) fn ntlm_proof(
    challenge: &NtlmChallenge,
    credential: &UrlCredential,
    now: SystemTime,
) -> Option<HeaderValue> {
    let mut nonce = [0; 8];
    random(&mut nonce);
    let user =
        NtlmUser::parse(credential.user().unwrap_or_default(), credential.password().unwrap_or_default());
    ntlm_value(&ntlm::authenticate(challenge, user, nonce, file_time(now)))
}

fn ntlm_value(message: &[u8]) -> Option<HeaderValue> {
    secret(format!("NTLM {}", base64::encode(message)))
}

/// In 100 ns since 1601 (MS-DTYP §2.3.3).
fn file_time(time: SystemTime) -> u64 {
    const SECONDS_TO_1970: u64 = 11_644_473_600;
    let since_1970 = time.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    (since_1970.as_secs() + SECONDS_TO_1970) * 10_000_000 + u64::from(since_1970.subsec_nanos()) / 100
}

fn client_nonce() -> String {
    let mut bytes = [0; 18];
    random(&mut bytes);
    base64::encode(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_told_in_file_time() {
        assert_eq!(file_time(std::time::UNIX_EPOCH), 116_444_736_000_000_000);
    }
}
