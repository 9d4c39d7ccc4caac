//! What the tests share: sessions that trust the origin, a recording delegate, a clock moved by hand.

mod clock;
pub mod ranges;
mod recorder;
#[cfg(target_os = "linux")]
pub mod watch;

use std::cell::Cell;
use std::future::{Future, ready};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use urlsession::authentication::{AuthChallengeDisposition, UrlAuthenticationChallenge, UrlCredential};
use urlsession::environment::Resolve;
use urlsession::{
    Bytes, Configuration, DataTask, Decision, DelegateQueue, HeaderMap, HeaderName, HeaderValue, Task,
    TaskDelegate, UrlError, UrlErrorCode, UrlRequest, UrlResponse, UrlSession,
};
use urlsession_testkit::{Origin, Wire, is_wine};

pub use clock::HandClock;
pub use recorder::{Log, Recorder};

/// Every wire the tests run on.
pub const WIRES: [Wire; 3] = [Wire::H1, Wire::TlsH1, Wire::TlsH2];

/// Header fields.
pub fn headers(fields: &[(&str, &str)]) -> HeaderMap {
    fields
        .iter()
        .map(|(name, value)| (name.parse().unwrap(), value.parse::<HeaderValue>().unwrap()))
        .collect()
}

/// Gives every request of the sessions of a configuration a header field.
pub fn set_for_all(configuration: &mut Configuration, name: &str, value: impl AsRef<str>) {
    let name: HeaderName = name.parse().unwrap();
    configuration.http_additional_headers.insert(name, value.as_ref().parse().unwrap());
}

/// Gives a request a header field, if there is a value.
pub fn set_optional(request: &mut UrlRequest, name: &str, value: Option<&str>) {
    if let Some(value) = value {
        request.set_value(name, value).unwrap();
    }
}

/// How long a test waits before it gives up: never reached by a test that passes.
pub const PATIENCE: Duration = Duration::from_secs(if cfg!(windows) { 60 } else { 20 });

/// The code of a certificate of an authority that is not known.
pub fn unknown_root() -> UrlErrorCode {
    // Wine builds a chain that ends before a root, and says only that its revocation could not be checked
    // (CERT_E_REVOCATION_FAILURE), where Windows says CERT_E_CHAINING.
    match is_wine() {
        true => UrlErrorCode::ServerCertificateUntrusted,
        false => UrlErrorCode::ServerCertificateHasUnknownRoot,
    }
}

/// Runs the body of a test, which is a closure in it, in a process of its own: what it does reaches all sessions of a
/// process, those of other tests too.
pub fn alone<F: FnOnce()>(body: F) {
    const ALONE: &str = "URLSESSION_TEST_ALONE";
    if std::env::var_os(ALONE).is_some() {
        return body();
    }
    // `api::module::test::{{closure}}`
    let closure = std::any::type_name::<F>();
    let test = closure.split_once("::").and_then(|(_, path)| path.strip_suffix("::{{closure}}"));
    in_a_process_of_its_own(test.expect(closure), (ALONE, "yes"));
}

/// Runs one test, which may be ignored, with this variable set, in a process of its own. It must succeed.
pub fn in_a_process_of_its_own(test: &str, (name, value): (&str, &str)) {
    let child = std::process::Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact", "--include-ignored", "--nocapture"])
        .env(name, value)
        .output()
        .unwrap();
    let said =
        format!("{}{}", String::from_utf8_lossy(&child.stdout), String::from_utf8_lossy(&child.stderr));
    assert!(child.status.success() && said.contains("1 passed"), "{said}");
}

/// Runs a test body once a wire, with an origin of its own; the client must not break the protocol.
pub fn on_every_wire(test: impl Fn(&Origin)) {
    for wire in WIRES {
        on(wire, &test);
    }
}

/// Runs a test body on one wire.
pub fn on(wire: Wire, test: impl Fn(&Origin)) {
    let origin = Origin::start(wire);
    test(&origin);
    let violations = origin.journal(|journal| journal.violations.clone());
    assert!(violations.is_empty(), "{wire:?}: {violations:?}");
}

/// Answers one connection for each of these heads, byte for byte, and gives the requests as they came.
pub fn serve_bytes(replies: Vec<Vec<u8>>) -> (SocketAddr, std::thread::JoinHandle<Vec<Vec<u8>>>) {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serving = std::thread::spawn(move || {
        let answer = |reply: &Vec<u8>| {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                request.push(byte[0]);
            }
            stream.write_all(reply).unwrap();
            request
        };
        replies.iter().map(answer).collect()
    });
    (address, serving)
}

/// Passes bytes on to an origin and keeps what the client sent, a vector a connection.
pub fn relay(origin: &Origin) -> (u16, Arc<Mutex<Vec<Vec<u8>>>>) {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (port, to) = (listener.local_addr().unwrap().port(), origin.addr());
    let heard = Arc::new(Mutex::new(Vec::<Vec<u8>>::new()));
    let all = heard.clone();
    std::thread::spawn(move || {
        for (number, client) in listener.incoming().enumerate() {
            let (client, server) = (client.unwrap(), std::net::TcpStream::connect(to).unwrap());
            all.lock().unwrap().push(Vec::new());
            let (mut from, mut into, all) =
                (client.try_clone().unwrap(), server.try_clone().unwrap(), all.clone());
            std::thread::spawn(move || {
                let mut buf = [0; 4096];
                while let Ok(n @ 1..) = from.read(&mut buf) {
                    all.lock().unwrap()[number].extend_from_slice(&buf[..n]);
                    let _ = into.write_all(&buf[..n]);
                }
                let _ = into.shutdown(std::net::Shutdown::Write);
            });
            let (mut from, mut into) = (server, client);
            std::thread::spawn(move || drop(io::copy(&mut from, &mut into)));
        }
    });
    (port, heard)
}

