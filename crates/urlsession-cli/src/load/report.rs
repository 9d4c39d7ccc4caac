//! `--json`: everything about a load as one object. Its keys are documented in the crate's README.

use std::net::IpAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use urlsession::metrics::{TaskMetrics, TransactionMetrics};
use urlsession::{UrlError, UrlRequest, UrlResponse};

use super::Story;
use super::failure::Failure;
use crate::show;

/// The object.
pub(super) fn report(story: &Story, failure: Option<&Failure>) -> Value {
    let url = match (&story.response, &story.request) {
        (Some(response), _) => Some(response.url()),
        (None, request) => request.as_ref().map(UrlRequest::url),
    };
    let mut report = story.response.as_ref().map_or_else(no_response, response);
    report["url"] = json!(url.map(show::url));
    report["metrics"] = json!(story.metrics.as_deref().map(metrics));
    report["error"] = failure.map_or(Value::Null, error);
    report
}

fn no_response() -> Value {
    json!({ "url": null, "status": null, "version": null, "headers": [] })
}

fn response(response: &UrlResponse) -> Value {
    json!({
        "url": show::url(response.url()),
        "status": response.status_code(),
        "version": response.http().map(|http| show::version(http.version())),
        "headers": show::response_fields(response),
    })
}

fn request(request: &UrlRequest) -> Value {
    json!({
        "url": show::url(request.url()),
        "method": request.http_method().as_str(),
        "headers": show::request_fields(request),
    })
}

fn error(failure: &Failure) -> Value {
    match failure {
        Failure::Load(error) => load_error(error),
        Failure::Local(message) | Failure::Usage(message) => {
            json!({ "code": null, "name": null, "phase": null, "message": message })
        }
        Failure::Closed => Value::Null,
    }
}

fn load_error(error: &UrlError) -> Value {
    json!({
        "code": error.code().number(),
        "name": error.code().name(),
        "phase": error.phase().to_string(),
        "message": error.to_string(),
    })
}

fn metrics(metrics: &TaskMetrics) -> Value {
    json!({
        "task_interval": [seconds(metrics.task_interval.0), seconds(metrics.task_interval.1)],
        "redirect_count": metrics.redirect_count,
        "transaction_metrics": metrics.transaction_metrics.iter().map(transaction).collect::<Vec<_>>(),
    })
}

fn transaction(m: &TransactionMetrics) -> Value {
    let mut all = json!({
        "request": request(&m.request),
        "response": m.response.as_ref().map(response),
        "error": m.error.as_ref().map(load_error),
        "fetch_start_date": seconds(m.fetch_start_date),
        "domain_lookup_start_date": date(m.domain_lookup_start_date),
        "domain_lookup_end_date": date(m.domain_lookup_end_date),
        "connect_start_date": date(m.connect_start_date),
        "secure_connection_start_date": date(m.secure_connection_start_date),
        "secure_connection_end_date": date(m.secure_connection_end_date),
        "connect_end_date": date(m.connect_end_date),
        "request_start_date": date(m.request_start_date),
        "request_end_date": date(m.request_end_date),
        "response_start_date": date(m.response_start_date),
        "response_end_date": date(m.response_end_date),
    });
    let more = json!({
        "network_protocol_name": m.network_protocol_name,
        "is_proxy_connection": m.is_proxy_connection,
        "is_reused_connection": m.is_reused_connection,
        "cache_decision": m.cache_decision.map(|decision| decision.to_string()),
        "resource_fetch_type": format!("{:?}", m.resource_fetch_type),
        "count_of_request_header_bytes_sent": m.count_of_request_header_bytes_sent,
        "count_of_request_body_bytes_sent": m.count_of_request_body_bytes_sent,
        "count_of_request_body_bytes_before_encoding": m.count_of_request_body_bytes_before_encoding,
        "count_of_response_header_bytes_received": m.count_of_response_header_bytes_received,
        "count_of_response_body_bytes_received": m.count_of_response_body_bytes_received,
        "count_of_response_body_bytes_after_decoding": m.count_of_response_body_bytes_after_decoding,
        "local_address": address(m.local_address),
        "local_port": m.local_port,
        "remote_address": address(m.remote_address),
        "remote_port": m.remote_port,
        "negotiated_tls_protocol_version": m.negotiated_tls_protocol_version.map(|tls| tls.to_string()),
        "negotiated_tls_cipher_suite": m.negotiated_tls_cipher_suite.map(show::cipher),
        "is_cellular": m.is_cellular,
        "is_expensive": m.is_expensive,
        "is_constrained": m.is_constrained,
        "is_multipath": m.is_multipath,
        "domain_resolution_protocol": format!("{:?}", m.domain_resolution_protocol),
    });
    // Two halves: the macro does not take so many keys at once.
    if let (Value::Object(all), Value::Object(more)) = (&mut all, more) {
        all.extend(more);
    }
    all
}

fn date(at: Option<SystemTime>) -> Option<f64> {
    at.map(seconds)
}

/// Seconds since 1970, to the microsecond that a JSON number holds.
fn seconds(at: SystemTime) -> f64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_micros() as f64 / 1e6
}

fn address(address: Option<IpAddr>) -> Option<String> {
    address.map(|address| address.to_string())
}
