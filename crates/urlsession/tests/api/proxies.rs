//! Proxies as applications see them: which way a load takes, what the proxy gets to see, and what it never does.

use urlsession::{
    AuthChallengeDisposition as Disposition, Configuration, ProxyConfiguration, ProxyDictionary,
    UrlErrorCode, UrlSession,
};
use urlsession_testkit::{Origin, Proxy, ProxyFault, Reply, Wire};

use crate::support::*;

fn through(origin: &Origin, proxy: &Proxy) -> Configuration {
    let dictionary = ProxyDictionary::with_proxy("127.0.0.1", proxy.port());
    Configuration { connection_proxy_dictionary: Some(dictionary), ..configuration(origin) }
}

fn tunnel(port: u16) -> ProxyConfiguration {
    ProxyConfiguration::with_http_connect_proxy("127.0.0.1", port)
}

fn with_tunnels(origin: &Origin, proxies: Vec<ProxyConfiguration>) -> Configuration {
    Configuration { proxy_configurations: proxies, ..configuration(origin) }
}

/// `host:port` of the origin.
fn authority(origin: &Origin) -> String {
    let url = origin.url("");
    url.split_once("://").unwrap().1.trim_end_matches('/').to_owned()
}

/// What the proxy sees of loads of `/Peru`, the first time.
fn first_line(origin: &Origin) -> String {
    match origin.url("").starts_with("https") {
        true => format!("CONNECT {}", authority(origin)),
        false => format!("GET {}", origin.url("/Peru")),
    }
}

#[test]
fn http_is_asked_of_the_proxy_and_https_comes_through_its_tunnel() {
    on_every_wire(|origin| {
        let proxy = Proxy::start();
        let session = UrlSession::new(through(origin, &proxy));
        (0..3).for_each(|_| assert_eq!(load(&session, origin.url("/Peru")).unwrap().0, "Lima"));
        assert_eq!(proxy.connection_count(), 1, "connections are kept");
        let requests = proxy.requests();
        assert_eq!(proxy.lines()[0], first_line(origin));
        assert_eq!(requests[0].authority.as_deref(), Some(&*authority(origin)));
        assert_eq!(requests.len(), if origin.url("").starts_with("https") { 1 } else { 3 });
        assert!(requests[0].header("user-agent").unwrap().starts_with("urlsession/"));
    });
}

#[test]
fn the_target_of_a_forwarded_request_has_no_secrets_of_the_url() {
    on(Wire::H1, |origin| {
        let proxy = Proxy::start();
        let session = UrlSession::new(through(origin, &proxy));
        let url = origin.url("/echo?a=b#fragment").replace("://", "://ann:pw@");
        load(&session, &*url).unwrap();
        assert_eq!(proxy.lines(), [format!("GET {}", origin.url("/echo?a=b"))]);
    });
}

#[test]
fn requests_to_several_origins_share_the_connection_to_the_proxy() {
    let (one, other, proxy) = (Origin::start(Wire::H1), Origin::start(Wire::H1), Proxy::start());
    let session = UrlSession::new(through(&one, &proxy));
    for origin in [&one, &other, &one] {
        assert_eq!(load(&session, origin.url("/Peru")).unwrap().0, "Lima");
    }
    assert_eq!((proxy.connection_count(), proxy.lines().len()), (1, 3));
}

#[test]
fn bodies_pass_through_proxies() {
    on_every_wire(|origin| {
        let proxy = Proxy::start();
        let session = UrlSession::new(through(origin, &proxy));
        load(&session, &request(&origin.url("/upload"), "POST", Some(b"hello"))).unwrap();
        let sent = origin.requests().remove(0);
        assert_eq!((&*sent.method, &*sent.text()), ("POST", "hello"));
    });
}

#[test]
fn a_configured_proxy_makes_tunnels_for_http_too_and_wins_over_the_dictionary() {
    on_every_wire(|origin| {
        let (proxy, unused) = (Proxy::start(), Proxy::start());
        let configuration =
            Configuration { proxy_configurations: vec![tunnel(proxy.port())], ..through(origin, &unused) };
        let session = UrlSession::new(configuration);
        assert_eq!(load(&session, origin.url("/Peru")).unwrap().0, "Lima");
        assert_eq!(proxy.lines(), [format!("CONNECT {}", authority(origin))]);
        assert_eq!(unused.connection_count(), 0);
    });
}

