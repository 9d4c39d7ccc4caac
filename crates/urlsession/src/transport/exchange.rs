//! The driver of exchanges, for every wire: it sends a request, passes informational responses on, holds the body back until
//! it may be sent, and records the times. The retry layer decides whether a failed request is sent again.

use std::future::poll_fn;
use std::task::{Context, Poll};

use super::connection::{Connection, ExchangeFailure, Received};
use super::head::{MAX_INFORMATIONAL, too_many_informational};
use super::{h1, h2};
use crate::body::Body;
use crate::error::Result;
use crate::load::Attempt;
use crate::message::{HttpHead, UrlResponse};

/// An exchange whose request has been passed to a connection.
pub(crate) enum Exchange {
    Http1(Box<h1::Connection>),
    Http2(Box<h2::Exchange>),
}

impl Exchange {
    /// Sends the request and reads up to the head of the final response. The response body sends the rest of a
    /// request that the server answered early.
    pub(crate) async fn answer(
        self,
        attempt: &mut Attempt<'_>,
    ) -> Result<(UrlResponse, Body), ExchangeFailure> {
        match self {
            Self::Http1(connection) => drive(connection, attempt).await,
            Self::Http2(exchange) => drive(exchange, attempt).await,
        }
    }
}

async fn drive<C: Connection>(
    mut connection: Box<C>,
    attempt: &mut Attempt<'_>,
) -> Result<(UrlResponse, Body), ExchangeFailure> {
    let (head, whole) = {
        let noting = Noting { connection: &mut *connection, attempt: &mut *attempt };
        if noting.connection.is_sent() {
            let transaction = noting.attempt.transaction();
            transaction.request_end = transaction.request_start;
        }
        noting.connection.outgoing().ask_consent(noting.attempt);
        let mut informational = 0;
        loop {
            let received = poll_fn(|cx| poll_exchange(noting.connection, cx, noting.attempt)).await;
            let error = match received {
                Ok(Received::Final { head, whole }) => break (head, whole),
                Ok(Received::Informational(head)) => {
                    informational += 1;
                    noting.connection.outgoing().on_informational(head.status);
                    if informational <= MAX_INFORMATIONAL {
                        if noting.attempt.context.wants_informational() {
                            let response = UrlResponse::from_http(noting.attempt.request.clone(), head);
                            noting.attempt.context.informational(response);
                        }
                        continue;
                    }
                    too_many_informational()
                }
                Err(failure) => {
                    let reused = noting.attempt.transaction().reused;
                    noting.connection.close_reason(failure, reused, informational > 0)
                }
            };
            return Err(ExchangeFailure { error, requires_http1: noting.connection.requires_http1() });
        }
    };
    let status = head.status;
    let must_send_all = connection.must_send_all(status);
    let is_given_up = connection.outgoing().on_final(status, must_send_all);
    connection.on_final(status, is_given_up, attempt.logins.as_deref());
    let now = attempt.clock.now();
    let response = answer(head, attempt);
    let transaction = attempt.transaction();
    transaction.request_end.get_or_insert(now);
    transaction.response_start = Some(now);
    transaction.response_head_bytes = as_u32(connection.head_bytes().1);
    if whole.is_some() && must_send_all && !connection.is_sent() {
        Box::pin(send_all(&mut *connection, attempt)).await?;
    }
    Ok((response, connection.into_body(whole, now)))
}

/// Sends what can be sent, and reads a head.
fn poll_exchange<C: Connection>(
    connection: &mut C,
    cx: &mut Context<'_>,
    attempt: &mut Attempt<'_>,
) -> Poll<Result<Received, C::Failure>> {
    let (clock, activity, context) = (attempt.clock, attempt.activity, attempt.context);
    let transaction = attempt.transaction();
    // Recorded immediately: the load may be dropped at any time.
    if transaction.request_end.is_none() {
        let moved = |wire, body| {
            activity.moved(wire);
            if body > 0 {
                transaction.request_body_bytes += body as u64;
                context.sent(body as u64);
            }
            !context.is_halted()
        };
        if connection.poll_send(cx, moved)?.is_ready() {
            transaction.request_end = Some(clock.now());
        }
    }
    connection.poll_head(cx, attempt)
}

/// Records the head of the final response.
fn answer(head: HttpHead, attempt: &mut Attempt<'_>) -> UrlResponse {
    let response = UrlResponse::from_http(attempt.request.clone(), head);
    attempt.transaction().response = Some(response.clone());
    response
}

/// Sends the rest of a request that already has its response.
async fn send_all<C: Connection>(connection: &mut C, attempt: &mut Attempt<'_>) -> Result<()> {
    let (activity, context) = (attempt.activity, attempt.context);
    let mut late = 0;
    let moved = |late: &mut u64, wire, body: usize| {
        activity.moved(wire);
        *late += body as u64;
        !context.is_halted()
    };
    let sent = poll_fn(|cx| connection.poll_send(cx, |wire, body| moved(&mut late, wire, body))).await;
    attempt.transaction().request_body_bytes += late;
    context.sent(late);
    sent
}

/// Records the size of the sent head when the head of the response has arrived, or the exchange has failed or was dropped: some
/// wires know the size only then.
struct Noting<'a, 'b, C: Connection> {
    connection: &'a mut C,
    attempt: &'a mut Attempt<'b>,
}

impl<C: Connection> Drop for Noting<'_, '_, C> {
    fn drop(&mut self) {
        self.attempt.transaction().request_head_bytes = as_u32(self.connection.head_bytes().0);
    }
}

/// Heads have limits far below.
fn as_u32(bytes: u64) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}
