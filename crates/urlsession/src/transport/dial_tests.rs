//! Streams that carry no HTTP: dialled, secured, through proxies.

use std::io::{Read, Write};
use std::net::TcpListener;

use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use urlsession_testkit::{Certificate, Proxy as TestProxy, TestAuthority};

use super::*;
use crate::env::Environment;
use crate::load::RouteEnd;
use crate::transport::tls::{HandshakeOutcome, Peer, Tls, TlsProfile, secure};

trait Duplex: Read + Write {}

impl<T: Read + Write> Duplex for T {}

/// A server that sends back what it gets, within as many layers of TLS. Its port.
fn echo(layers: usize, certificate: &Certificate) -> u16 {
    let chain = certificate.chain_der().iter().map(|der| CertificateDer::from(der.clone())).collect();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(certificate.key_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = ServerConfig::builder_with_provider(provider).with_protocol_versions(rustls::ALL_VERSIONS);
    let tls = Arc::new(tls.unwrap().with_no_client_auth().with_single_cert(chain, key).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let mut stream: Box<dyn Duplex> = Box::new(listener.accept().unwrap().0);
        for _ in 0..layers {
            stream = Box::new(StreamOwned::new(ServerConnection::new(tls.clone()).unwrap(), stream));
        }
        let mut buffer = [0; 64];
        while let Ok(n @ 1..) = stream.read(&mut buffer) {
            stream.write_all(&buffer[..n]).unwrap();
            stream.flush().unwrap();
        }
    });
    port
}

fn to(port: u16) -> Endpoint<'static> {
    Endpoint { host: HostId::global("127.0.0.1"), port }
}

/// Dials a server by a route, secures the stream as often, and has what is said repeated.
fn is_repeated(authority: &TestAuthority, port: u16, route: &Route, layers: usize) -> bool {
    let config = Configuration {
        environment: Environment::default(),
        additional_trust_anchors: vec![authority.der()],
        ..Configuration::ephemeral()
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (logins, progress) = (LoginCache::default(), DialProgress::default());
        let dialer = Dialer {
            config: &config,
            runtime: &RuntimeHandle::current().unwrap(),
            logins: &logins,
            challenger: None,
            options: DialOptions::default(),
            progress: &progress,
        };
        let mut stream = dial(dialer, to(port), route).await.unwrap().stream;
        for _ in 0..layers {
            let profile = TlsProfile { peer: Peer { host: to(port).host, port }, protocols: &[] };
            let secured = secure(&Tls::default(), &config, stream, profile, None, None).await.unwrap();
            let HandshakeOutcome::Done(within, _) = secured else { panic!("no identity is wanted") };
            stream = within;
        }
        stream.write_all(b"anything").await.unwrap();
        stream.flush().await.unwrap();
        let mut heard = [0; 8];
        stream.read_exact(&mut heard).await.unwrap();
        heard == *b"anything"
    })
}

fn over(proxies: &[&TestProxy]) -> Route {
    let hop = |proxy: &&TestProxy| Hop {
        kind: ProxyKind::Http,
        host: "127.0.0.1".into(),
        port: proxy.port(),
        credential: None,
        allows_failover: false,
    };
    Route::over(proxies.iter().map(hop).collect::<Vec<_>>(), RouteEnd::Tunnel, None)
}

#[test]
fn a_stream_is_dialled_and_secured_whatever_it_carries() {
    let authority = TestAuthority::new();
    for layers in 0..=2 {
        let port = echo(layers, &authority.local());
        assert!(is_repeated(&authority, port, &Route::Direct, layers), "{layers} layers");
    }
}

#[test]
fn a_stream_leads_through_a_proxy_and_through_a_proxy_behind_a_proxy() {
    let authority = TestAuthority::new();
    let (first, second) = (TestProxy::start(), TestProxy::start());
    let asked = |port: u16| format!("CONNECT 127.0.0.1:{port}");
    let port = echo(1, &authority.local());
    assert!(is_repeated(&authority, port, &over(&[&first]), 1));
    assert_eq!(first.lines(), [asked(port)]);
    let port = echo(0, &authority.local());
    assert!(is_repeated(&authority, port, &over(&[&first, &second]), 0));
    assert_eq!(first.lines()[1..], [asked(second.port())]);
    assert_eq!(second.lines(), [asked(port)]);
}
