//! Bodies of `multipart/x-mixed-replace`: a response for each part.

use std::sync::{Arc, Mutex, mpsc};

use urlsession::{
    Bytes, DataTask, Decision, DelegateQueue, ResponseDisposition, SessionDelegate, Task, TaskDelegate,
    UrlError, UrlErrorCode, UrlResponse, UrlSession,
};
use urlsession_testkit::{Origin, Reply};

use crate::support::*;

const BODY: &str = "preamble\r\n--frame\r\nContent-Type: text/plain\r\nContent-Length: 3\r\nX-Frame: 1\r\n\r\none\r\n\
    --frame\r\nContent-Type: image/png\r\nX-Server: part\r\n\r\n\r\n--two--\r\n--frame\r\n\r\n\r\n--frame--\r\nepilogue";

fn parts(body: &str) -> Reply {
    Reply::new(201)
        .header("Content-Type", "Multipart/X-Mixed-Replace; charset=utf-8; boundary=\"frame\"")
        .header("X-Server", "whole")
        .header("X-Whole", "kept")
        .body(body)
}

/// Writes down each part, and cancels at one of them.
#[derive(Default)]
struct Frames {
    parts: Mutex<Vec<(UrlResponse, Vec<u8>)>>,
    cancels_at: Option<usize>,
    ended: Mutex<Option<mpsc::Sender<Option<UrlError>>>>,
}

impl TaskDelegate for Frames {
    fn did_receive_response(&self, _: &DataTask, response: &UrlResponse) -> Decision<ResponseDisposition> {
        let mut parts = self.parts.lock().unwrap();
        parts.push((response.clone(), Vec::new()));
        let is_cancelled = self.cancels_at == Some(parts.len());
        Decision::now(if is_cancelled { ResponseDisposition::Cancel } else { ResponseDisposition::Allow })
    }

    fn did_receive_data(&self, _: &DataTask, data: Bytes) {
        self.parts.lock().unwrap().last_mut().unwrap().1.extend_from_slice(&data);
    }

    fn did_complete(&self, _: &Task, error: Option<&UrlError>) {
        self.ended.lock().unwrap().take().unwrap().send(error.cloned()).unwrap();
    }
}
impl SessionDelegate for Frames {}

fn frames(origin: &Origin, cancels_at: Option<usize>) -> (Vec<(UrlResponse, Vec<u8>)>, Option<UrlError>) {
    let (sender, ended) = mpsc::channel();
    let delegate = Arc::new(Frames { cancels_at, ended: Mutex::new(Some(sender)), ..Frames::default() });
    let session = UrlSession::with_delegate(configuration(origin), delegate.clone(), DelegateQueue::serial());
    session.data_task(origin.url("/frames")).resume();
    let error = ended.recv_timeout(PATIENCE).expect("the task did not end");
    let parts = delegate.parts.lock().unwrap().clone();
    (parts, error)
}

#[test]
fn a_delegate_hears_of_each_part() {
    on_every_wire(|origin| {
        // In one piece, and cut into chunks of every small size.
        for size in [BODY.len(), 1, 2, 3, 7, 20] {
            let chunks = BODY.as_bytes().chunks(size).map(<[u8]>::to_vec);
            origin.enqueue("/frames", parts("").chunked(chunks));
            let (parts, error) = frames(origin, None);
            assert!(error.is_none(), "{error:?}");
            let found = parts.iter().map(|(_, data)| text(data)).collect::<Vec<_>>();
            assert_eq!(found, ["one", "\r\n--two--", ""], "in pieces of {size}");
            for (response, _) in &parts {
                let http = response.http().unwrap();
                assert_eq!((http.status_code(), response.url().path()), (201, "/frames"));
                assert_eq!(http.value("X-Whole"), Some("kept"));
            }
            let kinds = parts.iter().map(|(part, _)| part.mime_type().map(|kind| kind.into_owned()));
            assert_eq!(
                kinds.collect::<Vec<_>>(),
                [Some("text/plain".into()), Some("image/png".into()), None]
            );
            let lengths = parts.iter().map(|(part, _)| part.expected_content_length());
            assert_eq!(lengths.collect::<Vec<_>>(), [Some(3), None, None]);
            let values = |name: &str| {
                let value =
                    |(part, _): &(UrlResponse, _)| part.http().unwrap().value(name).map(str::to_owned);
                parts.iter().map(value).collect::<Vec<_>>()
            };
            assert_eq!(values("X-Frame"), [Some("1".into()), None, None]);
            assert_eq!(values("X-Server"), [Some("whole".into()), Some("part".into()), Some("whole".into())]);
            let spelled = parts[0].0.http().unwrap().all_header_fields();
            for expected in [("Content-Type", "text/plain"), ("Content-Length", "3"), ("X-Frame", "1")] {
                assert!(spelled.iter().any(|(name, value)| (&**name, &**value) == expected), "{spelled:?}");
            }
        }
    });
}

