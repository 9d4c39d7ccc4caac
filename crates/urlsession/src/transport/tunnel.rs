//! The tunnel of an HTTP proxy: `CONNECT`, until the stream to the other end is open (RFC 9110 §9.3.6).
//!
//! The stream is secured and used like any other; `route` selects the proxy.

mod login;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use http::{HeaderValue, Method, header};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use urlsession_proto::http1::{
    self, BodyDecoder, HeadLimits, HeadScanner, KeepAlive, ResponseHead, keep_alive, proxy_closes,
    response_framing,
};

use self::login::ProxyAuth;
pub(super) use self::login::TunnelLogin;
use super::head::USER_AGENT;
use crate::auth::{Challenger, CredentialCache, LoginCache};
use crate::configuration::Configuration;
use crate::env::{RuntimeHandle, Timer, Wire};
use crate::error::{Phase, Result, UrlError, UrlErrorCode};
use crate::load::{ConnectionChallengeHandler, Hop};
use crate::message::{HttpHead, UrlProtectionSpaceProxyType, UrlRequest, UrlResponse};

/// A tunnel in the making.
pub(super) struct Tunnel<'a> {
    config: &'a Configuration,
    runtime: &'a RuntimeHandle,
    proxy: &'a Hop,
    target: &'a str,
    auth: ProxyAuth<'a>,
    /// How many kept connections the proxy closed without an answer.
    lost: usize,
}

/// The outcome of one request.
pub(super) enum Step {
    /// The tunnel to the origin is open. The proxy made it for this login.
    Open(Wire, TunnelLogin),
    /// The proxy issued a challenge, and there is a credential; over the same connection if it is still open.
    Again(Option<Wire>),
}

impl TunnelLogin {
    /// The login of a tunnel that leads through another.
    pub(super) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::ForOnce, _) | (_, Self::ForOnce) => Self::ForOnce,
            (Self::Kept(one), Self::Kept(other)) => Self::Kept(one.min(other)),
            (Self::None, login) | (login, Self::None) => login,
        }
    }
}

impl<'a> Tunnel<'a> {
    pub(super) fn new(
        config: &'a Configuration,
        runtime: &'a RuntimeHandle,
        proxy: &'a Hop,
        target: &'a str,
        logins: &'a LoginCache,
        handler: Option<&'a Arc<dyn ConnectionChallengeHandler>>,
    ) -> Self {
        let kind = UrlProtectionSpaceProxyType::Https;
        let challenger = Challenger::Proxy { host: &proxy.host, port: proxy.port, kind };
        let credentials = CredentialCache { storage: config.url_credential_storage.as_ref(), runtime };
        let auth =
            ProxyAuth::new(challenger, target, proxy.credential.as_ref(), credentials, logins, handler);
        Self { config, runtime, proxy, target, auth, lost: 0 }
    }

    /// Asks the proxy at the other end once. `is_reused` is true if the wire carried a request before: the proxy may have
    /// closed it meanwhile (RFC 9112 §9.5), and is then asked again over another.
    pub(super) async fn step(&mut self, mut wire: Wire, is_reused: bool) -> Result<Step> {
        let Self { config, runtime, proxy, target, .. } = *self;
        let out = request(config, target, self.auth.value());
        let answer = match send(&mut wire, &out).await {
            Ok(()) => read_head(&mut wire, proxy).await,
            Err(error) => Err(NoAnswer::Silence(closed(proxy, Some(error)))),
        };
        let (head, rest) = match answer {
            Ok(answer) => answer,
            Err(NoAnswer::Silence(_)) if is_reused && self.lost < MOST_LOST => {
                self.lost += 1;
                self.auth.lost();
                return Ok(Step::Again(None));
            }
            Err(NoAnswer::Silence(error) | NoAnswer::Bad(error)) => return Err(error),
        };
        if head.status.is_success() {
            // RFC 9110 §9.3.6: what follows is the origin's, who waits for the client to speak.
            if !rest.is_empty() {
                let detail = format!("the proxy {} sent something of its own into the tunnel", name(proxy));
                return Err(UrlError::new(UrlErrorCode::BadServerResponse, Phase::Connect, detail));
            }
            let login = self.auth.accepted(&whole(head)).await;
            return Ok(Step::Open(wire, login));
        }
        if head.status != http::StatusCode::PROXY_AUTHENTICATION_REQUIRED {
            return Err(refusal(proxy, target, &said(&head)));
        }
        let clock = &*config.environment.clock;
        let end = Timer::at(clock, runtime, clock.now() + LONGEST_DRAIN);
        let (said, wire) = (said(&head), end.limit(reusable(wire, &head, rest)).await.flatten());
        let now = config.environment.clock.wall();
        let is_answered = match format!("https://{target}/").parse() {
            Ok(url) => {
                let response = UrlResponse::from_http(Arc::new(UrlRequest::new(url)), whole(head));
                self.auth.refused(&response, wire.is_some(), now).await?
            }
            Err(_) => false,
        };
        if is_answered {
            return Ok(Step::Again(wire));
        }
        let detail = refusal(proxy, target, &said).detail().to_owned();
        Err(UrlError::new(UrlErrorCode::UserAuthenticationRequired, Phase::Connect, detail))
    }
}

