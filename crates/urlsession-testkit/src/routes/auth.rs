//! Owns the routes that ask who one is: Basic, Digest and NTLM, checked by code of their own. User and password stand in
//! the path: `/basic/USER/PASSWORD`, `/digest/USER/PASSWORD/ALGORITHM/QOP`, `/ntlm/USER/PASSWORD`, and what follows is free.
//! Who is let in reads `in`.

use std::collections::HashMap;

use hmac::{Hmac, KeyInit, Mac};
use md4::Md4;
use md5::{Digest, Md5};
use sha2::{Sha256, Sha512_256};

use super::echo::base64;
use super::{parameter, percent_decode, text};
use crate::reply::Reply;
use crate::request::Request;

pub(super) fn route(request: &Request, path: &str) -> Option<Reply> {
    let parts: Vec<String> = path.split('/').skip(1).map(percent_decode).collect();
    match &parts.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["basic", user, password, ..] => Some(basic(request, user, password)),
        ["digest", user, password, algorithm, qop, ..] => {
            Some(digest(request, user, password, algorithm, qop))
        }
        ["ntlm", user, password, ..] => Some(ntlm(request, user, password)),
        _ => None,
    }
}

pub(crate) fn basic(request: &Request, user: &str, password: &str) -> Reply {
    let expected = format!("Basic {}", base64(format!("{user}:{password}").as_bytes()));
    if request.header("authorization") == Some(&expected) {
        return text("in");
    }
    text("need basic")
        .status(401)
        .header("WWW-Authenticate", format!("Basic realm=\"of {user}\", charset=\"UTF-8\""))
}

/// With `?stale` the nonce of the first challenge is too old when it comes back; with `?next` another nonce is named for the
/// next request; with `?lies` the server proves its knowledge wrongly.
pub(crate) fn digest(request: &Request, user: &str, password: &str, algorithm: &str, qop: &str) -> Reply {
    let says = |word: &str| request.query().is_some_and(|query| query.split('&').any(|part| part == word));
    let given =
        request.header("authorization").and_then(|value| value.strip_prefix("Digest ")).map(parameters);
    let realm = format!("of {user}");
    let ask = |nonce: &str, stale: bool| {
        let mut value =
            format!("Digest realm=\"{realm}\", nonce=\"{nonce}\", algorithm={algorithm}, opaque=\"op,aque\"");
        if qop != "none" {
            value += &format!(", qop=\"{qop}\"");
        }
        if stale {
            value += ", stale=true";
        }
        if let Some(domain) = parameter(request, "domain") {
            value += &format!(", domain=\"{domain}\"");
        }
        text("need digest").status(401).header("WWW-Authenticate", value)
    };
    let Some(given) = given else { return ask("first", false) };
    let part = |name: &str| given.get(name).map_or("", String::as_str);
    let h = |value: &str| hex(&hash(algorithm, value.as_bytes()));
    let mut a1 = h(&format!("{user}:{realm}:{password}"));
    if algorithm.ends_with("-sess") {
        a1 = h(&format!("{a1}:{}:{}", part("nonce"), part("cnonce")));
    }
    let body =
        if qop == "auth-int" { format!(":{}", hex(&hash(algorithm, &request.body))) } else { String::new() };
    let proof = |method: &str, body: &str| {
        let a2 = h(&format!("{method}:{}{body}", request.target));
        match qop {
            "none" => h(&format!("{a1}:{}:{a2}", part("nonce"))),
            _ => h(&format!("{a1}:{}:{}:{}:{qop}:{a2}", part("nonce"), part("nc"), part("cnonce"))),
        }
    };
    let is_right = part("response") == proof(&request.method, &body)
        && (part("username"), part("realm"), part("uri")) == (user, &*realm, &*request.target)
        && (part("algorithm"), part("opaque")) == (algorithm, "op,aque")
        && (qop == "none" || (part("qop"), part("nc").len()) == (qop, 8));
    match is_right {
        false => ask("first", false),
        true if says("stale") && part("nonce") == "first" => ask("second", true),
        true => {
            let rspauth = if says("lies") { "0".repeat(32) } else { proof("", "") };
            let mut info = format!("rspauth=\"{rspauth}\", cnonce=\"{}\", nc={}", part("cnonce"), part("nc"));
            if says("next") {
                info += ", nextnonce=\"next\"";
            }
            let reply = text("in");
            if qop == "auth" { reply.header("Authentication-Info", info) } else { reply }
        }
    }
}

