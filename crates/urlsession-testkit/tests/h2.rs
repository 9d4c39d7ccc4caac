//! Proves the HTTP/2 side against an independent codec, the `h2` crate's client.

mod common;

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use common::{LIMIT, tls_client};
use h2::client::{ResponseFuture, SendRequest};
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Request, Response};
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use urlsession_testkit::{After, Flood, Origin, Reply, Wire, pattern};

struct Client {
    send: SendRequest<Bytes>,
    connection: tokio::task::JoinHandle<Result<(), h2::Error>>,
    addr: SocketAddr,
}

impl Client {
    async fn connect(origin: &Origin) -> Self {
        Self::connect_with(origin, &mut h2::client::Builder::new()).await
    }

    async fn connect_with(origin: &Origin, builder: &mut h2::client::Builder) -> Self {
        let tcp = TcpStream::connect(origin.addr()).await.expect("a connection");
        tcp.set_nodelay(true).expect("no delay");
        let config = tls_client(origin.authority(), &["h2"], None);
        let name = ServerName::try_from("localhost").expect("a name");
        let tls = TlsConnector::from(Arc::new(config)).connect(name, tcp).await.expect("a handshake");
        let (send, connection) = builder.handshake(tls).await.expect("a preface");
        Self { send, connection: tokio::spawn(connection), addr: origin.addr() }
    }

    async fn start(&mut self, method: &str, path: &str, end: bool) -> (ResponseFuture, SendStream<Bytes>) {
        let uri = format!("https://localhost:{}{path}", self.addr.port());
        let request = Request::builder().method(method).uri(uri).header("x-test", "yes").body(());
        let mut send = self.send.clone().ready().await.expect("space for a stream");
        send.send_request(request.expect("a request"), end).expect("a sent request")
    }

    async fn get(&mut self, path: &str) -> Result<Response<RecvStream>, h2::Error> {
        self.start("GET", path, true).await.0.await
    }
}

/// Reads a body to its end, giving the windows back as it goes.
async fn read(mut body: RecvStream) -> Result<(Vec<u8>, Option<HeaderMap>), h2::Error> {
    let mut all = Vec::new();
    while let Some(data) = body.data().await {
        let data = data?;
        body.flow_control().release_capacity(data.len())?;
        all.extend_from_slice(&data);
    }
    Ok((all, body.trailers().await?))
}

async fn write(stream: &mut SendStream<Bytes>, mut data: Bytes, end: bool) {
    while !data.is_empty() {
        stream.reserve_capacity(data.len());
        let space = std::future::poll_fn(|cx| stream.poll_capacity(cx)).await;
        let space = space.expect("an open stream").expect("space");
        let part = data.split_to(space.min(data.len()));
        stream.send_data(part, end && data.is_empty()).expect("sent data");
    }
}

fn clean(origin: &Origin) {
    assert_eq!(origin.journal(|j| j.violations.clone()), [""; 0]);
}

#[tokio::test]
async fn get_head_and_trailers() {
    let origin = Origin::start(Wire::TlsH2);
    let reply = Reply::new(200).header("X-Odd-Case", "v").header("Connection", "x").chunked(["ab", "c"]);
    origin.enqueue("/t", reply.trailer("X-Sum", "3"));
    let mut client = Client::connect(&origin).await;
    let response = client.get("/Nepal?q").await.expect("a response");
    assert_eq!(
        (response.status().as_u16(), &response.headers()["content-length"]),
        (200, &"9".parse().unwrap())
    );
    assert_eq!(read(response.into_body()).await.expect("a body").0, b"Kathmandu");
    let (response, _) = client.start("HEAD", "/Nepal", true).await;
    let response = response.await.expect("a response");
    assert_eq!(response.headers()["content-length"], "9");
    assert!(response.body().is_end_stream());
    let response = client.get("/t").await.expect("a response");
    assert_eq!(response.headers()["x-odd-case"], "v");
    assert!(response.headers().get("connection").is_none());
    let (body, trailers) = read(response.into_body()).await.expect("a body");
    assert_eq!(
        (body.as_slice(), &trailers.expect("trailers")["x-sum"]),
        (&b"abc"[..], &"3".parse().unwrap())
    );
    let first = origin.requests().remove(0);
    assert_eq!((first.method.as_str(), first.target.as_str(), first.wire), ("GET", "/Nepal?q", Wire::TlsH2));
    assert_eq!((first.stream, first.connection), (Some(1), 0));
    assert_eq!(first.headers, [("x-test".to_owned(), "yes".to_owned())]);
    assert_eq!(first.authority, Some(format!("localhost:{}", origin.port())));
    clean(&origin);
}

