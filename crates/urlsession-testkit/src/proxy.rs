//! Owns a proxy for tests: it forwards `http` (RFC 9112 §3.2.2) and makes tunnels (RFC 9110 §9.3.6), asks for a login if it
//! is told to, and misbehaves as it is told. Responses it forwards are held until they are whole: nothing streams through it.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;
use tokio::sync::oneshot;

use crate::Wire;
use crate::request::{Recorded, field_text};
use crate::routes::auth;

/// How a [`Proxy`] asks who one is. User and password follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyLogin {
    /// RFC 7617.
    Basic(&'static str, &'static str),
    /// RFC 7616, SHA-256 with `qop=auth`.
    Digest(&'static str, &'static str),
    /// MS-NLMP; the connection is then logged in.
    Ntlm(&'static str, &'static str),
}

/// What a [`Proxy`] does wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProxyFault {
    /// Answers every request with these bytes, then closes.
    Answers(Vec<u8>),
    /// Closes in the middle of the head of its answer.
    ClosesMidHead,
    /// Sends a head without an end, until the client has had enough.
    EndlessHead,
}

/// A proxy on 127.0.0.1 that lives as long as this value. Dropping it closes every connection.
pub struct Proxy {
    addr: SocketAddr,
    hub: Arc<Hub>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

struct Hub {
    login: Option<ProxyLogin>,
    ending: Ending,
    /// Whether a kept connection has been closed without an answer.
    has_hung_up: AtomicBool,
    fault: Option<ProxyFault>,
    journal: Mutex<ProxyJournal>,
}

/// What becomes of a connection on which the proxy asks for a login.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    StaysOpen,
    /// `Connection: close`
    Close,
    /// `Proxy-Connection: close`
    ProxyConnectionClose,
    /// The first request that follows on the same connection is read, and the connection closed.
    HangsUpOnce,
}

#[derive(Default)]
struct ProxyJournal {
    requests: Vec<Recorded>,
    connections: usize,
}

impl Proxy {
    /// A proxy for everybody.
    pub fn start() -> Self {
        Self::run(None, Ending::StaysOpen, None)
    }

    /// A proxy for this user, on connections that stay open while it asks.
    pub fn with_login(login: ProxyLogin) -> Self {
        Self::run(Some(login), Ending::StaysOpen, None)
    }

    /// A proxy for this user that closes the connection whenever it asks.
    pub fn closing_when_it_asks(login: ProxyLogin) -> Self {
        Self::run(Some(login), Ending::Close, None)
    }

    /// The same, but the proxy says it by `Proxy-Connection: close`.
    pub fn closing_by_proxy_connection(login: ProxyLogin) -> Self {
        Self::run(Some(login), Ending::ProxyConnectionClose, None)
    }

    /// A proxy for this user that hangs up once, when a connection on which it asked is used again.
    pub fn hanging_up_once(login: ProxyLogin) -> Self {
        Self::run(Some(login), Ending::HangsUpOnce, None)
    }

    /// A proxy that does this with every request.
    pub fn with_fault(fault: ProxyFault) -> Self {
        Self::run(None, Ending::StaysOpen, Some(fault))
    }

    fn run(login: Option<ProxyLogin>, ending: Ending, fault: Option<ProxyFault>) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).expect("a free port");
        let addr = listener.local_addr().expect("the address of a bound listener");
        let has_hung_up = AtomicBool::new(false);
        let hub = Arc::new(Hub { login, ending, has_hung_up, fault, journal: Mutex::default() });
        let (stop, stopped) = oneshot::channel();
        let shared = hub.clone();
        let work = move || {
            runtime.block_on(async move {
                tokio::select! {
                    () = accept(listener, shared) => {}
                    _ = stopped => {}
                }
            });
        };
        let thread = thread::Builder::new().name("test proxy".to_owned()).spawn(work).expect("a thread");
        Self { addr, hub, stop: Some(stop), thread: Some(thread) }
    }

    /// The address it listens on.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.addr.port()
    }

    /// Every request it got, those it refused too. Bodies are not kept.
    pub fn requests(&self) -> Vec<Recorded> {
        self.hub.journal().requests.clone()
    }

    /// Methods and targets of those requests, each as `GET http://a/`.
    pub fn lines(&self) -> Vec<String> {
        self.requests().iter().map(|request| format!("{} {}", request.method, request.target)).collect()
    }

    /// How many connections were accepted so far.
    pub fn connection_count(&self) -> usize {
        self.hub.journal().connections
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // The thread may have ended already; then there is nothing to stop.
            let _ = stop.send(());
        }
        if let Some(worker) = self.thread.take() {
            // A panic of the proxy's thread was printed there.
            let _ = worker.join();
        }
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy").field("addr", &self.addr).finish_non_exhaustive()
    }
}

