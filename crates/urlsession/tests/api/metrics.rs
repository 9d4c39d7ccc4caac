//! Metrics: one transaction a request, dates in order, nothing where nothing was.

use std::time::SystemTime;

use urlsession::{ResourceFetchType, TlsVersion, TransactionMetrics, UrlErrorCode};
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

#[test]
fn whoever_asks_a_task_that_is_over_gets_its_metrics_without_a_delegate() {
    on_every_wire(|origin| {
        let session = session(origin);
        let data = session.data(origin.url("/Peru"));
        let task = data.task();
        assert!(task.metrics().is_none(), "nothing is measured before the end");
        in_tokio(data).unwrap();
        let (mut body, _) = session.bytes(origin.url("/Peru")).wait().unwrap();
        assert!(body.task().metrics().is_none(), "the body is still to come");
        while body.wait_chunk().transpose().unwrap().is_some() {}
        let (handled, result) = load_with_task(&session, origin.url("/Peru"));
        result.unwrap();
        for task in [task, body.task(), handled] {
            let metrics = task.metrics().unwrap();
            let [transaction] = &metrics.transaction_metrics[..] else { panic!("{metrics:?}") };
            assert_eq!(transaction.response.as_ref(), task.response().as_ref());
            assert_eq!(transaction.count_of_response_body_bytes_after_decoding, 4);
            assert!(transaction.error.is_none());
            assert!(metrics.task_interval.1 >= transaction.response_end_date.unwrap());
            assert!(std::sync::Arc::ptr_eq(&metrics, &task.metrics().unwrap()), "measured once");
        }
    });
}

#[test]
fn a_delegate_and_the_task_tell_the_same() {
    on(Wire::H1, |origin| {
        let (session, recorder) = recorded(origin);
        let task = session.data_task(origin.url("/Nepal"));
        task.resume();
        let log = recorder.completed(1);
        assert_eq!(format!("{:?}", log.metrics[0]), format!("{:?}", task.metrics().unwrap()));
    });
}

#[test]
fn a_failed_task_has_metrics_that_say_why() {
    on(Wire::H1, |origin| {
        let session = session(origin);
        let (task, result) = load_with_task(&session, format!("http://127.0.0.1:{}/", origin.closed_port()));
        let metrics = task.metrics().unwrap();
        let why = metrics.transaction_metrics[0].error.as_ref().unwrap();
        assert_eq!(why.code(), result.unwrap_err().code());
        // Tried again on another connection: the first transaction failed, the task did not.
        load(&session, origin.url("/Nepal")).unwrap();
        origin.enqueue("/Peru", Reply::drop_connection());
        let (task, result) = load_with_task(&session, origin.url("/Peru"));
        result.unwrap();
        let metrics = task.metrics().unwrap();
        let codes = metrics.transaction_metrics.iter().map(|t| t.error.as_ref().map(|error| error.code()));
        assert_eq!(codes.collect::<Vec<_>>(), [Some(UrlErrorCode::NetworkConnectionLost), None]);
        // Given up before it was begun.
        let data = session.data(origin.url("/Nepal"));
        let task = data.task();
        drop(data);
        assert!(task.metrics().unwrap().transaction_metrics.is_empty());
    });
}
