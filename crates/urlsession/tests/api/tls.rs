//! Whom TLS trusts, and what it says when it does not.

use urlsession::network::HttpVersions;
use urlsession::security::TlsVersion;
use urlsession::{Configuration, UrlErrorCode as Code, UrlSession};
use urlsession_testkit::{Certificate, Origin, TestAuthority, Wire};

use crate::support::*;

fn refused(certificate: Certificate) -> urlsession::UrlError {
    let origin = Origin::builder().wire(Wire::TlsH1).certificate(certificate).start();
    load(&session(&origin), origin.url("/Peru")).unwrap_err()
}

#[test]
pub(super) fn certificates_that_are_not_good_have_their_own_codes() {
    let authority = TestAuthority::new();
    for (certificate, code) in [
        (authority.self_signed(), Code::ServerCertificateUntrusted),
        (authority.expired(), Code::ServerCertificateHasBadDate),
        (authority.not_yet_valid(), Code::ServerCertificateNotYetValid),
        (authority.wrong_host(), Code::ServerCertificateUntrusted),
        (authority.unknown_authority(), unknown_root()),
    ] {
        let error = refused(certificate);
        assert_eq!(error.code(), code, "{error}");
        assert_eq!(error.phase(), urlsession::Phase::Tls);
        let trust = error.peer_trust().unwrap();
        assert_eq!((trust.host(), trust.certificates().len()), ("localhost", 1));
        assert_eq!(trust.evaluate().unwrap_err().code(), code);
    }
}

#[test]
fn without_its_anchor_the_origin_is_not_trusted() {
    on(Wire::TlsH1, |origin| {
        let error = load(&UrlSession::new(Configuration::ephemeral()), origin.url("/Peru")).unwrap_err();
        assert_eq!(error.code(), unknown_root());
        assert!(origin.requests().is_empty());
    });
}

#[test]
fn a_client_certificate_that_is_missing_has_its_own_code() {
    let origin = Origin::builder().wire(Wire::TlsH1).require_client_certificate(true).start();
    let error = load(&session(&origin), origin.url("/Peru")).unwrap_err();
    assert_eq!(error.code(), Code::ClientCertificateRequired, "{error}");
}

#[test]
pub(super) fn versions_are_those_configured() {
    let origin = Origin::builder().wire(Wire::TlsH1).tls12_only(true).start();
    load(&session(&origin), origin.url("/Peru")).unwrap();
    let mut strict = configuration(&origin);
    strict.tls_minimum_supported_protocol_version = TlsVersion::Tls13;
    let error = load(&UrlSession::new(strict.clone()), origin.url("/Peru")).unwrap_err();
    assert_eq!(error.code(), Code::SecureConnectionFailed, "{error}");
    strict.tls_maximum_supported_protocol_version = TlsVersion::Tls12;
    let error = load(&UrlSession::new(strict), origin.url("/Peru")).unwrap_err();
    assert!(error.to_string().contains("oldest TLS version"), "{error}");
}

#[test]
pub(super) fn cipher_suites_are_those_configured() {
    let agreed = |tls12_only, suites: &[u16]| {
        let origin = Origin::builder().wire(Wire::TlsH1).tls12_only(tls12_only).start();
        let session = UrlSession::new(configuration(&origin).tls_cipher_suites(suites.iter().copied()));
        let load = session.data(origin.url("/Peru"));
        let task = load.task();
        load.wait()
            .map(|_| task.metrics().unwrap().transaction_metrics[0].negotiated_tls_cipher_suite.unwrap())
    };
    for suite in [0x1301, 0x1302, 0x1303] {
        assert_eq!(agreed(false, &[suite]).unwrap(), suite);
    }
    assert_eq!(agreed(true, &[0x1301, 0xCCA9]).unwrap(), 0xCCA9);
    // TLS 1.2 alone is left, and the other way round.
    assert_eq!(agreed(false, &[0xC02B]).unwrap(), 0xC02B);
    assert_eq!(agreed(true, &[0x1301]).unwrap_err().code(), Code::SecureConnectionFailed);
    let error = agreed(false, &[0x000A]).unwrap_err();
    assert!(error.to_string().contains("cipher suite"), "{error}");
}

#[test]
fn http_versions_are_those_configured() {
    on(Wire::TlsH2, |origin| {
        let mut configuration = configuration(origin);
        configuration.http_versions = HttpVersions::Http1;
        load(&UrlSession::new(configuration.clone()), origin.url("/Peru")).unwrap();
        assert_eq!(origin.requests()[0].stream, None);
        configuration.http_versions = HttpVersions::Http2;
        load(&UrlSession::new(configuration.clone()), origin.url("/Peru")).unwrap();
        assert!(origin.requests()[1].stream.is_some());
        let plain = Origin::start(Wire::H1);
        let error = load(&UrlSession::new(configuration), plain.url("/Peru")).unwrap_err();
        assert_eq!((error.code(), plain.connection_count()), (Code::UnsupportedUrl, 0), "{error}");
    });
}

