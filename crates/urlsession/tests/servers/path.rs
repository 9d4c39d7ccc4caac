//! The network path of a real kernel: two network namespaces with two cables between them, which are pulled and put in.
//!
//! Needs root and `ip` (Debian: iproute2). The test runs itself again in each namespace: at the near end as a client,
//! at the far end as a server that answers everything.

use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use urlsession::block_on;
use urlsession::environment::{Interface, InterfaceKind, NetworkPath, SystemPath};
use urlsession::metrics::{TaskMetrics, TransactionMetrics};
use urlsession::{
    Bytes, Configuration, DataTask, DelegateQueue, NetworkUnavailableReason, SessionDelegate, Task,
    TaskDelegate, UrlError, UrlErrorCode, UrlRequest, UrlSession,
};

const ROLE: &str = "URLSESSION_TEST_END";
const NEAR: &str = "10.77.0.1";
const FAR: &str = "10.77.0.2";
/// An address of the far end that is on no network of the near end.
const BEYOND: &str = "10.88.0.2";
const PORT: u16 = 8080;
/// Where the far end says by which cable one has come.
const TELLING_PORT: u16 = 8081;
/// The second cable.
const NEAR_TOO: &str = "10.78.0.1";
const FAR_TOO: &str = "10.78.0.2";
const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn a_task_waits_until_the_cable_is_in() {
    run("a_task_waits_until_the_cable_is_in", || {
        let session = Session::new(waiting());
        session.start(FAR);
        session.hears("waiting");
        ip("link set near0 up");
        session.hears("hello from afar");
        let metrics = session.completes().unwrap();
        assert_eq!(metrics.local_address, Some(NEAR.parse::<IpAddr>().unwrap()));
        assert!(!metrics.is_cellular && !metrics.is_expensive);

        // And again, with the watch of this process already running.
        ip("link set near0 down");
        session.start(FAR);
        session.hears("waiting");
        ip("link set near0 up");
        session.hears("hello from afar");
        session.completes().unwrap();
    });
}

#[test]
fn without_a_cable_there_is_no_network() {
    run("without_a_cable_there_is_no_network", || {
        assert_eq!(SystemPath.status().unwrap().interfaces, []);
        let session = Session::new(configuration());
        session.start(FAR);
        assert_eq!(session.completes().unwrap_err().code(), UrlErrorCode::NotConnectedToInternet);

        ip("link set near0 up");
        let interfaces = interfaces_once_there();
        assert_eq!((&*interfaces[0].name, interfaces[0].kind), ("near0", InterfaceKind::Wired));
        assert!(interfaces[0].addresses.contains(&NEAR.parse().unwrap()));
        session.start(FAR);
        session.hears("hello from afar");
        session.completes().unwrap();
    });
}

#[test]
fn a_task_waits_for_a_route() {
    run("a_task_waits_for_a_route", || {
        ip("link set near0 up");
        let session = Session::new(waiting());
        session.start(BEYOND);
        session.hears("waiting");
        ip(&format!("route add {BEYOND}/32 via {FAR}"));
        session.hears("hello from afar");
        session.completes().unwrap();
    });
}

#[test]
fn a_cellular_interface_is_told_from_a_cable() {
    run("a_cellular_interface_is_told_from_a_cable", || {
        ip("link set near0 name wwan0");
        ip("link set wwan0 up");
        assert_eq!(interfaces_once_there()[0].kind, InterfaceKind::Cellular);
        let session = Session::new(waiting());
        session.start(FAR);
        session.hears("hello from afar");
        let metrics = session.completes().unwrap();
        assert!(metrics.is_cellular && metrics.is_expensive && !metrics.is_constrained);

        let session = Session::new(configuration().allows_cellular_access(false));
        session.start(FAR);
        let error = session.completes().unwrap_err();
        assert_eq!(error.code(), UrlErrorCode::NotConnectedToInternet);
        assert_eq!(error.network_unavailable_reason(), Some(NetworkUnavailableReason::Cellular));
    });
}

