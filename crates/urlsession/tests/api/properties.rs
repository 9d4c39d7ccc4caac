//! Single properties that no test of a larger behaviour is about: what requests, cookies, credentials, stores and codes
//! say. Those of loads have a file of their own.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use urlsession::authentication::{
    AuthenticationMethod, UrlAuthenticationChallenge, UrlCredential, UrlCredentialPersistence as Persistence,
    UrlCredentialStorage, UrlProtectionSpace, UrlProtectionSpaceProtocol,
};
use urlsession::block_on;
use urlsession::cache::{CachedUrlResponse, UrlCache};
use urlsession::cookies::{
    HttpCookie, HttpCookiePropertyKey as Key, HttpCookieStorage, HttpCookieStringPolicy,
};
use urlsession::network::{Attribution, NetworkServiceType};
use urlsession::{
    CachePolicy, Configuration, HeaderMap, HttpUrlResponse, Phase, UrlError, UrlErrorCode, UrlRequest,
    UrlResponse, UrlSession, Version,
};

use crate::support::*;

/// Everything about `request` that is no URL, field or body.
fn policies(
    request: &UrlRequest,
) -> (CachePolicy, Option<Duration>, NetworkServiceType, Attribution, Vec<bool>) {
    let flags = vec![
        request.allows_cellular_access(),
        request.allows_expensive_network_access(),
        request.allows_constrained_network_access(),
        request.allows_ultra_constrained_network_access(),
        request.http_should_handle_cookies(),
        request.assumes_http3_capable(),
        request.requires_dnssec_validation(),
        request.allows_persistent_dns(),
        request.http_should_use_pipelining(),
    ];
    let timeout = request.timeout_interval();
    (request.cache_policy(), timeout, request.network_service_type(), request.attribution(), flags)
}

type Change = fn(&mut UrlRequest);

/// One after the other, so that no setter is taken for another.
#[test]
fn a_request_begins_with_apples_policies_and_tells_those_it_was_given() {
    let fresh = || UrlRequest::new("http://localhost/".parse().unwrap());
    let of_apple = vec![true, true, true, true, true, false, false, false, false];
    let expected = (
        CachePolicy::UseProtocolCachePolicy,
        None,
        NetworkServiceType::Default,
        Attribution::Developer,
        of_apple,
    );
    assert_eq!(policies(&fresh()), expected);
    assert_eq!((fresh().main_document_url(), fresh().cookie_partition_identifier()), (None, None));
    let changes: [Change; 9] = [
        |it| it.set_allows_cellular_access(false),
        |it| it.set_allows_expensive_network_access(false),
        |it| it.set_allows_constrained_network_access(false),
        |it| it.set_allows_ultra_constrained_network_access(false),
        |it| it.set_http_should_handle_cookies(false),
        |it| it.set_assumes_http3_capable(true),
        |it| it.set_requires_dnssec_validation(true),
        |it| it.set_allows_persistent_dns(true),
        |it| it.set_http_should_use_pipelining(true),
    ];
    for (at, change) in changes.into_iter().enumerate() {
        let mut request = fresh();
        change(&mut request);
        let mut expected = expected.clone();
        expected.4[at] = !expected.4[at];
        assert_eq!(policies(&request), expected, "{at}");
    }
    let mut request = fresh();
    request.set_cache_policy(CachePolicy::ReloadRevalidatingCacheData);
    request.set_timeout_interval(Duration::from_millis(1500));
    request.set_network_service_type(NetworkServiceType::Voice);
    request.set_attribution(Attribution::User);
    request.set_cookie_partition_identifier(Some("https://example.com"));
    // What a task says of its request is no less.
    let task = UrlSession::shared().data_task(&request);
    for request in [request, (*task.original_request().unwrap()).clone()] {
        assert_eq!(
            policies(&request),
            (
                CachePolicy::ReloadRevalidatingCacheData,
                Some(Duration::from_millis(1500)),
                NetworkServiceType::Voice,
                Attribution::User,
                expected.4.clone()
            )
        );
        assert_eq!(request.cookie_partition_identifier(), Some("https://example.com"));
    }
}

