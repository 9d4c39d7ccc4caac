//! The time of a transaction, divided into HAR's phases. In whole microseconds, so that the sum is exact.

use std::time::SystemTime;

use super::json::Json;
use crate::task::metrics::TransactionMetrics;

/// Microseconds per phase; `None` where the phase did not take place.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Timings {
    pub(super) blocked: Option<i64>,
    pub(super) dns: Option<i64>,
    /// TLS included.
    pub(super) connect: Option<i64>,
    pub(super) ssl: Option<i64>,
    pub(super) send: i64,
    pub(super) wait: i64,
    pub(super) receive: i64,
}

impl Timings {
    /// `until` is when a transaction without an end was abandoned: the time up to then belongs to the phase it was in.
    pub(super) fn new(m: &TransactionMetrics, until: SystemTime) -> Self {
        let since = |at: SystemTime| {
            let micros = at.duration_since(m.fetch_start_date).unwrap_or_default().as_micros();
            i64::try_from(micros).unwrap_or(i64::MAX)
        };
        let end = since(m.response_end_date.unwrap_or(until));
        let at = |date: Option<SystemTime>| date.map(|date| since(date).min(end));
        let mut clock = Clock { now: 0, idle: 0 };
        // A phase without an end is the one in which the transaction failed.
        let span = |start, stop| at(start).zip(at(stop).or(Some(end)));
        let dns = clock.phase(span(m.domain_lookup_start_date, m.domain_lookup_end_date));
        let connect = clock.phase(span(m.connect_start_date, m.connect_end_date));
        let secure = span(m.secure_connection_start_date, m.secure_connection_end_date);
        let ssl = secure.map(|(start, end)| (end - start).clamp(0, connect.unwrap_or(0)));
        let mut all = Self { dns, connect, ssl, ..Self::default() };
        if let Some(start) = at(m.request_start_date) {
            clock.wait(start);
            let answered = at(m.response_start_date);
            // A server may answer before it has read the whole request: then there was no wait.
            let sent = at(m.request_end_date).or(answered).unwrap_or(end);
            all.send = clock.reach(answered.map_or(sent, |answered| sent.min(answered)));
            all.wait = clock.reach(answered.unwrap_or(end));
            all.receive = clock.reach(end);
        } else {
            clock.wait(end);
        }
        all.blocked = Some(clock.idle);
        all
    }

    /// The time of the whole transaction: all phases but `ssl`, which is part of `connect`.
    pub(super) fn sum(&self) -> i64 {
        let made = self.blocked.unwrap_or(0) + self.dns.unwrap_or(0) + self.connect.unwrap_or(0);
        made + self.send + self.wait + self.receive
    }

    pub(super) fn json(&self) -> Json {
        let optional = |micros: Option<i64>| micros.map_or(Json::Number(-1), Json::Millis);
        Json::Object(vec![
            ("blocked", optional(self.blocked)),
            ("dns", optional(self.dns)),
            ("connect", optional(self.connect)),
            ("ssl", optional(self.ssl)),
            ("send", Json::Millis(self.send)),
            ("wait", Json::Millis(self.wait)),
            ("receive", Json::Millis(self.receive)),
        ])
    }
}

/// Walks through a transaction; time that belongs to no phase is idle.
struct Clock {
    now: i64,
    idle: i64,
}

impl Clock {
    /// The time until `at`.
    fn reach(&mut self, at: i64) -> i64 {
        let time = (at - self.now).max(0);
        self.now += time;
        time
    }

    fn wait(&mut self, until: i64) {
        self.idle += self.reach(until);
    }

