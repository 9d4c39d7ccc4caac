//! What goes out: methods, header fields, bodies.

use urlsession::{BodyStream, Bytes, UrlErrorCode, UrlRequest, UrlSession};
use urlsession_testkit::{Reply, Wire};

use crate::support::*;

const METHODS: [&str; 5] = ["HEAD", "GET", "PUT", "POST", "DELETE"];

fn succeeded_with_200(log: &Log) {
    log.succeeded();
    let response = log.response.as_ref().unwrap();
    assert_eq!(response.status_code(), Some(200));
    assert_eq!(log.data.is_empty(), !log.calls.contains(&"didReceiveData"));
}

fn refused_for_its_body(log: &Log, url: &str) {
    let error = log.completions[0].as_ref().unwrap();
    assert_eq!((error.code(), error.code().number()), (UrlErrorCode::DataLengthExceedsMaximum, -1103));
    assert!(error.to_string().starts_with("resource exceeds maximum size"));
    assert_eq!(error.failing_url().unwrap().as_str(), url);
    assert!(log.response.is_none() && log.data.is_empty());
    assert_eq!(log.calls, ["didComplete"]);
}

#[test]
fn test_verify_request_headers() {
    on_every_wire(|origin| {
        let session = session(origin);
        let mut request = request(&origin.url("/requestHeaders"), "POST", None);
        request.set_value("header1", "value1").unwrap();
        let (sender, receiver) = std::sync::mpsc::channel();
        let task = session.data_task_with_handler(&request, move |result| sender.send(result).unwrap());
        task.resume();
        // The task has its own copy.
        request.remove_value("header1");
        let (data, _) = receiver.recv_timeout(PATIENCE).unwrap().unwrap();
        assert!(text(&data).contains("header1: value1"), "{}", text(&data));
    });
}

#[test]
fn test_verify_http_additional_headers() {
    on_every_wire(|origin| {
        let mut configuration = configuration(origin);
        for name in ["header2", "header3", "header4"] {
            set_for_all(&mut configuration, name, format!("svalue{}", &name[6..]));
        }
        let mut request = request(&origin.url("/requestHeaders"), "POST", None);
        for name in ["header1", "header2", "Header4"] {
            request.set_value(name, format!("rvalue{}", &name[6..])).unwrap();
        }
        let (data, _) = load(&UrlSession::new(configuration), request).unwrap();
        let mut lines = text(&data).split(',').map(str::to_owned).collect::<Vec<_>>();
        if origin.requests()[0].stream.is_some() {
            // Names have no case on HTTP/2.
            lines.iter_mut().for_each(|line| {
                *line = line.replace("header4:", "Header4:").replace("header3:", "Header3:")
            });
        }
        for line in ["header1: rvalue1", "header2: rvalue2", "Header3: svalue3", "Header4: rvalue4"] {
            assert!(lines.iter().any(|sent| sent == line), "{line} is not in {lines:?}");
        }
        assert!(!lines.iter().any(|sent| sent.contains("svalue4")));
    });
}

#[test]
fn reserved_additional_headers_are_not_sent() {
    on(Wire::H1, |origin| {
        let mut configuration = configuration(origin);
        for name in ["Authorization", "Host", "Connection", "Content-Length", "Transfer-Encoding"] {
            set_for_all(&mut configuration, name, "7");
        }
        load(&UrlSession::new(configuration), origin.url("/Peru")).unwrap();
        let sent = &origin.requests()[0];
        assert_eq!(sent.header("host"), Some(format!("127.0.0.1:{}", origin.port()).as_str()));
        for name in ["authorization", "connection", "content-length", "transfer-encoding"] {
            assert_eq!(sent.header(name), None);
        }
    });
}

#[test]
fn framing_fields_of_the_caller_are_not_sent() {
    on_every_wire(|origin| {
        let mut request = request(&origin.url("/echo"), "POST", Some(b"four"));
        for (name, value) in
            [("Content-Length", "400"), ("Transfer-Encoding", "chunked"), ("Connection", "keep-alive")]
        {
            request.set_value(name, value).unwrap();
        }
        let (data, _) = load(&session(origin), request).unwrap();
        assert_eq!(text(&data), "four");
        assert_eq!(origin.requests()[0].header_all("content-length"), ["4"]);
    });
}

