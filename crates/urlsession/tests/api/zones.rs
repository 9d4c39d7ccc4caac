//! One IPv6 address in two zones is two hosts: what was given, learned or decided for one serves no other.

use std::future::{Future, ready};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use urlsession::authentication::{
    AuthChallengeDisposition as Disposition, AuthenticationMethod as Method, UrlAuthenticationChallenge,
    UrlCredential, UrlCredentialPersistence as Persistence, UrlCredentialStorage, UrlProtectionSpace,
    UrlProtectionSpaceProtocol as Protocol,
};
use urlsession::cookies::{HttpCookie, HttpCookiePropertyKey};
use urlsession::environment::{Dial, Interface, Resolve, Socket};
use urlsession::uploads::UploadServerStorage;
use urlsession::{
    Configuration, Decision, DownloadDestination, IntoUrlRequest, UrlErrorCode, UrlRequest, UrlSession,
};
use urlsession_testkit::{After, Origin, Reply, Request, TestAuthority, Wire};

use crate::scoped_trust::with_session_delegate;
use crate::support::ranges::{Ranges, content, whole};
use crate::support::*;

type Reached<T> = Pin<Box<dyn Future<Output = io::Result<T>> + Send>>;

/// Leads every address to one server, and remembers it.
struct Led(SocketAddr, Mutex<Vec<SocketAddr>>);

impl Dial for Led {
    fn dial(&self, address: SocketAddr, _: Option<&Interface>) -> Option<Reached<Socket>> {
        self.1.lock().unwrap().push(address);
        let origin = self.0;
        Some(Box::pin(async move {
            let stream = tokio::net::TcpStream::connect(origin).await?;
            Ok(Socket::new(stream))
        }))
    }
}

impl Led {
    /// The addresses and scopes that were dialled.
    fn dialled(&self) -> Vec<(String, u32)> {
        let dialled = self.1.lock().unwrap().clone();
        let parts = dialled.iter().map(|address| match address {
            SocketAddr::V6(address) => (address.ip().to_string(), address.scope_id()),
            SocketAddr::V4(address) => panic!("{address}"),
        });
        parts.collect()
    }

    fn scopes(&self) -> Vec<u32> {
        self.dialled().into_iter().map(|(_, scope)| scope).collect()
    }
}

/// Nobody has to be asked for an address.
struct Never;

impl Resolve for Never {
    fn resolve(&self, host: &str, _: u16) -> Option<Reached<Vec<SocketAddr>>> {
        panic!("{host} was looked up");
    }
}

/// A configuration in which every address is the origin's.
fn led(origin: &Origin) -> (Configuration, Arc<Led>) {
    let led = Arc::new(Led(origin.addr(), Mutex::default()));
    let mut configuration = configuration(origin);
    configuration.app_transport_security.allows_arbitrary_loads = true;
    configuration.environment.resolver = Arc::new(Never);
    configuration.environment.dialler = led.clone();
    (configuration, led)
}

/// A session in which every address is the origin's.
fn session_led(origin: &Origin) -> (UrlSession, Arc<Led>) {
    let (configuration, led) = led(origin);
    (UrlSession::new(configuration), led)
}

/// An origin that proves itself at the address.
fn at_address(wire: Wire) -> Origin {
    let certificate = TestAuthority::new().leaf(&["fe80::1"]);
    Origin::builder().wire(wire).certificate(certificate).start()
}

fn scheme(origin: &Origin) -> &'static str {
    if origin.wire() == Wire::H1 { "http" } else { "https" }
}

/// A URL of the address, without a zone.
fn global(origin: &Origin, path: &str) -> String {
    format!("{}://[fe80::1]:81{path}", scheme(origin))
}

/// The same in the zone with this number.
fn zoned(origin: &Origin, zone: u32, path: &str) -> String {
    format!("{}://[fe80::1%25{zone}]:81{path}", scheme(origin))
}

/// The field of each request so far.
fn sent(origin: &Origin, name: &str) -> Vec<Option<String>> {
    origin.requests().iter().map(|request| request.header(name).map(Into::into)).collect()
}

