//! The store of upload servers and its file.

use std::fs;
use std::path::Path;

use super::*;
use crate::env::block_on;

fn url(host: &str) -> Url {
    format!("https://{host}/target").parse().unwrap()
}

fn start() -> SystemTime {
    crate::env::SystemClock.wall()
}

const DEAF: ServerSupport =
    ServerSupport::Speaks { dialect: Dialect::V6, hears_interim: false, most_at_once: Some(5000) };

/// As another process would open it.
fn opened(path: &Path) -> UploadServerStorage {
    UploadServerStorage(Store::with_file(path.to_owned()))
}

fn read(storage: &UploadServerStorage) -> &UploadServerStorage {
    storage.0.read();
    storage
}

#[test]
fn an_origin_is_known_by_what_was_noted_last_and_there_is_an_end_to_them() {
    let storage = UploadServerStorage::ephemeral();
    let later = |seconds: u64| start() + Duration::from_secs(seconds);
    storage.note(&url("0.example"), ServerSupport::Refuses, start());
    storage.note(&url("0.example"), ServerSupport::Indifferent, start());
    let other = "https://0.example/other".parse().unwrap();
    assert_eq!(storage.support(&other, start()), Some(ServerSupport::Indifferent));
    for elsewhere in ["http://0.example/x", "https://0.example:444/x", "https://a.0.example/x", "data:,x"] {
        assert_eq!(storage.support(&elsewhere.parse().unwrap(), start()), None);
    }
    for host in 1..=MOST as u64 {
        storage.note(&url(&format!("{host}.example")), ServerSupport::Refuses, later(host));
    }
    assert!(storage.0.count() <= MOST);
    assert_eq!(storage.support(&url("0.example"), later(2000)), None, "the oldest go");
    assert_eq!(storage.support(&url("1000.example"), later(2000)), Some(ServerSupport::Refuses));
}

#[test]
fn a_refusal_is_believed_for_a_day() {
    let storage = UploadServerStorage::ephemeral();
    storage.note(&url("a.example"), ServerSupport::Refuses, start());
    let just_before = start() + REFUSALS_KEPT - Duration::from_secs(1);
    assert_eq!(storage.support(&url("a.example"), just_before), Some(ServerSupport::Refuses));
    assert_eq!(storage.support(&url("a.example"), start() + REFUSALS_KEPT), None);
}

#[test]
fn what_was_learned_is_believed_for_30_days_however_often_it_is_seen_again() {
    let storage = UploadServerStorage::ephemeral();
    storage.note(&url("a.example"), DEAF, start());
    storage.note(&url("a.example"), DEAF, start() + KEPT / 2);
    let just_before = start() + KEPT - Duration::from_secs(1);
    assert_eq!(storage.support(&url("a.example"), just_before), Some(DEAF));
    assert_eq!(storage.support(&url("a.example"), start() + KEPT), None);
    storage.note(&url("a.example"), DEAF, start() + KEPT);
    assert_eq!(storage.support(&url("a.example"), start() + KEPT), Some(DEAF));
}

#[test]
fn what_was_learned_outlives_the_store_and_what_is_forgotten_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/upload-servers.db");
    let storage = opened(&path);
    let manners = [ServerSupport::Refuses, ServerSupport::Indifferent, DEAF];
    for (number, support) in manners.into_iter().enumerate() {
        storage.note(&url(&format!("{number}.example")), support, start());
    }
    block_on(storage.flush());
    let again = opened(&path);
    assert!(again.is_stale(&crate::env::SystemClock));
    for (number, support) in manners.into_iter().enumerate() {
        assert_eq!(read(&again).support(&url(&format!("{number}.example")), start()), Some(support));
    }
    again.remove_all();
    block_on(again.flush());
    assert_eq!(read(&opened(&path)).support(&url("0.example"), start()), None);
    assert_eq!(read(&storage).support(&url("0.example"), start()), None, "the other process forgets, too");
}

#[test]
fn servers_of_this_machine_are_not_written_down() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("upload-servers.db");
    let storage = opened(&path);
    let locals = ["localhost:8080", "a.localhost", "localhost.", "127.9.9.9", "[::1]", "[::ffff:127.0.0.1]"];
    locals.iter().for_each(|host| storage.note(&url(host), DEAF, start()));
    block_on(storage.flush());
    assert!(!path.exists());
    for host in locals {
        assert_eq!(read(&storage).support(&url(host), start()), Some(DEAF), "{host}");
    }
    storage.remove_all();
    assert_eq!(storage.support(&url(locals[0]), start()), None);
}

#[test]
fn a_file_that_cannot_be_used_costs_its_contents_and_nothing_more() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("upload-servers.db");
    fs::write(&path, vec![b'x'; 10_000]).unwrap();
    let storage = opened(&path);
    assert_eq!(read(&storage).support(&url("a.example"), start()), None);
    storage.note(&url("a.example"), DEAF, start());
    block_on(storage.flush());
    assert_eq!(read(&opened(&path)).support(&url("a.example"), start()), Some(DEAF));

    let row = "INSERT INTO servers VALUES ('https://b.example', 9000000000000000, 2, 99, 1, NULL),
               ('https://c.example', 9000000000000000, 7, 8, NULL, NULL),
               ('https://d.example', 9000000000000000, 0, 6, NULL, NULL)";
    rusqlite::Connection::open(&path).unwrap().execute_batch(row).unwrap();
    for host in ["b.example", "c.example", "d.example"] {
        assert_eq!(read(&opened(&path)).support(&url(host), start()), None, "another version's word");
    }
    // A file that cannot be made leaves them in memory.
    let storage = opened(&path.join("below/a/file.db"));
    storage.note(&url("a.example"), DEAF, start());
    block_on(storage.flush());
    assert_eq!(storage.support(&url("a.example"), start()), Some(DEAF));
}
