//! Single properties of sessions, loads and their metrics that no test of a larger behaviour is about.

use std::sync::Arc;

use urlsession::network::ProxyDictionary;
use urlsession::security::{AppTransportSecurity, ExceptionDomain, TlsVersion};
use urlsession::tasks::{DataTaskPublisher, WaitReason};
use urlsession::{Configuration, TaskDelegate, UrlErrorCode, UrlSession};
use urlsession_testkit::{Reply, Wire};

use crate::support::ranges::{content, on_every_range_server};
use crate::support::*;

#[test]
fn a_body_is_in_memory_or_a_stream_and_the_last_one_given_is_sent() {
    on_every_wire(|origin| {
        let mut request = request(&origin.url("/echo"), "POST", Some(b"in memory"));
        assert_eq!(request.http_body().map(|body| &body[..]), Some(&b"in memory"[..]));
        assert!(request.http_body_stream().is_none());
        assert_eq!(load(&session(origin), &request).unwrap().0, "in memory");
        request.set_http_body_stream(urlsession::BodyStream::from_reader(&b"streamed"[..]));
        assert!(request.http_body().is_none() && request.http_body_stream().is_some());
        assert_eq!(load(&session(origin), &request).unwrap().0, "streamed");
        request.set_http_body("again");
        assert!(request.http_body_stream().is_none());
        assert_eq!(load(&session(origin), &request).unwrap().0, "again");
    });
}

#[test]
fn a_coded_body_that_is_wrong_is_told_from_one_that_is_cut_in_data_and_in_downloads() {
    on_every_wire(|origin| {
        let coded = gzip(b"a text that is coded");
        let reply = |body: &[u8]| Reply::new(200).header("Content-Encoding", "gzip").body(body.to_vec());
        for (body, of_data, of_download) in [
            (
                &b"not gzip at all"[..],
                UrlErrorCode::CannotDecodeRawData,
                UrlErrorCode::DownloadDecodingFailedMidStream,
            ),
            (
                &coded[..coded.len() - 4],
                UrlErrorCode::CannotDecodeContentData,
                UrlErrorCode::DownloadDecodingFailedToComplete,
            ),
        ] {
            let session = session(origin);
            origin.enqueue("/coded", reply(body));
            assert_eq!(load(&session, origin.url("/coded")).unwrap_err().code(), of_data);
            origin.enqueue("/coded", reply(body));
            assert_eq!(session.download(origin.url("/coded")).wait().unwrap_err().code(), of_download);
        }
    });
}

#[test]
fn a_task_has_the_delegate_it_was_given_until_it_is_over() {
    struct Silent;
    impl TaskDelegate for Silent {}
    on(Wire::H1, |origin| {
        let (session, recorder) = recorded(origin);
        let task = session.data_task(origin.url("/Peru"));
        assert!(task.delegate().is_none(), "that of the session is not its own");
        let own: Arc<dyn TaskDelegate> = Arc::new(Silent);
        task.set_delegate(own.clone()).unwrap();
        assert!(Arc::ptr_eq(&task.delegate().unwrap(), &own));
        task.resume();
        recorder.completed(1).succeeded();
        wait_until(|| Arc::strong_count(&own) == 1);
        assert!(task.delegate().is_none(), "it is released");
    });
}

#[test]
fn a_publisher_names_the_session_that_makes_its_tasks() {
    let [session, other] = [(); 2].map(|()| UrlSession::new(Configuration::ephemeral()));
    session.set_session_description(Some("mine"));
    other.set_session_description(Some("not mine"));
    let publisher = DataTaskPublisher::new("http://localhost/", session);
    assert_eq!(publisher.session().session_description().as_deref(), Some("mine"));
}

#[test]
fn the_newest_version_of_tls_is_the_one_configured() {
    for wire in [Wire::TlsH1, Wire::TlsH2] {
        on(wire, |origin| {
            for (newest, name) in [(TlsVersion::Tls12, "TLSv1_2"), (TlsVersion::Tls13, "TLSv1_3")] {
                let configuration = configuration(origin).tls_maximum_supported_protocol_version(newest);
                let (task, result) = load_with_task(&UrlSession::new(configuration), origin.url("/Peru"));
                result.unwrap();
                let spoken = origin.requests().pop().unwrap().tls.as_ref().unwrap().version.clone();
                let metrics = task.metrics().unwrap();
                let told = metrics.transaction_metrics[0].negotiated_tls_protocol_version;
                assert_eq!((&*spoken, told), (name, Some(newest)));
            }
        });
    }
}