#[test]
fn a_forbidden_network_is_not_used_though_the_default_route_leads_over_it() {
    run("a_forbidden_network_is_not_used_though_the_default_route_leads_over_it", || {
        ip("link set near0 name wwan0");
        ip("link set wwan0 up");
        ip("link set near1 up");
        ip(&format!("route add default via {FAR} dev wwan0 metric 100"));
        ip(&format!("route add default via {FAR_TOO} dev near1 metric 600"));
        while interfaces_once_there().len() < 2 {
            std::thread::yield_now();
        }
        let session = Session::new(configuration());
        let load = |is_allowed: bool, host: &str, says: &str| {
            let mut request = UrlRequest::new(format!("http://{host}:{TELLING_PORT}/").parse().unwrap());
            request.set_allows_cellular_access(is_allowed);
            session.0.data_task(request).resume();
            session.hears(says);
            session.completes().unwrap()
        };
        load(true, BEYOND, "over far0");
        let metrics = load(false, BEYOND, "over far1");
        assert!(!metrics.is_cellular);
        assert_eq!(metrics.local_address, Some(NEAR_TOO.parse::<IpAddr>().unwrap()));
        // What can be had over one network only is had over that, or not at all.
        load(false, FAR_TOO, "over far1");
        load(true, FAR, "over far0");

        ip("link set near1 down");
        while interfaces_once_there().len() > 1 {
            std::thread::yield_now();
        }
        let mut request = UrlRequest::new(format!("http://{BEYOND}:{TELLING_PORT}/").parse().unwrap());
        request.set_allows_cellular_access(false);
        session.0.data_task(request).resume();
        let error = session.completes().unwrap_err();
        assert_eq!(error.network_unavailable_reason(), Some(NetworkUnavailableReason::Cellular));
    });
}

/// The kernel takes a moment to notice what is at the other end of a cable.
fn interfaces_once_there() -> Vec<Interface> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        loop {
            let changed = SystemPath.changed();
            let interfaces = SystemPath.status().unwrap().interfaces;
            if !interfaces.is_empty() {
                return sender.send(interfaces);
            }
            block_on(changed);
        }
    });
    receiver.recv_timeout(PATIENCE).expect("the interface does not come")
}

fn configuration() -> Configuration {
    let mut configuration = Configuration::ephemeral();
    configuration.app_transport_security.allows_arbitrary_loads = true;
    configuration
}

fn waiting() -> Configuration {
    configuration().waits_for_connectivity(true)
}

/// A session and what its delegate hears.
struct Session(UrlSession, Receiver<Event>);

enum Event {
    Said(String),
    Over(Result<Box<TransactionMetrics>, UrlError>),
}

impl Session {
    fn new(configuration: Configuration) -> Self {
        let (sender, receiver) = channel();
        let delegate = std::sync::Arc::new(Ear(sender, Default::default()));
        Self(UrlSession::with_delegate(configuration, delegate, DelegateQueue::serial()), receiver)
    }

    fn start(&self, host: &str) {
        self.0.data_task(format!("http://{host}:{PORT}/")).resume();
    }

    fn hears(&self, what: &str) {
        match self.1.recv_timeout(PATIENCE).expect("nothing was heard") {
            Event::Said(said) => assert_eq!(said, what),
            Event::Over(result) => panic!("it is over: {:?}", result.err()),
        }
    }

    fn completes(&self) -> Result<Box<TransactionMetrics>, UrlError> {
        match self.1.recv_timeout(PATIENCE).expect("nothing was heard") {
            Event::Said(said) => panic!("still saying {said:?}"),
            Event::Over(result) => result,
        }
    }
}

struct Ear(Sender<Event>, std::sync::Mutex<Option<TransactionMetrics>>);

impl TaskDelegate for Ear {
    fn task_is_waiting_for_connectivity(&self, _: &Task) {
        self.0.send(Event::Said("waiting".into())).unwrap();
    }

    fn did_receive_data(&self, _: &DataTask, data: Bytes) {
        self.0.send(Event::Said(String::from_utf8(data.to_vec()).unwrap())).unwrap();
    }

    fn did_finish_collecting_metrics(&self, _: &Task, metrics: &TaskMetrics) {
        *self.1.lock().unwrap() = metrics.transaction_metrics.last().cloned();
    }

