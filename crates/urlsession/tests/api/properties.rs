//! Single properties that no test of a larger behaviour is about: what each of them says or changes.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use urlsession::environment::block_on;
use urlsession::{
    Attribution, AuthenticationMethod, CachePolicy, CachedUrlResponse, Configuration, DataTaskPublisher,
    HttpCookie, HttpCookiePropertyKey as Key, HttpCookieStorage, HttpCookieStringPolicy, HttpUrlResponse,
    NetworkServiceType, Phase, TaskDelegate, TlsVersion, UrlAuthenticationChallenge, UrlCache, UrlCredential,
    UrlCredentialPersistence as Persistence, UrlCredentialStorage, UrlError, UrlErrorCode,
    UrlProtectionSpace, UrlProtectionSpaceProtocol, UrlRequest, UrlResponse, UrlSession, Version, WaitReason,
};
use urlsession_testkit::{Reply, Wire};

use crate::support::ranges::{content, on_every_range_server, whole};
use crate::support::*;

/// Everything about `request` that is no URL, field or body.
fn policies(
    request: &UrlRequest,
) -> (CachePolicy, Option<Duration>, NetworkServiceType, Attribution, Vec<bool>) {
    let flags = vec![
        request.allows_cellular_access(),
        request.allows_expensive_network_access(),
        request.allows_constrained_network_access(),
        request.allows_ultra_constrained_network_access(),
        request.http_should_handle_cookies(),
        request.assumes_http3_capable(),
        request.requires_dnssec_validation(),
        request.allows_persistent_dns(),
        request.http_should_use_pipelining(),
    ];
    let timeout = request.timeout_interval();
    (request.cache_policy(), timeout, request.network_service_type(), request.attribution(), flags)
}

type Change = fn(&mut UrlRequest);

