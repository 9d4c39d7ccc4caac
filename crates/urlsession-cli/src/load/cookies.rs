//! Cookies in and out of the command: `-b` fills the session's store before the load, `-c` writes it afterwards.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use urlsession::cookies::{HttpCookie, HttpCookiePropertyKey as Key, HttpCookieStorage};
use urlsession::{Url, UrlRequest};

use super::failure::Failure;
use super::tell;
use crate::args::LoadArgs;

/// Keeps what `-b` gives: `name=value; …` for the host of the request, or a file. Returns the names and values.
pub(super) fn take(
    args: &LoadArgs,
    request: &UrlRequest,
    storage: &HttpCookieStorage,
) -> Result<Vec<(String, String)>, Failure> {
    let mut pairs = Vec::new();
    for text in &args.cookie {
        if text.as_encoded_bytes().contains(&b'=') {
            let url = request.url();
            // It may be a secret: it is not repeated.
            let Some(text) = text.to_str() else {
                let detail =
                    "a cookie of -b is not UTF-8; give it in a file, -b FILE, which is read byte for byte";
                return Err(Failure::Usage(detail.into()));
            };
            if request.zone_id().is_some() {
                return Err(Failure::Usage(
                    "-b has no cookies for a host in a zone, of which no store keeps anything; send them by \
                     -H 'Cookie: …'"
                        .to_owned(),
                ));
            }
            for pair in text.split(';').map(str::trim).filter(|pair| !pair.is_empty()) {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                let (name, value) = (name.trim(), value.trim());
                storage.set_cookie(cookie(name, value, url)?);
                pairs.push((name.to_owned(), value.to_owned()));
            }
        } else if !text.is_empty() {
            match fs::read(text) {
                Ok(file) => drop(storage.import_netscape(file)),
                // As in curl: the first run of `-b FILE -c FILE` has no file yet.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    if !args.silent && !args.json {
                        tell(&format!(
                            "urlsession: warning: there is no cookie file {}; no cookies are read\n",
                            text.display()
                        ));
                    }
                }
                Err(error) => return Err(Failure::Local(format!("cannot read {}: {error}", text.display()))),
            }
        }
    }
    Ok(pairs)
}

/// Writes the store for `-c`.
pub(super) fn give(file: &Path, storage: &HttpCookieStorage) -> Result<(), Failure> {
    let mut text = Vec::new();
    // Writing to memory does not fail.
    let _ = storage.write_netscape(&mut text);
    let written = match file == Path::new("-") {
        true => io::stdout().write_all(&text),
        false => private(file).and_then(|mut file| file.write_all(&text)),
    };
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(Failure::Closed),
        written => {
            written.map_err(|error| Failure::Local(format!("cannot write {}: {error}", file.display())))
        }
    }
}

/// A cookie for the host of the URL; one that is given for an `https` URL is not sent in cleartext.
pub(super) fn cookie(name: &str, value: &str, url: &Url) -> Result<HttpCookie, Failure> {
    let host = url.host_str().unwrap_or_default();
    let mut properties = vec![(Key::Name, name), (Key::Value, value), (Key::Domain, host), (Key::Path, "/")];
    if url.scheme() == "https" {
        properties.push((Key::Secure, "TRUE"));
    }
    // The value may be a secret: it is not repeated.
    HttpCookie::new(properties).ok_or_else(|| Failure::Usage(format!("the cookie {name:?} cannot be sent")))
}

/// Cookies are secrets: a new file is for this user alone.
fn private(file: &Path) -> io::Result<fs::File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(file)
}