#[test]
fn test_request_with_empty_body() {
    on_every_wire(|origin| {
        for method in METHODS {
            for body in [None, Some(&b""[..])] {
                for kind in [None, Some("text/plain")] {
                    let (session, recorder) = recorded(origin);
                    let url = origin.url(&format!("/{}", method.to_ascii_lowercase()));
                    let mut request = request(&url, method, body);
                    set_optional(&mut request, "Content-Type", kind);
                    session.data_task(request).resume();
                    let log = recorder.completed(1);
                    succeeded_with_200(&log);
                    assert!(log.sent.is_empty());
                    if method == "HEAD" {
                        assert_eq!(log.calls, ["didReceiveResponse", "didComplete"]);
                        continue;
                    }
                    assert_eq!(log.calls, ["didReceiveResponse", "didReceiveData", "didComplete"]);
                    assert_eq!(log.response.unwrap().expected_content_length(), Some(log.data.len() as u64));
                    assert_eq!(json(&log.data).get("Content-Type").and_then(|kind| kind.as_str()), kind);
                }
            }
        }
    });
}

#[test]
fn test_request_with_non_empty_body() {
    on_every_wire(|origin| {
        for method in METHODS {
            for kind in [None, Some("text/plain")] {
                let (session, recorder) = recorded(origin);
                let url = origin.url(&format!("/{}", method.to_ascii_lowercase()));
                let mut request = request(&url, method, Some(b"This is a request body"));
                set_optional(&mut request, "Content-Type", kind);
                session.data_task(request).resume();
                let log = recorder.completed(1);
                match method {
                    "GET" => refused_for_its_body(&log, &url),
                    "HEAD" => {
                        succeeded_with_200(&log);
                        assert_eq!(log.calls, ["didSendBody", "didReceiveResponse", "didComplete"]);
                    }
                    _ => {
                        succeeded_with_200(&log);
                        let calls = ["didSendBody", "didReceiveResponse", "didReceiveData", "didComplete"];
                        assert_eq!(log.calls, calls, "{method}");
                        let echo = json(&log.data);
                        assert_eq!(echo["Content-Length"], "22");
                        assert_eq!(echo["x-base64-body"], "VGhpcyBpcyBhIHJlcXVlc3QgYm9keQ==");
                        let form = (method == "POST").then_some("application/x-www-form-urlencoded");
                        assert_eq!(echo.get("Content-Type").and_then(|kind| kind.as_str()), kind.or(form));
                        assert_eq!(log.sent, [(22, 22, Some(22))]);
                    }
                }
            }
        }
    });
}

#[test]
fn test_data_task_with_http_input_stream() {
    on_every_wire(|origin| {
        for method in METHODS {
            for kind in [None, Some("text/plain")] {
                let (session, recorder) = recorded(origin);
                let mut request = request(&origin.url("/jsonBody"), method, None);
                request.set_http_body_stream(BodyStream::from_reader(std::io::Cursor::new(
                    b"streamed".to_vec(),
                )));
                request.set_value("Transfer-Encoding", "chunked").unwrap();
                request.set_value("Accept-Language", "en-US").unwrap();
                set_optional(&mut request, "Content-Type", kind);
                session.data_task(request).resume();
                let log = recorder.completed(1);
                match method {
                    "GET" => refused_for_its_body(&log, &origin.url("/jsonBody")),
                    "HEAD" => {
                        succeeded_with_200(&log);
                        assert_eq!(log.calls, ["didSendBody", "didReceiveResponse", "didComplete"]);
                    }
                    _ => {
                        succeeded_with_200(&log);
                        let calls = ["didSendBody", "didReceiveResponse", "didReceiveData", "didComplete"];
                        assert_eq!(log.calls, calls, "{method}");
                        let echo = json(&log.data);
                        assert_eq!(
                            log.response.unwrap().expected_content_length(),
                            Some(log.data.len() as u64)
                        );
                        assert_eq!(echo["x-base64-body"], "c3RyZWFtZWQ=");
                        assert_eq!(echo["Accept-Language"], "en-US");
                        let form = (method == "POST").then_some("application/x-www-form-urlencoded");
                        assert_eq!(echo.get("Content-Type").and_then(|kind| kind.as_str()), kind.or(form));
                    }
                }
            }
        }
    });
}

#[test]
fn test_post_with_empty_body() {
    on_every_wire(|origin| {
        let (_, response) = load(&session(origin), request(&origin.url("/emptyPost"), "POST", None)).unwrap();
        assert_eq!(response.status_code(), Some(200));
        assert_eq!(origin.requests()[0].header("content-length"), Some("0"));
    });
}

