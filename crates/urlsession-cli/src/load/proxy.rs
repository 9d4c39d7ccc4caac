//! `-x`, `--proxy-user` and `--noproxy`: which way a load takes, and who one is to the proxy.

use urlsession::Url;
use urlsession::authentication::{UrlCredential, UrlCredentialPersistence};
use urlsession::network::ProxyDictionary;

use super::failure::Failure;
use super::login::Login;
use crate::args::LoadArgs;

/// The proxy of both schemes; `None` if there is none.
pub(super) fn dictionary(args: &LoadArgs) -> Result<Option<ProxyDictionary>, Failure> {
    let Some(url) = url(args)? else { return Ok(None) };
    let mut dictionary = ProxyDictionary::with_proxy(url.host_str().unwrap_or_default(), port(args, &url));
    for name in args.noproxy.as_deref().unwrap_or_default().split(',').map(str::trim) {
        let name = name.trim_start_matches('.');
        if name.is_empty() {
            continue;
        }
        dictionary.exceptions_list.push(name.to_owned());
        // Nothing is below an address.
        if name.bytes().any(|byte| byte.is_ascii_alphabetic()) && !name.contains(':') {
            dictionary.exceptions_list.push(format!("*.{name}"));
        }
    }
    Ok(Some(dictionary))
}

/// The login for the proxy, and for no other.
pub(super) fn login(args: &LoadArgs) -> Result<Option<Login>, Failure> {
    let Some(url) = url(args)? else { return Ok(None) };
    let host = url.host_str().unwrap_or_default();
    Ok(credential(args, &url).map(|credential| Login::for_proxy(host, port(args, &url), credential)))
}

fn credential(args: &LoadArgs, url: &Url) -> Option<UrlCredential> {
    let of =
        |user: &str, password: &str| UrlCredential::new(user, password, UrlCredentialPersistence::ForSession);
    if let Some(user) = &args.proxy_user {
        let (user, password) = user.split_once(':').unwrap_or((user, ""));
        return Some(of(user, password));
    }
    let decoded = |text| percent_encoding::percent_decode_str(text).decode_utf8_lossy();
    let user = Some(url.username()).filter(|user| !user.is_empty())?;
    Some(of(&decoded(user), &decoded(url.password().unwrap_or_default())))
}

fn url(args: &LoadArgs) -> Result<Option<Url>, Failure> {
    let Some(text) = args.proxy.as_deref().map(str::trim).filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    // What was given may hold a password: it is not repeated.
    let usage = |why: &str| Failure::Usage(format!("the proxy {why}"));
    let given = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let url: Url = given.parse().map_err(|error| usage(&format!("is not a URL: {error}")))?;
    match url.scheme() {
        "http" => Ok(Some(url)),
        scheme => Err(usage(&format!("has the scheme {scheme:?}; only http proxies are spoken to so far"))),
    }
}

/// The port of the scheme itself is not in the URL.
fn port(args: &LoadArgs, url: &Url) -> u16 {
    url.port().unwrap_or(if has_port_80(args) { 80 } else { 1080 })
}

/// Whether the port of the scheme itself was written out.
fn has_port_80(args: &LoadArgs) -> bool {
    args.proxy.as_deref().is_some_and(|text| text.trim().trim_end_matches('/').ends_with(":80"))
}
