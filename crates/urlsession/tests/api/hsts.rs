//! HSTS: hosts that want TLS get it, whatever the URL says, and nobody can talk a load out of it.

use std::sync::Arc;
use std::time::Duration;

use urlsession::block_on;
use urlsession::security::{AppTransportSecurity, HstsStorage};
use urlsession::{Configuration, UrlErrorCode as Code, UrlSession};
use urlsession_testkit::{Origin, Reply, TestAuthority, Wire};

use crate::support::*;

const NAMES: [&str; 5] = ["site.test", "www.site.test", "other.test", "shop.dev", "127.0.0.1"];
const FIELD: &str = "Strict-Transport-Security";
const TLS: [Wire; 2] = [Wire::TlsH1, Wire::TlsH2];

/// An origin of many names over TLS, what trusts it, and a clock.
struct Web {
    origin: Origin,
    configuration: Configuration,
    clock: HandClock,
}

impl Web {
    fn on(wire: Wire) -> Self {
        let certificate = TestAuthority::new().leaf(&NAMES);
        let origin = Origin::builder().wire(wire).certificate(certificate).start();
        let mut configuration = configuration(&origin);
        let clock = HandClock::new();
        configuration.environment.resolver = Arc::new(Everywhere(origin.addr()));
        configuration.environment.clock = Arc::new(clock.clone());
        Self { origin, configuration, clock }
    }

    fn url(&self, scheme: &str, host: &str) -> String {
        format!("{scheme}://{host}:{}/Peru", self.origin.port())
    }

    /// A response over TLS that says `field`, from `host`.
    fn visit(&self, session: &UrlSession, host: &str, field: &str) {
        self.origin.enqueue("/Peru", Reply::new(200).header(FIELD, field).body("Lima"));
        session.data(self.url("https", host)).wait().unwrap();
    }

    /// Whether a cleartext URL of the host is loaded over TLS. If not it is refused.
    fn is_upgraded(&self, session: &UrlSession, host: &str) -> bool {
        match session.data(self.url("http", host)).wait() {
            Ok((_, response)) => {
                assert_eq!(response.url().as_str(), self.url("https", host));
                true
            }
            Err(error) => {
                assert_eq!(error.code(), Code::AppTransportSecurityRequiresSecureConnection, "{error}");
                false
            }
        }
    }
}

#[test]
fn a_host_that_says_so_over_tls_is_upgraded_until_its_time_is_over() {
    for wire in TLS {
        let web = Web::on(wire);
        let session = UrlSession::new(web.configuration.clone());
        assert!(!web.is_upgraded(&session, "site.test"));
        web.visit(&session, "site.test", "max-age=1000");
        assert!(web.is_upgraded(&session, "site.test"));
        assert!(!web.is_upgraded(&session, "www.site.test"), "it speaks for itself");
        web.clock.advance(Duration::from_secs(999));
        assert!(web.is_upgraded(&session, "site.test"));
        web.clock.advance(Duration::from_secs(1));
        assert!(!web.is_upgraded(&session, "site.test"));
    }
}

#[test]
fn subdomains_come_along_if_it_says_so_and_max_age_0_takes_it_back() {
    for wire in TLS {
        let web = Web::on(wire);
        let session = UrlSession::new(web.configuration.clone());
        web.visit(&session, "site.test", "max-age=1000; includeSubDomains");
        assert!(web.is_upgraded(&session, "www.site.test") && !web.is_upgraded(&session, "other.test"));
        web.visit(&session, "site.test", "max-age=0");
        assert!(!web.is_upgraded(&session, "www.site.test") && !web.is_upgraded(&session, "site.test"));
    }
}

#[test]
fn an_answer_that_wants_a_login_is_heeded_whatever_the_next_one_says() {
    for wire in TLS {
        let web = Web::on(wire);
        let session = UrlSession::new(web.configuration.clone());
        let wants = Reply::new(401).header("WWW-Authenticate", "Basic realm=\"x\"");
        web.origin.enqueue("/Peru", wants.header(FIELD, "max-age=60"));
        web.origin.enqueue("/Peru", Reply::new(200).body("Lima"));
        let url = web.url("https", "site.test").replace("://", "://ann:secret@");
        let (body, _) = session.data(url).wait().unwrap();
        assert_eq!(body, "Lima");
        assert!(web.is_upgraded(&session, "site.test"));
    }
}

#[test]
fn an_upgrade_is_no_redirect_and_the_current_request_shows_it() {
    for wire in TLS {
        let web = Web::on(wire);
        let (session, recorder) = with_recorder(web.configuration.clone(), Recorder::new());
        web.visit(&session, "site.test", "max-age=1000");
        let (task, result) = load_with_task(&session, web.url("http", "site.test"));
        assert_eq!(result.unwrap().0, "Lima");
        let upgraded = web.url("https", "site.test");
        assert_eq!(task.current_request().unwrap().url().as_str(), upgraded);
        assert_eq!(task.original_request().unwrap().url().scheme(), "http");
        let metrics = task.metrics().unwrap();
        assert_eq!((metrics.redirect_count, metrics.transaction_metrics.len()), (0, 1));
        assert_eq!(metrics.transaction_metrics[0].request.url().as_str(), upgraded);
        drop(recorder);
    }
}

