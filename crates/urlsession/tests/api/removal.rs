//! What is removed is gone: no file of a store has a value any more, while the session still lives.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tempfile::TempDir;
use urlsession::UrlSession;
use urlsession::authentication::{
    AuthenticationMethod, UrlCredential, UrlCredentialPersistence, UrlCredentialStorage, UrlProtectionSpace,
    UrlProtectionSpaceProtocol,
};
use urlsession::block_on;
use urlsession::cache::UrlCache;
use urlsession::cookies::HttpCookieStorage;
use urlsession::security::HstsStorage;
use urlsession::uploads::UploadServerStorage;
use urlsession_testkit::{Gate, Origin, Reply, Wire};

use crate::support::*;

/// A session whose stores are files below a folder.
fn kept(origin: &Origin, folder: &TempDir) -> UrlSession {
    let at = |name: &str| folder.path().join(name);
    UrlSession::new(
        configuration(origin)
            .http_cookie_storage(HttpCookieStorage::at(at("cookies.db")))
            .url_cache(UrlCache::new(0, 100 << 20, Some(at("cache"))))
            .url_credential_storage(UrlCredentialStorage::at(at("credentials.db")))
            .hsts_storage(HstsStorage::at(at("hsts.db")))
            .upload_server_storage(UploadServerStorage::at(at("upload-servers.db"))),
    )
}

fn cookies(session: &UrlSession) -> HttpCookieStorage {
    session.configuration().http_cookie_storage.unwrap()
}

fn cache(session: &UrlSession) -> UrlCache {
    session.configuration().url_cache.unwrap()
}

/// The files below a folder that have these bytes in them.
fn files_with(folder: &Path, secret: &[u8]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_with(&path, secret));
        // A file may be gone by now.
        } else if fs::read(&path)
            .is_ok_and(|bytes| bytes.windows(secret.len()).any(|window| window == secret))
        {
            found.push(path);
        }
    }
    found
}

fn has(folder: &TempDir, secret: &str) -> bool {
    !files_with(folder.path(), secret.as_bytes()).is_empty()
}

fn lasting(value: &str) -> Reply {
    Reply::new(200).header("Set-Cookie", format!("token={value}; Max-Age=600; Path=/")).body("x")
}

fn cacheable(body: impl Into<Vec<u8>>) -> Reply {
    Reply::new(200).header("Cache-Control", "max-age=600").body(body)
}

/// A body that is a file of its own in the cache.
fn large(secret: &str) -> Vec<u8> {
    secret.as_bytes().iter().copied().cycle().take(100_000).collect()
}

fn get(session: &UrlSession, origin: &Origin, path: &str) {
    session.data(origin.url(path)).wait().unwrap();
}

#[test]
fn after_a_reset_no_file_of_any_store_has_what_was_in_it() {
    on(Wire::H1, |origin| {
        let folder = tempfile::tempdir().unwrap();
        let session = kept(origin, &folder);
        origin.enqueue("/a", lasting("cookie-secret").header("Cache-Control", "max-age=600"));
        origin.enqueue("/b", cacheable("small-secret"));
        origin.enqueue("/c", cacheable(large("large-secret")));
        ["/a", "/b", "/c"].iter().for_each(|path| get(&session, origin, path));
        let credentials = session.configuration().url_credential_storage.unwrap();
        let space = UrlProtectionSpace::new(
            "example.com",
            0,
            UrlProtectionSpaceProtocol::Http,
            None,
            AuthenticationMethod::Default,
        );
        let credential = UrlCredential::new("ann", "p4ss", UrlCredentialPersistence::Permanent);
        credentials.set(&credential, &space);
        block_on(session.flush());
        for secret in ["cookie-secret", "small-secret", "large-secret"] {
            assert!(has(&folder, secret), "{secret} is there at first");
        }
        let sealed = fs::metadata(folder.path().join("credentials.db")).unwrap().len();
        assert!(sealed > 0);
        block_on(session.reset());
        for secret in ["cookie-secret", "small-secret", "large-secret"] {
            assert_eq!(files_with(folder.path(), secret.as_bytes()), Vec::<PathBuf>::new(), "{secret}");
        }
        assert!(cookies(&session).cookies().is_empty() && credentials.all_credentials().is_empty());
        assert_eq!(fs::read_dir(folder.path().join("cache/bodies")).unwrap().count(), 0);
        // The stores go on.
        origin.enqueue("/a", lasting("another"));
        origin.enqueue("/b", cacheable("once more"));
        ["/a", "/b", "/b"].iter().for_each(|path| get(&session, origin, path));
        assert_eq!(cookies(&session).cookies().len(), 1);
        assert_eq!(origin.requests().len(), 5);
    });
}

