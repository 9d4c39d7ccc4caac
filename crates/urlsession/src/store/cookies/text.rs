//! A store as `cookies.txt`, the file of Netscape that curl and browsers' tools exchange.

use std::io::{self, Write};
use std::time::{Duration, UNIX_EPOCH};

use urlsession_proto::cookie::{NetscapeCookie, netscape_cookies, write_netscape_cookie};

use super::{HttpCookieStorage, rules};
use crate::env::epoch_seconds;
use crate::message::HttpCookie;

impl HttpCookieStorage {
    /// Keeps the cookies of a `cookies.txt`, whatever the policy, and says how many of its lines are cookies that may be
    /// kept. Names and values are bytes of any encoding. Expired cookies are counted and not kept.
    ///
    /// Skipped are lines that are not cookies, what could not be sent (`;`, control characters, `=` in a name, more than
    /// 4096 bytes of name and value), cookies for all hosts of a public suffix, and those that do not keep the promise
    /// of a `__Secure-` or `__Host-` name (RFC 6265bis §5.7). Extension: no counterpart in Apple's API.
    pub fn import_netscape(&self, file: impl AsRef<[u8]>) -> usize {
        let mut count = 0;
        for line in netscape_cookies(file.as_ref()) {
            let domain =
                if line.includes_subdomains { format!(".{}", line.domain) } else { line.domain.into() };
            let expires = line.expires.map(|seconds| {
                let since = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
                UNIX_EPOCH.checked_add(since).unwrap_or(UNIX_EPOCH + FAR)
            });
            let cookie = HttpCookie::imported(line.name, line.value, &domain, line.path);
            if let Some(cookie) = rules::imported(cookie.with(expires, line.secure, line.http_only)) {
                self.keep(cookie);
                count += 1;
            }
        }
        count
    }

    /// The cookies as a `cookies.txt`, those of the session too; what the format does not know, such as `SameSite`, is
    /// lost. The text holds secrets. Names and values that are not UTF-8 are converted from ISO-8859-1:
    /// [`write_netscape`](Self::write_netscape) keeps their bytes. Extension: no counterpart in Apple's API.
    pub fn export_netscape(&self) -> String {
        let mut text = Vec::new();
        // Writing to memory does not fail.
        let _ = self.write_lines(&mut text, |cookie| (cookie.name().as_bytes(), cookie.value().as_bytes()));
        String::from_utf8_lossy(&text).into_owned()
    }

    /// Writes what [`export_netscape`](Self::export_netscape) gives, with names and values byte for byte. Extension: no
    /// counterpart in Apple's API.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write_netscape(&self, out: &mut impl Write) -> io::Result<()> {
        self.write_lines(out, |cookie| (cookie.name_bytes(), cookie.value_bytes()))
    }

    fn write_lines(
        &self,
        out: &mut impl Write,
        pair: impl Fn(&HttpCookie) -> (&[u8], &[u8]),
    ) -> io::Result<()> {
        out.write_all(b"# Netscape HTTP Cookie File\n")?;
        for cookie in self.cookies() {
            let (name, value) = pair(&cookie);
            let line = NetscapeCookie {
                domain: cookie.host(),
                includes_subdomains: !cookie.is_host_only(),
                path: cookie.path(),
                secure: cookie.is_secure(),
                http_only: cookie.is_http_only(),
                expires: cookie.expires_date().map(epoch_seconds),
                name,
                value,
            };
            write_netscape_cookie(out, &line)?;
        }
        Ok(())
    }
}

/// As good as for ever; a store keeps a cookie for 400 days.
const FAR: Duration = Duration::from_secs(10_000_000_000);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_exported_is_imported_again() {
        let file = "# Netscape HTTP Cookie File\n\
                    .example.com\tTRUE\t/\tFALSE\t0\ta\tb\n\
                    #HttpOnly_www.example.com\tFALSE\t/x\tTRUE\t0\tid\ts3cret\n";
        let storage = HttpCookieStorage::ephemeral();
        assert_eq!(storage.import_netscape(file), 2);
        assert_eq!(storage.export_netscape(), file);
        assert_eq!(storage.import_netscape("example.com\tFALSE\t/\tFALSE\t1\told\tx"), 1);
        assert_eq!(storage.cookies().len(), 2);
        storage.import_netscape(format!("example.com\tFALSE\t/\tFALSE\t{}\tfar\tx", i64::MAX));
        assert_eq!(storage.cookies().len(), 3);
    }
    #[test]
    fn bytes_that_are_not_utf8_are_imported_and_written_as_they_are() {
        let file = b"# Netscape HTTP Cookie File\nexample.com\tFALSE\t/\tFALSE\t0\ta\t\xe9\n";
        let storage = HttpCookieStorage::ephemeral();
        assert_eq!(storage.import_netscape(file), 1);
        assert_eq!(storage.cookies()[0].value(), "é");
        let mut written = Vec::new();
        storage.write_netscape(&mut written).unwrap();
        assert_eq!(written, file);
        assert!(storage.export_netscape().ends_with("\ta\té\n"));
    }

    #[test]
    fn an_import_obeys_the_rules_for_registries_and_prefixes() {
        for (line, kept) in [
            (".example.com\tTRUE\t/\tFALSE\t0\ta\tb", Some(".example.com")),
            (".com\tTRUE\t/\tFALSE\t0\ta\tb", None),
            (".co.uk\tTRUE\t/\tFALSE\t0\ta\tb", None),
            (".github.io\tTRUE\t/\tFALSE\t0\ta\tb", None),
            ("github.io\tTRUE\t/\tFALSE\t0\ta\tb", None),
            ("github.io\tFALSE\t/\tFALSE\t0\ta\tb", Some("github.io")),
            ("COM\tTRUE\t/\tFALSE\t0\ta\tb", None),
            ("localhost\tTRUE\t/\tFALSE\t0\ta\tb", Some("localhost")),
            ("127.0.0.1\tTRUE\t/\tFALSE\t0\ta\tb", Some("127.0.0.1")),
            ("[::1]\tFALSE\t/\tFALSE\t0\ta\tb", Some("[::1]")),
            ("exa mple.com\tFALSE\t/\tFALSE\t0\ta\tb", None),
            ("example.com:80\tFALSE\t/\tFALSE\t0\ta\tb", None),
            ("example.com/x\tFALSE\t/\tFALSE\t0\ta\tb", None),
            ("example.com\tFALSE\t/\tTRUE\t0\t__Host-a\tb", Some("example.com")),
            ("example.com\tTRUE\t/\tTRUE\t0\t__Host-a\tb", None),
            ("example.com\tFALSE\t/x\tTRUE\t0\t__Host-a\tb", None),
            ("example.com\tFALSE\t/\tFALSE\t0\t__host-a\tb", None),
            ("example.com\tFALSE\t/x\tFALSE\t0\t__Secure-a\tb", None),
            ("example.com\tTRUE\t/x\tTRUE\t0\t__Secure-a\tb", Some(".example.com")),
            ("example.com\tFALSE\t/\tTRUE\t0\t\t__Host-a=b", None),
            ("example.com\tFALSE\t/\tFALSE\t0\ta\tb; c=d", None),
        ] {
            let storage = HttpCookieStorage::ephemeral();
            let count = storage.import_netscape(line);
            let domain = storage.cookies().first().map(|cookie| cookie.domain().to_owned());
            assert_eq!((count, domain.as_deref()), (usize::from(kept.is_some()), kept), "{line}");
        }
    }
}
