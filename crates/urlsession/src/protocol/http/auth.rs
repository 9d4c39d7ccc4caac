//! Authentication: after a 401, or after a 407 of a forward proxy for `http` URLs, the request is sent again with a
//! credential.
//!
//! RFC 9110 §11, and Apple's *Handling an authentication challenge*. Schemes are chosen from the strongest to the
//! weakest: Negotiate, NTLM, Digest with SHA-512/256, SHA-256 and MD5, Basic. Credentials come from the URL, then from the
//! store or the task's delegates, and for Negotiate from the tickets of the machine's user. This layer does not check whether
//! a connection is safe enough for them; the store keeps them. `transport::tunnel` authenticates at the proxies of tunnels.

mod negotiate;
mod ticket;

use std::borrow::Cow;
use std::sync::Arc;

use url::{Position, Url};
use urlsession_proto::auth::digest::DigestRequest;

use self::ticket::Ticket;
use super::discard::discard;
use crate::auth::{
    AuthAttempts, AuthOption, ChallengeHandler, Challenger, CredentialCache, Login, LoginCache, Preemption,
    Used, decide, http_options, ntlm_challenge, ntlm_proof, ntlm_start,
};
use crate::configuration::Configuration;
use crate::env::Gssapi;
use crate::error::Result;
use crate::load::{
    Activity, Attempt, ConnectionLogin, ConnectionPin, Hop, Layer, LoginUse, Response, Route, TaskContext,
};
use crate::message::{
    AuthChallengeDisposition, HttpBody, UrlAuthenticationChallenge, UrlCredential, UrlCredentialPersistence,
    UrlProtectionSpace, UrlProtectionSpaceProxyType, UrlRequest,
};
use crate::store::UrlCredentialStorage;
use crate::transport::{absolute_form, has_forward_proxy};

pub(super) struct Auth<N> {
    server: Authenticator,
    proxy: Option<Authenticator>,
    next: N,
}

impl<N> Auth<N> {
    pub(super) fn new(
        storage: Option<UrlCredentialStorage>,
        gssapi: Arc<dyn Gssapi>,
        logins: Arc<LoginCache>,
        next: N,
    ) -> Self {
        let gssapi = Some(Tickets { gssapi, config: None });
        Self { server: Authenticator { storage, gssapi, logins, is_for_proxy: false }, proxy: None, next }
    }

    /// Servers of this configuration's domains receive tickets without a delegate's consent.
    pub(super) fn with_negotiate_domains(mut self, config: &Arc<Configuration>) -> Self {
        if let Some(tickets) = &mut self.server.gssapi {
            tickets.config = Some(config.clone());
        }
        self
    }

    /// The same behind the HTTP proxy of the configuration, if it has one.
    pub(super) fn behind_proxy(mut self, config: &Arc<Configuration>) -> Self {
        self.proxy = has_forward_proxy(config).then(|| Authenticator {
            storage: self.server.storage.clone(),
            gssapi: None,
            logins: self.server.logins.clone(),
            is_for_proxy: true,
        });
        self
    }
}

impl<N: Layer> Layer for Auth<N> {
    async fn load(&self, attempt: &mut Attempt<'_>) -> Result<Response> {
        if let Some(proxy) = &self.proxy {
            // In a box of its own: loads without proxies do not carry it.
            let next = Behind { proxy, next: &self.next };
            return Box::pin(self.server.load(attempt, &next)).await;
        }
        // As `Authenticator::load`, whose future in this one would be a layer more in every load.
        let (kept, preemption) = self.server.begin(attempt);
        let response = self.next.load(attempt).await?;
        if self.server.is_content(preemption.as_deref(), &response) {
            return Ok(response);
        }
        Box::pin(self.server.judge(attempt, &self.next, response, preemption, kept)).await
    }
}

/// The layers below, behind the proxy.
struct Behind<'a, N> {
    proxy: &'a Authenticator,
    next: &'a N,
}