#[test]
fn codes_have_apples_numbers() {
    use UrlErrorCode as C;
    let numbers = [
        (C::Unknown, -1),
        (C::Cancelled, -999),
        (C::BadUrl, -1000),
        (C::TimedOut, -1001),
        (C::UnsupportedUrl, -1002),
        (C::CannotFindHost, -1003),
        (C::CannotConnectToHost, -1004),
        (C::NetworkConnectionLost, -1005),
        (C::DnsLookupFailed, -1006),
        (C::HttpTooManyRedirects, -1007),
        (C::ResourceUnavailable, -1008),
        (C::NotConnectedToInternet, -1009),
        (C::RedirectToNonExistentLocation, -1010),
        (C::BadServerResponse, -1011),
        (C::UserCancelledAuthentication, -1012),
        (C::UserAuthenticationRequired, -1013),
        (C::ZeroByteResource, -1014),
        (C::CannotDecodeRawData, -1015),
        (C::CannotDecodeContentData, -1016),
        (C::CannotParseResponse, -1017),
        (C::InternationalRoamingOff, -1018),
        (C::CallIsActive, -1019),
        (C::DataNotAllowed, -1020),
        (C::RequestBodyStreamExhausted, -1021),
        (C::AppTransportSecurityRequiresSecureConnection, -1022),
        (C::FileDoesNotExist, -1100),
        (C::FileIsDirectory, -1101),
        (C::NoPermissionsToReadFile, -1102),
        (C::DataLengthExceedsMaximum, -1103),
        (C::FileOutsideSafeArea, -1104),
        (C::SecureConnectionFailed, -1200),
        (C::ServerCertificateHasBadDate, -1201),
        (C::ServerCertificateUntrusted, -1202),
        (C::ServerCertificateHasUnknownRoot, -1203),
        (C::ServerCertificateNotYetValid, -1204),
        (C::ClientCertificateRejected, -1205),
        (C::ClientCertificateRequired, -1206),
        (C::CannotLoadFromNetwork, -2000),
        (C::CannotCreateFile, -3000),
        (C::CannotOpenFile, -3001),
        (C::CannotCloseFile, -3002),
        (C::CannotWriteToFile, -3003),
        (C::CannotRemoveFile, -3004),
        (C::CannotMoveFile, -3005),
        (C::DownloadDecodingFailedMidStream, -3006),
        (C::DownloadDecodingFailedToComplete, -3007),
    ];
    for (code, number) in numbers {
        assert_eq!(code.number(), number, "{code:?}");
        let error = UrlError::new(code, Phase::Body, "why");
        let sentence = if code == C::Unknown { String::from("why (-1)") } else { error.to_string() };
        assert!(!code.sentence().is_empty() && sentence.contains(&format!("({number})")), "{sentence}");
    }
    let mut sentences: Vec<_> = C::ALL.iter().map(|code| code.sentence()).collect();
    sentences.sort_unstable();
    sentences.dedup();
    assert_eq!(sentences.len(), C::ALL.len(), "two codes read the same");
}

const PLAIN: [(Key, &str); 4] =
    [(Key::Name, "a"), (Key::Value, "b"), (Key::Path, "/"), (Key::Domain, "localhost")];

fn cookie(more: &[(Key, &str)]) -> HttpCookie {
    HttpCookie::new(PLAIN.iter().chain(more).copied()).unwrap()
}

#[test]
fn properties_of_a_cookie_say_its_version_its_site_policy_and_who_made_it() {
    let plain = cookie(&[]);
    assert_eq!((plain.version(), plain.same_site_policy(), plain.is_set_by_javascript()), (0, None, false));
    assert_eq!(plain.port_list(), None);
    assert!(!plain.is_secure() && plain.is_session_only() && !plain.is_http_only());
    let lasting = cookie(&[(Key::Secure, "TRUE"), (Key::MaximumAge, "60")]);
    assert!(lasting.is_secure() && !lasting.is_session_only());
    let url = "https://localhost/".parse().unwrap();
    let hidden = HttpCookie::cookies_with_response_header_fields([("Set-Cookie", "a=b; HttpOnly")], &url);
    assert!(hidden[0].is_http_only());
    let full = cookie(&[
        (Key::Version, "1"),
        (Key::SameSitePolicy, "lax"),
        (Key::SetByJavaScript, "TRUE"),
        (Key::Port, "80,443"),
    ]);
    assert_eq!(full.version(), 1);
    assert_eq!(full.same_site_policy(), Some(HttpCookieStringPolicy::SameSiteLax));
    assert!(full.is_set_by_javascript());
    assert_eq!(full.port_list(), Some(&[80, 443][..]), "a version 0 cookie has the first only");
    let strict = cookie(&[(Key::SameSitePolicy, "Strict")]);
    assert_eq!(strict.same_site_policy(), Some(HttpCookieStringPolicy::SameSiteStrict));
    // What a cookie was made with, it can be asked for.
    let properties = full.properties();
    for (key, value) in
        [(Key::Version, "1"), (Key::SetByJavaScript, "TRUE"), (Key::Port, "80,443"), (Key::Path, "/")]
    {
        assert!(properties.contains(&(key, value.to_owned())), "{key:?}: {properties:?}");
    }
}

