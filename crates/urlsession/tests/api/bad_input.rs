//! What servers and callers get wrong: a clear error with the right code, and the next load works.

use urlsession::{Phase, UrlErrorCode as Code};
use urlsession_testkit::{After, Origin, Reply, Wire};

use crate::support::*;

/// Loads a raw reply, and then an ordinary one on the same session.
fn raw(origin: &Origin, reply: impl Into<Vec<u8>>) -> Result<String, urlsession::UrlError> {
    let session = session(origin);
    origin.enqueue("/raw", Reply::raw(reply));
    let result = session.data(origin.url("/raw")).wait();
    assert_eq!(text(&session.data(origin.url("/Peru")).wait().unwrap().0), "Lima");
    result.map(|(data, _)| text(&data).to_owned())
}

#[test]
fn malformed_heads_are_not_parsed() {
    on(Wire::H1, |origin| {
        for (reply, code) in [
            ("HTTP/1.1 OK\r\n\r\n", Code::CannotParseResponse),
            ("HTTP/1.1 20 OK\r\n\r\n", Code::CannotParseResponse),
            ("HTTP/1.1 2000 OK\r\n\r\n", Code::CannotParseResponse),
            ("HTTP/1.1 200 OK\r\nX: a\rb\r\n\r\n", Code::CannotParseResponse),
            ("HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nok", Code::CannotParseResponse),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\x0b\r\n\r\n", Code::CannotParseResponse),
            ("HTTP/1.1 200 OK\r\nNul: a\0b\r\n\r\n", Code::CannotParseResponse),
            ("SSH-2.0-OpenSSH_9.2\r\n", Code::CannotParseResponse),
            ("<html>HTTP/0.9</html>", Code::CannotParseResponse),
        ] {
            let error = raw(origin, reply).unwrap_err();
            assert_eq!((error.code(), error.phase()), (code, Phase::Head), "{reply:?}: {error}");
        }
    });
}

#[test]
fn malformed_lines_that_frame_nothing_are_repaired_or_left_out() {
    on(Wire::H1, |origin| {
        let session = session(origin);
        let head =
            "HTTP/1.1 200 OK\r\nX : 1\r\nNo colon\r\nBad Name: x\r\nY: a\x7fb\r\nContent-Length: 2\r\n\r\nok";
        origin.enqueue(
            "/raw",
            Reply::raw([b"HTTP/1.1 103 Hints\r\nLink : x\r\n\r\n", head.as_bytes()].concat())
                .then(After::KeepAlive),
        );
        let (data, response) = session.data(origin.url("/raw")).wait().unwrap();
        assert_eq!(text(&data), "ok");
        let mut fields = response.http().unwrap().all_header_fields();
        fields.sort();
        let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(fields, [("Content-Length", "2"), ("X", "1"), ("Y", "a b")]);
        load(&session, origin.url("/Peru")).unwrap();
        assert_eq!(origin.connection_count(), 1, "a repaired head costs no connection");
    });
}

#[test]
fn chunks_win_over_a_length_and_the_connection_ends_with_them() {
    on(Wire::H1, |origin| {
        let session = session(origin);
        let fields = "Content-Length: 100\r\nTransfer-Encoding: chunked\r\n";
        let reply = format!("HTTP/1.1 200 OK\r\n{fields}\r\n2\r\nok\r\n0\r\n\r\n");
        origin.enqueue("/raw", Reply::raw(reply));
        let (data, response) = session.data(origin.url("/raw")).wait().unwrap();
        assert_eq!((text(&data), response.expected_content_length()), ("ok", None));
        let names: Vec<_> =
            response.http().unwrap().all_header_fields().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["Transfer-Encoding"]);
        load(&session, origin.url("/Peru")).unwrap();
        assert_eq!(origin.connection_count(), 2);
    });
}

#[test]
fn a_transfer_coding_identity_beside_a_length_is_the_length() {
    on(Wire::H1, |origin| {
        for version in ["HTTP/1.1", "HTTP/1.0"] {
            let fields = "Transfer-Encoding: identity\r\nContent-Length: 2\r\n";
            assert_eq!(raw(origin, format!("{version} 200 OK\r\n{fields}\r\nok")).unwrap(), "ok");
        }
    });
}

#[test]
fn test_illegal_http_server_responses() {
    on(Wire::H1, |origin| {
        for place in ["Gomorrah", "Dinavar", "Kuhikugu"] {
            let error =
                load(&session(origin), origin.url(&format!("/LandOfTheLostCities/{place}"))).unwrap_err();
            assert_eq!(error.code(), Code::CannotParseResponse, "{place}");
        }
    });
}