#[test]
fn anchors_are_read_from_pem() {
    on(Wire::TlsH1, |origin| {
        let mut configuration = Configuration::ephemeral();
        assert!(configuration.add_trust_anchors_pem(b"nothing").is_err());
        let pem = origin.trust_anchor_pem();
        let unreadable = format!("{pem}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
        assert!(configuration.add_trust_anchors_pem(unreadable.as_bytes()).is_err());
        assert!(configuration.additional_trust_anchors.is_empty());
        assert!(configuration.additional_trust_anchors.is_empty());
        configuration.add_trust_anchors_pem(origin.trust_anchor_pem().as_bytes()).unwrap();
        load(&UrlSession::new(configuration), origin.url("/Peru")).unwrap();
    });
}

#[test]
fn a_server_that_speaks_no_tls_fails_the_handshake() {
    let answer = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n".to_vec();
    let origin = Origin::builder().wire(Wire::H1).accept(urlsession_testkit::Accept::Raw(answer)).start();
    let url = origin.url("/Peru").replace("http://", "https://");
    let error = load(&session(&origin), url).unwrap_err();
    assert_eq!(error.code(), Code::SecureConnectionFailed, "{error}");
    assert!(error.to_string().contains("the URL begins with http://"), "{error}");
}

#[test]
pub(super) fn sessions_are_resumed() {
    on(Wire::TlsH1, |origin| {
        let session = session(origin);
        for _ in 0..2 {
            origin.enqueue(
                "/a",
                urlsession_testkit::Reply::new(200).body("x").then(urlsession_testkit::After::Close),
            );
            session.data(origin.url("/a")).wait().unwrap();
        }
        let resumed = |i: usize| origin.requests()[i].tls.as_ref().unwrap().resumed;
        assert_eq!((resumed(0), resumed(1)), (false, true));
    });
}

#[test]
fn a_servers_own_certificate_that_is_an_anchor_is_trusted_whoever_issued_it_and_whatever_it_is_for() {
    let authority = TestAuthority::new();
    let load = |certificate: Certificate, host: &str| {
        let anchor = certificate.chain_der()[0].clone();
        let origin = Origin::builder().wire(Wire::TlsH1).certificate(certificate).start();
        let mut configuration = Configuration::ephemeral().additional_trust_anchors([anchor]);
        configuration.environment.resolver = std::sync::Arc::new(Everywhere(origin.addr()));
        let url = format!("https://{host}:{}/Peru", origin.port());
        UrlSession::new(configuration).data(url).wait().map(|(data, _)| text(&data).to_owned())
    };
    let of_authority = |from, to| authority.self_signed_authority(from, to);
    for certificate in [of_authority(-1, 1), authority.self_signed(), authority.unknown_authority()] {
        assert_eq!(load(certificate, "localhost").unwrap(), "Lima");
    }
    let code = |certificate, host| load(certificate, host).unwrap_err().code();
    assert_eq!(code(of_authority(-1, 1), "elsewhere.test"), Code::ServerCertificateUntrusted);
    assert_eq!(code(of_authority(-3, -1), "localhost"), Code::ServerCertificateHasBadDate);
    assert_eq!(code(of_authority(1, 3), "localhost"), Code::ServerCertificateNotYetValid);
    let others = authority.unknown_authority().chain_der()[0].clone();
    let origin = Origin::builder().wire(Wire::TlsH1).certificate(of_authority(-1, 1)).start();
    let configuration = Configuration::ephemeral().additional_trust_anchors([others]);
    let error = UrlSession::new(configuration).data(origin.url("/Peru")).wait().unwrap_err();
    assert_eq!(error.code(), Code::ServerCertificateUntrusted, "another is no anchor: {error}");
}

#[test]
fn a_host_with_a_hyphen_at_the_edge_of_a_label_is_trusted_by_its_name() {
    let authority = TestAuthority::new();
    for wire in [Wire::TlsH1, Wire::TlsH2] {
        let load = |names: &[&str], hosts: &[&str]| {
            let origin = Origin::builder().wire(wire).certificate(authority.leaf(names)).start();
            let mut configuration = configuration(&origin);
            configuration.environment.resolver = std::sync::Arc::new(Everywhere(origin.addr()));
            let session = UrlSession::new(configuration);
            let load = |host: &&str| {
                let url = format!("https://{host}:{}/Peru", origin.port());
                session.data(url).wait().map(|(data, _)| text(&data).to_owned()).map_err(|error| error.code())
            };
            hosts.iter().map(load).collect::<Vec<_>>()
        };
        let both = ["-a.b.example", "a-.b.example"];
        for names in [&["*.b.example"][..], &both, &["*.example", "usual.example", "*.B.Example"]] {
            assert_eq!(load(names, &both), [Ok("Lima".into()), Ok("Lima".into())], "{wire:?}, {names:?}");
        }
        let refused = Err(Code::ServerCertificateUntrusted);
        for names in [&["elsewhere.test"][..], &["-a.test"], &["b.example", "*.example", "a.b.example"]] {
            assert_eq!(load(names, &both), [refused.clone(), refused.clone()], "{wire:?}, {names:?}");
        }
    }
    // All else that is looked at stays so.
    for (certificate, code) in [
        (authority.expired(), Code::ServerCertificateHasBadDate),
        (authority.unknown_authority(), unknown_root()),
        (authority.self_signed(), Code::ServerCertificateUntrusted),
    ] {
        let origin = Origin::builder().wire(Wire::TlsH1).certificate(certificate).start();
        let mut configuration = configuration(&origin);
        configuration.environment.resolver = std::sync::Arc::new(Everywhere(origin.addr()));
        let url = format!("https://a-.example:{}/", origin.port());
        assert_eq!(UrlSession::new(configuration).data(url).wait().unwrap_err().code(), code);
    }
}