impl<N: Layer> Layer for Behind<'_, N> {
    async fn load(&self, attempt: &mut Attempt<'_>) -> Result<Response> {
        self.proxy.load(attempt, self.next).await
    }
}

/// Answers the challenges of servers, or those of the proxy.
struct Authenticator {
    storage: Option<UrlCredentialStorage>,
    /// Tickets are for servers.
    gssapi: Option<Tickets>,
    logins: Arc<LoginCache>,
    /// Whether the challenges of the forward proxy are answered, and not those of servers.
    is_for_proxy: bool,
}

/// Kerberos tickets, and the configuration that names the servers which get the ticket of the machine's user.
struct Tickets {
    gssapi: Arc<dyn Gssapi>,
    /// `None`: no server.
    config: Option<Arc<Configuration>>,
}

impl Tickets {
    fn are_for(&self, host: &str) -> bool {
        self.config.as_ref().is_some_and(|config| config.negotiates_with(host))
    }
}

/// One request, as the challenger (server or proxy) sees it.
struct AuthRequest<'a> {
    challenger: Challenger<'a>,
    request: &'a UrlRequest,
    target: Cow<'a, str>,
    /// Of the fields added, the first that are not of this authenticator or those below.
    kept: usize,
}

impl AuthRequest<'_> {
    /// The request as it is digested.
    fn signed(&self) -> DigestRequest<'_> {
        let method = self.request.http_method().as_str();
        DigestRequest { method, uri: &self.target, body: body(self.request) }
    }

    /// Whether the request has credentials of its own, which this layer does not replace.
    fn has_own_credentials(&self) -> bool {
        self.request.fields().contains(self.challenger.answer_field())
    }

    fn url_credential(&self) -> Option<UrlCredential> {
        match self.challenger {
            Challenger::Server(request) => url_credential(request.url()),
            Challenger::Proxy { .. } => None,
        }
    }

    /// Prepares the request to be sent again: a transaction of its own, with this field in place of what was added here
    /// and below, where theirs are added again.
    fn repeat(&self, attempt: &mut Attempt<'_>, value: Option<http::HeaderValue>) {
        attempt.begin_transaction();
        attempt.added.truncate(self.kept);
        attempt.added.extend(value.map(|value| (self.challenger.answer_field(), value)));
    }
}

impl Authenticator {
    async fn load<N: Layer>(&self, attempt: &mut Attempt<'_>, next: &N) -> Result<Response> {
        let (kept, preemption) = self.begin(attempt);
        let response = next.load(attempt).await?;
        if self.is_content(preemption.as_deref(), &response) {
            return Ok(response);
        }
        // In a box of its own: other loads do not carry it.
        Box::pin(self.judge(attempt, next, response, preemption, kept)).await
    }

    /// The number of fields added above, and the field added here before any challenge.
    fn begin(&self, attempt: &mut Attempt<'_>) -> (usize, Option<Box<Preemption>>) {
        let kept = attempt.added.len();
        if attempt.logins.is_some() {
            self.use_login(attempt, LoginUse::None);
        }
        let own = attempt.request.fields();
        if !own.is_empty() && own.bytes(self.answer_field()).is_some_and(is_of_connection) {
            self.use_login(attempt, LoginUse::Begin(ConnectionLogin::of_application(self.revision())));
        }
        (kept, if self.logins.is_empty() { None } else { self.preempt(attempt) })
    }

    /// Whether the response has neither a challenge nor a proof for this layer.
    fn is_content(&self, preemption: Option<&Preemption>, response: &Response) -> bool {
        preemption.is_none() && response.head.status_code() != Some(self.status())
    }