#[test]
fn a_cookie_that_is_deleted_replaced_or_expired_is_in_no_file() {
    on(Wire::H1, |origin| {
        type Remove = fn(&UrlSession, &Origin);
        let ways: [(&str, Remove); 5] = [
            ("deleted", |session, _| {
                let storage = cookies(session);
                storage.cookies().iter().for_each(|cookie| storage.delete_cookie(cookie));
            }),
            ("removed since", |session, _| cookies(session).remove_cookies_since(SystemTime::UNIX_EPOCH)),
            ("replaced", |session, origin| {
                origin.enqueue("/a", lasting("other"));
                get(session, origin, "/a");
            }),
            ("replaced by one of the session", |session, origin| {
                origin.enqueue("/a", Reply::new(200).header("Set-Cookie", "token=other; Path=/"));
                get(session, origin, "/a");
            }),
            ("expired", |session, origin| {
                origin.enqueue("/a", Reply::new(200).header("Set-Cookie", "token=; Max-Age=0; Path=/"));
                get(session, origin, "/a");
            }),
        ];
        for (way, remove) in ways {
            let folder = tempfile::tempdir().unwrap();
            let session = kept(origin, &folder);
            origin.enqueue("/a", lasting("cookie-secret"));
            get(&session, origin, "/a");
            block_on(session.flush());
            assert!(has(&folder, "cookie-secret"), "{way}");
            remove(&session, origin);
            block_on(cookies(&session).flush());
            assert!(!has(&folder, "cookie-secret"), "{way}");
        }
    });
}

#[test]
fn a_cookie_that_has_become_too_old_is_in_no_file_once_it_is_flushed() {
    on(Wire::H1, |origin| {
        let folder = tempfile::tempdir().unwrap();
        let (configuration, clock) = with_hand_clock(origin);
        let session = UrlSession::new(
            configuration.http_cookie_storage(HttpCookieStorage::at(folder.path().join("cookies.db"))),
        );
        origin.enqueue("/a", lasting("cookie-secret"));
        get(&session, origin, "/a");
        block_on(session.flush());
        assert!(has(&folder, "cookie-secret"));
        clock.advance(Duration::from_secs(599));
        block_on(session.flush());
        assert!(has(&folder, "cookie-secret"), "it is not too old");
        clock.advance(Duration::from_secs(1));
        block_on(session.flush());
        assert!(!has(&folder, "cookie-secret"));
        // Also what another run finds too old.
        origin.enqueue("/a", lasting("cookie-secret"));
        get(&session, origin, "/a");
        block_on(session.flush());
        let copy = tempfile::tempdir().unwrap();
        for file in fs::read_dir(folder.path()).unwrap().map(Result::unwrap) {
            fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
        }
        assert!(has(&copy, "cookie-secret"));
        let (mut configuration, clock) = with_hand_clock(origin);
        clock.advance(Duration::from_secs(2000));
        let again = HttpCookieStorage::at(copy.path().join("cookies.db"));
        configuration.http_cookie_storage = Some(again.clone());
        let session = UrlSession::new(configuration);
        assert_eq!(again.cookies().len(), 0);
        block_on(session.flush());
        assert!(!has(&copy, "cookie-secret"));
    });
}

#[test]
fn a_cached_response_that_is_removed_or_replaced_is_in_no_file() {
    on(Wire::H1, |origin| {
        type Remove = fn(&UrlSession, &Origin);
        let ways: [(&str, Remove); 4] = [
            ("all", |session, _| cache(session).remove_all_cached_responses()),
            ("one", |session, origin| {
                cache(session).remove_cached_response(&request(&origin.url("/a"), "GET", None));
            }),
            ("since", |session, _| {
                cache(session).remove_cached_responses_since(SystemTime::UNIX_EPOCH);
            }),
            ("replaced", |session, origin| {
                origin.enqueue("/a", cacheable("another"));
                let mut request = request(&origin.url("/a"), "GET", None);
                request.set_cache_policy(urlsession::CachePolicy::ReloadIgnoringLocalCacheData);
                load(session, request).unwrap();
            }),
        ];
        for (way, remove) in ways {
            for body in [b"body-secret".to_vec(), large("body-secret")] {
                let folder = tempfile::tempdir().unwrap();
                let session = kept(origin, &folder);
                origin.enqueue("/a", cacheable(body));
                get(&session, origin, "/a");
                block_on(session.flush());
                assert!(has(&folder, "body-secret"), "{way}");
                remove(&session, origin);
                block_on(session.flush());
                assert!(!has(&folder, "body-secret"), "{way}");
            }
        }
    });
}

#[test]
fn what_is_removed_is_gone_soon_also_when_nobody_waits_for_it() {
    on(Wire::H1, |origin| {
        let folder = tempfile::tempdir().unwrap();
        let session = kept(origin, &folder);
        origin.enqueue("/a", lasting("cookie-secret").header("Cache-Control", "max-age=600"));
        get(&session, origin, "/a");
        block_on(session.flush());
        assert!(has(&folder, "cookie-secret"));
        cookies(&session).remove_cookies_since(SystemTime::UNIX_EPOCH);
        cache(&session).remove_cached_response(&request(&origin.url("/a"), "GET", None));
        wait_until(|| !has(&folder, "cookie-secret"));
    });
}

