//! Cookies of loads, as servers and applications see them. The rules by themselves are beside the store.

use std::time::Duration;

use urlsession::cookies::{
    HttpCookie, HttpCookieAcceptPolicy, HttpCookiePropertyKey as Key, HttpCookieStorage,
};
use urlsession::{Configuration, Url, UrlRequest, UrlSession};
use urlsession_testkit::{Origin, Reply, Wire};

use crate::support::*;

/// A session with a store of its own.
fn with_storage(origin: &Origin) -> (UrlSession, HttpCookieStorage) {
    let configuration = configuration(origin);
    let storage = configuration.http_cookie_storage.clone().unwrap();
    (UrlSession::new(configuration), storage)
}

/// The origin under a name that leads to it on every wire.
fn at(origin: &Origin, path: &str) -> String {
    origin.url(path).replace("127.0.0.1", "localhost")
}

fn url(origin: &Origin, path: &str) -> Url {
    at(origin, path).parse().unwrap()
}

/// Lets the origin set a cookie, on a path of that name.
fn visit(origin: &Origin, session: &UrlSession, path: &str, fields: &[&str]) {
    visit_with(origin, session, UrlRequest::new(url(origin, path)), fields);
}

fn visit_with(origin: &Origin, session: &UrlSession, request: UrlRequest, fields: &[&str]) {
    let reply = fields.iter().fold(Reply::new(200), |reply, field| reply.header("Set-Cookie", *field));
    origin.enqueue(request.url().path(), reply);
    load(session, request).unwrap();
}

/// What the next request for `path` sends as cookies.
fn sent(origin: &Origin, session: &UrlSession, path: &str) -> Option<String> {
    sent_with(origin, session, UrlRequest::new(url(origin, path)))
}

fn sent_with(origin: &Origin, session: &UrlSession, request: UrlRequest) -> Option<String> {
    load(session, request).unwrap();
    let last = origin.requests().pop().unwrap();
    let fields = last.header_all("cookie");
    (!fields.is_empty()).then(|| fields.join("; "))
}

fn pairs(storage: &HttpCookieStorage) -> Vec<String> {
    storage.cookies().iter().map(|cookie| format!("{}={}", cookie.name(), cookie.value())).collect()
}

#[test]
fn test_disable_cookies_storage() {
    on_every_wire(|origin| {
        let mut configuration = configuration(origin);
        configuration.http_cookie_accept_policy = HttpCookieAcceptPolicy::Never;
        let storage = configuration.http_cookie_storage.clone().unwrap();
        let request = request(&origin.url("/requestCookies"), "POST", None);
        let (_, response) = load(&UrlSession::new(configuration), request).unwrap();
        assert!(response.http().unwrap().value("Set-Cookie").is_some());
        assert_eq!(storage.cookies().len(), 0);
    });
}

#[test]
fn test_cookies_storage() {
    on_every_wire(|origin| {
        let (session, storage) = with_storage(origin);
        let request = request(&origin.url("/requestCookies"), "POST", None);
        let (_, response) = load(&session, request).unwrap();
        assert!(response.http().unwrap().value("Set-Cookie").is_some());
        assert_eq!(storage.cookies().len(), 1);
    });
}

#[test]
fn test_redirection_with_set_cookies() {
    on_every_wire(|origin| {
        let (session, _) = with_storage(origin);
        let (data, _) = load(&session, origin.url("/redirectToEchoHeaders")).unwrap();
        assert!(text(&data).to_ascii_lowercase().contains("cookie: redirect=true"), "{}", text(&data));
    });
}

#[test]
fn test_previously_set_cookies_are_sent_in_later_requests() {
    on_every_wire(|origin| {
        let (session, _) = with_storage(origin);
        load(&session, request(&origin.url("/requestCookies"), "POST", None)).unwrap();
        let (data, _) = load(&session, request(&origin.url("/echoHeaders"), "POST", None)).unwrap();
        assert!(text(&data).to_ascii_lowercase().contains("cookie: fr=anjd&232"), "{}", text(&data));
    });
}