#[test]
fn the_zone_of_an_address_reaches_the_socket_and_nothing_else() {
    for wire in WIRES {
        let origin = at_address(wire);
        let (session, led) = session_led(&origin);
        let mut by_field = UrlRequest::new(global(&origin, "/Peru").parse().unwrap());
        by_field.set_zone_id(Some("4"));
        origin.enqueue("/there", Reply::new(302).header("Location", "/Peru"));
        for _ in 0..2 {
            assert_eq!(text(&load(&session, zoned(&origin, 3, "/Peru")).unwrap().0), "Lima");
        }
        load(&session, &by_field).unwrap();
        let (_, response) = load(&session, zoned(&origin, 5, "/there").replace("%25", "%")).unwrap();
        assert_eq!(response.url().as_str(), global(&origin, "/Peru"));
        let address = |scope| ("fe80::1".to_owned(), scope);
        assert_eq!(led.dialled(), [3, 4, 5].map(address), "a zone, a host");
        for request in origin.requests() {
            assert_eq!(request.authority.as_deref(), Some("[fe80::1]:81"));
        }
        if cfg!(target_os = "linux") {
            load(&session, format!("{}://[fe80::1%25lo]:81/Peru", scheme(&origin))).unwrap();
            assert_eq!(led.scopes().pop(), Some(1));
        }
    }
}

#[test]
fn errors_name_the_zone() {
    on(Wire::H1, |origin| {
        let (session, _) = session_led(origin);
        let error = load(&session, "http://[fe80::1%25no-such]:81/x").unwrap_err();
        assert_eq!(error.code(), UrlErrorCode::CannotFindHost);
        let said = error.to_string();
        assert!(said.contains("[fe80::1%no-such]:81/x"), "{said}");
        assert!(said.contains("\"no-such\" is no interface of this machine"), "{said}");

        struct Fails(io::ErrorKind);
        impl Dial for Fails {
            fn dial(&self, _: SocketAddr, _: Option<&Interface>) -> Option<Reached<Socket>> {
                Some(Box::pin(ready(Err(self.0.into()))))
            }
        }
        let failing = |kind| {
            let mut configuration = led(origin).0;
            configuration.environment.dialler = Arc::new(Fails(kind));
            UrlSession::new(configuration)
        };
        let error = load(&failing(io::ErrorKind::InvalidInput), global(origin, "/x")).unwrap_err();
        assert!(error.detail().contains("link-local address, which needs a zone"), "{error}");
        let error = load(&failing(io::ErrorKind::InvalidInput), zoned(origin, 3, "/x")).unwrap_err();
        assert_eq!(error.detail(), "no address of [fe80::1%3] answers on port 81");
        let error = load(&failing(io::ErrorKind::ConnectionRefused), zoned(origin, 3, "/x")).unwrap_err();
        assert_eq!(error.detail(), "[fe80::1%3] refuses connections on port 81");
        assert!(error.to_string().contains("at [fe80::1%3]:81/x "), "{error}");
        assert_eq!(error.failing_url().unwrap().as_str(), global(origin, "/x"));
    });
}

#[test]
fn a_redirect_stays_in_the_zone_with_its_host_only() {
    on(Wire::H1, |origin| {
        for (location, to) in [
            ("/Peru", Some(("fe80::1", 3))),
            ("http://[fe80::1]:81/Peru", Some(("fe80::1", 3))),
            ("http://[fe80::1]:82/Peru", Some(("fe80::1", 3))),
            ("http://[fe80::2]:81/Peru", Some(("fe80::2", 0))),
            ("http://[fe80::1%254]:81/Peru", None),
        ] {
            let (session, led) = session_led(origin);
            origin.enqueue("/there", Reply::new(302).header("Location", location).then(After::Close));
            let result = load(&session, zoned(origin, 3, "/there"));
            let last = led.dialled().pop().unwrap();
            match to {
                Some((address, scope)) => assert_eq!(last, (address.to_owned(), scope), "{location}"),
                None => {
                    let error = result.unwrap_err();
                    assert_eq!(error.code(), UrlErrorCode::RedirectToNonExistentLocation, "{error}");
                    assert_eq!(led.scopes(), [3]);
                }
            }
        }
    });
}

