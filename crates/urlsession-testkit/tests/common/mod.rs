//! Owns the clients the tests speak to the origin with: a raw HTTP/1.1 socket, TLS, and the `h2` crate.

#![allow(dead_code, reason = "every test file uses its own part")]

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use urlsession_testkit::{Certificate, Origin, TestAuthority};

/// Far more than anything here takes; reached only when a test fails.
pub(crate) const LIMIT: Duration = Duration::from_secs(10);

/// A socket that says exactly what it is told to.
pub(crate) struct Raw<S = TcpStream> {
    pub(crate) stream: S,
    buffer: Vec<u8>,
}

impl Raw {
    pub(crate) fn connect(origin: &Origin) -> Self {
        let stream = TcpStream::connect(origin.addr()).expect("a connection to the origin");
        stream.set_read_timeout(Some(LIMIT)).expect("a read timeout");
        Self { stream, buffer: Vec::new() }
    }

    pub(crate) fn finish(&self) {
        self.stream.shutdown(Shutdown::Write).expect("half a close");
    }
}

impl Raw<StreamOwned<ClientConnection, TcpStream>> {
    pub(crate) fn connect_tls(origin: &Origin, config: ClientConfig) -> Self {
        let Raw { stream: tcp, buffer } = Raw::connect(origin);
        let name = ServerName::try_from("localhost").expect("a name");
        let connection = ClientConnection::new(Arc::new(config), name).expect("a client");
        Self { stream: StreamOwned::new(connection, tcp), buffer }
    }
}

impl<S: Read + Write> Raw<S> {
    pub(crate) fn send(&mut self, text: impl AsRef<[u8]>) {
        self.stream.write_all(text.as_ref()).expect("a write");
        self.stream.flush().expect("a flush");
    }

    /// Sends a bodyless request.
    pub(crate) fn request(&mut self, method: &str, target: &str) {
        self.send(format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    }

    fn more(&mut self) -> std::io::Result<usize> {
        let mut chunk = vec![0; 64 << 10];
        let n = self.stream.read(&mut chunk)?;
        self.buffer.extend_from_slice(&chunk[..n]);
        Ok(n)
    }

    /// The next head, with its empty line.
    pub(crate) fn head(&mut self) -> String {
        loop {
            if let Some(at) = self.buffer.windows(4).position(|w| w == b"\r\n\r\n") {
                let head: Vec<u8> = self.buffer.drain(..at + 4).collect();
                return String::from_utf8(head).expect("text");
            }
            assert!(self.more().expect("a read") > 0, "closed within a head: {:?}", self.buffer);
        }
    }

    /// The next bytes, exactly so many.
    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        while self.buffer.len() < count {
            assert!(self.more().expect("a read") > 0, "closed after {} of {count}", self.buffer.len());
        }
        self.buffer.drain(..count).collect()
    }

    /// Everything up to the close, or the error in its place.
    pub(crate) fn rest(&mut self) -> std::io::Result<Vec<u8>> {
        while self.more()? > 0 {}
        Ok(std::mem::take(&mut self.buffer))
    }

    pub(crate) fn rest_text(&mut self) -> String {
        String::from_utf8(self.rest().expect("an orderly close")).expect("text")
    }

    /// A bodyless request, its head and a body of the declared length.
    pub(crate) fn exchange(&mut self, method: &str, target: &str) -> (String, Vec<u8>) {
        self.request(method, target);
        let head = self.head();
        let length = field(&head, "content-length").map_or(0, |v| v.parse().expect("a length"));
        let bodiless = method == "HEAD" || head.starts_with("HTTP/1.1 304 ");
        let body = if bodiless { Vec::new() } else { self.bytes(length) };
        (head, body)
    }
}

/// A field of a head.
pub(crate) fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let fields = head.lines().skip(1).filter_map(|line| line.split_once(':'));
    fields.into_iter().find(|(k, _)| k.eq_ignore_ascii_case(name)).map(|(_, v)| v.trim())
}

/// A TLS client that trusts only this authority.
pub(crate) fn tls_client(
    authority: &TestAuthority,
    alpn: &[&str],
    identity: Option<&Certificate>,
) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(authority.der().into()).expect("a root");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(rustls::ALL_VERSIONS)
        .expect("versions")
        .with_root_certificates(roots);
    let mut config = match identity {
        None => config.with_no_client_auth(),
        Some(identity) => {
            let chain = identity.chain_der().iter().map(|der| CertificateDer::from(der.clone())).collect();
            let key = PrivateKeyDer::Pkcs8(identity.key_der().into());
            config.with_client_auth_cert(chain, key).expect("an identity")
        }
    };
    config.alpn_protocols = alpn.iter().map(|p| p.as_bytes().to_vec()).collect();
    config
}
