//! From the options to a configuration and a request.

use std::fs;

use urlsession::network::HttpVersions;
use urlsession::security::AppTransportSecurity;
use urlsession::{Configuration, IntoUrlRequest, UrlRequest};

use super::address::with_scheme;
use super::failure::Failure;
use super::header::{self, Header};
use super::login;
use super::proxy;
use crate::args::LoadArgs;

/// What the session is to do.
pub(super) fn configuration(args: &LoadArgs) -> Result<Configuration, Failure> {
    let mut configuration = Configuration::ephemeral();
    if let Some(limit) = args.max_time.filter(|limit| !limit.is_zero()) {
        configuration.timeout_interval_for_resource = limit;
    }
    configuration.http_versions = match (args.http1, args.http2) {
        (true, _) => HttpVersions::Http1,
        (_, true) => HttpVersions::Http2,
        _ => HttpVersions::Automatic,
    };
    configuration.app_transport_security =
        AppTransportSecurity::default().allows_arbitrary_loads(args.allow_cleartext);
    configuration.omitted_header_fields = header::removed(&args.header);
    configuration.connection_proxy_dictionary = proxy::dictionary(args)?;
    if let Some(path) = &args.cacert {
        let pem = fs::read(path)
            .map_err(|error| Failure::Local(format!("cannot read {}: {error}", path.display())))?;
        configuration.add_trust_anchors_pem(&pem)?;
    }
    Ok(configuration)
}

/// What is to be loaded. `fill` gives it its body, and says by which method such a request is made.
pub(crate) fn request(
    args: &LoadArgs,
    url: &str,
    fill: impl FnOnce(&mut UrlRequest) -> Result<&'static str, Failure>,
) -> Result<UrlRequest, Failure> {
    // Before the URL is looked at: a header that cannot be sent is the command line's fault, not the load's.
    let headers = args.header.iter().map(|text| Header::parse(text)).collect::<Result<Vec<_>, _>>()?;
    let mut request = with_scheme(url).into_url_request()?;
    let usual = fill(&mut request)?;
    let method = args.request.as_deref().unwrap_or(usual);
    request
        .set_http_method(method)
        .map_err(|_| Failure::Usage(format!("the method {method:?} is not a token (RFC 9110 §9.1)")))?;
    if *request.http_method() == "GET" && request.http_body().is_some_and(|body| !body.is_empty()) {
        return Err(Failure::Usage(GET_WITH_BODY.into()));
    }
    if let Some(user) = args.user.as_ref().filter(|_| !login::is_sent_when_asked(args)) {
        header::set(&mut request, "Authorization", &basic(user))?;
    }
    header::apply(&headers, &mut request)?;
    Ok(request)
}

/// Why `-X GET` and a body do not go together.
pub(crate) const GET_WITH_BODY: &str = "a GET request has no body; use -X with POST, PUT or another method that sends \
                                        one, or write the data into the query of the URL";

/// RFC 7617 §2.
fn basic(user: &str) -> String {
    let user = if user.contains(':') { user.to_owned() } else { format!("{user}:") };
    format!("Basic {}", base64(user.as_bytes()))
}

/// RFC 4648 §4, padded.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits = (0..3).fold(0_u32, |bits, at| bits << 8 | u32::from(*group.get(at).unwrap_or(&0)));
        for digit in 0..4 {
            let index = (bits >> (18 - 6 * digit)) as usize & 63;
            out.push(if digit <= group.len() { char::from(ALPHABET[index]) } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn basic_credentials_are_those_of_the_rfc() {
        assert_eq!(basic("Aladdin:open sesame"), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        assert_eq!(basic("user"), basic("user:"));
    }
}
