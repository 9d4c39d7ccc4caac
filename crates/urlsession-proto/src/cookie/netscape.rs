//! `cookies.txt`, the file of Netscape that curl, wget and browsers' tools exchange: one cookie a line, seven fields
//! between tabs. Names and values are bytes of any encoding.
//!
//! Lines that could not be sent as a cookie (RFC 6265bis §5.6) are skipped. Whether a host may set a cookie is not
//! decided here.

use std::io::{self, Write};

use super::set_cookie::{MAX_ATTRIBUTE, MAX_PAIR, trim};

/// One line of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetscapeCookie<'a> {
    /// Without a leading dot.
    pub domain: &'a str,
    /// Whether it goes to the hosts below too.
    pub includes_subdomains: bool,
    /// Begins with a slash.
    pub path: &'a str,
    /// To be sent over secure protocols only.
    pub secure: bool,
    /// Not for scripts; curl's addition to the format.
    pub http_only: bool,
    /// Seconds since 1970, rounded down; `None` ends with the session.
    pub expires: Option<i64>,
    /// Empty for a cookie without a name.
    pub name: &'a [u8],
    /// May be empty.
    pub value: &'a [u8],
}

/// The cookies of a file; comments and lines that are not cookies are skipped.
pub fn netscape_cookies<F: AsRef<[u8]> + ?Sized>(file: &F) -> impl Iterator<Item = NetscapeCookie<'_>> {
    file.as_ref().split(|b| *b == b'\n').filter_map(|line| cookie(line.strip_suffix(b"\r").unwrap_or(line)))
}

/// Writes one line. A cookie that could not be read from its line is left out.
///
/// # Errors
/// Those of `out`.
pub fn write_netscape_cookie(out: &mut impl Write, cookie: &NetscapeCookie<'_>) -> io::Result<()> {
    let texts = [cookie.domain.as_bytes(), cookie.path.as_bytes(), cookie.name, cookie.value];
    if texts.concat().iter().any(|b| b.is_ascii_control()) || !is_whole(cookie) {
        return Ok(());
    }
    let yes = |is_so| if is_so { "TRUE" } else { "FALSE" };
    write!(
        out,
        "{}{}{}\t{}\t{}\t{}\t{}\t",
        if cookie.http_only { HTTP_ONLY } else { "" },
        if cookie.includes_subdomains { "." } else { "" },
        cookie.domain,
        yes(cookie.includes_subdomains),
        cookie.path,
        yes(cookie.secure),
        cookie.expires.unwrap_or(0),
    )?;
    out.write_all(&[cookie.name, b"\t", cookie.value, b"\n"].concat())
}

fn cookie(line: &[u8]) -> Option<NetscapeCookie<'_>> {
    let (line, http_only) = match line.strip_prefix(HTTP_ONLY.as_bytes()) {
        Some(line) => (line, true),
        None => (line, false),
    };
    if line.starts_with(b"#") || line.iter().any(|b| matches!(b, 0..=8 | 10..=31 | 127)) {
        return None;
    }
    let mut fields = line.splitn(7, |b| *b == b'\t');
    let mut next = || fields.next();
    let (domain, tail, path, secure, expires) = (next()?, next()?, next()?, next()?, next()?);
    // A file may lack the last tab of a cookie without a value.
    let (name, value) = (next()?, next().unwrap_or_default());
    let (domain, path) = (std::str::from_utf8(domain).ok()?, std::str::from_utf8(path).ok()?);
    let cookie = NetscapeCookie {
        domain: domain.strip_prefix('.').unwrap_or(domain),
        includes_subdomains: tail.eq_ignore_ascii_case(b"TRUE"),
        path,
        secure: secure.eq_ignore_ascii_case(b"TRUE"),
        http_only,
        expires: Some(seconds(std::str::from_utf8(expires).ok()?.trim())?).filter(|expires| *expires != 0),
        name: trim(name),
        value: trim(value),
    };
    is_whole(&cookie).then_some(cookie)
}

/// Whether the cookie can be sent, and can be read from its line.
fn is_whole(cookie: &NetscapeCookie<'_>) -> bool {
    let NetscapeCookie { domain, path, name, value, .. } = *cookie;
    let ends_early = |text: &[u8]| text.contains(&b';');
    is_domain(domain)
        && path.starts_with('/')
        && path.len() <= MAX_ATTRIBUTE
        && !(name.is_empty() && value.is_empty())
        && name.len() + value.len() <= MAX_PAIR
        && !name.contains(&b'=')
        && (trim(name), trim(value)) == (name, value)
        && ![domain.as_bytes(), path.as_bytes(), name, value].into_iter().any(ends_early)
}

/// Seconds since 1970; browsers' tools write fractions, and nothing for a cookie of the session.
fn seconds(text: &str) -> Option<i64> {
    if text.is_empty() {
        return Some(0);
    }
    let is_number = text.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b));
    let decimal = || text.parse::<f64>().ok().filter(|_| is_number).map(|seconds| seconds.floor() as i64);
    text.parse().ok().or_else(decimal)
}

/// A line that begins with `#` is a comment, and one dot before the domain says that it includes the hosts below.
fn is_domain(domain: &str) -> bool {
    !domain.is_empty() && !domain.starts_with(['#', '.'])
}

