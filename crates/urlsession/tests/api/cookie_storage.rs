//! The store of cookies without a load, and its file, which several processes share. No test here touches the shared
//! store of this program: those that are about it run this program again, with a data folder of their own.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime};

use urlsession::Url;
use urlsession::block_on;
use urlsession::cookies::{
    HttpCookie, HttpCookieAcceptPolicy, HttpCookiePropertyKey as Key, HttpCookieStorage,
};

fn url(text: &str) -> Url {
    text.parse().unwrap()
}

fn cookie(name: &str, value: &str, domain: &str, path: &str) -> HttpCookie {
    let properties = [
        (Key::Name, name),
        (Key::Value, value),
        (Key::Domain, domain),
        (Key::Path, path),
        (Key::MaximumAge, "7776000"),
    ];
    HttpCookie::new(properties).unwrap()
}

fn names(cookies: &[HttpCookie]) -> Vec<&str> {
    cookies.iter().map(HttpCookie::name).collect()
}

/// Runs one of the helpers below in a process of its own.
fn helper(name: &str, folder: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--ignored", "--exact", "--nocapture", &format!("cookie_storage::{name}")]);
    command.env("XDG_DATA_HOME", folder).env("LOCALAPPDATA", folder).env("HOME", folder);
    command.env_remove("URLSESSION_APPLICATION_ID");
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command
}

