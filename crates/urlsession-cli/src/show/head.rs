//! Heads of requests and responses, line by line.

use urlsession::{HttpUrlResponse, StatusCode, Url, UrlRequest, UrlResponse};

use super::{secret, version};

/// Line and fields of a request, secrets left out, every line behind `margin`. The fields every request of the
/// session carries are not the request's own and not listed.
pub(crate) fn request_head(request: &UrlRequest, margin: &str) -> String {
    let url = request.url();
    let mut lines = vec![format!("{} {}", request.http_method(), target(url))];
    if request.value("host").is_none() {
        lines.push(format!("Host: {}", authority(url)));
    }
    lines.extend(request_fields(request).into_iter().map(|[name, value]| format!("{name}: {value}")));
    block(lines, margin)
}

/// Line and fields of a response, secrets left out, every line behind `margin`.
pub(crate) fn response_head(response: &UrlResponse, margin: &str) -> String {
    let mut lines: Vec<_> = response.http().iter().map(status_line).collect();
    lines.extend(response_fields(response).into_iter().map(|[name, value]| format!("{name}: {value}")));
    block(lines, margin)
}

/// Line and fields of a response as they are, secrets too, as they go before a body.
pub(crate) fn plain_head(response: &UrlResponse) -> Vec<u8> {
    let Some(http) = response.http() else { return Vec::new() };
    let mut head = format!("{}\r\n", status_line(&http)).into_bytes();
    for (name, value) in fields(&http) {
        head.extend([name.as_bytes(), b": ", &value, b"\r\n"].concat());
    }
    head.extend(b"\r\n");
    head
}

/// Names and values of a response's fields, secrets left out.
pub(crate) fn response_fields(response: &UrlResponse) -> Vec<[String; 2]> {
    let fields = response.http().iter().flat_map(fields).collect::<Vec<_>>();
    fields.into_iter().map(|(name, value)| shown(name, &value)).collect()
}

/// Names and values of a request's own fields, secrets left out.
pub(crate) fn request_fields(request: &UrlRequest) -> Vec<[String; 2]> {
    request.all_http_header_fields().map(|(name, value)| shown(name.to_owned(), value)).collect()
}

fn shown(name: String, value: &[u8]) -> [String; 2] {
    let value = secret::value(&name, value);
    [name, value]
}

/// Spelling and order are of the one list, values of the other, which does not join them: two cookies must stay
/// two.
fn fields(http: &HttpUrlResponse) -> Vec<(String, Vec<u8>)> {
    let names = http.all_header_fields().into_iter().map(|(name, _)| name);
    let values = |name: &String| http.headers().get_all(name.as_str()).iter().map(|v| v.as_bytes().to_vec());
    names.flat_map(|name| values(&name).map(|value| (name.clone(), value)).collect::<Vec<_>>()).collect()
}

fn target(url: &Url) -> String {
    let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
    format!("{}{query}", url.path())
}

fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

fn status_line(http: &HttpUrlResponse) -> String {
    let usual = || StatusCode::from_u16(http.status_code()).ok()?.canonical_reason();
    let version = version(http.version());
    match http.reason_phrase().or_else(usual) {
        Some(reason) => format!("{version} {} {reason}", http.status_code()),
        None => format!("{version} {}", http.status_code()),
    }
}

fn block(mut lines: Vec<String>, margin: &str) -> String {
    lines.push(String::new());
    lines.into_iter().map(|line| format!("{}\n", format!("{margin}{line}").trim_end())).collect()
}
