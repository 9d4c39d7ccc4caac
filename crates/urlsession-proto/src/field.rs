//! Fields: names, values and the lists in them (RFC 9110 §5). Knows no particular field.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName, HeaderValue};

/// Whether a value an app sets may be kept: nothing in it may end the field line it is sent on.
///
/// NUL, a CR or LF alone, and a CRLF that is not a fold (RFC 9112 §5.2) are refused; a fold is accepted.
pub fn is_acceptable_value(value: &[u8]) -> bool {
    let mut rest = value;
    while let Some(at) = rest.iter().position(|b| matches!(b, b'\0' | b'\r' | b'\n')) {
        match &rest[at..] {
            [b'\r', b'\n', b' ' | b'\t', after @ ..] => rest = after,
            _ => return false,
        }
    }
    true
}

/// The text of a value: UTF-8, borrowed, else ISO-8859-1, owned. RFC 9110 §5.5 knows ISO-8859-1 only; most servers send
/// UTF-8, which hardly any text in ISO-8859-1 happens to be.
pub fn text_of(value: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(value) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(value.iter().copied().map(char::from).collect()),
    }
}

/// The value with every fold replaced by as many spaces (RFC 9112 §5.2), so that its length stays.
pub fn unfold(value: &[u8]) -> Cow<'_, [u8]> {
    let folds =
        |value: &[u8], at: usize| value[at] == b'\n' && matches!(value.get(at + 1), Some(b' ' | b'\t'));
    let Some(first) = (0..value.len()).find(|&at| folds(value, at)) else {
        return Cow::Borrowed(value);
    };
    let mut unfolded = value.to_vec();
    for at in first..unfolded.len() {
        if folds(&unfolded, at) {
            unfolded[at] = b' ';
            if at > 0 && unfolded[at - 1] == b'\r' {
                unfolded[at - 1] = b' ';
            }
        }
    }
    Cow::Owned(unfolded)
}

/// The name as Apple's HTTPURLResponse spells it: `content-type` is `Content-Type`, `etag` is `Etag`. A name that
/// begins with `x-` keeps the spelling given.
pub fn canonical_name(name: &str) -> Cow<'_, str> {
    let bytes = name.as_bytes();
    if bytes.get(..2).is_some_and(|prefix| prefix.eq_ignore_ascii_case(b"x-")) {
        return Cow::Borrowed(name);
    }
    let mut starts_word = true;
    let is_canonical = bytes.iter().all(|&b| {
        let canonical = if starts_word { !b.is_ascii_lowercase() } else { !b.is_ascii_uppercase() };
        starts_word = b == b'-';
        canonical
    });
    if is_canonical {
        return Cow::Borrowed(name);
    }
    let mut starts_word = true;
    let spelled = name.chars().map(|c| {
        let c = if starts_word { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() };
        starts_word = c == '-';
        c
    });
    Cow::Owned(spelled.collect())
}

/// The name with every word capitalised, as most names are registered: `if-none-match` is `If-None-Match`.
pub fn title_case(name: &str) -> String {
    let mut begins_word = true;
    let spelled = name.chars().map(|c| {
        let c = if begins_word { c.to_ascii_uppercase() } else { c };
        begins_word = c == '-';
        c
    });
    spelled.collect()
}

/// The fields of a raw head, names as spelled and values without the white space around them.
///
/// Takes a [`ResponseHead::raw`](crate::http1::ResponseHead::raw): the first line is the status line. A line
/// without a name is skipped.
pub fn raw_fields(raw: &[u8]) -> impl Iterator<Item = (&str, &[u8])> {
    field_lines(after_line(raw))
}

/// As [`raw_fields`], of bytes that begin with the first field line.
pub(crate) fn field_lines(lines: &[u8]) -> impl Iterator<Item = (&str, &[u8])> {
    RawFields { rest: lines }
}