#[test]
fn cookies_are_neither_sent_to_a_host_in_a_zone_nor_taken_from_it() {
    on(Wire::H1, |origin| {
        let (configuration, _) = led(origin);
        let storage = configuration.http_cookie_storage.clone().unwrap();
        let session = UrlSession::new(configuration);
        for zone in [3, 4, 3] {
            origin.enqueue("/a", Reply::new(200).header("Set-Cookie", "of=zone"));
            load(&session, zoned(origin, zone, "/a")).unwrap();
        }
        assert_eq!(storage.cookies(), []);
        let cookie = HttpCookie::new([
            (HttpCookiePropertyKey::Name, "of"),
            (HttpCookiePropertyKey::Value, "address"),
            (HttpCookiePropertyKey::Domain, "[fe80::1]"),
            (HttpCookiePropertyKey::Path, "/"),
        ]);
        let cookie = cookie.unwrap();
        storage.set_cookie(cookie.clone());
        let (task, _) = load_with_task(&session, zoned(origin, 3, "/Peru"));
        assert_eq!(storage.cookies_for_task(&task), []);
        storage.delete_cookie(&cookie);
        storage.store_cookies_for_task([cookie.clone()], &task);
        assert_eq!(storage.cookies(), []);
        storage.set_cookie(cookie);
        load(&session, global(origin, "/Peru")).unwrap();
        assert_eq!(sent(origin, "cookie"), [None, None, None, None, Some("of=address".to_owned())]);
    });
}

#[test]
fn the_cache_has_nothing_for_a_host_in_a_zone_and_nothing_of_it() {
    on(Wire::H1, |origin| {
        let (mut configuration, _) = led(origin);
        configuration.shares_cacheable_loads = true;
        let cache = configuration.url_cache.clone().unwrap();
        let session = UrlSession::new(configuration);
        let says = |url: String| text(&load(&session, url).unwrap().0).to_owned();
        for (url, body) in [
            (zoned(origin, 3, "/a"), "three"),
            (zoned(origin, 4, "/a"), "four"),
            (zoned(origin, 3, "/a"), "three again"),
            (global(origin, "/a"), "nowhere"),
            (zoned(origin, 3, "/a"), "and three"),
        ] {
            origin.enqueue("/a", Reply::new(200).header("Cache-Control", "max-age=60").body(body));
            assert_eq!(says(url), body);
        }
        assert_eq!(says(global(origin, "/a")), "nowhere", "it was kept");
        let in_zone = zoned(origin, 3, "/a").into_url_request().unwrap();
        assert!(cache.cached_response(&in_zone).is_none());
        let mut change = in_zone;
        change.set_http_method("POST").unwrap();
        origin.enqueue("/a", Reply::new(200).header("Content-Location", "/a"));
        load(&session, &change).unwrap();
        assert_eq!(says(global(origin, "/a")), "nowhere", "another host has changed");
    });
}

fn ann() -> UrlCredential {
    UrlCredential::new("ann", "pw", Persistence::ForSession)
}

/// Asks for a password, unless the request has one.
fn asking(request: &Request) -> Reply {
    match request.header("authorization") {
        Some(_) => Reply::new(200).body("in"),
        None => Reply::new(401).header("WWW-Authenticate", "Basic realm=r"),
    }
}