#[test]
fn hosts_in_the_exceptions_list_are_loaded_directly() {
    on_every_wire(|origin| {
        let proxy = Proxy::start();
        for exception in ["localhost", "127.0.0.1"] {
            let mut configuration = through(origin, &proxy);
            let dictionary = configuration.connection_proxy_dictionary.as_mut().unwrap();
            dictionary.exceptions_list = vec![exception.into()];
            load(&UrlSession::new(configuration), origin.url("/Peru")).unwrap();
        }
        assert_eq!(proxy.connection_count(), 1, "one of the two names is the origin's");
    });
}

#[test]
fn an_empty_dictionary_and_domains_of_others_leave_loads_alone() {
    on_every_wire(|origin| {
        let proxy = Proxy::start();
        let mut other = tunnel(proxy.port());
        other.match_domains = vec!["example.com".into()];
        let mut excluded = tunnel(proxy.port());
        excluded.excluded_domains = vec!["localhost".into(), "127.0.0.1".into()];
        let configuration = Configuration {
            connection_proxy_dictionary: Some(ProxyDictionary::new()),
            ..with_tunnels(origin, vec![other, excluded])
        };
        load(&UrlSession::new(configuration), origin.url("/Peru")).unwrap();
        assert_eq!(proxy.connection_count(), 0);
    });
}

#[test]
fn a_proxy_out_of_reach_fails_the_load_unless_failover_is_allowed() {
    on_every_wire(|origin| {
        let closed = origin.closed_port();
        let session = UrlSession::new(with_tunnels(origin, vec![tunnel(closed), tunnel(closed)]));
        let error = load(&session, origin.url("/Peru")).unwrap_err();
        assert_eq!(error.code(), UrlErrorCode::CannotConnectToHost);
        let expected = format!("the proxy cannot be reached: 127.0.0.1 refuses connections on port {closed}");
        assert!(error.to_string().contains(&expected), "{error}");
        assert!(origin.requests().is_empty());

        let good = Proxy::start();
        let mut lenient = tunnel(closed);
        lenient.allow_failover = true;
        let session = UrlSession::new(with_tunnels(origin, vec![lenient.clone(), tunnel(good.port())]));
        load(&session, origin.url("/Peru")).unwrap();
        assert_eq!(good.connection_count(), 1, "the next one is tried");
        let session = UrlSession::new(with_tunnels(origin, vec![lenient]));
        load(&session, origin.url("/Peru")).unwrap();
        assert_eq!(good.connection_count(), 1, "after the last nothing stands between");
    });
}

#[test]
fn the_dictionary_never_fails_over() {
    on_every_wire(|origin| {
        let dictionary = ProxyDictionary::with_proxy("127.0.0.1", origin.closed_port());
        let configuration =
            Configuration { connection_proxy_dictionary: Some(dictionary), ..configuration(origin) };
        let error = load(&UrlSession::new(configuration), origin.url("/Peru")).unwrap_err();
        assert_eq!(error.code(), UrlErrorCode::CannotConnectToHost);
        assert!(error.to_string().contains("the proxy cannot be reached"), "{error}");
        assert!(origin.requests().is_empty());
    });
}

#[test]
fn a_proxy_that_makes_no_tunnel_is_quoted() {
    on(Wire::TlsH2, |origin| {
        let answers = |text: &str| ProxyFault::Answers(text.as_bytes().to_vec());
        for (fault, code, expected) in [
            (
                answers("HTTP/1.1 502 Bad\tGateway\r\nContent-Length: 0\r\n\r\n"),
                UrlErrorCode::CannotConnectToHost,
                "it says 502 BadGateway",
            ),
            (answers("HTTP/1.1 403\r\n\r\n"), UrlErrorCode::CannotConnectToHost, "it says 403"),
            (answers("SSH-2.0\r\n"), UrlErrorCode::BadServerResponse, "does not answer in HTTP"),
            (
                answers("HTTP/1.1 200 OK\r\n\r\nextra"),
                UrlErrorCode::BadServerResponse,
                "sent something of its own into the tunnel",
            ),
            (
                answers(&"HTTP/1.1 100 Continue\r\n\r\n".repeat(11)),
                UrlErrorCode::BadServerResponse,
                "informational responses only",
            ),
            (
                answers(""),
                UrlErrorCode::NetworkConnectionLost,
                "closed the connection before there was a tunnel",
            ),
            (ProxyFault::ClosesMidHead, UrlErrorCode::NetworkConnectionLost, "closed the connection before"),
            (ProxyFault::EndlessHead, UrlErrorCode::BadServerResponse, "larger than the limit"),
        ] {
            let proxy = Proxy::with_fault(fault.clone());
            let error = load(&UrlSession::new(through(origin, &proxy)), origin.url("/Peru")).unwrap_err();
            assert_eq!(error.code(), code, "{fault:?}: {error}");
            assert!(error.to_string().contains(expected), "{error}");
            assert!(error.to_string().contains(&format!("the proxy 127.0.0.1:{}", proxy.port())), "{error}");
        }
        assert_eq!(origin.connection_count(), 0);
    });
}