#[test]
fn test_cookie_storage_for_ephemeral_configuration() {
    on_every_wire(|origin| {
        let configuration = configuration(origin);
        let session = UrlSession::new(configuration.clone());
        load(&session, request(&origin.url("/requestCookies"), "POST", None)).unwrap();
        assert_eq!(configuration.http_cookie_storage.unwrap().cookies().len(), 1);
        assert_eq!(Configuration::ephemeral().http_cookie_storage.unwrap().cookies().len(), 0);
    });
}

#[test]
fn test_set_cookie_headers_can_be_ignored() {
    on_every_wire(|origin| {
        let mut configuration = configuration(origin);
        configuration.http_should_set_cookies = false;
        let session = UrlSession::new(configuration);
        load(&session, request(&origin.url("/requestCookies"), "POST", None)).unwrap();
        let (data, _) = load(&session, request(&origin.url("/echoHeaders"), "POST", None)).unwrap();
        assert!(!text(&data).contains("fr=anjd&232"));
    });
}

#[test]
fn attributes_say_where_a_cookie_goes() {
    on_every_wire(|origin| {
        let (session, storage) = with_storage(origin);
        visit(
            origin,
            &session,
            "/folder/page",
            &[
                "root=1; Path=/",
                "folder=1",
                "deep=1; Path=/folder/deep",
                "gone=1; Path=/; Max-Age=0",
                "old=1; Path=/; Expires=Wed, 01 Jan 2020 12:30:00 GMT",
                "wide=1; Path=/; Domain=localhost",
                "far=1; Path=/; Domain=example.com",
                "registry=1; Path=/; Domain=com",
                "hidden=1; Path=/; HttpOnly",
            ],
        );
        assert_eq!(
            sent(origin, &session, "/folder/deep/x").unwrap(),
            "deep=1; folder=1; root=1; wide=1; hidden=1"
        );
        assert_eq!(sent(origin, &session, "/folders").unwrap(), "root=1; wide=1; hidden=1");
        assert_eq!(storage.cookies().len(), 5);
        // A public suffix may have a cookie for itself alone.
        assert!(storage.cookies().iter().all(|cookie| cookie.domain() == "localhost"));
    });
}

#[test]
fn secure_cookies_and_promises_are_for_tls_only() {
    on_every_wire(|origin| {
        let (session, storage) = with_storage(origin);
        visit(
            origin,
            &session,
            "/",
            &[
                "plain=1",
                "safe=1; Secure",
                "__Secure-a=1; Secure",
                "__Secure-b=1",
                "__Host-a=1; Secure; Path=/",
                "__Host-b=1; Secure; Path=/x",
                "__host-c=1; Path=/",
            ],
        );
        let expected: &[&str] = match url(origin, "/").scheme() {
            "https" => &["plain=1", "safe=1", "__Secure-a=1", "__Host-a=1"],
            _ => &["plain=1"],
        };
        assert_eq!(pairs(&storage), expected);
        assert_eq!(sent(origin, &session, "/").unwrap(), expected.join("; "));
    });
}

#[test]
fn a_secure_cookie_is_neither_sent_nor_replaced_in_cleartext() {
    on(Wire::H1, |origin| {
        let (session, storage) = with_storage(origin);
        let secure = url(origin, "/").as_str().replace("http:", "https:").parse().unwrap();
        let fields = [("Set-Cookie", "id=1; Secure; Path=/")];
        storage.set_cookies(HttpCookie::cookies_with_response_header_fields(fields, &secure), &secure, None);
        visit(origin, &session, "/", &["id=2"]);
        assert_eq!((sent(origin, &session, "/"), pairs(&storage)), (None, vec!["id=1".to_owned()]));
    });
}

