//! Proves the HTTP/1.1 side against raw sockets: what goes out byte by byte, and what is recorded.

mod common;

use std::io::ErrorKind;

use common::{LIMIT, Raw, field};
use urlsession_testkit::{Accept, After, Gate, Origin, Reply, Wire, pattern};

#[test]
fn scripted_reply_byte_by_byte() {
    let origin = Origin::start(Wire::H1);
    let reply = Reply::new(200).reason("Fine").header("x-Odd-Case", "a b").body("hello").then(After::Close);
    origin.enqueue("/a", reply);
    let mut raw = Raw::connect(&origin);
    raw.request("GET", "/a?q");
    let expected =
        "HTTP/1.1 200 Fine\r\nx-Odd-Case: a b\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello";
    assert_eq!(raw.rest_text(), expected);
    assert!(origin.wait_for(|j| j.closed == 1, LIMIT));
    assert_eq!(origin.open_connections(), 0);
}

#[test]
fn keep_alive_scripts_in_order_then_handler() {
    let origin = Origin::builder()
        .handler(|request| match request.path() {
            "/handled" => Reply::new(202).body(format!("{}!", request.method)),
            _ => Reply::routes(),
        })
        .start();
    origin.enqueue("/handled", Reply::new(500));
    origin.enqueue("/handled?b", Reply::new(501));
    let mut raw = Raw::connect(&origin);
    assert!(raw.exchange("GET", "/handled?b").0.starts_with("HTTP/1.1 501 "));
    assert!(raw.exchange("GET", "/handled?b").0.starts_with("HTTP/1.1 500 "));
    let (head, body) = raw.exchange("PUT", "/handled?b");
    assert!(head.starts_with("HTTP/1.1 202 Accepted\r\n"));
    assert_eq!(body, b"PUT!");
    assert_eq!(raw.exchange("GET", "/Peru").1, b"Lima");
    assert_eq!(origin.connection_count(), 1);
    let targets: Vec<_> = origin.requests().into_iter().map(|r| (r.id, r.connection, r.target)).collect();
    let expected = ["/handled?b", "/handled?b", "/handled?b", "/Peru"];
    assert_eq!(
        targets,
        expected.iter().enumerate().map(|(i, t)| (i, 0, (*t).to_owned())).collect::<Vec<_>>()
    );
}