#[test]
fn a_stream_of_known_length_is_sent_with_its_length() {
    on_every_wire(|origin| {
        let mut request = request(&origin.url("/echo"), "PUT", None);
        request.set_http_body_stream(Bytes::from_static(b"known").into());
        assert_eq!(text(&load(&session(origin), request).unwrap().0), "known");
        assert_eq!(origin.requests()[0].header("content-length"), Some("5"));
    });
}

#[test]
fn a_stream_of_another_length_than_announced_fails_and_is_not_sent_as_if_whole() {
    on_every_wire(|origin| {
        for (length, data) in [(10, &b"short"[..]), (3, b"too long")] {
            let mut request = request(&origin.url("/echo"), "PUT", None);
            request.set_http_body_stream(BodyStream::from_reader(data).with_length(length));
            let error = load(&session(origin), request).unwrap_err();
            assert_eq!(error.code(), UrlErrorCode::RequestBodyStreamExhausted);
        }
        assert!(origin.requests().is_empty(), "no request was complete");
    });
}

#[test]
fn a_stream_that_fails_fails_the_load_with_its_error() {
    on_every_wire(|origin| {
        struct Broken;
        impl std::io::Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
                Err(std::io::Error::other("worn out"))
            }
        }
        let mut request = request(&origin.url("/echo"), "PUT", None);
        request.set_http_body_stream(BodyStream::from_reader(Broken));
        let error = load(&session(origin), request).unwrap_err();
        assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "worn out");
    });
}

#[test]
fn a_stream_sent_again_after_307_is_asked_for() {
    on_every_wire(|origin| {
        let body = || BodyStream::from_reader(&b"again"[..]);
        let recorder = Recorder::new().giving_bodies([body()]);
        let (session, recorder) = with_recorder(configuration(origin), recorder);
        let mut request = request(&origin.url("/307?location=/echo"), "POST", None);
        request.set_http_body_stream(body());
        session.data_task(&request).resume();
        let log = recorder.completed(1);
        assert!(log.completions[0].is_none(), "{:?}", log.completions);
        assert_eq!(text(&log.data), "again");
        assert!(log.calls.contains(&"needNewBodyStream"));

        request.set_http_body_stream(body());
        let error = load(&crate::support::session(origin), request).unwrap_err();
        assert_eq!(error.code(), UrlErrorCode::RequestBodyStreamExhausted);
        assert!(error.to_string().contains("need_new_body_stream"), "{error}");
    });
}

#[test]
fn a_large_body_goes_out_byte_by_byte_the_same() {
    on_every_wire(|origin| {
        let body = (0..5_000_000u64).map(|i| (i % 251) as u8).collect::<Vec<_>>();
        let (task, result) =
            load_with_task(&session(origin), request(&origin.url("/upload"), "PUT", Some(&body)));
        assert_eq!(result.unwrap().1.status_code(), Some(200));
        let sent = &origin.requests()[0];
        assert_eq!((sent.body_len, sent.body_is_pattern), (5_000_000, true));
        assert_eq!(task.count_of_bytes_sent(), 5_000_000);
        assert_eq!(task.count_of_bytes_expected_to_send(), Some(5_000_000));
    });
}

#[test]
fn a_header_field_that_could_split_the_request_is_refused() {
    let mut request = UrlRequest::new("http://localhost/".parse().unwrap());
    for value in ["a\r\nEvil: 1", "a\nb", "a\rb", "a\0b", "a\r\n"] {
        assert!(request.set_value("X", value).is_err(), "{value:?}");
        assert!(request.add_value("X", value).is_err(), "{value:?}");
        assert_eq!(request.value("X"), None);
    }
    assert!(request.set_value("Bad Name", "x").is_err());
}

#[test]
fn a_folded_value_goes_out_in_one_line() {
    on_every_wire(|origin| {
        let mut request = request(&origin.url("/Peru"), "GET", None);
        request.set_value("X-Folded", "one\r\n\ttwo").unwrap();
        load(&session(origin), request).unwrap();
        let sent =
            origin.requests()[0].header("x-folded").unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(sent, "one two");
    });
}

#[test]
fn methods_go_out_as_they_are_spelled() {
    on(Wire::H1, |origin| {
        for method in ["patch", "PATCH", "Foo", "OPTIONS"] {
            load(&session(origin), request(&origin.url("/jsonBody"), method, None)).unwrap();
            assert_eq!(origin.requests().pop().unwrap().method, method);
        }
    });
}

#[test]
fn test_basic_auth_with_unauthorized_header() {
    on_every_wire(|origin| {
        let (_, response) = load(&session(origin), origin.url("/unauthorized")).unwrap();
        assert_eq!(response.status_code(), Some(401));
    });
}

