//! Connections: how they are found, opened, kept and reused, and the exchange of one request over a connection.
//!
//! It contains no policy: `protocol` decides about redirects, coding and retries.

mod acknowledged;
mod buffers;
mod checkout;
mod connect;
mod connection;
mod dial;
mod dial_progress;
mod dial_targets;
mod dns;
mod exchange;
mod expect_continue;
mod fast_path;
mod h1;
mod h2;
mod head;
mod origin;
mod outgoing;
mod pool;
mod reservation;
mod route;
mod service;
mod stream;
mod tls;
mod tunnel;

pub(crate) use checkout::Checkout;
pub(crate) use connection::ExchangeFailure;
pub(crate) use exchange::Exchange;
pub(crate) use head::{
    DefaultFields, RequestHead, Shown, USER_AGENT, absolute_form, as_sent, asks_upgrade, is_framing,
};
pub(crate) use outgoing::Outgoing;
pub(crate) use pool::Pool;
pub(crate) use route::has_forward_proxy;
