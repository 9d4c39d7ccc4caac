//! The answer to a server, `-u` with a scheme, or to a proxy that asks who one is.

use urlsession::{
    AuthChallengeDisposition, AuthenticationMethod, UrlAuthenticationChallenge, UrlCredential,
    UrlCredentialPersistence,
};

use crate::args::GetArgs;

/// A credential, and by which scheme it may be used.
pub(super) struct Login {
    credential: UrlCredential,
    /// `None`: by any.
    method: Option<AuthenticationMethod>,
}

/// The login for a server that asks; `None` if there is none, or if it is sent unasked.
pub(super) fn when_asked(args: &GetArgs) -> Option<Login> {
    let method = match (args.digest, args.ntlm, args.anyauth) {
        (true, _, _) => Some(AuthenticationMethod::HttpDigest),
        (_, true, _) => Some(AuthenticationMethod::Ntlm),
        (_, _, true) => None,
        _ => return None,
    };
    let user = args.user.as_deref()?;
    let (user, password) = user.split_once(':').unwrap_or((user, ""));
    Some(Login { credential: UrlCredential::new(user, password, UrlCredentialPersistence::None), method })
}

impl Login {
    /// By whatever scheme is offered.
    pub(super) fn by_any(credential: UrlCredential) -> Self {
        Self { credential, method: None }
    }

    /// Once: a password that was refused is not tried again.
    pub(super) fn answer(&self, challenge: &UrlAuthenticationChallenge) -> AuthChallengeDisposition {
        let asked = challenge.protection_space().authentication_method();
        if matches!(asked, AuthenticationMethod::ServerTrust | AuthenticationMethod::ClientCertificate) {
            return AuthChallengeDisposition::PerformDefaultHandling;
        }
        match self.method {
            Some(method) if method != asked => AuthChallengeDisposition::RejectProtectionSpace,
            _ if challenge.previous_failure_count() > 0 => AuthChallengeDisposition::PerformDefaultHandling,
            _ => AuthChallengeDisposition::UseCredential(Some(self.credential.clone())),
        }
    }
}
