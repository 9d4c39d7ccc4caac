//! Properties of a configuration that are not the business of one space alone.

use std::future::{Future, ready};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use urlsession::environment::Resolve;
use urlsession::network::{MultipathServiceType, NetworkServiceType};
use urlsession::{Configuration, UrlErrorCode, UrlRequest, UrlSession};
use urlsession_testkit::Wire;

use crate::support::*;

#[test]
fn the_defaults_are_apples() {
    for configuration in [Configuration::default(), Configuration::ephemeral()] {
        assert_eq!(configuration.network_service_type, NetworkServiceType::Default);
        assert_eq!(configuration.multipath_service_type, MultipathServiceType::None);
        assert!(!configuration.requires_dnssec_validation);
        assert!(!configuration.http_should_use_pipelining);
        assert!(configuration.uses_classic_loading_mode && !configuration.enables_early_data);
        assert!(configuration.session_sends_launch_events && !configuration.is_discretionary);
        assert_eq!((configuration.identifier, configuration.shared_container_identifier), (None, None));
    }
}

#[test]
fn a_session_keeps_a_hundred_idle_connections_and_has_256_at_most() {
    let configuration = Configuration::default();
    assert_eq!((configuration.maximum_idle_connections, configuration.maximum_open_connections), (100, 256));
}

#[test]
fn reserved_fields_are_not_sent_from_a_configuration() {
    const RESERVED: [&str; 8] = [
        "Authorization",
        "connection",
        "HOST",
        "Proxy-Authenticate",
        "proxy-authorization",
        "WWW-Authenticate",
        "Content-Length",
        "Transfer-Encoding",
    ];
    on_every_wire(|origin| {
        for name in RESERVED {
            let mut configuration = configuration(origin);
            set_for_all(&mut configuration, name, "reserved");
            set_for_all(&mut configuration, "X-Free", "free");
            load(&UrlSession::new(configuration), origin.url("/Peru")).unwrap();
            let sent = origin.requests().pop().unwrap();
            assert_eq!(sent.header("x-free"), Some("free"));
            assert_ne!(sent.header(name), Some("reserved"), "{name}");
        }
    });
}

#[test]
fn requests_of_different_service_types_do_not_share_connections() {
    on_every_wire(|origin| {
        let configuration = configuration(origin).network_service_type(NetworkServiceType::Background);
        let session = UrlSession::new(configuration);
        let get = |service, connections| {
            let mut request = request(&origin.url("/Peru"), "GET", None);
            request.set_network_service_type(service);
            let (data, _) = load(&session, request).unwrap();
            assert_eq!((text(&data), origin.connection_count()), ("Lima", connections), "{service:?}");
        };
        // The configuration's type is the default's; a request that names it goes the same way.
        get(NetworkServiceType::Default, 1);
        get(NetworkServiceType::Background, 1);
        get(NetworkServiceType::Voice, 2);
        get(NetworkServiceType::Voice, 2);
        get(NetworkServiceType::Default, 2);
    });
}

#[test]
fn every_multipath_type_loads_whether_or_not_the_system_has_it() {
    on_every_wire(|origin| {
        for kind in [
            MultipathServiceType::None,
            MultipathServiceType::Handover,
            MultipathServiceType::Interactive,
            MultipathServiceType::Aggregate,
        ] {
            let configuration = configuration(origin).multipath_service_type(kind);
            let request = request(&origin.url("/upload"), "POST", Some(&[7; 100_000]));
            let (_, response) = load(&UrlSession::new(configuration), request).unwrap();
            assert_eq!(response.status_code(), Some(200), "{kind:?}");
        }
    });
}

/// Every name is the origin's.
struct Names {
    address: SocketAddr,
    validates: bool,
}

impl Resolve for Names {
    fn resolve(
        &self,
        _: &str,
        _: u16,
    ) -> Option<Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>> {
        Some(Box::pin(ready(Ok(vec![self.address]))))
    }

    fn validates_dnssec(&self) -> bool {
        self.validates
    }
}

fn validating(origin: &urlsession_testkit::Origin, validates: bool) -> Configuration {
    let mut configuration = configuration(origin);
    configuration.environment.resolver = Arc::new(Names { address: origin.addr(), validates });
    configuration
}

#[test]
fn a_name_that_nobody_validates_is_not_found_if_it_must_be_validated() {
    on(Wire::H1, |origin| {
        let url = format!("http://validated.local:{}/Peru", origin.port());
        let mut required = UrlRequest::new(url.parse().unwrap());
        required.set_requires_dnssec_validation(true);
        let session = UrlSession::new(validating(origin, false));
        // Neither a new connection nor one that was made without validation.
        for _ in 0..2 {
            let error = load(&session, &required).unwrap_err();
            assert_eq!(error.code(), UrlErrorCode::CannotFindHost);
            assert!(error.to_string().contains("requires_dnssec_validation"), "{error}");
            assert_eq!(text(&load(&session, &url).unwrap().0), "Lima");
        }
        let strict = validating(origin, false).requires_dnssec_validation(true);
        assert_eq!(load(&UrlSession::new(strict), &url).unwrap_err().code(), UrlErrorCode::CannotFindHost);

        let session = UrlSession::new(validating(origin, true));
        assert_eq!(text(&load(&session, &required).unwrap().0), "Lima");
    });
}

#[test]
fn the_systems_resolver_does_not_validate_and_addresses_and_localhost_need_it_not() {
    on_every_wire(|origin| {
        let strict = configuration(origin).requires_dnssec_validation(true);
        let session = UrlSession::new(strict);
        // The origin's URL has an address in cleartext and localhost in TLS.
        assert_eq!(text(&load(&session, origin.url("/Peru")).unwrap().0), "Lima");
        let error = load(&session, "https://name.invalid/").unwrap_err();
        assert_eq!(error.code(), UrlErrorCode::CannotFindHost);
        assert!(error.to_string().contains("DNSSEC"), "{error}");
    });
}

#[test]
fn fields_that_are_left_to_the_application_are_not_added() {
    on_every_wire(|origin| {
        let names = ["Accept", "accept-encoding", "ACCEPT-LANGUAGE", "User-Agent", "Content-Type"];
        let mut config = configuration(origin).omitted_header_fields(names);
        let session = UrlSession::new(config.clone());
        load(&session, request(&origin.url("/echo"), "POST", Some(b"body"))).unwrap();
        let mut own = request(&origin.url("/echo"), "POST", Some(b"body"));
        own.set_value("Content-Type", "a/b").unwrap();
        set_for_all(&mut config, "User-Agent", "me");
        load(&UrlSession::new(config), own).unwrap();
        let requests = origin.requests();
        for name in names {
            assert_eq!(requests[0].header(name), None, "{name}");
        }
        assert_eq!(requests[1].header("content-type"), Some("a/b"));
        assert_eq!(requests[1].header("user-agent"), Some("me"));
    });
}