#[test]
fn a_cookie_made_of_properties_is_withheld_from_pages_of_another_site_as_its_policy_says() {
    on_every_wire(|origin| {
        let session = session(origin);
        let storage = session.configuration().http_cookie_storage.unwrap();
        let url = origin.url("/Peru").replace("127.0.0.1", "localhost");
        for (policy, is_sent) in [(None, true), (Some("lax"), false), (Some("strict"), false)] {
            let policy: Vec<_> = policy.into_iter().map(|policy| (Key::SameSitePolicy, policy)).collect();
            storage.set_cookie(cookie(&policy));
            let mut embedded = UrlRequest::new(url.parse().unwrap());
            load(&session, &embedded).unwrap();
            assert_eq!(origin.requests().last().unwrap().header("cookie"), Some("a=b"), "{policy:?}");
            embedded.set_main_document_url(Some("https://www.example.com/".parse().unwrap()));
            load(&session, &embedded).unwrap();
            assert_eq!(origin.requests().last().unwrap().header("cookie").is_some(), is_sent, "{policy:?}");
        }
    });
}

#[test]
fn a_cache_has_the_capacities_it_was_given_and_those_it_was_set_to() {
    let folder = tempfile::tempdir().unwrap();
    let cache = UrlCache::new(1000, 3_000_000, Some(folder.path().to_owned()));
    assert_eq!((cache.memory_capacity(), cache.disk_capacity()), (1000, 3_000_000));
    cache.set_memory_capacity(2000);
    cache.set_disk_capacity(4_000_000);
    assert_eq!((cache.memory_capacity(), cache.disk_capacity()), (2000, 4_000_000));
    let private = Configuration::ephemeral().url_cache.unwrap();
    assert_eq!((private.memory_capacity(), private.disk_capacity()), (4 << 20, 0));
    private.set_disk_capacity(1 << 20);
    assert_eq!(private.disk_capacity(), 0, "it has no folder");
}

#[test]
fn a_credential_for_one_method_or_protocol_is_none_for_another() {
    use AuthenticationMethod as M;
    use UrlProtectionSpaceProtocol as P;
    let methods = [
        M::Default,
        M::HttpBasic,
        M::HttpDigest,
        M::HtmlForm,
        M::Ntlm,
        M::Negotiate,
        M::ClientCertificate,
        M::ServerTrust,
    ];
    let spaces = methods.into_iter().flat_map(|method| {
        [P::Http, P::Https]
            .map(|protocol| UrlProtectionSpace::new("example.com", 7, protocol, Some("r"), method))
    });
    let spaces: Vec<_> = spaces.collect();
    let storage = UrlCredentialStorage::ephemeral();
    for (number, space) in spaces.iter().enumerate() {
        assert_eq!(storage.default_credential(space), None, "{space:?}");
        let user = format!("user {number}");
        storage.set_default_credential(&UrlCredential::new(&user, "pw", Persistence::ForSession), space);
    }
    for (number, space) in spaces.iter().enumerate() {
        let credential = storage.default_credential(space).unwrap();
        assert_eq!(credential.user(), Some(&*format!("user {number}")), "{space:?}");
    }
    assert_eq!(storage.all_credentials().len(), 2 * methods.len());
}

#[test]
fn a_credential_has_a_password_only_if_it_was_given_one() {
    assert!(UrlCredential::new("ann", "pw", Persistence::None).has_password());
    let identity = UrlCredential::with_identity(vec![vec![1]], vec![2], Persistence::Permanent);
    assert!(!identity.has_password());
    assert_eq!(identity.persistence(), Persistence::Permanent);
}

