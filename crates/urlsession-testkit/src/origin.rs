//! Owns the origin: its listener, its thread with a runtime of its own, and its end. Binds 127.0.0.1 only.

use std::collections::HashMap;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

use crate::authority::TestAuthority;
use crate::builder::{Accept, OriginBuilder};
use crate::gate::{Gate, Hold};
use crate::hub::{Hub, Link, Open};
use crate::io::{End, Io};
use crate::journal::{Journal, Ledger};
use crate::reply::Reply;
use crate::request::Recorded;
use crate::routes::Place;
use crate::tls::{self, TlsPlan};
use crate::{Wire, h1, h2};

/// A server on 127.0.0.1 that lives as long as this value. Dropping it closes the listener and aborts every
/// connection before it returns. Usable from plain threads and from any async executor alike.
pub struct Origin {
    hub: Arc<Hub>,
    addr: SocketAddr,
    wire: Wire,
    authority: TestAuthority,
    handle: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    /// Bound but never listening: the port refuses connections, and nobody else can take it.
    closed: TcpSocket,
}

impl Origin {
    /// Starts an origin with the default routes.
    ///
    /// # Panics
    /// When the machine has no free port or thread.
    pub fn start(wire: Wire) -> Self {
        Self::builder().wire(wire).start()
    }

    /// Chooses more than the wire.
    pub fn builder() -> OriginBuilder {
        OriginBuilder::new()
    }

    pub(crate) fn run(plan: OriginBuilder) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let listener = listen(&runtime);
        let addr = listener.local_addr().expect("the address of a bound listener");
        let closed = TcpSocket::new_v4().expect("a socket");
        closed.bind((Ipv4Addr::LOCALHOST, 0).into()).expect("a second free port on 127.0.0.1");
        let closed_port = closed.local_addr().expect("the address of a bound socket").port();

        let acceptor = plan.wire.is_tls().then(|| tls_acceptor(&plan));
        let hub = Arc::new(Hub {
            ledger: Ledger::default(),
            scripts: Mutex::new(HashMap::new()),
            handler: plan.handler,
            service: plan.service,
            place: Place::new(plan.wire, closed_port),
            close_after_response: plan.close_after_response,
            h2: plan.h2,
            accept: plan.accept,
        });

        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel();
        let shared = Arc::clone(&hub);
        let work = move || {
            runtime.block_on(async move {
                tokio::select! {
                    () = accept(listener, shared, acceptor) => {}
                    _ = stopped => {}
                }
            });
            // Dropping the runtime here drops every connection with it.
        };
        let thread = thread::Builder::new().name("test origin".to_owned()).spawn(work).expect("a thread");
        let (stop, thread) = (Some(stop), Some(thread));
        Self { hub, addr, wire: plan.wire, authority: plan.authority, handle, stop, thread, closed }
    }

    /// The URL of a path on this origin: `http://127.0.0.1:PORT/path`, inside TLS `https://localhost:PORT/path`.
    pub fn url(&self, path: &str) -> String {
        let slash = if path.starts_with('/') { "" } else { "/" };
        let place = &self.hub.place;
        format!("{}://{}:{}{slash}{path}", place.scheme, place.host, self.addr.port())
    }

    /// The protocol it speaks.
    pub fn wire(&self) -> Wire {
        self.wire
    }

    /// The address it listens on.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.addr.port()
    }

    /// A port of 127.0.0.1 that refuses connections as long as the origin lives.
    pub fn closed_port(&self) -> u16 {
        self.closed.local_addr().map_or(self.hub.place.closed_port, |addr| addr.port())
    }

    /// The authority that signed the default certificate.
    pub fn authority(&self) -> &TestAuthority {
        &self.authority
    }

    /// The authority's root in PEM.
    pub fn trust_anchor_pem(&self) -> &str {
        self.authority.pem()
    }

    /// The authority's root in DER.
    pub fn trust_anchor_der(&self) -> Vec<u8> {
        self.authority.der()
    }

    /// Every request that arrived whole so far.
    pub fn requests(&self) -> Vec<Recorded> {
        self.hub.ledger.read(|j| j.requests.iter().map(|r| (**r).clone()).collect())
    }

    /// How many connections were accepted so far.
    pub fn connection_count(&self) -> usize {
        self.hub.ledger.read(|j| j.accepted)
    }

    /// How many connections are open now.
    pub fn open_connections(&self) -> usize {
        self.hub.ledger.read(Journal::open)
    }

    /// What the journal says now.
    pub fn journal<T>(&self, of: impl FnOnce(&Journal) -> T) -> T {
        self.hub.ledger.read(of)
    }

    /// Blocks until the journal is as wanted; `false` when `limit` passed first. `what` runs under the
    /// journal's lock and must not call the origin.
    pub fn wait_for(&self, what: impl Fn(&Journal) -> bool, limit: Duration) -> bool {
        self.hub.ledger.wait(what, limit)
    }

    /// The same for async code, on any executor: the limit is kept by the origin's own runtime.
    pub async fn wait_for_async(&self, what: impl Fn(&Journal) -> bool, limit: Duration) -> bool {
        let (over, limit_passed) = oneshot::channel::<()>();
        let timer = self.handle.spawn(async move {
            tokio::time::sleep(limit).await;
            drop(over);
        });
        let held = tokio::select! {
            biased;
            () = self.hub.ledger.wait_async(&what) => true,
            _ = limit_passed => false,
        };
        timer.abort();
        held
    }

    /// Scripts the next reply for a path (or for a path with its query); several are used in order, before
    /// the handler and the routes.
    pub fn enqueue(&self, path: &str, reply: Reply) {
        self.hub.enqueue(path, reply);
    }

    /// A gate for [`Reply::held`], [`Reply::after`] and [`Reply::body_gate`].
    pub fn hold(&self) -> Hold {
        Gate::new()
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // The thread may have ended already; then there is nothing to stop.
            let _ = stop.send(());
        }
        if let Some(worker) = self.thread.take()
            && worker.thread().id() != thread::current().id()
        {
            // A panic of the origin's thread was printed there.
            let _ = worker.join();
        }
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Origin").field("url", &self.url("/")).finish_non_exhaustive()
    }
}