/// A body in gzip: one member.
pub fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    io::Write::write_all(&mut encoder, data).unwrap();
    encoder.finish().unwrap()
}

/// A configuration that trusts the origin, and goes by a clock that is moved by hand.
pub fn with_hand_clock(origin: &Origin) -> (Configuration, HandClock) {
    let (mut configuration, clock) = (configuration(origin), HandClock::new());
    configuration.environment.clock = Arc::new(clock.clone());
    (configuration, clock)
}

/// A configuration that trusts the origin.
pub fn configuration(origin: &Origin) -> Configuration {
    let mut configuration = Configuration::ephemeral().additional_trust_anchors([origin.trust_anchor_der()]);
    configuration.environment.has_fast_paths = HAS_FAST_PATHS.get();
    configuration
}

/// Does what makes its configurations on this thread, and has no fast paths in them.
pub fn without_fast_paths(work: impl FnOnce()) {
    HAS_FAST_PATHS.set(false);
    work();
    HAS_FAST_PATHS.set(true);
}

thread_local! {
    static HAS_FAST_PATHS: Cell<bool> = const { Cell::new(true) };
}

/// A resolver that leads every name to this address.
pub struct Everywhere(pub SocketAddr);

impl Resolve for Everywhere {
    fn resolve(
        &self,
        _: &str,
        _: u16,
    ) -> Option<Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>> {
        Some(Box::pin(ready(Ok(vec![self.0]))))
    }
}

/// A socket that an application's own dialler hands in, with what lives as long as it.
pub struct OwnSocket<T>(pub tokio::net::TcpStream, pub T);

impl<T: Unpin> AsyncRead for OwnSocket<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_read(cx, buf)
    }
}

impl<T: Unpin> AsyncWrite for OwnSocket<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().0).poll_write(cx, data)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_shutdown(cx)
    }
}

/// The delegate of a task that trusts every server.
pub struct Trusting;

impl TaskDelegate for Trusting {
    fn did_receive_challenge(
        &self,
        _: &Task,
        challenge: &UrlAuthenticationChallenge,
    ) -> Decision<AuthChallengeDisposition> {
        let trust = challenge.protection_space().server_trust().unwrap().clone();
        AuthChallengeDisposition::UseCredential(Some(UrlCredential::for_trust(trust))).into()
    }
}

/// A session that trusts the origin.
pub fn session(origin: &Origin) -> UrlSession {
    UrlSession::new(configuration(origin))
}

/// A request with a method and body.
pub fn request(url: &str, method: &str, body: Option<&[u8]>) -> UrlRequest {
    let mut request = UrlRequest::new(url.parse().unwrap());
    request.set_http_method(method).unwrap();
    if let Some(body) = body {
        request.set_http_body(body.to_vec());
    }
    request
}

/// Loads with a completion handler and waits for it.
pub fn load(
    session: &UrlSession,
    request: impl urlsession::IntoUrlRequest,
) -> Result<(Bytes, UrlResponse), UrlError> {
    load_with_task(session, request).1
}

/// Loads with a completion handler and waits for it; the task too.
pub fn load_with_task(
    session: &UrlSession,
    request: impl urlsession::IntoUrlRequest,
) -> (DataTask, Result<(Bytes, UrlResponse), UrlError>) {
    let (sender, receiver) = mpsc::channel();
    let task = session.data_task_with_handler(request, move |result| sender.send(result).unwrap());
    task.resume();
    let result = receiver.recv_timeout(PATIENCE).expect("the completion handler was not called");
    // The handler is dropped after its one call, and its sender with it.
    assert_eq!(receiver.recv_timeout(PATIENCE).err(), Some(mpsc::RecvTimeoutError::Disconnected));
    (task, result)
}

/// The text of a body.
pub fn text(data: &[u8]) -> &str {
    std::str::from_utf8(data).unwrap()
}

/// A session with a recording delegate.
pub fn recorded(origin: &Origin) -> (UrlSession, Recorder) {
    with_recorder(configuration(origin), Recorder::new())
}

/// A session with this recorder as its delegate.
pub fn with_recorder(configuration: Configuration, recorder: Recorder) -> (UrlSession, Recorder) {
    let delegate = Arc::new(recorder.clone());
    (UrlSession::with_delegate(configuration, delegate, DelegateQueue::serial()), recorder)
}

/// A current-thread runtime, as `#[tokio::test]` makes one.
pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// Awaits in a runtime of its own.
pub fn in_tokio<F: Future>(future: F) -> F::Output {
    runtime().block_on(future)
}

/// The JSON of a body.
pub fn json(data: &[u8]) -> serde_json::Value {
    serde_json::from_slice(data).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(data)))
}

/// The next item of a stream.
pub async fn next<S: futures_core::Stream + Unpin>(stream: &mut S) -> Option<S::Item> {
    std::future::poll_fn(|cx| Pin::new(&mut *stream).poll_next(cx)).await
}

/// Reads a stream to its end.
pub async fn drain<S: futures_core::Stream + Unpin>(mut stream: S) -> Vec<S::Item> {
    let mut all = Vec::new();
    while let Some(item) = next(&mut stream).await {
        all.push(item);
    }
    all
}

/// Waits for something that nobody tells of.
pub fn wait_until(what: impl Fn() -> bool) {
    let start = std::time::Instant::now();
    while !what() {
        assert!(start.elapsed() < PATIENCE, "it does not happen");
        std::thread::yield_now();
    }
}