#[test]
fn each_hop_of_a_redirect_is_upgraded() {
    let web = Web::on(Wire::TlsH1);
    let session = UrlSession::new(web.configuration.clone());
    web.visit(&session, "site.test", "max-age=1000");
    let down = web.url("http", "site.test");
    web.origin.enqueue("/from", Reply::new(302).header("Location", &*down));
    let from = web.url("https", "other.test").replace("Peru", "from");
    let (data, response) = session.data(from).wait().unwrap();
    assert_eq!((&data[..], response.url().scheme()), (&b"Lima"[..], "https"));
}

#[test]
fn registries_that_demand_tls_are_known_without_a_visit() {
    for wire in TLS {
        let web = Web::on(wire);
        assert!(web.is_upgraded(&UrlSession::new(web.configuration.clone()), "shop.dev"));
        let without = web.configuration.clone().hsts_storage(None);
        assert!(!web.is_upgraded(&UrlSession::new(without), "shop.dev"));
    }
}

#[test]
fn cleartext_and_addresses_teach_nothing_and_the_first_field_alone_counts() {
    let plain = Origin::start(Wire::H1);
    let mut configuration = configuration(&plain);
    configuration.app_transport_security.allows_arbitrary_loads = true;
    configuration.environment.resolver = Arc::new(Everywhere(plain.addr()));
    let session = UrlSession::new(configuration.clone());
    let url = format!("http://site.test:{}/Peru", plain.port());
    for _ in 0..2 {
        plain.enqueue("/Peru", Reply::new(200).header(FIELD, "max-age=1000").body("x"));
        assert_eq!(session.data(&*url).wait().unwrap().1.url().scheme(), "http");
    }

    let web = Web::on(Wire::TlsH1);
    let session = UrlSession::new(web.configuration.clone());
    web.visit(&session, "127.0.0.1", "max-age=1000; includeSubDomains");
    assert!(!web.configuration.hsts_storage.as_ref().unwrap().is_known_host("127.0.0.1"));
    let two = Reply::new(200).header(FIELD, "nonsense").header(FIELD, "max-age=1000");
    web.origin.enqueue("/Peru", two);
    session.data(web.url("https", "site.test")).wait().unwrap();
    assert!(!web.is_upgraded(&session, "site.test"));
}

#[test]
fn a_server_that_only_the_delegate_trusts_teaches_nothing_and_a_known_host_cannot_be_trusted_so() {
    let mut web = Web::on(Wire::TlsH1);
    let strict = UrlSession::new(web.configuration.clone());
    web.configuration.additional_trust_anchors.clear();
    web.configuration.app_transport_security = AppTransportSecurity::default().allows_arbitrary_loads(true);
    let session = UrlSession::new(web.configuration.clone());
    web.origin.enqueue("/Peru", Reply::new(200).header(FIELD, "max-age=1000").body("Lima"));
    let https = web.url("https", "site.test");
    assert_eq!(session.data(&*https).delegate(Trusting).wait().unwrap().0, "Lima");
    assert!(!web.configuration.hsts_storage.as_ref().unwrap().is_known_host("site.test"));

    web.visit(&strict, "site.test", "max-age=1000");
    let fresh = UrlSession::new(web.configuration.clone());
    let error = fresh.data(&*https).delegate(Trusting).wait().unwrap_err();
    assert_eq!(error.code(), unknown_root());
    assert!(error.to_string().contains(FIELD), "{error}");
}

#[test]
fn a_session_flushes_and_resets_its_store() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hsts.db");
    let web = Web::on(Wire::TlsH1);
    let storage = HstsStorage::at(&path);
    let configuration = web.configuration.clone().hsts_storage(storage.clone());
    let session = UrlSession::new(configuration);
    web.visit(&session, "site.test", "max-age=100000");
    block_on(session.flush());
    assert!(path.exists() && storage.is_known_host("site.test"));
    block_on(session.reset());
    assert!(!storage.is_known_host("site.test"));
}

#[test]
fn the_first_cleartext_url_of_a_run_is_upgraded_if_an_earlier_run_learned_of_its_host() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("below")).unwrap();
    for wire in TLS {
        let web = Web::on(wire);
        let with =
            |path: &str| web.configuration.clone().hsts_storage(HstsStorage::at(folder.path().join(path)));
        let session = UrlSession::new(with("hsts.db"));
        web.visit(&session, "site.test", "max-age=100000");
        block_on(session.flush());
        // The same file by another path: a store of its own, as in another process.
        let later = UrlSession::new(with("below/../hsts.db"));
        assert!(web.is_upgraded(&later, "site.test") && !web.is_upgraded(&later, "other.test"));
    }
}
