//! Networks that a load may not use, though they are there: what is dialled over which interface, and who shares it.

use std::future::{Future, pending};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use urlsession::environment::{Dial, Interface, InterfaceKind, NetworkPath, PathStatus, Socket};
use urlsession::{
    CachePolicy, Configuration, NetworkUnavailableReason, UrlErrorCode, UrlRequest, UrlSession,
};
use urlsession_testkit::{Origin, Reply, TestAuthority, Wire};

use crate::support::*;

type Dialling = Pin<Box<dyn Future<Output = io::Result<Socket>> + Send>>;

const HOST: &str = "far.test";

/// Two networks, of which the cellular one comes first.
struct Two;

impl NetworkPath for Two {
    fn status(&self) -> Option<PathStatus> {
        let interface = |name: &str, kind, address: &str| {
            let mut interface = Interface::new(name, kind);
            interface.addresses.push(address.parse().unwrap());
            interface
        };
        let cellular = interface("wwan0", InterfaceKind::Cellular, "192.0.2.1");
        let wifi = interface("wlan0", InterfaceKind::Wifi, "198.51.100.1");
        Some(PathStatus::new([cellular, wifi]))
    }

    fn changed(&self) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(pending())
    }
}

/// Remembers over what it was to dial; the origin is everywhere, or no interface leads there.
struct Dialled {
    origin: SocketAddr,
    leads_nowhere: bool,
    over: Mutex<Vec<Option<String>>>,
}

impl Dialled {
    fn dialling(&self, over: Option<&Interface>) -> Dialling {
        self.over.lock().unwrap().push(over.map(|interface| interface.name.clone()));
        let (origin, fails) = (self.origin, self.leads_nowhere && over.is_some());
        Box::pin(async move {
            if fails {
                return Err(io::ErrorKind::NetworkUnreachable.into());
            }
            let stream = tokio::net::TcpStream::connect(origin).await?;
            Ok(Socket::new(stream))
        })
    }
}

impl Dial for Dialled {
    fn dial(&self, _: SocketAddr, over: Option<&Interface>) -> Option<Dialling> {
        Some(self.dialling(over))
    }
}

/// An origin that seems far away, and a configuration that reaches it.
struct Far(Origin, Configuration, Arc<Dialled>);

impl Far {
    fn new(wire: Wire, leads_nowhere: bool) -> Self {
        let certificate = TestAuthority::new().leaf(&[HOST]);
        let origin = Origin::builder().wire(wire).certificate(certificate).start();
        let dialled = Dialled { origin: origin.addr(), leads_nowhere, over: Mutex::default() };
        let dialled = Arc::new(dialled);
        let mut configuration = configuration(&origin);
        configuration.app_transport_security.allows_arbitrary_loads = true;
        configuration.environment.resolver =
            Arc::new(Everywhere(SocketAddr::from(([203, 0, 113, 1], origin.port()))));
        configuration.environment.dialler = dialled.clone();
        configuration.environment.path = Arc::new(Two);
        Self(origin, configuration, dialled)
    }

    fn request(&self, change: impl Fn(&mut UrlRequest)) -> UrlRequest {
        let scheme = self.0.url("").split("://").next().unwrap().to_owned();
        let url = format!("{scheme}://{HOST}:{}/Peru", self.0.port());
        let mut request = UrlRequest::new(url.parse().unwrap());
        change(&mut request);
        request
    }

    fn over(&self) -> Vec<Option<String>> {
        self.2.over.lock().unwrap().clone()
    }
}

fn on_every_far_wire(leads_nowhere: bool, test: impl Fn(&Far)) {
    WIRES.into_iter().for_each(|wire| test(&Far::new(wire, leads_nowhere)));
}

#[test]
fn a_connection_is_dialled_over_an_allowed_interface_if_another_is_forbidden() {
    on_every_far_wire(false, |far| {
        let rules: [fn(&mut Configuration); 2] = [
            |configuration| configuration.allows_cellular_access = false,
            |configuration| configuration.allows_expensive_network_access = false,
        ];
        for rule in rules {
            let mut configuration = far.1.clone();
            rule(&mut configuration);
            let session = UrlSession::new(configuration);
            assert_eq!(session.data(far.request(|_| ())).wait().unwrap().0, "Lima");
        }
        // No interface saves data: there is nothing to avoid.
        let configuration = far.1.clone().allows_constrained_network_access(false);
        UrlSession::new(configuration).data(far.request(|_| ())).wait().unwrap();
        assert_eq!(far.over(), [Some("wlan0".into()), Some("wlan0".into()), None]);
    });
}

#[test]
fn a_connection_that_was_made_without_a_rule_serves_no_request_that_has_one() {
    on_every_far_wire(false, |far| {
        let session = UrlSession::new(far.1.clone());
        let load = |is_allowed| {
            let request = far.request(|request| request.set_allows_cellular_access(is_allowed));
            assert_eq!(session.data(request).wait().unwrap().0, "Lima");
        };
        load(true);
        load(false);
        assert_eq!(far.over(), [None, Some("wlan0".into())]);
        load(false);
        load(true);
        assert_eq!(far.over().len(), 2, "each is used again by its like");
        load_with_other_rule(far, &session);
    });
}

/// A rule of another kind is another rule.
fn load_with_other_rule(far: &Far, session: &UrlSession) {
    session.data(far.request(|request| request.set_allows_constrained_network_access(false))).wait().unwrap();
    assert_eq!(far.over().len(), 3);
}

#[test]
fn a_host_that_no_allowed_interface_leads_to_is_an_error_that_says_which_rule_forbids_the_others() {
    on_every_far_wire(true, |far| {
        let session = UrlSession::new(far.1.clone());
        let request = far.request(|request| request.set_allows_cellular_access(false));
        let error = session.data(request).wait().unwrap_err();
        assert_eq!(error.code(), UrlErrorCode::NotConnectedToInternet, "{error}");
        assert_eq!(error.network_unavailable_reason(), Some(NetworkUnavailableReason::Cellular));
        assert!(error.to_string().contains("allows_cellular_access"), "{error}");
        assert_eq!(session.data(far.request(|_| ())).wait().unwrap().0, "Lima");
        assert_eq!(far.over(), [Some("wlan0".into()), None]);
    });
}

#[test]
fn a_stale_answer_stands_in_where_all_networks_that_lead_to_the_host_are_forbidden() {
    on_every_far_wire(true, |far| {
        let clock = HandClock::new();
        let mut configuration = far.1.clone();
        configuration.environment.clock = Arc::new(clock.clone());
        let session = UrlSession::new(configuration);
        let reply = |control: &str| Reply::new(200).header("Cache-Control", control).body("old");
        for (control, is_served) in
            [("max-age=10, stale-if-error=60", true), ("max-age=10, must-revalidate", false)]
        {
            far.0.enqueue("/Peru", reply(control));
            let mut first = far.request(|_| ());
            first.set_cache_policy(CachePolicy::ReloadIgnoringLocalCacheData);
            assert_eq!(session.data(first).wait().unwrap().0, "old");
            clock.advance(Duration::from_secs(30));
            let request = far.request(|request| request.set_allows_cellular_access(false));
            let result = session.data(request).wait();
            assert_eq!(result.is_ok(), is_served, "{control}: {result:?}");
        }
    });
}