#[test]
fn a_new_value_replaces_the_old_and_keeps_its_place() {
    on_every_wire(|origin| {
        let (session, _) = with_storage(origin);
        visit(origin, &session, "/", &["a=1", "b=1"]);
        visit(origin, &session, "/", &["a=2"]);
        assert_eq!(sent(origin, &session, "/").unwrap(), "a=2; b=1");
        visit(origin, &session, "/", &["a=; Max-Age=0"]);
        assert_eq!(sent(origin, &session, "/").unwrap(), "b=1");
    });
}

#[test]
fn a_401_sets_cookies_too() {
    on_every_wire(|origin| {
        let (session, _) = with_storage(origin);
        origin.enqueue("/login", Reply::new(401).header("Set-Cookie", "attempt=1; Path=/"));
        load(&session, at(origin, "/login")).unwrap();
        assert_eq!(sent(origin, &session, "/").unwrap(), "attempt=1");
    });
}

#[test]
fn informational_responses_set_none() {
    on_every_wire(|origin| {
        let (session, storage) = with_storage(origin);
        origin.enqueue("/hints", Reply::new(200).informational(103, &[("Set-Cookie", "hint=1")]));
        load(&session, at(origin, "/hints")).unwrap();
        assert!(storage.cookies().is_empty());
    });
}

#[test]
fn the_opening_handshake_of_a_websocket_sends_and_sets_cookies() {
    for wire in [Wire::H1, Wire::TlsH1] {
        on(wire, |origin| {
            let (session, storage) = with_storage(origin);
            visit(origin, &session, "/login", &["who=ann; Path=/"]);
            let head = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
                        Set-Cookie: socket=1; Path=/\r\n\r\n";
            origin.enqueue("/chat", Reply::raw(head));
            let mut handshake = UrlRequest::new(url(origin, "/chat"));
            handshake.set_value("upgrade", "websocket").unwrap();
            handshake.set_value("connection", "upgrade").unwrap();
            load(&session, handshake).unwrap();
            assert_eq!(origin.requests().pop().unwrap().header_all("cookie"), ["who=ann"]);
            assert_eq!(pairs(&storage), ["who=ann", "socket=1"]);
            let wss = url(origin, "/chat").as_str().replacen("http", "ws", 1).parse().unwrap();
            assert_eq!(storage.cookies_for(&wss).len(), 2);
            assert_eq!(sent(origin, &session, "/").as_deref(), Some("who=ann; socket=1"));
        });
    }
}

#[test]
fn every_redirect_hop_sends_and_sets_cookies_of_its_own() {
    on_every_wire(|origin| {
        let (session, _) = with_storage(origin);
        visit(origin, &session, "/", &["always=1; Path=/", "there=1; Path=/there"]);
        let redirect =
            Reply::new(302).header("Location", "/there").header("Set-Cookie", "hop=1; Path=/there");
        origin.enqueue("/here", redirect);
        assert_eq!(sent(origin, &session, "/here").unwrap(), "there=1; hop=1; always=1");
        let here = origin.requests().into_iter().rfind(|request| request.path() == "/here").unwrap();
        assert_eq!(here.header("cookie"), Some("always=1"));
    });
}

#[test]
fn no_cookie_leaks_to_another_host() {
    on(Wire::H1, |origin| {
        let (session, _) = with_storage(origin);
        visit(origin, &session, "/", &["id=s3cret; Path=/"]);
        // The same server under another name.
        let elsewhere = origin.url("/elsewhere");
        assert!(elsewhere.contains("127.0.0.1"));
        origin.enqueue("/leak", Reply::new(302).header("Location", elsewhere));
        assert_eq!(sent(origin, &session, "/leak"), None);
        assert_eq!(sent(origin, &session, "/").unwrap(), "id=s3cret");
    });
}