/// Whether there is a field of this name. Heads are short: to compare their names is quicker than to look one up.
pub fn has(fields: &HeaderMap, name: &HeaderName) -> bool {
    match fields.keys_len() {
        ..=FEW => fields.keys().any(|known| known == name),
        _ => fields.contains_key(name),
    }
}

/// The first value of the field of this name, looked for as [`has`] does.
pub fn first<'a>(fields: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    match fields.keys_len() {
        ..=FEW => fields.iter().find(|(known, _)| *known == name).map(|(_, value)| value),
        _ => fields.get(name),
    }
}

/// The members of a comma-separated list (RFC 9110 §5.6.1): commas in quoted strings do not count, empty members are
/// dropped.
pub fn list(value: &str) -> impl Iterator<Item = &str> {
    pieces(value, comma).map(trim_ows).filter(|member| !member.is_empty())
}

/// The parameters of a value (RFC 9110 §5.6.6), and whatever else stands between its semicolons with an empty name.
/// Values are unquoted. A semicolon after a backslash does not count, even outside a quoted string.
pub(crate) fn parameters(value: &str) -> impl Iterator<Item = (&str, Cow<'_, str>)> {
    pieces(value, semicolon).map(|segment| match segment.split_once('=') {
        Some((name, value)) => (trim_ows(name), unquote(trim_ows(value))),
        None => ("", Cow::Borrowed(trim_ows(segment))),
    })
}

/// Whether all of it is a token, and not empty (RFC 9110 §5.6.2).
pub(crate) fn is_token(text: &str) -> bool {
    let is_tchar = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    !text.is_empty() && text.bytes().all(is_tchar)
}

struct RawFields<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for RawFields<'a> {
    type Item = (&'a str, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let mut end = self.rest.len() - after_line(self.rest).len();
            // RFC 9112 §5.2: a line that begins with white space continues the one before.
            while matches!(self.rest.get(end), Some(b' ' | b'\t')) {
                end = self.rest.len() - after_line(&self.rest[end..]).len();
            }
            if end == 0 {
                return None;
            }
            let (line, rest) = self.rest.split_at(end);
            self.rest = rest;
            let Some(colon) = line.iter().position(|&b| b == b':') else { continue };
            match std::str::from_utf8(&line[..colon]) {
                Ok(name) if is_token(name) => return Some((name, line[colon + 1..].trim_ascii())),
                _ => continue,
            }
        }
    }
}

/// What follows the first line.
fn after_line(raw: &[u8]) -> &[u8] {
    raw.iter().position(|&b| b == b'\n').map_or(&[], |at| &raw[at + 1..])
}

/// What stands between the delimiters.
fn pieces(mut rest: &str, delimiter: impl Fn(&str) -> Option<usize>) -> impl Iterator<Item = &str> {
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (piece, after) = delimiter(rest).map_or((rest, ""), |at| (&rest[..at], &rest[at + 1..]));
        rest = after;
        Some(piece)
    })
}

/// Where the first comma is that is in no quoted string.
pub(crate) fn comma(text: &str) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    text.bytes().position(|b| {
        match b {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b',' if !quoted => return true,
            _ => {}
        }
        false
    })
}

/// Where the first semicolon is that is in no quoted string and not escaped.
fn semicolon(text: &str) -> Option<usize> {
    let (mut quoted, mut escaped, mut starts_value) = (false, false, false);
    text.bytes().position(|b| {
        match b {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' if quoted => quoted = false,
            // A quotation mark within a token quotes nothing: it is a badly written value's own.
            b'"' if starts_value => quoted = true,
            b';' if !quoted => return true,
            _ => {}
        }
        starts_value = b == b'=' || (starts_value && matches!(b, b' ' | b'\t'));
        false
    })
}

