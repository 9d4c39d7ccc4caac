//! Certificate transparency (RFC 6962): what logs must have signed for before a server is trusted.

use std::time::{Duration, SystemTime};

use urlsession::security::{AppTransportSecurity, CertificateTransparencyLog, ExceptionDomain};
use urlsession::{
    Configuration, DelegateQueue, SessionDelegate, TaskDelegate, UrlError, UrlErrorCode, UrlSession,
};
use urlsession_testkit::{
    After, Certificate, Origin, Reply, TestAuthority, TestLog, Wire, stapled_timestamps,
};

use crate::support::*;

const NAME: [&str; 1] = ["localhost"];
const HOUR: Duration = Duration::from_secs(60 * 60);

/// Certificates must be in two of these logs.
fn requiring(origin: &Origin, logs: &[&TestLog]) -> Configuration {
    let logs = logs.iter().map(|log| CertificateTransparencyLog::new(log.public_key_der()));
    let app_transport_security = AppTransportSecurity::default()
        .requires_certificate_transparency(true)
        .certificate_transparency_logs(logs);
    configuration(origin).app_transport_security(app_transport_security)
}

fn origin(certificate: Certificate) -> Origin {
    Origin::builder().wire(Wire::TlsH1).certificate(certificate).start()
}

fn loads(configuration: Configuration, origin: &Origin) -> Result<(), UrlError> {
    UrlSession::new(configuration).data(origin.url("/Peru")).wait().map(|(data, _)| assert_eq!(data, "Lima"))
}

fn is_refused(result: Result<(), UrlError>) {
    let error = result.unwrap_err();
    assert_eq!(error.code(), UrlErrorCode::ServerCertificateUntrusted, "{error}");
    assert!(error.to_string().contains("certificate_transparency_logs"), "{error}");
}

#[test]
fn a_certificate_must_be_in_two_logs_or_three_if_it_is_valid_for_long() {
    let authority = TestAuthority::new();
    let (a, b, c) = (TestLog::new(), TestLog::new(), TestLog::new());
    let all = [&a, &b, &c];
    for (days, logs, is_enough) in [
        (90, &[&a, &b][..], true),
        (90, &[&a], false),
        (90, &[&a, &a], false),
        (90, &[], false),
        (400, &[&a, &b], false),
        (400, &[&c, &b, &a], true),
    ] {
        let origin = origin(authority.logged_leaf(&NAME, days, logs));
        match (is_enough, loads(requiring(&origin, &all), &origin)) {
            (true, result) => result.unwrap(),
            (false, result) => is_refused(result),
        }
        assert!(loads(configuration(&origin), &origin).is_ok(), "nobody wants it to be in logs");
    }
}

#[test]
fn only_the_logs_of_the_configuration_count_and_only_until_they_are_retired() {
    let (a, b, stranger) = (TestLog::new(), TestLog::new(), TestLog::new());
    let origin = origin(TestAuthority::new().logged_leaf(&NAME, 90, &[&a, &stranger, &b]));
    is_refused(loads(requiring(&origin, &[]), &origin));
    is_refused(loads(requiring(&origin, &[&a]), &origin));
    let mut configuration = requiring(&origin, &[&a, &b]);
    loads(configuration.clone(), &origin).unwrap();
    for (retired, is_too_early) in [(SystemTime::now(), false), (SystemTime::now() - 2 * HOUR, true)] {
        configuration.app_transport_security.certificate_transparency_logs[1].retired = Some(retired);
        assert_eq!(loads(configuration.clone(), &origin).is_err(), is_too_early);
    }
}

#[test]
fn a_domain_with_a_rule_of_its_own_goes_by_that() {
    let origin = origin(TestAuthority::new().leaf(&NAME));
    let mut configuration = requiring(&origin, &[]);
    let mut rule = ExceptionDomain::new("localhost");
    configuration.app_transport_security.exception_domains = vec![rule.clone()];
    loads(configuration.clone(), &origin).unwrap();
    rule.requires_certificate_transparency = true;
    configuration.app_transport_security.exception_domains = vec![rule];
    configuration.app_transport_security.requires_certificate_transparency = false;
    is_refused(loads(configuration, &origin));
}

#[test]
fn signatures_may_be_stapled_and_must_be_of_the_certificate_and_not_of_the_future() {
    let (a, b) = (TestLog::new(), TestLog::new());
    let leaf = TestAuthority::new().leaf(&NAME);
    let other = TestAuthority::new().leaf(&NAME);
    let stapling = |certificate: &Certificate, at: SystemTime| {
        let signed = [&a, &b].map(|log| log.sign_certificate(&certificate.chain_der()[0], at));
        Origin::builder()
            .wire(Wire::TlsH1)
            .certificate(leaf.clone())
            .ocsp_response(stapled_timestamps(&signed))
            .start()
    };
    let now = SystemTime::now();
    for (certificate, at, is_good) in [(&leaf, now, true), (&other, now, false), (&leaf, now + HOUR, false)] {
        let origin = stapling(certificate, at);
        match (is_good, loads(requiring(&origin, &[&a, &b]), &origin)) {
            (true, result) => result.unwrap(),
            (false, result) => is_refused(result),
        }
    }
}

/// Leaves all challenges to the platform, and so has a resumed session judged again.
struct Asked;

impl TaskDelegate for Asked {}

impl SessionDelegate for Asked {}

#[test]
fn a_resumed_session_to_which_nothing_is_stapled_is_judged_by_what_was() {
    let (a, b) = (TestLog::new(), TestLog::new());
    let leaf = TestAuthority::new().leaf(&NAME);
    let signed = [&a, &b].map(|log| log.sign_certificate(&leaf.chain_der()[0], SystemTime::now()));
    let staple = stapled_timestamps(&signed);
    let origin = Origin::builder().wire(Wire::TlsH1).certificate(leaf).ocsp_response(staple).start();
    let configuration = requiring(&origin, &[&a, &b]);
    let session =
        UrlSession::with_delegate(configuration, std::sync::Arc::new(Asked), DelegateQueue::serial());
    for _ in 0..2 {
        origin.enqueue("/a", Reply::new(200).body("x").then(After::Close));
        session.data(origin.url("/a")).wait().unwrap();
    }
    assert!(origin.requests()[1].tls.as_ref().unwrap().resumed);
}

#[test]
fn a_log_whose_key_is_none_is_an_error_that_says_so() {
    let origin = Origin::start(Wire::TlsH1);
    let mut configuration = requiring(&origin, &[]);
    configuration.app_transport_security.certificate_transparency_logs =
        vec![CertificateTransparencyLog::new(vec![0x30, 1, 2])];
    let error = loads(configuration, &origin).unwrap_err();
    assert_eq!(error.code(), UrlErrorCode::SecureConnectionFailed);
    assert!(error.to_string().contains("key of a log"), "{error}");
}
