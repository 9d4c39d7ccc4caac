//! Metrics: one transaction a request, dates in order, nothing where nothing was.

use std::future::Future;
use std::time::SystemTime;

use urlsession::UrlErrorCode;
use urlsession::metrics::{HarLog, ResourceFetchType};
use urlsession::security::TlsVersion;
use urlsession_testkit::{After, Reply, Wire};

use crate::support::*;

/// Polls a load that does not end until something has happened.
async fn poll_until<F: Future + Unpin>(load: &mut F, has_happened: impl Fn() -> bool) {
    while !has_happened() {
        let poll = std::future::poll_fn(|cx| std::task::Poll::Ready(std::pin::Pin::new(&mut *load).poll(cx)));
        assert!(poll.await.is_pending());
        tokio::task::yield_now().await;
    }
}

fn in_order(dates: &[Option<SystemTime>]) -> bool {
    let dates = dates.iter().flatten().collect::<Vec<_>>();
    dates.windows(2).all(|pair| pair[0] <= pair[1])
}

#[test]
fn a_new_connection_has_every_date_and_a_reused_one_none_of_its_making() {
    on_every_wire(|origin| {
        let (session, recorder) = recorded(origin);
        let mut request = request(&origin.url("/echo"), "POST", Some(b"12345"));
        request.set_value("Content-Type", "text/plain").unwrap();
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
fn a_response_that_is_not_read_to_its_end_has_no_end() {
    on_every_wire(|origin| {
        let (session, recorder) = recorded(origin);
        origin.enqueue("/cut", Reply::new(200).pattern(0, 1000).truncate_at(500));
        session.data_task(origin.url("/cut")).resume();
        recorder.completed(1);
        let gzip = gzip(b"a text");
        origin.enqueue("/coded", Reply::new(200).header("Content-Encoding", "gzip").body(&gzip[..9]));
        session.data_task(origin.url("/coded")).resume();
        recorder.completed(2);
        origin.enqueue("/file", Reply::new(200).pattern(0, 1000).truncate_at(500));
        session.download_task(origin.url("/file")).resume();
        let log = recorder.completed(3);
        assert!(log.completions.iter().all(Option::is_some), "{:?}", log.completions);
        for metrics in &log.metrics {
            let metrics = &metrics.transaction_metrics[0];
            assert!(metrics.response_start_date.is_some() && metrics.error.is_some());
            assert_eq!(metrics.response_end_date, None);
        }
        // Too long to be read for the connection's sake, and short enough.
        for (length, is_read) in [(1_000_000, false), (10, true)] {
            origin.enqueue("/moved", Reply::new(302).header("Location", "/Peru").pattern(0, length));
            let (task, result) = load_with_task(&session, origin.url("/moved"));
            result.unwrap();
            let moved = &task.metrics().unwrap().transaction_metrics[0];
            assert_eq!(moved.response_end_date.is_some(), is_read, "{length} bytes");
        }
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

#[test]
fn a_load_that_is_dropped_in_its_middle_has_metrics_of_what_it_did() {
    on_every_wire(|origin| {
        let session = session(origin);
        let tasks = runtime().block_on(async {
            let gate = origin.hold();
            origin.enqueue("/held", Reply::held(gate.clone()));
            let mut data = session.data(origin.url("/held"));
            let data_task = data.task();
            poll_until(&mut data, || gate.wait_reached(std::time::Duration::ZERO)).await;
            drop(data);
            gate.release();
            let gate = origin.hold();
            origin.enqueue("/held", Reply::held(gate.clone()));
            let mut bytes = session.bytes(origin.url("/held"));
            let bytes_task = bytes.task();
            poll_until(&mut bytes, || gate.wait_reached(std::time::Duration::ZERO)).await;
            drop(bytes);
            gate.release();
            [data_task, bytes_task]
        });
        for task in tasks {
            let metrics = task.metrics().unwrap();
            let [transaction] = &metrics.transaction_metrics[..] else { panic!("{metrics:?}") };
            assert!(transaction.request_start_date.is_some() && transaction.response.is_none());
            assert_eq!(transaction.error.as_ref().unwrap().code(), UrlErrorCode::Cancelled);
            assert!(transaction.error.as_ref().unwrap().failing_url().is_some());
        }
    });
}

/// The entries of a task's log.
fn har(task: &urlsession::Task) -> Vec<serde_json::Value> {
    let log: HarLog = task.metrics().iter().flat_map(|metrics| metrics.har_entries()).collect();
    let document = json(log.to_json().as_bytes());
    assert_eq!(document["log"]["version"], "1.2");
    assert_eq!(document["log"]["creator"]["name"], "urlsession");
    for entry in document["log"]["entries"].as_array().unwrap() {
        let timings = entry["timings"].as_object().unwrap();
        let phases = timings.iter().filter(|(name, _)| *name != "ssl");
        let sum: f64 = phases.map(|(_, time)| time.as_f64().unwrap().max(0.0)).sum();
        assert!((sum - entry["time"].as_f64().unwrap()).abs() < 0.000_5, "{entry}");
        assert_eq!((&entry["cache"], &entry["request"]["cookies"]), (&json(b"{}"), &json(b"[]")));
    }
    document["log"]["entries"].as_array().unwrap().clone()
}

#[test]
fn a_log_for_browsers_tools_has_every_transaction_and_no_secret() {
    on_every_wire(|origin| {
        let to = Reply::new(302)
            .header("Location", "//me:s3cret@localhost/UK")
            .header("Set-Cookie", "id=s3cret")
            .body("moved");
        origin.enqueue("/start", to.then(After::KeepAlive));
        let (session, recorder) = with_recorder(
            configuration(origin),
            Recorder::new().redirecting(|_, _| urlsession::Decision::now(None)),
        );
        let url = origin.url("/start?a=1&b=%C3%BC").replace("://", "://me:s3cret@");
        let mut request = request(&url, "POST", Some(b"12345"));
        for (name, value) in [
            ("Authorization", "s3cret"),
            ("cookie", "s3cret"),
            ("Proxy-Authorization", "s3cret"),
            ("X-Quote", "\"<\\\u{e4}"),
            ("Content-Type", "text/plain"),
        ] {
            request.set_value(name, value).unwrap();
        }
        let task = session.data_task(&request);
        task.resume();
        recorder.completed(1);
        let entries = har(&task);
        let [entry] = &entries[..] else { panic!("{entries:?}") };
        assert!(!entry.to_string().contains("s3cret"), "{entry}");
        let (request, response) = (&entry["request"], &entry["response"]);
        let value = |of: &serde_json::Value, name: &str| {
            let fields = of["headers"].as_array().unwrap().iter();
            let mut fields = fields.filter(|f| f["name"].as_str().unwrap().eq_ignore_ascii_case(name));
            fields.next().map(|field| field["value"].as_str().unwrap().to_owned())
        };
        for name in ["authorization", "cookie", "proxy-authorization"] {
            assert_eq!(value(request, name).unwrap(), "[redacted]");
        }
        assert_eq!(value(request, "x-quote").unwrap(), "\"<\\\u{e4}");
        assert_eq!(value(response, "set-cookie").unwrap(), "[redacted]");
        assert_eq!(value(response, "location").unwrap(), "//[redacted]@localhost/UK");
        assert_eq!(
            response["redirectURL"].as_str().unwrap().split_once("//").unwrap().1,
            "[redacted]@localhost/UK"
        );
        assert_eq!(request["url"], url.replace("me:s3cret", "[redacted]"));
        let query =
            json("[{\"name\":\"a\",\"value\":\"1\"},{\"name\":\"b\",\"value\":\"\u{fc}\"}]".as_bytes());
        assert_eq!((&request["method"], &request["queryString"]), (&json(b"\"POST\""), &query));
        assert_eq!(
            (&request["postData"]["mimeType"], &request["bodySize"]),
            (&json(b"\"text/plain\""), &json(b"5"))
        );
        assert!(request["headersSize"].as_i64() > Some(20) && response["headersSize"].as_i64() > Some(10));
        let is_h2 = origin.requests()[0].stream.is_some();
        let (version, reason) = if is_h2 { ("HTTP/2", "") } else { ("HTTP/1.1", "Found") };
        assert_eq!((&request["httpVersion"], &response["httpVersion"]), (&version.into(), &version.into()));
        assert_eq!((&response["status"], &response["statusText"]), (&json(b"302"), &reason.into()));
        assert_eq!(response["content"]["size"], 5);
        assert!(response["bodySize"].as_i64() >= Some(5));
        assert_eq!(entry["serverIPAddress"], "127.0.0.1");
        let port = task.metrics().unwrap().transaction_metrics[0].local_port.unwrap();
        assert_eq!(entry["connection"], port.to_string());
        assert!(entry["startedDateTime"].as_str().unwrap().ends_with('Z'));
        assert!(entry.get("_error").is_none());
        let is_tls = origin.url("").starts_with("https");
        assert_eq!(entry["timings"]["ssl"].as_f64() == Some(-1.0), !is_tls);
    });
}

#[test]
fn a_log_shows_redirects_repetitions_and_failures() {
    on(Wire::H1, |origin| {
        let session = session(origin);
        load(&session, origin.url("/Nepal")).unwrap();
        origin.enqueue("/redirect/1", Reply::drop_connection());
        let (task, result) = load_with_task(&session, origin.url("/redirect/1"));
        result.unwrap();
        let entries = har(&task);
        let statuses: Vec<_> = entries.iter().map(|entry| entry["response"]["status"].as_u64()).collect();
        assert_eq!(statuses, [Some(0), Some(302), Some(200)]);
        assert!(entries[0]["_error"].as_str().unwrap().starts_with("NSURLErrorNetworkConnectionLost: "));
        assert_eq!(entries[1]["response"]["redirectURL"], entries[2]["request"]["url"]);
        assert_eq!(entries[2]["timings"]["connect"], -1);

        let (task, _) = load_with_task(&session, format!("http://127.0.0.1:{}/", origin.closed_port()));
        let entry = &har(&task)[0];
        assert!(entry["_error"].as_str().unwrap().starts_with("NSURLErrorCannotConnectToHost: "));
        assert_eq!(
            (&entry["request"]["headersSize"], &entry["response"]["bodySize"]),
            (&json(b"-1"), &json(b"-1"))
        );
        assert!(entry["time"].as_f64() > Some(0.0) && entry.get("connection").is_none());
    });
}

#[test]
fn a_log_counts_what_a_content_coding_saved() {
    on_every_wire(|origin| {
        let (task, result) = load_with_task(&session(origin), origin.url("/gzipped-response"));
        let content = har(&task)[0]["response"]["content"].clone();
        assert_eq!(content["size"], result.unwrap().0.len());
        let metrics = task.metrics().unwrap();
        let coded = metrics.transaction_metrics[0].count_of_response_body_bytes_received;
        assert_eq!(content["compression"].as_i64(), Some(content["size"].as_i64().unwrap() - coded as i64));
    });
}

/// The entries of the log of one load.
fn har_of(session: &urlsession::UrlSession, request: urlsession::UrlRequest) -> serde_json::Value {
    let (task, _) = load_with_task(session, request);
    let metrics = task.metrics().unwrap();
    let log: HarLog = metrics.har_entries().into_iter().collect();
    json(log.to_json().as_bytes())["log"]["entries"].clone()
}

#[test]
fn a_log_shows_the_fields_that_were_sent_and_no_secret() {
    on_every_wire(|origin| {
        let mut configuration = configuration(origin);
        set_for_all(&mut configuration, "X-Session", "all");
        let mut request = request(&origin.url("/echo"), "POST", Some(b"a=1"));
        let own = [
            ("Authorization", "s3cret"),
            ("X-Own", "mine"),
            ("Transfer-Encoding", "gzip"),
            ("TE", "trailers, gzip"),
            ("Connection", "close"),
        ];
        for (name, value) in own {
            request.set_value(name, value).unwrap();
        }
        request.set_value("Cookie", "k=s3cret").unwrap();
        let entries = har_of(&urlsession::UrlSession::new(configuration), request);
        let fields = entries[0]["request"]["headers"].as_array().unwrap();
        let shown = fields
            .iter()
            .map(|field| {
                (field["name"].as_str().unwrap().to_ascii_lowercase(), field["value"].as_str().unwrap())
            })
            .collect::<Vec<_>>();
        assert!(!entries.to_string().contains("s3cret"), "{entries}");
        // Neither more nor less than what came.
        let requests = origin.requests();
        let mut sent =
            requests[0].headers.iter().map(|(name, _)| name.to_ascii_lowercase()).collect::<Vec<_>>();
        sent.retain(|name| !name.starts_with(':'));
        let mut names = shown.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
        sent.sort();
        names.sort();
        assert_eq!(names, sent);
        for (name, value) in &shown {
            let expected = match name.as_str() {
                "authorization" | "cookie" => "[redacted]",
                name => requests[0].header(name).unwrap(),
            };
            assert_eq!(*value, expected, "{name}");
        }
        assert!(names.contains(&"accept-encoding".into()) && names.contains(&"content-length".into()));
    });
}

#[test]
fn a_log_shows_the_text_of_a_posted_body() {
    on(Wire::H1, |origin| {
        let session = session(origin);
        let shown = |kind: Option<&str>, body: &[u8]| {
            let mut request = request(&origin.url("/echo"), "POST", Some(body));
            if let Some(kind) = kind {
                request.set_value("Content-Type", kind).unwrap();
            }
            har_of(&session, request)[0]["request"]["postData"].clone()
        };
        assert_eq!(shown(None, b"a=1&b=%20")["text"], "a=1&b=%20");
        assert_eq!(
            shown(Some("application/json; charset=utf-8"), "{\"ä\":1}".as_bytes())["text"],
            "{\"ä\":1}"
        );
        assert_eq!(shown(Some("application/ld+json"), b"[]")["text"], "[]");
        assert_eq!(shown(Some("application/octet-stream"), b"text")["text"], "");
        assert_eq!(shown(Some("text/plain"), b"\xff\xfe")["text"], "");
        let long = "ä".repeat(50_000);
        let cut = shown(Some("text/plain"), long.as_bytes());
        assert_eq!((cut["text"].as_str().unwrap().len(), cut["comment"].is_string()), (64 * 1024, true));
    });
}
