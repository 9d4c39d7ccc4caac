//! The proxies that environment variables name, as `curl` and others read them. The environment itself is read by `env`.

use std::ffi::OsString;
use std::net::{IpAddr, Ipv6Addr};

use url::{Host, Url};
use urlsession_proto::scheme::Scheme;

use super::ProxyDictionary;
use crate::env::variable;
use crate::error::{Phase, Result, UrlError, UrlErrorCode};

impl ProxyDictionary {
    /// The proxies that the environment variables of the process name, as command line tools read them; an empty dictionary if
    /// they name none.
    ///
    /// `http_proxy` is the proxy of `http` URLs and `https_proxy` that of `https` URLs; `all_proxy` is used for a scheme whose
    /// own variable is not set. `no_proxy` lists the hosts that are loaded directly. Each name may be written in capitals; the
    /// name in small letters takes precedence. An empty variable counts as not set. `HTTP_PROXY` in capitals is ignored where
    /// `REQUEST_METHOD` is set: in a CGI program the sender of the request sets it by a header field.
    ///
    /// A proxy is written as `host:port` or `http://host:port`; the default port is 80. Proxies of other kinds (`https://`,
    /// `socks5://`) and users and passwords in the URL are not supported and cause an error. A credential for a proxy comes
    /// from [`url_credential_storage`](field@crate::Configuration::url_credential_storage) or a delegate.
    ///
    /// Entries of `no_proxy` are separated by commas or white space. A name covers itself and all names below it, with or
    /// without a dot or `*.` before it; an address covers itself, a range such as `10.0.0.0/8` the addresses in it, and `*`
    /// every host. An entry with a port has no effect: its host is loaded through the proxy.
    /// Extension: no counterpart in Apple's API, which reads the system's settings.
    ///
    /// # Errors
    /// [`BadUrl`](crate::UrlErrorCode::BadUrl) if a variable cannot be read as a proxy,
    /// [`UnsupportedUrl`](crate::UrlErrorCode::UnsupportedUrl) if its proxy is not supported. The error names the variable and
    /// not its value, which may hold a password.
    pub fn from_environment() -> Result<Self> {
        dictionary(variable)
    }
}

/// The dictionary that the variables describe.
///
/// # Errors
/// As [`ProxyDictionary::from_environment`].
fn dictionary(variable: impl Fn(&str) -> Option<OsString>) -> Result<ProxyDictionary> {
    let first = |names: &[&'static str]| {
        let set =
            names.iter().find_map(|name| Some((*name, variable(name).filter(|text| !text.is_empty())?)));
        set.map(|(name, text)| text.into_string().map(|text| (name, text)).map_err(|_| unreadable(name)))
            .transpose()
    };
    // In a CGI program `HTTP_PROXY` is the field `Proxy` of the request (RFC 3875 §4.1.18).
    let of_http: &[_] = match variable("REQUEST_METHOD") {
        Some(_) => &["http_proxy"],
        None => &["http_proxy", "HTTP_PROXY"],
    };
    let of_all = ["all_proxy", "ALL_PROXY"];
    let mut dictionary = ProxyDictionary::new();
    if let Some((name, text)) = first(&[of_http, &of_all].concat())? {
        let (host, port) = proxy(name, &text)?;
        dictionary = dictionary.http_enable(true).http_proxy(host).http_port(port);
    }
    if let Some((name, text)) = first(&[&["https_proxy", "HTTPS_PROXY"], &of_all[..]].concat())? {
        let (host, port) = proxy(name, &text)?;
        dictionary = dictionary.https_enable(true).https_proxy(host).https_port(port);
    }
    if let Some((_, text)) = first(&["no_proxy", "NO_PROXY"])? {
        let entries = text.split(|c: char| c == ',' || c.is_whitespace());
        dictionary.exceptions_list = entries.flat_map(exceptions).collect();
    }
    Ok(dictionary)
}

