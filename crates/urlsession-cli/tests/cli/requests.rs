//! What the flags put on the wire.

use std::fs;

use urlsession_testkit::{Origin, Reply, Wire};

use crate::support::*;

/// Loads with these flags and gives the request as the server saw it.
fn sent(flags: &[&str]) -> urlsession_testkit::Recorded {
    let origin = Origin::start(Wire::H1);
    let url = origin.url("/echo");
    get(&[flags, &[&url]].concat()).ok();
    only_request(&origin)
}

#[test]
fn without_flags_a_url_is_got() {
    let request = sent(&[]);
    assert_eq!((request.method.as_str(), request.body_len), ("GET", 0));
}

#[test]
fn header_fields_are_sent_as_given() {
    let request =
        sent(&["-H", "X-One: 1", "-H", "X-Two:two words ", "-H", "X-Three;", "-H", "User-Agent: me"]);
    for (name, value) in [("x-one", "1"), ("x-two", "two words"), ("x-three", ""), ("user-agent", "me")] {
        assert_eq!(request.header_all(name), [value], "{name}");
    }
}

#[test]
fn a_header_field_without_a_value_takes_one_away() {
    let request = sent(&["-u", "me:pw", "-H", "X-One: 1", "-H", "x-one:", "-H", "Authorization:"]);
    assert_eq!((request.header("x-one"), request.header("authorization")), (None, None));
}

#[test]
fn a_default_that_is_taken_away_is_not_sent() {
    let names = ["Accept", "accept-encoding", "Accept-Language", "USER-AGENT", "Content-Type"];
    let removed: Vec<String> = names.iter().map(|name| format!("{name}:")).collect();
    let flags: Vec<&str> = removed.iter().flat_map(|field| ["-H", field]).collect();
    for method in ["POST", "PUT"] {
        let request = sent(&[&flags[..], &["-X", method, "-d", "a=b"]].concat());
        for name in names {
            assert_eq!(request.header(name), None, "{method} {name}");
        }
    }
    let request = sent(&["-H", "Accept:", "-H", "Accept: a/b", "-H", "User-Agent;", "-H", "Host:"]);
    assert_eq!((request.header("accept"), request.header("user-agent")), (Some("a/b"), Some("")));
    assert!(request.header("host").is_some(), "HTTP/1.1 has no request without it");
}

#[test]
fn data_is_posted_as_a_form_and_joined() {
    let request = sent(&["-d", "a=1", "--data-binary", "b=2", "-d", "c=3"]);
    assert_eq!((request.method.as_str(), request.text().as_str()), ("POST", "a=1&b=2&c=3"));
    assert_eq!(request.header("content-type"), Some("application/x-www-form-urlencoded"));
    assert_eq!(request.header("content-length"), Some("11"));
}

#[test]
fn data_from_a_file_loses_its_line_breaks_and_binary_data_keeps_them() {
    let path = directory().join("data");
    fs::write(&path, b"one\r\ntwo\n\0three").unwrap();
    let at = format!("@{}", path.display());
    assert_eq!(sent(&["-d", &at]).body, b"onetwothree");
    assert_eq!(sent(&["--data-binary", &at]).body, b"one\r\ntwo\n\0three");
}

#[test]
fn data_is_read_from_standard_input() {
    let origin = Origin::start(Wire::H1);
    let url = origin.url("/echo");
    assert_eq!(get_reading(b"a\nb\n", &["--data-binary", "@-", &url]).ok(), "a\nb\n");
    assert_eq!(get_reading(b"a\nb\n", &["-d", "@-", &url]).ok(), "ab");
}

#[test]
fn several_fields_of_one_name_are_all_sent() {
    let flags = ["-H", "X-One: 1", "-H", "x-one:2", "-H", "X-One: 3", "-H", "X-One;"];
    let request = sent(&[&flags[..], &["-H", "Cookie: a=1", "-H", "Cookie: b=2"]].concat());
    assert_eq!(request.header_all("x-one"), ["1, 2, 3"]);
    assert_eq!(request.header_all("cookie"), ["a=1; b=2"]);
    let request =
        sent(&["-u", "me:pw", "-H", "Authorization: Bearer t", "-d", "x", "-H", "Content-Type: a/b"]);
    assert_eq!(request.header_all("authorization"), ["Bearer t"], "an option replaces what the command sets");
    assert_eq!(request.header_all("content-type"), ["a/b"]);
    let request = sent(&["-H", "X-One: 1", "-H", "X-One:", "-H", "X-One: 2"]);
    assert_eq!(request.header_all("x-one"), ["2"], "what was taken away is not sent");
}