#[test]
fn metrics_count_a_request_body_as_it_is_and_as_it_was_sent() {
    on_every_wire(|origin| {
        let session = session(origin);
        let mut streamed = request(&origin.url("/upload"), "PUT", None);
        streamed
            .set_http_body_stream(urlsession::BodyStream::from_reader(std::io::Cursor::new(vec![7; 5000])));
        for (request, length) in
            [(request(&origin.url("/upload"), "PUT", Some(&[7; 3000])), 3000), (streamed, 5000)]
        {
            let (task, result) = load_with_task(&session, request);
            result.unwrap();
            let metrics = task.metrics().unwrap();
            let transaction = &metrics.transaction_metrics[0];
            assert_eq!(transaction.count_of_request_body_bytes_before_encoding, length);
            assert!(transaction.count_of_request_body_bytes_sent >= length);
        }
        let (task, result) = load_with_task(&session, origin.url("/Peru"));
        result.unwrap();
        let metrics = task.metrics().unwrap();
        assert_eq!(metrics.transaction_metrics[0].count_of_request_body_bytes_before_encoding, 0);
    });
}

#[test]
fn metrics_name_both_ends_of_the_connection_and_count_what_went_over_it() {
    use std::io::{Read, Write};
    const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\n";
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serving = std::thread::spawn(move || {
        let (mut stream, peer) = listener.accept().unwrap();
        let (mut heard, mut buf) = (Vec::new(), [0; 4096]);
        while !heard.ends_with(b"sent") {
            let n = stream.read(&mut buf).unwrap();
            assert!(n > 0, "it ended early");
            heard.extend_from_slice(&buf[..n]);
        }
        stream.write_all(format!("{HEAD}heard").as_bytes()).unwrap();
        (peer, heard.len() as u64)
    });
    let session = UrlSession::new(Configuration::ephemeral());
    let (task, result) =
        load_with_task(&session, request(&format!("http://{address}/"), "PUT", Some(b"sent")));
    assert_eq!(result.unwrap().0, "heard");
    let (peer, heard) = serving.join().unwrap();
    let metrics = task.metrics().unwrap();
    let told = &metrics.transaction_metrics[0];
    assert_eq!((told.local_address, told.local_port), (Some(peer.ip()), Some(peer.port())));
    assert_eq!((told.remote_address, told.remote_port), (Some(address.ip()), Some(address.port())));
    assert_eq!(told.count_of_request_header_bytes_sent, heard - 4);
    assert_eq!(told.count_of_request_body_bytes_sent, 4);
    assert_eq!(told.count_of_response_header_bytes_received, HEAD.len() as u64);
    assert_eq!(told.count_of_response_body_bytes_received, 5);
    assert_eq!((task.count_of_bytes_sent(), task.count_of_bytes_received()), (4, 5));
}

#[test]
fn a_first_transaction_over_tls_has_every_date_and_they_are_in_order() {
    for wire in [Wire::TlsH1, Wire::TlsH2] {
        on(wire, |origin| {
            let (task, result) = load_with_task(&session(origin), origin.url("/Peru"));
            result.unwrap();
            let metrics = task.metrics().unwrap();
            let told = &metrics.transaction_metrics[0];
            let dates = [
                Some(metrics.task_interval.0),
                Some(told.fetch_start_date),
                told.domain_lookup_start_date,
                told.domain_lookup_end_date,
                told.connect_start_date,
                told.secure_connection_start_date,
                told.secure_connection_end_date,
                told.connect_end_date,
                told.request_start_date,
                told.request_end_date,
                told.response_start_date,
                told.response_end_date,
                Some(metrics.task_interval.1),
            ];
            assert!(dates.iter().all(Option::is_some) && dates.is_sorted(), "{dates:?}");
        });
    }
}

#[test]
fn metrics_count_a_coded_body_as_it_came_and_as_it_is() {
    on_every_wire(|origin| {
        let body = vec![b'a'; 100_000];
        let coded = gzip(&body);
        let length = coded.len() as u64;
        origin.enqueue("/coded", Reply::new(200).header("Content-Encoding", "gzip").body(coded));
        let (task, result) = load_with_task(&session(origin), origin.url("/coded"));
        assert_eq!(result.unwrap().0.len(), body.len());
        let metrics = task.metrics().unwrap();
        let told = &metrics.transaction_metrics[0];
        assert_eq!(told.count_of_response_body_bytes_after_decoding, 100_000);
        let came = told.count_of_response_body_bytes_received;
        assert!((length..2 * length).contains(&came), "{came} of {length}");
    });
}

#[test]
fn a_field_is_set_added_to_and_taken_away_before_the_request_is_sent() {
    on_every_wire(|origin| {
        let mut request = request(&origin.url("/Peru"), "GET", None);
        for name in ["X-Set", "X-Added", "X-Gone"] {
            request.set_value(name, "one").unwrap();
        }
        request.add_value("x-added", "two").unwrap();
        request.remove_value("x-gone");
        assert_eq!((request.value("X-ADDED"), request.value("X-Gone")), (Some("one,two"), None));
        assert_eq!(request.headers().len(), 2);
        load(&session(origin), request).unwrap();
        let sent = origin.requests().pop().unwrap();
        let fields = ["x-set", "x-added", "x-gone"].map(|name| sent.header(name));
        assert_eq!(fields, [Some("one"), Some("one,two"), None]);
    });
}

