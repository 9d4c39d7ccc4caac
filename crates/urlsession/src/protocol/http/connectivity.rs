//! Connectivity: a load uses no forbidden network, and waits for an allowed one if the configuration says so.
//!
//! It reads the network path only if the result matters: not for this machine, and, if nothing is forbidden
//! and no load waits, only to explain a failure. It records forbidden networks on the attempt; `transport::dial_targets`
//! selects the interface of a connection.

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::configuration::Configuration;
use crate::env::{ForbiddenNetworks, PathStatus, Timer, is_loopback};
use crate::error::{NetworkUnavailableReason, Phase, Result, UrlError, UrlErrorCode};
use crate::load::{Attempt, Layer, Response, WaitReason};
use crate::message::UrlRequest;

pub(super) struct Connectivity<N> {
    config: Arc<Configuration>,
    next: N,
}

impl<N> Connectivity<N> {
    pub(super) fn new(config: Arc<Configuration>, next: N) -> Self {
        Self { config, next }
    }
}

impl<N: Layer> Layer for Connectivity<N> {
    async fn load(&self, attempt: &mut Attempt<'_>) -> Result<Response> {
        let rules = Rules::of(&self.config, &attempt.request);
        attempt.forbidden = rules.forbidden;
        if rules.ask_nothing() || is_local(&attempt.request) {
            return match self.next.load(attempt).await {
                Err(error) if is_unconnected(&error) => {
                    Err(self.explained(error, &attempt.request, ForbiddenNetworks::default()))
                }
                result => result,
            };
        }
        // In a box of its own, so that loads to which the path does not matter carry nothing of it.
        Box::pin(self.load_over_path(attempt, rules)).await
    }
}

impl<N: Layer> Connectivity<N> {
    async fn load_over_path(&self, attempt: &mut Attempt<'_>, rules: Rules) -> Result<Response> {
        let path = &self.config.environment.path;
        let mut lookups = 0;
        loop {
            // Before the look at the path, so that no change is missed between the two.
            let changed = rules.waits.then(|| path.changed());
            let mut pause = None;
            let error = match verdict(path.status().as_ref(), rules) {
                Verdict::Go => match self.next.load(attempt).await {
                    Err(error) if is_unconnected(&error) => {
                        match path.status() {
                            Some(status) if status.interfaces.is_empty() || is_unreachable(&error) => {}
                            Some(_) if error.phase() == Phase::Dns && lookups > 0 => {
                                lookups -= 1;
                                pause = Some(attempt.clock.now() + LOOKUP_PAUSE);
                            }
                            _ => return Err(error),
                        }
                        self.explained(error, &attempt.request, rules.forbidden)
                    }
                    result => return result,
                },
                Verdict::NoNetwork => no_network(),
                Verdict::Forbidden(reason) => forbidden("the only network", reason),
            };
            let Some(changed) = changed else { return Err(error) };
            attempt.context.waiting_for_connectivity();
            let _pause = attempt.activity.pause_idle_for(WaitReason::Connectivity);
            match pause {
                None => {
                    changed.await;
                    lookups = LOOKUPS;
                }
                Some(end) => {
                    Timer::at(attempt.clock, attempt.runtime, end).limit(changed).await;
                }
            }
        }
    }

    /// Changes the error if a host was not found or reached because there is no network, or no allowed network that leads to
    /// the host.
    fn explained(&self, error: UrlError, request: &UrlRequest, networks: ForbiddenNetworks) -> UrlError {
        if is_local(request) {
            return error;
        }
        match self.config.environment.path.status() {
            Some(status) if status.interfaces.is_empty() => no_network().with_source(error),
            Some(status) if is_unreachable(&error) => {
                match status.interfaces.iter().find_map(|interface| networks.against(interface)) {
                    Some(reason) => {
                        let unusable = "no other network leads to the host than one that";
                        forbidden(unusable, reason).with_source(error)
                    }
                    None => error,
                }
            }
            _ => error,
        }
    }
}

/// The network rules of configuration and request; the stricter rule applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rules {
    waits: bool,
    forbidden: ForbiddenNetworks,
}