#[test]
fn a_cookie_field_of_the_application_wins() {
    on_every_wire(|origin| {
        let (session, _) = with_storage(origin);
        visit(origin, &session, "/", &["jar=1"]);
        let mut own = UrlRequest::new(url(origin, "/"));
        own.set_value("Cookie", "own=1").unwrap();
        assert_eq!(sent_with(origin, &session, own).unwrap(), "own=1");

        let mut configuration = session.configuration();
        set_for_all(&mut configuration, "Cookie", "every=1");
        assert_eq!(sent(origin, &UrlSession::new(configuration), "/").unwrap(), "every=1");
    });
}

#[test]
fn a_request_that_does_not_handle_cookies_sends_and_keeps_none() {
    on_every_wire(|origin| {
        let (session, storage) = with_storage(origin);
        visit(origin, &session, "/", &["a=1"]);
        let mut request = UrlRequest::new(url(origin, "/"));
        request.set_http_should_handle_cookies(false);
        visit_with(origin, &session, request.clone(), &["b=1"]);
        assert_eq!((sent_with(origin, &session, request), pairs(&storage)), (None, vec!["a=1".to_owned()]));
    });
}

#[test]
fn a_configuration_without_a_store_sends_and_keeps_none() {
    on_every_wire(|origin| {
        let session = UrlSession::new(configuration(origin).http_cookie_storage(None));
        visit(origin, &session, "/", &["a=1"]);
        assert_eq!(sent(origin, &session, "/"), None);
    });
}

#[test]
fn the_main_document_decides_what_is_kept_and_sent() {
    on_every_wire(|origin| {
        let (session, storage) = with_storage(origin);
        visit(origin, &session, "/", &["strict=1; SameSite=Strict", "lax=1; SameSite=Lax", "any=1"]);
        let embedded = |main: &str| {
            let mut request = UrlRequest::new(url(origin, "/"));
            request.set_main_document_url(Some(main.parse().unwrap()));
            request
        };
        visit_with(origin, &session, embedded("https://www.example.com/"), &["third=1"]);
        assert_eq!(storage.cookies().len(), 3);
        assert_eq!(sent_with(origin, &session, embedded("https://www.example.com/")).unwrap(), "any=1");
        let own = at(origin, "/page");
        assert_eq!(sent_with(origin, &session, embedded(&own)).unwrap(), "strict=1; lax=1; any=1");

        let mut configuration = session.configuration();
        configuration.http_cookie_accept_policy = HttpCookieAcceptPolicy::Always;
        let open = UrlSession::new(configuration);
        let third = ["third=1", "strict=2; SameSite=Strict"];
        visit_with(origin, &open, embedded("https://www.example.com/"), &third);
        assert_eq!(pairs(&storage), ["strict=1", "lax=1", "any=1", "third=1"]);
    });
}

#[test]
fn partitions_have_cookies_of_their_own() {
    on_every_wire(|origin| {
        let (session, storage) = with_storage(origin);
        let within = |partition: Option<&str>| {
            let mut request = UrlRequest::new(url(origin, "/"));
            request.set_cookie_partition_identifier(partition);
            request
        };
        visit_with(origin, &session, within(None), &["id=none"]);
        visit_with(origin, &session, within(Some("https://one.example")), &["id=one"]);
        assert_eq!(sent_with(origin, &session, within(None)).unwrap(), "id=none");
        assert_eq!(sent_with(origin, &session, within(Some("https://one.example"))).unwrap(), "id=one");
        assert_eq!(sent_with(origin, &session, within(Some("https://two.example"))), None);
        let task = session.data_task(within(Some("https://one.example")));
        assert_eq!(storage.cookies_for_task(&task)[0].value(), "one");
        assert_eq!(storage.cookies_for(&url(origin, "/"))[0].value(), "none");
    });
}

