//! `-x`, `--proxy-user` and `--noproxy`.

use urlsession_testkit::{Origin, Proxy, ProxyLogin, Wire};

use crate::support::*;

#[test]
fn loads_go_through_the_proxy() {
    let proxy = Proxy::start();
    let at = format!("127.0.0.1:{}", proxy.port());
    let plain = Origin::start(Wire::H1);
    assert_eq!(get(&["-x", &at, &plain.url("/Peru")]).ok(), "Lima");
    let secure = Origin::start(Wire::TlsH2);
    let (url, anchor) = (secure.url("/Peru"), authority(&secure));
    let run = get(&["--proxy", &format!("http://{at}"), "--cacert", &anchor, "--json", &url]);
    assert_eq!(run.ok(), "Lima");
    assert_eq!(
        run.json()["metrics"]["transaction_metrics"][0]["is_proxy_connection"],
        true,
        "{}",
        run.stderr
    );
    let tunnel = format!("CONNECT localhost:{}", secure.port());
    assert_eq!(proxy.lines(), [format!("GET {}", plain.url("/Peru")), tunnel]);
}

#[test]
fn the_proxy_is_logged_in_to_and_the_server_hears_nothing_of_it() {
    for login in
        [ProxyLogin::Basic("ann", "p:w"), ProxyLogin::Digest("ann", "p:w"), ProxyLogin::Ntlm("ann", "p:w")]
    {
        let (proxy, origin) = (Proxy::with_login(login), Origin::start(Wire::TlsH1));
        let (at, url, anchor) =
            (format!("127.0.0.1:{}", proxy.port()), origin.url("/basic/bob/pw"), authority(&origin));
        let run = get(&[
            "-x",
            &at,
            "--proxy-user",
            "ann:p:w",
            "-u",
            "bob:pw",
            "--anyauth",
            "--cacert",
            &anchor,
            &url,
        ]);
        assert_eq!(run.ok(), "in");
        let named = format!("ann:p%3Aw@{at}");
        assert_eq!(get(&["-x", &named, "-u", "bob:pw", "--cacert", &anchor, &url]).ok(), "in");
        let wrong = get(&["-v", "-x", &at, "--proxy-user", "ann:s3cret", "--cacert", &anchor, &url]);
        assert_eq!(wrong.code, Some(1));
        assert!(wrong.stderr.contains("407 Proxy Authentication Required"), "{}", wrong.stderr);
        assert!(!wrong.stderr.contains("s3cret"), "{}", wrong.stderr);
        assert!(origin.requests().iter().all(|it| it.header("proxy-authorization").is_none()));
    }
}

#[test]
fn hosts_may_be_left_to_themselves() {
    let (proxy, origin) = (Proxy::start(), Origin::start(Wire::H1));
    let at = format!("127.0.0.1:{}", proxy.port());
    for all in ["127.0.0.1", "example.com, 127.0.0.0/8", "*"] {
        assert_eq!(get(&["-x", &at, "--noproxy", all, &origin.url("/Peru")]).ok(), "Lima");
    }
    assert_eq!(proxy.connection_count(), 0);
    get(&["-x", &at, "--noproxy", "0.0.1,example.com", &origin.url("/Peru")]).ok();
    assert_eq!(proxy.connection_count(), 1);
}

#[test]
fn a_proxy_that_cannot_be_meant_is_the_command_lines_fault() {
    for wrong in ["socks5://ann:s3cret@127.0.0.1", "http://ann:s3cret@", "https://ann:s3cret@127.0.0.1"] {
        let run = get(&["-x", wrong, "http://127.0.0.1/"]);
        assert_eq!(run.code, Some(2), "{}", run.stderr);
        assert!(run.stderr.contains("the proxy") && !run.stderr.contains("s3cret"), "{}", run.stderr);
    }
}
