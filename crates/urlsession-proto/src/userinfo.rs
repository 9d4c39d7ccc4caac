//! The userinfo of URLs (RFC 3986 §3.2.1) in text of any kind, as far as it must not be shown.

/// What is shown in the place of a secret.
pub const REDACTED: &str = "[redacted]";

/// Text in which URLs may stand, with [`REDACTED`] in the place of each userinfo: of what is between `//`, or `http:` and its
/// like, and an `@` of the same authority. As browsers do, it takes a backslash for a slash.
pub fn without_userinfo(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = authority(rest) {
        let (before, after) = rest.split_at(at);
        shown.push_str(before);
        let ends = |c: char| "/\\?#\"<>".contains(c) || c.is_whitespace();
        let authority = &after[..after.find(ends).unwrap_or(after.len())];
        let userinfo = authority.rfind('@').unwrap_or(0);
        if userinfo > 0 {
            shown.push_str(REDACTED);
        }
        // All of it, so that no byte is looked at again: the time is linear in the length of the text.
        shown.push_str(&authority[userinfo..]);
        rest = &after[authority.len()..];
    }
    shown + rest
}

/// The text of a URL that cannot be read, as an error may show it: without userinfo, query and fragment.
pub fn without_secrets(text: &str) -> String {
    let end = text.find(['?', '#']).unwrap_or(text.len());
    let mut shown = without_userinfo(&text[..end]);
    if end < text.len() {
        shown.push('…');
    }
    shown
}

/// Where the next authority begins.
fn authority(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    (1..bytes.len()).find_map(|at| {
        let slashes = bytes[at..].iter().take_while(|byte| matches!(byte, b'/' | b'\\')).count();
        let is_slash_before = matches!(bytes[at - 1], b'/' | b'\\');
        match bytes[at - 1] {
            _ if is_slash_before && slashes > 0 => Some(at + slashes),
            // `http:user@host` has no slashes, and `http:/user@host` one (WHATWG URL).
            b':' if slashes < 2 && ends_in_scheme(&bytes[..at - 1]) => Some(at + slashes),
            _ => None,
        }
    })
}

fn ends_in_scheme(bytes: &[u8]) -> bool {
    ["http", "https", "ftp", "ws", "wss"].iter().any(|scheme| {
        let at = bytes.len().checked_sub(scheme.len());
        at.is_some_and(|at| {
            bytes[at..].eq_ignore_ascii_case(scheme.as_bytes())
                && (at == 0 || !bytes[at - 1].is_ascii_alphanumeric())
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_in_text_have_no_userinfo() {
        for (given, shown) in [
            ("//s3cret:x@a/b", "//[redacted]@a/b"),
            (r"http:\\s3cret@a\b", r"http:\\[redacted]@a\b"),
            ("http:///s3cret@a", "http:///[redacted]@a"),
            ("http:/s3cret@a", "http:/[redacted]@a"),
            ("HTTPS:me:s3cret@a:x/b", "HTTPS:[redacted]@a:x/b"),
            ("<http://s3@cret@a/>; rel=x, <//s3cret@b>", "<http://[redacted]@a/>; rel=x, <//[redacted]@b>"),
            ("http://a/?mail=b@c //", "http://a/?mail=b@c //"),
            ("http://ä@b ü", "http://[redacted]@b ü"),
            ("http:http://me:s3cret@a", "http:http://[redacted]@a"),
            ("http:http:s3cret@a//s3cret@b", "http:[redacted]@a//[redacted]@b"),
            ("mailto:me@a", "mailto:me@a"),
            ("me@a", "me@a"),
            ("/", "/"),
            ("", ""),
        ] {
            assert_eq!(without_userinfo(given), shown);
        }
    }

    #[test]
    fn a_text_as_long_as_a_head_is_read_once() {
        let text = "http:".repeat(50_000);
        assert_eq!(without_userinfo(&text), text);
        let slashes = "/".repeat(250_000);
        assert_eq!(without_userinfo(&slashes), slashes);
    }

    #[test]
    fn what_an_error_shows_of_a_url_ends_before_its_query() {
        for (given, shown) in [
            ("http://me:s3cret@a:x/b?token=s3cret#s3cret", "http://[redacted]@a:x/b…"),
            ("//a/b", "//a/b"),
            ("/b#s3cret", "/b…"),
        ] {
            assert_eq!(without_secrets(given), shown);
        }
    }
}