impl Hub {
    fn journal(&self) -> std::sync::MutexGuard<'_, ProxyJournal> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn accept(listener: TcpListener, hub: Arc<Hub>) {
    while let Ok((tcp, _)) = listener.accept().await {
        // Without it small answers wait for delayed acknowledgements; a failure costs speed only.
        let _ = tcp.set_nodelay(true);
        let connection = {
            let mut journal = hub.journal();
            journal.connections += 1;
            journal.connections - 1
        };
        tokio::spawn(serve(tcp, connection, hub.clone()));
    }
}

async fn serve(mut tcp: TcpStream, connection: usize, hub: Arc<Hub>) {
    let (mut is_logged_in, mut has_asked) = (false, false);
    while let Some((mut request, body)) = read_request(&mut tcp, connection).await {
        {
            let mut journal = hub.journal();
            request.id = journal.requests.len();
            journal.requests.push(request.clone());
        }
        if let Some(fault) = &hub.fault {
            return misbehave(&mut tcp, fault).await;
        }
        if has_asked && hub.ending == Ending::HangsUpOnce && !hub.has_hung_up.swap(true, Ordering::SeqCst) {
            return;
        }
        if let Some(login) = hub.login.filter(|_| !is_logged_in)
            && let Some(challenge) = asks(login, &request)
        {
            has_asked = true;
            let (close, closes) = match hub.ending {
                Ending::StaysOpen | Ending::HangsUpOnce => ("", false),
                Ending::Close => ("Connection: close\r\n", true),
                Ending::ProxyConnectionClose => ("Proxy-Connection: close\r\n", true),
            };
            let text = format!(
                "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: {challenge}\r\n\
                 Content-Length: 9\r\n{close}\r\nlog in!\r\n"
            );
            if tcp.write_all(text.as_bytes()).await.is_err() {
                return;
            }
            if closes {
                // Who does not heed it is seen in the journal.
                if let Some((request, _)) = read_request(&mut tcp, connection).await {
                    hub.journal().requests.push(request);
                }
                return;
            }
            continue;
        }
        is_logged_in = matches!(hub.login, Some(ProxyLogin::Ntlm(..)));
        if request.method == "CONNECT" {
            return tunnel(tcp, &request.target).await;
        }
        let Some(response) = forward(&request, &body).await else {
            let _ = tcp.write_all(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n").await;
            continue;
        };
        if tcp.write_all(&response).await.is_err() || !is_framed(&response) {
            return;
        }
    }
}

/// The challenge for a request that does not prove who it is from.
fn asks(login: ProxyLogin, request: &Recorded) -> Option<String> {
    // The routes check what servers are told.
    let mut asked = request.clone();
    asked.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("authorization"));
    for (name, _) in &mut asked.headers {
        if name.eq_ignore_ascii_case("proxy-authorization") {
            *name = "authorization".to_owned();
        }
    }
    let reply = match login {
        ProxyLogin::Basic(user, password) => auth::basic(&asked, user, password),
        ProxyLogin::Digest(user, password) => auth::digest(&asked, user, password, "SHA-256", "auth"),
        ProxyLogin::Ntlm(user, password) => auth::ntlm(&asked, user, password),
    };
    reply.headers.into_iter().find(|(name, _)| name == "WWW-Authenticate").map(|(_, value)| value)
}