/// One after the other, so that no setter is taken for another.
#[test]
fn a_request_begins_with_apples_policies_and_tells_those_it_was_given() {
    let fresh = || UrlRequest::new("http://localhost/".parse().unwrap());
    let of_apple = vec![true, true, true, true, true, false, false, false, false];
    let expected = (
        CachePolicy::UseProtocolCachePolicy,
        None,
        NetworkServiceType::Default,
        Attribution::Developer,
        of_apple,
    );
    assert_eq!(policies(&fresh()), expected);
    assert_eq!((fresh().main_document_url(), fresh().cookie_partition_identifier()), (None, None));
    let changes: [Change; 9] = [
        |it| it.set_allows_cellular_access(false),
        |it| it.set_allows_expensive_network_access(false),
        |it| it.set_allows_constrained_network_access(false),
        |it| it.set_allows_ultra_constrained_network_access(false),
        |it| it.set_http_should_handle_cookies(false),
        |it| it.set_assumes_http3_capable(true),
        |it| it.set_requires_dnssec_validation(true),
        |it| it.set_allows_persistent_dns(true),
        |it| it.set_http_should_use_pipelining(true),
    ];
    for (at, change) in changes.into_iter().enumerate() {
        let mut request = fresh();
        change(&mut request);
        let mut expected = expected.clone();
        expected.4[at] = !expected.4[at];
        assert_eq!(policies(&request), expected, "{at}");
    }
    let mut request = fresh();
    request.set_cache_policy(CachePolicy::ReloadRevalidatingCacheData);
    request.set_timeout_interval(Duration::from_millis(1500));
    request.set_network_service_type(NetworkServiceType::Voice);
    request.set_attribution(Attribution::User);
    request.set_cookie_partition_identifier(Some("https://example.com"));
    // What a task says of its request is no less.
    let task = UrlSession::shared().data_task(&request);
    for request in [request, (*task.original_request().unwrap()).clone()] {
        assert_eq!(
            policies(&request),
            (
                CachePolicy::ReloadRevalidatingCacheData,
                Some(Duration::from_millis(1500)),
                NetworkServiceType::Voice,
                Attribution::User,
                expected.4.clone()
            )
        );
        assert_eq!(request.cookie_partition_identifier(), Some("https://example.com"));
    }
}

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
fn codes_have_apples_numbers() {
    use UrlErrorCode as C;
    let numbers = [
        (C::Unknown, -1),
        (C::Cancelled, -999),
        (C::BadUrl, -1000),
        (C::TimedOut, -1001),
        (C::UnsupportedUrl, -1002),
        (C::CannotFindHost, -1003),
        (C::CannotConnectToHost, -1004),
        (C::NetworkConnectionLost, -1005),
        (C::DnsLookupFailed, -1006),
        (C::HttpTooManyRedirects, -1007),
        (C::ResourceUnavailable, -1008),
        (C::NotConnectedToInternet, -1009),
        (C::RedirectToNonExistentLocation, -1010),
        (C::BadServerResponse, -1011),
        (C::UserCancelledAuthentication, -1012),
        (C::UserAuthenticationRequired, -1013),
        (C::ZeroByteResource, -1014),
        (C::CannotDecodeRawData, -1015),
        (C::CannotDecodeContentData, -1016),
        (C::CannotParseResponse, -1017),
        (C::InternationalRoamingOff, -1018),
        (C::CallIsActive, -1019),
        (C::DataNotAllowed, -1020),
        (C::RequestBodyStreamExhausted, -1021),
        (C::AppTransportSecurityRequiresSecureConnection, -1022),
        (C::FileDoesNotExist, -1100),
        (C::FileIsDirectory, -1101),
        (C::NoPermissionsToReadFile, -1102),
        (C::DataLengthExceedsMaximum, -1103),
        (C::FileOutsideSafeArea, -1104),
        (C::SecureConnectionFailed, -1200),
        (C::ServerCertificateHasBadDate, -1201),
        (C::ServerCertificateUntrusted, -1202),
        (C::ServerCertificateHasUnknownRoot, -1203),
        (C::ServerCertificateNotYetValid, -1204),
        (C::ClientCertificateRejected, -1205),
        (C::ClientCertificateRequired, -1206),
        (C::CannotLoadFromNetwork, -2000),
        (C::CannotCreateFile, -3000),
        (C::CannotOpenFile, -3001),
        (C::CannotCloseFile, -3002),
        (C::CannotWriteToFile, -3003),
        (C::CannotRemoveFile, -3004),
        (C::CannotMoveFile, -3005),
        (C::DownloadDecodingFailedMidStream, -3006),
        (C::DownloadDecodingFailedToComplete, -3007),
    ];
    for (code, number) in numbers {
        assert_eq!(code.number(), number, "{code:?}");
        let error = UrlError::new(code, Phase::Body, "why");
        let sentence = if code == C::Unknown { String::from("why (-1)") } else { error.to_string() };
        assert!(!code.sentence().is_empty() && sentence.contains(&format!("({number})")), "{sentence}");
    }
    let mut sentences: Vec<_> = C::ALL.iter().map(|code| code.sentence()).collect();
    sentences.sort_unstable();
    sentences.dedup();
    assert_eq!(sentences.len(), C::ALL.len(), "two codes read the same");
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

const PLAIN: [(Key, &str); 4] =
    [(Key::Name, "a"), (Key::Value, "b"), (Key::Path, "/"), (Key::Domain, "localhost")];

fn cookie(more: &[(Key, &str)]) -> HttpCookie {
    HttpCookie::new(PLAIN.iter().chain(more).copied()).unwrap()
}

#[test]
fn properties_of_a_cookie_say_its_version_its_site_policy_and_who_made_it() {
    let plain = cookie(&[]);
    assert_eq!((plain.version(), plain.same_site_policy(), plain.is_set_by_javascript()), (0, None, false));
    assert_eq!(plain.port_list(), None);
    assert!(!plain.is_secure() && plain.is_session_only() && !plain.is_http_only());
    let lasting = cookie(&[(Key::Secure, "TRUE"), (Key::MaximumAge, "60")]);
    assert!(lasting.is_secure() && !lasting.is_session_only());
    let url = "https://localhost/".parse().unwrap();
    let hidden = HttpCookie::cookies_with_response_header_fields([("Set-Cookie", "a=b; HttpOnly")], &url);
    assert!(hidden[0].is_http_only());
    let full = cookie(&[
        (Key::Version, "1"),
        (Key::SameSitePolicy, "lax"),
        (Key::SetByJavaScript, "TRUE"),
        (Key::Port, "80,443"),
    ]);
    assert_eq!(full.version(), 1);
    assert_eq!(full.same_site_policy(), Some(HttpCookieStringPolicy::SameSiteLax));
    assert!(full.is_set_by_javascript());
    assert_eq!(full.port_list(), Some(&[80, 443][..]), "a version 0 cookie has the first only");
    let strict = cookie(&[(Key::SameSitePolicy, "Strict")]);
    assert_eq!(strict.same_site_policy(), Some(HttpCookieStringPolicy::SameSiteStrict));
    // What a cookie was made with, it can be asked for.
    let properties = full.properties();
    for (key, value) in
        [(Key::Version, "1"), (Key::SetByJavaScript, "TRUE"), (Key::Port, "80,443"), (Key::Path, "/")]
    {
        assert!(properties.contains(&(key, value.to_owned())), "{key:?}: {properties:?}");
    }
}

#[test]
fn a_cookie_made_of_properties_is_withheld_from_pages_of_another_site_as_its_policy_says() {
    on_every_wire(|origin| {
        let session = session(origin);
        let storage = session.configuration().http_cookie_storage.unwrap();
        let url = origin.url("/Peru").replace("127.0.0.1", "localhost");
        for (policy, is_sent) in [(None, true), (Some("lax"), false), (Some("strict"), false)] {
            let policy: Vec<_> = policy.into_iter().map(|policy| (Key::SameSitePolicy, policy)).collect();
            storage.set_cookie(cookie(&policy));
            let mut embedded = UrlRequest::new(url.parse().unwrap());
            load(&session, &embedded).unwrap();
            assert_eq!(origin.requests().last().unwrap().header("cookie"), Some("a=b"), "{policy:?}");
            embedded.set_main_document_url(Some("https://www.example.com/".parse().unwrap()));
            load(&session, &embedded).unwrap();
            assert_eq!(origin.requests().last().unwrap().header("cookie").is_some(), is_sent, "{policy:?}");
        }
    });
}

#[test]
fn a_cache_has_the_capacities_it_was_given_and_those_it_was_set_to() {
    let folder = tempfile::tempdir().unwrap();
    let cache = UrlCache::new(1000, 3_000_000, Some(folder.path().to_owned()));
    assert_eq!((cache.memory_capacity(), cache.disk_capacity()), (1000, 3_000_000));
    cache.set_memory_capacity(2000);
    cache.set_disk_capacity(4_000_000);
    assert_eq!((cache.memory_capacity(), cache.disk_capacity()), (2000, 4_000_000));
    let private = Configuration::ephemeral().url_cache.unwrap();
    assert_eq!((private.memory_capacity(), private.disk_capacity()), (4 << 20, 0));
    private.set_disk_capacity(1 << 20);
    assert_eq!(private.disk_capacity(), 0, "it has no folder");
}

#[test]
fn a_credential_for_one_method_or_protocol_is_none_for_another() {
    use AuthenticationMethod as M;
    use UrlProtectionSpaceProtocol as P;
    let methods = [
        M::Default,
        M::HttpBasic,
        M::HttpDigest,
        M::HtmlForm,
        M::Ntlm,
        M::Negotiate,
        M::ClientCertificate,
        M::ServerTrust,
    ];
    let spaces = methods.into_iter().flat_map(|method| {
        [P::Http, P::Https]
            .map(|protocol| UrlProtectionSpace::new("example.com", 7, protocol, Some("r"), method))
    });
    let spaces: Vec<_> = spaces.collect();
    let storage = UrlCredentialStorage::ephemeral();
    for (number, space) in spaces.iter().enumerate() {
        assert_eq!(storage.default_credential(space), None, "{space:?}");
        let user = format!("user {number}");
        storage.set_default_credential(&UrlCredential::new(&user, "pw", Persistence::ForSession), space);
    }
    for (number, space) in spaces.iter().enumerate() {
        let credential = storage.default_credential(space).unwrap();
        assert_eq!(credential.user(), Some(&*format!("user {number}")), "{space:?}");
    }
    assert_eq!(storage.all_credentials().len(), 2 * methods.len());
}

#[test]
fn a_credential_has_a_password_only_if_it_was_given_one() {
    assert!(UrlCredential::new("ann", "pw", Persistence::None).has_password());
    let identity = UrlCredential::with_identity(vec![vec![1]], vec![2], Persistence::Permanent);
    assert!(!identity.has_password());
    assert_eq!(identity.persistence(), Persistence::Permanent);
}

#[test]
fn a_challenge_made_by_hand_says_what_it_was_made_of() {
    let space = UrlProtectionSpace::new(
        "example.com",
        8080,
        UrlProtectionSpaceProtocol::Http,
        Some("realm"),
        AuthenticationMethod::HttpDigest,
    );
    let credential = UrlCredential::new("ann", "pw", Persistence::ForSession);
    let url = "http://example.com:8080/".parse().unwrap();
    let response: UrlResponse = HttpUrlResponse::new(url, 401, Version::HTTP_11, &[]).unwrap().into();
    let error = UrlError::new(UrlErrorCode::UserAuthenticationRequired, Phase::Head, "refused");
    let challenge = UrlAuthenticationChallenge::new(
        space.clone(),
        Some(credential.clone()),
        2,
        Some(response.clone()),
        Some(error),
    );
    assert_eq!((challenge.protection_space(), challenge.previous_failure_count()), (&space, 2));
    assert_eq!(challenge.proposed_credential(), Some(&credential));
    assert_eq!(challenge.failure_response(), Some(&response));
    assert_eq!(challenge.error().map(UrlError::code), Some(UrlErrorCode::UserAuthenticationRequired));
    assert_eq!((space.host(), space.port(), space.realm()), ("example.com", 8080, Some("realm")));
    assert_eq!(space.protocol(), Some(UrlProtectionSpaceProtocol::Http));
    assert!(!space.is_proxy() && space.proxy_type().is_none() && space.server_trust().is_none());
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
        task.set_delegate(Some(own.clone())).unwrap();
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
                let configuration =
                    Configuration { tls_maximum_supported_protocol_version: newest, ..configuration(origin) };
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
fn a_session_makes_no_more_connections_to_a_host_than_it_may() {
    for wire in [Wire::H1, Wire::TlsH1] {
        on(wire, |origin| {
            for (most, connections) in [(2, 2), (3, 3), (6, 3)] {
                let before = origin.connection_count();
                let (session, recorder) = with_recorder(
                    Configuration { http_maximum_connections_per_host: most, ..configuration(origin) },
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
        let (session, recorder) = recorded(&ranges.origin);
        let gate = ranges.origin.hold();
        let held = gate.clone();
        ranges.then(move |_| whole().body_gate(150_001, held.clone()));
        let task = session.download_task(ranges.url());
        task.resume();
        recorder.wait_for(|log| log.written.last().is_some_and(|(_, total, _)| *total == 150_001));
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
            request.set_value(Some("one"), name).unwrap();
        }
        request.add_value("two", "x-added").unwrap();
        request.set_value(None, "x-gone").unwrap();
        assert_eq!((request.value("X-ADDED"), request.value("X-Gone")), (Some("one,two"), None));
        assert_eq!(request.all_http_header_fields().len(), 2);
        load(&session(origin), request).unwrap();
        let sent = origin.requests().pop().unwrap();
        let fields = ["x-set", "x-added", "x-gone"].map(|name| sent.header(name));
        assert_eq!(fields, [Some("one"), Some("one,two"), None]);
    });
}

/// What is kept, by whoever keeps it.
fn kept(of: &Configuration) -> (usize, bool, usize) {
    (
        of.http_cookie_storage.as_ref().unwrap().cookies().len(),
        of.url_cache.as_ref().unwrap().cached_response(&kept_request()).is_some(),
        of.url_credential_storage.as_ref().unwrap().all_credentials().len(),
    )
}

fn kept_request() -> UrlRequest {
    UrlRequest::new("http://kept.test/".parse().unwrap())
}

/// Runs one of the helpers below in a process whose user has these folders.
fn run_at(helper: &str, folder: &Path) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--ignored", "--exact", "--nocapture", &format!("properties::{helper}")]);
    command.env("HOME", folder).env("LOCALAPPDATA", folder).env_remove("URLSESSION_APPLICATION_ID");
    command.env("XDG_DATA_HOME", folder.join("data")).env("XDG_CACHE_HOME", folder.join("cache"));
    let output = command.output().unwrap();
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

#[test]
fn configurations_share_the_applications_stores_unless_they_are_ephemeral() {
    let folder = tempfile::tempdir().unwrap();
    run_at("helper_fills_the_shared_stores", folder.path());
    run_at("helper_finds_the_shared_stores_filled", folder.path());
}

#[test]
#[ignore = "run by configurations_share_the_applications_stores_unless_they_are_ephemeral, in a process of its own"]
fn helper_fills_the_shared_stores() {
    let (cookies, cache, credentials) =
        (HttpCookieStorage::shared(), UrlCache::shared(), UrlCredentialStorage::shared());
    let fields = [("Cache-Control", "max-age=3600")];
    let response = HttpUrlResponse::new("http://kept.test/".parse().unwrap(), 200, Version::HTTP_11, &fields);
    let space = UrlProtectionSpace::new(
        "kept.test",
        80,
        UrlProtectionSpaceProtocol::Http,
        Some("r"),
        AuthenticationMethod::HttpBasic,
    );
    assert_eq!(kept(&Configuration::default()), (0, false, 0));
    cookies.set_cookie(cookie(&[(Key::MaximumAge, "3600")]));
    cache.store_cached_response(&CachedUrlResponse::new(response.unwrap(), "kept"), &kept_request());
    // A permanent one may be for the keyring of whoever runs this.
    credentials.set(&UrlCredential::new("ann", "pw", Persistence::ForSession), &space);
    assert_eq!(kept(&Configuration::default()), (1, true, 1));
    assert_eq!(kept(&UrlSession::shared().configuration()), (1, true, 1));
    assert_eq!(kept(&Configuration::ephemeral()), (0, false, 0));
    // Each ephemeral configuration has its own, and those made of it have the same.
    let ephemeral = Configuration::ephemeral();
    let same = UrlSession::new(ephemeral.clone()).configuration();
    ephemeral.http_cookie_storage.unwrap().set_cookie(cookie(&[]));
    ephemeral
        .url_credential_storage
        .unwrap()
        .set(&UrlCredential::new("eve", "pw", Persistence::ForSession), &space);
    assert_eq!(kept(&same), (1, false, 1));
    assert_eq!(kept(&Configuration::ephemeral()), (0, false, 0));
    assert!(cache.current_disk_usage() > 0);
    block_on(UrlSession::shared().flush());
}

#[test]
#[ignore = "run by configurations_share_the_applications_stores_unless_they_are_ephemeral, in a process of its own"]
fn helper_finds_the_shared_stores_filled() {
    assert_eq!(kept(&Configuration::default()), (1, true, 0));
    assert_eq!(kept(&Configuration::ephemeral()), (0, false, 0));
}