/// RFC 9110 §5.6.4. A quoted string that is not closed ends where the value does.
fn unquote(value: &str) -> Cow<'_, str> {
    let Some(inner) = value.strip_prefix('"') else {
        return Cow::Borrowed(value);
    };
    let special = inner.bytes().position(|b| matches!(b, b'"' | b'\\'));
    match special {
        None => Cow::Borrowed(inner),
        Some(at) if inner.as_bytes()[at] == b'"' => Cow::Borrowed(&inner[..at]),
        Some(_) => {
            let mut text = String::with_capacity(inner.len());
            let mut chars = inner.chars();
            while let Some(c) = chars.next() {
                match c {
                    '"' => break,
                    '\\' => text.extend(chars.next()),
                    c => text.push(c),
                }
            }
            Cow::Owned(text)
        }
    }
}

fn trim_ows(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

/// Fields of a short head.
const FEW: usize = 24;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_value_is_found_among_few_fields_and_many() {
        let name = HeaderName::from_static("x-wanted");
        for others in [0, 1, FEW, 2 * FEW] {
            let mut fields = HeaderMap::new();
            for number in 0..others {
                let other = HeaderName::from_bytes(format!("x-{number}").as_bytes()).unwrap();
                fields.append(other, HeaderValue::from_static("other"));
            }
            assert_eq!(first(&fields, &name), None);
            fields.append(&name, HeaderValue::from_static("1"));
            fields.append(&name, HeaderValue::from_static("2"));
            assert_eq!(first(&fields, &name).unwrap(), "1");
        }
    }

    #[test]
    fn bytes_that_are_no_utf_8_are_iso_8859_1() {
        assert_eq!(text_of(b"na\xefve"), Cow::<str>::Owned("na\u{ef}ve".into()));
        assert!(matches!(text_of("naïve".as_bytes()), Cow::Borrowed("naïve")));
    }

    #[test]
    fn a_value_that_would_end_its_line_is_refused() {
        for value in [
            &b"Bar\0"[..],
            b"\0Bar",
            b"Bar\r",
            b"Bar\n",
            b"Bar\r\n",
            b"\rBar",
            b"\nBar",
            b"Bar\rBuz",
            b"Bar\nBuz",
            b"Bar\n Buz",
            b"Bar\r Buz",
            b"Bar\r\nBuz",
            b"Bar\r\n\r\n Buz",
            b"Bar\r\n Buz\r\nEvil: 1",
            b"Bar\r\r\n Buz",
            b"Bar\n\r\n Buz",
        ] {
            assert!(!is_acceptable_value(value), "{:?}", value.escape_ascii().to_string());
        }
    }

    #[test]
    fn a_value_with_folds_is_accepted() {
        for value in
            [&b""[..], b"Bar", b"Bar\r\n\tBuz", b"Bar\r\n Buz", b"\r\n a\r\n b", b"\xff\t caf\xc3\xa9"]
        {
            assert!(is_acceptable_value(value), "{:?}", value.escape_ascii().to_string());
        }
    }

    #[test]
    fn an_unfolded_value_has_its_length_and_no_line_end() {
        for (folded, expected) in [
            (&b"plain"[..], &b"plain"[..]),
            (b"a\r\n b", b"a   b"),
            (b"a\n\tb", b"a \tb"),
            (b"\n a\r\n\r\n b", b"  a\r\n   b"),
            (b"a\r\n \r\n b", b"a      b"),
            (b"a\r\nb", b"a\r\nb"),
            (b"a\n", b"a\n"),
        ] {
            assert_eq!(unfold(folded), expected, "{:?}", folded.escape_ascii().to_string());
        }
        assert!(matches!(unfold(b"plain"), Cow::Borrowed(_)));
    }

    #[test]
    fn names_of_a_map_are_written_in_title_case() {
        for (given, expected) in
            [("if-none-match", "If-None-Match"), ("x-a", "X-A"), ("ETag", "ETag"), ("", "")]
        {
            assert_eq!(title_case(given), expected);
        }
    }

    #[test]
    fn names_are_capitalised_word_by_word_except_x_ones() {
        for (given, expected) in [
            ("location", "Location"),
            ("conTent-lenGTH", "Content-Length"),
            ("CONTENT-type", "Content-Type"),
            ("etag", "Etag"),
            ("ETag", "Etag"),
            ("www-authenticate", "Www-Authenticate"),
            ("WWW-Authenticate", "Www-Authenticate"),
            ("te", "Te"),
            ("a--b-", "A--B-"),
            ("x-extra-HEADER", "x-extra-HEADER"),
            ("X-UPPERCASE", "X-UPPERCASE"),
            ("X-mixedCASE", "X-mixedCASE"),
            ("x", "X"),
            ("xa-b", "Xa-B"),
            ("", ""),
            ("é-a", "é-A"),
        ] {
            assert_eq!(canonical_name(given), expected);
        }
        assert!(matches!(canonical_name("Content-Type"), Cow::Borrowed(_)));
    }

    #[test]
    fn raw_fields_keep_the_spelling_of_names() {
        let raw = b"HTTP/1.1 200 a: b\r\nconTENT-type:text/plain \r\nX-A: \t1\nB:\r\nC:\r\n d\r\n\r\n";
        let fields: Vec<_> = raw_fields(raw).collect();
        let expected: [(&str, &[u8]); 4] =
            [("conTENT-type", b"text/plain"), ("X-A", b"1"), ("B", b""), ("C", b"d")];
        assert_eq!(fields, expected);
    }

    #[test]
    fn raw_fields_skip_what_is_no_field() {
        for raw in
            [&b""[..], b"HTTP/1.1 200 OK", b"HTTP/1.1 200 OK\r\n\r\n", b"s\nno colon\n: x\na b: c\n\xff: d"]
        {
            assert_eq!(raw_fields(raw).count(), 0);
        }
        assert_eq!(raw_fields(b"s\nA: b").collect::<Vec<_>>(), [("A", &b"b"[..])]);
        assert_eq!(raw_fields(b"s\n \nA: b\n \t").collect::<Vec<_>>(), [("A", &b"b"[..])]);
    }

    #[test]
    fn a_list_is_split_at_its_own_commas_only() {
        for (value, expected) in [
            ("", &[][..]),
            (" , ,, ", &[]),
            ("a", &["a"]),
            ("a, b ,c", &["a", "b", "c"]),
            (",a,\t,b,", &["a", "b"]),
            (r#"Digest realm="a, b", qop="auth""#, &[r#"Digest realm="a, b""#, r#"qop="auth""#]),
            (r#"a="\",", b"#, &[r#"a="\",""#, "b"]),
            (r"a\, b", &[r"a\", "b"]),
            (r#"a="open, b"#, &[r#"a="open, b"#]),
            ("é, ü", &["é", "ü"]),
        ] {
            assert_eq!(list(value).collect::<Vec<_>>(), expected, "{value}");
        }
    }

    #[test]
    fn parameters_are_split_and_unquoted() {
        for (value, expected) in [
            ("", &[][..]),
            ("inline", &[("", "inline")]),
            ("a; b=c ;d = \"e;f\"", &[("", "a"), ("b", "c"), ("d", "e;f")]),
            (r#"a="b\"c\\""#, &[("a", r#"b"c\"#)]),
            (r#"a="open; b=c"#, &[("a", "open; b=c")]),
            (r#"a="b"c; d=e"#, &[("a", "b"), ("d", "e")]),
            (r#"a=b"c; d=e"#, &[("a", r#"b"c"#), ("d", "e")]),
            (r#"a=b\; c="d;e"; f=g"#, &[("a", r#"b\; c="d;e""#), ("f", "g")]),
            ("a=;b==c", &[("a", ""), ("b", "=c")]),
            (r#"a="b\"#, &[("a", "b")]),
        ] {
            let parameters: Vec<_> = parameters(value).collect();
            let parameters: Vec<_> = parameters.iter().map(|(name, value)| (*name, value.as_ref())).collect();
            assert_eq!(parameters, expected, "{value}");
        }
    }
}
