//! Fields after a body: those of a request, made from what was sent, and those of a response.

use std::collections::hash_map::DefaultHasher;
use std::hash::Hasher;
use std::io::Write;

use urlsession::bodies::BodyTrailers;
use urlsession::{BodyStream, HeaderMap, Task, UrlErrorCode, UrlRequest};
use urlsession_testkit::{Reply, Wire};

use crate::support::*;

/// The sum of what it sees, and how often it was made.
#[derive(Default)]
struct Sum(DefaultHasher);

fn sum(data: &[u8]) -> String {
    let mut hasher = DefaultHasher::default();
    hasher.write(data);
    format!("{:x}", hasher.finish())
}

impl BodyTrailers for Sum {
    fn update(&mut self, chunk: &[u8]) {
        self.0.write(chunk);
    }

    fn finish(self: Box<Self>) -> HeaderMap {
        headers(&[("X-Sum", &format!("{:x}", self.0.finish())), ("x-note", " a b ")])
    }
}

fn put(url: String, body: BodyStream) -> UrlRequest {
    let mut request = request(&url, "PUT", None);
    request.set_http_body_stream(body);
    request
}

fn with_sum(body: BodyStream) -> BodyStream {
    body.with_trailers(["X-Sum", "X-Note"], Sum::default).unwrap()
}

#[test]
fn trailers_made_from_a_stream_follow_it() {
    on_every_wire(|origin| {
        let body = with_sum(BodyStream::from_reader(&b"streamed"[..]));
        let (data, _) = session(origin).data(put(origin.url("/echo"), body)).wait().unwrap();
        assert_eq!(text(&data), "streamed");
        let seen = &origin.requests()[0];
        assert_eq!(seen.header("trailer"), Some("X-Sum, X-Note"));
        let trailers: Vec<_> = seen
            .trailers
            .iter()
            .map(|(name, value)| (name.to_lowercase(), value.replace("  ", "")))
            .collect();
        assert_eq!(
            trailers,
            [("x-sum".to_owned(), sum(b"streamed")), ("x-note".to_owned(), "a b".to_owned())]
        );
    });
}

#[test]
fn a_body_of_known_length_has_trailers_too_and_makes_them_each_time_it_is_sent() {
    on_every_wire(|origin| {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let content = vec![7; 200_000];
        file.write_all(&content).unwrap();
        origin.enqueue("/there", Reply::new(307).header("Location", "/upload"));
        let body = with_sum(BodyStream::from_file(file.path()).unwrap());
        let session = session(origin);
        session.data(put(origin.url("/there"), body)).wait().unwrap();
        let seen = origin.requests();
        assert_eq!(seen.len(), 2);
        // HTTP/1.1 has trailers only after chunks.
        let length = (origin.wire() == Wire::TlsH2).then_some("200000");
        for seen in &seen {
            assert_eq!((seen.header("content-length"), seen.body_len), (length, 200_000));
            assert_eq!(seen.trailers.len(), 2);
        }
        let hashes: Vec<_> = seen.iter().map(|seen| &seen.trailers[0].1).collect();
        assert_eq!(hashes[0], hashes[1]);
        let empty = with_sum(BodyStream::from_reader(&b""[..]).with_length(0));
        session.data(put(origin.url("/upload"), empty)).wait().unwrap();
        let seen = origin.requests();
        assert_eq!((seen[2].body_len, &*seen[2].trailers[0].1), (0, &*sum(b"")));
        assert_eq!(origin.connection_count(), 1, "it is in step");
    });
}

#[test]
fn what_may_not_follow_a_body_is_refused() {
    let body = || BodyStream::from_reader(&b"x"[..]);
    for name in ["Content-Length", "authorization", "Host", "Transfer-Encoding", "two words", ""] {
        let refused = body().with_trailers([name], || HeaderMap::new).unwrap_err();
        assert!(refused.to_string().contains(name), "{refused}");
    }
    on_every_wire(|origin| {
        let unannounced = body().with_trailers(["X-Sum"], || || headers(&[("X-Other", "1")])).unwrap();
        let error = session(origin).data(put(origin.url("/upload"), unannounced)).wait().unwrap_err();
        assert_eq!(error.code(), UrlErrorCode::RequestBodyStreamExhausted);
        assert!(error.to_string().contains("\"X-Other\" was not announced"), "{error}");
        assert!(origin.requests().is_empty(), "the request must not look complete");
    });
}

#[test]
fn trailers_of_a_body_that_breaks_off_are_never_made() {
    struct Never;
    impl BodyTrailers for Never {
        fn finish(self: Box<Self>) -> HeaderMap {
            panic!("nothing was sent whole")
        }
    }
    struct Broken;
    impl std::io::Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("worn out"))
        }
    }
    on_every_wire(|origin| {
        let body = BodyStream::from_reader(Broken).with_trailers(["X-Sum"], || Never).unwrap();
        let error = session(origin).data(put(origin.url("/upload"), body)).wait().unwrap_err();
        assert_eq!(error.code(), UrlErrorCode::RequestBodyStreamExhausted);
    });
}

#[test]
pub(super) fn trailers_of_a_response_are_there_at_its_end_for_every_kind_of_task() {
    on_every_wire(|origin| {
        let reply = || {
            let fields = [("X-Sum", "abc"), ("Server-Timing", "db;dur=5"), ("Content-Length", "7")];
            // The fields that frame the message are the head's alone.
            let fields = if origin.wire() == Wire::TlsH2 { &fields[..2] } else { &fields[..] };
            Reply::new(200).chunked(["some ", "data"]).trailers(fields)
        };
        let check = |task: &Task| {
            let trailers = task.response_trailers().unwrap();
            assert_eq!(trailers.len(), 2, "{trailers:?}");
            assert_eq!(trailers["x-sum"], "abc");
            assert_eq!(trailers["server-timing"], "db;dur=5");
        };
        for _ in 0..3 {
            origin.enqueue("/t", reply());
        }
        let session = session(origin);
        let load = session.data(origin.url("/t"));
        let task = load.task();
        assert!(task.response_trailers().is_none());
        assert_eq!(text(&load.wait().unwrap().0), "some data");
        check(&task);
        let load = session.download(origin.url("/t"));
        let task: Task = load.task().into();
        load.wait().unwrap();
        check(&task);
        let (session, recorder) = recorded(origin);
        let task = session.data_task(origin.url("/t"));
        task.resume();
        recorder.completed(1).succeeded();
        check(&task);
        let (task, _) = load_with_task(&session, origin.url("/Peru"));
        assert!(task.response_trailers().is_none());
    });
}

#[test]
fn trailers_of_a_coded_response_are_there_too() {
    on_every_wire(|origin| {
        // An empty deflate stream and its end.
        let coded = [0x78, 0x9c, 0x03, 0, 0, 0, 0, 1];
        let reply = Reply::new(200).header("Content-Encoding", "deflate").chunked([coded]);
        origin.enqueue("/t", reply.trailer("X-Sum", "abc"));
        let (task, result) = load_with_task(&session(origin), origin.url("/t"));
        assert!(result.unwrap().0.is_empty());
        assert_eq!(task.response_trailers().unwrap()["x-sum"], "abc");
    });
}
