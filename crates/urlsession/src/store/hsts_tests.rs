//! The HSTS store and its file.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::*;
use crate::env::{block_on, system_wall};

fn host(name: &str) -> Host<&str> {
    Host::Domain(name)
}

const YEAR: u64 = 31_536_000;

fn note(storage: &HstsStorage, name: &str, max_age: u64) {
    let said = StrictTransportSecurity { max_age, includes_subdomains: true };
    storage.note(&host(name), said, system_wall());
}

/// As another process would open it.
fn opened(path: &Path) -> HstsStorage {
    HstsStorage(Store::with_file(path.to_owned()))
}

fn flush(storage: &HstsStorage) {
    block_on(storage.flush());
}

#[test]
fn addresses_and_this_machine_are_never_known() {
    let storage = HstsStorage::ephemeral();
    for name in ["localhost", "a.localhost", "localhost."] {
        note(&storage, name, YEAR);
        assert!(!storage.is_known_host(name), "{name}");
    }
    let said = StrictTransportSecurity { max_age: YEAR, includes_subdomains: true };
    for address in ["127.0.0.1", "8.8.8.8", "[2001:db8::1]"] {
        storage.note(&Host::parse(address).unwrap(), said, system_wall());
        assert!(!storage.is_known_host(address), "{address}");
    }
    assert_eq!(storage.0.count(), 0);
    note(&storage, "a.example.", YEAR);
    assert!(storage.is_known_host("a.example") && storage.is_known_host("b.a.example."));
}

#[test]
fn hosts_outlive_the_store_until_their_time_is_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/hsts.db");
    let storage = opened(&path);
    assert!(!storage.is_known_host("a.example") && !path.parent().unwrap().exists());
    note(&storage, "a.example", YEAR);
    flush(&storage);
    let again = opened(&path);
    assert!(again.is_known_host("www.a.example"));
    let later = system_wall() + Duration::from_secs(YEAR + 1);
    assert!(!again.knows(&host("a.example"), later));
    note(&again, "a.example", 0);
    flush(&again);
    assert!(!opened(&path).is_known_host("a.example"));
}

#[test]
fn what_one_store_changes_the_other_of_the_same_file_sees() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hsts.db");
    let (one, two) = (opened(&path), opened(&path));
    assert!(!two.is_known_host("a.example"));
    note(&one, "a.example", YEAR);
    flush(&one);
    assert!(two.is_known_host("a.example"));
    note(&two, "b.example", YEAR);
    note(&two, "a.example", 0);
    flush(&two);
    assert!(one.is_known_host("b.example") && !one.is_known_host("a.example"));
    one.remove_all();
    flush(&one);
    assert!(!two.is_known_host("b.example"));
}

#[test]
fn the_same_path_is_the_same_store() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hsts.db");
    let one = HstsStorage::at(&path);
    assert!(one == HstsStorage::at(&path) && one != HstsStorage::at(folder.path().join("other.db")));
    assert!(HstsStorage::shared() == HstsStorage::shared());
    assert!(HstsStorage::ephemeral() != HstsStorage::ephemeral());
}

#[test]
fn a_file_that_cannot_be_used_costs_its_contents_and_nothing_more() {
    type Spoil<'a> = &'a dyn Fn(&Path);
    let spoil: [(&str, Spoil<'_>); 2] = [
        ("garbage", &|path| fs::write(path, vec![b'x'; 10_000]).unwrap()),
        ("newer", &|path| {
            rusqlite::Connection::open(path).unwrap().pragma_update(None, "user_version", 99).unwrap();
        }),
    ];
    for (what, spoil) in spoil {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hsts.db");
        spoil(&path);
        let storage = opened(&path);
        note(&storage, "a.example", YEAR);
        flush(&storage);
        assert!(opened(&path).is_known_host("a.example"), "{what}");
        assert!(folder.path().join("hsts.db.bad-1").exists(), "{what}");
    }
}

#[test]
fn a_file_that_cannot_be_made_leaves_the_hosts_in_memory() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let storage = opened(&file.join("hsts.db"));
    note(&storage, "a.example", YEAR);
    flush(&storage);
    note(&storage, "b.example", YEAR);
    flush(&storage);
    assert!(storage.is_known_host("a.example") && storage.is_known_host("b.example"));
}