    fn answer_field(&self) -> &'static str {
        if self.is_for_proxy { "proxy-authorization" } else { "authorization" }
    }

    /// How the following exchanges use the login of their connection at this challenger.
    fn use_login(&self, attempt: &mut Attempt<'_>, login: LoginUse) {
        let mut uses = attempt.logins.as_deref().cloned().unwrap_or_default();
        *(if self.is_for_proxy { &mut uses.proxy } else { &mut uses.server }) = login;
        let is_none = uses.server.is_none() && uses.proxy.is_none();
        attempt.logins = (!is_none).then(|| Arc::new(uses));
    }

    /// The login of a connection by this credential, or by the ticket of the machine's user. Without a store that keeps
    /// the credential it is for one exchange.
    fn connection_login(
        &self,
        request: &UrlRequest,
        space: &UrlProtectionSpace,
        credential: Option<&UrlCredential>,
    ) -> Arc<ConnectionLogin> {
        let (is_lasting, has_store) = (self.is_lasting(request), self.storage.is_some());
        let is_kept = is_lasting
            && credential.is_none_or(|credential| {
                has_store && credential.persistence() != UrlCredentialPersistence::None
            });
        let revision = is_kept.then(|| self.revision());
        ConnectionLogin::new(space.clone(), credential.cloned(), revision)
    }

    /// The credential store, if it is used for this challenger.
    fn storage_for(&self, request: &UrlRequest) -> Option<&UrlCredentialStorage> {
        self.storage.as_ref().filter(|_| self.is_lasting(request))
    }

    /// True if the challenger of this request stays the same over time: logins at others are not kept.
    fn is_lasting(&self, request: &UrlRequest) -> bool {
        self.is_for_proxy || request.url_for_stores().is_some()
    }

    /// Of the credential store.
    fn revision(&self) -> u64 {
        self.storage.as_ref().map_or(0, UrlCredentialStorage::revision)
    }

    fn status(&self) -> u16 {
        if self.is_for_proxy { 407 } else { 401 }
    }

    /// `None` if the request does not concern this challenger.
    fn visit<'a>(
        &'a self,
        request: &'a UrlRequest,
        route: &'a Route,
        kept: usize,
    ) -> Option<AuthRequest<'a>> {
        let url = request.url();
        if !self.is_for_proxy {
            let target = url[Position::BeforePath..Position::AfterQuery].into();
            return Some(AuthRequest { challenger: Challenger::Server(request), request, target, kept });
        }
        let Hop { host, port, .. } = route.forward()?;
        let challenger = Challenger::Proxy { host, port: *port, kind: UrlProtectionSpaceProxyType::Http };
        Some(AuthRequest { challenger, request, target: absolute_form(url).into(), kept })
    }

    /// Sends a credential before any challenge, where the session has logged in before (RFC 7617 §2.2, RFC 7616 §3.6).
    fn preempt(&self, attempt: &mut Attempt<'_>) -> Option<Box<Preemption>> {
        let (request, route) = (attempt.request.clone(), attempt.route.clone());
        let visit = self.visit(&request, &route, 0).filter(|visit| !visit.has_own_credentials())?;
        let revision = self.storage_for(&request)?.revision();
        let of_url = visit.url_credential();
        let Some((value, preemption)) =
            self.logins.authorize(visit.challenger, visit.signed(), of_url.as_ref(), revision)
        else {
            let login = self.logins.connection_login(visit.challenger, of_url.as_ref(), revision)?;
            self.use_login(attempt, LoginUse::Reuse(login));
            return None;
        };
        attempt.added.push((visit.challenger.answer_field(), value));
        Some(Box::new(preemption))
    }

    async fn judge<N: Layer>(
        &self,
        attempt: &mut Attempt<'_>,
        next: &N,
        mut response: Response,
        preemption: Option<Box<Preemption>>,
        kept: usize,
    ) -> Result<Response> {
        let (request, route) = (attempt.request.clone(), attempt.route.clone());
        let Some(visit) = self.visit(&request, &route, kept) else { return Ok(response) };
        if let (Some(preemption), Some(head)) = (&preemption, response.head.http_head()) {
            self.logins.heard(preemption, &head.fields, visit.challenger);
        }
        if response.head.status_code() != Some(self.status()) || visit.has_own_credentials() {
            return Ok(response);
        }
        let mut attempts =
            AuthAttempts::new(visit.url_credential(), preemption.map(|preemption| preemption.used));
        if self.shows_ticket_to(&visit) {
            attempts.show_ticket_by_default();
        }
        self.look_for_tickets(attempt, &visit, &response.head, &mut attempts).await;
        loop {
            let (challenge_handler, credentials) =
                (OfTask { context: attempt.context, activity: attempt.activity }, self.credentials(attempt));
            let Some(head) = response.head.http_head() else { return Ok(response) };
            let options = http_options(visit.challenger, head);
            let (shown, is_body_known) = (Some(&response.head), body(&request).is_some());
            let decided =
                decide(&mut attempts, options, shown, is_body_known, credentials, &challenge_handler).await?;
            let Some((option, credential)) = decided else { return Ok(response) };
            response = match (&self.gssapi, credential) {
                (Some(Tickets { gssapi, .. }), credential) if option.is_negotiate() => {
                    // Before the response is given up: without a ticket there may be a weaker offer.
                    match Ticket::get(attempt, gssapi, &option.space, credential.as_ref()).await {
                        Ok(ticket) => {
                            discard(response.body, attempt).await;
                            self.show(attempt, next, &visit, ticket, &option, credential, &mut attempts)
                                .await?
                        }
                        Err(error) => {
                            tracing::debug!("Negotiate is skipped: {error}");
                            attempts.skip(option.space, credential.as_ref(), error);
                            continue;
                        }
                    }
                }
                (_, Some(credential)) => {
                    discard(response.body, attempt).await;
                    self.log_in(attempt, next, &visit, &option, &credential, &mut attempts).await?
                }
                (_, None) => return Ok(response),
            };
            if response.head.status_code() != Some(self.status()) {
                return Ok(response);
            }
            self.logins.forget(visit.challenger, &option.space);
        }
    }

    /// Sends the request with the credential, and keeps one that worked.
    async fn log_in<N: Layer>(
        &self,
        attempt: &mut Attempt<'_>,
        next: &N,
        visit: &AuthRequest<'_>,
        option: &AuthOption,
        credential: &UrlCredential,
        attempts: &mut AuthAttempts,
    ) -> Result<Response> {
        // This request must not use a connection with a login.
        if attempt.logins.is_some() {
            self.use_login(attempt, LoginUse::None);
        }
        let Some(mut login) = Login::begin(&option.scheme, credential) else {
            let connection = self.connection_login(visit.request, &option.space, Some(credential));
            self.use_login(attempt, LoginUse::Begin(connection.clone()));
            let response = self.shake_hands(attempt, next, visit, credential).await;
            self.use_login(attempt, LoginUse::None);
            let response = response?;
            attempts.use_up(Used {
                space: option.space.clone(),
                credential: credential.clone(),
                nonce: None,
            });
            let is_accepted = self.is_success(&response);
            self.note_connection(attempt, visit.challenger, connection, is_accepted).await;
            return Ok(response);
        };
        let (value, expectation) = login.authorization(visit.signed()).unzip();
        visit.repeat(attempt, value);
        let response = next.load(attempt).await?;
        let used = Used {
            space: option.space.clone(),
            credential: credential.clone(),
            nonce: login.nonce().map(Into::into),
        };
        attempts.use_up(used.clone());
        if self.is_success(&response) {
            let kept = self.credentials(attempt).keep(&option.space, credential).await;
            if let (Some(revision), Some(head)) = (kept, response.head.http_head())
                && login.heard(&head.fields, expectation.flatten().as_ref(), visit.challenger)
            {
                self.logins.learn(visit.challenger, used, login, revision);
            }
        }
        Ok(response)
    }

    /// Keeps the credential of a login that was accepted, whose connections others may use from now on.
    async fn note_connection(
        &self,
        attempt: &Attempt<'_>,
        challenger: Challenger<'_>,
        login: Arc<ConnectionLogin>,
        is_accepted: bool,
    ) {
        if !is_accepted {
            return self.logins.forget_connection(challenger, &login);
        }
        if let Some(credential) = login.credential()
            && let Some(revision) = self.credentials(attempt).keep(login.space(), credential).await
        {
            login.is_kept_in(revision);
        }
        if login.revision().is_some() {
            self.logins.learn_connection(challenger, login);
        }
    }

    /// NTLM: two exchanges over one connection, which is then logged in for all that follow.
    async fn shake_hands<N: Layer>(
        &self,
        attempt: &mut Attempt<'_>,
        next: &N,
        visit: &AuthRequest<'_>,
        credential: &UrlCredential,
    ) -> Result<Response> {
        let status = Some(self.status());
        let mut tries = 0;
        loop {
            tries += 1;
            let hold = ConnectionPin::default();
            attempt.hold = Some(hold.clone());
            visit.repeat(attempt, ntlm_start());
            let response = next.load(attempt).await;
            attempt.hold = None;
            let response = response?;
            let challenge =
                response.head.http_head().and_then(|head| ntlm_challenge(visit.challenger, &head.fields));
            let Some(challenge) = challenge.filter(|_| response.head.status_code() == status) else {
                return Ok(response);
            };
            let first = attempt.transaction().connection.clone();
            discard(response.body, attempt).await;
            attempt.hold = Some(hold);
            visit.repeat(attempt, ntlm_proof(&challenge, credential, attempt.clock.wall()));
            let response = next.load(attempt).await;
            attempt.hold = None;
            let response = response?;
            let second = attempt.transaction().connection.clone();
            let is_same = first.zip(second).is_some_and(|(first, second)| Arc::ptr_eq(&first, &second));
            // A proof on another connection proves nothing: the first was closed.
            if is_same || response.head.status_code() != status || tries == 2 {
                return Ok(response);
            }
            discard(response.body, attempt).await;
        }
    }

    /// Whether the credential was accepted. A server that fails may not have looked at it, and behind a proxy that refuses no
    /// server has.
    fn is_success(&self, response: &Response) -> bool {
        let status = response.head.status_code();
        let is_of_server = !self.is_for_proxy;
        status.is_some_and(|status| status < 500 && status != 407 && !(is_of_server && status == 401))
    }

    fn credentials<'a>(&'a self, attempt: &Attempt<'a>) -> CredentialCache<'a> {
        CredentialCache { storage: self.storage_for(&attempt.request), runtime: attempt.runtime }
    }
}