#[test]
fn a_cookie_ends_by_the_clock_of_the_session() {
    on_every_wire(|origin| {
        let (configuration, clock) = with_hand_clock(origin);
        let session = UrlSession::new(configuration);
        visit(origin, &session, "/", &["a=1; Max-Age=60"]);
        clock.advance(Duration::from_secs(59));
        assert_eq!(sent(origin, &session, "/").unwrap(), "a=1");
        clock.advance(Duration::from_secs(1));
        assert_eq!(sent(origin, &session, "/"), None);
    });
}

#[test]
fn the_store_of_a_session_goes_by_its_clock_also_when_the_application_asks() {
    on_every_wire(|origin| {
        let (configuration, clock) = with_hand_clock(origin);
        let storage = configuration.http_cookie_storage.clone().unwrap();
        let session = UrlSession::new(configuration);
        visit(origin, &session, "/", &["a=1; Max-Age=60"]);
        let task = session.data_task(url(origin, "/"));
        let counts = || {
            let of_url = storage.cookies_for(&url(origin, "/")).len();
            (storage.cookies().len(), of_url, storage.cookies_for_task(&task).len())
        };
        clock.advance(Duration::from_secs(59));
        assert_eq!(counts(), (1, 1, 1));
        clock.advance(Duration::from_secs(1));
        assert_eq!(counts(), (0, 0, 0));
    });
}

#[test]
fn a_cookie_without_a_name_is_sent_back_as_it_came() {
    on_every_wire(|origin| {
        let (session, _) = with_storage(origin);
        visit(origin, &session, "/", &["nameless", "a=\"quoted\""]);
        assert_eq!(sent(origin, &session, "/").unwrap(), "nameless; a=\"quoted\"");
    });
}

#[test]
fn what_the_application_keeps_for_a_task_is_sent_by_it() {
    on_every_wire(|origin| {
        let (session, storage) = with_storage(origin);
        let task = session.data_task(url(origin, "/"));
        let cookie = |domain| {
            HttpCookie::new([(Key::Name, "a"), (Key::Value, "1"), (Key::Path, "/"), (Key::Domain, domain)])
                .unwrap()
        };
        storage.store_cookies_for_task([cookie("localhost"), cookie("example.com")], &task);
        assert_eq!(storage.cookies_for_task(&task), storage.cookies());
        assert_eq!(sent(origin, &session, "/").unwrap(), "a=1");
    });
}

#[test]
fn a_reset_removes_the_cookies_and_a_flush_keeps_them() {
    on_every_wire(|origin| {
        let (session, storage) = with_storage(origin);
        visit(origin, &session, "/", &["a=1"]);
        in_tokio(session.flush());
        assert_eq!(sent(origin, &session, "/").unwrap(), "a=1");
        in_tokio(session.reset());
        assert!(storage.cookies().is_empty());
        assert_eq!(sent(origin, &session, "/"), None);
        visit(origin, &session, "/", &["b=1"]);
        let (sender, receiver) = std::sync::mpsc::channel();
        let seen = storage.clone();
        session.reset_with_handler(move || sender.send(seen.cookies().len()).unwrap());
        assert_eq!(receiver.recv_timeout(PATIENCE), Ok(0));
    });
}

#[test]
fn a_store_with_a_file_is_shared_by_sessions_and_outlives_them() {
    on_every_wire(|origin| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cookies.db");
        let session = |path: &std::path::Path| {
            let storage = Some(HttpCookieStorage::at(path));
            UrlSession::new(configuration(origin).http_cookie_storage(storage))
        };
        {
            let first = session(&path);
            visit(origin, &first, "/", &["kept=1; Max-Age=600", "session=1"]);
            assert_eq!(sent(origin, &session(&path), "/").unwrap(), "kept=1; session=1");
            in_tokio(first.flush());
        }
        // Another path of the same file is another store, as another process would have it.
        let again = folder.path().join(".").join("again");
        std::fs::create_dir(&again).unwrap();
        std::fs::copy(&path, again.join("cookies.db")).unwrap();
        let wal = path.with_extension("db-wal");
        if wal.exists() {
            std::fs::copy(wal, again.join("cookies.db-wal")).unwrap();
        }
        let other = session(&again.join("cookies.db"));
        assert_eq!(sent(origin, &other, "/").unwrap(), "kept=1");
    });
}