#[test]
fn a_reset_also_removes_bad_files_that_were_put_aside() {
    on(Wire::H1, |origin| {
        let folder = tempfile::tempdir().unwrap();
        for name in ["cookies.db", "cache/cache.db", "credentials.db"] {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "a damaged file with a secret").unwrap();
        }
        let session = kept(origin, &folder);
        origin.enqueue("/a", lasting("x").header("Cache-Control", "max-age=600"));
        get(&session, origin, "/a");
        assert!(session.configuration().url_credential_storage.unwrap().all_credentials().is_empty());
        block_on(session.flush());
        assert_eq!(files_with(folder.path(), b"with a secret").len(), 3);
        block_on(session.reset());
        assert_eq!(files_with(folder.path(), b"with a secret"), Vec::<PathBuf>::new());
    });
}

#[test]
fn a_response_that_is_being_loaded_when_the_cache_is_emptied_is_not_kept() {
    on(Wire::H1, |origin| {
        // One goes to a file as it comes, one is gathered in memory.
        for length in [1_000_000, 100_000] {
            let folder = tempfile::tempdir().unwrap();
            let session = kept(origin, &folder);
            let gate = Gate::new();
            let body: Vec<u8> = large("body-secret").into_iter().cycle().take(length).collect();
            origin.enqueue("/a", cacheable(body).body_gate(length as u64 - 10, gate.clone()));
            let (sender, receiver) = std::sync::mpsc::channel();
            let task =
                session.data_task_with_handler(origin.url("/a"), move |result| sender.send(result).unwrap());
            task.resume();
            assert!(gate.wait_reached(PATIENCE));
            wait_until(|| task.count_of_bytes_received() > 0);
            if length > 500_000 {
                wait_until(|| has(&folder, "body-secret"));
            }
            block_on(session.reset());
            wait_until(|| !has(&folder, "body-secret"));
            gate.release();
            assert_eq!(receiver.recv_timeout(PATIENCE).unwrap().unwrap().0.len(), length);
            block_on(session.flush());
            assert!(!has(&folder, "body-secret"));
            origin.enqueue("/a", Reply::new(200).body("anew"));
            assert_eq!(text(&load(&session, origin.url("/a")).unwrap().0), "anew");
        }
    });
}

#[test]
fn digests_of_passwords_on_disk_are_of_no_use_without_the_folders_key() {
    on(Wire::H1, |origin| {
        let folder = tempfile::tempdir().unwrap();
        let session = kept(origin, &folder);
        let login = || {
            let mut request = request(&origin.url("/a"), "GET", None);
            request.set_value("Authorization", "Basic YW5uOnB3").unwrap();
            request
        };
        let reply = || {
            Reply::new(200)
                .header("Cache-Control", "private, max-age=600")
                .header("Vary", "Authorization")
                .body("hers")
        };
        origin.enqueue("/a", reply());
        load(&session, login()).unwrap();
        block_on(session.flush());
        let plain = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, b"Basic YW5uOnB3");
        assert_eq!(files_with(folder.path(), &plain.as_ref()[..8]), Vec::<PathBuf>::new());
        let key = || fs::read(folder.path().join("cache/cache.db.key")).unwrap();
        let before = key();
        // It still tells users apart, in another session, too.
        drop(session);
        let session = kept(origin, &folder);
        assert_eq!(text(&load(&session, login()).unwrap().0), "hers");
        origin.enqueue("/a", reply().body("nobody's"));
        assert_eq!(text(&load(&session, origin.url("/a")).unwrap().0), "nobody's");
        assert_eq!(origin.requests().len(), 2);
        assert_eq!(key(), before);
        block_on(session.reset());
        assert_ne!(key(), before);
        origin.enqueue("/a", reply());
        load(&session, login()).unwrap();
        load(&session, login()).unwrap();
        assert_eq!(origin.requests().len(), 3);
    });
}

#[test]
fn what_another_process_has_emptied_is_found_nowhere_and_the_new_key_is_taken() {
    on(Wire::H1, |origin| {
        let folder = tempfile::tempdir().unwrap();
        // Two caches of one folder are as two processes.
        let (one, two) = (kept(origin, &folder), kept(origin, &folder));
        let login = || {
            let mut request = request(&origin.url("/a"), "GET", None);
            request.set_value("Authorization", "Basic YW5uOnB3").unwrap();
            request
        };
        let reply = |body: &str| Reply::new(200).header("Cache-Control", "private, max-age=600").body(body);
        origin.enqueue("/a", reply("first"));
        load(&one, login()).unwrap();
        block_on(one.flush());
        assert_eq!(text(&load(&two, login()).unwrap().0), "first");
        block_on(one.reset());
        origin.enqueue("/a", reply("second"));
        assert_eq!(text(&load(&two, login()).unwrap().0), "second");
        block_on(two.flush());
        assert_eq!(text(&load(&one, login()).unwrap().0), "second", "by the same key");
        assert_eq!(origin.requests().len(), 2);
    });
}
