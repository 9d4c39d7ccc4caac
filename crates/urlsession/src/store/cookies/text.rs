//! A store as `cookies.txt`, the file of Netscape that curl and browsers' tools exchange.

use std::time::{Duration, UNIX_EPOCH};

use urlsession_proto::cookie::{NetscapeCookie, netscape_cookies, write_netscape_cookie};

use super::HttpCookieStorage;
use crate::env::epoch_seconds;
use crate::message::HttpCookie;

impl HttpCookieStorage {
    /// Keeps the cookies of a `cookies.txt`, whatever the policy, and says how many the file has. Lines that are not
    /// cookies are skipped, and expired cookies not kept. Not of Apple's.
    pub fn import_netscape(&self, text: &str) -> usize {
        let mut count = 0;
        for line in netscape_cookies(text) {
            let domain =
                if line.includes_subdomains { format!(".{}", line.domain) } else { line.domain.into() };
            let expires = line.expires.map(|seconds| {
                let since = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
                UNIX_EPOCH.checked_add(since).unwrap_or(UNIX_EPOCH + FAR)
            });
            let cookie = HttpCookie::kept(line.name, line.value, &domain, line.path);
            self.keep(cookie.with(expires, line.secure, line.http_only));
            count += 1;
        }
        count
    }

    /// The cookies as a `cookies.txt`, those of the session too; what the format does not know, such as `SameSite`, is
    /// lost. The text holds secrets. Not of Apple's.
    pub fn export_netscape(&self) -> String {
        let mut text = "# Netscape HTTP Cookie File\n".to_owned();
        for cookie in self.cookies() {
            let line = NetscapeCookie {
                domain: cookie.host(),
                includes_subdomains: !cookie.is_host_only(),
                path: cookie.path(),
                secure: cookie.is_secure(),
                http_only: cookie.is_http_only(),
                expires: cookie.expires_date().map(epoch_seconds),
                name: cookie.name(),
                value: cookie.value(),
            };
            // Writing to a string does not fail.
            let _ = write_netscape_cookie(&mut text, &line);
        }
        text
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
        storage.import_netscape(&format!("example.com\tFALSE\t/\tFALSE\t{}\tfar\tx", i64::MAX));
        assert_eq!(storage.cookies().len(), 3);
    }
}
