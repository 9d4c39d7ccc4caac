//! Whom the secrets of the command line are for: `-u`, `-b`, `-H` and `--proxy-user` across redirects.

use std::fs;

use urlsession_testkit::{Origin, Proxy, ProxyLogin, Recorded, Reply, Wire};

use crate::support::*;

/// The values of a field in all requests of an origin.
fn sent(origin: &Origin, name: &str) -> Vec<Option<String>> {
    origin.requests().iter().map(|request: &Recorded| request.header(name).map(str::to_owned)).collect()
}

fn redirect(origin: &Origin, path: &str, to: String) -> String {
    origin.enqueue(path, Reply::new(302).header("Location", to));
    origin.url(path)
}

const BASIC: &str = "Basic YWxpY2U6czNjcmV0";

#[test]
fn a_login_is_not_answered_to_a_server_that_a_redirect_leads_to() {
    for flag in ["--basic", "--digest", "--ntlm", "--negotiate", "--anyauth"] {
        for path in ["/basic/alice/s3cret", "/digest/alice/s3cret/SHA-256/auth", "/ntlm/alice/s3cret", "/all"]
        {
            let (first, other) = (Origin::start(Wire::H1), Origin::start(Wire::H1));
            let all =
                Reply::new(401).header("WWW-Authenticate", "Negotiate, NTLM, Basic realm=r").body("all");
            other.enqueue("/all", all);
            let url = redirect(&first, "/away", other.url(path));
            let run = get(&[flag, "-u", "alice:s3cret", "-i", &url]);
            assert!(run.ok().contains("HTTP/1.1 401 Unauthorized\r\n"), "{flag} {path}: {}", run.text());
            assert_eq!(sent(&other, "authorization"), [None], "{flag} {path}");
        }
    }
}

#[test]
fn a_login_is_not_for_another_host_of_the_same_port_or_another_port_of_the_same_host() {
    let origin = Origin::start(Wire::H1);
    for flag in ["--basic", "--digest", "--anyauth"] {
        let other_name = origin.url("/basic/alice/s3cret").replace("127.0.0.1", "localhost");
        let url = redirect(&origin, "/away", other_name);
        assert_eq!(get(&[flag, "-u", "alice:s3cret", &url]).ok(), "need basic", "{flag}");
    }
}

#[test]
fn downloads_and_uploads_keep_their_login_to_the_first_server_too() {
    let directory = directory();
    let file = directory.join("file");
    fs::write(&file, "content").unwrap();
    for flag in ["--basic", "--digest", "--anyauth"] {
        let (first, other) = (Origin::start(Wire::H1), Origin::start(Wire::H1));
        let url = redirect(&first, "/away", other.url("/basic/alice/s3cret"));
        let login = [flag, "-u", "alice:s3cret"];
        let run = download_in(&directory, &[&login[..], &[&url]].concat());
        assert_eq!(run.code, Some(1), "{}", run.stderr);
        let to = other.url("/basic/alice/s3cret");
        first.enqueue("/away", Reply::new(307).header("Location", &to));
        assert_eq!(upload(&[&login[..], &[file.to_str().unwrap(), &url]].concat()).ok(), "need basic");
        first.enqueue("/away", Reply::new(307).header("Location", &to));
        assert_eq!(upload(&[&login[..], &["-F", "a=b", &url]].concat()).ok(), "need basic");
        assert_eq!(other.requests().len(), 3);
        assert!(sent(&other, "authorization").iter().all(Option::is_none), "{flag}");
    }
}

#[test]
fn the_first_server_gets_its_login_wherever_it_asks() {
    for (flag, path) in [
        ("--basic", "/basic/alice/s3cret"),
        ("--digest", "/digest/alice/s3cret/MD5/auth"),
        ("--ntlm", "/ntlm/alice/s3cret"),
        ("--anyauth", "/basic/alice/s3cret"),
    ] {
        let (first, other) = (Origin::start(Wire::H1), Origin::start(Wire::H1));
        // Away, and back.
        redirect(&other, "/back", first.url(path));
        let url = redirect(&first, "/away", other.url("/back"));
        assert_eq!(get(&[flag, "-u", "alice:s3cret", &url]).ok(), "in", "{flag}");
        assert_eq!(sent(&other, "authorization"), [None], "{flag}");
        let url = redirect(&first, "/here", path.to_owned());
        assert_eq!(get(&[flag, "-u", "alice:s3cret", &url]).ok(), "in", "{flag}");
    }
}

#[test]
fn redirects_can_be_trusted_with_the_secrets() {
    for (flag, path) in [
        ("--basic", "/basic/alice/s3cret"),
        ("--digest", "/digest/alice/s3cret/MD5/auth"),
        ("--ntlm", "/ntlm/alice/s3cret"),
        ("--anyauth", "/basic/alice/s3cret"),
    ] {
        let (first, other) = (Origin::start(Wire::H1), Origin::start(Wire::H1));
        let url = redirect(&first, "/away", other.url(path));
        let run = get(&["--location-trusted", flag, "-u", "alice:s3cret", "-b", "a=1", &url]);
        assert_eq!(run.ok(), "in", "{flag}");
        assert_eq!(sent(&other, "cookie")[0].as_deref(), Some("a=1"));
    }
    let (first, other) = (Origin::start(Wire::H1), Origin::start(Wire::H1));
    let url = redirect(&first, "/away", other.url("/echo"));
    get(&["--location-trusted", "-H", "Authorization: Bearer t", "-H", "Cookie: b=2", &url]).ok();
    assert_eq!(sent(&other, "authorization"), [Some("Bearer t".to_owned())]);
    assert_eq!(sent(&other, "cookie"), [Some("b=2".to_owned())]);
    let run = get(&["--location-trusted", "--no-location", &url]);
    assert_eq!(run.code, Some(2), "{}", run.stderr);
}

