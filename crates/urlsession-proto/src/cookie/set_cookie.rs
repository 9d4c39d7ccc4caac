//! `Set-Cookie` (RFC 6265bis §5.6): one cookie and its attributes, and the list of them in a folded field.
//! Whether the cookie may be kept is not decided here.

use std::borrow::Cow;

use super::parse_date;
use crate::field::is_token;

/// A cookie as a server sets it. Names and values borrow from the field; they are bytes of any encoding.
///
/// Of attributes that occur twice the last counts (RFC 6265bis §5.7).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SetCookie<'a> {
    /// Empty for a cookie without a name.
    pub name: &'a [u8],
    /// As it came: quotes are part of it.
    pub value: &'a [u8],
    /// In lower case (ASCII) and without a leading dot; `None` if it is missing or empty. Bytes that are not UTF-8 are
    /// replaced by U+FFFD, which is in no host.
    pub domain: Option<Cow<'a, str>>,
    /// Begins with a slash; `None` if it is missing or does not: the default path counts. Bytes that are not UTF-8 are
    /// replaced by U+FFFD, which is in no path of a URL.
    pub path: Option<Cow<'a, str>>,
    /// Seconds since 1970.
    pub expires: Option<i64>,
    /// Seconds from now on; it wins over `expires`. Zero or less is at once.
    pub max_age: Option<i64>,
    /// To be sent over secure protocols only.
    pub secure: bool,
    /// Not for scripts.
    pub http_only: bool,
    /// To be kept separately for each site it is embedded in.
    pub partitioned: bool,
    /// For which sites' requests.
    pub same_site: Option<SameSite>,
    /// Of RFC 2965, as are those below, which Apple's cookies still know. As if missing if it is not UTF-8.
    pub comment: Option<&'a str>,
    /// Where the purpose is explained; perhaps relative.
    pub comment_url: Option<&'a str>,
    /// To be forgotten with the session, whatever it says of its age.
    pub discard: bool,
    /// Numbers and commas.
    pub port: Option<&'a str>,
    /// 1 if it says so, else 0.
    pub version: u8,
}

/// The attribute of that name (RFC 6265bis §5.6.7). `None` as a value and unknown ones are as if it were missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SameSite {
    /// Not for requests of other sites, but for those that navigate.
    Lax,
    /// Not for requests of other sites.
    Strict,
}

/// Reads the value of one `Set-Cookie` field; `None` if the cookie is to be ignored.
pub fn parse<F: AsRef<[u8]> + ?Sized>(field: &F) -> Option<SetCookie<'_>> {
    let field = field.as_ref();
    // §5.6 step 1: control characters, but for the tab.
    if field.iter().any(|b| matches!(b, 0..=8 | 10..=31 | 127)) {
        return None;
    }
    let mut parts = field.split(|b| *b == b';');
    let pair = parts.next().unwrap_or_default();
    // Steps 3 and 4: without `=` all of it is the value of a cookie without a name.
    let (name, value) = split_at_equals(pair).unwrap_or((b"", pair));
    let (name, value) = (trim(name), trim(value));
    // Steps 5 and 6.
    if name.len() + value.len() > MAX_PAIR || (name.is_empty() && value.is_empty()) {
        return None;
    }
    let mut cookie = SetCookie { name, value, ..SetCookie::default() };
    for part in parts {
        let (name, value) = match split_at_equals(part) {
            Some((name, value)) => (trim(name), Some(trim(value))),
            None => (trim(part), None),
        };
        // §5.6: a longer value is as if its attribute were missing.
        if value.is_none_or(|value| value.len() <= MAX_ATTRIBUTE) {
            cookie.attribute(name, value);
        }
    }
    Some(cookie)
}

/// The cookies of a field that was joined of several by commas, as some servers and old libraries do. A comma parts
/// two cookies only if a name and `=` follow: dates have commas too.
pub fn unfolded(fields: &str) -> impl Iterator<Item = &str> {
    Unfolded { rest: fields }
}

impl<'a> SetCookie<'a> {
    /// §5.6.1 to §5.6.7; unknown attributes are ignored.
    fn attribute(&mut self, name: &[u8], value: Option<&'a [u8]>) {
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        let bytes = value.unwrap_or_default();
        let lossy = String::from_utf8_lossy(bytes);
        let text = std::str::from_utf8(bytes).unwrap_or_default();
        let some = Some(text).filter(|text| !text.is_empty());
        if is("Expires") {
            // A date that cannot be read is as if it were missing.
            self.expires = parse_date(&lossy).or(self.expires);
        } else if is("Max-Age") {
            self.max_age = seconds(text).or(self.max_age);
        } else if is("Domain") {
            self.domain = domain(lossy);
        } else if is("Path") {
            self.path = Some(lossy).filter(|path| path.starts_with('/'));
        } else if is("Secure") {
            self.secure = true;
        } else if is("HttpOnly") {
            self.http_only = true;
        } else if is("SameSite") {
            self.same_site = same_site(text);
        } else if is("Partitioned") {
            self.partitioned = true;
        } else if is("Comment") {
            self.comment = some;
        } else if is("CommentURL") {
            self.comment_url = some;
        } else if is("Discard") {
            self.discard = true;
        } else if is("Port") {
            self.port = some.map(|ports| ports.trim_matches('"'));
        } else if is("Version") {
            self.version = u8::from(text.trim_matches('"') == "1");
        }
    }
}