#[test]
fn a_challenge_made_by_hand_says_what_it_was_made_of() {
    let space = UrlProtectionSpace::new(
        "example.com",
        8080,
        UrlProtectionSpaceProtocol::Http,
        Some("realm"),
        AuthenticationMethod::HttpDigest,
    );
    let credential = UrlCredential::new("ann", "pw", Persistence::ForSession);
    let url = "http://example.com:8080/".parse().unwrap();
    let response: UrlResponse =
        HttpUrlResponse::new(url, 401, Version::HTTP_11, &HeaderMap::new()).unwrap().into();
    let error = UrlError::new(UrlErrorCode::UserAuthenticationRequired, Phase::Head, "refused");
    let challenge = UrlAuthenticationChallenge::new(
        space.clone(),
        Some(credential.clone()),
        2,
        Some(response.clone()),
        Some(error),
    );
    assert_eq!((challenge.protection_space(), challenge.previous_failure_count()), (&space, 2));
    assert_eq!(challenge.proposed_credential(), Some(&credential));
    assert_eq!(challenge.failure_response(), Some(&response));
    assert_eq!(challenge.error().map(UrlError::code), Some(UrlErrorCode::UserAuthenticationRequired));
    assert_eq!((space.host(), space.port(), space.realm()), ("example.com", 8080, Some("realm")));
    assert_eq!(space.protocol(), Some(UrlProtectionSpaceProtocol::Http));
    assert!(!space.is_proxy() && space.proxy_type().is_none() && space.server_trust().is_none());
}

/// What is kept, by whoever keeps it.
fn kept(of: &Configuration) -> (usize, bool, usize) {
    (
        of.http_cookie_storage.as_ref().unwrap().cookies().len(),
        of.url_cache.as_ref().unwrap().cached_response(&kept_request()).is_some(),
        of.url_credential_storage.as_ref().unwrap().all_credentials().len(),
    )
}

fn kept_request() -> UrlRequest {
    UrlRequest::new("http://kept.test/".parse().unwrap())
}

/// Runs one of the helpers below in a process whose user has these folders.
fn run_at(helper: &str, folder: &Path) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--ignored", "--exact", "--nocapture", &format!("properties::{helper}")]);
    command.env("HOME", folder).env("LOCALAPPDATA", folder).env_remove("URLSESSION_APPLICATION_ID");
    command.env("XDG_DATA_HOME", folder.join("data")).env("XDG_CACHE_HOME", folder.join("cache"));
    let output = command.output().unwrap();
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

#[test]
fn configurations_share_the_applications_stores_unless_they_are_ephemeral() {
    let folder = tempfile::tempdir().unwrap();
    run_at("helper_fills_the_shared_stores", folder.path());
    run_at("helper_finds_the_shared_stores_filled", folder.path());
}

#[test]
#[ignore = "run by configurations_share_the_applications_stores_unless_they_are_ephemeral, in a process of its own"]
fn helper_fills_the_shared_stores() {
    let (cookies, cache, credentials) =
        (HttpCookieStorage::shared(), UrlCache::shared(), UrlCredentialStorage::shared());
    let fields = [("Cache-Control", "max-age=3600")];
    let response = HttpUrlResponse::new("http://kept.test/".parse().unwrap(), 200, Version::HTTP_11, fields);
    let space = UrlProtectionSpace::new(
        "kept.test",
        80,
        UrlProtectionSpaceProtocol::Http,
        Some("r"),
        AuthenticationMethod::HttpBasic,
    );
    assert_eq!(kept(&Configuration::default()), (0, false, 0));
    cookies.set_cookie(cookie(&[(Key::MaximumAge, "3600")]));
    cache.store_cached_response(&CachedUrlResponse::new(response.unwrap(), "kept"), &kept_request());
    // A permanent one may be for the keyring of whoever runs this.
    credentials.set(&UrlCredential::new("ann", "pw", Persistence::ForSession), &space);
    assert_eq!(kept(&Configuration::default()), (1, true, 1));
    assert_eq!(kept(&UrlSession::shared().configuration()), (1, true, 1));
    assert_eq!(kept(&Configuration::ephemeral()), (0, false, 0));
    // Each ephemeral configuration has its own, and those made of it have the same.
    let ephemeral = Configuration::ephemeral();
    let same = UrlSession::new(ephemeral.clone()).configuration();
    ephemeral.http_cookie_storage.unwrap().set_cookie(cookie(&[]));
    ephemeral
        .url_credential_storage
        .unwrap()
        .set(&UrlCredential::new("eve", "pw", Persistence::ForSession), &space);
    assert_eq!(kept(&same), (1, false, 1));
    assert_eq!(kept(&Configuration::ephemeral()), (0, false, 0));
    assert!(cache.current_disk_usage() > 0);
    block_on(UrlSession::shared().flush());
}

#[test]
#[ignore = "run by configurations_share_the_applications_stores_unless_they_are_ephemeral, in a process of its own"]
fn helper_finds_the_shared_stores_filled() {
    assert_eq!(kept(&Configuration::default()), (1, true, 0));
    assert_eq!(kept(&Configuration::ephemeral()), (0, false, 0));
}