fn request(config: &Configuration, target: &str, authorization: Option<HeaderValue>) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    http1::write_request_line(&mut out, &Method::CONNECT, target);
    http1::write_field(&mut out, b"Host", target.as_bytes());
    let own = config.http_additional_headers.get(header::USER_AGENT).map(HeaderValue::as_bytes);
    let default = (!config.omits("user-agent")).then_some(USER_AGENT.as_bytes());
    if let Some(agent) = own.or(default) {
        http1::write_field(&mut out, b"User-Agent", agent);
    }
    if let Some(value) = authorization {
        http1::write_field(&mut out, b"Proxy-Authorization", value.as_bytes());
    }
    http1::end_head(&mut out);
    out
}

fn whole(head: ResponseHead) -> HttpHead {
    HttpHead { version: head.version, status: head.status, fields: head.headers, raw: head.raw }
}

/// The connection after a refusal, whose body was read to its end; `None` if it cannot be used again, or the body is
/// too long.
async fn reusable(mut wire: Wire, head: &ResponseHead, mut rest: BytesMut) -> Option<Wire> {
    let framing = response_framing(&Method::CONNECT, head.status, head.version, &head.headers).ok()?;
    let closes = matches!(keep_alive(head.version, &head.headers, &framing), KeepAlive::Close(_));
    if closes || proxy_closes(&head.headers) {
        return None;
    }
    let (mut decoder, mut read) = (BodyDecoder::new(framing), rest.len());
    loop {
        while !rest.is_empty() && !decoder.is_finished() {
            let step = decoder.decode(&rest).ok()?;
            if step.consumed == 0 {
                break;
            }
            rest.advance(step.consumed);
        }
        if decoder.is_finished() {
            return Some(wire).filter(|_| rest.is_empty());
        }
        if read > MAX_REFUSAL {
            return None;
        }
        rest.reserve(READ);
        read += wire.read_buf(&mut rest).await.ok().filter(|n| *n > 0)?;
    }
}

/// Why there is no response of the proxy.
enum NoAnswer {
    /// The connection ended before the first byte.
    Silence(UrlError),
    Bad(UrlError),
}

async fn send(wire: &mut Wire, out: &[u8]) -> io::Result<()> {
    wire.write_all(out).await?;
    wire.flush().await
}

/// The head of the proxy's final answer, and what came with it.
async fn read_head(wire: &mut Wire, proxy: &Hop) -> Result<(ResponseHead, BytesMut), NoAnswer> {
    let (mut input, mut scanner) = (BytesMut::with_capacity(READ), HeadScanner::new());
    let mut informational = 0;
    loop {
        let parsed = scanner.parse(&input, &LIMITS).map_err(|error| {
            let detail = format!("the proxy {} does not answer in HTTP: {error}", name(proxy));
            NoAnswer::Bad(
                UrlError::new(UrlErrorCode::BadServerResponse, Phase::Connect, detail).with_source(error),
            )
        })?;
        match parsed {
            Some((head, consumed)) => {
                let rest = input.split_off(consumed);
                // RFC 9110 §15.2.2: nothing in HTTP follows a 101.
                let is_last = head.status == http::StatusCode::SWITCHING_PROTOCOLS;
                if !head.status.is_informational() || is_last {
                    return Ok((head, rest));
                }
                informational += 1;
                if informational > MAX_INFORMATIONAL {
                    let detail = format!("the proxy {} sends informational responses only", name(proxy));
                    let error = UrlError::new(UrlErrorCode::BadServerResponse, Phase::Connect, detail);
                    return Err(NoAnswer::Bad(error));
                }
                input = rest;
            }
            None => {
                input.reserve(READ);
                let is_silent = input.is_empty() && informational == 0;
                let error = match wire.read_buf(&mut input).await {
                    Ok(0) => closed(proxy, None),
                    Ok(_) => continue,
                    Err(error) => closed(proxy, Some(error)),
                };
                return Err(if is_silent { NoAnswer::Silence(error) } else { NoAnswer::Bad(error) });
            }
        }
    }
}

fn closed(proxy: &Hop, error: Option<io::Error>) -> UrlError {
    let detail = format!("the proxy {} closed the connection before there was a tunnel", name(proxy));
    let closed = UrlError::new(UrlErrorCode::NetworkConnectionLost, Phase::Connect, detail);
    match error {
        Some(error) => closed.with_source(error),
        None => closed,
    }
}

fn refusal(proxy: &Hop, target: &str, said: &str) -> UrlError {
    let detail = format!("the proxy {} makes no tunnel to {target}: it says {said}", name(proxy));
    UrlError::new(UrlErrorCode::CannotConnectToHost, Phase::Connect, detail)
}

/// Status and reason, for a person to read.
fn said(head: &ResponseHead) -> String {
    let reason = String::from_utf8_lossy(head.reason()).into_owned();
    let reason = reason.chars().filter(|c| !c.is_control()).take(MAX_REASON).collect::<String>();
    format!("{} {reason}", head.status.as_u16()).trim_end().to_owned()
}

fn name(proxy: &Hop) -> String {
    format!("{}:{}", proxy.host, proxy.port)
}

/// The answer of a proxy is small.
const LIMITS: HeadLimits = HeadLimits { bytes: 64 * 1024, fields: 100 };

const MAX_INFORMATIONAL: usize = 10;

/// More kept connections than this are not lost by accident.
const MOST_LOST: usize = 3;

const READ: usize = 4 * 1024;

/// The longest body of a refusal that is read for the connection's sake.
const MAX_REFUSAL: usize = 64 * 1024;

/// How long the body of a refusal is waited for.
const LONGEST_DRAIN: Duration = Duration::from_millis(500);

/// Characters of a reason phrase that an error contains.
const MAX_REASON: usize = 100;