#[tokio::test]
async fn posts_obey_a_narrow_window() {
    let origin = Origin::builder().wire(Wire::TlsH2).h2_settings(10, 1000).start();
    let mut client = Client::connect(&origin).await;
    let body = Bytes::from(pattern(0, 100_000));
    let (response, mut stream) = client.start("POST", "/echo", false).await;
    write(&mut stream, body.clone(), false).await;
    let mut trailers = HeaderMap::new();
    trailers.insert("x-end", "1".parse().unwrap());
    stream.send_trailers(trailers).expect("sent trailers");
    let response = response.await.expect("a response");
    assert_eq!(read(response.into_body()).await.expect("a body").0, body);
    let request = origin.requests().remove(0);
    assert_eq!(request.trailers, [("x-end".to_owned(), "1".to_owned())]);
    assert!(request.body_is_pattern);
    clean(&origin);
}

#[tokio::test]
async fn eight_mebibytes_both_ways() {
    let origin = Origin::start(Wire::TlsH2);
    let mut builder = h2::client::Builder::new();
    builder.max_frame_size(40_000).initial_window_size(200_000).initial_connection_window_size(300_000);
    let mut client = Client::connect_with(&origin, &mut builder).await;
    let size = 8 << 20;
    let (response, mut stream) = client.start("PUT", &format!("/bytes/{size}"), false).await;
    write(&mut stream, Bytes::from(pattern(0, size)), true).await;
    let response = response.await.expect("a response");
    assert_eq!(response.headers()["content-length"], size.to_string().as_str());
    assert!(read(response.into_body()).await.expect("a body").0 == pattern(0, size));
    let request = origin.requests().remove(0);
    assert_eq!((request.body_len, request.body_is_pattern), (size as u64, true));
    clean(&origin);
}

#[tokio::test]
async fn a_hundred_streams_at_once() {
    let origin = Origin::start(Wire::TlsH2);
    let gate = origin.hold();
    let size = 20_000;
    for i in 0..100 {
        origin.enqueue(&format!("/{i}"), Reply::held(gate.clone()).endless(size));
    }
    let mut client = Client::connect(&origin).await;
    let mut waiting = Vec::new();
    for i in 0..100 {
        waiting.push(client.start("GET", &format!("/{i}"), true).await.0);
    }
    assert!(origin.wait_for_async(|j| j.requests.len() == 100, LIMIT).await);
    gate.release();
    let readers: Vec<_> = waiting
        .into_iter()
        .map(|response| tokio::spawn(async { read(response.await?.into_body()).await }))
        .collect();
    let expected = pattern(0, size as usize);
    for reader in readers {
        assert!(reader.await.expect("a reader").expect("a body").0 == expected);
    }
    assert!(origin.wait_for_async(|j| j.replies == 100, LIMIT).await);
    assert_eq!(origin.connection_count(), 1);
    clean(&origin);
}

#[tokio::test]
async fn informational_replies_come_first_and_before_the_body() {
    let origin = Origin::start(Wire::TlsH2);
    let gate = origin.hold();
    origin.enqueue("/h", Reply::held(gate.clone()).informational(103, &[("Link", "</a>")]));
    origin.enqueue("/c", Reply::new(201).informational(100, &[]));
    let mut client = Client::connect(&origin).await;
    let (mut response, _) = client.start("GET", "/h", true).await;
    let hint = std::future::poll_fn(|cx| response.poll_informational(cx)).await;
    let hint = hint.expect("a hint").expect("a valid hint");
    assert_eq!((hint.status().as_u16(), &hint.headers()["link"]), (103, &"</a>".parse().unwrap()));
    gate.release();
    assert_eq!(response.await.expect("a response").status(), 200);
    let (mut response, mut stream) = client.start("POST", "/c", false).await;
    let hint = std::future::poll_fn(|cx| response.poll_informational(cx)).await;
    assert_eq!(hint.expect("a reply").expect("a valid reply").status(), 100);
    stream.send_data(Bytes::from_static(b"x"), true).expect("sent data");
    assert_eq!(response.await.expect("a response").status(), 201);
    clean(&origin);
}