    fn did_complete(&self, _: &Task, error: Option<&UrlError>) {
        let metrics = self.1.lock().unwrap().take();
        let result = error.cloned().map_or_else(|| Ok(Box::new(metrics.unwrap())), Err);
        self.0.send(Event::Over(result)).unwrap();
    }
}

impl SessionDelegate for Ear {}

/// Runs `near` at the near end of cables that are not in yet.
fn run(test: &str, near: impl Fn()) {
    match std::env::var(ROLE).as_deref() {
        Ok("near") => near(),
        Ok(_) => answer_everything(),
        Err(_) => {
            let ends = Ends::lay();
            let mut far = ends.again("far", test).stdout(Stdio::piped()).spawn().unwrap();
            let mut lines = BufReader::new(far.stdout.take().unwrap()).lines();
            assert!(lines.any(|line| line.unwrap().contains("listening")), "the far end does not listen");
            let _far = Stopped(far);
            let output = ends.again("near", test).output().unwrap();
            let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            assert!(output.status.success(), "{}{}", said(&output.stdout), said(&output.stderr));
            assert!(said(&output.stdout).contains("1 passed"), "the test was not found by its name");
        }
    }
}

fn answer_everything() {
    for link in ["far0", "far1"] {
        let listener = bound_to(link);
        std::thread::spawn(move || answer(&listener, &format!("over {link}")));
    }
    let listener = TcpListener::bind(("0.0.0.0", PORT)).unwrap();
    println!("listening");
    answer(&listener, "hello from afar");
}

/// Hears only what comes over this link.
fn bound_to(link: &str) -> TcpListener {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let listener = runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind_device(Some(link.as_bytes())).unwrap();
        socket.bind(([0, 0, 0, 0], TELLING_PORT).into()).unwrap();
        socket.listen(16).unwrap().into_std().unwrap()
    });
    listener.set_nonblocking(false).unwrap();
    listener
}

fn answer(listener: &TcpListener, body: &str) {
    for stream in listener.incoming() {
        let mut stream = stream.unwrap();
        let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
        if lines.any(|line| line.is_ok_and(|line| line.is_empty())) {
            let head =
                format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
            let _ = stream.write_all((head + body).as_bytes());
        }
    }
}

fn ip(arguments: &str) {
    let output = Command::new("ip").args(arguments.split(' ')).output().expect("ip is not installed");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ip {arguments}: {complaint} (these tests need root)");
}

/// Two namespaces and two cables.
struct Ends {
    near: String,
    far: String,
}

impl Ends {
    fn lay() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = |end: &str| format!("urlsession-{end}-{}-{number}", std::process::id());
        let ends = Self { near: name("near"), far: name("far") };
        let Self { near, far } = &ends;
        ip(&format!("netns add {near}"));
        ip(&format!("netns add {far}"));
        // Made inside, so that its names are nobody else's.
        ip(&format!("-n {near} link add near0 type veth peer name far0 netns {far}"));
        ip(&format!("-n {near} address add {NEAR}/24 dev near0"));
        ip(&format!("-n {far} address add {FAR}/24 dev far0"));
        ip(&format!("-n {far} address add {BEYOND}/32 dev far0"));
        ip(&format!("-n {far} link set far0 up"));
        ip(&format!("-n {near} link add near1 type veth peer name far1 netns {far}"));
        ip(&format!("-n {near} address add {NEAR_TOO}/24 dev near1"));
        ip(&format!("-n {far} address add {FAR_TOO}/24 dev far1"));
        ip(&format!("-n {far} link set far1 up"));
        ends
    }

    /// This test again, at one end.
    fn again(&self, end: &str, test: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", if end == "near" { &self.near } else { &self.far }]);
        command.arg(std::env::current_exe().unwrap());
        command.args(["--exact", &format!("path::{test}"), "--nocapture"]).env(ROLE, end);
        command.stdin(Stdio::null());
        command
    }
}

impl Drop for Ends {
    fn drop(&mut self) {
        for end in [&self.near, &self.far] {
            let _ = Command::new("ip").args(["netns", "delete", end]).status();
        }
    }
}

struct Stopped(Child);

impl Drop for Stopped {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