/// Runs a helper to its end, which must be a good one.
fn run(name: &str, folder: &Path) {
    let output = helper(name, folder).stderr(Stdio::piped()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn test_shared_cookie_storage_accessed_from_multiple_threads() {
    let threads: Vec<_> = (0..64).map(|_| std::thread::spawn(HttpCookieStorage::shared)).collect();
    let first = HttpCookieStorage::shared();
    assert!(threads.into_iter().all(|thread| thread.join().unwrap() == first));
}

#[test]
fn test_basic_storage_and_retrieval() {
    let folder = tempfile::tempdir().unwrap();
    run("helper_basic_storage_and_retrieval", folder.path());
}

#[test]
#[ignore = "run by test_basic_storage_and_retrieval, in a process of its own"]
fn helper_basic_storage_and_retrieval() {
    for storage in
        [HttpCookieStorage::shared(), HttpCookieStorage::shared_cookie_storage_for_group_container("test")]
    {
        let expired = [
            (Key::Name, "TestCookie"),
            (Key::Value, "x"),
            (Key::Domain, "swift.org"),
            (Key::Path, "/"),
            (Key::Expires, "Wed, 21 Sep 2016 05:33:00 GMT"),
        ];
        storage.set_cookie(HttpCookie::new(expired).unwrap());
        assert_eq!(storage.cookies().len(), 0);
        storage.set_cookie(cookie("TestCookie", "1", "swift.org", "/"));
        assert_eq!(storage.cookies().len(), 1);
        storage.set_cookie(cookie("TestCookie", "2", "swift.org", "/"));
        assert_eq!((storage.cookies().len(), storage.cookies()[0].value()), (1, "2"));
        storage.set_cookie(cookie("TestCookie", "3", "example.com", "/"));
        assert_eq!(storage.cookies().len(), 2);
    }
    assert!(
        HttpCookieStorage::shared() != HttpCookieStorage::shared_cookie_storage_for_group_container("test")
    );
}

#[test]
fn test_delete_cookie() {
    let storage = HttpCookieStorage::ephemeral();
    let (one, two) = (cookie("a", "1", "swift.org", "/"), cookie("a", "1", "example.com", "/"));
    storage.set_cookie(one.clone());
    storage.set_cookie(two.clone());
    assert_eq!(storage.cookies().len(), 2);
    storage.delete_cookie(&one);
    assert_eq!(storage.cookies(), std::slice::from_ref(&two));
    storage.delete_cookie(&two);
    assert_eq!(storage.cookies().len(), 0);
}

#[test]
fn test_remove_cookies() {
    let storage = HttpCookieStorage::ephemeral();
    storage.set_cookie(cookie("a", "1", "swift.org", "/"));
    let now = SystemTime::now();
    storage.remove_cookies_since(now + Duration::from_secs(120));
    assert_eq!(storage.cookies().len(), 1);
    storage.remove_cookies_since(now - Duration::from_secs(120));
    assert_eq!(storage.cookies().len(), 0);
}

#[test]
fn test_cookies_for_url() {
    let storage = HttpCookieStorage::ephemeral();
    let cookies = [cookie("a", "1", "example.com", "/"), cookie("b", "1", "swift.org", "/")];
    storage.set_cookies(cookies, &url("https://swift.org"), None);
    assert_eq!(storage.cookies().len(), 1);
    assert_eq!(storage.cookies_for(&url("https://swift.org")).len(), 1);
}

/// Two hosts of one site are one first party here: `dt.swift.org` in a page of `ci.swift.org` is no stranger.
#[test]
fn test_cookies_for_url_with_main_document_url() {
    let storage = HttpCookieStorage::ephemeral();
    storage.set_cookie_accept_policy(HttpCookieAcceptPolicy::OnlyFromMainDocumentDomain);
    let main = url("http://ci.swift.org");
    let set = |of: &str, domain| {
        storage.set_cookies([cookie("a", "1", domain, "/")], &url(of), Some(&main));
        storage.cookies_for(&url(of)).len()
    };
    assert_eq!(set("https://swift.org/downloads", "swift.org"), 1);
    assert_eq!(set("https://dt.swift.org", "dt.swift.org"), 1);
    assert_eq!(set("https://swift.example", "swift.example"), 0);
}

#[test]
fn test_description_cookie() {
    let storage = HttpCookieStorage::ephemeral();
    assert_eq!(storage.to_string(), "<HttpCookieStorage cookies count:0>");
    storage.set_cookie(cookie("a", "s3cret", "swift.org", "/"));
    assert_eq!(storage.to_string(), "<HttpCookieStorage cookies count:1>");
    assert!(!format!("{storage:?}{:?}", storage.cookies()).contains("s3cret"));
    storage.delete_cookie(&cookie("a", "", "swift.org", "/"));
    assert_eq!(storage.to_string(), "<HttpCookieStorage cookies count:0>");
}

#[test]
fn test_cookie_domain_matching() {
    let storage = HttpCookieStorage::ephemeral();
    for (name, domain) in [("1", "swift.org"), ("2", ".SWIFT.org"), ("3", "bugs.swift.org")] {
        storage.set_cookie(cookie(name, "v", domain, "/"));
    }
    for (of, expected) in [
        ("https://swift.ORG", &["1", "2"][..]),
        ("https://CI.swift.ORG", &["2"]),
        ("https://BUGS.swift.org", &["2", "3"]),
        ("https://www.example.com", &[]),
        ("https://superswift.org", &[]),
    ] {
        assert_eq!(names(&storage.cookies_for(&url(of))), expected, "{of}");
    }
}

#[test]
fn test_cookie_in_xdg_spec_path() {
    let folder = tempfile::tempdir().unwrap();
    run("helper_keeps_a_cookie", folder.path());
    let file = file_of_helper(folder.path());
    assert!(file.exists(), "{}", file.display());
    run("helper_finds_the_cookie", folder.path());
}

#[test]
#[ignore = "run by test_cookie_in_xdg_spec_path, in a process of its own"]
fn helper_keeps_a_cookie() {
    let storage = HttpCookieStorage::shared();
    storage.set_cookie(cookie("kept", "1", "swift.org", "/"));
    block_on(storage.flush());
}

#[test]
#[ignore = "run by test_cookie_in_xdg_spec_path, in a process of its own"]
fn helper_finds_the_cookie() {
    assert_eq!(names(&HttpCookieStorage::shared().cookies()), ["kept"]);
}

#[test]
fn test_sorting() {
    let storage = HttpCookieStorage::ephemeral();
    for (name, path) in [("A", "/1"), ("B", "/2"), ("C", "/2")] {
        storage.set_cookie(cookie(name, "v", "swift.org", path));
    }
    let sorted =
        storage.sorted_cookies_using(|a, b| a.path().cmp(b.path()).then_with(|| b.name().cmp(a.name())));
    assert_eq!(names(&sorted), ["A", "C", "B"]);
}

#[test]
fn nothing_is_kept_when_the_policy_is_never() {
    let storage = HttpCookieStorage::ephemeral();
    assert_eq!(storage.cookie_accept_policy(), HttpCookieAcceptPolicy::Always);
    storage.set_cookie_accept_policy(HttpCookieAcceptPolicy::Never);
    storage.set_cookie(cookie("a", "1", "swift.org", "/"));
    storage.set_cookies([cookie("b", "1", "swift.org", "/")], &url("https://swift.org"), None);
    assert!(storage.cookies().is_empty());
    assert_eq!(storage.cookie_accept_policy(), HttpCookieAcceptPolicy::Never);
}

/// A process that writes one cookie after another, each a line on its output when it is on the disk.
struct Writer(Child, BufReader<std::process::ChildStdout>);

impl Writer {
    fn start(folder: &Path) -> Self {
        let mut child = helper("helper_writes_until_it_is_killed", folder).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self(child, output)
    }

    fn hears_of(&mut self, name: &str) {
        let mut line = String::new();
        while line.trim() != name {
            line.clear();
            assert!(self.1.read_line(&mut line).unwrap() > 0, "the writer has ended before {name}");
        }
    }

    fn kill(self) {
        drop(self);
    }
}

impl Drop for Writer {
    /// Also when a test fails: nothing else would end it.
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
#[ignore = "run by tests that kill it"]
fn helper_writes_until_it_is_killed() {
    let storage = HttpCookieStorage::shared();
    for number in 0..1_000_000 {
        let name = format!("c{}", number % 100);
        storage.set_cookie(cookie(&name, &number.to_string(), "swift.org", "/"));
        block_on(storage.flush());
        println!("written-{number}");
        std::io::stdout().flush().unwrap();
    }
}

/// The file of the shared store of a helper.
fn file_of_helper(folder: &Path) -> std::path::PathBuf {
    let application = std::env::current_exe().unwrap();
    let data = if cfg!(target_vendor = "apple") { "Library/Application Support" } else { "" };
    folder.join(data).join("urlsession").join(application.file_stem().unwrap()).join("cookies.db")
}

#[test]
fn what_was_flushed_survives_a_process_that_is_killed_in_the_middle() {
    let folder = tempfile::tempdir().unwrap();
    for round in 1..=3 {
        let mut writer = Writer::start(folder.path());
        writer.hears_of(&format!("written-{}", 100 * round));
        writer.kill();
        let storage = HttpCookieStorage::at(file_of_helper(folder.path()));
        let cookies = storage.cookies();
        assert_eq!(cookies.len(), 100);
        let newest: u64 = cookies.iter().map(|cookie| cookie.value().parse().unwrap()).max().unwrap();
        assert!(newest >= 100 * round);
    }
    assert!(
        std::fs::read_dir(file_of_helper(folder.path()).parent().unwrap())
            .unwrap()
            .all(|file| { !file.unwrap().file_name().to_string_lossy().contains("bad") })
    );
}

#[test]
fn two_processes_write_at_once_and_each_sees_what_the_other_keeps() {
    let folder = tempfile::tempdir().unwrap();
    let mut writers = [Writer::start(folder.path()), Writer::start(folder.path())];
    writers.iter_mut().for_each(|writer| writer.hears_of("written-20"));
    let storage = HttpCookieStorage::at(file_of_helper(folder.path()));
    storage.set_cookie(cookie("ours", "1", "example.com", "/"));
    block_on(storage.flush());
    assert!(storage.cookies().len() > 20);
    writers.iter_mut().for_each(|writer| writer.hears_of("written-60"));
    // What others write does not push out what is ours, and theirs comes in.
    assert!(storage.cookies().len() >= 61);
    assert_eq!(storage.cookies_for(&url("https://example.com")).len(), 1);
    writers.into_iter().for_each(Writer::kill);
    assert_eq!(storage.cookies_for(&url("https://example.com")).len(), 1);
}