    fn phase(&mut self, span: Option<(i64, i64)>) -> Option<i64> {
        let (start, end) = span?;
        self.wait(start);
        Some(self.reach(end))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    use super::*;
    use crate::load::{ConnectionInfo, DialRecord, Span, TransactionRecord};
    use crate::message::UrlRequest;
    use crate::task::metrics::{Epoch, TaskMetrics};

    /// Timings of a transaction that began at 0, its dates in milliseconds; the task ended at 1000.
    fn timings(write: impl FnOnce(&mut TransactionRecord, &dyn Fn(u64) -> Instant)) -> Timings {
        let zero = Instant::now();
        let at = |millis| zero + Duration::from_millis(millis);
        let mut transaction =
            TransactionRecord::start(Arc::new(UrlRequest::new("https://a/".parse().unwrap())), zero);
        write(&mut transaction, &at);
        let epoch = Epoch { monotonic: zero, wall: SystemTime::UNIX_EPOCH };
        let metrics = TaskMetrics::new(&[transaction], epoch, at(1000));
        Timings::new(&metrics.transaction_metrics[0], metrics.task_interval.1)
    }

    fn span(start: Instant, end: Instant) -> Option<Span> {
        Some(Span { start, end: Some(end) })
    }

    fn info(at: &dyn Fn(u64) -> Instant) -> Arc<ConnectionInfo> {
        Arc::new(ConnectionInfo::plain(DialRecord {
            domain_lookup: span(at(10), at(30)),
            connect: span(at(31), at(100)),
            secure: span(at(60), at(100)),
            ..DialRecord::default()
        }))
    }

    const MS: i64 = 1000;

    #[test]
    fn every_phase_has_its_time_and_the_sum_is_the_whole() {
        let all = timings(|transaction, at| {
            transaction.connection = Some(info(at));
            transaction.request_start = Some(at(102));
            transaction.request_end = Some(at(105));
            transaction.response_start = Some(at(200));
            transaction.response_end = Some(at(250));
        });
        let expected = Timings {
            blocked: Some(13 * MS),
            dns: Some(20 * MS),
            connect: Some(69 * MS),
            ssl: Some(40 * MS),
            send: 3 * MS,
            wait: 95 * MS,
            receive: 50 * MS,
        };
        assert_eq!((all.sum(), all), (250 * MS, expected));
    }

    #[test]
    fn a_reused_connection_was_made_by_nobody_and_an_early_answer_is_not_waited_for() {
        let all = timings(|transaction, at| {
            (transaction.connection, transaction.reused) = (Some(info(at)), true);
            transaction.request_start = Some(at(1));
            transaction.response_start = Some(at(50));
            transaction.request_end = Some(at(70));
            transaction.response_end = Some(at(80));
        });
        let expected =
            Timings { blocked: Some(MS), send: 49 * MS, wait: 0, receive: 30 * MS, ..Timings::default() };
        assert_eq!((all.sum(), all), (80 * MS, expected));
    }

    #[test]
    fn the_time_of_a_failure_belongs_to_the_phase_it_happened_in() {
        let none = timings(|_, _| {});
        assert_eq!(none, Timings { blocked: Some(1000 * MS), ..Timings::default() });
        let failed = |write: fn(&mut DialRecord, &dyn Fn(u64) -> Instant)| {
            timings(|transaction, at| write(transaction.attempted.insert(Box::default()), at))
        };
        let in_lookup = failed(|dial_record, at| dial_record.domain_lookup = Span::since(at(10)));
        let expected = Timings { blocked: Some(10 * MS), dns: Some(990 * MS), ..Timings::default() };
        assert_eq!(in_lookup, expected);
        let in_tls = failed(|dial_record, at| {
            dial_record.domain_lookup = span(at(10), at(30));
            (dial_record.connect, dial_record.secure) = (Span::since(at(30)), Span::since(at(100)));
        });
        let expected = Timings {
            blocked: Some(10 * MS),
            dns: Some(20 * MS),
            connect: Some(970 * MS),
            ssl: Some(900 * MS),
            ..Timings::default()
        };
        assert_eq!((in_tls.sum(), in_tls), (1000 * MS, expected));
        let sent = timings(|transaction, at| {
            transaction.request_start = Some(at(5));
            transaction.request_end = Some(at(6));
        });
        let expected = Timings { blocked: Some(5 * MS), send: MS, wait: 994 * MS, ..Timings::default() };
        assert_eq!(sent, expected);
        let half_sent = timings(|transaction, at| transaction.request_start = Some(at(5)));
        assert_eq!((half_sent.send, half_sent.wait, half_sent.sum()), (995 * MS, 0, 1000 * MS));
    }

    #[test]
    fn a_connection_begun_for_another_request_takes_no_time_of_before() {
        let all = timings(|transaction, at| {
            let mut info = (*info(at)).clone();
            let early = |millis| at(0) - Duration::from_millis(millis);
            info.made = DialRecord {
                domain_lookup: span(early(40), early(30)),
                connect: span(early(30), at(10)),
                secure: span(early(10), at(10)),
                ..DialRecord::default()
            };
            transaction.connection = Some(Arc::new(info));
            transaction.request_start = Some(at(10));
            transaction.response_start = Some(at(20));
            transaction.response_end = Some(at(20));
        });
        assert_eq!((all.dns, all.connect, all.ssl), (Some(0), Some(10 * MS), Some(10 * MS)));
        assert_eq!((all.blocked, all.sum()), (Some(0), 20 * MS));
    }
}