#[test]
fn the_user_of_a_url_and_fields_with_secrets_stay_with_the_first_server() {
    let (first, other) = (Origin::start(Wire::H1), Origin::start(Wire::H1));
    let secrets =
        ["-H", "Authorization: Bearer t", "-H", "Cookie: a=1", "-H", "Proxy-Authorization: Basic eA=="];
    let url = redirect(&first, "/away", other.url("/echo"));
    get(&[&secrets[..], &[&url]].concat()).ok();
    let with_user = redirect(&first, "/away", other.url("/basic/alice/s3cret"));
    let with_user = with_user.replace("://", "://alice:s3cret@");
    assert_eq!(get(&[&with_user]).ok(), "need basic");
    for name in ["authorization", "cookie", "proxy-authorization"] {
        assert!(sent(&other, name).iter().all(Option::is_none), "{name}");
    }
    assert_eq!(first.requests()[0].header("authorization"), Some("Bearer t"));
    // Away, and back.
    redirect(&other, "/back", first.url("/echo"));
    let url = redirect(&first, "/away", other.url("/back"));
    get(&[&secrets[..], &[&url]].concat()).ok();
    let last = first.requests().pop().unwrap();
    assert_eq!((last.header("authorization"), last.header("cookie")), (Some("Bearer t"), Some("a=1")));
}

#[test]
fn given_cookies_are_for_the_first_origin_and_come_back_to_it() {
    let (first, other) = (Origin::start(Wire::H1), Origin::start(Wire::H1));
    // Another port of the same host.
    redirect(&other, "/back", first.url("/echo"));
    let url = redirect(&first, "/away", other.url("/back"));
    get(&["-b", "a=1; b=2", &url]).ok();
    assert_eq!(sent(&other, "cookie"), [None]);
    assert_eq!(sent(&first, "cookie"), [Some("a=1; b=2".to_owned()), Some("a=1; b=2".to_owned())]);
}

#[test]
fn a_given_cookie_that_the_server_replaced_is_the_servers() {
    let (first, other) = (Origin::start(Wire::H1), Origin::start(Wire::H1));
    redirect(&other, "/back", first.url("/echo"));
    let reply = Reply::new(302).header("Location", other.url("/back"));
    let reply = reply.header("Set-Cookie", "a=new; Path=/").header("Set-Cookie", "b=; Path=/; Max-Age=0");
    first.enqueue("/away", reply);
    get(&["-b", "a=1; b=2; c=3", &first.url("/away")]).ok();
    assert_eq!(
        sent(&other, "cookie"),
        [Some("a=new".to_owned())],
        "a host's cookies are for all of its ports"
    );
    assert_eq!(sent(&first, "cookie")[1].as_deref(), Some("a=new; c=3"));
}

#[test]
fn a_cookie_given_for_https_is_not_sent_in_cleartext() {
    let (first, other) = (Origin::start(Wire::TlsH1), Origin::start(Wire::H1));
    let url = redirect(&first, "/away", other.url("/echo").replace("127.0.0.1", "localhost"));
    get(&["-b", "a=1", "--cacert", &authority(&first), &url]).ok();
    assert_eq!((sent(&first, "cookie"), sent(&other, "cookie")), (vec![Some("a=1".to_owned())], vec![None]));
}

#[test]
fn the_login_of_a_proxy_is_for_that_proxy_only() {
    let (proxy, origin) = (Proxy::with_login(ProxyLogin::Basic("ann", "pw")), Origin::start(Wire::H1));
    let at = format!("127.0.0.1:{}", proxy.port());
    let url = origin.url("/basic/ann/pw");
    assert_eq!(get(&["-x", &at, "--proxy-user", "ann:pw", &url]).ok(), "need basic");
    // A server that pretends to be a proxy.
    let asks = || Reply::new(407).header("Proxy-Authenticate", "Basic realm=r").body("no proxy");
    origin.enqueue("/asks", asks());
    let flags = ["-x", &at, "--proxy-user", "ann:pw", "--noproxy", "*", "--anyauth", "-u", "alice:s3cret"];
    assert_eq!(get(&[&flags[..], &[&origin.url("/asks")]].concat()).ok(), "no proxy");
    let secure = Origin::start(Wire::TlsH1);
    secure.enqueue("/asks", asks());
    let through =
        ["-x", &at, "--proxy-user", "ann:pw", "--cacert", &authority(&secure), &secure.url("/asks")];
    assert_eq!(get(&through).ok(), "no proxy", "through the tunnel");
    for origin in [&origin, &secure] {
        assert!(sent(origin, "proxy-authorization").iter().all(Option::is_none));
        assert!(sent(origin, "authorization").iter().all(Option::is_none));
    }
}

#[test]
fn the_log_of_a_redirect_does_not_show_the_login() {
    let (first, other) = (Origin::start(Wire::H1), Origin::start(Wire::H1));
    let url = redirect(&first, "/away", other.url("/echo"));
    let run = get(&["-v", "--location-trusted", "-u", "alice:s3cret", &url]);
    run.ok();
    assert_eq!(sent(&other, "authorization"), [Some(BASIC.to_owned())]);
    assert!(!run.stderr.contains("s3cret") && !run.stderr.contains(BASIC), "{}", run.stderr);
}