const HTTP_ONLY: &str = "#HttpOnly_";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_and_written_alike() {
        let file = ".example.com\tTRUE\t/\tFALSE\t2147483647\ta\tb\n\
                    #HttpOnly_example.com\tFALSE\t/x\tTRUE\t0\tsession\t\n";
        let mut out = Vec::new();
        for cookie in netscape_cookies(file) {
            write_netscape_cookie(&mut out, &cookie).unwrap();
        }
        assert_eq!(String::from_utf8(out).unwrap(), file);
        let second = netscape_cookies(file).nth(1).unwrap();
        assert!(second.http_only && second.secure && !second.includes_subdomains);
        assert_eq!((second.domain, second.expires, second.value), ("example.com", None, &b""[..]));
    }

    #[test]
    fn what_is_no_cookie_is_skipped() {
        let file = "# Netscape HTTP Cookie File\n\n#a\tTRUE\t/\tFALSE\t0\ta\tb\na b\n\
                    example.com\tTRUE\tx\tFALSE\t0\ta\tb\n\texample\t/\tTRUE\t0\ta\tb\n\
                    example.com\tTRUE\t/\tFALSE\tsoon\ta\tb\nexample.com\tTRUE\t/\tFALSE\t0\ta\tb\u{1}\n\
                    example.com\tTRUE\t/\tFALSE\t0\r\n\
                    #HttpOnly_.#HttpOnly_.example.com\tFALSE\t/\tTRUE\t0\ta\tb\n..example.com\tFALSE\t/\tTRUE\t0\ta\tb\n";
        assert_eq!(netscape_cookies(file).count(), 0);
        let short = "example.com\tFALSE\t/\tFALSE\t0\tname\r\n";
        assert_eq!(netscape_cookies(short).next().unwrap().name, b"name");
    }

    #[test]
    fn a_cookie_that_would_break_its_line_is_left_out() {
        let mut out = Vec::new();
        let cookie = netscape_cookies("example.com\tFALSE\t/\tFALSE\t0\ta\tb\tc").next().unwrap();
        assert_eq!(cookie.value, b"b\tc");
        write_netscape_cookie(&mut out, &cookie).unwrap();
        assert!(out.is_empty());
    }

    #[test]
    fn names_and_values_are_bytes_and_are_written_as_they_were_read() {
        let file = b".example.com\tTRUE\t/\tFALSE\t0\tn\xe9\t\xff\xe9\n";
        let cookie = netscape_cookies(file).next().unwrap();
        assert_eq!((cookie.name, cookie.value), (&b"n\xe9"[..], &b"\xff\xe9"[..]));
        let mut out = Vec::new();
        write_netscape_cookie(&mut out, &cookie).unwrap();
        assert_eq!(out, file);
        // Of the lines of a file each is read by itself.
        let mixed = b"\xe9.example\tTRUE\t/\tFALSE\t0\ta\tb\nexample.com\tTRUE\t/\xe9\tFALSE\t0\ta\tb\r\n\
                      example.com\tTRUE\t/\tFALSE\t0\ta\tb\r\n";
        assert_eq!(netscape_cookies(mixed).map(|cookie| cookie.value).collect::<Vec<_>>(), [b"b"]);
    }

    #[test]
    fn an_expiry_may_be_a_decimal_number_or_be_missing() {
        for (expires, expected) in [
            ("1735689600", Some(Some(1_735_689_600))),
            ("1735689600.75", Some(Some(1_735_689_600))),
            ("1.7356896e9", Some(Some(1_735_689_600))),
            ("1735689600.", Some(Some(1_735_689_600))),
            (" 5 ", Some(Some(5))),
            ("-1.5", Some(Some(-2))),
            ("1e400", Some(Some(i64::MAX))),
            ("99999999999999999999", Some(Some(i64::MAX))),
            ("0", Some(None)),
            ("0.0", Some(None)),
            ("", Some(None)),
            ("soon", None),
            ("inf", None),
            ("NaN", None),
            ("1,5", None),
            ("0x10", None),
        ] {
            let line = format!("example.com\tFALSE\t/\tFALSE\t{expires}\ta\tb");
            assert_eq!(netscape_cookies(&line).next().map(|cookie| cookie.expires), expected, "{expires:?}");
        }
    }

    #[test]
    fn what_could_not_be_sent_as_one_cookie_is_none() {
        let (long, deep) = ("v".repeat(MAX_PAIR), format!("/{}", "p".repeat(MAX_ATTRIBUTE)));
        for (domain, path, name, value) in [
            ("example.com", "/", "a;x", "b"),
            ("example.com", "/", "a", "b; Secure"),
            ("example.com", "/;x", "a", "b"),
            ("example.com;", "/", "a", "b"),
            ("example.com", "/", "a=x", "b"),
            ("example.com", "/", "a", &long),
            ("example.com", &deep, "a", "b"),
            ("example.com", "/", " ", " "),
        ] {
            let line = format!("{domain}\tFALSE\t{path}\tFALSE\t0\t{name}\t{value}");
            assert_eq!(netscape_cookies(&line).count(), 0, "{line}");
        }
        let padded = netscape_cookies("example.com\tFALSE\t/\tFALSE\t0\t a \t b \n").next().unwrap().value;
        assert_eq!(padded, b"b");
    }
}
