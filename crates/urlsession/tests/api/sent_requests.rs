//! The request of a task and of its metrics, as it was sent.

use urlsession::cookies::{HttpCookie, HttpCookieStorage};
use urlsession::{BodyStream, Bytes, Configuration, DataTask, HeaderMap, UrlRequest, UrlSession};
use urlsession_testkit::{Origin, Reply, UploadFault, UploadServer, UploadStep};

use crate::support::*;

type Fields = Vec<(String, String)>;

/// Names in lower case, and values, in order of the names.
fn sorted<'a>(fields: impl Iterator<Item = (&'a str, &'a [u8])>) -> Fields {
    let text = |value| String::from_utf8_lossy(value).into_owned();
    let mut all = fields.map(|(name, value)| (name.to_ascii_lowercase(), text(value))).collect::<Vec<_>>();
    all.retain(|(name, _)| !name.starts_with(':'));
    all.sort();
    all
}

fn shown(request: &UrlRequest) -> Fields {
    sorted(request.all_http_header_fields())
}

/// What came to the origin.
fn came(origin: &Origin, number: usize) -> Fields {
    let request = &origin.requests()[number];
    sorted(request.headers.iter().map(|(name, value)| (&**name, value.as_bytes())))
}

/// What is not for one exchange only.
fn lasting(mut fields: Fields) -> Fields {
    fields.retain(|(name, _)| !["cookie", "host", "trailer"].contains(&&**name));
    fields
}

/// The request of the task, and those of its metrics.
fn of(task: &DataTask) -> (Fields, Vec<Fields>) {
    let transactions = task.metrics().unwrap().transaction_metrics.clone();
    let current = task.current_request().unwrap();
    (shown(&current), transactions.iter().map(|transaction| shown(&transaction.request)).collect())
}

fn with_cookie(origin: &Origin) -> Configuration {
    let jar = HttpCookieStorage::ephemeral();
    let url = origin.url("/").parse().unwrap();
    let cookies = HttpCookie::cookies_with_response_header_fields([("Set-Cookie", "id=s3cret")], &url);
    cookies.into_iter().for_each(|cookie| jar.set_cookie(cookie));
    configuration(origin).http_cookie_storage(jar)
}

#[test]
fn a_request_is_shown_with_the_fields_that_were_sent() {
    on_every_wire(|origin| {
        let mut configuration = with_cookie(origin);
        set_for_all(&mut configuration, "X-Session", "all");
        set_for_all(&mut configuration, "TE", "gzip");
        let mut request = request(&origin.url("/echo"), "POST", Some(b"a=1"));
        request.set_value("X-Own", "mine").unwrap();
        let (task, result) = load_with_task(&UrlSession::new(configuration), request);
        result.unwrap();
        let (current, transactions) = of(&task);
        let came = came(origin, 0);
        assert!(came.iter().any(|(name, value)| name == "cookie" && value == "id=s3cret"));
        assert_eq!(current, lasting(came.clone()));
        let named = came.into_iter().map(|(name, value)| {
            let is_secret = name == "cookie";
            (name, if is_secret { "[redacted]".into() } else { value })
        });
        assert_eq!(transactions, [named.collect::<Vec<_>>()]);
        assert_eq!(task.original_request().unwrap().headers().len(), 1);
    });
}

#[test]
fn each_request_of_a_task_is_shown_as_it_was_sent() {
    on_every_wire(|origin| {
        let (session, recorder) = recorded(origin);
        let task = session.data_task(request(&origin.url("/redirect/1"), "POST", Some(b"a=1")));
        task.resume();
        recorder.completed(1).succeeded();
        let (current, transactions) = of(&task);
        assert_eq!(transactions, [came(origin, 0), came(origin, 1)]);
        assert_eq!(current, lasting(came(origin, 1)));
    });
}

#[test]
fn a_request_is_shown_as_it_was_sent_while_its_answer_is_waited_for() {
    on_every_wire(|origin| {
        let gate = origin.hold();
        origin.enqueue("/held", Reply::held(gate.clone()));
        let (session, recorder) = recorded(origin);
        let task = session.data_task(origin.url("/held"));
        let own = task.current_request().unwrap();
        assert!(own.headers().is_empty());
        task.resume();
        assert!(gate.wait_reached(PATIENCE));
        let current = shown(&task.current_request().unwrap());
        gate.release();
        recorder.completed(1).succeeded();
        assert_eq!(current, lasting(came(origin, 0)));
    });
}