/// The peer makes up a 200 for a reply without a status line; we say what it is.
#[test]
fn test_http0_9_simple_responses() {
    on(Wire::H1, |origin| {
        for place in ["Pompeii", "Sodom"] {
            let error =
                load(&session(origin), origin.url(&format!("/LandOfTheLostCities/{place}"))).unwrap_err();
            assert_eq!(error.code(), Code::CannotParseResponse, "{place}");
        }
    });
}

#[test]
fn heads_beyond_the_limits_are_refused() {
    on(Wire::H1, |origin| {
        let long = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "a".repeat(300 * 1024));
        assert_eq!(raw(origin, long).unwrap_err().code(), Code::DataLengthExceedsMaximum);
        let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: y\r\n".repeat(300));
        assert_eq!(raw(origin, many).unwrap_err().code(), Code::DataLengthExceedsMaximum);
        let most = format!("HTTP/1.1 200 OK\r\n{}Content-Length: 2\r\n\r\nok", "X: y\r\n".repeat(255));
        assert_eq!(raw(origin, most).unwrap(), "ok");
    });
}

#[test]
fn contradictions_about_the_length_are_refused() {
    on(Wire::H1, |origin| {
        for fields in [
            "Content-Length: 2\r\nContent-Length: 3\r\n",
            "Content-Length: 2, 3\r\n",
            "Content-Length: two\r\n",
            "Content-Length: -1\r\n",
            "Content-Length: +2\r\n",
            "Content-Length: 99999999999999999999\r\n",
            "Content-Length: 2\r\nContent-Length: 3\r\nTransfer-Encoding: identity\r\n",
            "Content-Length: 2\r\nTransfer-Encoding: xchunked\r\n",
            "Transfer-Encoding: rot13\r\n",
            "Transfer-Encoding: gzip, chunked\r\n",
            "Transfer-Encoding: chunked, identity\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        ] {
            let error = raw(origin, format!("HTTP/1.1 200 OK\r\n{fields}\r\nok")).unwrap_err();
            assert_eq!(error.code(), Code::CannotParseResponse, "{fields:?}: {error}");
        }
        assert_eq!(
            raw(origin, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok").unwrap(),
            "ok"
        );
    });
}

#[test]
fn bad_chunks_break_the_load() {
    on(Wire::H1, |origin| {
        for chunks in
            ["xyz\r\nok\r\n", "-2\r\nok\r\n", "2\r\nokok\r\n0\r\n\r\n", "fffffffffffffffff\r\n", "\r\n"]
        {
            let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
            let error = raw(origin, format!("{head}{chunks}")).unwrap_err();
            assert_eq!(
                (error.code(), error.phase()),
                (Code::BadServerResponse, Phase::Body),
                "{chunks:?}: {error}"
            );
        }
    });
}

#[test]
fn a_truncated_body_is_a_lost_connection() {
    on_every_wire(|origin| {
        origin.enqueue("/cut", Reply::new(200).pattern(0, 1000).truncate_at(500));
        let (session, recorder) = recorded(origin);
        session.data_task(origin.url("/cut")).resume();
        let log = recorder.completed(1);
        let error = log.completions[0].as_ref().unwrap();
        assert_eq!((error.code(), error.phase()), (Code::NetworkConnectionLost, Phase::Body), "{error}");
        assert_eq!(log.data.len(), 500, "what came was delivered");
        assert!(log.response.is_some());
    });
    on(Wire::H1, |origin| {
        for reply in
            ["HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", "HTTP/1.1 200 OK\r\nX: y\r\n"]
        {
            assert_eq!(raw(origin, reply).unwrap_err().code(), Code::NetworkConnectionLost, "{reply:?}");
        }
    });
}

#[test]
fn an_empty_reply_is_a_lost_connection() {
    on_every_wire(|origin| {
        origin.enqueue("/empty", Reply::drop_connection());
        let error = load(&session(origin), origin.url("/empty")).unwrap_err();
        assert_eq!(error.code(), Code::NetworkConnectionLost);
    });
}

#[test]
fn a_body_that_is_not_what_its_coding_says_is_an_error() {
    on_every_wire(|origin| {
        for coding in ["gzip", "deflate", "br", "zstd"] {
            origin.enqueue("/bad", Reply::new(200).header("Content-Encoding", coding).body(vec![0xff; 100]));
            let error = load(&session(origin), origin.url("/bad")).unwrap_err();
            assert!(matches!(error.code().number(), -1015 | -1016), "{coding}: {error}");
            assert_eq!(error.phase(), Phase::Decode);
        }
    });
}

#[test]
fn informational_responses_without_end_are_cut_off() {
    on_every_wire(|origin| {
        for (count, is_ok) in [(100, true), (101, false), (300, false)] {
            let hints = (0..count).fold(Reply::new(200), |reply, _| reply.informational(103, &[("x", "y")]));
            origin.enqueue("/hints", hints.body("x"));
            let result = session(origin).data(origin.url("/hints")).wait();
            assert_eq!(
                result.map(|_| ()).map_err(|error| error.code()).err(),
                (!is_ok).then_some(Code::BadServerResponse)
            );
        }
    });
    on(Wire::H1, |origin| {
        let error = raw(origin, "HTTP/1.1 100 Continue\r\n\r\n".repeat(200)).unwrap_err();
        assert_eq!(error.code(), Code::BadServerResponse);
        let error = raw(origin, "HTTP/1.1 101 Switching Protocols\r\n\r\n").unwrap_err();
        assert_eq!(error.code(), Code::BadServerResponse);
    });
}

#[test]
fn more_fields_than_the_limit_are_refused_in_every_head_on_every_wire() {
    on_every_wire(|origin| {
        let names: Vec<_> = (0..257).map(|n| format!("x-{n}")).collect();
        let fields: Vec<_> = names.iter().map(|name| (name.as_str(), "y")).collect();
        let with =
            |count: usize| fields[..count].iter().fold(Reply::new(200), |reply, (n, v)| reply.header(*n, *v));
        let session = session(origin);
        let end = |reply: Reply| {
            origin.enqueue("/many", reply.body("x"));
            let result = session.data(origin.url("/many")).wait();
            assert_eq!(text(&session.data(origin.url("/Peru")).wait().unwrap().0), "Lima");
            result.map(|_| ()).map_err(|error| error.code())
        };
        assert_eq!(end(with(240)), Ok(()));
        assert_eq!(end(with(257)), Err(Code::DataLengthExceedsMaximum));
        let hints = |count: usize| Reply::new(200).informational(103, &fields[..count]);
        assert_eq!(end(hints(256)), Ok(()));
        assert_eq!(end(hints(257)), Err(Code::DataLengthExceedsMaximum));
        let trailers = |count: usize| {
            fields[..count].iter().fold(Reply::new(200), |reply, (n, v)| reply.trailer(*n, *v))
        };
        assert_eq!(end(trailers(256)), Ok(()));
        assert_eq!(end(trailers(257)), Err(Code::BadServerResponse));
    });
}

#[test]
fn malformed_and_unknown_urls_are_told_apart() {
    let session = urlsession::UrlSession::shared();
    for (url, code) in [
        ("not a url", Code::BadUrl),
        ("http://", Code::BadUrl),
        ("http://host:99999/", Code::BadUrl),
        ("", Code::BadUrl),
        ("foo://x/", Code::UnsupportedUrl),
        ("gopher://x/", Code::UnsupportedUrl),
    ] {
        assert_eq!(load(&session, url).unwrap_err().code(), code, "{url:?}");
    }
}

#[test]
fn hosts_that_are_not_there_have_their_own_code() {
    let session = urlsession::UrlSession::shared();
    let error = load(&session, "https://nobody.invalid/").unwrap_err();
    assert_eq!((error.code(), error.phase()), (Code::CannotFindHost, Phase::Dns), "{error}");
    assert!(error.to_string().contains("nobody.invalid"));
    on(Wire::H1, |origin| {
        let url = format!("http://127.0.0.1:{}/", origin.closed_port());
        let error = load(&session, url).unwrap_err();
        assert_eq!((error.code(), error.phase()), (Code::CannotConnectToHost, Phase::Connect), "{error}");
        assert!(std::error::Error::source(&error).is_some());
    });
}

#[test]
fn an_ipv6_literal_is_not_a_bad_url() {
    // The row is about downloads; the URL is the same for data. Nothing listens on [::1] at this port.
    on(Wire::H1, |origin| {
        let error =
            load(&session(origin), format!("http://[::1]:{}/country.txt", origin.closed_port())).unwrap_err();
        assert_eq!(error.code(), Code::CannotConnectToHost, "{error}");
    });
}

#[test]
fn cleartext_to_a_public_host_is_refused_without_a_connection() {
    let error = load(&urlsession::UrlSession::shared(), "http://example.com/").unwrap_err();
    assert_eq!(
        (error.code(), error.phase()),
        (Code::AppTransportSecurityRequiresSecureConnection, Phase::Policy)
    );
}

#[test]
fn a_malformed_url_does_not_tell_its_password() {
    let error = load(&urlsession::UrlSession::shared(), "https://me:s3cret@[bad").unwrap_err();
    assert_eq!(error.code(), Code::BadUrl);
    assert!(!format!("{error} {error:?}").contains("s3cret"));
}