/// A response that is fresh for a minute and sets a cookie.
fn cached_with(cookie: &str) -> Reply {
    Reply::new(200).header("Cache-Control", "max-age=60").header("Set-Cookie", cookie).body("page")
}

#[test]
fn a_response_of_the_cache_does_not_set_its_cookies_again() {
    on_every_wire(|origin| {
        let (session, storage) = with_storage(origin);
        origin.enqueue("/a", cached_with("s=x; Path=/"));
        load(&session, url(origin, "/a")).unwrap();
        assert_eq!(pairs(&storage), ["s=x"]);
        visit(origin, &session, "/logout", &["s=; Max-Age=0; Path=/"]);
        assert!(storage.cookies().is_empty());
        let (data, response) = load(&session, url(origin, "/a")).unwrap();
        assert_eq!(text(&data), "page");
        assert!(response.http().unwrap().value("Set-Cookie").is_some(), "the stored response is whole");
        assert_eq!(origin.requests().len(), 2, "the page came from the cache");
        assert!(storage.cookies().is_empty(), "the logout is undone");
        // The same for a cookie that the application deletes.
        visit(origin, &session, "/b", &["t=1"]);
        storage.delete_cookie(&storage.cookies()[0]);
        load(&session, url(origin, "/a")).unwrap();
        assert!(storage.cookies().is_empty());
    });
}

#[test]
fn a_confirmation_sets_only_the_cookies_that_it_carries_itself() {
    on_every_wire(|origin| {
        let (session, storage) = with_storage(origin);
        let first = Reply::new(200).header("ETag", "\"1\"").header("Set-Cookie", "s=x; Path=/").body("page");
        origin.enqueue("/a", first);
        load(&session, url(origin, "/a")).unwrap();
        storage.delete_cookie(&storage.cookies()[0]);
        origin.enqueue("/a", Reply::new(304).header("ETag", "\"1\""));
        assert_eq!(text(&load(&session, url(origin, "/a")).unwrap().0), "page");
        assert!(storage.cookies().is_empty(), "the stored field set a cookie");
        origin.enqueue("/a", Reply::new(304).header("ETag", "\"1\"").header("Set-Cookie", "s=y; Path=/"));
        assert_eq!(text(&load(&session, url(origin, "/a")).unwrap().0), "page");
        assert_eq!(pairs(&storage), ["s=y"]);
        assert_eq!(sent(origin, &session, "/c").as_deref(), Some("s=y"));
    });
}

#[test]
fn a_background_revalidation_sets_the_cookies_of_its_response() {
    on_every_wire(|origin| {
        let (configuration, clock) = with_hand_clock(origin);
        let storage = configuration.http_cookie_storage.clone().unwrap();
        let session = UrlSession::new(configuration);
        let control = "max-age=10, stale-while-revalidate=100";
        let reply = |cookie: &str| {
            Reply::new(200).header("Cache-Control", control).header("Set-Cookie", cookie).body("page")
        };
        origin.enqueue("/a", reply("s=1; Path=/"));
        load(&session, url(origin, "/a")).unwrap();
        clock.advance(Duration::from_secs(20));
        origin.enqueue("/a", reply("s=2; Path=/"));
        let mut changes = storage.changes();
        load(&session, url(origin, "/a")).unwrap();
        in_tokio(async {
            while pairs(&storage) != ["s=2"] {
                next(&mut changes).await.unwrap();
            }
        });
    });
}