impl Rules {
    fn of(config: &Configuration, request: &UrlRequest) -> Self {
        use NetworkUnavailableReason as Reason;
        let mut forbidden = ForbiddenNetworks::default();
        // Of nearly all loads.
        if config.allows_all_networks() && request.allows_all_networks() {
            return Self { waits: config.waits_for_connectivity, forbidden };
        }
        for (by_configuration, by_request, reason) in [
            (config.allows_cellular_access, request.allows_cellular_access(), Reason::Cellular),
            (
                config.allows_expensive_network_access,
                request.allows_expensive_network_access(),
                Reason::Expensive,
            ),
            (
                config.allows_constrained_network_access,
                request.allows_constrained_network_access(),
                Reason::Constrained,
            ),
            (
                config.allows_ultra_constrained_network_access,
                request.allows_ultra_constrained_network_access(),
                Reason::UltraConstrained,
            ),
        ] {
            if !(by_configuration && by_request) {
                forbidden = forbidden.and(reason);
            }
        }
        Self { waits: config.waits_for_connectivity, forbidden }
    }

    fn ask_nothing(self) -> bool {
        !self.waits && self.forbidden.is_empty()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Go,
    NoNetwork,
    /// Only such networks.
    Forbidden(NetworkUnavailableReason),
}

/// Whether a connection may be made. An unknown path permits it.
fn verdict(path: Option<&PathStatus>, rules: Rules) -> Verdict {
    let Some(path) = path else { return Verdict::Go };
    let mut first = None;
    for interface in &path.interfaces {
        match rules.forbidden.against(interface) {
            None => return Verdict::Go,
            Some(reason) => first = first.or(Some(reason)),
        }
    }
    first.map_or(Verdict::NoNetwork, Verdict::Forbidden)
}

fn is_local(request: &UrlRequest) -> bool {
    request.url().host().is_some_and(|host| is_loopback(&host))
}

fn no_network() -> UrlError {
    let detail = "no interface of this machine is connected to a network; \
                  set waits_for_connectivity to wait for one";
    UrlError::new(UrlErrorCode::NotConnectedToInternet, Phase::Connect, detail)
}

/// `which` begins a sentence whose verb is "is" or "saves".
fn forbidden(which: &str, reason: NetworkUnavailableReason) -> UrlError {
    let why = match reason {
        NetworkUnavailableReason::Cellular => "is cellular, which allows_cellular_access forbids",
        NetworkUnavailableReason::Expensive => "is metered, which allows_expensive_network_access forbids",
        NetworkUnavailableReason::Constrained => {
            "saves data, which allows_constrained_network_access forbids"
        }
        NetworkUnavailableReason::UltraConstrained => {
            "is ultra-constrained, which allows_ultra_constrained_network_access forbids"
        }
    };
    let detail = format!("{which} {why}");
    UrlError::new(UrlErrorCode::NotConnectedToInternet, Phase::Policy, detail).with_unavailable(reason)
}

/// Whether no connection was made, for a reason that may be the lack of a network. A resolver that answers that there is
/// no such host has been reached.
fn is_unconnected(error: &UrlError) -> bool {
    match error.code() {
        UrlErrorCode::CannotFindHost => error.phase() == Phase::Dns && error.source().is_some(),
        UrlErrorCode::CannotConnectToHost => error.phase() == Phase::Connect,
        _ => false,
    }
}

/// Whether the system knew of no way to the host.
fn is_unreachable(error: &UrlError) -> bool {
    // Of a proxy that cannot be reached the cause is one deeper.
    let mut causes = std::iter::successors(error.source(), |cause| (*cause).source());
    causes.find_map(|cause| cause.downcast_ref::<io::Error>()).is_some_and(|error| {
        use io::ErrorKind::{HostUnreachable, NetworkDown, NetworkUnreachable};
        matches!(error.kind(), HostUnreachable | NetworkDown | NetworkUnreachable)
    })
}

/// How often a name that is not found is looked up again on a network that has just come: its resolvers are known a
/// moment later.
const LOOKUPS: usize = 5;

/// How long after the last time, unless the path changes before.
const LOOKUP_PAUSE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;
    use std::collections::VecDeque;
    use std::future::ready;
    use std::pin::Pin;

    use super::super::test_support::{Script, run, run_request};
    use super::*;
    use crate::env::{Interface, InterfaceKind, NetworkPath};

    /// Takes its next status at every change, which comes at once.
    struct Paths(Mutex<VecDeque<Option<PathStatus>>>);

