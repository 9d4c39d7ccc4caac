//! `-v` and `--json`: what they tell, and what they do not.

use serde_json::{Value, json};
use urlsession_testkit::{Origin, Reply, Wire};

use crate::support::*;

const SECRETS: [&str; 7] =
    ["-H", "Authorization: s3cret", "-H", "cookie: s3cret", "-H", "Proxy-Authorization: s3cret", "-i"];

/// An origin that redirects once, with a secret of its own.
fn origin() -> Origin {
    let origin = Origin::start(Wire::TlsH2);
    let to = Reply::new(302).header("Location", "/UK").header("Set-Cookie", "id=s3cret");
    origin.enqueue("/start", to);
    origin
}

#[test]
fn verbose_tells_heads_and_timelines_on_standard_error() {
    let origin = origin();
    let run = get(&["-v", "--cacert", &authority(&origin), "-H", "X-One: 1", &origin.url("/start?q")]);
    assert_eq!(run.ok(), "London");
    let at = |what: &str| run.stderr.find(what).unwrap_or_else(|| panic!("no {what:?} in:\n{}", run.stderr));
    let order = [
        "> GET /start?q\n> Host: localhost:",
        "> X-One: 1\n>\n",
        "< HTTP/2 302 Found\n",
        "< Location: /UK\n",
        "> GET /UK\n",
        "< HTTP/2 200 OK\n",
        "* GET https://localhost:",
    ];
    assert!(order.windows(2).all(|pair| at(pair[0]) < at(pair[1])), "{}", run.stderr);
    for phase in ["dns", "connect", "tls", "send", "wait", "receive"] {
        at(&format!("*   {phase} "));
    }
    for fact in [" ms  │", "█", "h2, TLS 1.3, TLS_", "new connection", "reused connection", "127.0.0.1:"]
    {
        at(fact);
    }
    at("sent ");
    at("6 after decoding");
}

#[test]
fn verbose_tells_informational_responses_and_causes() {
    let origin = Origin::start(Wire::H1);
    let run = get(&["-v", &origin.url("/hints")]);
    assert!(run.stderr.contains("< HTTP/1.1 103 Early Hints\n< Link: "), "{}", run.stderr);
    let run = get(&["-v", &format!("http://127.0.0.1:{}/", origin.closed_port())]);
    assert_eq!(run.code, Some(1));
    assert!(run.stderr.contains(": no response\n* because: "), "{}", run.stderr);
    assert!(run.stderr.contains("\nurlsession: "), "{}", run.stderr);
}

#[test]
fn verbose_tells_each_response_once() {
    let origin = Origin::start(Wire::H1);
    let offers = || Reply::new(401).header("WWW-Authenticate", "Digest realm=r, nonce=n, Basic realm=r");
    for (login, heads) in [(&[][..], 1), (&["--negotiate", "-u", ":"], 1), (&["--digest", "-u", "a:b"], 2)] {
        for _ in 0..heads {
            origin.enqueue("/x", offers());
        }
        let run = get(&[&["-v"], login, &[&origin.url("/x")]].concat());
        run.ok();
        assert_eq!(run.stderr.matches("< HTTP/1.1 401").count(), heads, "{login:?}: {}", run.stderr);
    }
}

#[test]
fn secrets_are_redacted() {
    for mode in ["-v", "--json"] {
        let origin = origin();
        let (root, url) = (authority(&origin), origin.url("/start").replace("://", "://me:s3cret@"));
        let run = get(&[&SECRETS[..], &[mode, "--cacert", &root, &url]].concat());
        // They were sent, and what the user asked for has them.
        assert!(run.ok().contains("id=s3cret"));
        assert_eq!(origin.requests()[0].header("authorization"), Some("s3cret"));
        assert!(!run.stderr.contains("s3cret"), "{}", run.stderr);
        assert!(run.stderr.matches("[redacted]").count() >= 4, "{}", run.stderr);
    }
    let origin = Origin::start(Wire::H1);
    let run = get(&["-v", "-u", "user:passwd", &origin.url("/auth/basic")]);
    assert!(run.ok().contains("authenticated") && !run.stderr.contains("dXNlcjpwYXNzd2Q="));
}