/// §5.6.2: digits with a sign; what does not fit is the longest there is.
fn seconds(text: &str) -> Option<i64> {
    let (is_negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let seconds = digits.parse().unwrap_or(i64::MAX);
    Some(if is_negative { -seconds } else { seconds })
}

/// §5.6.3
fn domain(text: Cow<'_, str>) -> Option<Cow<'_, str>> {
    let is_plain = !text.starts_with('.') && !text.bytes().any(|b| b.is_ascii_uppercase());
    let text = match is_plain {
        true => text,
        false => Cow::Owned(text.strip_prefix('.').unwrap_or(&text).to_ascii_lowercase()),
    };
    Some(text).filter(|text| !text.is_empty())
}

fn same_site(text: &str) -> Option<SameSite> {
    if text.eq_ignore_ascii_case("lax") {
        Some(SameSite::Lax)
    } else if text.eq_ignore_ascii_case("strict") {
        Some(SameSite::Strict)
    } else {
        None
    }
}

/// What stands before the first `=`, and what follows it.
fn split_at_equals(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = text.iter().position(|b| *b == b'=')?;
    Some((&text[..at], &text[at + 1..]))
}

/// Without the white space around it (RFC 6265bis §5.6: space and tab).
pub(super) fn trim(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

struct Unfolded<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Unfolded<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        while !self.rest.is_empty() {
            let commas = self.rest.bytes().enumerate().filter(|(_, b)| *b == b',').map(|(at, _)| at);
            let end = first_parting(self.rest, commas).unwrap_or(self.rest.len());
            let (cookie, rest) = self.rest.split_at(end);
            self.rest = rest.strip_prefix(',').unwrap_or(rest);
            let cookie = cookie.trim_start_matches(',').trim_matches([' ', '\t', '\r', '\n']);
            if !cookie.is_empty() {
                return Some(cookie);
            }
        }
        None
    }
}

/// The first comma that a name and `=` follow. Each byte is looked at twice at most: a name ends at the next comma.
fn first_parting(text: &str, mut commas: impl Iterator<Item = usize>) -> Option<usize> {
    commas.find(|at| {
        let after = &text[at + 1..];
        let name = after.find(['=', ';', ',']).filter(|end| after.as_bytes()[*end] == b'=');
        name.is_some_and(|end| is_token(after[..end].trim_matches([' ', '\t', '\r', '\n'])))
    })
}

/// The longest name and value, together, in bytes (RFC 6265bis §5.6 step 5).
pub const MAX_PAIR: usize = 4096;
/// The longest value of an attribute, in bytes (RFC 6265bis §5.6).
pub const MAX_ATTRIBUTE: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(field: &str) -> Option<(&str, &str)> {
        let text = |bytes| std::str::from_utf8(bytes).unwrap();
        parse(field).map(|cookie| (text(cookie.name), text(cookie.value)))
    }

    #[test]
    fn a_cookie_is_bytes_of_any_encoding() {
        let cookie =
            parse(b"n\xe9 = \xff\xe9 ; Path=/\xe9; Domain=\xe9.example; Comment=\xe9; Secure").unwrap();
        assert_eq!((cookie.name, cookie.value), (&b"n\xe9"[..], &b"\xff\xe9"[..]));
        assert_eq!(
            (cookie.path.as_deref(), cookie.domain.as_deref()),
            (Some("/\u{fffd}"), Some("\u{fffd}.example"))
        );
        assert!(cookie.secure && cookie.comment.is_none());
        // NEL and other controls above ASCII are bytes like others.
        assert!(parse(b"a=\x85\x80").is_some());
    }

    #[test]
    fn a_cookie_is_what_stands_before_the_first_semicolon() {
        for (field, expected) in [
            ("a=b", Some(("a", "b"))),
            (" a\t=  b c ; Path=/", Some(("a", "b c"))),
            ("a=b=c", Some(("a", "b=c"))),
            ("a=\"b; c\"", Some(("a", "\"b"))),
            ("a=\"b\"", Some(("a", "\"b\""))),
            ("a=", Some(("a", ""))),
            ("=b", Some(("", "b"))),
            ("b", Some(("", "b"))),
            ("a=é", Some(("a", "é"))),
            ("", None),
            ("=", None),
            (" ; Path=/", None),
        ] {
            assert_eq!(pair(field), expected, "{field:?}");
        }
    }

    #[test]
    fn control_characters_refuse_the_cookie_wherever_they_are() {
        for c in (0..=31).chain([127]).map(char::from) {
            for field in [format!("a{c}x=b"), format!("a=b{c}x"), format!("a=b; Path=/{c}x")] {
                assert_eq!(parse(&field).is_some(), c == '\t', "{field:?}");
            }
        }
    }

    #[test]
    fn name_and_value_share_4096_bytes() {
        let fits = format!("{}={}", "n".repeat(96), "v".repeat(4000));
        assert!(parse(&fits).is_some());
        assert!(parse(&format!("{fits}v")).is_none());
        assert!(parse(&"v".repeat(4096)).is_some());
        assert!(parse(&"v".repeat(4097)).is_none());
    }

    #[test]
    fn attributes_are_known_by_name_in_any_case() {
        let all = "a=b; domain=.Example.COM; PATH=/x; Max-Age=60; expires=Thu, 01 Jan 1970 00:01:00 GMT; \
                   secure; HTTPONLY; samesite=STRICT; partitioned; comment=c; CommentURL=u; Discard; \
                   Port=\"80,443\"; version=1; unknown=x";
        let cookie = parse(all).unwrap();
        assert_eq!(
            cookie,
            SetCookie {
                name: b"a",
                value: b"b",
                domain: Some("example.com".into()),
                path: Some("/x".into()),
                expires: Some(60),
                max_age: Some(60),
                secure: true,
                http_only: true,
                partitioned: true,
                same_site: Some(SameSite::Strict),
                comment: Some("c"),
                comment_url: Some("u"),
                discard: true,
                port: Some("80,443"),
                version: 1,
            }
        );
    }

    #[test]
    fn a_flag_is_set_whatever_its_value() {
        let cookie = parse("a=b; Secure=no; HttpOnly=0").unwrap();
        assert!(cookie.secure && cookie.http_only);
    }

    #[test]
    fn the_last_of_equal_attributes_counts() {
        let cookie =
            parse("a=b; Domain=x.example; Domain=y.example; Path=/x; Path=y; SameSite=Lax; SameSite=");
        let cookie = cookie.unwrap();
        assert_eq!(cookie.domain.as_deref(), Some("y.example"));
        assert_eq!((&cookie.path, cookie.same_site), (&None, None));
        assert_eq!(parse("a=b; Domain=x.example; Domain=").unwrap().domain, None);
        assert_eq!(parse("a=b; Max-Age=1; Max-Age=soon").unwrap().max_age, Some(1));
    }

    #[test]
    fn an_attribute_too_long_is_as_if_it_were_missing() {
        let path = format!("/{}", "p".repeat(1023));
        assert_eq!(parse(&format!("a=b; Path={path}")).unwrap().path.as_deref(), Some(&*path));
        assert_eq!(parse(&format!("a=b; Path=/x; Path={path}p")).unwrap().path.as_deref(), Some("/x"));
    }

    #[test]
    fn an_age_is_digits_with_a_sign() {
        for (text, expected) in [
            ("60", Some(60)),
            ("-1", Some(-1)),
            ("0", Some(0)),
            ("99999999999999999999", Some(i64::MAX)),
            ("-99999999999999999999", Some(-i64::MAX)),
            ("+1", None),
            ("1.5", None),
            ("--1", None),
            ("-", None),
            ("", None),
        ] {
            assert_eq!(parse(&format!("a=b; Max-Age={text}")).unwrap().max_age, expected, "{text:?}");
        }
    }

    #[test]
    fn only_a_comma_before_a_name_parts_two_cookies() {
        for (fields, expected) in [
            ("a=1, b=2", &["a=1", "b=2"][..]),
            (
                "a=1; Expires=Sun, 16-Aug-2025 22:39:54 GMT, b=2",
                &["a=1; Expires=Sun, 16-Aug-2025 22:39:54 GMT", "b=2"],
            ),
            ("a=1, t@en=2; Path=/", &["a=1, t@en=2; Path=/"]),
            ("a=1,2,3; Path=/,b = 4", &["a=1,2,3; Path=/", "b = 4"]),
            ("a=1,\r\n b=2", &["a=1", "b=2"]),
            (",,a=1,", &["a=1,"]),
            ("", &[]),
        ] {
            assert_eq!(unfolded(fields).collect::<Vec<_>>(), expected, "{fields:?}");
        }
    }
}
