//! Owns the field sections of HTTP/2 messages (RFC 9113, 8.2 and 8.3): judging requests, encoding replies.

use super::hpack;
use crate::reply::{Framing, Reply};
use crate::request::field_text;

/// Fields HTTP/2 has no place for (RFC 9113, 8.2.2).
const CONNECTION_FIELDS: [&str; 5] =
    ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"];

/// A request's fields, taken apart.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct RequestHead {
    pub(super) method: String,
    pub(super) target: String,
    pub(super) authority: Option<String>,
    pub(super) fields: Vec<(String, String)>,
    pub(super) length: Option<u64>,
}

/// Judges a request's field section.
pub(super) fn request(section: Vec<(Vec<u8>, Vec<u8>)>) -> Result<RequestHead, String> {
    let (mut method, mut scheme, mut path, mut authority) = (None, None, None, None);
    let mut regular = Vec::new();
    for (name, value) in section {
        let (name, value) = (field_text(&name), field_text(&value));
        let slot = match name.as_str() {
            ":method" => &mut method,
            ":scheme" => &mut scheme,
            ":path" => &mut path,
            ":authority" => &mut authority,
            _ => {
                regular.push((name, value));
                continue;
            }
        };
        if !regular.is_empty() || slot.replace(value).is_some() {
            return Err(format!("{name} after a regular field, or twice"));
        }
    }
    let fields = regular_fields(regular)?;
    let method = method.ok_or("no :method")?;
    let target = match (path, scheme) {
        (None, None) if method == "CONNECT" => authority.clone().ok_or("CONNECT without :authority")?,
        (Some(path), Some(_)) if path.starts_with('/') || path == "*" => path,
        (path, scheme) => return Err(format!("{method} with :path {path:?} and :scheme {scheme:?}")),
    };
    if authority.is_none() && !fields.iter().any(|(name, _)| name == "host") {
        return Err("neither :authority nor host".to_owned());
    }
    let mut lengths = fields.iter().filter(|(name, _)| name == "content-length").map(|(_, v)| v.parse().ok());
    let length = match (lengths.next(), lengths.next()) {
        (None, _) => None,
        (Some(Some(length)), None) => Some(length),
        _ => return Err("content-length".to_owned()),
    };
    Ok(RequestHead { method, target, authority, fields, length })
}

/// Judges fields that must not be pseudo-fields: those of a request, or its trailers.
pub(super) fn trailers(section: Vec<(Vec<u8>, Vec<u8>)>) -> Result<Vec<(String, String)>, String> {
    regular_fields(section.into_iter().map(|(n, v)| (field_text(&n), field_text(&v))).collect())
}

fn regular_fields(fields: Vec<(String, String)>) -> Result<Vec<(String, String)>, String> {
    for (name, value) in &fields {
        if name.is_empty() || name.starts_with(':') || !name.bytes().all(is_lower_token) {
            return Err(format!("field name {name:?}"));
        }
        if CONNECTION_FIELDS.contains(&name.as_str()) || (name == "te" && value != "trailers") {
            return Err(format!("connection-specific field {name:?}"));
        }
        if value.contains(['\0', '\r', '\n']) || value.trim_matches([' ', '\t']) != value {
            return Err(format!("value of {name:?}: {value:?}"));
        }
    }
    Ok(fields)
}

fn is_lower_token(b: u8) -> bool {
    b.is_ascii_lowercase() || b.is_ascii_digit() || b"!#$%&'*+-.^_`|~".contains(&b)
}

/// The block of an informational reply.
pub(super) fn informational(status: u16, fields: &[(String, String)]) -> Vec<u8> {
    let mut block = Vec::new();
    hpack::encode(&mut block, ":status", &status.to_string());
    encode_all(&mut block, fields, false);
    block
}

/// The block of a reply's head.
pub(super) fn reply(reply: &Reply, bodiless: bool) -> Vec<u8> {
    let mut block = Vec::new();
    hpack::encode(&mut block, ":status", &reply.status.to_string());
    encode_all(&mut block, &reply.headers, reply.h2.verbatim);
    let silent = matches!(reply.status, 100..=199 | 204) || (bodiless && reply.body.len() == 0);
    if reply.framing == Framing::Length && !silent && !reply.has_header("content-length") {
        hpack::encode(&mut block, "content-length", &reply.body.len().to_string());
    }
    block
}

/// The block of a reply's trailers.
pub(super) fn encode_trailers(reply: &Reply) -> Vec<u8> {
    let mut block = Vec::new();
    encode_all(&mut block, &reply.trailers, reply.h2.verbatim);
    block
}

fn encode_all(block: &mut Vec<u8>, fields: &[(String, String)], verbatim: bool) {
    for (name, value) in fields {
        let lower = name.to_ascii_lowercase();
        if verbatim {
            hpack::encode(block, name, value);
        } else if !CONNECTION_FIELDS.contains(&lower.as_str()) {
            hpack::encode(block, &lower, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(fields: &[(&str, &str)]) -> Result<RequestHead, String> {
        request(fields.iter().map(|(n, v)| (n.as_bytes().to_vec(), v.as_bytes().to_vec())).collect())
    }

    const GET: [(&str, &str); 4] =
        [(":method", "GET"), (":scheme", "https"), (":path", "/a"), (":authority", "localhost")];

    #[test]
    fn a_request_is_taken_apart() {
        let head =
            judge(&[&GET[..], &[("content-length", "7"), ("x", "y")]].concat()).expect("a good request");
        assert_eq!((head.method.as_str(), head.target.as_str(), head.length), ("GET", "/a", Some(7)));
        assert_eq!(head.authority.as_deref(), Some("localhost"));
        assert_eq!(head.fields.len(), 2);
    }

    #[test]
    fn malformed_requests_are_refused() {
        assert!(judge(&GET[1..]).is_err());
        assert!(judge(&GET[..3]).is_err());
        for bad in [
            ("X-Upper", "a"),
            ("connection", "close"),
            ("te", "gzip"),
            ("x", " padded"),
            ("x", "a\r\nb"),
            (":status", "200"),
            (":path", "/b"),
            ("content-length", "many"),
        ] {
            assert!(judge(&[&GET[..], &[bad]].concat()).is_err(), "{bad:?}");
        }
        assert!(judge(&[&GET[..2], &[("x", "y")], &GET[2..]].concat()).is_err());
    }
}