/// The host and the port of a proxy.
fn proxy(name: &str, text: &str) -> Result<(String, u16)> {
    let text = text.trim();
    let url = match text.contains("://") {
        true => Url::parse(text),
        false => Url::parse(&format!("http://{text}")),
    };
    let url = url.map_err(|_| unreadable(name))?;
    if Scheme::of(&url) != Scheme::Http {
        return Err(unsupported(name, "only http:// proxies are supported"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(unsupported(name, "put the credential of the proxy in the session's credential storage"));
    }
    match (url.host(), url.path(), url.query(), url.fragment()) {
        (Some(host), "/", None, None) => {
            let host = match host {
                Host::Ipv6(address) => address.to_string(),
                host => host.to_string(),
            };
            Ok((host, url.port_or_known_default().unwrap_or(80)))
        }
        _ => Err(unreadable(name)),
    }
}

/// The exceptions that an entry of `no_proxy` stands for.
fn exceptions(entry: &str) -> Vec<String> {
    let (base, is_range) = match entry.split_once('/') {
        Some((base, _)) => (base, true),
        None => (entry, false),
    };
    let bare = base.strip_prefix('[').and_then(|base| base.strip_suffix(']')).unwrap_or(base);
    if entry == "*" || bare.parse::<IpAddr>().is_ok() || is_range {
        return vec![entry.replacen(base, bare, 1)];
    }
    let name = entry.trim_start_matches("*.").trim_start_matches('.');
    if name.is_empty() || name.contains(':') && name.parse::<Ipv6Addr>().is_err() {
        return Vec::new();
    }
    vec![name.to_owned(), format!("*.{name}")]
}

fn unreadable(name: &str) -> UrlError {
    let detail = format!("the environment variable {name} is not a proxy; write it as http://host:port");
    UrlError::new(UrlErrorCode::BadUrl, Phase::Request, detail)
}

fn unsupported(name: &str, why: &str) -> UrlError {
    let detail = format!("the proxy of the environment variable {name} is not supported: {why}");
    UrlError::new(UrlErrorCode::UnsupportedUrl, Phase::Request, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> Result<ProxyDictionary> {
        dictionary(|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value))
        })
    }

    fn http(variables: &[(&str, &str)]) -> Option<(String, u16)> {
        let found = of(variables).unwrap();
        found.http_enable.then(|| (found.http_proxy.unwrap(), found.http_port.unwrap()))
    }

    fn https(variables: &[(&str, &str)]) -> Option<(String, u16)> {
        let found = of(variables).unwrap();
        found.https_enable.then(|| (found.https_proxy.unwrap(), found.https_port.unwrap()))
    }

    #[test]
    fn each_scheme_has_its_variable_and_all_proxy_is_for_those_without_one() {
        let a = |port| Some(("a".to_owned(), port));
        assert_eq!(of(&[]).unwrap(), ProxyDictionary::new());
        assert_eq!(http(&[("http_proxy", "http://a:1/")]), a(1));
        assert_eq!(https(&[("http_proxy", "http://a:1")]), None);
        assert_eq!(https(&[("HTTPS_PROXY", "a:2")]), a(2));
        assert_eq!(https(&[("ALL_PROXY", "a"), ("http_proxy", "b")]), a(80));
        assert_eq!(http(&[("ALL_PROXY", "a"), ("http_proxy", "b")]), Some(("b".to_owned(), 80)));
        assert_eq!(http(&[("http_proxy", "[::1]:3")]), Some(("::1".to_owned(), 3)));
    }

    #[test]
    fn small_letters_win_and_empty_variables_are_not_set() {
        let both = [("https_proxy", "small:1"), ("HTTPS_PROXY", "capital:1")];
        assert_eq!(https(&both), Some(("small".to_owned(), 1)));
        let empty = [("https_proxy", ""), ("HTTPS_PROXY", "capital:1")];
        assert_eq!(https(&empty), Some(("capital".to_owned(), 1)));
    }

    #[test]
    fn a_cgi_program_takes_no_proxy_from_its_request() {
        let request = [("REQUEST_METHOD", "GET"), ("HTTP_PROXY", "evil:1")];
        assert_eq!(http(&request), None);
        let own = [("REQUEST_METHOD", "GET"), ("http_proxy", "ours:1"), ("HTTP_PROXY", "evil:1")];
        assert_eq!(http(&own), Some(("ours".to_owned(), 1)));
    }

    #[test]
    fn what_cannot_be_used_is_an_error_that_shows_no_value() {
        for (value, code) in [
            ("socks5://a:1", UrlErrorCode::UnsupportedUrl),
            ("https://a:1", UrlErrorCode::UnsupportedUrl),
            ("http://ann:secret@a:1", UrlErrorCode::UnsupportedUrl),
            ("ann:secret@a:1", UrlErrorCode::UnsupportedUrl),
            ("a:secret", UrlErrorCode::BadUrl),
            ("http://", UrlErrorCode::BadUrl),
            ("http://a:1/secret", UrlErrorCode::BadUrl),
        ] {
            let error = of(&[("https_proxy", value)]).unwrap_err();
            assert_eq!(error.code(), code, "{value}");
            let text = format!("{error} {error:?}");
            assert!(text.contains("https_proxy") && !text.contains("secret"), "{text}");
        }
    }

    #[test]
    fn no_proxy_lists_names_with_those_below_them_addresses_and_ranges() {
        let list = |text| of(&[("no_proxy", text)]).unwrap().exceptions_list;
        assert_eq!(
            list("a.test, .b.test,*.c.test"),
            ["a.test", "*.a.test", "b.test", "*.b.test", "c.test", "*.c.test"]
        );
        assert_eq!(
            list("10.0.0.0/8 127.0.0.1,[::1],fd00::/8"),
            ["10.0.0.0/8", "127.0.0.1", "::1", "fd00::/8"]
        );
        assert_eq!(list("*"), ["*"]);
        assert!(list("a.test:8080,,.").is_empty());
    }
}