#[test]
fn data_is_a_form_whatever_the_method() {
    for method in ["POST", "PUT", "PATCH", "DELETE", "QUERY"] {
        let request = sent(&["-X", method, "-d", "a=1"]);
        assert_eq!((request.method.as_str(), request.text().as_str()), (method, "a=1"));
        assert_eq!(request.header_all("content-type"), ["application/x-www-form-urlencoded"], "{method}");
        let request = sent(&["-X", method, "-d", "a=1", "-H", "content-type: text/plain"]);
        assert_eq!(request.header_all("content-type"), ["text/plain"], "{method}");
    }
    assert_eq!(sent(&["-X", "PUT"]).header("content-type"), None);
}

#[test]
fn data_of_a_get_request_is_a_fault_of_the_command_line() {
    let origin = Origin::start(Wire::H1);
    let (path, url) = (directory().join("data"), origin.url("/"));
    fs::write(&path, "data").unwrap();
    for run in [
        get(&["-X", "GET", "-d", "a=1", &url]),
        get(&["-X", "get", "--data-binary", "a=1", &url]),
        upload(&["-X", "GET", path.to_str().unwrap(), &url]),
    ] {
        assert_eq!(run.code, Some(2), "{}", run.stderr);
        assert!(
            run.stderr.contains("a GET request has no body") && run.stderr.contains("-X"),
            "{}",
            run.stderr
        );
    }
    assert_eq!(origin.connection_count(), 0);
}

#[test]
fn a_url_of_another_scheme_is_loaded_or_says_what_is_wrong() {
    let file = directory().join("file");
    fs::write(&file, "content").unwrap();
    assert_eq!(get(&["data:,x%20y"]).ok(), "x y");
    assert_eq!(get(&["DATA:text/plain;base64,eHk="]).ok(), "xy");
    // On Windows an absolute path begins with a drive.
    let path = std::path::absolute(&file).unwrap();
    assert_eq!(get(&[&format!("file:{}", path.display())]).ok(), "content");
    for (url, says) in [
        ("mailto:", "the scheme \"mailto\""),
        ("mailto:ann@example.com", "the scheme \"mailto\""),
        ("about:blank", "the scheme \"about\""),
        ("custom:x", "the scheme \"custom\""),
        ("/etc/hosts", "it has no scheme"),
        ("http:/", "host"),
    ] {
        let run = get(&[url]);
        assert_eq!(run.code, Some(1), "{url}: {}", run.stderr);
        assert!(run.stderr.contains(says), "{url}: {}", run.stderr);
    }
    let origin = Origin::start(Wire::H1);
    let one_slash = origin.url("/Peru").replace("http://", "HTTP:/");
    assert_eq!(get(&[&one_slash]).ok(), "Lima", "as browsers read it");
}

#[test]
fn a_host_with_a_port_or_a_user_needs_no_scheme() {
    let origin = Origin::start(Wire::TlsH1);
    let anchor = authority(&origin);
    for host in ["localhost", "alice:s3cret@localhost", "alice@localhost"] {
        let url = format!("{host}:{}/Peru", origin.port());
        assert_eq!(get(&["--cacert", &anchor, &url]).ok(), "Lima", "{host}");
    }
}

#[test]
fn a_method_is_used_instead_of_the_implied_one() {
    assert_eq!(sent(&["-X", "DELETE"]).method, "DELETE");
    let request = sent(&["-X", "PUT", "-d", "x"]);
    assert_eq!((request.method.as_str(), request.text().as_str()), ("PUT", "x"));
}

#[test]
fn a_user_is_authorized_with_basic() {
    // user:passwd, and user with an empty password
    assert_eq!(sent(&["-u", "user:passwd"]).header("authorization"), Some("Basic dXNlcjpwYXNzd2Q="));
    assert_eq!(sent(&["-u", "user"]).header("authorization"), Some("Basic dXNlcjo="));
}

