//! Negotiate (RFC 4559): the client sends a ticket, and the server proves in return that it could read it.
//!
//! Kerberos takes one exchange; several exchanges stay on one connection. A ticket is sent only after a challenge, and only
//! to the origin of the challenge, whose host the ticket names. This module does not choose the ticket's user.

use std::sync::Arc;

use super::ticket::{Ticket, find};
use super::{AuthRequest, Authenticator, Tickets, discard};
use crate::auth::{AuthAttempts, AuthOption, Used, http_options, negotiate_token};
use crate::error::{Phase, Result, UrlError, UrlErrorCode};
use crate::load::{Attempt, ConnectionPin, Layer, LoginUse, Response};
use crate::message::{UrlCredential, UrlResponse};

impl Authenticator {
    /// No ticket is requested if the platform cannot provide one.
    pub(super) async fn look_for_tickets(
        &self,
        attempt: &Attempt<'_>,
        request: &AuthRequest<'_>,
        response: &UrlResponse,
        attempts: &mut AuthAttempts,
    ) {
        let Some((Tickets { gssapi, .. }, head)) = self.gssapi.as_ref().zip(response.http_head()) else {
            return;
        };
        if http_options(request.challenger, head).iter().any(AuthOption::is_negotiate)
            && let Err(error) = find(attempt, gssapi).await
        {
            attempts.without_tickets(error);
        }
    }

    /// Whether the server receives the ticket of the machine's user without a delegate's consent.
    pub(super) fn shows_ticket_to(&self, request: &AuthRequest<'_>) -> bool {
        self.gssapi.as_ref().is_some_and(|tickets| tickets.are_for(&request.challenger.host()))
    }

    /// Sends the request with the ticket, until the server needs no further token.
    #[allow(clippy::too_many_arguments)] // what one try is made of
    pub(super) async fn show<N: Layer>(
        &self,
        attempt: &mut Attempt<'_>,
        next: &N,
        request: &AuthRequest<'_>,
        ticket: Ticket,
        option: &AuthOption,
        credential: Option<UrlCredential>,
        attempts: &mut AuthAttempts,
    ) -> Result<Response> {
        let hold = ConnectionPin::lasting();
        let connection = self.connection_login(request.request, &option.space, credential.as_ref());
        self.use_login(attempt, LoginUse::Begin(connection.clone()));
        let result = self.exchange(attempt, next, request, ticket, &hold, attempts).await;
        self.use_login(attempt, LoginUse::None);
        attempt.hold = None;
        hold.let_go();
        let response = result?;
        let is_accepted = self.is_success(&response);
        // A delegate that gives the ticket to another server does so for one load.
        if credential.is_some() || self.shows_ticket_to(request) {
            self.note_connection(attempt, request.challenger, connection, is_accepted).await;
        }
        match credential {
            Some(credential) => {
                attempts.use_up(Used { space: option.space.clone(), credential, nonce: None });
            }
            None if is_accepted => {}
            None => attempts.ticket_was_refused(),
        }
        Ok(response)
    }

    async fn exchange<N: Layer>(
        &self,
        attempt: &mut Attempt<'_>,
        next: &N,
        request: &AuthRequest<'_>,
        mut ticket: Ticket,
        hold: &ConnectionPin,
        attempts: &mut AuthAttempts,
    ) -> Result<Response> {
        let mut first = None;
        for _ in 0..MOST_LEGS {
            attempt.hold = Some(hold.clone());
            request.repeat(attempt, ticket.value());
            let response = next.load(attempt).await?;
            let connection = attempt.transaction().connection.clone();
            let heard =
                response.head.http_head().and_then(|head| negotiate_token(request.challenger, &head.fields));
            if response.head.status_code() != Some(401) {
                // RFC 4559 §5: a server that sends a proof and fails it is not the one the ticket is for. It need not
                // send one.
                if let Some(heard) = heard {
                    let ticket = ticket.hear(attempt, heard).await.map_err(|error| unproved(error.into()))?;
                    if !ticket.is_done {
                        return Err(unproved("the proof is not complete".into()));
                    }
                }
                return Ok(response);
            }
            let first = first.get_or_insert_with(|| connection.clone());
            let is_same = match (first, &connection) {
                (Some(first), Some(now)) => Arc::ptr_eq(first, now),
                (first, now) => first.is_none() && now.is_none(),
            };
            // Another connection does not have the state of this one.
            let (Some(heard), true) = (heard, is_same) else { return Ok(response) };
            ticket = match ticket.hear(attempt, heard).await {
                Ok(ticket) if !ticket.token.is_empty() => ticket,
                Ok(_) => return Ok(response),
                Err(error) => {
                    attempts.note(error);
                    return Ok(response);
                }
            };
            discard(response.body, attempt).await;
        }
        let detail = format!("{} continues the negotiation without end", attempt.request);
        Err(UrlError::new(UrlErrorCode::BadServerResponse, Phase::Head, detail))
    }
}

fn unproved(cause: Box<dyn std::error::Error + Send + Sync>) -> UrlError {
    let detail = "the server accepted a ticket but does not prove that it is the one the ticket is for";
    UrlError::new(UrlErrorCode::BadServerResponse, Phase::Head, detail).with_source(cause)
}

/// Kerberos needs one or two; SPNEGO may choose another mechanism first.
const MOST_LEGS: usize = 8;

#[cfg(test)]
#[path = "negotiate_tests.rs"]
mod tests;
