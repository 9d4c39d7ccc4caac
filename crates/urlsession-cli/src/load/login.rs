//! The answer to a server, `-u` with a scheme, or to a proxy that asks who one is.

use urlsession::authentication::{
    AuthChallengeDisposition, AuthenticationMethod, UrlAuthenticationChallenge, UrlCredential,
    UrlCredentialPersistence, UrlProtectionSpace,
};

use super::scope::SecretScope;
use crate::args::LoadArgs;

/// A credential, for whom it is, and by which scheme it may be used.
pub(super) struct Login {
    recipient: Recipient,
    /// `None`: only by a ticket.
    credential: Option<UrlCredential>,
    /// `None`: by any.
    method: Option<AuthenticationMethod>,
}

enum Recipient {
    Servers(SecretScope),
    Proxy { host: String, port: u16 },
}

/// Whether the login of `-u` is sent only to a server that asks for it. Otherwise it is sent with the first request, by Basic.
pub(super) fn is_sent_when_asked(args: &LoadArgs) -> bool {
    args.digest || args.ntlm || args.negotiate || args.anyauth
}

/// The login for a server of the scope that asks; `None` if there is none, or if it is sent unasked.
pub(super) fn when_asked(args: &LoadArgs, scope: SecretScope) -> Option<Login> {
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
    Some(Login { recipient: Recipient::Servers(scope), credential, method })
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
    /// For this proxy, by whatever scheme it offers.
    pub(super) fn for_proxy(host: &str, port: u16, credential: UrlCredential) -> Self {
        let recipient = Recipient::Proxy { host: host.to_owned(), port };
        Self { recipient, credential: Some(credential), method: None }
    }

    fn is_for(&self, space: &UrlProtectionSpace) -> bool {
        match &self.recipient {
            Recipient::Servers(scope) => scope.includes_space(space),
            Recipient::Proxy { host, port } => {
                space.is_proxy() && space.host().eq_ignore_ascii_case(host) && space.port() == *port
            }
        }
    }

    /// Once: a password that was refused is not tried again. A space of another server or proxy is rejected.
    fn answer(&self, challenge: &UrlAuthenticationChallenge) -> AuthChallengeDisposition {
        let asked = challenge.protection_space().authentication_method();
        if matches!(asked, AuthenticationMethod::ServerTrust | AuthenticationMethod::ClientCertificate) {
            return AuthChallengeDisposition::PerformDefaultHandling;
        }
        if !self.is_for(challenge.protection_space()) {
            return AuthChallengeDisposition::RejectProtectionSpace;
        }
        match self.method {
            Some(method) if method != asked => AuthChallengeDisposition::RejectProtectionSpace,
            _ if challenge.previous_failure_count() > 0 => AuthChallengeDisposition::PerformDefaultHandling,
            _ => AuthChallengeDisposition::UseCredential(self.credential.clone()),
        }
    }
}