#[test]
fn test_basic_auth_challenge_when_no_credentials_available_completes_with_response() {
    on_every_wire(|origin| {
        let configuration = configuration(origin).url_credential_storage(None);
        let (_, response) = load(&UrlSession::new(configuration), origin.url("/auth/basic")).unwrap();
        assert_eq!(response.status_code(), Some(401));
        assert_eq!(origin.requests().len(), 1);
    });
}

#[test]
fn fields_of_the_library_are_written_in_title_case_and_those_of_the_application_as_spelled() {
    for wire in [Wire::H1, Wire::TlsH1] {
        on(wire, |origin| {
            let mut configuration = configuration(origin);
            set_for_all(&mut configuration, "x-session", "1");
            let (session, recorder) = with_recorder(configuration, Recorder::new());
            let first = Reply::new(200).header("ETag", "\"1\"").header("Cache-Control", "no-cache");
            origin.enqueue("/kept", first.header("Set-Cookie", "a=b").body("x"));
            load(&session, origin.url("/kept")).unwrap();
            let mut request = request(&origin.url("/kept"), "GET", None);
            request.set_value("x-OWN", "1").unwrap();
            for (n, request) in
                [request, UrlRequest::new(origin.url("/kept").parse().unwrap())].into_iter().enumerate()
            {
                let task = session.data_task(request);
                task.set_priority(1.0);
                task.resume();
                recorder.completed(n + 1);
            }
            let seen = origin.requests();
            for name in ["Cookie", "Accept-Encoding", "Priority"] {
                assert!(
                    seen[1].headers.iter().any(|(known, _)| known == name),
                    "{name}: {:?}",
                    seen[1].headers
                );
                assert!(
                    seen[2].headers.iter().any(|(known, _)| known == name),
                    "{name}: {:?}",
                    seen[2].headers
                );
            }
            for (name, _) in seen.iter().flat_map(|request| &request.headers) {
                let words = name.split('-').all(|word| word.starts_with(|c: char| c.is_ascii_uppercase()));
                assert!(words || ["x-session", "x-OWN"].contains(&name.as_str()), "{name}");
            }
            assert!(seen[1].headers.iter().any(|(name, _)| name == "x-OWN"));
        });
    }
}

#[test]
fn a_request_shows_the_zone_as_it_is_read() {
    for (text, shown) in [
        ("http://[fe80::1%25eth0]:81/a?b#c", "http://[fe80::1%25eth0]:81/a?b#c"),
        ("http://me:pw@[fe80::1%a%2fb]/", "http://me@[fe80::1%25a%2Fb]/"),
        ("http://[fe80::1]/a]b", "http://[fe80::1]/a]b"),
    ] {
        let request = urlsession::IntoUrlRequest::into_url_request(text).unwrap();
        assert_eq!(request.to_string(), shown);
        let again = urlsession::IntoUrlRequest::into_url_request(request.to_string()).unwrap();
        assert_eq!(again.zone_id(), request.zone_id());
    }
    let mut named = UrlRequest::new("http://a.example/".parse().unwrap());
    named.set_zone_id(Some("eth0"));
    assert_eq!(named.to_string(), "http://a.example/", "names are in no zone");
}

#[test]
fn spaces_around_a_value_are_not_of_it_on_any_wire() {
    on_every_wire(|origin| {
        for (value, sent) in [(" a b ", "a b"), ("\ta\t", "a"), ("a\r\n ", "a"), ("  ", ""), ("", "")] {
            let mut configuration = configuration(origin);
            // A map holds no folds.
            let unfolded = value.replace("\r\n", "  ");
            set_for_all(&mut configuration, "X-All", &unfolded);
            let mut request = request(&origin.url("/echo"), "POST", None);
            for name in ["X-Own", "Accept"] {
                request.set_value(name, value).unwrap();
            }
            let trailers = move || {
                let value = unfolded.clone();
                move || headers(&[("X-After", &value)])
            };
            let body = BodyStream::from_reader(&b"body"[..]);
            request.set_http_body_stream(body.with_trailers(["X-After"], trailers).unwrap());
            load(&UrlSession::new(configuration), request).unwrap();
            let seen = origin.requests().pop().unwrap();
            for name in ["x-all", "x-own", "accept"] {
                assert_eq!(seen.header_all(name), [sent], "{value:?} {name}");
            }
            assert_eq!(seen.trailers[0].1.trim(), sent, "{value:?}");
        }
    });
}