#[test]
fn the_version_of_http_can_be_chosen() {
    let origin = Origin::start(Wire::TlsH2);
    let (root, url) = (authority(&origin), origin.url("/UK"));
    for flags in [&["--http2"][..], &["--http1.1"], &[]] {
        assert_eq!(get(&[flags, &["--cacert", &root, &url]].concat()).ok(), "London");
    }
    let wires: Vec<_> = origin.requests().iter().map(|request| request.wire).collect();
    assert_eq!(wires, [Wire::TlsH2, Wire::TlsH1, Wire::TlsH2]);
}

#[test]
fn a_url_without_a_scheme_is_loaded_with_https() {
    let origin = Origin::start(Wire::TlsH1);
    let url = format!("localhost:{}/Peru", origin.port());
    assert_eq!(get(&["--cacert", &authority(&origin), &url]).ok(), "Lima");
}

#[test]
fn redirects_are_followed_unless_it_is_told_otherwise() {
    let origin = Origin::start(Wire::H1);
    let url = origin.url("/UnitedKingdom");
    assert_eq!(get(&[&url]).ok(), "London");
    assert_eq!(get(&["-L", &url]).ok(), "London");
    assert!(get(&["--no-location", "-i", &url]).ok().starts_with("HTTP/1.1 302 Found\r\n"));
}

#[test]
fn cleartext_to_other_hosts_must_be_allowed() {
    // The name has no address, which shows how far the load came.
    let refused = get(&["http://nowhere.invalid/"]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("(-1022)"), "{}", refused.stderr);
    let allowed = get(&["--allow-cleartext", "http://nowhere.invalid/"]);
    assert!(allowed.stderr.contains("(-1003)"), "{}", allowed.stderr);
}

#[test]
fn digest_ntlm_and_any_scheme_answer_the_server_that_asks() {
    let origin = Origin::start(Wire::H1);
    for (flag, path, expected) in [
        ("--digest", "/digest/ann/pw/SHA-256/auth", "in"),
        ("--ntlm", "/ntlm/ann/pw", "in"),
        ("--anyauth", "/basic/ann/pw", "in"),
        ("--anyauth", "/digest/ann/pw/MD5/auth", "in"),
        ("--basic", "/basic/ann/pw", "in"),
        ("--digest", "/basic/ann/pw", "need basic"),
        ("--digest", "/digest/ann/other/MD5/auth", "need digest"),
    ] {
        assert_eq!(get(&[flag, "-u", "ann:pw", &origin.url(path)]).ok(), expected, "{flag} {path}");
    }
}

#[test]
fn without_a_ticket_negotiate_is_passed_over_and_only_any_scheme_tries_another() {
    // Nothing of whoever runs this is found, and nobody is asked over the network.
    let directory = directory();
    let config = directory.join("krb5.conf");
    fs::write(&config, "[libdefaults]\n dns_lookup_kdc = false\n").unwrap();
    // Other mechanisms than Kerberos, which may be installed, need no tickets.
    let mechanisms = directory.join("mech");
    fs::write(&mechanisms, "").unwrap();
    for (flags, expected) in [
        (&["--negotiate", "-u", ":"][..], &[None][..]),
        (&["--negotiate", "-u", "ann@NOWHERE.INVALID:pw"], &[None]),
        (&["--anyauth", "-u", "ann:pw"], &[None, Some("Basic YW5uOnB3")]),
        (&[], &[None]),
    ] {
        let origin = Origin::start(Wire::H1);
        origin.enqueue("/asks", Reply::new(401).header("WWW-Authenticate", "Negotiate, Basic realm=r"));
        origin.enqueue("/asks", Reply::new(200));
        let url = origin.url("/asks");
        let mut command = command(&["get"]);
        command.args(flags).arg(&url).env("KRB5_CONFIG", &config).env("GSS_MECH_CONFIG", &mechanisms);
        run(command.env("KRB5CCNAME", directory.join("none"))).ok();
        let requests = origin.requests();
        let sent: Vec<_> = requests.iter().map(|request| request.header("authorization")).collect();
        assert_eq!(sent, expected, "{flags:?}");
    }
}

#[test]
fn only_basic_is_sent_unasked() {
    for (flags, is_sent) in
        [(&[][..], true), (&["--basic"], true), (&["--digest"], false), (&["--anyauth"], false)]
    {
        let request = sent(&[&["-u", "me:pw"], flags].concat());
        assert_eq!(request.header("authorization").is_some(), is_sent, "{flags:?}");
    }
}
