//! A request head, written (RFC 9112 §3, §5). Copies bytes into the caller's buffer and judges none of them: that a
//! target holds no space and a value no line end is for who accepted them (see [`crate::field`]).

/// Appends `GET /path HTTP/1.1` and CRLF.
#[inline]
pub fn write_request_line(out: &mut Vec<u8>, method: &http::Method, target: &str) {
    let method = method.as_str().as_bytes();
    out.reserve(method.len() + target.len() + VERSION.len() + 1);
    out.extend_from_slice(method);
    out.push(b' ');
    out.extend_from_slice(target.as_bytes());
    out.extend_from_slice(VERSION);
}

/// Appends `Name: value` and CRLF.
#[inline]
pub fn write_field(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.reserve(name.len() + value.len() + 4);
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// As [`write_field`], the name with every word capitalised: `if-none-match` is `If-None-Match`.
#[inline]
pub fn write_field_in_title_case(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    let start = out.len();
    write_field(out, name, value);
    let written = &mut out[start..start + name.len()];
    if let Some(first) = written.first_mut() {
        first.make_ascii_uppercase();
    }
    for at in 1..written.len() {
        if written[at - 1] == b'-' {
            written[at].make_ascii_uppercase();
        }
    }
}

/// Appends the empty line that ends a head.
#[inline]
pub fn end_head(out: &mut Vec<u8>) {
    out.extend_from_slice(b"\r\n");
}

/// Appends `n` in decimal.
pub fn write_u64(out: &mut Vec<u8>, mut n: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (n % 10) as u8;
        n /= 10;
        if n == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// Appends the line before a chunk of `n` bytes (RFC 9112 §7.1); a CRLF is due after those bytes. A chunk of none
/// would end the body: that is [`write_last_chunk`]'s to say.
pub fn write_chunk_size(out: &mut Vec<u8>, mut n: u64) {
    let mut line = *b"0000000000000000\r\n";
    let mut at = 16;
    loop {
        at -= 1;
        line[at] = b"0123456789abcdef"[(n % 16) as usize];
        n /= 16;
        if n == 0 {
            break;
        }
    }
    out.extend_from_slice(&line[at..]);
}

/// Appends the last chunk and an empty trailer section (RFC 9112 §7.1).
#[inline]
pub fn write_last_chunk(out: &mut Vec<u8>) {
    out.extend_from_slice(b"0\r\n\r\n");
}

const VERSION: &[u8] = b" HTTP/1.1\r\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_head_is_written_as_the_grammar_has_it() {
        let mut out = Vec::new();
        write_request_line(&mut out, &http::Method::GET, "/a?b");
        write_field(&mut out, b"Host", b"example.org");
        write_field(&mut out, b"X-Empty", b"");
        end_head(&mut out);
        assert_eq!(out, b"GET /a?b HTTP/1.1\r\nHost: example.org\r\nX-Empty: \r\n\r\n");
    }

    #[test]
    fn names_of_our_own_are_written_in_title_case() {
        let mut out = Vec::new();
        for name in ["if-none-match", "cookie", "x-a1-b", "te", "Upload-offset", ""] {
            write_field_in_title_case(&mut out, name.as_bytes(), b"a-b");
        }
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "If-None-Match: a-b\r\nCookie: a-b\r\nX-A1-B: a-b\r\nTe: a-b\r\nUpload-Offset: a-b\r\n: a-b\r\n"
        );
    }

    #[test]
    fn numbers_are_written_as_format_writes_them() {
        for n in [0, 1, 9, 10, 15, 16, 99, 255, 256, 65_535, 1 << 32, u64::MAX / 10, u64::MAX - 1, u64::MAX] {
            let mut out = Vec::new();
            write_u64(&mut out, n);
            assert_eq!(out, n.to_string().as_bytes());
            out.clear();
            write_chunk_size(&mut out, n);
            assert_eq!(out, format!("{n:x}\r\n").as_bytes());
        }
    }

    #[test]
    fn what_is_written_in_chunks_is_read_as_it_was() {
        let mut out = Vec::new();
        write_chunk_size(&mut out, 11);
        out.extend_from_slice(b"hello world\r\n");
        write_last_chunk(&mut out);
        let mut decoder = super::super::BodyDecoder::new(super::super::Framing::Chunked);
        let step = decoder.decode(&out).unwrap();
        assert_eq!(&out[step.data], b"hello world");
        assert!(decoder.is_finished());
    }
}