#[test]
fn what_a_proxy_answers_to_a_forwarded_request_is_the_response() {
    on(Wire::H1, |origin| {
        let fault = ProxyFault::Answers(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 2\r\n\r\nno".to_vec());
        let proxy = Proxy::with_fault(fault);
        let (data, response) = load(&UrlSession::new(through(origin, &proxy)), origin.url("/Peru")).unwrap();
        assert_eq!((response.status_code(), &*data), (Some(502), &b"no"[..]));
    });
}

#[test]
fn metrics_tell_of_the_proxy() {
    on_every_wire(|origin| {
        let proxy = Proxy::start();
        let (session, recorder) = with_recorder(through(origin, &proxy), Recorder::new());
        session.data_task(origin.url("/Peru")).resume();
        let log = recorder.completed(1);
        log.succeeded();
        let transaction = &log.metrics[0].transaction_metrics[0];
        assert!(transaction.is_proxy_connection);
        assert_eq!(transaction.remote_address, Some(proxy.addr().ip()));
        assert_eq!(transaction.remote_port, Some(proxy.port()));
        assert!(transaction.connect_start_date <= transaction.connect_end_date);

        let (session, recorder) = recorded(origin);
        session.data_task(origin.url("/Peru")).resume();
        assert!(!recorder.completed(1).metrics[0].transaction_metrics[0].is_proxy_connection);
    });
}

#[test]
fn a_redirect_takes_its_own_way() {
    let (plain, secure, proxy) = (Origin::start(Wire::H1), Origin::start(Wire::TlsH2), Proxy::start());
    plain.enqueue("/there", Reply::new(302).header("Location", secure.url("/Peru")));
    let session = UrlSession::new(through(&secure, &proxy));
    assert_eq!(load(&session, plain.url("/there")).unwrap().0, "Lima");
    let expected = [format!("GET {}", plain.url("/there")), format!("CONNECT {}", authority(&secure))];
    assert_eq!(proxy.lines(), expected);
}

#[test]
fn what_is_for_the_proxy_stays_there_and_what_is_for_the_origin_passes_it_by() {
    on_every_wire(|origin| {
        let proxy = Proxy::start();
        let mut asked = request(&origin.url("/echo"), "GET", None);
        asked.set_value(Some("Basic cHJveHk="), "Proxy-Authorization").unwrap();
        asked.set_value(Some("Bearer origin"), "Authorization").unwrap();
        asked.set_value(Some("k=v"), "Cookie").unwrap();
        load(&UrlSession::new(through(origin, &proxy)), &asked).unwrap();
        let (at_proxy, at_origin) = (proxy.requests().remove(0), origin.requests().remove(0));
        assert_eq!(at_origin.header("proxy-authorization"), None);
        assert_eq!(at_origin.header("authorization"), Some("Bearer origin"));
        if at_proxy.method == "CONNECT" {
            let names: Vec<_> = at_proxy.headers.iter().map(|(name, _)| &**name).collect();
            assert_eq!(names, ["Host", "User-Agent"]);
        } else {
            assert_eq!(at_proxy.header("proxy-authorization"), Some("Basic cHJveHk="));
        }
    });
}

#[test]
fn a_server_is_judged_through_the_tunnel_as_it_is_without() {
    let (origin, proxy) = (Origin::start(Wire::TlsH2), Proxy::start());
    let untrusting = Configuration { additional_trust_anchors: Vec::new(), ..through(&origin, &proxy) };
    let error = load(&UrlSession::new(untrusting.clone()), origin.url("/Peru")).unwrap_err();
    assert_eq!(error.code(), UrlErrorCode::ServerCertificateHasUnknownRoot);
    let recorder = Recorder::new().answering(|_| Disposition::CancelAuthenticationChallenge.into());
    let (session, _) = with_recorder(untrusting, recorder);
    assert_eq!(
        load(&session, origin.url("/Peru")).unwrap_err().code(),
        UrlErrorCode::ServerCertificateHasUnknownRoot
    );
}
