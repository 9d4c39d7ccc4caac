//! The layers for cookies over a scripted layer.

use url::Url;

use super::super::redirect::Redirect;
use super::super::test_support::{Reply, Script, run_request};
use super::*;
use crate::message::HttpCookie;

fn config(storage: &HttpCookieStorage) -> Configuration {
    Configuration { http_cookie_storage: Some(storage.clone()), ..Configuration::ephemeral() }
}

fn request(url: &str) -> UrlRequest {
    UrlRequest::new(url.parse().unwrap())
}

fn sets(field: &'static str) -> Reply {
    Reply { status: 200, fields: vec![("set-cookie", field)], body: b"" }
}

fn with_cookie(url: &str, field: &str) -> HttpCookieStorage {
    let (storage, url): (_, Url) = (HttpCookieStorage::ephemeral(), url.parse().unwrap());
    storage.set_cookies(
        HttpCookie::cookies_with_response_header_fields([("Set-Cookie", field)], &url),
        &url,
        None,
    );
    assert_eq!(storage.cookies().len(), 1);
    storage
}

/// The fields that the layer adds.
fn added(config: Configuration, request: UrlRequest) -> Vec<String> {
    let script = Script::new([Ok(200)]);
    run_request(&Cookies::new(config.into(), &script), request).0.unwrap();
    script.added.into_inner()
}

/// How many cookies are kept of a response.
fn kept(config: Configuration, request: UrlRequest, field: &'static str) -> usize {
    let script = Script::new([Ok(sets(field))]);
    let storage = config.http_cookie_storage.clone();
    run_request(&SetCookies::new(config.into(), &script), request).0.unwrap();
    storage.map_or(0, |storage| storage.cookies().len())
}

#[test]
fn cookies_of_the_store_are_sent_unless_something_says_no() {
    let storage = with_cookie("https://example.com/", "a=b");
    let url = "https://example.com/";
    assert_eq!(added(config(&storage), request(url)), ["cookie: a=b"]);
    assert!(added(config(&storage), request("https://other.com/")).is_empty());

    let mut own = request(url);
    own.set_value("cookie", "mine=1").unwrap();
    assert!(added(config(&storage), own).is_empty());
    let mut unhandled = request(url);
    unhandled.set_http_should_handle_cookies(false);
    assert!(added(config(&storage), unhandled).is_empty());
    let unset = Configuration { http_should_set_cookies: false, ..config(&storage) };
    assert!(added(unset, request(url)).is_empty());
    let mut everywhere = config(&storage);
    everywhere.http_additional_headers.insert("cookie", HeaderValue::from_static("all=1"));
    assert!(added(everywhere, request(url)).is_empty());
    let nowhere = Configuration { http_cookie_storage: None, ..config(&storage) };
    assert!(added(nowhere, request(url)).is_empty());
}

#[test]
fn cookies_of_a_response_are_kept_unless_something_says_no() {
    use HttpCookieAcceptPolicy::{Always, Never};
    let fresh = || config(&HttpCookieStorage::ephemeral());
    let url = "https://example.com/";
    assert_eq!(kept(fresh(), request(url), "a=b"), 1);
    assert_eq!(kept(Configuration { http_should_set_cookies: false, ..fresh() }, request(url), "a=b"), 1);
    assert_eq!(kept(Configuration { http_cookie_accept_policy: Never, ..fresh() }, request(url), "a=b"), 0);
    let mut unhandled = request(url);
    unhandled.set_http_should_handle_cookies(false);
    assert_eq!(kept(fresh(), unhandled, "a=b"), 0);

    let mut third_party = request(url);
    third_party.set_main_document_url(Some("https://other.com/".parse().unwrap()));
    assert_eq!(kept(fresh(), third_party.clone(), "a=b"), 0);
    let always = Configuration { http_cookie_accept_policy: Always, ..fresh() };
    assert_eq!(kept(always.clone(), third_party.clone(), "a=b"), 1);
    assert_eq!(kept(always, third_party, "b=b; SameSite=Lax"), 1, "only the one before");
}

#[test]
fn the_policy_of_the_configuration_counts_and_not_that_of_the_store() {
    let storage = HttpCookieStorage::ephemeral();
    storage.set_cookie_accept_policy(HttpCookieAcceptPolicy::Never);
    assert_eq!(kept(config(&storage), request("https://example.com/"), "a=b"), 1);
}

#[test]
fn every_hop_sends_its_own_cookies_and_sets_some() {
    let storage = with_cookie("https://one.example/", "one=1");
    let hop = |location, cookie| Reply {
        status: 302,
        fields: vec![("location", location), ("set-cookie", cookie)],
        body: b"",
    };
    let script = Script::new([
        Ok(hop("https://two.example/", "first=1")),
        Ok(hop("https://one.example/", "two=1")),
        Ok(Reply::from(401)),
    ]);
    let layer = {
        let config = Arc::new(config(&storage));
        Redirect::new(Cookies::new(config.clone(), SetCookies::new(config, &script)))
    };
    run_request(&layer, request("https://one.example/")).0.unwrap();
    assert_eq!(*script.added.lock(), ["cookie: one=1", "cookie: one=1; first=1"]);
    assert_eq!(storage.cookies().len(), 3);
}

#[test]
fn a_flood_of_cookies_is_cut() {
    let storage = HttpCookieStorage::ephemeral();
    let field = |number: usize| ("set-cookie", &*format!("c{number}=1").leak());
    let flood = Reply { status: 200, fields: (0..1000).map(field).collect(), body: b"" };
    let script = Script::new([Ok(flood)]);
    run_request(&SetCookies::new(config(&storage).into(), &script), request("https://example.com/"))
        .0
        .unwrap();
    let names: Vec<_> = storage.cookies().iter().map(|cookie| cookie.name().to_owned()).collect();
    assert_eq!(
        (names.len(), &*names[0]),
        (MOST_OF_RESPONSE, "c0"),
        "the first are kept, the rest is not read"
    );
}
