//! Owns the default routes: the paths the URL loading tests of other implementations rely on, and generated
//! bodies. A route only chooses a [`Reply`]; unknown paths get an empty 404.

pub(crate) mod auth;
mod bodies;
mod broken;
pub(crate) mod echo;
mod redirects;

use crate::Wire;
use crate::reply::Reply;
use crate::request::Request;

/// Where the origin is, as far as a route needs to know.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) scheme: &'static str,
    pub(crate) host: &'static str,
    pub(crate) closed_port: u16,
}

impl Place {
    pub(crate) const fn new(wire: Wire, closed_port: u16) -> Self {
        let (scheme, host) = if wire.is_tls() { ("https", "localhost") } else { ("http", "127.0.0.1") };
        Self { scheme, host, closed_port }
    }
}

/// The default answer to a request.
pub(crate) fn answer(request: &Request, place: &Place) -> Reply {
    let path = request.path();
    echo::route(request, path)
        .or_else(|| redirects::route(request, path, place))
        .or_else(|| bodies::route(request, path))
        .or_else(|| broken::route(path))
        .or_else(|| auth::route(request, path))
        .unwrap_or_else(|| Reply::new(404))
}

/// A 200 with a text body.
fn text(body: impl Into<Vec<u8>>) -> Reply {
    Reply::new(200).header("Content-Type", "text/plain; charset=utf-8").body(body)
}

/// The value of a query parameter, percent-decoded.
fn parameter(request: &Request, name: &str) -> Option<String> {
    let pairs = request.query()?.split('&');
    let value = pairs.filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name)?.1;
    Some(percent_decode(value))
}

fn percent_decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let hex = bytes.get(at + 1..at + 3).filter(|_| *byte == b'%');
        let code = hex.and_then(|h| std::str::from_utf8(h).ok()).and_then(|h| u8::from_str_radix(h, 16).ok());
        out.push(code.unwrap_or(*byte));
        at += if code.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_decoding_leaves_what_is_not_encoded() {
        assert_eq!(percent_decode("echo-query%3Fparam%3dfoo"), "echo-query?param=foo");
        assert_eq!(percent_decode("100%"), "100%");
        assert_eq!(percent_decode("%zz%C3%A9"), "%zz\u{e9}");
    }
}