async fn misbehave(tcp: &mut TcpStream, fault: &ProxyFault) {
    // The client may hang up at any time: that is what it should do.
    match fault {
        ProxyFault::Answers(bytes) => {
            let _ = tcp.write_all(bytes).await;
        }
        ProxyFault::ClosesMidHead => {
            let _ = tcp.write_all(b"HTTP/1.1 200 Conn").await;
        }
        ProxyFault::EndlessHead => {
            // One field: of many, a client may count fields or bytes first, as they come.
            let _ = tcp.write_all(b"HTTP/1.1 200 OK\r\nX-More: ").await;
            while tcp.write_all(b"and more and more and more, ").await.is_ok() {}
        }
    }
    let _ = tcp.shutdown().await;
    let mut sink = [0; 1024];
    while matches!(tcp.read(&mut sink).await, Ok(n) if n > 0) {}
}

async fn tunnel(mut tcp: TcpStream, target: &str) {
    let Ok(mut origin) = TcpStream::connect(target).await else {
        let _ = tcp.write_all(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n").await;
        return;
    };
    if tcp.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.is_ok() {
        // Either end may leave.
        let _ = tokio::io::copy_bidirectional(&mut tcp, &mut origin).await;
    }
}

/// The whole response of the origin.
async fn forward(request: &Recorded, body: &[u8]) -> Option<Vec<u8>> {
    let rest = request.target.strip_prefix("http://")?;
    let (authority, path) = rest.split_at(rest.find('/')?);
    let address = if authority.contains(':') { authority.to_owned() } else { format!("{authority}:80") };
    let mut origin = TcpStream::connect(address).await.ok()?;
    let mut head = format!("{} {path} HTTP/1.1\r\nConnection: close\r\n", request.method);
    let is_for_us = |name: &str| {
        let name = name.to_ascii_lowercase();
        name.starts_with("proxy-") || name == "connection"
    };
    for (name, value) in request.headers.iter().filter(|(name, _)| !is_for_us(name)) {
        head += &format!("{name}: {value}\r\n");
    }
    head += "\r\n";
    origin.write_all(head.as_bytes()).await.ok()?;
    origin.write_all(body).await.ok()?;
    let mut response = Vec::new();
    origin.read_to_end(&mut response).await.ok()?;
    // The connection to the client is another than that to the origin.
    let end = response.windows(4).position(|window| window == b"\r\n\r\n")?;
    let (head, tail) = response.split_at(end);
    let head = String::from_utf8_lossy(head);
    let lines = head.split("\r\n").filter(|line| !line.to_ascii_lowercase().starts_with("connection:"));
    Some([lines.collect::<Vec<_>>().join("\r\n").as_bytes(), tail].concat())
}

/// Whether the client knows where the response ends.
fn is_framed(response: &[u8]) -> bool {
    let end = response.windows(4).position(|window| window == b"\r\n\r\n").unwrap_or(response.len());
    let head = String::from_utf8_lossy(&response[..end]).to_ascii_lowercase();
    ["\r\ncontent-length:", "\r\ntransfer-encoding:", "http/1.1 204", "http/1.1 304"]
        .iter()
        .any(|sign| head.contains(sign))
}

/// A request and its body, whose length is announced or which has none.
async fn read_request(from: &mut (impl AsyncRead + Unpin), connection: usize) -> Option<(Recorded, Vec<u8>)> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(from.read_u8().await.ok()?);
    }
    let head = field_text(&head);
    let mut lines = head.trim_end().split("\r\n");
    let mut line = lines.next()?.split(' ');
    let (method, target) = (line.next()?.to_owned(), line.next()?.to_owned());
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .collect();
    let mut request = Recorded {
        id: 0,
        connection,
        stream: None,
        wire: Wire::H1,
        method,
        target,
        authority: None,
        headers,
        body: Vec::new(),
        body_len: 0,
        body_is_pattern: true,
        trailers: Vec::new(),
        tls: None,
    };
    request.authority = request.header("host").map(str::to_owned);
    let length = request.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    from.read_exact(&mut body).await.ok()?;
    Some((request, body))
}
