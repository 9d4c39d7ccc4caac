//! Owns the routes that tell the client what it sent: JSON objects, header lines, bodies, credentials.

use serde_json::{Map, Value};

use super::text;
use crate::Wire;
use crate::reply::Reply;
use crate::request::Request;

const METHODS: [&str; 5] = ["get", "put", "post", "delete", "head"];
/// `user:passwd`
const BASIC: &str = "Basic dXNlcjpwYXNzd2Q=";
/// Spelled so in the server this one is modelled on, and asserted so by its tests.
pub(super) const CHALLENGE: &str = "Basic realm=\"Fake Relam\"";

pub(super) fn route(request: &Request, path: &str) -> Option<Reply> {
    let reply = match path {
        "/jsonBody" => json(request, 200),
        "/upload" => upload(request),
        "/echo" => {
            let kind = request.header("content-type").unwrap_or("application/octet-stream");
            Reply::new(200).header("Content-Type", kind).body(request.body.clone())
        }
        "/echoHeaders" => text(header_lines(request).join("\n")),
        "/requestHeaders" => text(header_lines(request).join(",")),
        "/accept-encoding" => {
            let body = request.header_all("accept-encoding").join(", ");
            Reply::new(200).header("Content-Type", "text/html; charset=ISO-8859-1").body(body)
        }
        "/echo-query" => text(request.query().unwrap_or_default()),
        "/emptyPost" => Reply::new(if request.header("content-type").is_none() && request.body_len == 0 {
            200
        } else {
            404
        }),
        "/requestCookies" => {
            Reply::new(200).header("Set-Cookie", "fr=anjd&232; Max-Age=7776000; path=/").header(
                "Set-Cookie",
                "nm=sddf&232; Max-Age=7776000; path=/; domain=.swift.org; secure; httponly",
            )
        }
        "/auth/basic" => basic(request),
        "/unauthorized" => Reply::new(401),
        _ => {
            let method = path.strip_prefix('/').filter(|p| METHODS.contains(p))?;
            let allowed = request.method.eq_ignore_ascii_case(method);
            json(request, if allowed { 200 } else { 405 })
        }
    };
    Some(reply)
}

/// The request as a JSON object: each field, the request line, the body.
pub(super) fn json(request: &Request, status: u16) -> Reply {
    let mut object = Map::new();
    let mut put = |name: String, value: &str| {
        match object.get_mut(&name) {
            Some(Value::String(before)) => {
                before.push_str(if name.eq_ignore_ascii_case("cookie") { "; " } else { ", " });
                before.push_str(value);
            }
            _ => drop(object.insert(name, Value::from(value))),
        };
    };
    if let (Wire::TlsH2, Some(authority)) = (request.wire, &request.authority) {
        put("Host".to_owned(), authority);
    }
    for (name, value) in &request.headers {
        // HTTP/2 has lower-case names only: title case there makes one assertion good for every wire.
        let name = if request.wire == Wire::TlsH2 { title_case(name) } else { name.clone() };
        put(name, value);
    }
    put("uri".to_owned(), &format!("{} {} HTTP/1.1", request.method, request.target));
    put("x-base64-body".to_owned(), &base64(&request.body));
    Reply::new(status).header("Content-Type", "application/json").body(Value::Object(object).to_string())
}

fn upload(request: &Request) -> Reply {
    let chunked = request.header("transfer-encoding").is_some();
    match request.header("content-length") {
        Some(length) => text(format!("Upload completed!, Content-Length: {length}")),
        // An HTTP/2 body without a length is what a chunked one is on HTTP/1.
        None if chunked || request.body_len > 0 => text("Received Chunked request"),
        None => Reply::new(400),
    }
}

fn basic(request: &Request) -> Reply {
    if request.header("authorization") == Some(BASIC) {
        let body = "{\"authenticated\":true,\"user\":\"user\"}\n";
        return Reply::new(200).header("Content-Type", "application/json").body(body);
    }
    Reply::new(401).header("WWW-Authenticate", CHALLENGE)
}

fn header_lines(request: &Request) -> Vec<String> {
    request.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect()
}

fn title_case(name: &str) -> String {
    let mut upper = true;
    let turn = |c: char| {
        let out = if upper { c.to_ascii_uppercase() } else { c };
        upper = c == '-';
        out
    };
    name.chars().map(turn).collect()
}

/// RFC 4648, 4, padded.
pub(crate) fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits = (0..3).fold(0_u32, |bits, i| bits << 8 | u32::from(group.get(i).copied().unwrap_or(0)));
        for i in 0..4 {
            let digit = ALPHABET[(bits >> (18 - 6 * i)) as usize & 63];
            out.push(if i <= group.len() { char::from(digit) } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_of_the_rfc() {
        let pairs = [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")];
        for (plain, coded) in pairs {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
    }

    #[test]
    fn names_in_title_case() {
        assert_eq!(title_case("content-type"), "Content-Type");
        assert_eq!(title_case("x-a--b"), "X-A--B");
    }
}
