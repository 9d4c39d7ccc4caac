//! The cookie store and its file.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, UNIX_EPOCH};

use super::disk::group_folder;
use super::*;
use crate::env::{block_on, system_wall};
use crate::message::HttpCookiePropertyKey as Key;

fn cookie(name: &str, value: &str, domain: &str, age: Option<&str>) -> HttpCookie {
    let required = [(Key::Name, name), (Key::Value, value), (Key::Domain, domain), (Key::Path, "/")];
    HttpCookie::new(required.into_iter().chain(age.map(|age| (Key::MaximumAge, age)))).unwrap()
}

fn lasting(name: &str, value: &str) -> HttpCookie {
    cookie(name, value, "example.com", Some("600"))
}

/// As another process would open it.
fn opened(path: &Path) -> HttpCookieStorage {
    HttpCookieStorage(Store::with_file(path.to_owned()))
}

fn pairs(storage: &HttpCookieStorage) -> Vec<String> {
    storage.cookies().iter().map(|cookie| format!("{}={}", cookie.name(), cookie.value())).collect()
}

fn flush(storage: &HttpCookieStorage) {
    block_on(storage.flush());
}

#[test]
fn cookies_with_a_date_outlive_the_store_and_those_of_the_session_do_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/cookies.db");
    let storage = opened(&path);
    let full = HttpCookie::kept("all", "v=1 é", ".example.com", "/x")
        .with(Some(UNIX_EPOCH + Duration::from_secs(99_999_999_999)), true, true)
        .with_rest(
            Some(crate::message::HttpCookieStringPolicy::SameSiteLax),
            true,
            true,
            1,
            [Some("why"), Some("url"), Some("80,443")],
        );
    storage.set_cookie(full);
    storage.set_cookie(lasting("a", "b"));
    storage.set_cookie(cookie("session", "1", "example.com", None));
    flush(&storage);
    let (before, again) = (storage.cookies(), opened(&path).cookies());
    assert_eq!((before.len(), again.len()), (3, 2));
    assert!(before[0] == again[0] && before[1] == again[1], "{before:?} {again:?}");
    assert_eq!(again[0].port_list(), Some(&[80, 443][..]));
}

#[test]
fn a_store_makes_no_file_before_there_is_something_to_keep() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("below/cookies.db");
    let storage = opened(&path);
    assert!(storage.cookies().is_empty());
    storage.set_cookie(cookie("session", "1", "example.com", None));
    storage.remove_all();
    flush(&storage);
    assert!(!path.parent().unwrap().exists());
    storage.set_cookie(lasting("a", "b"));
    flush(&storage);
    assert!(path.exists());
}

#[test]
fn what_one_store_changes_the_other_of_the_same_file_sees() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cookies.db");
    let (one, two) = (opened(&path), opened(&path));
    assert!(two.cookies().is_empty());
    one.set_cookie(lasting("a", "1"));
    one.set_cookie(lasting("b", "1"));
    flush(&one);
    assert_eq!(pairs(&two), ["a=1", "b=1"]);
    two.set_cookie(lasting("a", "2"));
    two.delete_cookie(&lasting("b", ""));
    two.set_cookie(lasting("c", "2"));
    flush(&two);
    assert_eq!(pairs(&one), ["a=2", "c=2"]);
    one.remove_all();
    flush(&one);
    assert!(two.cookies().is_empty());
}

#[test]
fn a_load_sees_what_another_process_wrote_within_a_second() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cookies.db");
    let (one, two) = (opened(&path), opened(&path));
    let disk = two.0.disk();
    let start = system_wall();
    assert!(disk.is_due(start) && disk.is_due(start), "all wait for the first reading");
    two.0.read();
    assert!(disk.is_due(start), "then one looks");
    assert!(!disk.is_due(start) && !disk.is_due(start + Duration::from_millis(999)));
    one.set_cookie(lasting("a", "1"));
    flush(&one);
    assert!(two.is_empty());
    assert!(disk.is_due(start + Duration::from_secs(1)));
    block_on(two.refresh(&RuntimeHandle::own().unwrap()));
    assert!(!two.is_empty());
    assert!(disk.is_due(start - Duration::from_secs(60)), "a clock set back does not stop it");
}

#[test]
fn a_change_is_written_without_a_flush() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cookies.db");
    let (one, two) = (opened(&path), opened(&path));
    let mut changes = two.changes();
    one.set_cookie(lasting("a", "1"));
    // The writer is on its way: it is done when the other store can read it.
    while two.cookies().is_empty() {
        std::thread::yield_now();
    }
    block_on(std::future::poll_fn(|cx| {
        futures_core::Stream::poll_next(std::pin::Pin::new(&mut changes), cx)
    }));
}