#[test]
fn a_part_is_heard_of_before_the_next_one_comes() {
    on_every_wire(|origin| {
        let gate = origin.hold();
        let second = BODY.find("--frame\r\nContent-Type: image").unwrap() as u64;
        origin.enqueue("/frames", parts(BODY).body_gate(second, gate.clone()));
        let (session, recorder) = recorded(origin);
        session.data_task(origin.url("/frames")).resume();
        let log = recorder.wait_for(|log| log.data == b"one");
        assert_eq!(log.calls, ["didReceiveResponse", "didReceiveData"]);
        gate.release();
        let log = recorder.completed(1);
        assert_eq!(
            log.calls,
            [
                "didReceiveResponse",
                "didReceiveData",
                "didReceiveResponse",
                "didReceiveData",
                "didReceiveResponse",
                "didComplete"
            ]
        );
    });
}

#[test]
fn the_data_of_each_part_may_come_in_one_piece() {
    #[derive(Default)]
    struct Calls(Mutex<Vec<String>>, Mutex<Option<mpsc::Sender<()>>>);
    impl TaskDelegate for Calls {
        fn did_receive_response(&self, _: &DataTask, _: &UrlResponse) -> Decision<ResponseDisposition> {
            self.0.lock().unwrap().push("response".into());
            Decision::default_handling()
        }
        fn did_receive_data(&self, _: &DataTask, data: Bytes) {
            self.0.lock().unwrap().push(text(&data).to_owned());
        }
        fn did_complete(&self, _: &Task, error: Option<&UrlError>) {
            assert!(error.is_none());
            self.1.lock().unwrap().take().unwrap().send(()).unwrap();
        }
    }
    impl SessionDelegate for Calls {}
    on_every_wire(|origin| {
        origin.enqueue("/frames", parts("").chunked(BODY.as_bytes().chunks(2).map(<[u8]>::to_vec)));
        let (sender, ended) = mpsc::channel();
        let delegate = Arc::new(Calls(Mutex::default(), Mutex::new(Some(sender))));
        let session =
            UrlSession::with_delegate(configuration(origin), delegate.clone(), DelegateQueue::serial());
        let task = session.data_task(origin.url("/frames"));
        task.set_prefers_incremental_delivery(false).unwrap();
        task.resume();
        ended.recv_timeout(PATIENCE).unwrap();
        let calls = delegate.0.lock().unwrap().clone();
        assert_eq!(calls, ["response", "one", "response", "\r\n--two--", "response"]);
    });
}

#[test]
fn any_part_may_be_refused() {
    on_every_wire(|origin| {
        for at in 1..=3 {
            origin.enqueue("/frames", parts(BODY));
            let (parts, error) = frames(origin, Some(at));
            assert_eq!(error.unwrap().code(), UrlErrorCode::Cancelled);
            assert_eq!(parts.len(), at);
            assert!(parts[at - 1].1.is_empty());
        }
    });
}

#[test]
fn malformed_parts_fail_the_task() {
    on_every_wire(|origin| {
        let long = format!("--frame\r\nX: {}\r\n\r\n", "x".repeat(64 * 1024));
        let many = format!("--frame\r\n{}\r\n", "X: 1\r\n".repeat(65));
        for body in ["no part", "--frame\r\nX: 1\0\r\n\r\n", "--frame\r\nX: 1\r\n", &long, &many] {
            origin.enqueue("/frames", parts(body));
            let (parts, error) = frames(origin, None);
            assert_eq!(error.unwrap().code(), UrlErrorCode::BadServerResponse, "{body:.20}");
            assert!(parts.is_empty());
        }
        for boundary in ["", "; boundary=", &format!("; boundary={}", "b".repeat(71))] {
            let kind = format!("multipart/x-mixed-replace{boundary}");
            origin.enqueue("/frames", Reply::new(200).header("Content-Type", kind).body("x"));
            let error = frames(origin, None).1.unwrap();
            assert_eq!(error.code(), UrlErrorCode::BadServerResponse, "{boundary:?}");
            assert!(error.failing_url().is_some());
        }
    });
}

#[test]
fn without_a_body_the_response_itself_is_heard_of() {
    on_every_wire(|origin| {
        origin.enqueue("/frames", parts(""));
        let (parts, error) = frames(origin, None);
        assert!(error.is_none());
        assert_eq!(parts[0].0.mime_type().as_deref(), Some("multipart/x-mixed-replace"));
        assert_eq!(parts.len(), 1);
    });
}

#[test]
fn other_styles_and_other_types_get_the_body_as_it_is() {
    on_every_wire(|origin| {
        let session = session(origin);
        for _ in 0..3 {
            origin.enqueue("/frames", parts(BODY));
        }
        let (data, response) = load(&session, origin.url("/frames")).unwrap();
        assert_eq!((text(&data), response.status_code()), (BODY, Some(201)));
        assert_eq!(text(&session.data(origin.url("/frames")).wait().unwrap().0), BODY);
        let (mut bytes, _) = session.bytes(origin.url("/frames")).wait().unwrap();
        let all = std::iter::from_fn(|| bytes.wait_chunk()).flat_map(Result::unwrap).collect::<Vec<_>>();
        assert_eq!(text(&all), BODY);

        let kind = "multipart/mixed; boundary=frame";
        origin.enqueue("/frames", Reply::new(200).header("Content-Type", kind).body(BODY));
        let (parts, _) = frames(origin, None);
        assert_eq!((parts.len(), text(&parts[0].1)), (1, BODY));
    });
}