    impl NetworkPath for Paths {
        fn status(&self) -> Option<PathStatus> {
            self.0.lock().front().expect("nobody looks at the path").clone()
        }

        fn changed(&self) -> Pin<Box<dyn Future<Output = ()> + Send>> {
            Box::pin(ready(()))
        }
    }

    /// As `Paths`, and moves on only when waited for.
    struct Moving(Arc<Paths>);

    impl NetworkPath for Moving {
        fn status(&self) -> Option<PathStatus> {
            self.0.status()
        }

        fn changed(&self) -> Pin<Box<dyn Future<Output = ()> + Send>> {
            let paths = self.0.clone();
            Box::pin(async move {
                paths.0.lock().pop_front();
            })
        }
    }

    fn over(kinds: &[InterfaceKind]) -> Option<PathStatus> {
        Some(PathStatus { interfaces: kinds.iter().map(|kind| Interface::new("if", *kind)).collect() })
    }

    fn config<const N: usize>(paths: [Option<PathStatus>; N]) -> Configuration {
        let mut config = Configuration::ephemeral();
        config.environment.path = Arc::new(Moving(Arc::new(Paths(Mutex::new(paths.into())))));
        config
    }

    fn connectivity(config: Configuration, script: &Script) -> Connectivity<&Script> {
        Connectivity::new(Arc::new(config), script)
    }

    fn unconnected(kind: io::ErrorKind) -> UrlError {
        UrlError::new(UrlErrorCode::CannotConnectToHost, Phase::Connect, "test")
            .with_source(io::Error::from(kind))
    }

    fn rules(forbidden: &[NetworkUnavailableReason]) -> Rules {
        let forbidden = forbidden.iter().fold(ForbiddenNetworks::default(), |all, reason| all.and(*reason));
        Rules { waits: false, forbidden }
    }

    const FAR: &str = "https://example.com/";

    #[test]
    fn one_allowed_interface_is_enough() {
        use InterfaceKind::{Cellular, Wifi};
        let (all, no_cellular) = (rules(&[]), rules(&[NetworkUnavailableReason::Cellular]));
        let reason = Verdict::Forbidden(NetworkUnavailableReason::Cellular);
        assert_eq!(verdict(None, no_cellular), Verdict::Go, "an unknown path is no obstacle");
        assert_eq!(verdict(over(&[]).as_ref(), all), Verdict::NoNetwork);
        assert_eq!(verdict(over(&[Cellular]).as_ref(), all), Verdict::Go);
        assert_eq!(verdict(over(&[Cellular]).as_ref(), no_cellular), reason);
        assert_eq!(verdict(over(&[Cellular, Wifi]).as_ref(), no_cellular), Verdict::Go);
    }

    #[test]
    fn each_rule_forbids_its_own_kind_of_network() {
        use NetworkUnavailableReason as Reason;
        let interface = |change: fn(&mut Interface)| {
            let mut interface = Interface::new("if", InterfaceKind::Wifi);
            change(&mut interface);
            PathStatus { interfaces: vec![interface] }
        };
        for (path, reason) in [
            (interface(|i| i.is_expensive = true), Reason::Expensive),
            (interface(|i| i.is_constrained = true), Reason::Constrained),
            (interface(|i| i.is_ultra_constrained = true), Reason::UltraConstrained),
        ] {
            let strict = rules(&[reason]);
            assert_eq!(verdict(Some(&path), strict), Verdict::Forbidden(reason));
            assert_eq!(verdict(Some(&path), rules(&[])), Verdict::Go);
            assert_eq!(verdict(over(&[InterfaceKind::Wifi]).as_ref(), strict), Verdict::Go);
        }
    }

    #[test]
    fn the_stricter_of_configuration_and_request_applies() {
        for (config_allows, request_allows) in [(false, true), (true, false)] {
            let mut config = config([over(&[InterfaceKind::Cellular])]);
            config.allows_cellular_access = config_allows;
            let mut request = UrlRequest::new(FAR.parse().unwrap());
            request.set_allows_cellular_access(request_allows);
            let script = Script::new::<u16>([]);
            let error = run_request(&connectivity(config, &script), request).0.err().unwrap();
            assert_eq!(error.code(), UrlErrorCode::NotConnectedToInternet);
            assert_eq!(error.network_unavailable_reason(), Some(NetworkUnavailableReason::Cellular));
            assert!(error.to_string().contains("allows_cellular_access"), "{error}");
        }
    }

