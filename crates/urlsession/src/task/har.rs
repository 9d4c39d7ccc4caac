//! HAR 1.2: the metrics as a log that the developer tools of browsers open. The log contains the text of request bodies,
//! but not known secrets.
//!
//! The format: <http://www.softwareishard.com/blog/har-12-spec/>.

mod date;
mod json;
mod secret;
mod timings;

use std::fmt;
use std::time::SystemTime;

use http::{Method, Version, header};
use url::Url;
use urlsession_proto::field::raw_fields;
use urlsession_proto::userinfo::without_userinfo;

use self::date::iso8601;
use self::json::Json;
use self::timings::Timings;
use super::metrics::{TaskMetrics, TransactionMetrics};
use crate::message::UrlResponse;

/// A log of transactions in the HTTP Archive format, version 1.2. [`Display`](fmt::Display) is the JSON document.
///
/// It can hold the entries of several tasks; they are written in the order in which they began. Request fields are those
/// that were sent, including those that the library added. The values of `Authorization`, `Cookie`, `Proxy-Authorization`
/// and `Set-Cookie` and the userinfo of URLs are `[redacted]`; queries and other fields are not. The log contains the first
/// 64 KiB of each request body that is in memory and whose `Content-Type` is text, form data included: treat the log as
/// confidential as the data that the application sends.
///
/// ```no_run
/// # async fn log() -> Result<(), Box<dyn std::error::Error>> {
/// let data = urlsession::UrlSession::shared().data("https://example.com/");
/// let task = data.task();
/// data.await?;
/// let log: urlsession::metrics::HarLog = task.metrics().iter().flat_map(|metrics| metrics.har_entries()).collect();
/// std::fs::write("example.har", log.to_json())?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct HarLog {
    creator: (String, String),
    entries: Vec<HarEntry>,
}

impl HarLog {
    /// An empty log, with this library as its creator.
    pub fn new() -> Self {
        Self {
            creator: (env!("CARGO_PKG_NAME").into(), env!("CARGO_PKG_VERSION").into()),
            entries: Vec::new(),
        }
    }

    /// Sets the creator of the log: the name and the version of the application.
    pub fn with_creator(mut self, name: impl Into<String>, version: impl Into<String>) -> Self {
        self.creator = (name.into(), version.into());
        self
    }

    /// The entries, in the order in which they were added.
    pub fn entries(&self) -> &[HarEntry] {
        &self.entries
    }

    /// The log as a JSON document.
    pub fn to_json(&self) -> String {
        self.to_string()
    }
}

impl Default for HarLog {
    fn default() -> Self {
        Self::new()
    }
}

impl Extend<HarEntry> for HarLog {
    fn extend<I: IntoIterator<Item = HarEntry>>(&mut self, entries: I) {
        self.entries.extend(entries);
    }
}

impl FromIterator<HarEntry> for HarLog {
    fn from_iter<I: IntoIterator<Item = HarEntry>>(entries: I) -> Self {
        let mut log = Self::new();
        log.extend(entries);
        log
    }
}

impl fmt::Display for HarLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, version) = &self.creator;
        let creator = Json::Object(vec![("name", Json::text(&**name)), ("version", Json::text(&**version))]);
        write!(f, "{{\"log\":{{\"version\":\"1.2\",\"creator\":{creator},\"entries\":[")?;
        let mut entries: Vec<_> = self.entries.iter().collect();
        // "Preferred way how to export data: sorted by startedDateTime."
        entries.sort_by_key(|entry| entry.started);
        for (at, entry) in entries.into_iter().enumerate() {
            write!(f, "{}\n{entry}", if at == 0 { "" } else { "," })?;
        }
        writeln!(f, "\n]}}}}")
    }
}

impl fmt::Debug for HarLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HarLog")
            .field("creator", &self.creator)
            .field("entries", &self.entries.len())
            .finish()
    }
}

/// One transaction of a [`HarLog`]. [`Display`](fmt::Display) is its JSON object.
#[derive(Clone)]
pub struct HarEntry {
    started: SystemTime,
    json: Json,
}

impl fmt::Display for HarEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.json.fmt(f)
    }
}

