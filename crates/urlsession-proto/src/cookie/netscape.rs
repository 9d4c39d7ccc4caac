//! `cookies.txt`, the file of Netscape that curl, wget and browsers' tools exchange: one cookie a line, seven fields
//! between tabs.

use std::fmt::{self, Write};

/// One line of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetscapeCookie<'a> {
    /// Without a leading dot.
    pub domain: &'a str,
    /// Does it go to the hosts below too?
    pub includes_subdomains: bool,
    /// Begins with a slash.
    pub path: &'a str,
    /// To be sent over secure protocols only.
    pub secure: bool,
    /// Not for scripts; curl's addition to the format.
    pub http_only: bool,
    /// Seconds since 1970; `None` ends with the session.
    pub expires: Option<i64>,
    /// Empty for a cookie without a name.
    pub name: &'a str,
    /// May be empty.
    pub value: &'a str,
}

/// The cookies of a file; comments and lines that are not cookies are skipped.
pub fn netscape_cookies(text: &str) -> impl Iterator<Item = NetscapeCookie<'_>> {
    text.lines().filter_map(cookie)
}

/// Writes one line. A cookie whose text would break its line is left out.
pub fn write_netscape_cookie(out: &mut impl Write, cookie: &NetscapeCookie<'_>) -> fmt::Result {
    let texts = [cookie.domain, cookie.path, cookie.name, cookie.value];
    if texts.iter().any(|text| text.contains(['\t', '\r', '\n'])) || !is_domain(cookie.domain) {
        return Ok(());
    }
    let yes = |is_so| if is_so { "TRUE" } else { "FALSE" };
    writeln!(
        out,
        "{}{}{}\t{}\t{}\t{}\t{}\t{}\t{}",
        if cookie.http_only { HTTP_ONLY } else { "" },
        if cookie.includes_subdomains { "." } else { "" },
        cookie.domain,
        yes(cookie.includes_subdomains),
        cookie.path,
        yes(cookie.secure),
        cookie.expires.unwrap_or(0),
        cookie.name,
        cookie.value
    )
}

fn cookie(line: &str) -> Option<NetscapeCookie<'_>> {
    let (line, http_only) = match line.strip_prefix(HTTP_ONLY) {
        Some(line) => (line, true),
        None => (line, false),
    };
    if line.starts_with('#') || line.bytes().any(|b| matches!(b, 0..=8 | 10..=31 | 127)) {
        return None;
    }
    let mut fields = line.splitn(7, '\t');
    let mut next = || fields.next();
    let (domain, tail, path, secure, expires) = (next()?, next()?, next()?, next()?, next()?);
    // A file may lack the last tab of a cookie without a value.
    let (name, value) = (next()?, next().unwrap_or_default());
    let domain = domain.strip_prefix('.').unwrap_or(domain);
    let expires: i64 = expires.trim().parse().ok()?;
    let is_right = is_domain(domain) && path.starts_with('/') && !(name.is_empty() && value.is_empty());
    is_right.then_some(NetscapeCookie {
        domain,
        includes_subdomains: tail.eq_ignore_ascii_case("TRUE"),
        path,
        secure: secure.eq_ignore_ascii_case("TRUE"),
        http_only,
        expires: Some(expires).filter(|expires| *expires != 0),
        name,
        value,
    })
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
        let mut out = String::new();
        for cookie in netscape_cookies(file) {
            write_netscape_cookie(&mut out, &cookie).unwrap();
        }
        assert_eq!(out, file);
        let second = netscape_cookies(file).nth(1).unwrap();
        assert!(second.http_only && second.secure && !second.includes_subdomains);
        assert_eq!((second.domain, second.expires, second.value), ("example.com", None, ""));
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
        assert_eq!(netscape_cookies(short).next().unwrap().name, "name");
    }

    #[test]
    fn a_cookie_that_would_break_its_line_is_left_out() {
        let mut out = String::new();
        let cookie = netscape_cookies("example.com\tFALSE\t/\tFALSE\t0\ta\tb\tc").next().unwrap();
        assert_eq!(cookie.value, "b\tc");
        write_netscape_cookie(&mut out, &cookie).unwrap();
        assert_eq!(out, "");
    }
}