#[test]
fn a_redirect_of_the_cache_does_not_set_its_cookies_again() {
    let origin = Origin::start(Wire::H1);
    let (session, storage) = with_storage(&origin);
    let moved = Reply::new(301).header("Location", "/there").header("Cache-Control", "max-age=60");
    origin.enqueue("/here", moved.header("Set-Cookie", "s=x; Path=/"));
    load(&session, url(&origin, "/here")).unwrap();
    storage.delete_cookie(&storage.cookies()[0]);
    load(&session, url(&origin, "/here")).unwrap();
    assert!(storage.cookies().is_empty());
}

#[test]
fn cleartext_does_not_evict_secure_cookies_and_then_replace_them() {
    let secure = Origin::start(Wire::TlsH1);
    let (session, storage) = with_storage(&secure);
    visit(&secure, &session, "/login", &["sid=good; Path=/; Secure"]);
    let plain = Origin::start(Wire::H1);
    for page in 0..4 {
        let reply = (0..60).fold(Reply::new(200), |reply, number| {
            reply.header("Set-Cookie", format!("c{page}-{number}=1; Path=/"))
        });
        plain.enqueue("/flood", reply);
        load(&session, url(&plain, "/flood")).unwrap();
    }
    visit(&plain, &session, "/attack", &["sid=attacker; Path=/"]);
    let all = pairs(&storage);
    assert!(all.contains(&"sid=good".to_owned()) && !all.contains(&"sid=attacker".to_owned()), "{all:?}");
    assert_eq!(all.len(), 180);
    assert!(sent(&secure, &session, "/again").unwrap().contains("sid=good"));
}

#[test]
fn a_cookie_that_is_not_utf8_is_kept_and_sent_byte_for_byte() {
    let reply = |field: &[u8]| {
        [b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n", field, b"\r\n"].concat()
    };
    let (address, serving) = serve_bytes(vec![
        reply(b"Set-Cookie: a=\xe9\r\nSet-Cookie: n\xff=\xc3\xa9\x80\r\nSet-Cookie: u=\xc3\xa9; Max-Age=600\r\n"),
        reply(b"Set-Cookie: a=\xe8; Max-Age=600\r\n"),
        reply(b""),
    ]);
    let folder = tempfile::tempdir().unwrap();
    let storage = HttpCookieStorage::at(folder.path().join("cookies.db"));
    let configuration = Configuration::ephemeral().http_cookie_storage(storage.clone());
    let session = UrlSession::new(configuration.clone());
    let page = format!("http://{address}/");
    load(&session, &*page).unwrap();
    let all = storage.cookies();
    assert_eq!((all[0].value(), all[0].value_bytes()), ("é", &b"\xe9"[..]));
    assert_eq!((all[1].name_bytes(), all[1].value_bytes()), (&b"n\xff"[..], &b"\xc3\xa9\x80"[..]));
    load(&session, &*page).unwrap();
    // From the disk, as in another process: one path, however it is spelt, is one store.
    in_tokio(storage.flush());
    let copy = tempfile::tempdir().unwrap();
    for file in ["cookies.db", "cookies.db-wal"] {
        std::fs::copy(folder.path().join(file), copy.path().join(file)).unwrap();
    }
    let other = HttpCookieStorage::at(copy.path().join("cookies.db"));
    let configuration = configuration.http_cookie_storage(other);
    load(&UrlSession::new(configuration), &*page).unwrap();
    let sent: Vec<Vec<u8>> = serving
        .join()
        .unwrap()
        .into_iter()
        .map(|request| {
            let name = b"cookie: ";
            let at = request.windows(name.len()).position(|window| window.eq_ignore_ascii_case(name));
            let line =
                at.map(|at| request[at + name.len()..].split(|b| *b == b'\r').next().unwrap().to_vec());
            line.unwrap_or_default()
        })
        .collect();
    assert_eq!(sent, [&b""[..], b"a=\xe9; n\xff=\xc3\xa9\x80; u=\xc3\xa9", b"a=\xe8; u=\xc3\xa9"]);
}
