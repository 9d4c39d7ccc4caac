//! Owns the parsing of request heads and of their framing (RFC 9112, 2 to 6), strictly: what a correct
//! client never sends is an error, described for the journal.

use crate::request::field_text;

/// How the body of a request is delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    Length(u64),
    Chunked,
}

/// A request line and its fields.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) method: String,
    pub(super) target: String,
    pub(super) minor: u8,
    pub(super) fields: Vec<(String, String)>,
}

impl Head {
    /// Parses the bytes before the empty line.
    pub(super) fn parse(block: &[u8]) -> Result<Self, String> {
        let mut lines = lines(block)?.into_iter();
        let line = field_text(lines.next().unwrap_or_default());
        let mut parts = line.split(' ');
        let (Some(method), Some(target), Some(version), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(format!("request line {line:?}"));
        };
        if method.is_empty() || !method.bytes().all(is_token) {
            return Err(format!("method in {line:?}"));
        }
        if target.is_empty() || !target.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(format!("target in {line:?}"));
        }
        let minor = match version {
            "HTTP/1.1" => 1,
            "HTTP/1.0" => 0,
            _ => return Err(format!("version in {line:?}")),
        };
        let fields = lines.map(field).collect::<Result<Vec<_>, _>>()?;
        let head = Self { method: method.to_owned(), target: target.to_owned(), minor, fields };
        let hosts = head.all("host").count();
        if hosts > 1 || (minor == 1 && hosts == 0) {
            return Err(format!("{hosts} Host fields"));
        }
        Ok(head)
    }

    pub(super) fn field(&self, name: &'static str) -> Option<&str> {
        self.all(name).next()
    }

    fn all(&self, name: &'static str) -> impl Iterator<Item = &str> {
        self.fields.iter().filter(move |(k, _)| k.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    /// How the body is delimited (RFC 9112, 6.3).
    pub(super) fn framing(&self) -> Result<Framing, String> {
        let lengths: Vec<&str> = self.all("content-length").collect();
        let codings: Vec<&str> = self.all("transfer-encoding").collect();
        match (lengths.as_slice(), codings.as_slice()) {
            ([], []) => Ok(Framing::Length(0)),
            ([length], []) if !length.is_empty() && length.bytes().all(|b| b.is_ascii_digit()) => {
                length.parse().map(Framing::Length).map_err(|_| format!("Content-Length {length:?}"))
            }
            ([], [coding]) if coding.eq_ignore_ascii_case("chunked") => Ok(Framing::Chunked),
            _ => Err(format!("framing by Content-Length {lengths:?}, Transfer-Encoding {codings:?}")),
        }
    }

    /// Whether the client keeps the connection.
    pub(super) fn is_persistent(&self) -> bool {
        let says = |option: &str| {
            self.all("connection").flat_map(|v| v.split(',')).any(|v| v.trim().eq_ignore_ascii_case(option))
        };
        if self.minor == 0 { says("keep-alive") } else { !says("close") }
    }
}

/// Splits a block into its lines, which CRLF must end or separate.
pub(super) fn lines(block: &[u8]) -> Result<Vec<&[u8]>, String> {
    block
        .split(|b| *b == b'\n')
        .map(|line| match line.strip_suffix(b"\r") {
            Some(line) if !line.contains(&b'\r') => Ok(line),
            _ => Err(format!("line without CRLF: {:?}", field_text(line))),
        })
        .collect()
}

/// Parses a field line (RFC 9112, 5): no whitespace before the colon, no folding.
pub(super) fn field(line: &[u8]) -> Result<(String, String), String> {
    let text = field_text(line);
    let (name, value) = text.split_once(':').ok_or_else(|| format!("field line {text:?}"))?;
    if name.is_empty() || !name.bytes().all(is_token) {
        return Err(format!("field name in {text:?}"));
    }
    if value.chars().any(|c| c.is_ascii_control() && c != '\t') {
        return Err(format!("field value in {text:?}"));
    }
    Ok((name.to_owned(), value.trim_matches([' ', '\t']).to_owned()))
}

/// `tchar` of RFC 9110, 5.6.2.
fn is_token(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(text: &str) -> Result<Head, String> {
        Head::parse(format!("{text}\r").as_bytes())
    }

    #[test]
    fn a_head_is_read_as_spelled() {
        let head = head("GET /a?b HTTP/1.1\r\nHOST: x\r\nx-Empty:\r\nY:  two words \t").expect("a good head");
        assert_eq!((head.method.as_str(), head.target.as_str(), head.minor), ("GET", "/a?b", 1));
        let fields: Vec<_> = head.fields.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(fields, [("HOST", "x"), ("x-Empty", ""), ("Y", "two words")]);
        assert_eq!(head.framing(), Ok(Framing::Length(0)));
        assert!(head.is_persistent());
    }

    #[test]
    fn what_a_client_must_not_send_is_refused() {
        for bad in [
            "",
            "GET /",
            "GET  / HTTP/1.1\r\nHost: x",
            "GET / HTTP/2\r\nHost: x",
            "G(T / HTTP/1.1\r\nHost: x",
            "GET /\u{e9} HTTP/1.1\r\nHost: x",
            "GET / HTTP/1.1",
            "GET / HTTP/1.1\r\nHost: x\r\nHost: x",
            "GET / HTTP/1.1\r\nHost : x",
            "GET / HTTP/1.1\r\nHost: x\r\n folded",
            "GET / HTTP/1.1\r\nHost: x\nBare: lf",
        ] {
            assert!(head(bad).is_err(), "{bad:?}");
        }
        for bad in [
            "Content-Length: 1\r\nContent-Length: 1",
            "Content-Length: +1",
            "Content-Length: 1\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: gzip, chunked",
        ] {
            let head = head(&format!("POST / HTTP/1.1\r\nHost: x\r\n{bad}")).expect("a good head");
            assert!(head.framing().is_err(), "{bad:?}");
        }
    }
}