impl fmt::Debug for HarEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HarEntry({self})")
    }
}

impl TaskMetrics {
    /// The transactions as entries of a [`HarLog`], in order. A transaction without a response has the status 0; a failed
    /// one gives the reason in `_error`. `_cacheDecision` holds the cache decision.
    pub fn har_entries(&self) -> Vec<HarEntry> {
        let all = &self.transaction_metrics;
        let ends = all.iter().skip(1).map(|next| next.fetch_start_date).chain([self.task_interval.1]);
        all.iter().zip(ends).map(|(one, end)| HarEntry::new(one, end)).collect()
    }
}

impl HarEntry {
    fn new(m: &TransactionMetrics, until: SystemTime) -> Self {
        let timings = Timings::new(m, until);
        let mut members = vec![
            ("startedDateTime", Json::text(iso8601(m.fetch_start_date))),
            ("time", Json::Millis(timings.sum())),
            ("request", request(m)),
            ("response", response(m)),
            ("cache", Json::Object(Vec::new())),
            ("timings", timings.json()),
        ];
        members.extend(m.remote_address.map(|address| ("serverIPAddress", Json::text(address.to_string()))));
        members.extend(m.local_port.map(|port| ("connection", Json::text(port.to_string()))));
        let error = m.error.as_ref().map(|error| format!("{}: {error}", error.code().name()));
        let no_response = || m.response.is_none().then(|| "no response".to_owned());
        let error = error.or_else(no_response);
        let decision = m.cache_decision.map(|decision| Json::Text(decision.to_string()));
        members.extend(decision.map(|decision| ("_cacheDecision", decision)));
        members.extend(error.map(|error| ("_error", Json::Text(without_userinfo(&error)))));
        Self { started: m.fetch_start_date, json: Json::Object(members) }
    }
}

fn request(m: &TransactionMetrics) -> Json {
    let request = &*m.request;
    let is_sent = m.request_start_date.is_some();
    let sent = |count| if is_sent { Json::count(count) } else { UNKNOWN };
    let query = request.url().query_pairs();
    let mut members = vec![
        ("method", Json::text(request.http_method().as_str())),
        ("url", Json::Text(secret::url(request.url()))),
        ("httpVersion", Json::text(m.network_protocol_name.map_or("unknown", protocol_version))),
        ("cookies", Json::NONE),
        ("headers", Json::List(request_fields(m))),
        ("queryString", Json::List(query.map(|(name, value)| pair(&name, value.into_owned())).collect())),
        ("headersSize", sent(m.count_of_request_header_bytes_sent)),
        ("bodySize", sent(m.count_of_request_body_bytes_sent)),
    ];
    if !request.content().is_empty() {
        members.push(("postData", post_data(m)));
    }
    Json::Object(members)
}

/// The fields that were sent; for a request that was not sent, its own fields.
fn request_fields(m: &TransactionMetrics) -> Vec<Json> {
    m.request.fields().iter().map(|(name, value)| field(name, value)).collect()
}

/// The media type of the body, and its text if it is text. Its size is the request's `bodySize`.
fn post_data(m: &TransactionMetrics) -> Json {
    let request = &m.request;
    let implied = match *request.http_method() {
        Method::POST => "application/x-www-form-urlencoded",
        _ => "",
    };
    let kind = request.value("content-type").unwrap_or(implied);
    let data = request.http_body().filter(|_| is_text(kind));
    let text = data.and_then(|data| text_of(&data[..data.len().min(MOST_TEXT)]));
    let is_cut = text.is_some() && data.is_some_and(|data| data.len() > MOST_TEXT);
    let mut members = vec![
        ("mimeType", Json::text(kind)),
        ("params", Json::NONE),
        ("text", Json::text(text.unwrap_or(""))),
    ];
    if is_cut {
        members.push(("comment", Json::Text(format!("the first {MOST_TEXT} bytes"))));
    }
    Json::Object(members)
}