#[test]
fn a_login_at_one_host_is_no_login_at_its_address_in_a_zone() {
    let origin = Origin::builder().wire(Wire::H1).handler(asking).start();
    let (mut configuration, _) = led(&origin);
    let storage = UrlCredentialStorage::ephemeral();
    configuration.url_credential_storage = Some(storage.clone());
    let give = |_: &UrlAuthenticationChallenge| Decision::now(Disposition::UseCredential(Some(ann())));
    let (session, recorder) = with_recorder(configuration, Recorder::new().answering(give));
    let load = |url: String| {
        session.data_task(url).resume();
        let count = recorder.log().completions.len();
        recorder.wait_for(|log| log.completions.len() > count);
    };
    load(zoned(&origin, 3, "/"));
    assert!(storage.all_credentials().is_empty(), "{storage:?}");
    load(global(&origin, "/"));
    assert_eq!(storage.all_credentials().len(), 1);
    for host in ["[fe80::1%3]", "[fe80::1%4]"] {
        let space = UrlProtectionSpace::new(host, 81, Protocol::Http, Some("r"), Method::HttpBasic);
        storage.set_default_credential(&ann(), &space);
    }
    for zone in [3, 4, 3] {
        load(zoned(&origin, zone, "/"));
    }
    load(global(&origin, "/"));
    let challenges = recorder.log().challenges;
    let hosts: Vec<_> = challenges.iter().map(|challenge| challenge.protection_space().host()).collect();
    assert_eq!(hosts, ["[fe80::1%3]", "[fe80::1]", "[fe80::1%3]", "[fe80::1%4]", "[fe80::1%3]"]);
    assert!(challenges.iter().all(|challenge| challenge.proposed_credential().is_none()));
    let is_sent: Vec<_> = sent(&origin, "authorization").iter().map(Option::is_some).collect();
    let asked_first = [false, true].repeat(5);
    assert_eq!(is_sent, [asked_first, vec![true]].concat(), "only without a zone is a login remembered");
}

#[test]
fn a_password_in_the_url_is_for_its_zone_only() {
    let origin = Origin::builder().wire(Wire::H1).handler(asking).start();
    let (session, _) = session_led(&origin);
    let status = |url: String| load(&session, url).unwrap().1.status_code();
    assert_eq!(status(zoned(&origin, 3, "/").replace("://", "://ann:pw@")), Some(200));
    assert_eq!(status(zoned(&origin, 3, "/")), Some(401));
    assert_eq!(status(zoned(&origin, 4, "/")), Some(401));
    assert_eq!(status(global(&origin, "/")), Some(401));
}

#[test]
fn tls_sessions_of_an_address_are_not_resumed_in_a_zone() {
    for tls12_only in [false, true] {
        for has_delegate in [false, true] {
            let certificate = TestAuthority::new().leaf(&["fe80::1"]);
            let builder = Origin::builder().wire(Wire::TlsH1).certificate(certificate);
            let origin = builder.tls12_only(tls12_only).start();
            let (configuration, _) = led(&origin);
            let session = match has_delegate {
                true => with_recorder(configuration, Recorder::new()).0,
                false => UrlSession::new(configuration),
            };
            let closing = || origin.enqueue("/a", Reply::new(200).body("x").then(After::Close));
            for zone in [3, 4, 3] {
                closing();
                session.data(zoned(&origin, zone, "/a")).wait().unwrap();
            }
            for _ in 0..2 {
                closing();
                session.data(global(&origin, "/a")).wait().unwrap();
            }
            closing();
            session.data(zoned(&origin, 3, "/a")).wait().unwrap();
            let requests = origin.requests();
            let resumed: Vec<_> =
                requests.iter().map(|request| request.tls.as_ref().unwrap().resumed).collect();
            assert_eq!(resumed, [false, false, false, false, true, false]);
        }
    }
}

#[test]
fn trust_and_client_certificates_are_given_to_a_host_in_its_zone() {
    for wire in [Wire::TlsH1, Wire::TlsH2] {
        let certificate = TestAuthority::new().self_signed();
        let builder = Origin::builder().wire(wire).certificate(certificate);
        let origin = builder.require_client_certificate(true).start();
        let client = origin.authority().client("ann");
        let (mut configuration, _) = led(&origin);
        let storage = UrlCredentialStorage::ephemeral();
        configuration.url_credential_storage = Some(storage.clone());
        let identity = UrlCredential::with_identity(
            client.chain_der().to_vec(),
            client.key_der(),
            Persistence::ForSession,
        );
        for host in ["[fe80::1]", "[fe80::1%3]"] {
            let space = UrlProtectionSpace::new(host, 81, Protocol::Https, None, Method::ClientCertificate);
            storage.set_default_credential(&identity, &space);
        }
        let asked = Arc::new(Mutex::new(Vec::new()));
        let hears = asked.clone();
        let session = with_session_delegate(configuration, move |challenge| {
            let space = challenge.protection_space();
            hears.lock().unwrap().push((space.authentication_method(), space.host().to_owned()));
            assert!(challenge.proposed_credential().is_none());
            Decision::now(Disposition::UseCredential(Some(match space.server_trust() {
                Some(trust) => UrlCredential::for_trust(trust.clone()),
                None => identity.clone(),
            })))
        });
        for zone in [3, 4] {
            session.data(zoned(&origin, zone, "/Peru")).wait().unwrap();
            let asked = std::mem::take(&mut *asked.lock().unwrap());
            let host = format!("[fe80::1%{zone}]");
            assert!(asked.contains(&(Method::ServerTrust, host.clone())), "{asked:?}");
            assert!(asked.contains(&(Method::ClientCertificate, host.clone())), "{asked:?}");
            assert!(asked.iter().all(|(_, of)| *of == host), "{asked:?}");
        }
        in_tokio(session.reset());
    }
}