#[test]
fn json_has_the_documented_keys() {
    let origin = origin();
    let run = get(&["--json", "--cacert", &authority(&origin), &origin.url("/start")]);
    assert_eq!(run.ok(), "London");
    let report = run.json();
    assert_eq!(keys(&report), ["error", "headers", "metrics", "status", "url", "version"]);
    assert_eq!(report["url"], origin.url("/UK"));
    assert_eq!((&report["status"], &report["version"]), (&json!(200), &json!("HTTP/2")));
    assert_eq!(report["headers"][0], json!(["Content-Type", "text/plain; charset=utf-8"]));
    assert_eq!(report["error"], Value::Null);

    let metrics = &report["metrics"];
    assert_eq!(keys(metrics), ["redirect_count", "task_interval", "transaction_metrics"]);
    assert_eq!(metrics["redirect_count"], 1);
    let transactions = metrics["transaction_metrics"].as_array().unwrap();
    assert_eq!(transactions.len(), 2);
    for transaction in transactions {
        let documented: Vec<_> = include_str!("transaction-keys.txt").lines().collect();
        assert_eq!(keys(transaction), documented);
        assert_eq!(keys(&transaction["request"]), ["headers", "method", "url"]);
        assert_eq!(keys(&transaction["response"]), ["headers", "status", "url", "version"]);
    }
    let [first, second] = &transactions[..] else { unreachable!("there are two") };
    assert_eq!(
        (&first["is_reused_connection"], &second["is_reused_connection"]),
        (&json!(false), &json!(true))
    );
    assert_eq!(first["network_protocol_name"], "h2");
    assert!(first["fetch_start_date"].as_f64() < second["response_end_date"].as_f64());
    assert_eq!(second["count_of_response_body_bytes_after_decoding"], 6);
}

#[test]
fn json_tells_a_failure_and_nothing_else_does() {
    let origin = Origin::start(Wire::H1);
    let run = get(&["--json", &format!("http://127.0.0.1:{}/", origin.closed_port())]);
    assert_eq!(run.code, Some(1));
    let report = run.json();
    let error = &report["error"];
    assert_eq!(keys(error), ["code", "message", "name", "phase"]);
    assert_eq!((&error["code"], &error["name"]), (&json!(-1004), &json!("NSURLErrorCannotConnectToHost")));
    assert_eq!(error["phase"], "connect");
    assert_eq!(report["metrics"]["transaction_metrics"][0]["error"], *error);
    assert!(error["message"].as_str().unwrap().contains("refuses connections"));
    assert_eq!((&report["status"], &report["headers"]), (&Value::Null, &json!([])));

    let report = get(&["--json", "http://[bad"]).json();
    assert_eq!((&report["url"], &report["error"]["code"]), (&Value::Null, &json!(-1000)));
    let report = get(&["--json", "-o", "/does/not/exist", &origin.url("/UK")]).json();
    assert_eq!((&report["status"], &report["error"]["code"]), (&json!(200), &Value::Null));
}

/// In alphabetical order, as the report writes them.
fn keys(object: &Value) -> Vec<&str> {
    object.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn the_userinfo_of_a_location_is_redacted() {
    for mode in ["-v", "--json"] {
        let origin = Origin::start(Wire::H1);
        let to = origin.url("/UK").replace("://", "://me:s3cret@");
        origin.enqueue("/start", Reply::new(302).header("Location", to));
        let run = get(&[mode, &origin.url("/start")]);
        assert_eq!(run.ok(), "London");
        assert!(!run.stderr.contains("s3cret") && run.stderr.contains("://[redacted]@"), "{}", run.stderr);
        // What cannot be followed is told without it, and without its query.
        let bad = "http://me:s3cret@host:99999/?token=s3cret";
        origin.enqueue("/bad", Reply::new(302).header("Location", bad));
        let run = get(&[mode, &origin.url("/bad")]);
        assert_eq!(run.code, Some(1));
        let error = match mode {
            "--json" => run.json()["error"]["message"].as_str().unwrap().to_owned(),
            _ => run.stderr.lines().last().unwrap().to_owned(),
        };
        assert!(error.contains("is not a URL") && !error.contains("s3cret"), "{error}");
        assert!(!run.stderr.contains("me:s3cret"), "{}", run.stderr);
    }
}
