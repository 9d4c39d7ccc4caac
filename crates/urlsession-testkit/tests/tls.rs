//! Proves the TLS side: certificates good and bad, ALPN, resumption, client certificates.

mod common;

use std::time::Duration;

use common::{LIMIT, Raw, tls_client};
use rustls::client::Resumption;
use urlsession_testkit::{Accept, After, Certificate, Origin, Reply, TestAuthority, Wire};

#[test]
fn http1_inside_tls() {
    let origin = Origin::start(Wire::TlsH1);
    assert_eq!(origin.url("/UK"), format!("https://localhost:{}/UK", origin.port()));
    let config = tls_client(origin.authority(), &["h2", "http/1.1"], None);
    let mut raw = Raw::connect_tls(&origin, config);
    assert_eq!(raw.exchange("GET", "/UK").1, b"London");
    raw.send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi");
    assert!(raw.rest_text().ends_with("\r\n\r\nhi"));
    let requests = origin.requests();
    let facts = requests[0].tls.as_deref().expect("facts of the handshake");
    assert_eq!(requests[0].wire, Wire::TlsH1);
    assert_eq!((facts.version.as_str(), facts.resumed), ("TLSv1_3", false));
    assert_eq!(facts.server_name.as_deref(), Some("localhost"));
    assert_eq!(facts.alpn.as_deref(), Some("http/1.1"));
}

#[test]
fn sessions_resume() {
    let origin = Origin::start(Wire::TlsH1);
    let mut config = tls_client(origin.authority(), &[], None);
    config.resumption = Resumption::in_memory_sessions(4);
    for _ in 0..2 {
        let mut raw = Raw::connect_tls(&origin, config.clone());
        raw.exchange("GET", "/UK");
    }
    let resumed: Vec<_> =
        origin.requests().iter().map(|r| r.tls.as_ref().is_some_and(|t| t.resumed)).collect();
    assert_eq!(resumed, [false, true]);
}

#[test]
fn a_client_without_alpn_gets_http1_from_an_h2_origin() {
    let origin = Origin::builder().wire(Wire::TlsH2).tls12_only(true).start();
    let mut raw = Raw::connect_tls(&origin, tls_client(origin.authority(), &[], None));
    assert_eq!(raw.exchange("GET", "/UK").1, b"London");
    let request = &origin.requests()[0];
    assert_eq!(request.wire, Wire::TlsH1);
    assert_eq!(request.tls.as_ref().map(|t| t.version.as_str()), Some("TLSv1_2"));
}

#[test]
fn no_common_protocol_fails_the_handshake() {
    let origin = Origin::builder().wire(Wire::TlsH2).alpn(&["h2"]).start();
    let mut raw = Raw::connect_tls(&origin, tls_client(origin.authority(), &["http/1.1"], None));
    assert!(raw.rest().is_err());
    assert!(origin.wait_for(|j| j.failed_handshakes.len() == 1 && j.closed == 1, LIMIT));
}

#[test]
fn bad_certificates_are_bad_in_their_own_way() {
    let authority = TestAuthority::new();
    let refusal = |certificate: Certificate| {
        let origin = Origin::builder().wire(Wire::TlsH1).certificate(certificate).start();
        let error = Raw::connect_tls(&origin, tls_client(&authority, &[], None)).rest();
        assert!(origin.wait_for(|j| j.failed_handshakes.len() == 1, LIMIT));
        error.expect_err("a refused handshake").to_string()
    };
    assert!(refusal(authority.expired()).contains("expired"));
    assert!(refusal(authority.not_yet_valid()).contains("not valid yet"));
    assert!(refusal(authority.wrong_host()).contains("not valid for name"));
    assert!(refusal(authority.self_signed()).contains("UnknownIssuer"));
    assert!(refusal(authority.unknown_authority()).contains("UnknownIssuer"));
}

#[test]
fn client_certificates() {
    let origin = Origin::builder().wire(Wire::TlsH1).require_client_certificate(true).start();
    let authority = origin.authority().clone();
    let identity = authority.client("somebody");
    assert!(identity.chain_pem().starts_with("-----BEGIN CERTIFICATE-----"));
    assert!(identity.key_pem().starts_with("-----BEGIN PRIVATE KEY-----"));
    let mut raw = Raw::connect_tls(&origin, tls_client(&authority, &[], Some(&identity)));
    assert_eq!(raw.exchange("GET", "/UK").1, b"London");
    let request = origin.requests().remove(0);
    assert_eq!(request.tls.expect("facts").client_certificates, identity.chain_der());
    let mut raw = Raw::connect_tls(&origin, tls_client(&authority, &[], None));
    assert!(raw.rest().is_err());
    assert!(origin.wait_for(|j| j.failed_handshakes.len() == 1, LIMIT));
}

#[test]
fn an_end_without_close_notify_is_told_from_one_with() {
    let origin = Origin::start(Wire::TlsH1);
    let end = |after: After| {
        origin.enqueue("/", Reply::new(200).body("all").no_length().then(after));
        let mut raw = Raw::connect_tls(&origin, tls_client(origin.authority(), &[], None));
        raw.request("GET", "/");
        raw.rest().map_err(|e| e.kind())
    };
    assert_eq!(end(After::SilentClose).map(|all| all.ends_with(b"\r\n\r\nall")), Ok(true));
    assert_eq!(end(After::Cut), Err(std::io::ErrorKind::UnexpectedEof));
}

#[test]
fn a_handshake_can_stall() {
    let origin = Origin::builder().wire(Wire::TlsH1).accept(Accept::Stall).start();
    let mut raw = Raw::connect_tls(&origin, tls_client(origin.authority(), &[], None));
    raw.stream.sock.set_read_timeout(Some(Duration::from_millis(20))).expect("a read timeout");
    assert!(raw.rest().is_err());
    assert_eq!(origin.open_connections(), 1);
}

#[test]
fn the_authority_is_one_per_process_and_others_are_others() {
    let (one, two) = (TestAuthority::new(), TestAuthority::new());
    assert_eq!(one.der(), two.der());
    assert_ne!(one.der(), TestAuthority::separate("another").der());
    assert!(one.pem().starts_with("-----BEGIN CERTIFICATE-----"));
    assert_eq!(Origin::start(Wire::H1).trust_anchor_pem(), one.pem());
}
