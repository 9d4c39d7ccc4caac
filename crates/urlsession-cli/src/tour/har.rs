//! Stop: the log of a load, in the format of browsers' developer tools.

use serde_json::Value;
use urlsession::block_on;
use urlsession::metrics::HarLog;
use urlsession::{IntoUrlRequest, UrlSession};
use urlsession_testkit::{Origin, Wire};

use super::page::Page;
use super::{Outcome, Stop, ensure, trusting};

pub(super) const STOP: Stop = Stop {
    title: "A HAR file any viewer opens",
    why: "Every task keeps its metrics, without a delegate; as a log they can be looked at elsewhere, secrets left out.",
    visit,
};

fn visit(page: &mut Page) -> Outcome {
    let origin = Origin::start(Wire::TlsH2);
    let session = UrlSession::new(trusting(&origin));
    let mut request = origin.url("/redirect/1").into_url_request()?;
    request.set_value("Authorization", "Bearer s3cret")?;
    let data = session.data(request);
    let task = data.task();
    block_on(data)?;
    let log: HarLog = task.metrics().iter().flat_map(|metrics| metrics.har_entries()).collect();
    let document = log.to_json();
    let read: Value = serde_json::from_str(&document)?;
    let entries = read["log"]["entries"].as_array().map_or(&[][..], Vec::as_slice);
    for entry in entries {
        let (request, response) = (&entry["request"], &entry["response"]);
        page.say(format_args!(
            "{} {} {}: {} in {} ms, Authorization: {}",
            entry["startedDateTime"].as_str().unwrap_or_default(),
            request["method"].as_str().unwrap_or_default(),
            request["url"].as_str().unwrap_or_default(),
            response["status"],
            entry["time"],
            authorization(request),
        ));
    }
    page.say(format_args!("{} bytes of JSON: the file opens in any viewer", document.len()));
    page.say("");
    ensure(entries.len() == 2, "the redirect and its target are logged")?;
    ensure(!document.contains("s3cret") && document.contains("[redacted]"), "no secret is in the log")
}

fn authorization(request: &Value) -> &str {
    let mut fields = request["headers"].as_array().into_iter().flatten();
    let found = fields.find(|field| field["name"] == "Authorization");
    found.and_then(|field| field["value"].as_str()).unwrap_or("none")
}