#[test]
fn a_server_that_wants_http_1_1_wants_it_in_its_zone() {
    let origin = at_address(Wire::TlsH2);
    let (session, _) = session_led(&origin);
    origin.enqueue("/Peru", Reply::new(200).h2_reset(13));
    for url in [zoned(&origin, 3, "/Peru"), zoned(&origin, 4, "/Peru"), global(&origin, "/Peru")] {
        load(&session, url).unwrap();
    }
    load(&session, zoned(&origin, 3, "/Peru")).unwrap();
    let wires: Vec<_> = origin.requests().iter().map(|request| request.wire).collect();
    assert_eq!(wires, [Wire::TlsH2, Wire::TlsH1, Wire::TlsH2, Wire::TlsH2, Wire::TlsH1]);
}

#[test]
fn a_download_goes_on_in_the_zone_where_it_began() {
    let ranges = Ranges::start(Wire::H1);
    let origin = &ranges.origin;
    let (session, led) = session_led(origin);
    ranges.then(|_| whole().truncate_at(1000));
    let data = session.download(zoned(origin, 3, "/file.bin")).wait().unwrap_err().resume_data().unwrap();
    let task = session.download_task_with_resume_data(data.clone());
    assert_eq!(task.original_request().unwrap().zone_id(), Some("3"));
    let (file, _) = session.download_resume_from(data).wait().unwrap();
    assert!(std::fs::read(file.path()).unwrap() == content());
    assert!(led.scopes().iter().all(|scope| *scope == 3), "{:?}", led.scopes());

    let folder = tempfile::tempdir().unwrap();
    let to = || DownloadDestination::file(folder.path().join("file.bin")).overwriting();
    let asked_from = |url: String| {
        session.download(url).to(to()).wait().unwrap();
        sent(origin, "range").pop().unwrap()
    };
    for (url, range) in [
        (zoned(origin, 3, "/file.bin"), Some("bytes=1000-")),
        (zoned(origin, 4, "/file.bin"), None),
        (global(origin, "/file.bin"), None),
    ] {
        ranges.then(|_| whole().truncate_at(1000));
        session.download(zoned(origin, 3, "/file.bin")).to(to()).wait().unwrap_err();
        assert_eq!(asked_from(url.clone()).as_deref(), range, "{url}");
    }
}

#[test]
fn how_a_server_in_a_zone_takes_uploads_is_not_kept() {
    let refusing = |request: &Request| match request.header("upload-draft-interop-version") {
        Some(_) => Reply::new(400),
        None => Reply::new(200),
    };
    let origin = Origin::builder().wire(Wire::H1).handler(refusing).start();
    let (mut configuration, _) = led(&origin);
    configuration.upload_server_storage = Some(UploadServerStorage::ephemeral());
    let session = UrlSession::new(configuration);
    let tries = |url: String| {
        let before = origin.requests().len();
        let mut request = url.into_url_request().unwrap();
        request.set_http_method("POST").unwrap();
        session.upload(request, "content").wait().unwrap();
        origin.requests().len() - before
    };
    assert_eq!([3, 4, 3].map(|zone| tries(zoned(&origin, zone, "/"))), [2, 2, 2]);
    assert_eq!([0; 2].map(|_| tries(global(&origin, "/"))), [2, 1]);
    assert_eq!(tries(zoned(&origin, 3, "/")), 2);
}