#[test]
fn a_session_makes_no_more_connections_to_a_host_than_it_may() {
    for wire in [Wire::H1, Wire::TlsH1] {
        on(wire, |origin| {
            for (most, connections) in [(2, 2), (3, 3), (6, 3)] {
                let before = origin.connection_count();
                let (session, recorder) = with_recorder(
                    configuration(origin).http_maximum_connections_per_host(most),
                    Recorder::new(),
                );
                let gates = [origin.hold(), origin.hold()];
                for gate in &gates {
                    origin.enqueue("/held", Reply::new(200).body("x").after(gate.clone()));
                    session.data_task(origin.url("/held")).resume();
                    assert!(gate.wait_reached(PATIENCE));
                }
                let third = session.data_task(origin.url("/Peru"));
                third.resume();
                match most {
                    2 => wait_until(|| third.why_waiting() == Some(WaitReason::Connection)),
                    // It has a connection of its own, and ends before the others.
                    _ => drop(recorder.completed(1)),
                }
                gates.iter().for_each(|gate| gate.release());
                let log = recorder.completed(3);
                assert!(log.completions.iter().all(Option::is_none), "{:?}", log.completions);
                assert_eq!(origin.connection_count() - before, connections, "of {most}");
            }
        });
    }
}

#[test]
fn a_handler_gets_the_resume_data_of_a_download_that_is_cancelled() {
    on_every_range_server(|ranges| {
        let (session, _, task, gate) = ranges.begun();
        let (sender, receiver) = std::sync::mpsc::channel();
        task.cancel_by_producing_resume_data_with_handler(move |data| sender.send(data).unwrap());
        let data = receiver.recv_timeout(PATIENCE).unwrap().unwrap();
        gate.release();
        let (file, response) = ranges.session().download_resume_from(data).wait().unwrap();
        assert_eq!(response.status_code(), Some(206));
        assert!(std::fs::read(file.path()).unwrap() == content());
        // Who has nothing to go on with hears so.
        let (sender, receiver) = std::sync::mpsc::channel();
        session
            .download_task(ranges.url())
            .cancel_by_producing_resume_data_with_handler(move |data| sender.send(data).unwrap());
        assert!(receiver.recv_timeout(PATIENCE).unwrap().is_none());
    });
}

#[test]
fn a_handler_gets_the_response_of_an_upload_from_a_file() {
    on_every_wire(|origin| {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("body");
        std::fs::write(&file, "of a file").unwrap();
        let (sender, receiver) = std::sync::mpsc::channel();
        let task = session(origin).upload_task_from_file_with_handler(
            request(&origin.url("/echo"), "PUT", Some(b"not this")),
            &file,
            move |result| sender.send(result).unwrap(),
        );
        task.resume();
        let (data, response) = receiver.recv_timeout(PATIENCE).unwrap().unwrap();
        assert_eq!((text(&data), response.status_code()), ("of a file", Some(200)));
        let (data, _) = session(origin)
            .upload_from_file(request(&origin.url("/echo"), "PUT", None), &file)
            .wait()
            .unwrap();
        assert_eq!(text(&data), "of a file");
    });
}

#[test]
fn simple_names_go_around_the_proxy_if_the_dictionary_says_so() {
    // Over TLS the origin is `localhost`, which has no dot.
    on(Wire::TlsH1, |origin| {
        let get = |exclude_simple_hostnames| {
            let proxy = ProxyDictionary::with_proxy("127.0.0.1", origin.closed_port());
            let dictionary = proxy.exclude_simple_hostnames(exclude_simple_hostnames);
            let configuration = configuration(origin).connection_proxy_dictionary(dictionary);
            load(&UrlSession::new(configuration), origin.url("/Peru"))
        };
        assert_eq!(get(true).unwrap().0, "Lima");
        assert_eq!(get(false).unwrap_err().code(), UrlErrorCode::CannotConnectToHost);
    });
}

#[test]
fn cleartext_is_allowed_below_a_domain_and_in_the_local_network_as_its_rules_say() {
    on(Wire::H1, |origin| {
        let get = |host: &str, rules: AppTransportSecurity| {
            let mut configuration = configuration(origin).app_transport_security(rules);
            configuration.environment.resolver = Arc::new(Everywhere(origin.addr()));
            let url = format!("http://{host}:{}/Peru", origin.port());
            load(&UrlSession::new(configuration), url).map_err(|error| error.code())
        };
        let refused = Some(UrlErrorCode::AppTransportSecurityRequiresSecureConnection);
        for (includes_subdomains, expected) in [(true, None), (false, refused)] {
            let rule = ExceptionDomain::new("far.test")
                .allows_insecure_http_loads(true)
                .includes_subdomains(includes_subdomains);
            let rules = AppTransportSecurity::default().exception_domains([rule]);
            assert_eq!(get("far.test", rules.clone()).err(), None);
            assert_eq!(get("below.far.test", rules).err(), expected, "{includes_subdomains}");
        }
        for (allows_local_networking, expected) in [(Some(true), None), (Some(false), refused)] {
            let rules = AppTransportSecurity::default().allows_local_networking(allows_local_networking);
            assert_eq!(get("printer.local", rules).err(), expected, "{allows_local_networking:?}");
        }
    });
}
