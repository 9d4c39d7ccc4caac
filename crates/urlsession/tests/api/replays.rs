//! Bodies that have to be sent again, whatever they are made of and whatever the reason: after redirects that keep them,
//! after logins with servers and proxies, and when a kept connection turns out to be dead.

use std::fs;

use urlsession::authentication::{
    AuthChallengeDisposition as Disposition, UrlCredential, UrlCredentialPersistence,
};
use urlsession::network::ProxyDictionary;
use urlsession::{BodyStream, TaskDelegate, UrlError, UrlErrorCode, UrlSession};
use urlsession_testkit::{Origin, Proxy, ProxyLogin, Reply, Wire};

use crate::support::*;

/// What a body is made of.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Source {
    Data,
    File,
    /// Asked of the delegate each time.
    Asked,
    /// The request's own, which is asked of the delegate the second time.
    Own,
}

const SOURCES: [Source; 4] = [Source::Data, Source::File, Source::Asked, Source::Own];

/// Why it is sent again.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Reason {
    Redirect(u16),
    Login,
    ProxyLogin,
    DeadConnection,
}

const REASONS: [Reason; 5] =
    [Reason::Redirect(307), Reason::Redirect(308), Reason::Login, Reason::ProxyLogin, Reason::DeadConnection];

const BODY: &str = "the whole body";

fn stream() -> BodyStream {
    BodyStream::from_reader(BODY.as_bytes())
}

/// The test's proxy reads only bodies that announce their length.
fn stream_for(reason: Reason) -> BodyStream {
    match reason {
        Reason::ProxyLogin => stream().with_length(BODY.len() as u64),
        _ => stream(),
    }
}

struct Outcome {
    log: Log,
    /// The bodies that the origin got whole.
    bodies: Vec<String>,
}

/// Sends one body twice: what the delegate heard, and what arrived.
fn send(origin: &Origin, source: Source, reason: Reason, streams: usize) -> Outcome {
    let proxy = Proxy::with_login(ProxyLogin::Basic("ann", "pw"));
    let configuration = match reason {
        Reason::ProxyLogin => configuration(origin)
            .connection_proxy_dictionary(ProxyDictionary::with_proxy("127.0.0.1", proxy.port())),
        _ => configuration(origin),
    };
    let recorder = Recorder::new().giving_bodies((0..streams).map(|_| stream_for(reason))).answering(|_| {
        let ann = UrlCredential::new("ann", "pw", UrlCredentialPersistence::None);
        Disposition::UseCredential(Some(ann)).into()
    });
    let (session, recorder) = with_recorder(configuration, recorder);
    let before = origin.requests().len();
    let path = match reason {
        Reason::Redirect(status) => {
            origin.enqueue("/there", Reply::new(status).header("Location", "/upload"));
            "/there"
        }
        Reason::Login => "/basic/ann/pw/x",
        Reason::ProxyLogin => "/upload",
        Reason::DeadConnection => {
            load(&session, origin.url("/Peru")).unwrap();
            // On HTTP/2 the stream is refused; on HTTP/1.1 the kept connection ends without an answer.
            let dead = match origin.wire() {
                Wire::TlsH2 => Reply::new(200).h2_reset(7),
                _ => Reply::drop_connection(),
            };
            origin.enqueue("/upload", dead);
            "/upload"
        }
    };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("body");
    fs::write(&file, BODY).unwrap();
    let mut request = request(&origin.url(path), "PUT", None);
    match source {
        Source::Data => session.upload_task(request, BODY).resume(),
        Source::File => session.upload_task_from_file(request, &file).resume(),
        Source::Asked => session.upload_task_with_streamed_request(request).resume(),
        Source::Own => {
            request.set_http_body_stream(stream_for(reason));
            session.data_task(request).resume();
        }
    }
    let log = recorder.wait_for(|log| log.completions.last().is_some());
    let seen = origin.requests().split_off(before);
    let bodies = seen.iter().filter(|seen| seen.method == "PUT").map(|seen| seen.text().to_string());
    Outcome { log, bodies: bodies.collect() }
}

