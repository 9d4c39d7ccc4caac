//! Proxies as applications see them: which way a load takes, what the proxy gets to see, and what it never does.

use std::future::{Future, ready};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use urlsession::authentication::{
    AuthChallengeDisposition as Disposition, AuthenticationMethod as Method, UrlCredential,
    UrlCredentialPersistence as Persistence, UrlProtectionSpaceProxyType as ProxyType,
};
use urlsession::environment::Resolve;
use urlsession::network::{ProxyConfiguration, ProxyDictionary};
use urlsession::{Configuration, Decision, UrlErrorCode, UrlSession};
use urlsession_testkit::{Accept, Origin, Proxy, ProxyFault, ProxyLogin, Reply, Wire};

use crate::support::*;

fn through(origin: &Origin, proxy: &Proxy) -> Configuration {
    let dictionary = ProxyDictionary::with_proxy("127.0.0.1", proxy.port());
    configuration(origin).connection_proxy_dictionary(dictionary)
}

fn tunnel(port: u16) -> ProxyConfiguration {
    ProxyConfiguration::with_http_connect_proxy("127.0.0.1", port)
}

fn with_tunnels(origin: &Origin, proxies: Vec<ProxyConfiguration>) -> Configuration {
    configuration(origin).proxy_configurations(proxies)
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
        load(&session, request(&origin.url("/upload"), "POST", Some(b"hello"))).unwrap();
        let sent = origin.requests().remove(0);
        assert_eq!((&*sent.method, &*sent.text()), ("POST", "hello"));
    });
}