#[test]
fn the_same_path_is_the_same_store() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cookies.db");
    let one = HttpCookieStorage::at(&path);
    assert!(
        one == HttpCookieStorage::at(&path) && one != HttpCookieStorage::at(folder.path().join("other.db"))
    );
    assert!(HttpCookieStorage::ephemeral() != HttpCookieStorage::ephemeral());
    assert!(HttpCookieStorage::shared() == HttpCookieStorage::shared());
}

#[test]
fn a_file_that_cannot_be_used_costs_its_contents_and_nothing_more() {
    type Spoil<'a> = &'a dyn Fn(&Path);
    let spoil: [(&str, Spoil<'_>); 3] = [
        ("garbage", &|path| fs::write(path, vec![b'x'; 10_000]).unwrap()),
        ("truncated", &|path| {
            let storage = opened(path);
            (0..500).for_each(|number| {
                storage.set_cookie(cookie("a", "b", &format!("site{number}.com"), Some("600")));
            });
            flush(&storage);
            drop(storage);
            // A writer may still hold it; only when it is closed, and the log gone, is everything in the one file.
            while path.with_extension("db-wal").exists() {
                std::thread::yield_now();
            }
            let length = fs::metadata(path).unwrap().len();
            fs::File::options().write(true).open(path).unwrap().set_len(length / 2).unwrap();
        }),
        ("newer", &|path| {
            rusqlite::Connection::open(path).unwrap().pragma_update(None, "user_version", 99).unwrap();
        }),
    ];
    for (what, spoil) in spoil {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cookies.db");
        spoil(&path);
        let storage = opened(&path);
        storage.set_cookie(lasting("a", "b"));
        flush(&storage);
        assert_eq!(pairs(&opened(&path)), ["a=b"], "{what}");
    }
}

#[test]
fn a_file_that_cannot_be_made_leaves_the_cookies_in_memory() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let storage = opened(&file.join("cookies.db"));
    storage.set_cookie(lasting("a", "b"));
    flush(&storage);
    storage.set_cookie(lasting("c", "d"));
    flush(&storage);
    assert_eq!(pairs(&storage), ["a=b", "c=d"]);
    assert!(!storage.0.disk().wants_writer());
}

#[test]
fn a_store_that_becomes_unusable_leaves_the_cookies_in_memory() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cookies.db");
    let storage = opened(&path);
    storage.set_cookie(lasting("a", "b"));
    flush(&storage);
    rusqlite::Connection::open(&path).unwrap().execute_batch("DROP TABLE cookies").unwrap();
    storage.set_cookie(lasting("c", "d"));
    flush(&storage);
    assert_eq!(pairs(&storage), ["a=b", "c=d"]);
}

#[test]
fn changes_are_told_and_end_with_the_store() {
    let storage = HttpCookieStorage::ephemeral();
    let mut changes = storage.changes();
    let mut next = || {
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        futures_core::Stream::poll_next(std::pin::Pin::new(&mut changes), &mut cx)
    };
    assert!(next().is_pending());
    storage.set_cookie(lasting("a", "b"));
    let second = lasting("c", "d");
    storage.set_cookie(second.clone());
    assert_eq!(next(), std::task::Poll::Ready(Some(())));
    assert!(next().is_pending(), "what is unread is one");
    storage.set_cookie(second);
    assert!(next().is_pending(), "nothing has changed");
    storage.delete_cookie(&lasting("a", ""));
    assert_eq!(next(), std::task::Poll::Ready(Some(())));
    drop(storage);
    assert_eq!(next(), std::task::Poll::Ready(None));
}

#[test]
fn a_group_has_a_folder_of_its_own() {
    assert_eq!(group_folder("com.example.app-1"), "group.com.example.app-1");
    assert_eq!(group_folder("../Up"), "group..._2f_55p");
    assert_ne!(group_folder("_55"), group_folder("U"));
}

/// Counts the warnings of one thread.
#[derive(Default)]
struct Warnings(AtomicUsize);

impl tracing::Subscriber for Warnings {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() == tracing::Level::WARN
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, _: &tracing::Event<'_>) {
        self.0.fetch_add(1, Relaxed);
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

#[test]
fn that_a_file_cannot_be_used_is_told_once() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let storage = opened(&file.join("cookies.db"));
    let warnings = Arc::new(Warnings::default());
    tracing::subscriber::with_default(warnings.clone(), || {
        for name in ["a", "b", "c"] {
            // As a writer does it, but on this thread: a change would send for one.
            storage.0.contents().set(lasting(name, "1"), None, system_wall());
            storage.0.write(crate::store::persistent::data::Effort::Little);
            storage.read_disk();
        }
    });
    assert_eq!((warnings.0.load(Relaxed), pairs(&storage).len()), (1, 3));
}
