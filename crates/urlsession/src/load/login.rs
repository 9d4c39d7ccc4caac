//! Logins that belong to a connection instead of a request (NTLM, Negotiate): who is logged in, and what an exchange does
//! about it. Which connection an exchange gets is decided in `transport::pool`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::message::{AuthenticationMethod, UrlCredential, UrlProtectionSpace, UrlProtectionSpaceProtocol};

/// Who is logged in on a connection, and where.
#[derive(Debug)]
pub(crate) struct ConnectionLogin {
    space: UrlProtectionSpace,
    /// `None`: the ticket of the machine's user.
    credential: Option<UrlCredential>,
    /// The revision of the credential store for which the login holds. `None`: it is for one exchange.
    revision: Option<AtomicU64>,
}

impl ConnectionLogin {
    pub(crate) fn new(
        space: UrlProtectionSpace,
        credential: Option<UrlCredential>,
        revision: Option<u64>,
    ) -> Arc<Self> {
        Arc::new(Self { space, credential, revision: revision.map(AtomicU64::new) })
    }

    /// Of requests whose `Authorization` the application has made itself: they follow each other on one connection.
    pub(crate) fn of_application(revision: u64) -> Arc<Self> {
        let method = AuthenticationMethod::Negotiate;
        let space = UrlProtectionSpace::new("", 0, UrlProtectionSpaceProtocol::Http, None, method);
        Self::new(space, None, Some(revision))
    }

    pub(crate) fn space(&self) -> &UrlProtectionSpace {
        &self.space
    }

    pub(crate) fn credential(&self) -> Option<&UrlCredential> {
        self.credential.as_ref()
    }

    /// What tells the user, and where that user is logged in.
    pub(crate) fn names(&self) -> [&str; 4] {
        let credential = self.credential.as_ref();
        let user = credential.and_then(UrlCredential::user).unwrap_or_default();
        let password = credential.and_then(UrlCredential::password).unwrap_or_default();
        [self.space.host(), self.space.realm().unwrap_or_default(), user, password]
    }

    pub(crate) fn revision(&self) -> Option<u64> {
        self.revision.as_ref().map(|revision| revision.load(Relaxed))
    }

    /// The store has kept the credential of this login and has this revision since.
    pub(crate) fn is_kept_in(&self, revision: u64) {
        if let Some(own) = &self.revision {
            own.store(revision, Relaxed);
        }
    }

    /// True if both are the same user, logged in at the same place. Logins for one exchange are never the same.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let secrets = |credential: &Option<UrlCredential>| {
            let credential = credential.as_ref()?;
            Some((credential.user()?.to_owned(), credential.password().map(str::to_owned)))
        };
        self.revision.is_some()
            && self.revision() == other.revision()
            && self.space == other.space
            && self.credential.is_some() == other.credential.is_some()
            && secrets(&self.credential) == secrets(&other.credential)
    }

    /// True if the login may begin again on a connection where it is in force. NTLM begins on connections without login.
    pub(crate) fn may_begin_again(&self) -> bool {
        self.space.authentication_method() == AuthenticationMethod::Negotiate
    }
}

/// What an exchange does about the login of its connection.
#[derive(Clone, Debug, Default)]
pub(crate) enum LoginUse {
    /// It needs a connection without login.
    #[default]
    None,
    /// It may use a connection with this login.
    Reuse(Arc<ConnectionLogin>),
    /// It sends a message of this login.
    Begin(Arc<ConnectionLogin>),
}

/// The same for the server and for the proxy that requests are sent to.
#[derive(Clone, Debug, Default)]
pub(crate) struct LoginUses {
    pub(crate) server: LoginUse,
    pub(crate) proxy: LoginUse,
}

impl LoginUse {
    pub(crate) fn login(&self) -> Option<&ConnectionLogin> {
        match self {
            Self::Reuse(login) | Self::Begin(login) => Some(login),
            Self::None => None,
        }
    }

    pub(crate) fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }

    /// The login that the connection has after this exchange, if it changes.
    pub(crate) fn begun(&self) -> Option<&Arc<ConnectionLogin>> {
        match self {
            Self::Begin(login) => Some(login),
            Self::None | Self::Reuse(_) => None,
        }
    }
}
