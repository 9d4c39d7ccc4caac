//! The server that bulk transfers are measured against: `GET /bytes/N` and `POST /sink`, over HTTP/1.1, HTTP/1.1 in TLS,
//! HTTP/2 in TLS, and the last again on a path that is 20 ms long.
//!
//! Prints a line with name and port for each, and one with the path of a PEM file of its authority; ends with its input.

use std::convert::Infallible;
use std::io::{Read, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::stream;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::crypto::aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let (ca, http1_tls, http2_tls) = certificates();
        serve_http1_tls(http1_tls);
        let path = std::env::temp_dir().join(format!("urlsession-beside-{}.pem", std::process::id()));
        std::fs::write(&path, ca).expect("writing the authority");
        let plain = listen("h1").await;
        tokio::spawn(async move {
            loop {
                tokio::spawn(serve(accept(&plain).await, false));
            }
        });
        let near = listen("tls-h2").await;
        let port = near.local_addr().expect("an address").port();
        tokio::spawn(async move {
            let acceptor = TlsAcceptor::from(http2_tls);
            loop {
                let (stream, acceptor) = (accept(&near).await, acceptor.clone());
                tokio::spawn(async move {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        serve(stream, true).await;
                    }
                });
            }
        });
        let far = listen("far-h2").await;
        tokio::spawn(async move {
            loop {
                tokio::spawn(relay(accept(&far).await, port));
            }
        });
        println!("ca {}", path.display());
        let (end, ended) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            let _ = std::io::stdin().read_to_end(&mut Vec::new());
            let _ = end.send(());
        });
        let _ = ended.await;
        let _ = std::fs::remove_file(&path);
    });
}

async fn listen(name: &str) -> TcpListener {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    println!("{name} {}", listener.local_addr().expect("an address").port());
    listener
}

async fn accept(listener: &TcpListener) -> TcpStream {
    let (stream, _) = listener.accept().await.expect("a connection");
    stream.set_nodelay(true).expect("no delay");
    stream
}

/// Downloads over HTTP/1.1 in TLS: by hand, four records at a time, which stay in a core's own cache, so that it is the
/// client's pace that shows.
fn serve_http1_tls(config: Arc<ServerConfig>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    println!("tls-h1 {}", listener.local_addr().expect("an address").port());
    let serve = move |stream| -> std::io::Result<()> {
        let mut connection = ServerConnection::new(config.clone()).map_err(std::io::Error::other)?;
        connection.set_buffer_limit(Some(FOUR_RECORDS + 1024));
        let mut stream = StreamOwned::new(connection, stream);
        loop {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte)?;
                head.push(byte[0]);
            }
            let head = String::from_utf8_lossy(&head);
            let path = head.split(' ').nth(1).unwrap_or_default();
            let count = path.strip_prefix("/bytes/").and_then(|count| count.parse().ok()).unwrap_or(0u64);
            stream.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {count}\r\n\r\n").as_bytes())?;
            let mut left = count;
            while left > 0 {
                let n = left.min(FOUR_RECORDS as u64);
                stream.write_all(&ZEROS[..n as usize])?;
                left -= n;
            }
            stream.flush()?;
        }
    };
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let serve = serve.clone();
            // Until the client has had enough.
            std::thread::spawn(move || serve(stream));
        }
    });
}

/// A PEM file of the authority, and what speaks HTTP/1.1 and HTTP/2.
fn certificates() -> (String, Arc<ServerConfig>, Arc<ServerConfig>) {
    let authority = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new([]).expect("names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = params.self_signed(&authority).expect("a certificate");
    let issuer = Issuer::new(params, authority);
    let key = KeyPair::generate().expect("a key");
    let leaf = CertificateParams::new(["127.0.0.1".to_owned()]).expect("names");
    let leaf = leaf.signed_by(&key, &issuer).expect("a certificate");
    let config = |protocol: &[u8]| {
        let mut provider = rustls::crypto::aws_lc_rs::default_provider();
        // The quickest, so that the server is not what the clients wait for.
        provider.cipher_suites = vec![TLS13_AES_128_GCM_SHA256];
        let mut config = ServerConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(
                vec![leaf.der().clone()],
                PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
            )
            .expect("a certificate and its key");
        config.alpn_protocols = vec![protocol.to_vec()];
        Arc::new(config)
    };
    (root.pem(), config(b"http/1.1"), config(b"h2"))
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, is_http2: bool) {
    let io = TokioIo::new(stream);
    // What becomes of a connection is the client's business.
    if is_http2 {
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder.timer(TokioTimer::new()).max_send_buf_size(1 << 20);
        builder.initial_stream_window_size(8 << 20).initial_connection_window_size(16 << 20);
        let _ = builder.serve_connection(io, service_fn(answer)).await;
    } else {
        let _ = http1::Builder::new().serve_connection(io, service_fn(answer)).await;
    }
}

async fn answer(request: Request<Incoming>) -> Result<Response<BoxBody<Bytes, Infallible>>, Infallible> {
    let response = Response::builder();
    let path = request.uri().path().to_owned();
    let (response, body) = match path.strip_prefix("/bytes/").and_then(|count| count.parse::<u64>().ok()) {
        Some(count) => (response.header("content-length", count), zeros(count)),
        None => {
            let (mut body, mut count) = (request.into_body(), 0);
            while let Some(Ok(frame)) = body.frame().await {
                count += frame.data_ref().map_or(0, Bytes::len);
            }
            (response, Full::from(count.to_string()).boxed())
        }
    };
    Ok(response.body(body).expect("a response"))
}

fn zeros(count: u64) -> BoxBody<Bytes, Infallible> {
    let chunks = stream::unfold(count, |left| async move {
        let n = left.min(ZEROS.len() as u64);
        let frame = Frame::data(Bytes::from_static(&ZEROS[..n as usize]));
        (n > 0).then_some((Ok(frame), left - n))
    });
    BodyExt::boxed(StreamBody::new(chunks))
}

/// Carries bytes both ways, each 10 ms later.
async fn relay(client: TcpStream, port: u16) {
    let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await else { return };
    let _ = server.set_nodelay(true);
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::spawn(carry(from_client, to_server));
    carry(from_server, to_client).await;
}

async fn carry(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin + Send + 'static) {
    // As many bytes as a fast path has under way.
    let (sender, mut under_way) = mpsc::channel::<(Instant, Vec<u8>)>(1024);
    tokio::spawn(async move {
        while let Some((due, bytes)) = under_way.recv().await {
            tokio::time::sleep_until(due.into()).await;
            if to.write_all(&bytes).await.is_err() {
                return;
            }
        }
        let _ = to.shutdown().await;
    });
    loop {
        let mut bytes = Vec::with_capacity(64 * 1024);
        match from.read_buf(&mut bytes).await {
            Ok(0) | Err(_) => return,
            Ok(_) if sender.send((Instant::now() + DELAY, bytes)).await.is_err() => return,
            Ok(_) => {}
        }
    }
}

static ZEROS: [u8; 256 * 1024] = [0; 256 * 1024];

const FOUR_RECORDS: usize = 64 * 1024;

const DELAY: Duration = Duration::from_millis(10);