#[test]
fn the_current_request_of_a_confirmed_response_can_be_loaded_again() {
    on_every_wire(|origin| {
        let head = |status| Reply::new(status).header("ETag", "\"a\"").header("Cache-Control", "no-cache");
        origin.enqueue("/x", head(200).body("kept"));
        (0..2).for_each(|_| origin.enqueue("/x", head(304)));
        let session = session(origin);
        session.data(origin.url("/x")).wait().unwrap();
        let (task, result) = load_with_task(&session, request(&origin.url("/x"), "GET", None));
        result.unwrap();
        assert!(came(origin, 1).iter().any(|(name, _)| name == "if-none-match"));
        let (data, response) = session.data(&*task.current_request().unwrap()).wait().unwrap();
        assert_eq!((text(&data), response.status_code()), ("kept", Some(200)));
    });
}

#[test]
fn the_current_request_can_be_sent_to_another_host() {
    on_every_wire(|origin| {
        let session = session(origin);
        let (task, result) = load_with_task(&session, request(&origin.url("/echo"), "POST", Some(b"a=1")));
        result.unwrap();
        let mut elsewhere = (*task.current_request().unwrap()).clone();
        let mut url = elsewhere.url().clone();
        let other = if url.host_str() == Some("localhost") { "127.0.0.1" } else { "localhost" };
        url.set_host(Some(other)).unwrap();
        elsewhere.set_url(url);
        session.data(&elsewhere).wait().unwrap();
        // Over HTTP/2 there is none.
        let host = came(origin, 1).into_iter().find(|(name, _)| name == "host");
        assert!(host.is_none_or(|(_, host)| host.starts_with(other)));
    });
}

#[test]
fn a_request_with_trailers_is_shown_with_their_names() {
    on_every_wire(|origin| {
        let body = BodyStream::from(Bytes::from_static(b"body"));
        let body = body.with_trailers(["X-After"], || HeaderMap::new).unwrap();
        let mut request = request(&origin.url("/echo"), "POST", None);
        request.set_http_body_stream(body);
        let (task, result) = load_with_task(&session(origin), request);
        result.unwrap();
        assert_eq!(of(&task), (lasting(came(origin, 0)), vec![came(origin, 0)]));
    });
}

#[test]
fn an_upload_is_shown_as_it_was_begun_though_other_requests_follow() {
    for wire in WIRES {
        let server = UploadServer::new(8);
        server.at(UploadStep::Creation, [UploadFault::CutAt(1000)]);
        let origin = Origin::builder().wire(wire).uploads(&server).start();
        let (session, recorder) = recorded(&origin);
        let target = request(&origin.url("/target"), "POST", None);
        let task = session.upload_task(target, vec![0; 5000]);
        task.resume();
        recorder.completed(1).succeeded();
        assert!(server.requests().len() > 1);
        let current = shown(&task.current_request().unwrap());
        let begun = shown(&task.metrics().unwrap().transaction_metrics[0].request);
        for fields in [&current, &begun] {
            assert!(
                fields.iter().any(|(name, value)| name == "content-length" && value == "5000"),
                "{fields:?}"
            );
        }
        let is_of_upload = |(name, _): &(String, String)| name == "upload-complete";
        assert!(begun.iter().any(is_of_upload), "{begun:?}");
        assert!(!current.iter().any(is_of_upload), "another load would be taken for one that does it itself");
    }
}

#[test]
fn a_request_that_is_not_sent_has_its_own_fields() {
    let session = UrlSession::new(Configuration::ephemeral());
    let mut request = UrlRequest::new("data:,text".parse().unwrap());
    request.set_value("X-Own", "mine").unwrap();
    let (task, result) = load_with_task(&session, request);
    result.unwrap();
    let own = vec![("x-own".to_owned(), "mine".to_owned())];
    assert_eq!(of(&task), (own.clone(), vec![own]));
}