#[tokio::test]
async fn resets_from_the_server() {
    let origin = Origin::start(Wire::TlsH2);
    origin.enqueue("/now", Reply::new(200).h2_reset(Reason::REFUSED_STREAM.into()));
    origin.enqueue("/later", Reply::new(200).endless(1000).h2_reset_at(Reason::INTERNAL_ERROR.into(), 600));
    let mut client = Client::connect(&origin).await;
    let error = client.get("/now").await.expect_err("a reset");
    assert_eq!(error.reason(), Some(Reason::REFUSED_STREAM));
    let mut body = client.get("/later").await.expect("a response").into_body();
    assert_eq!(body.data().await.expect("data").expect("data").len(), 600);
    let error = body.data().await.expect("an end").expect_err("a reset");
    assert_eq!(error.reason(), Some(Reason::INTERNAL_ERROR));
    assert_eq!(client.get("/UK").await.expect("a response").status(), 200);
    clean(&origin);
}

#[tokio::test]
async fn resets_from_the_client_stop_the_script() {
    let origin = Origin::start(Wire::TlsH2);
    origin.enqueue("/", Reply::stall());
    let mut client = Client::connect(&origin).await;
    let (response, mut stream) = client.start("POST", "/", false).await;
    stream.send_data(Bytes::from_static(b"half"), false).expect("sent data");
    assert!(origin.wait_for_async(|j| j.heads.first().is_some_and(|h| h.body_len == 4), LIMIT).await);
    stream.send_reset(Reason::CANCEL);
    drop(response);
    assert!(origin.wait_for_async(|j| j.resets.len() == 1, LIMIT).await);
    let reset = origin.journal(|j| j.resets[0]);
    assert_eq!((reset.connection, reset.stream, reset.code), (0, 1, 8));
    assert_eq!(client.get("/UK").await.expect("a response").status(), 200);
    clean(&origin);
}

#[tokio::test]
async fn goaway_drops_the_newer_streams_and_finishes_the_older() {
    let origin = Origin::start(Wire::TlsH2);
    let (old, new) = (origin.hold(), origin.hold());
    origin.enqueue("/old", Reply::held(old.clone()).body("kept"));
    origin.enqueue("/new", Reply::held(new.clone()).h2_goaway(true));
    let mut client = Client::connect(&origin).await;
    let older = client.start("GET", "/old", true).await.0;
    let newer = client.start("GET", "/new", true).await.0;
    assert!(origin.wait_for_async(|j| j.requests.len() == 2, LIMIT).await);
    new.release();
    let error = newer.await.expect_err("a stream that was not processed");
    assert!(error.is_go_away() && error.is_remote());
    assert_eq!(error.reason(), Some(Reason::NO_ERROR));
    assert_eq!(origin.open_connections(), 1);
    old.release();
    let response = older.await.expect("a response");
    assert_eq!(read(response.into_body()).await.expect("a body").0, b"kept");
    assert!(origin.wait_for_async(|j| j.closed == 1, LIMIT).await);
    client.connection.await.expect("the connection's task").expect("an orderly end");
    clean(&origin);
}

#[tokio::test]
async fn a_close_is_a_goaway_after_the_response() {
    let origin = Origin::start(Wire::TlsH2);
    origin.enqueue("/close", Reply::new(200).body("all").then(After::Close));
    origin.enqueue("/goaway", Reply::new(200).body("all").h2_goaway(false));
    for path in ["/close", "/goaway"] {
        let mut client = Client::connect(&origin).await;
        let response = client.get(path).await.expect("a response");
        assert_eq!(read(response.into_body()).await.expect("a body").0, b"all");
        client.connection.await.expect("the connection's task").expect("an orderly end");
    }
    assert!(origin.wait_for_async(|j| j.closed == 2, LIMIT).await);
    clean(&origin);
}

