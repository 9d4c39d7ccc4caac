//! The answer to a server, `-u` with a scheme, or to a proxy that asks who one is.

use urlsession::{
    AuthChallengeDisposition, AuthenticationMethod, UrlAuthenticationChallenge, UrlCredential,
    UrlCredentialPersistence,
};

use crate::args::LoadArgs;

/// A credential, and by which scheme it may be used.
pub(super) struct Login {
    /// `None`: only by a ticket.
    credential: Option<UrlCredential>,
    /// `None`: by any.
    method: Option<AuthenticationMethod>,
}

/// The login for a server that asks; `None` if there is none, or if it is sent unasked.
pub(super) fn when_asked(args: &LoadArgs) -> Option<Login> {
    let method = match () {
        () if args.digest => Some(AuthenticationMethod::HttpDigest),
        () if args.ntlm => Some(AuthenticationMethod::Ntlm),
        () if args.negotiate => Some(AuthenticationMethod::Negotiate),
        () if args.anyauth => None,
        () => return None,
    };
    let user = args.user.as_deref()?;
    let (user, password) = user.split_once(':').unwrap_or((user, ""));
    let is_somebody = !user.is_empty() || !password.is_empty();
    let credential = is_somebody.then(|| UrlCredential::new(user, password, UrlCredentialPersistence::None));
    Some(Login { credential, method })
}

/// What is answered with this login, or with none: tickets are shown only to those who are meant to see them.
pub(super) fn answer(
    login: Option<&Login>,
    challenge: &UrlAuthenticationChallenge,
) -> AuthChallengeDisposition {
    match login {
        Some(login) => login.answer(challenge),
        None if challenge.protection_space().authentication_method() == AuthenticationMethod::Negotiate => {
            AuthChallengeDisposition::RejectProtectionSpace
        }
        None => AuthChallengeDisposition::PerformDefaultHandling,
    }
}

impl Login {
    /// By whatever scheme is offered.
    pub(super) fn by_any(credential: UrlCredential) -> Self {
        Self { credential: Some(credential), method: None }
    }

    /// Once: a password that was refused is not tried again.
    fn answer(&self, challenge: &UrlAuthenticationChallenge) -> AuthChallengeDisposition {
        let asked = challenge.protection_space().authentication_method();
        if matches!(asked, AuthenticationMethod::ServerTrust | AuthenticationMethod::ClientCertificate) {
            return AuthChallengeDisposition::PerformDefaultHandling;
        }
        match self.method {
            Some(method) if method != asked => AuthChallengeDisposition::RejectProtectionSpace,
            _ if challenge.previous_failure_count() > 0 => AuthChallengeDisposition::PerformDefaultHandling,
            _ => AuthChallengeDisposition::UseCredential(self.credential.clone()),
        }
    }
}
