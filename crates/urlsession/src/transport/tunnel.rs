//! The tunnel of a proxy: `CONNECT`, up to where the origin is spoken to (RFC 9110 §9.3.6).
//!
//! It is pooled and secured as a connection to the origin; which proxy makes it is `route`'s to say.

use std::io;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use urlsession_proto::field::unfold;
use urlsession_proto::http1::{self, HeadLimits, HeadScanner, ResponseHead};

use super::head::USER_AGENT;
use super::pool::Origin;
use super::route::Proxy;
use crate::configuration::Configuration;
use crate::env::Wire;
use crate::error::{Phase, Result, UrlError, UrlErrorCode};

/// Makes of a connection to a proxy one to the origin.
pub(super) async fn open(
    config: &Configuration,
    proxy: Proxy<'_>,
    origin: &Origin,
    mut wire: Wire,
) -> Result<Wire> {
    let target = format!("{}:{}", origin.host, origin.port);
    let out = request(config, &target);
    let broken = |error| closed(proxy, Some(error));
    wire.write_all(&out).await.map_err(broken)?;
    wire.flush().await.map_err(broken)?;
    let (head, rest) = read_head(&mut wire, proxy).await?;
    if !head.status.is_success() {
        return Err(refusal(proxy, &target, &head));
    }
    // RFC 9110 §9.3.6: what follows is the origin's, who waits for the client to speak.
    if !rest.is_empty() {
        let detail = format!("the proxy {} sent something of its own into the tunnel", name(proxy));
        return Err(UrlError::new(UrlErrorCode::BadServerResponse, Phase::Connect, detail));
    }
    Ok(wire)
}

fn request(config: &Configuration, target: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    http1::write_request_line(&mut out, &http::Method::CONNECT, target);
    http1::write_field(&mut out, b"Host", target.as_bytes());
    let agent = config.http_additional_headers.bytes("user-agent").unwrap_or(USER_AGENT.as_bytes());
    http1::write_field(&mut out, b"User-Agent", &unfold(agent));
    http1::end_head(&mut out);
    out
}

/// The head of the proxy's final answer, and what came with it.
async fn read_head(wire: &mut Wire, proxy: Proxy<'_>) -> Result<(ResponseHead, BytesMut)> {
    let (mut input, mut scanner) = (BytesMut::with_capacity(READ), HeadScanner::new());
    let mut informational = 0;
    loop {
        let parsed = scanner.parse(&input, &LIMITS).map_err(|error| {
            let detail = format!("the proxy {} does not answer in HTTP: {error}", name(proxy));
            UrlError::new(UrlErrorCode::BadServerResponse, Phase::Connect, detail).with_source(error)
        })?;
        match parsed {
            Some((head, consumed)) => {
                let rest = input.split_off(consumed);
                if !head.status.is_informational() {
                    return Ok((head, rest));
                }
                informational += 1;
                if informational > MAX_INFORMATIONAL {
                    let detail = format!("the proxy {} sends informational responses only", name(proxy));
                    return Err(UrlError::new(UrlErrorCode::BadServerResponse, Phase::Connect, detail));
                }
                input = rest;
            }
            None => {
                input.reserve(READ);
                match wire.read_buf(&mut input).await {
                    Ok(0) => return Err(closed(proxy, None)),
                    Ok(_) => {}
                    Err(error) => return Err(closed(proxy, Some(error))),
                }
            }
        }
    }
}

fn closed(proxy: Proxy<'_>, error: Option<io::Error>) -> UrlError {
    let detail = format!("the proxy {} closed the connection before there was a tunnel", name(proxy));
    let closed = UrlError::new(UrlErrorCode::NetworkConnectionLost, Phase::Connect, detail);
    match error {
        Some(error) => closed.with_source(error),
        None => closed,
    }
}

fn refusal(proxy: Proxy<'_>, target: &str, head: &ResponseHead) -> UrlError {
    let detail = format!("the proxy {} makes no tunnel to {target}: it says {}", name(proxy), said(head));
    UrlError::new(UrlErrorCode::CannotConnectToHost, Phase::Connect, detail)
}

/// Status and reason, for a person to read.
fn said(head: &ResponseHead) -> String {
    let reason = String::from_utf8_lossy(head.reason()).into_owned();
    let reason = reason.chars().filter(|c| !c.is_control()).take(MAX_REASON).collect::<String>();
    format!("{} {reason}", head.status.as_u16()).trim_end().to_owned()
}

fn name(proxy: Proxy<'_>) -> String {
    format!("{}:{}", proxy.host, proxy.port)
}

/// The answer of a proxy is small; what it says in a body is not read from here.
const LIMITS: HeadLimits = HeadLimits { bytes: 64 * 1024, fields: 100 };

const MAX_INFORMATIONAL: usize = 10;

const READ: usize = 4 * 1024;

/// Characters of a reason phrase that an error tells.
const MAX_REASON: usize = 100;