/// MS-NLMP with a challenge that never changes; that both messages came on one connection is for the journal to show.
pub(crate) fn ntlm(request: &Request, user: &str, password: &str) -> Reply {
    let ask = |value: String| text("need ntlm").status(401).header("WWW-Authenticate", value);
    let message = request.header("authorization").and_then(|value| value.strip_prefix("NTLM ")).map(unbase64);
    let message = message.filter(|message| message.starts_with(b"NTLMSSP\0") && message.len() >= 32);
    let Some(message) = message else { return ask("NTLM".into()) };
    if message[8] == 1 {
        let info = [&[2, 0, 4, 0][..], b"D\0E\0", &[0, 0, 0, 0]].concat();
        let mut challenge = b"NTLMSSP\0\x02\0\0\0\0\0\0\0\x30\0\0\0".to_vec();
        challenge.extend_from_slice(&0x8088_0201_u32.to_le_bytes());
        challenge.extend_from_slice(b"8 octets\0\0\0\0\0\0\0\0");
        let length = (info.len() as u16).to_le_bytes();
        challenge.extend_from_slice(&[&length[..], &length[..], &48_u32.to_le_bytes()].concat());
        challenge.extend_from_slice(&info);
        return ask(format!("NTLM {}", base64(&challenge)));
    }
    let field = |at: usize| {
        let number = |at: usize, size: usize| {
            message
                .get(at..at + size)
                .into_iter()
                .flatten()
                .rev()
                .fold(0, |sum, byte| sum << 8 | usize::from(*byte))
        };
        let (length, offset) = (number(at, 2), number(at + 4, 4));
        message.get(offset..offset + length).unwrap_or_default().to_vec()
    };
    let utf16 = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>();
    let (response, domain, name) = (field(20), field(28), field(36));
    let key = hmac(&Md4::digest(utf16(password)), &[&utf16(&user.to_uppercase())[..], &domain].concat());
    let is_right = response.len() > 16
        && name == utf16(user)
        && hmac(&key, &[b"8 octets", &response[16..]].concat()) == response[..16];
    if is_right { text("in") } else { ask("NTLM".into()) }
}

/// Parameters with names in lower case.
fn parameters(mut rest: &str) -> HashMap<String, String> {
    let mut found = HashMap::new();
    while let Some((name, after)) = rest.split_once('=') {
        let name = name.trim_matches([' ', ',']).to_ascii_lowercase();
        let (value, left) = match after.strip_prefix('"') {
            Some(inner) => inner.split_once('"').unwrap_or((inner, "")),
            None => after.split_once(',').unwrap_or((after, "")),
        };
        found.insert(name, value.trim().to_owned());
        rest = left;
    }
    found
}

fn hash(algorithm: &str, bytes: &[u8]) -> Vec<u8> {
    match algorithm.trim_end_matches("-sess") {
        "SHA-256" => Sha256::digest(bytes).to_vec(),
        "SHA-512-256" => Sha512_256::digest(bytes).to_vec(),
        _ => Md5::digest(bytes).to_vec(),
    }
}

fn hmac(key: &[u8], bytes: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Md5>::new_from_slice(key).expect("a key of any length");
    mac.update(bytes);
    mac.finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unbase64(text: &str) -> Vec<u8> {
    let value = |c: u8| match c {
        b'A'..=b'Z' => c - b'A',
        b'a'..=b'z' => c - b'a' + 26,
        b'0'..=b'9' => c - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let text = text.trim_end_matches('=').as_bytes();
    let mut out = Vec::new();
    for group in text.chunks(4) {
        let bits = (0..4).fold(0_u32, |bits, i| bits << 6 | group.get(i).map_or(0, |c| u32::from(value(*c))));
        out.extend_from_slice(&bits.to_be_bytes()[1..group.len()]);
    }
    out
}