#[test]
fn bodies_by_length_and_by_chunks_are_recorded() {
    let origin = Origin::start(Wire::H1);
    let mut raw = Raw::connect(&origin);
    raw.send("POST /echo HTTP/1.1\r\nHost: x\r\nX-CaSe: 1\r\nContent-Length: 5\r\n\r\nhello");
    raw.head();
    assert_eq!(raw.bytes(5), b"hello");
    raw.send("PUT /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    raw.send("3\r\nabc\r\n0A;ext=1\r\n0123456789\r\n0\r\nX-Trailer: t\r\n\r\n");
    raw.head();
    assert_eq!(raw.bytes(13), b"abc0123456789");
    let requests = origin.requests();
    assert_eq!(requests[0].body, b"hello");
    assert_eq!(requests[0].headers[1], ("X-CaSe".to_owned(), "1".to_owned()));
    assert_eq!(requests[0].authority.as_deref(), Some("x"));
    assert_eq!((requests[1].body_len, requests[1].trailers.len()), (13, 1));
    assert_eq!(requests[1].trailers[0].0, "X-Trailer");
    assert!(origin.wait_for(|j| j.violations.is_empty() && j.replies == 2, LIMIT));
}

#[test]
fn chunks_trailers_and_informational() {
    let origin = Origin::start(Wire::H1);
    let reply = Reply::new(200)
        .informational(103, &[("Link", "</a>")])
        .informational(102, &[("X", "y")])
        .chunked(["ab", "", "cde"])
        .trailer("X-Sum", "5")
        .then(After::SilentClose);
    origin.enqueue("/", reply);
    let mut raw = Raw::connect(&origin);
    raw.request("GET", "/");
    assert_eq!(raw.head(), "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
    assert_eq!(raw.head(), "HTTP/1.1 102 Processing\r\nX: y\r\n\r\n");
    assert_eq!(raw.head(), "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_eq!(raw.rest_text(), "2\r\nab\r\n3\r\ncde\r\n0\r\nX-Sum: 5\r\n\r\n");
}

#[test]
fn continue_is_sent_before_the_body_when_scripted() {
    let origin = Origin::start(Wire::H1);
    origin.enqueue("/up", Reply::new(200).informational(100, &[]).body("ok"));
    let mut raw = Raw::connect(&origin);
    raw.send("POST /up HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    assert_eq!(raw.head(), "HTTP/1.1 100 Continue\r\n\r\n");
    assert!(origin.journal(|j| j.heads.len() == 1 && j.requests.is_empty()));
    raw.send("abc");
    assert!(raw.head().starts_with("HTTP/1.1 200 "));
    assert_eq!(raw.bytes(2), b"ok");
}

#[test]
fn early_reply_does_not_wait_for_the_body() {
    let origin = Origin::start(Wire::H1);
    origin.enqueue("/up", Reply::new(413).early());
    origin.enqueue("/up", Reply::new(400).early().then(After::Close));
    let mut raw = Raw::connect(&origin);
    raw.send("POST /up HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n");
    assert!(raw.head().starts_with("HTTP/1.1 413 "));
    raw.send("abcPOST /up HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n");
    assert!(raw.head().starts_with("HTTP/1.1 400 "));
    assert_eq!(raw.rest_text(), "");
    assert!(origin.journal(|j| j.requests.len() == 1 && j.heads.len() == 1));
}

#[test]
fn gates_stop_the_head_and_the_body() {
    let origin = Origin::start(Wire::H1);
    let (head, middle) = (origin.hold(), Gate::new());
    origin.enqueue("/", Reply::held(head.clone()).body("abcdef").body_gate(4, middle.clone()));
    let mut raw = Raw::connect(&origin);
    raw.request("GET", "/");
    assert!(head.wait_reached(LIMIT));
    assert!(!head.is_released() && origin.journal(|j| j.requests.len() == 1 && j.replies == 0));
    head.release();
    assert!(raw.head().contains("Content-Length: 6\r\n"));
    assert_eq!(raw.bytes(4), b"abcd");
    assert!(middle.wait_reached(LIMIT));
    middle.release();
    assert_eq!(raw.bytes(2), b"ef");
    assert!(origin.wait_for(|j| j.replies == 1, LIMIT));
}

#[test]
fn a_client_that_leaves_is_noticed_at_a_gate_and_at_a_stall() {
    let origin = Origin::start(Wire::H1);
    origin.enqueue("/", Reply::held(origin.hold()));
    origin.enqueue("/", Reply::stall());
    origin.enqueue("/", Reply::new(200).endless(u64::MAX));
    for left in 1..=3 {
        let mut raw = Raw::connect(&origin);
        raw.request("GET", "/");
        assert!(origin.wait_for(|j| j.requests.len() == left, LIMIT));
        drop(raw);
        assert!(origin.wait_for(|j| j.closed == left, LIMIT), "{left}");
    }
}

#[test]
fn a_cut_upload_stays_among_the_heads() {
    let origin = Origin::start(Wire::H1);
    let gate = origin.hold();
    origin.enqueue("/up", Reply::new(200).read_gate(gate.clone()));
    let mut raw = Raw::connect(&origin);
    raw.send("POST /up HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc");
    assert!(gate.wait_reached(LIMIT));
    assert_eq!(origin.journal(|j| j.heads[0].body_len), 0);
    gate.release();
    assert!(origin.wait_for(|j| j.heads.first().is_some_and(|h| h.body_len == 3), LIMIT));
    drop(raw);
    assert!(origin.wait_for(|j| j.closed == 1, LIMIT));
    assert!(origin.journal(|j| j.heads.len() == 1 && j.requests.is_empty()));
}

#[test]
fn endings() {
    let origin = Origin::start(Wire::H1);
    let ask = |reply: Reply| {
        origin.enqueue("/", reply);
        let mut raw = Raw::connect(&origin);
        raw.request("GET", "/");
        raw
    };
    assert_eq!(ask(Reply::drop_connection()).rest_text(), "");
    assert_eq!(ask(Reply::raw("anything\x00")).rest_text(), "anything\x00");
    let cut = ask(Reply::new(200).body("0123456789").truncate_at(4)).rest_text();
    assert_eq!(cut, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123");
    let cut = ask(Reply::new(200).chunked(["0123456789"]).truncate_at(4)).rest_text();
    assert!(cut.ends_with("\r\n\r\n4\r\n0123\r\n"));
    let open = ask(Reply::new(200).body("all").no_length()).rest_text();
    assert_eq!(open, "HTTP/1.1 200 OK\r\n\r\nall");
    let silent = ask(Reply::new(200).then(After::SilentClose)).rest_text();
    assert_eq!(silent, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let reset = ask(Reply::drop_connection().then(After::Reset)).rest();
    assert_eq!(reset.map_err(|e| e.kind()), Err(ErrorKind::ConnectionReset));
    let before = origin.journal(|j| j.closed);
    let mut half = ask(Reply::new(200).then(After::HalfClose));
    assert!(half.rest_text().starts_with("HTTP/1.1 200 "));
    half.send("the other direction is open");
    assert_eq!(origin.open_connections(), 1);
    drop(half);
    assert!(origin.wait_for(|j| j.closed == before + 1, LIMIT));
}

#[test]
fn head_and_not_modified_have_no_body() {
    let origin = Origin::start(Wire::H1);
    let mut raw = Raw::connect(&origin);
    assert_eq!(field(&raw.exchange("HEAD", "/Nepal").0, "content-length"), Some("9"));
    raw.request("GET", "/304");
    let head = raw.head();
    assert!(head.starts_with("HTTP/1.1 304 Not Modified\r\n"));
    assert!(field(&head, "content-length").is_some());
    assert_eq!(raw.exchange("GET", "/Nepal").1, b"Kathmandu");
}

#[test]
fn generated_bodies_do_not_wear_out() {
    let origin = Origin::start(Wire::H1);
    let mut raw = Raw::connect(&origin);
    assert_eq!(raw.exchange("GET", "/bytes/3000000").1, pattern(0, 3_000_000));
    raw.send("GET /bytes/1000 HTTP/1.1\r\nHost: x\r\nRange: bytes=600-\r\nIf-Range: \"bytes-1000\"\r\n\r\n");
    let head = raw.head();
    assert!(head.starts_with("HTTP/1.1 206 Partial Content\r\n"));
    assert_eq!(field(&head, "content-range"), Some("bytes 600-999/1000"));
    assert_eq!(raw.bytes(400), pattern(600, 400));
    let body = pattern(0, 2_000_000);
    raw.send(format!("POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", body.len()));
    raw.send(&body);
    raw.head();
    let requests = origin.requests();
    let upload = requests.last().expect("the upload");
    assert!(upload.body_is_pattern);
    assert_eq!((upload.body_len, upload.body.len()), (2_000_000, 1 << 20));
}

#[test]
fn closing_as_the_client_asks_and_after_each_response() {
    let origin = Origin::start(Wire::H1);
    let mut raw = Raw::connect(&origin);
    raw.send("GET /UK HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert!(raw.rest_text().ends_with("Connection: close\r\n\r\nLondon"));
    let origin = Origin::builder().close_after_response(true).start();
    let mut raw = Raw::connect(&origin);
    raw.request("GET", "/UK");
    let reply = raw.rest_text();
    assert!(reply.ends_with("\r\n\r\nLondon") && !reply.contains("close"));
}

#[test]
fn violations_are_noted_and_refused() {
    for bad in [
        "GET / HTTP/1.1\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
    ] {
        let origin = Origin::start(Wire::H1);
        let mut raw = Raw::connect(&origin);
        raw.send(bad);
        assert!(raw.rest_text().starts_with("HTTP/1.1 400 "), "{bad:?}");
        assert_eq!(origin.journal(|j| j.violations.len()), 1, "{bad:?}");
    }
}

#[test]
fn a_panicking_handler_is_a_500_and_a_violation() {
    let origin = Origin::builder().handler(|request| panic!("{}", request.target)).start();
    let mut raw = Raw::connect(&origin);
    assert!(raw.exchange("GET", "/").0.starts_with("HTTP/1.1 500 "));
    assert_eq!(origin.journal(|j| j.violations.len()), 1);
}

#[test]
fn connections_that_are_not_served() {
    let closed = |result: std::io::Result<Vec<u8>>| result.map_err(|e| e.kind());
    let origin = Origin::builder().accept(Accept::Close).start();
    assert_eq!(closed(Raw::connect(&origin).rest()), Ok(Vec::new()));
    let origin = Origin::builder().accept(Accept::Raw(b"220 hello\r\n".to_vec())).start();
    assert_eq!(closed(Raw::connect(&origin).rest()), Ok(b"220 hello\r\n".to_vec()));
    let origin = Origin::builder().accept(Accept::Reset).start();
    assert_eq!(closed(Raw::connect(&origin).rest()), Err(ErrorKind::ConnectionReset));
    let origin = Origin::builder().accept(Accept::Stall).start();
    let mut raw = Raw::connect(&origin);
    raw.request("GET", "/");
    assert!(origin.wait_for(|j| j.accepted == 1, LIMIT));
    drop(raw);
    assert!(origin.wait_for(|j| j.closed == 1, LIMIT));
    let mut raw = Raw::connect(&origin);
    drop(origin);
    assert!(matches!(closed(raw.rest()), Ok(_) | Err(ErrorKind::ConnectionReset)));
}