#[test]
fn a_configured_proxy_makes_tunnels_for_http_too_and_wins_over_the_dictionary() {
    on_every_wire(|origin| {
        let (proxy, unused) = (Proxy::start(), Proxy::start());
        let configuration = through(origin, &unused).proxy_configurations([tunnel(proxy.port())]);
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
        let configuration =
            with_tunnels(origin, vec![other, excluded]).connection_proxy_dictionary(ProxyDictionary::new());
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
        let configuration = configuration(origin).connection_proxy_dictionary(dictionary);
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
            (answers("HTTP/1.1 101 S\r\n\r\n"), UrlErrorCode::CannotConnectToHost, "it says 101 S"),
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
        asked.set_value("Proxy-Authorization", "Basic cHJveHk=").unwrap();
        asked.set_value("Authorization", "Bearer origin").unwrap();
        asked.set_value("Cookie", "k=v").unwrap();
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
    let untrusting = through(&origin, &proxy).additional_trust_anchors(Vec::<Vec<u8>>::new());
    let error = load(&UrlSession::new(untrusting), origin.url("/Peru")).unwrap_err();
    assert_eq!(error.code(), unknown_root());
}

/// Gives this password, at most once a load.
fn as_ann(password: &'static str) -> Recorder {
    Recorder::new().answering(move |challenge| match challenge.previous_failure_count() {
        0 => {
            let ann = UrlCredential::new("ann", password, Persistence::ForSession);
            Disposition::UseCredential(Some(ann)).into()
        }
        _ => Decision::default_handling(),
    })
}

const LOGINS: [(ProxyLogin, Method); 2] = [
    (ProxyLogin::Basic("ann", "pw"), Method::HttpBasic),
    (ProxyLogin::Digest("ann", "pw"), Method::HttpDigest),
];

/// Statuses are those the proxy gave: 407 to requests without a login.
fn refused(proxy: &Proxy) -> usize {
    proxy.requests().iter().filter(|request| request.header("proxy-authorization").is_none()).count()
}

#[test]
fn a_delegate_logs_in_to_a_proxy_once_and_is_not_asked_again() {
    for (login, method) in LOGINS {
        on_every_wire(|origin| {
            for proxy in [Proxy::with_login(login), Proxy::closing_when_it_asks(login)] {
                let (session, recorder) = with_recorder(through(origin, &proxy), as_ann("pw"));
                for _ in 0..3 {
                    assert_eq!(load(&session, origin.url("/Peru")).unwrap().0, "Lima");
                }
                let log = recorder.log();
                assert_eq!(log.challenges.len(), 1);
                let (challenge, is_tunnel) = (&log.challenges[0], origin.url("").starts_with("https"));
                let space = challenge.protection_space();
                assert_eq!((space.host(), space.port()), ("127.0.0.1", proxy.port()));
                assert_eq!((space.authentication_method(), space.realm()), (method, Some("of ann")));
                let kind = if is_tunnel { ProxyType::Https } else { ProxyType::Http };
                assert_eq!(space.proxy_type(), Some(kind));
                assert_eq!(challenge.failure_response().unwrap().status_code(), Some(407));
                assert_eq!(refused(&proxy), 1, "the login is sent unasked afterwards");
                assert!(origin.requests().iter().all(|it| it.header("proxy-authorization").is_none()));
            }
        });
    }
}

#[test]
fn a_login_with_a_tunnels_proxy_serves_other_origins_unasked() {
    for (login, _) in LOGINS {
        let (one, other) = (Origin::start(Wire::TlsH2), Origin::start(Wire::TlsH1));
        let proxy = Proxy::with_login(login);
        let (session, recorder) = with_recorder(through(&one, &proxy), as_ann("pw"));
        load(&session, one.url("/Peru")).unwrap();
        load(&session, other.url("/Peru")).unwrap();
        assert_eq!((recorder.log().challenges.len(), refused(&proxy)), (1, 1));
        // Whoever is forgotten has to log in again.
        in_tokio(session.reset());
        load(&session, one.url("/Peru")).unwrap();
        assert_eq!(refused(&proxy), 2);
    }
}

#[test]
fn a_configured_credential_is_used_before_anybody_is_asked() {
    for (login, _) in LOGINS {
        on_every_wire(|origin| {
            let proxy = Proxy::with_login(login);
            let mut tunnel = tunnel(proxy.port());
            tunnel.apply_credential("ann", "pw");
            assert!(!format!("{tunnel:?}").contains("pw"));
            let (session, recorder) = with_recorder(with_tunnels(origin, vec![tunnel]), Recorder::new());
            assert_eq!(load(&session, origin.url("/Peru")).unwrap().0, "Lima");
            assert!(recorder.log().challenges.is_empty());
        });
    }
}

#[test]
fn a_stored_credential_is_used_without_a_delegate_and_one_that_worked_is_stored() {
    on_every_wire(|origin| {
        let proxy = Proxy::with_login(ProxyLogin::Basic("ann", "pw"));
        let configuration = through(origin, &proxy);
        let (first, _) = with_recorder(configuration.clone(), as_ann("pw"));
        load(&first, origin.url("/Peru")).unwrap();
        load(&UrlSession::new(configuration), origin.url("/Peru")).unwrap();
        assert_eq!(refused(&proxy), 2, "another session has to be asked");
    });
}

#[test]
fn a_wrong_password_for_a_forwarding_proxy_ends_in_its_refusal() {
    for (login, _) in LOGINS {
        on(Wire::H1, |origin| {
            let proxy = Proxy::with_login(login);
            let (session, recorder) = with_recorder(through(origin, &proxy), as_ann("wrong"));
            let (data, response) = load(&session, origin.url("/Peru")).unwrap();
            assert_eq!((response.status_code(), text(&data)), (Some(407), "log in!\r\n"));
            let counts: Vec<_> =
                recorder.log().challenges.iter().map(|asked| asked.previous_failure_count()).collect();
            assert_eq!(counts, [0, 1]);
            assert!(origin.requests().is_empty());
        });
    }
}

#[test]
fn a_wrong_password_for_a_tunnel_fails_the_load_and_says_so() {
    for (login, _) in LOGINS {
        for wire in [Wire::TlsH1, Wire::TlsH2] {
            on(wire, |origin| {
                let proxy = Proxy::with_login(login);
                let (session, recorder) = with_recorder(through(origin, &proxy), as_ann("wrong"));
                let error = load(&session, origin.url("/Peru")).unwrap_err();
                assert_eq!(error.code(), UrlErrorCode::UserAuthenticationRequired);
                let expected = format!(
                    "the proxy 127.0.0.1:{} makes no tunnel to {}: it says 407 Proxy Authentication Required",
                    proxy.port(),
                    authority(origin)
                );
                assert!(error.to_string().contains(&expected), "{error}");
                assert!(!error.to_string().contains("wrong"), "{error}");
                let counts: Vec<_> =
                    recorder.log().challenges.iter().map(|asked| asked.previous_failure_count()).collect();
                assert_eq!(counts, [0, 1]);
                assert_eq!(origin.connection_count(), 0);
            });
        }
    }
}

#[test]
fn a_delegate_that_cancels_or_rejects_ends_it() {
    on_every_wire(|origin| {
        let proxy = Proxy::with_login(ProxyLogin::Basic("ann", "pw"));
        for disposition in [Disposition::CancelAuthenticationChallenge, Disposition::RejectProtectionSpace] {
            let answer = disposition.clone();
            let recorder = Recorder::new().answering(move |_| Decision::now(answer.clone()));
            let (session, _) = with_recorder(through(origin, &proxy), recorder);
            let result = load(&session, origin.url("/Peru"));
            let is_tunnel = origin.url("").starts_with("https");
            match (disposition, result) {
                (Disposition::CancelAuthenticationChallenge, Err(error)) => {
                    assert_eq!(error.code(), UrlErrorCode::Cancelled);
                }
                (_, Err(error)) if is_tunnel => {
                    assert_eq!(error.code(), UrlErrorCode::UserAuthenticationRequired);
                }
                (_, Ok((_, response))) => assert_eq!(response.status_code(), Some(407)),
                (_, Err(error)) => panic!("{error}"),
            }
        }
    });
}

#[test]
fn ntlm_logs_in_the_connection_to_a_proxy() {
    on_every_wire(|origin| {
        let proxy = Proxy::with_login(ProxyLogin::Ntlm("ann", "pw"));
        let ann = UrlCredential::new("ann", "pw", Persistence::ForSession);
        let give = move |_: &_| Decision::now(Disposition::UseCredential(Some(ann.clone())));
        let (session, _) =
            with_recorder(through(origin, &proxy), Recorder::new().answering_for_session(give));
        for _ in 0..2 {
            assert_eq!(load(&session, origin.url("/Peru")).unwrap().0, "Lima");
        }
        assert_eq!(proxy.connection_count(), 1);
    });
}

#[test]
fn a_server_and_a_proxy_that_both_ask_get_each_its_own() {
    for (login, _) in LOGINS {
        on_every_wire(|origin| {
            let proxy = Proxy::with_login(login);
            let recorder = Recorder::new().answering(|challenge| {
                let user = if challenge.protection_space().is_proxy() { "ann" } else { "bob" };
                let credential = UrlCredential::new(user, "pw", Persistence::ForSession);
                Disposition::UseCredential(Some(credential)).into()
            });
            let (session, recorder) = with_recorder(through(origin, &proxy), recorder);
            for path in ["/basic/bob/pw", "/digest/bob/pw/SHA-256/auth"] {
                for _ in 0..2 {
                    assert_eq!(load(&session, origin.url(path)).unwrap().0, "in");
                }
            }
            assert_eq!(recorder.log().challenges.len(), 3);
            let basic = |request: &urlsession_testkit::Recorded| {
                request.header("authorization").is_some_and(|value| value == "Basic Ym9iOnB3")
            };
            assert!(origin.requests().iter().any(basic));
            for request in proxy.requests().iter().filter(|request| request.method == "CONNECT") {
                assert_eq!(request.header("authorization"), None);
            }
            for request in origin.requests() {
                assert_eq!(request.header("proxy-authorization"), None);
            }
        });
    }
}

#[test]
fn a_proxy_is_not_logged_in_to_as_the_user_of_the_url() {
    on(Wire::H1, |origin| {
        let proxy = Proxy::with_login(ProxyLogin::Basic("ann", "pw"));
        let session = UrlSession::new(through(origin, &proxy));
        let url = origin.url("/Peru").replace("://", "://ann:pw@");
        assert_eq!(load(&session, &*url).unwrap().1.status_code(), Some(407));
    });
}

#[test]
fn a_client_certificate_is_shown_through_a_new_tunnel() {
    for wire in [Wire::TlsH1, Wire::TlsH2] {
        let origin = Origin::builder().wire(wire).require_client_certificate(true).start();
        let proxy = Proxy::with_login(ProxyLogin::Digest("ann", "pw"));
        let certificate = origin.authority().client("ann");
        let identity = UrlCredential::with_identity(
            certificate.chain_der().to_vec(),
            certificate.key_der(),
            Persistence::None,
        );
        let recorder = as_ann("pw").answering_for_session(move |challenge| {
            match challenge.protection_space().authentication_method() {
                Method::ClientCertificate => Disposition::UseCredential(Some(identity.clone())).into(),
                _ => Decision::default_handling(),
            }
        });
        let (session, _) = with_recorder(through(&origin, &proxy), recorder);
        assert_eq!(load(&session, origin.url("/Peru")).unwrap().0, "Lima");
        assert_eq!(origin.requests()[0].tls.as_ref().unwrap().client_certificates.len(), 1);
        assert_eq!(refused(&proxy), 1, "the second tunnel is asked for with a login");
    }
}

#[test]
fn a_proxy_that_never_makes_the_tunnel_runs_into_the_timeout() {
    let (origin, silent) = (Origin::start(Wire::TlsH2), Origin::builder().accept(Accept::Stall).start());
    let clock = HandClock::new();
    let mut configuration = with_tunnels(&origin, vec![tunnel(silent.port())]);
    configuration.environment.clock = Arc::new(clock.clone());
    let (session, recorder) = with_recorder(configuration, Recorder::new());
    let mut asked = request(&origin.url("/Peru"), "GET", None);
    asked.set_timeout_interval(Duration::from_secs(1));
    session.data_task(asked).resume();
    clock.advance_until(Duration::from_secs(1), || !recorder.log().completions.is_empty());
    let error = recorder.completed(1).completions[0].clone().unwrap();
    assert_eq!(error.code(), UrlErrorCode::TimedOut);
    assert_eq!(origin.connection_count(), 0);
}

#[test]
fn no_login_with_a_proxy_follows_a_redirect_to_where_there_is_none() {
    let (through_proxy, direct) = (Origin::start(Wire::H1), Origin::start(Wire::TlsH1));
    let proxy = Proxy::with_login(ProxyLogin::Basic("ann", "pw"));
    let mut configuration = through(&direct, &proxy);
    configuration.connection_proxy_dictionary.as_mut().unwrap().https_enable = false;
    let (session, _) = with_recorder(configuration, as_ann("pw"));
    for _ in 0..2 {
        through_proxy.enqueue("/there", Reply::new(302).header("Location", direct.url("/Peru")));
        assert_eq!(load(&session, through_proxy.url("/there")).unwrap().0, "Lima");
    }
    let at_origins: Vec<_> = through_proxy.requests().into_iter().chain(direct.requests()).collect();
    assert_eq!(at_origins.len(), 4);
    assert!(at_origins.iter().all(|it| it.header("proxy-authorization").is_none()));
}

#[test]
fn a_body_is_sent_again_to_a_proxy_that_asked_for_a_login() {
    for (login, _) in LOGINS {
        on_every_wire(|origin| {
            let proxy = Proxy::with_login(login);
            let (session, _) = with_recorder(through(origin, &proxy), as_ann("pw"));
            load(&session, request(&origin.url("/upload"), "POST", Some(b"hello"))).unwrap();
            let sent = origin.requests();
            assert_eq!((sent.len(), &*sent[0].text()), (1, "hello"));
        });
    }
}

/// The connections to the proxy, in the order of their requests.
fn connections(proxy: &Proxy) -> Vec<usize> {
    proxy.requests().iter().map(|request| request.connection).collect()
}

#[test]
fn a_proxy_that_closes_by_proxy_connection_is_asked_again_over_another_connection() {
    for login in [ProxyLogin::Basic("ann", "pw"), ProxyLogin::Digest("ann", "pw")] {
        on_every_wire(|origin| {
            let proxy = Proxy::closing_by_proxy_connection(login);
            let (session, _) = with_recorder(through(origin, &proxy), as_ann("pw"));
            load(&session, request(&origin.url("/upload"), "POST", Some(b"hello"))).unwrap();
            assert_eq!((origin.requests().len(), &*origin.requests()[0].text()), (1, "hello"));
            assert_eq!(connections(&proxy), [0, 1]);
        });
    }
}

#[test]
fn a_proxy_that_hangs_up_on_a_kept_connection_is_asked_again_over_another() {
    let ntlm = ProxyLogin::Ntlm("ann", "pw");
    for login in LOGINS.map(|(login, _)| login).into_iter().chain([ntlm]) {
        for wire in [Wire::TlsH1, Wire::TlsH2] {
            on(wire, |origin| {
                let proxy = Proxy::hanging_up_once(login);
                let (session, recorder) = with_recorder(through(origin, &proxy), as_ann("pw"));
                load(&session, request(&origin.url("/upload"), "POST", Some(b"hello"))).unwrap();
                assert_eq!(origin.requests().len(), 1);
                assert_eq!(connections(&proxy)[..3], [0, 0, 1]);
                assert_eq!(recorder.log().challenges.len(), 1, "nobody is asked again");
            });
        }
    }
}

#[test]
fn a_proxy_that_never_answers_on_its_first_connection_fails_the_load() {
    for wire in [Wire::TlsH1, Wire::TlsH2] {
        on(wire, |origin| {
            let proxy = Proxy::with_fault(ProxyFault::Answers(Vec::new()));
            let error = load(&UrlSession::new(through(origin, &proxy)), origin.url("/Peru")).unwrap_err();
            assert_eq!(error.code(), UrlErrorCode::NetworkConnectionLost);
            assert_eq!(proxy.connection_count(), 1);
        });
    }
}

#[test]
fn a_proxy_that_asks_for_very_many_logins_gets_sixteen_answers_at_most() {
    let many: String =
        (0..50).map(|n| format!("Proxy-Authenticate: Digest realm=\"{n}\", nonce=n\r\n")).collect();
    let answer = format!("HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n{many}\r\n");
    on_every_wire(|origin| {
        let proxy = Proxy::with_fault(ProxyFault::Answers(answer.clone().into_bytes()));
        let rejecting = Recorder::new().answering(|_| Decision::now(Disposition::RejectProtectionSpace));
        let (session, recorder) = with_recorder(through(origin, &proxy), rejecting);
        let _ = load(&session, origin.url("/Peru"));
        assert_eq!(recorder.log().challenges.len(), 16);
    });
}

/// Notes what it is asked for, and finds nothing.
#[derive(Default)]
struct Asked(Mutex<Vec<(String, u16)>>);

impl Resolve for Asked {
    fn resolve(
        &self,
        host: &str,
        port: u16,
    ) -> Option<Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>> {
        self.0.lock().unwrap().push((host.to_owned(), port));
        Some(Box::pin(ready(Err(io::Error::other("nothing is found")))))
    }
}

#[test]
fn a_proxy_without_a_port_has_that_of_its_scheme() {
    for (url, port) in [("http://far.test/", 80), ("https://far.test/", 443)] {
        let asked = Arc::<Asked>::default();
        let mut configuration = Configuration::ephemeral();
        configuration.app_transport_security.allows_arbitrary_loads = true;
        configuration.environment.resolver = asked.clone();
        configuration.connection_proxy_dictionary = Some(
            ProxyDictionary::new()
                .http_enable(true)
                .http_proxy("proxy.test".to_owned())
                .https_enable(true)
                .https_proxy("proxy.test".to_owned()),
        );
        load(&UrlSession::new(configuration), url).unwrap_err();
        assert_eq!(*asked.0.lock().unwrap(), [("proxy.test".to_owned(), port)], "{url}");
    }
}