/// Whether a body of this media type is text, according to its registration (RFC 6838 §4.2).
fn is_text(kind: &str) -> bool {
    const TEXT: [&str; 6] = [
        "application/x-www-form-urlencoded",
        "application/json",
        "application/xml",
        "application/javascript",
        "application/graphql",
        "application/x-ndjson",
    ];
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let has_text_syntax = ["+json", "+xml", "+yaml"].iter().any(|suffix| kind.ends_with(suffix));
    kind.starts_with("text/") || has_text_syntax || TEXT.contains(&&*kind)
}

/// Bytes that are not UTF-8 are not shown. A character that is cut at the end is left out.
fn text_of(bytes: &[u8]) -> Option<&str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Some(text),
        Err(error) if error.error_len().is_none() => std::str::from_utf8(&bytes[..error.valid_up_to()]).ok(),
        Err(_) => None,
    }
}

fn response(m: &TransactionMetrics) -> Json {
    let http = m.http_response();
    let value = |name| http.as_ref().and_then(|http| http.value(name)).unwrap_or_default();
    let received = |count| if m.response.is_some() { Json::count(count) } else { UNKNOWN };
    let status = http.as_ref().map_or(0, |http| i64::from(http.status_code()));
    let reason = http.as_ref().and_then(|http| http.reason_phrase()).unwrap_or_default();
    Json::Object(vec![
        ("status", Json::Number(status)),
        ("statusText", Json::text(reason)),
        ("httpVersion", Json::text(http.as_ref().map_or("unknown", |http| version(http.version())))),
        ("cookies", Json::NONE),
        ("headers", Json::List(m.response.as_ref().map(response_fields).unwrap_or_default())),
        ("content", content(m)),
        ("redirectURL", Json::Text(redirect_url(m.request.url(), value(header::LOCATION.as_str())))),
        ("headersSize", received(m.count_of_response_header_bytes_received)),
        ("bodySize", received(m.count_of_response_body_bytes_received)),
    ])
}

/// In the spelling and order of the server, where the protocol keeps them.
fn response_fields(response: &UrlResponse) -> Vec<Json> {
    let Some(head) = response.http_head() else { return Vec::new() };
    if head.raw.is_empty() {
        return head.fields.iter().map(|(name, value)| field(name.as_str(), value.as_bytes())).collect();
    }
    raw_fields(&head.raw).map(|(name, value)| field(name, value)).collect()
}

fn content(m: &TransactionMetrics) -> Json {
    let http = m.http_response();
    let kind = http.as_ref().and_then(|http| http.value(header::CONTENT_TYPE.as_str()));
    let (coded, size) =
        (m.count_of_response_body_bytes_received, m.count_of_response_body_bytes_after_decoding);
    let mut members =
        vec![("size", Json::count(size)), ("mimeType", Json::text(kind.unwrap_or("x-unknown")))];
    if http.is_some_and(|http| http.value(header::CONTENT_ENCODING.as_str()).is_some()) {
        let saved = i128::from(size) - i128::from(coded);
        members.push(("compression", Json::Number(i64::try_from(saved).unwrap_or(i64::MAX))));
    }
    Json::Object(members)
}

/// Absolute if possible, without userinfo.
fn redirect_url(base: &Url, location: &str) -> String {
    if location.is_empty() {
        return String::new();
    }
    match base.join(location) {
        Ok(url) => secret::url(&url),
        Err(_) => without_userinfo(location),
    }
}

fn field(name: &str, value: &[u8]) -> Json {
    pair(name, secret::value(name, value))
}

fn pair(name: &str, value: String) -> Json {
    Json::Object(vec![("name", Json::text(name)), ("value", Json::Text(value))])
}

fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_09 => "HTTP/0.9",
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_11 => "HTTP/1.1",
        Version::HTTP_2 => "HTTP/2",
        Version::HTTP_3 => "HTTP/3",
        _ => "unknown",
    }
}

/// By the ALPN name.
fn protocol_version(name: &'static str) -> &'static str {
    match name {
        "http/1.1" => "HTTP/1.1",
        "h2" => "HTTP/2",
        name => name,
    }
}

const UNKNOWN: Json = Json::Number(-1);
/// The maximum number of bytes of a request body that are shown.
const MOST_TEXT: usize = 64 * 1024;
