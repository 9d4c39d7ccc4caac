//! A Kerberos ticket for one server: obtained, sent, and continued with the server's tokens. All calls block, and run outside
//! the reactor.

use std::io;
use std::sync::Arc;

use http::HeaderValue;
use urlsession_proto::auth::base64;

use crate::auth::secret;
use crate::env::{Gssapi, GssapiContext, GssapiUser};
use crate::error::{Phase, Result, UrlError, UrlErrorCode};
use crate::load::Attempt;
use crate::message::{UrlCredential, UrlProtectionSpace};

/// Whether there can be tickets at all. An error says why not.
pub(super) async fn find(attempt: &Attempt<'_>, gssapi: &Arc<dyn Gssapi>) -> Result<()> {
    let gssapi = gssapi.clone();
    attempt.runtime.blocking(move || gssapi.find()).await.unwrap_or_else(|error| Err(interrupted(error)))
}

/// A ticket, and the next token to send.
pub(super) struct Ticket {
    context: Box<dyn GssapiContext>,
    pub(super) token: Vec<u8>,
    pub(super) is_done: bool,
}

impl Ticket {
    /// Gets the ticket for the host that asks: of the credential's user, or of the machine's. An error says why there is
    /// none; nothing was sent then.
    pub(super) async fn get(
        attempt: &Attempt<'_>,
        gssapi: &Arc<dyn Gssapi>,
        space: &UrlProtectionSpace,
        credential: Option<&UrlCredential>,
    ) -> Result<Self> {
        // A name without a realm is not looked up in the default realm of this machine: it is meant for another scheme.
        if credential.is_some_and(|credential| !credential.user().is_some_and(|user| user.contains('@'))) {
            let detail = "Negotiate needs a user name with a realm: user@REALM";
            return Err(UrlError::new(UrlErrorCode::UserAuthenticationRequired, Phase::Request, detail));
        }
        let (gssapi, space, credential) = (gssapi.clone(), space.clone(), credential.cloned());
        let work = move || {
            let user = credential.as_ref().and_then(|credential| {
                Some(GssapiUser { name: credential.user()?, password: credential.password()? })
            });
            let mut context = gssapi.begin(space.host(), user)?;
            let step = context.step(None)?;
            Ok(Self { context, token: step.token, is_done: step.is_done })
        };
        attempt.runtime.blocking(work).await.unwrap_or_else(|error| Err(interrupted(error)))
    }

    /// Continues with the server's token. After the end there is no further token.
    pub(super) async fn hear(mut self, attempt: &Attempt<'_>, heard: Vec<u8>) -> Result<Self> {
        if self.is_done {
            return Ok(Self { token: Vec::new(), ..self });
        }
        let work = move || {
            let step = self.context.step(Some(&heard))?;
            Ok(Self { token: step.token, is_done: step.is_done, ..self })
        };
        attempt.runtime.blocking(work).await.unwrap_or_else(|error| Err(interrupted(error)))
    }

    pub(super) fn value(&self) -> Option<HeaderValue> {
        secret(format!("Negotiate {}", base64::encode(&self.token)))
    }
}

fn interrupted(error: io::Error) -> UrlError {
    let detail = format!("the search for Kerberos tickets failed: {error}");
    UrlError::new(UrlErrorCode::UserAuthenticationRequired, Phase::Request, detail).with_source(error)
}