    #[test]
    fn the_path_is_not_looked_at_when_nothing_depends_on_it() {
        let script = Script::new([Ok(200)]);
        assert!(run(&connectivity(config([]), &script), "GET", FAR).0.is_ok());
        let strict =
            Configuration { allows_cellular_access: false, waits_for_connectivity: true, ..config([]) };
        let script = Script::new([Ok(200), Err(unconnected(io::ErrorKind::ConnectionRefused))]);
        let layer = connectivity(strict, &script);
        assert!(run(&layer, "GET", "http://127.0.0.1/").0.is_ok());
        let error = run(&layer, "GET", "http://localhost/").0.err().unwrap();
        assert_eq!(error.code(), UrlErrorCode::CannotConnectToHost);
    }

    #[test]
    fn a_load_waits_for_a_network_it_may_use() {
        use InterfaceKind::{Cellular, Wired};
        let mut config = config([over(&[]), over(&[Cellular]), over(&[Cellular, Wired])]);
        config.waits_for_connectivity = true;
        config.allows_cellular_access = false;
        let script = Script::new([Ok(200)]);
        assert!(run(&connectivity(config, &script), "POST", FAR).0.is_ok());
        assert_eq!(script.seen().len(), 1);
    }

    #[test]
    fn a_host_without_a_route_is_dialled_again_when_the_path_changes() {
        for kind in [io::ErrorKind::NetworkUnreachable, io::ErrorKind::HostUnreachable] {
            let wired = || over(&[InterfaceKind::Wired]);
            let mut config = config([wired(), wired()]);
            config.waits_for_connectivity = true;
            let script = Script::new([Err(unconnected(kind)), Ok(200)]);
            assert!(run(&connectivity(config, &script), "POST", FAR).0.is_ok());
        }
    }

    #[test]
    fn a_name_is_looked_up_again_on_a_network_that_has_just_come() {
        let unknown = || {
            UrlError::new(UrlErrorCode::CannotFindHost, Phase::Dns, "test")
                .with_source(io::Error::other("test"))
        };
        let wired = || over(&[InterfaceKind::Wired]);
        let mut waiting = config([over(&[]), wired(), wired(), wired()]);
        waiting.waits_for_connectivity = true;
        let script = Script::new([Err(unknown()), Err(unknown()), Ok(200)]);
        assert!(run(&connectivity(waiting, &script), "GET", FAR).0.is_ok());

        let mut waiting = config([wired()]);
        waiting.waits_for_connectivity = true;
        let script = Script::new([Err::<u16, _>(unknown())]);
        let failed = run(&connectivity(waiting, &script), "GET", FAR).0.err().unwrap();
        assert_eq!(failed.code(), UrlErrorCode::CannotFindHost, "it was there before: the name is wrong");
    }

    #[test]
    fn other_failures_wait_for_nothing() {
        let lost = UrlError::new(UrlErrorCode::NetworkConnectionLost, Phase::Head, "test");
        for error in [unconnected(io::ErrorKind::ConnectionRefused), lost] {
            let mut config = config([over(&[InterfaceKind::Wired])]);
            config.waits_for_connectivity = true;
            let script = Script::new([Err::<u16, _>(error.clone())]);
            let failed = run(&connectivity(config, &script), "GET", FAR).0.err().unwrap();
            assert_eq!(failed.code(), error.code());
        }
    }

    #[test]
    fn without_a_network_an_unreachable_host_is_not_to_blame() {
        let error = || unconnected(io::ErrorKind::NetworkUnreachable);
        for (path, code) in [
            (over(&[]), UrlErrorCode::NotConnectedToInternet),
            (over(&[InterfaceKind::Wired]), UrlErrorCode::CannotConnectToHost),
            (None, UrlErrorCode::CannotConnectToHost),
        ] {
            for waits in [false, path.is_none()] {
                let mut config = config([path.clone()]);
                config.waits_for_connectivity = waits;
                let script = Script::new([Err::<u16, _>(error())]);
                let failed = run(&connectivity(config, &script), "GET", FAR).0.err().unwrap();
                assert_eq!(failed.code(), code);
                assert!(failed.source().is_some());
            }
        }
    }
}
