//! How requests, responses and metrics are shown to people: the same in `-v`, in `--json` and on the tour.

mod cipher;
mod head;
mod secret;
mod timeline;

use urlsession::Version;
use urlsession::metrics::TaskMetrics;

pub(crate) use self::cipher::cipher;
pub(crate) use self::head::{plain_head, request_fields, request_head, response_fields, response_head};
pub(crate) use self::secret::url;
use self::timeline::timeline;

/// The timelines of all transactions, every line behind `margin`.
pub(crate) fn timelines(metrics: Option<&TaskMetrics>, margin: &str) -> String {
    let transactions = metrics.map_or(&[][..], |metrics| &metrics.transaction_metrics);
    let lines = transactions.iter().flat_map(timeline);
    lines.map(|line| format!("{margin}{line}\n")).collect()
}

/// The version as its RFC spells it.
pub(crate) fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_09 => "HTTP/0.9",
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_11 => "HTTP/1.1",
        Version::HTTP_2 => "HTTP/2",
        Version::HTTP_3 => "HTTP/3",
        _ => "HTTP",
    }
}
