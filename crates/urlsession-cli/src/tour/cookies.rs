//! Stop: cookies, from a login to the next visit.

use urlsession::UrlSession;
use urlsession::block_on;
use urlsession::cookies::HttpCookieStorage;
use urlsession_testkit::{Origin, Reply, Wire};

use super::page::Page;
use super::{Outcome, Stop, ensure, trusting};

pub(super) const STOP: Stop = Stop {
    title: "Cookies that go where they belong, and nowhere else",
    why: "A login is a cookie: it must be there on the next page and the next day, and never on another site.",
    visit,
};

fn visit(page: &mut Page) -> Outcome {
    let origin = Origin::start(Wire::TlsH2);
    let login = Reply::new(302)
        .header("Location", "/account/page")
        .header("Set-Cookie", "__Host-id=42; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=3600")
        .header("Set-Cookie", "theme=dark; Path=/account")
        .header("Set-Cookie", "spy=1; Domain=example.com")
        .header("Set-Cookie", "__Host-forged=1; Path=/");
    origin.enqueue("/login", login);
    let folder = std::env::temp_dir().join(format!("urlsession-tour-{}", std::process::id()));
    let file = folder.join("cookies.db");
    let storage = HttpCookieStorage::at(&file);
    let session = UrlSession::new(trusting(&origin).http_cookie_storage(storage.clone()));

    session.data(origin.url("/login")).wait()?;
    let sent = last_cookie(&origin);
    page.say(format_args!("/login sets four cookies, two of which are not its to set"));
    for cookie in storage.cookies() {
        page.say(format_args!("kept: {} for {}{}", cookie.name(), cookie.domain(), cookie.path()));
    }
    page.say(format_args!("/account/page gets {}", names(&sent)));
    ensure(sent == "theme=dark; __Host-id=42", "both go along, the longest path first")?;

    session.data(origin.url("/")).wait()?;
    page.say(format_args!("/ gets {}", names(&last_cookie(&origin))));
    ensure(last_cookie(&origin) == "__Host-id=42", "the theme is for the account only")?;

    let mut embedded = urlsession::IntoUrlRequest::into_url_request(origin.url("/"))?;
    embedded.set_main_document_url(Some("https://elsewhere.example/".parse()?));
    session.data(embedded).wait()?;
    page.say(format_args!("/ embedded in another site's page gets {}", names(&last_cookie(&origin))));
    ensure(last_cookie(&origin).is_empty(), "a strict cookie is not sent for another site")?;

    block_on(session.flush());
    let text = storage.export_netscape();
    ensure(file.exists() && text.contains("#HttpOnly_localhost"), "the cookie is on the disk")?;
    page.say("and the file keeps __Host-id for the next run, in SQLite; cookies.txt is written and read too");
    drop((session, storage));
    // What is left in the temporary folder is the system's to clear away.
    let _ = std::fs::remove_dir_all(&folder);
    Ok(())
}

fn last_cookie(origin: &Origin) -> String {
    let last = origin.requests().pop();
    last.map(|request| request.header_all("cookie").join("; ")).unwrap_or_default()
}

/// The names alone: values may be secrets.
fn names(field: &str) -> String {
    let names: Vec<_> =
        field.split("; ").filter_map(|pair| pair.split_once('=')).map(|(name, _)| name).collect();
    if names.is_empty() { "none".into() } else { names.join(" and ") }
}
