//! `UrlCredential`: a user with a password, a certificate with its key, or a server that is trusted.
//!
//! Apple: *URLCredential*. It is a value; the credential storage decides where it is kept.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use zeroize::Zeroizing;

use super::ServerTrust;

/// A credential: the answer to a [`UrlAuthenticationChallenge`](super::UrlAuthenticationChallenge). Cheap to clone.
///
/// Passwords and keys are not shown by `Debug`, and their memory is overwritten when the last clone is dropped.
#[derive(Clone, PartialEq, Eq, Hash)]
#[doc(alias = "URLCredential")]
pub struct UrlCredential {
    kind: CredentialKind,
    persistence: UrlCredentialPersistence,
}

#[derive(Clone, PartialEq, Eq, Hash)]
enum CredentialKind {
    Password(Arc<Password>),
    Identity(Arc<Identity>),
    Trust(ServerTrust),
}

#[derive(PartialEq, Eq)]
struct Password {
    user: Box<str>,
    password: Zeroizing<String>,
}

#[derive(PartialEq, Eq)]
struct Identity {
    certificates: Vec<Vec<u8>>,
    private_key: Zeroizing<Vec<u8>>,
}

/// Secrets are compared, not hashed.
impl Hash for Password {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.user.hash(state);
    }
}

impl Hash for Identity {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.certificates.hash(state);
    }
}

impl UrlCredential {
    /// A user and a password: for Basic, Digest, NTLM and Negotiate. For NTLM the user may be `DOMAIN\user` or
    /// `user@domain`, for Negotiate `user@REALM`.
    #[doc(alias = "init(user:password:persistence:)")]
    pub fn new(user: &str, password: &str, persistence: UrlCredentialPersistence) -> Self {
        let password = Password { user: user.into(), password: Zeroizing::new(password.into()) };
        Self { kind: CredentialKind::Password(Arc::new(password)), persistence }
    }

    /// A certificate with its private key, for servers that request one: the chain in DER, the client's own certificate first,
    /// and the key in PKCS#8 DER. It is never stored permanently: a permanent persistence is treated as that of the session.
    #[doc(alias = "init(identity:certificates:persistence:)")]
    pub fn with_identity(
        certificates: Vec<Vec<u8>>,
        private_key: Vec<u8>,
        persistence: UrlCredentialPersistence,
    ) -> Self {
        let identity = Identity { certificates, private_key: Zeroizing::new(private_key) };
        Self { kind: CredentialKind::Identity(Arc::new(identity)), persistence }
    }

    /// Trust in a server, whatever the platform decides: the answer to a challenge of
    /// [`AuthenticationMethod::ServerTrust`](super::AuthenticationMethod::ServerTrust). It is not stored. For a challenge of
    /// another host, or with other certificates, it has no effect: default handling applies.
    #[doc(alias = "init(trust:)")]
    pub fn for_trust(trust: ServerTrust) -> Self {
        Self { kind: CredentialKind::Trust(trust), persistence: UrlCredentialPersistence::None }
    }

    /// The user; `None` for certificates and trust.
    pub fn user(&self) -> Option<&str> {
        match &self.kind {
            CredentialKind::Password(password) => Some(&password.user),
            _ => None,
        }
    }

    /// The password; `None` for certificates and trust.
    pub fn password(&self) -> Option<&str> {
        match &self.kind {
            CredentialKind::Password(password) => Some(&password.password),
            _ => None,
        }
    }

    /// Whether there is a password.
    #[doc(alias = "hasPassword")]
    pub fn has_password(&self) -> bool {
        self.password().is_some()
    }

    /// The client's own certificate, in DER; `None` for passwords and trust. The key is not shown.
    pub fn identity(&self) -> Option<&[u8]> {
        self.certificates().first().map(Vec::as_slice)
    }

    /// The chain of certificates, in DER, the client's own first; empty for passwords and trust.
    pub fn certificates(&self) -> &[Vec<u8>] {
        match &self.kind {
            CredentialKind::Identity(identity) => &identity.certificates,
            _ => &[],
        }
    }

    /// The key of the certificate, in PKCS#8 DER.
    pub(crate) fn private_key(&self) -> Option<&[u8]> {
        match &self.kind {
            CredentialKind::Identity(identity) => Some(&identity.private_key),
            _ => None,
        }
    }

    /// The trusted server; `None` for passwords and certificates.
    pub fn server_trust(&self) -> Option<&ServerTrust> {
        match &self.kind {
            CredentialKind::Trust(trust) => Some(trust),
            _ => None,
        }
    }

    /// How long the credential is to be kept.
    pub fn persistence(&self) -> UrlCredentialPersistence {
        self.persistence
    }
}

impl fmt::Debug for UrlCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("UrlCredential");
        match &self.kind {
            CredentialKind::Password(password) => debug.field("user", &password.user),
            CredentialKind::Identity(identity) => debug.field("certificates", &identity.certificates.len()),
            CredentialKind::Trust(trust) => debug.field("trust", trust),
        };
        debug.field("persistence", &self.persistence).finish_non_exhaustive()
    }
}

/// How long a [`UrlCredential`] is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[doc(alias = "URLCredential.Persistence")]
pub enum UrlCredentialPersistence {
    /// For the task alone: the credential is not stored.
    #[doc(alias = "none")]
    None,
    /// In memory, as long as the store exists.
    #[doc(alias = "forSession")]
    ForSession,
    /// On disk, where the store has a place there.
    #[doc(alias = "permanent")]
    Permanent,
    /// As permanent: this library does not carry it to other devices. It is removed only by a call that explicitly includes
    /// such credentials.
    #[doc(alias = "synchronizable")]
    Synchronizable,
}

#[cfg(test)]
mod tests {
    use super::UrlCredentialPersistence as Persistence;
    use super::*;

    #[test]
    fn secrets_are_not_shown() {
        let password = UrlCredential::new("ann", "s3cret", Persistence::None);
        let identity = UrlCredential::with_identity(vec![vec![7]], b"s3cret".to_vec(), Persistence::None);
        for text in [format!("{password:?}"), format!("{identity:?}")] {
            assert!(!text.contains("s3cret") && !text.contains("115"), "{text}");
        }
        assert!(format!("{password:?}").contains("ann"));
    }

    #[test]
    fn an_identity_has_certificates_and_no_password() {
        let identity = UrlCredential::with_identity(vec![vec![1], vec![2]], vec![3], Persistence::ForSession);
        assert_eq!(identity.identity(), Some(&[1][..]));
        assert_eq!(identity.certificates().len(), 2);
        assert_eq!(identity.private_key(), Some(&[3][..]));
        assert_eq!((identity.user(), identity.password()), (None, None));
        let trust = UrlCredential::for_trust(ServerTrust::new("a", vec![], Ok(())));
        assert_eq!(trust.server_trust().map(ServerTrust::host), Some("a"));
        assert_eq!(trust.persistence(), Persistence::None);
    }
}