#[tokio::test]
async fn connections_that_break() {
    let origin = Origin::start(Wire::TlsH2);
    origin.enqueue("/drop", Reply::drop_connection());
    origin.enqueue("/reset", Reply::drop_connection().then(After::Reset));
    origin.enqueue("/raw", Reply::raw("HTTP/1.1 200 OK\r\n\r\n"));
    origin.enqueue("/garbage", Reply::new(200).h2_garbage());
    for path in ["/drop", "/reset", "/raw", "/garbage"] {
        let mut client = Client::connect(&origin).await;
        assert!(client.get(path).await.is_err(), "{path}");
    }
    origin.enqueue("/cut", Reply::new(200).endless(1000).truncate_at(500));
    let mut client = Client::connect(&origin).await;
    let body = client.get("/cut").await.expect("a response").into_body();
    assert!(read(body).await.is_err());
    assert!(origin.wait_for_async(|j| j.closed == 5, LIMIT).await);
    assert_eq!(origin.journal(|j| j.goaways.clone()), [u32::from(Reason::PROTOCOL_ERROR)], "of the garbage");
}

#[tokio::test]
async fn floods_are_well_formed_and_bounded() {
    let origin = Origin::start(Wire::TlsH2);
    origin.enqueue("/ping", Reply::new(200).body("p").h2_flood(Flood::Ping(50)));
    origin.enqueue("/settings", Reply::new(200).body("s").h2_flood(Flood::Settings(50)));
    origin.enqueue("/data", Reply::new(200).body("d").h2_flood(Flood::EmptyData(50)));
    origin.enqueue("/continuation", Reply::new(200).body("c").h2_flood(Flood::Continuation(4)));
    let mut client = Client::connect(&origin).await;
    for path in ["/ping", "/settings", "/data", "/continuation"] {
        let response = client.get(path).await.unwrap_or_else(|e| panic!("{path}: {e}"));
        assert_eq!(response.headers().contains_key("x-flood-4"), path == "/continuation");
        assert_eq!(read(response.into_body()).await.expect("a body").0, path.as_bytes()[1..2]);
    }
    assert!(origin.wait_for_async(|j| j.ping_acks == 50 && j.settings_acks == 51, LIMIT).await);
    clean(&origin);
}

#[tokio::test]
async fn bodies_held_at_gates() {
    let origin = Origin::builder().wire(Wire::TlsH2).h2_settings(10, 0).start();
    let (read_gate, body_gate) = (origin.hold(), origin.hold());
    let reply = Reply::new(200).read_gate(read_gate.clone()).body("abcd").body_gate(2, body_gate.clone());
    origin.enqueue("/", reply);
    let mut client = Client::connect(&origin).await;
    assert!(origin.wait_for_async(|j| j.settings_acks == 1, LIMIT).await);
    let (response, mut stream) = client.start("POST", "/", false).await;
    assert!(origin.wait_for_async(|j| j.heads.len() == 1, LIMIT).await);
    read_gate.until_reached().await;
    assert!(origin.journal(|j| j.heads[0].body_len == 0));
    read_gate.release();
    write(&mut stream, Bytes::from_static(b"upload"), true).await;
    let mut body = response.await.expect("a response").into_body();
    assert_eq!(body.data().await.expect("data").expect("data"), "ab");
    assert_eq!(origin.journal(|j| j.replies), 0);
    body_gate.release();
    assert_eq!(body.data().await.expect("data").expect("data"), "cd");
    assert!(origin.wait_for_async(|j| j.replies == 1, LIMIT).await);
    clean(&origin);
}

#[tokio::test]
async fn early_replies_while_the_upload_goes_on() {
    let origin = Origin::start(Wire::TlsH2);
    origin.enqueue("/", Reply::new(413).early());
    let mut client = Client::connect(&origin).await;
    let (response, mut stream) = client.start("POST", "/", false).await;
    assert_eq!(response.await.expect("a response").status(), 413);
    stream.send_data(Bytes::from_static(b"late"), true).expect("sent data");
    assert!(origin.wait_for_async(|j| j.requests.iter().any(|r| r.body == b"late"), LIMIT).await);
    clean(&origin);
}

#[tokio::test]
async fn malformed_fields_on_demand() {
    let origin = Origin::start(Wire::TlsH2);
    origin.enqueue("/", Reply::new(200).header("Upper", "case").h2_verbatim());
    let mut client = Client::connect(&origin).await;
    assert!(client.get("/").await.is_err());
}

#[tokio::test]
async fn waiting_gives_up_at_its_limit() {
    let origin = Origin::start(Wire::TlsH2);
    assert!(!origin.wait_for_async(|j| j.accepted > 0, std::time::Duration::from_millis(5)).await);
    assert!(!origin.wait_for(|j| j.accepted > 0, std::time::Duration::from_millis(5)));
}
