//! Metrics: one transaction a request, dates in order, nothing where nothing was.

use std::time::SystemTime;

use urlsession::{ResourceFetchType, TlsVersion, TransactionMetrics};
use urlsession_testkit::{After, Reply, Wire};

use crate::support::*;

fn in_order(dates: &[Option<SystemTime>]) -> bool {
    let dates = dates.iter().flatten().collect::<Vec<_>>();
    dates.windows(2).all(|pair| pair[0] <= pair[1])
}

#[test]
fn a_new_connection_has_every_date_and_a_reused_one_none_of_its_making() {
    on_every_wire(|origin| {
        let (session, recorder) = recorded(origin);
        let mut request = request(&origin.url("/echo"), "POST", Some(b"12345"));
        request.set_value(Some("text/plain"), "Content-Type").unwrap();
        session.data_task(&request).resume();
        recorder.completed(1);
        session.data_task(&request).resume();
        let log = recorder.completed(2);
        let [first, second] = [0, 1].map(|i| log.metrics[i].transaction_metrics[0].clone());
        let is_tls = origin.url("").starts_with("https");
        for metrics in [&first, &second] {
            let dates = [
                Some(metrics.fetch_start_date),
                metrics.domain_lookup_start_date,
                metrics.domain_lookup_end_date,
                metrics.connect_start_date,
                metrics.secure_connection_start_date,
                metrics.secure_connection_end_date,
                metrics.connect_end_date,
                metrics.request_start_date,
                metrics.request_end_date,
                metrics.response_start_date,
                metrics.response_end_date,
            ];
            assert!(in_order(&dates), "{dates:?}");
            assert!(metrics.request_start_date.is_some() && metrics.request_end_date.is_some());
            assert!(metrics.response_start_date.is_some() && metrics.response_end_date.is_some());
            assert_eq!(metrics.resource_fetch_type, ResourceFetchType::NetworkLoad);
            assert_eq!(metrics.remote_port, Some(origin.port()));
            assert!(metrics.local_port.is_some() && metrics.local_address.unwrap().is_loopback());
            assert_eq!(metrics.negotiated_tls_protocol_version, is_tls.then_some(TlsVersion::Tls13));
            assert_eq!(metrics.negotiated_tls_cipher_suite.is_some(), is_tls);
            assert_eq!(
                (
                    metrics.count_of_request_body_bytes_sent,
                    metrics.count_of_response_body_bytes_after_decoding
                ),
                (5, 5)
            );
            assert!(metrics.count_of_response_body_bytes_received >= 5);
            assert!(metrics.count_of_request_header_bytes_sent > 20, "{metrics:?}");
            assert!(metrics.count_of_response_header_bytes_received > 10, "{metrics:?}");
            assert!(!metrics.is_proxy_connection);
        }
        assert!(first.connect_start_date.is_some() && first.connect_end_date.is_some());
        assert_eq!(first.secure_connection_start_date.is_some(), is_tls);
        // TLS origins are named, cleartext ones numbered.
        assert_eq!(first.domain_lookup_start_date.is_some(), is_tls);
        assert!(!first.is_reused_connection && second.is_reused_connection);
        for date in [
            second.domain_lookup_start_date,
            second.domain_lookup_end_date,
            second.connect_start_date,
            second.secure_connection_start_date,
            second.secure_connection_end_date,
            second.connect_end_date,
        ] {
            assert_eq!(date, None);
        }
        let protocol = if origin.requests()[0].stream.is_some() { "h2" } else { "http/1.1" };
        assert_eq!(first.network_protocol_name, Some(protocol));
        assert!(log.metrics[0].task_interval.0 <= first.fetch_start_date);
        assert!(log.metrics[0].task_interval.1 >= first.response_end_date.unwrap());
    });
}

#[test]
fn a_refused_connection_has_only_its_fetch_start() {
    on(Wire::H1, |origin| {
        let (session, recorder) = recorded(origin);
        session.data_task(format!("http://127.0.0.1:{}/", origin.closed_port())).resume();
        let log = recorder.completed(1);
        let metrics = &log.metrics[0].transaction_metrics[0];
        let TransactionMetrics {
            response,
            domain_lookup_start_date,
            connect_start_date,
            connect_end_date,
            ..
        } = metrics;
        assert!(response.is_none() && domain_lookup_start_date.is_none());
        assert!(connect_start_date.is_none() && connect_end_date.is_none());
        assert!(metrics.request_start_date.is_none() && metrics.response_end_date.is_none());
        assert_eq!(metrics.resource_fetch_type, ResourceFetchType::Unknown);
    });
}

#[test]
fn every_redirect_and_every_repetition_is_a_transaction() {
    on(Wire::H1, |origin| {
        let (session, recorder) = recorded(origin);
        origin.enqueue("/Nepal", Reply::new(200).body("x").then(After::KeepAlive));
        session.data_task(origin.url("/Nepal")).resume();
        recorder.completed(1);
        origin.enqueue("/redirect/1", Reply::drop_connection());
        session.data_task(origin.url("/redirect/1")).resume();
        let log = recorder.completed(2);
        let transactions = &log.metrics[1].transaction_metrics;
        let statuses =
            transactions.iter().map(|t| t.http_response().map(|r| r.status_code())).collect::<Vec<_>>();
        assert_eq!(statuses, [None, Some(302), Some(200)]);
        assert_eq!(log.metrics[1].redirect_count, 1);
        assert!(transactions[0].is_reused_connection && !transactions[1].is_reused_connection);
    });
}

#[test]
fn tasks_with_handlers_and_futures_have_metrics_too() {
    on_every_wire(|origin| {
        let (session, recorder) = recorded(origin);
        load(&session, origin.url("/Peru")).unwrap();
        in_tokio(session.data(origin.url("/Peru"))).unwrap();
        session.bytes(origin.url("/Peru")).wait().unwrap().0.wait_chunk();
        let log = recorder.wait_for(|log| log.metrics.len() >= 2);
        assert!(log.calls.is_empty(), "{:?}", log.calls);
    });
}