/// The task decides. The server's idle time does not include the time of the decision.
struct OfTask<'a> {
    context: &'a dyn TaskContext,
    activity: &'a Activity,
}

impl ChallengeHandler for OfTask<'_> {
    async fn challenge(&self, challenge: UrlAuthenticationChallenge) -> AuthChallengeDisposition {
        let _pause = self.activity.pause_idle();
        self.context.challenge(&challenge).await
    }
}

/// The user and password of a URL.
fn url_credential(url: &Url) -> Option<UrlCredential> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let decoded = |text| percent_encoding::percent_decode_str(text).decode_utf8_lossy();
    let password = decoded(url.password().unwrap_or_default());
    Some(UrlCredential::new(&decoded(url.username()), &password, UrlCredentialPersistence::ForSession))
}

/// True if the application itself sends a message of a login that belongs to the connection.
fn is_of_connection(value: &[u8]) -> bool {
    let scheme = value.split(|byte| *byte == b' ').next().unwrap_or_default();
    scheme.eq_ignore_ascii_case(b"NTLM") || scheme.eq_ignore_ascii_case(b"Negotiate")
}

/// A stream is not known before it is sent.
fn body(request: &UrlRequest) -> Option<&[u8]> {
    match request.content() {
        HttpBody::None => Some(&[]),
        HttpBody::Data(data) => Some(data),
        HttpBody::Stream(_) => None,
    }
}

#[cfg(test)]
#[path = "auth_tests.rs"]
mod tests;
