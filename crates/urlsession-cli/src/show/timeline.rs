//! The timeline of a transaction: its phases as bars over one time axis, then what was sent over what.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use urlsession::metrics::TransactionMetrics;

use super::{cipher, secret};

/// The lines of a transaction.
pub(super) fn timeline(metrics: &TransactionMetrics) -> Vec<String> {
    let phases = phases(metrics);
    let mut lines = vec![title(metrics)];
    if let Some(end) = phases.iter().map(|phase| phase.end).max() {
        lines.extend(phases.iter().map(|phase| row(phase, end)));
    }
    lines.extend(metrics.cache_decision.map(|decision| format!("  cache: {decision}")));
    if let Some(connection) = connection(metrics) {
        lines.extend([format!("  {connection}"), format!("  {}", bytes(metrics))]);
    }
    lines
}

/// A phase, counted from the transaction's beginning.
struct Phase {
    name: &'static str,
    start: Duration,
    end: Duration,
}

/// The phases that took place, in order.
fn phases(m: &TransactionMetrics) -> Vec<Phase> {
    // Without TLS the whole making of the connection is TCP's.
    let connected = m.secure_connection_start_date.or(m.connect_end_date);
    // A server may answer before it has read the whole request: then nobody waited.
    let waiting = m.request_end_date.min(m.response_start_date);
    let all = [
        ("dns", m.domain_lookup_start_date, m.domain_lookup_end_date),
        ("connect", m.connect_start_date, connected),
        ("tls", m.secure_connection_start_date, m.secure_connection_end_date),
        ("send", m.request_start_date, m.request_end_date),
        ("wait", waiting, m.response_start_date),
        ("receive", m.response_start_date, m.response_end_date),
    ];
    let since = |at: SystemTime| at.duration_since(m.fetch_start_date).unwrap_or_default();
    let phase = |(name, start, end): (_, Option<_>, Option<_>)| {
        Some(Phase { name, start: since(start?), end: since(end?) })
    };
    all.into_iter().filter_map(phase).collect()
}

fn title(m: &TransactionMetrics) -> String {
    let url = secret::url(m.request.url());
    let outcome = m.response.as_ref().and_then(|response| response.status_code());
    let outcome = outcome.map_or_else(|| "no response".to_owned(), |status| status.to_string());
    format!("{} {url}: {outcome}", m.request.http_method())
}

fn row(phase: &Phase, end: Duration) -> String {
    let took = phase.end.saturating_sub(phase.start).as_secs_f64() * 1000.0;
    format!("  {:<8}{took:>9.2} ms  {}", phase.name, bar(phase.start, phase.end, end))
}

/// At least one cell, however short the phase.
fn bar(start: Duration, end: Duration, whole: Duration) -> String {
    let cell = |at: Duration| at.as_secs_f64() / whole.as_secs_f64().max(f64::MIN_POSITIVE) * WIDTH as f64;
    let first = (cell(start).floor() as usize).min(WIDTH - 1);
    let last = (cell(end).ceil() as usize).clamp(first + 1, WIDTH);
    format!("│{}{}{}│", " ".repeat(first), "█".repeat(last - first), " ".repeat(WIDTH - last))
}

/// Protocol, TLS and addresses, if there was a connection.
fn connection(m: &TransactionMetrics) -> Option<String> {
    let protocol = m.network_protocol_name?;
    let mut facts = vec![protocol.to_owned()];
    facts.extend(m.negotiated_tls_protocol_version.map(|version| version.to_string()));
    facts.extend(m.negotiated_tls_cipher_suite.map(cipher));
    facts.push(if m.is_reused_connection { "reused connection" } else { "new connection" }.into());
    let local = socket(m.local_address, m.local_port);
    let remote = socket(m.remote_address, m.remote_port);
    facts.extend(local.zip(remote).map(|(local, remote)| format!("{local} → {remote}")));
    Some(facts.join(", "))
}

fn socket(address: Option<IpAddr>, port: Option<u16>) -> Option<String> {
    Some(std::net::SocketAddr::new(address?, port?).to_string())
}

fn bytes(m: &TransactionMetrics) -> String {
    let sent = (m.count_of_request_header_bytes_sent, m.count_of_request_body_bytes_sent);
    let received = (m.count_of_response_header_bytes_received, m.count_of_response_body_bytes_received);
    let decoded = m.count_of_response_body_bytes_after_decoding;
    format!(
        "sent {} + {} bytes (head + body), received {} + {}, {decoded} after decoding",
        sent.0, sent.1, received.0, received.1
    )
}

const WIDTH: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(start: u64, end: u64, whole: u64) -> (usize, usize, usize) {
        let bar = bar(Duration::from_micros(start), Duration::from_micros(end), Duration::from_micros(whole));
        let before = bar.chars().skip(1).take_while(|c| *c == ' ').count();
        (before, bar.matches('█').count(), bar.chars().count() - 2)
    }

    #[test]
    fn bars_are_where_their_phases_are_and_as_long() {
        assert_eq!(drawn(0, 1000, 1000), (0, WIDTH, WIDTH));
        assert_eq!(drawn(500, 1000, 1000), (WIDTH / 2, WIDTH / 2, WIDTH));
    }

    #[test]
    fn a_phase_without_length_still_shows() {
        assert_eq!(drawn(0, 0, 1000), (0, 1, WIDTH));
        assert_eq!(drawn(1000, 1000, 1000), (WIDTH - 1, 1, WIDTH));
        assert_eq!(drawn(0, 0, 0), (0, 1, WIDTH));
    }
}