#[test]
fn a_body_of_any_kind_is_sent_again_for_any_reason() {
    on_every_wire(|origin| {
        for (source, reason) in SOURCES.into_iter().flat_map(|source| REASONS.map(|reason| (source, reason)))
        {
            let streams = match source {
                Source::Data | Source::File => 0,
                Source::Asked => 2,
                Source::Own => 1,
            };
            let Outcome { log, bodies } = send(origin, source, reason, streams);
            let what = format!("{:?}: {source:?}, {reason:?}", origin.wire());
            assert!(log.completions[0].is_none(), "{what}: {:?}", log.completions);
            assert_eq!(log.response.unwrap().status_code(), Some(200), "{what}");
            let asked = log.calls.iter().filter(|call| **call == "needNewBodyStream").count();
            // What a proxy refuses never gets to the origin; a tunnel is made before anything is sent.
            let tunnels = reason == Reason::ProxyLogin && origin.wire() != Wire::H1;
            assert_eq!(asked, streams.saturating_sub(usize::from(tunnels)), "{what}");
            let times = if reason == Reason::ProxyLogin { 1 } else { 2 };
            assert_eq!(bodies, vec![BODY; times], "{what}");
        }
    });
}

#[test]
fn a_stream_that_cannot_be_had_again_fails_and_says_what_to_do() {
    on_every_wire(|origin| {
        for (source, reason) in
            [Source::Asked, Source::Own].into_iter().flat_map(|source| REASONS.map(|reason| (source, reason)))
        {
            if reason == Reason::ProxyLogin && origin.wire() != Wire::H1 {
                continue;
            }
            let Outcome { log, bodies } = send(origin, source, reason, usize::from(source == Source::Asked));
            let what = format!("{:?}: {source:?}, {reason:?}", origin.wire());
            let error = log.completions[0].as_ref().expect(&what);
            assert_eq!(error.code(), UrlErrorCode::RequestBodyStreamExhausted, "{what}");
            let text = error.to_string();
            assert!(text.contains("need_new_body_stream") && text.contains("file"), "{what}: {text}");
            assert!(bodies.len() <= 1, "{what}: {bodies:?}");
        }
    });
}

#[test]
fn a_task_that_streams_its_body_and_gets_none_says_which_method_gives_it() {
    on_every_wire(|origin| {
        let request = request(&origin.url("/upload"), "PUT", None);
        let (session, recorder) = recorded(origin);
        session.upload_task_with_streamed_request(&request).resume();
        let log = recorder.completed(1);
        let error = log.completions[0].as_ref().unwrap();
        assert_eq!(error.code(), UrlErrorCode::RequestBodyStreamExhausted);
        let text = error.to_string();
        assert!(text.contains("need_new_body_stream gave none") && !text.contains("before"), "{text}");

        let taken = stream();
        assert!(taken.take().is_some());
        let (session, recorder) =
            with_recorder(configuration(origin), Recorder::new().giving_bodies([taken]));
        session.upload_task_with_streamed_request(&request).resume();
        let log = recorder.completed(1);
        let text = log.completions[0].as_ref().unwrap().to_string();
        assert!(text.contains("gave a stream that was sent before"), "{text}");
        assert!(origin.requests().is_empty());
    });
}

#[test]
fn a_file_that_changes_between_two_sends_fails_the_second() {
    on_every_wire(|origin| {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("body");
        fs::write(&file, BODY).unwrap();
        struct Changing(std::path::PathBuf);
        impl TaskDelegate for Changing {
            fn will_perform_http_redirection(
                &self,
                _: &urlsession::Task,
                _: &urlsession::HttpUrlResponse,
                next: urlsession::UrlRequest,
            ) -> urlsession::Decision<Option<urlsession::UrlRequest>> {
                fs::write(&self.0, "another body, and longer").unwrap();
                Some(next).into()
            }
        }
        origin.enqueue("/there", Reply::new(307).header("Location", "/upload"));
        let session: UrlSession = session(origin);
        let put = request(&origin.url("/there"), "PUT", None);
        let upload = session.upload_from_file(put, &file).delegate(Changing(file.clone()));
        let error: UrlError = upload.wait().unwrap_err();
        assert_eq!(error.code(), UrlErrorCode::RequestBodyStreamExhausted);
        assert_eq!(origin.requests().len(), 1, "the second must not look complete");
    });
}