fn tls_acceptor(plan: &OriginBuilder) -> TlsAcceptor {
    let alpn = plan.alpn.clone().unwrap_or_else(|| match plan.wire {
        Wire::TlsH2 => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        Wire::H1 | Wire::TlsH1 => vec![b"http/1.1".to_vec()],
    });
    let certificate = plan.certificate.clone().unwrap_or_else(|| plan.authority.local());
    tls::acceptor(TlsPlan {
        authority: &plan.authority,
        certificate: &certificate,
        alpn,
        client_certificate: plan.client_certificate,
        tls12_only: plan.tls12_only,
        ocsp_response: plan.ocsp_response.clone(),
    })
    .expect("a TLS configuration from a test certificate")
}

/// A listener that a crowd may knock at together: who finds its queue full tries again only after a second.
fn listen(runtime: &Runtime) -> TcpListener {
    let _entered = runtime.enter();
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_reuseaddr(cfg!(unix)).expect("an option of the socket");
    socket.bind((Ipv4Addr::LOCALHOST, 0).into()).expect("a free port on 127.0.0.1");
    socket.listen(CROWD).expect("a listener")
}

async fn accept(listener: TcpListener, hub: Arc<Hub>, acceptor: Option<TlsAcceptor>) {
    loop {
        match listener.accept().await {
            Ok((tcp, _)) => {
                let (open, index) = Open::new(&hub);
                tokio::spawn(connection(tcp, open, index, Arc::clone(&hub), acceptor.clone()));
            }
            // Out of descriptors, most likely: let the connections end before the next try.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

async fn connection(
    mut tcp: TcpStream,
    open: Open,
    index: usize,
    hub: Arc<Hub>,
    acceptor: Option<TlsAcceptor>,
) {
    // Without it small replies wait for delayed acknowledgements; a failure costs speed only.
    let _ = tcp.set_nodelay(true);
    match &hub.accept {
        Accept::Serve => {}
        Accept::Close => return Io::Plain(tcp).end(End::Close { linger: true }, open).await,
        Accept::Reset => return Io::Plain(tcp).end(End::Reset, open).await,
        Accept::Stall => {
            let mut io = Io::Plain(tcp);
            io.drain().await;
            return io.end(End::Gone, open).await;
        }
        Accept::Raw(bytes) => {
            let _ = tcp.write_all(bytes).await;
            return Io::Plain(tcp).end(End::Close { linger: true }, open).await;
        }
    }
    let (io, facts) = match acceptor {
        None => (Io::Plain(tcp), None),
        Some(acceptor) => match acceptor.accept(tcp).await {
            Ok(stream) => {
                let facts = tls::facts(stream.get_ref().1);
                (Io::Tls(Box::new(stream)), Some(Arc::new(facts)))
            }
            Err(e) => {
                hub.ledger.note(|j| j.failed_handshakes.push(e.to_string()));
                return open.close();
            }
        },
    };
    let wire = match &facts {
        None => Wire::H1,
        Some(facts) if facts.alpn.as_deref() == Some("h2") => Wire::TlsH2,
        Some(_) => Wire::TlsH1,
    };
    let link = Link { hub, index, wire, tls: facts };
    match wire {
        Wire::H1 | Wire::TlsH1 => h1::serve(io, link, open).await,
        Wire::TlsH2 => h2::serve(io, link, open).await,
    }
}

/// Connections that may wait to be accepted.
const CROWD: u32 = 1024;
