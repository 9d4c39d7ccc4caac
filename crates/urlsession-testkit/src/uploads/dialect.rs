//! Owns the words of each interop version: what a server writes and understands.

use sha2::{Digest, Sha256, Sha512};

use super::{UploadLimits, UploadRequest};
use crate::routes::echo::base64;

pub(super) type Fields = Vec<(String, String)>;

/// The version a request names.
pub(super) fn version(request: &UploadRequest) -> Option<u8> {
    request.field("upload-draft-interop-version")?.parse().ok()
}

/// Version 3 says the inverse.
pub(super) fn completeness(request: &UploadRequest) -> Option<bool> {
    let flag = |name| match request.field(name)? {
        "?1" => Some(true),
        "?0" => Some(false),
        _ => None,
    };
    match version(request) {
        Some(3) => flag("upload-incomplete").map(|incomplete| !incomplete),
        _ => flag("upload-complete"),
    }
}

pub(super) fn say_complete(version: u8, is_complete: bool) -> (String, String) {
    let flag = |is| (if is { "?1" } else { "?0" }).to_owned();
    match version {
        3 => ("Upload-Incomplete".to_owned(), flag(!is_complete)),
        _ => ("Upload-Complete".to_owned(), flag(is_complete)),
    }
}

pub(super) fn say_version(version: u8) -> (String, String) {
    ("Upload-Draft-Interop-Version".to_owned(), version.to_string())
}

/// `Upload-Limit`, where the version has it.
pub(super) fn say_limits(version: u8, limits: Option<UploadLimits>) -> Option<(String, String)> {
    let limits = limits.filter(|_| version >= 6)?;
    let lifetime = if version >= 8 { "max-age" } else { "expires" };
    let entries = [
        ("max-size", limits.max_size),
        ("min-size", limits.min_size),
        ("max-append-size", limits.max_append_size),
        ("min-append-size", limits.min_append_size),
        (lifetime, limits.max_age),
    ];
    let said = entries.iter().filter_map(|(key, value)| Some(format!("{key}={}", (*value)?)));
    let said = said.collect::<Vec<_>>().join(", ");
    (!said.is_empty()).then(|| ("Upload-Limit".to_owned(), said))
}

/// `Repr-Digest` or `Content-Digest`, in the first algorithm that `asked` names (RFC 9530).
pub(super) fn digest(asked: &str, content: &[u8]) -> String {
    match asked.starts_with("sha-512") {
        true => format!("sha-512=:{}:", base64(&Sha512::digest(content))),
        false => format!("sha-256=:{}:", base64(&Sha256::digest(content))),
    }
}

/// RFC 9457.
pub(super) fn problem(name: &str, members: &str) -> String {
    format!(
        "{{\"type\":\"https://iana.org/assignments/http-problem-types#{name}\",\"title\":\"{name}\"{members}}}"
    )
}
