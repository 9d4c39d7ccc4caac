//! The cache as an application holds it: what is kept in memory and on disk, by one process and by several.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime};

use tempfile::TempDir;
use urlsession::block_on;
use urlsession::cache::{CachedUrlResponse, StoragePolicy, UrlCache};
use urlsession::{Bytes, Configuration, HttpUrlResponse, UrlRequest, UrlResponse, UrlSession, Version};

use crate::support::wait_until;

const MIB: u64 = 1024 * 1024;

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn cache(memory: u64, disk: u64, folder: &TempDir) -> UrlCache {
    UrlCache::new(memory, disk, Some(folder.path().to_owned()))
}

fn request(url: &str) -> UrlRequest {
    UrlRequest::new(url.parse().unwrap())
}

fn response(url: &str) -> UrlResponse {
    let fields = [("Content-Type", "text/plain"), ("Cache-Control", "max-age=3600")];
    HttpUrlResponse::new(url.parse().unwrap(), 200, Version::HTTP_11, fields).unwrap().into()
}

/// A request and what is kept for it.
fn pair(url: &str, data: impl Into<Bytes>) -> (UrlRequest, CachedUrlResponse) {
    (request(url), CachedUrlResponse::new(response(url), data))
}

fn body(length: usize, seed: u8) -> Vec<u8> {
    (0..length).map(|at| (at % 251) as u8 ^ seed).collect()
}

fn three() -> [(UrlRequest, CachedUrlResponse); 3] {
    ["http://a/1", "http://a/2", "http://a/3"].map(|url| pair(url, body(2048, 1)))
}

fn found(cache: &UrlCache, of: &[(UrlRequest, CachedUrlResponse)]) -> Vec<bool> {
    of.iter().map(|(request, _)| cache.cached_response(request).is_some()).collect()
}

fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    fs::read_dir(folder.join("bodies")).into_iter().flatten().map(|file| file.unwrap().path()).collect()
}

#[test]
fn test_storage_roundtrip() {
    let folder = folder();
    let (request, stored) = pair("http://a/", body(2048, 1));
    let notes = BTreeMap::from([("note".to_owned(), "mine".to_owned())]);
    let stored = stored.with_user_info(notes.clone());
    cache(200 * MIB, 200 * MIB, &folder).store_cached_response(&stored, &request);
    // Another has nothing in memory.
    for cache in [cache(200 * MIB, 200 * MIB, &folder), cache(0, 200 * MIB, &folder)] {
        wait_until(|| cache.cached_response(&request).is_some());
        let found = cache.cached_response(&request).unwrap();
        assert_eq!(found, stored);
        assert_eq!(found.user_info(), Some(&notes));
    }
}

/// What one cache has been told another sees soon: each has a thread of its own for the disk.
#[test]
fn test_storage_policy() {
    for (policy, is_found, is_on_disk) in [
        (StoragePolicy::Allowed, true, true),
        (StoragePolicy::AllowedInMemoryOnly, true, false),
        (StoragePolicy::NotAllowed, false, false),
    ] {
        let folder = folder();
        let cache = cache(200 * MIB, 200 * MIB, &folder);
        let (request, stored) = pair("http://a/", body(2048, 1));
        cache.store_cached_response(&stored.with_storage_policy(policy), &request);
        assert_eq!(cache.cached_response(&request).is_some(), is_found, "{policy:?}");
        assert_eq!(cache.current_disk_usage() > 0, is_on_disk, "{policy:?}");
        assert_eq!(folder.path().join("cache.db").exists(), is_on_disk, "{policy:?}");
    }
}

#[test]
fn test_no_disk_usage_if_disabled() {
    let folder = folder();
    let cache = cache(200 * MIB, 0, &folder);
    let (request, stored) = pair("http://a/", body(2048, 1));
    cache.store_cached_response(&stored, &request);
    assert_eq!(cache.current_disk_usage(), 0);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    assert!(cache.cached_response(&request).is_some());
}

#[test]
fn test_shrinking_disk_capacity_evicts_items() {
    let folder = folder();
    let cache = cache(200 * MIB, 200 * MIB, &folder);
    let all = three();
    all.iter().for_each(|(request, stored)| cache.store_cached_response(stored, request));
    assert!(cache.current_disk_usage() > 3 * 2048);
    cache.set_disk_capacity(0);
    assert_eq!(cache.current_disk_usage(), 0);
    assert_eq!(found(&cache, &all), [true; 3]);
    cache.set_memory_capacity(0);
    assert_eq!(found(&cache, &all), [false; 3]);
}

/// Takes what is on disk away.
fn lose(cache: &UrlCache, folder: &TempDir) {
    match cfg!(windows) {
        // Windows removes no file that SQLite has open ("Sharing violation").
        true => cache.set_disk_capacity(0),
        false => fs::remove_dir_all(folder.path()).unwrap(),
    }
}

#[test]
fn test_no_memory_usage_if_disabled() {
    let folder = folder();
    let cache = cache(0, 200 * MIB, &folder);
    let (request, stored) = pair("http://a/", body(2048, 1));
    cache.store_cached_response(&stored, &request);
    assert_eq!(cache.current_memory_usage(), 0);
    assert!(cache.cached_response(&request).is_some());
    lose(&cache, &folder);
    assert!(cache.cached_response(&request).is_none());
}

#[test]
fn test_shrinking_memory_capacity_evicts_items() {
    let folder = folder();
    let cache = cache(200 * MIB, 200 * MIB, &folder);
    let all = three();
    all.iter().for_each(|(request, stored)| cache.store_cached_response(stored, request));
    assert!(cache.current_disk_usage() > 0);
    lose(&cache, &folder);
    assert_eq!(found(&cache, &all), [true; 3]);
    cache.set_memory_capacity(0);
    assert_eq!(found(&cache, &all), [false; 3]);
}

#[test]
fn test_removing_one() {
    let folder = folder();
    let cache = cache(200 * MIB, 200 * MIB, &folder);
    let all = three();
    all.iter().for_each(|(request, stored)| cache.store_cached_response(stored, request));
    let full = cache.current_disk_usage();
    cache.remove_cached_response(&all[0].0);
    assert_eq!(cache.current_disk_usage(), full / 3 * 2);
    assert_eq!(found(&cache, &all), [false, true, true]);
}

#[test]
fn test_removing_all() {
    let folder = folder();
    let cache = cache(200 * MIB, 200 * MIB, &folder);
    let all = three();
    all.iter().for_each(|(request, stored)| cache.store_cached_response(stored, request));
    cache.remove_all_cached_responses();
    assert_eq!((cache.current_disk_usage(), cache.current_memory_usage()), (0, 0));
    assert_eq!(found(&cache, &all), [false; 3]);
}

#[test]
fn test_removing_since() {
    let folder = folder();
    let cache = cache(200 * MIB, 200 * MIB, &folder);
    let all = three();
    cache.store_cached_response(&all[0].1, &all[0].0);
    let one = cache.current_disk_usage();
    let first = SystemTime::now();
    while SystemTime::now().duration_since(first).unwrap() < Duration::from_millis(5) {
        std::thread::yield_now();
    }
    all[1..].iter().for_each(|(request, stored)| cache.store_cached_response(stored, request));
    cache.remove_cached_responses_since(first + Duration::from_millis(2));
    assert_eq!(cache.current_disk_usage(), one);
    assert_eq!(found(&cache, &all), [true, false, false]);
}

#[test]
fn test_storing_twice_only_has_one_entry() {
    let folder = folder();
    let cache = cache(200 * MIB, 200 * MIB, &folder);
    let (request, first) = pair("http://a/", body(2048, 1));
    let second = CachedUrlResponse::new(response("http://a/"), body(2048, 2));
    cache.store_cached_response(&first, &request);
    let one = cache.current_disk_usage();
    cache.store_cached_response(&second, &request);
    assert_eq!(cache.current_disk_usage(), one);
    assert_eq!(cache.cached_response(&request), Some(second.clone()));
    cache.set_memory_capacity(0);
    assert_eq!(cache.cached_response(&request), Some(second));
}

#[test]
fn the_least_recently_used_go_first_wherever_they_were_used() {
    let folder = folder();
    let cache = cache(200 * MIB, 200 * MIB, &folder);
    let all = three();
    all.iter().for_each(|(request, stored)| cache.store_cached_response(stored, request));
    // In memory, and the disk hears of it.
    assert!(cache.cached_response(&all[0].0).is_some());
    let full = cache.current_disk_usage();
    cache.set_disk_capacity(full - 1);
    assert_eq!(cache.current_disk_usage(), full / 3 * 2);
    cache.set_memory_capacity(0);
    assert_eq!(found(&cache, &all), [true, false, true]);
    assert!(cache.cached_response(&all[0].0).is_some());
    cache.set_disk_capacity(cache.current_disk_usage() - 1);
    assert_eq!(found(&cache, &all), [true, false, false]);
}

#[test]
fn keys_are_whole_urls_and_only_get_is_kept() {
    let folder = folder();
    let cache = cache(MIB, MIB, &folder);
    let (request_x, stored) = pair("http://a/p?x=1", "x");
    cache.store_cached_response(&stored, &request_x);
    for url in ["http://a/p?x=2", "https://a/p?x=1", "http://a:81/p?x=1", "http://a/p"] {
        assert!(cache.cached_response(&request(url)).is_none(), "{url}");
    }
    assert!(cache.cached_response(&request("http://a/p?x=1#f")).is_some());
    let mut post = request("http://a/p?x=1");
    post.set_http_method("POST").unwrap();
    assert!(cache.cached_response(&post).is_none());
    let (private, stored) = pair("http://me:secret@a/", "x");
    cache.store_cached_response(&stored, &private);
    assert!(cache.cached_response(&private).is_none());
}

#[test]
fn bodies_of_every_size_are_found_as_they_were_kept() {
    let folder = folder();
    let sizes = [0, 1, 16 * 1024, 16 * 1024 + 1, 300_000, 5_000_000];
    let writer = cache(0, 200 * MIB, &folder);
    for size in sizes {
        let (request, stored) = pair(&format!("http://a/{size}"), body(size, 7));
        writer.store_cached_response(&stored, &request);
        assert_eq!(writer.cached_response(&request), Some(stored));
    }
    let reader = cache(0, 200 * MIB, &folder);
    for size in sizes {
        let (request, stored) = pair(&format!("http://a/{size}"), body(size, 7));
        assert_eq!(reader.cached_response(&request), Some(stored), "{size}");
    }
    assert_eq!(files(folder.path()).len(), 3);
    writer.remove_all_cached_responses();
    assert_eq!(writer.current_disk_usage(), 0);
    if cfg!(windows) {
        // Before Windows 10 a name stays as long as somebody has the file open, here the other cache.
        drop(reader);
        wait_until(|| files(folder.path()).is_empty());
    }
    assert_eq!(files(folder.path()).len(), 0);
}

#[test]
fn a_damaged_body_is_a_miss_and_goes() {
    type Damage = fn(&Path);
    let flip: Damage = |path| {
        let mut data = fs::read(path).unwrap();
        let middle = data.len() / 2;
        data[middle] ^= 1;
        fs::write(path, data).unwrap();
    };
    let truncate: Damage = |path| {
        let data = fs::read(path).unwrap();
        fs::write(path, &data[..data.len() - 1]).unwrap();
    };
    let lengthen: Damage = |path| {
        let data = fs::read(path).unwrap();
        fs::write(path, [&data[..], b"x"].concat()).unwrap();
    };
    let remove: Damage = |path| fs::remove_file(path).unwrap();
    for (damage, is_removed) in [(flip, false), (truncate, false), (lengthen, false), (remove, true)] {
        let folder = folder();
        let mut cache = cache(0, 200 * MIB, &folder);
        let (request, stored) = pair("http://a/", body(100_000, 3));
        cache.store_cached_response(&stored, &request);
        assert_eq!(cache.cached_response(&request), Some(stored.clone()));
        damage(&files(folder.path())[0]);
        if is_removed {
            // The first cache may have the file open, and then it has all of it.
            cache = self::cache(0, 200 * MIB, &folder);
        }
        assert_eq!(cache.cached_response(&request), None);
        assert_eq!(cache.current_disk_usage(), 0);
        cache.store_cached_response(&stored, &request);
        assert_eq!(cache.cached_response(&request), Some(stored));
    }
}

#[test]
fn a_damaged_or_foreign_index_is_moved_aside_and_caching_goes_on() {
    let foreign = b"this is no database, whatever its name says, and it is long enough to be one".repeat(100);
    for damage in ["foreign", "truncated", "newer"] {
        let folder = folder();
        let (request, stored) = pair("http://a/", body(100, 3));
        {
            let cache = cache(0, MIB, &folder);
            cache.store_cached_response(&stored, &request);
            assert!(cache.cached_response(&request).is_some());
        }
        // The other's thread may still be closing.
        wait_until(|| !folder.path().join("cache.db-wal").exists());
        let path = folder.path().join("cache.db");
        match damage {
            "foreign" => fs::write(&path, &foreign).unwrap(),
            "truncated" => {
                let data = fs::read(&path).unwrap();
                fs::write(&path, &data[..data.len() / 2]).unwrap();
            }
            _ => {
                // `user_version` stands at byte 60 (SQLite's file format, §1.3).
                let mut data = fs::read(&path).unwrap();
                data[60..64].copy_from_slice(&99u32.to_be_bytes());
                fs::write(&path, data).unwrap();
            }
        }
        let cache = cache(0, MIB, &folder);
        assert_eq!(cache.cached_response(&request), None, "{damage}");
        cache.store_cached_response(&stored, &request);
        assert_eq!(cache.cached_response(&request), Some(stored), "{damage}");
        let aside = fs::read_dir(folder.path()).unwrap().flatten().map(|file| file.file_name());
        assert!(aside.into_iter().any(|name| name.to_string_lossy().contains(".bad-")), "{damage}");
    }
}

#[test]
fn a_directory_that_cannot_be_used_costs_the_disk_only() {
    let folder = folder();
    // No permission is denied to root: a file in the directory's place stops everybody.
    let path = folder.path().join("occupied");
    fs::write(&path, "a file").unwrap();
    let cache = UrlCache::new(MIB, MIB, Some(path.join("below")));
    let (request, stored) = pair("http://a/", body(100, 3));
    cache.store_cached_response(&stored, &request);
    assert_eq!(cache.current_disk_usage(), 0);
    assert_eq!(cache.cached_response(&request), Some(stored));
    cache.remove_all_cached_responses();
    assert_eq!(cache.cached_response(&request), None);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_costs_a_miss_and_never_a_wrong_byte() {
    // A file system of its own, if this user may make one.
    let folder = folder();
    let mount = |arguments: &[&str]| {
        let mut run = Command::new(arguments[0]);
        run.args(&arguments[1..]).arg(folder.path()).stderr(Stdio::null()).stdout(Stdio::null());
        let mut run = run.spawn().ok()?;
        run.wait().ok().filter(std::process::ExitStatus::success)
    };
    if mount(&["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs"]).is_none() {
        return;
    }
    let cache = cache(0, 200 * MIB, &folder);
    let mut kept = 0;
    for number in 0..40 {
        let (request, stored) = pair(&format!("http://a/{number}"), body(60_000, number));
        cache.store_cached_response(&stored, &request);
        match cache.cached_response(&request) {
            Some(found) => {
                assert_eq!(found, stored);
                kept += 1;
            }
            None => assert!(number > 0, "the first fits"),
        }
    }
    assert!((1..40).contains(&kept), "{kept} of 40 fit in a mebibyte");
    let (small, stored) = pair("http://a/0", body(60_000, 0));
    assert_eq!(cache.cached_response(&small), Some(stored));
    drop(cache);
    wait_until(|| mount(&["umount"]).is_some());
}

/// This test again as another process, which does `what` in `folder` until it is killed.
fn other_process(what: &str, folder: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "url_cache::the_other_process", "--nocapture"])
        .env("URL_CACHE_TEST", what)
        .env("URL_CACHE_TEST_FOLDER", folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// The size of the body of entry `number`: some are in the index, some are files.
fn size_of(number: usize) -> usize {
    [200, 16_000, 40_000, 300_000][number % 4]
}

#[test]
fn the_other_process() {
    let Ok(what) = std::env::var("URL_CACHE_TEST") else { return };
    let folder = std::env::var_os("URL_CACHE_TEST_FOLDER").unwrap();
    let cache = UrlCache::new(0, 50 * MIB, Some(folder.into()));
    println!();
    for number in 0.. {
        let url = format!("http://a/{}", number % 40);
        let (request, stored) = pair(&url, body(size_of(number % 40), (number % 7) as u8));
        cache.store_cached_response(&stored, &request);
        if what == "once" && number == 39 {
            assert!(cache.current_disk_usage() > 0);
            println!("stored");
            // Lives until it is killed, with its file open.
            std::thread::park();
        }
        if number % 5 == 4 {
            // No more is in its queue than that.
            assert!(cache.cached_response(&request).is_some());
            println!("{number}");
        }
    }
}

fn read_until(child: &mut Child, what: impl Fn(&str) -> bool) -> BufReader<std::process::ChildStdout> {
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while !what(line.trim()) {
        line.clear();
        assert!(lines.read_line(&mut line).unwrap() > 0, "the other process ended");
    }
    lines
}

#[test]
fn an_entry_is_whole_or_absent_whenever_its_writer_is_killed() {
    let folder = folder();
    let mut whole = 0;
    // A round takes ten times as long under Wine; a third of them still reaches as far.
    for round in (0..60usize).step_by(if cfg!(windows) { 3 } else { 1 }) {
        let mut child = other_process("write", folder.path());
        let lines =
            read_until(&mut child, |line| line.parse().is_ok_and(|number: usize| number >= round % 30));
        // Somewhere in the middle of something.
        for _ in 0..round * 997 % 20_000 {
            std::hint::spin_loop();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        drop(lines);
        let cache = cache(0, 50 * MIB, &folder);
        for number in 0..40 {
            let Some(found) = cache.cached_response(&request(&format!("http://a/{number}"))) else {
                continue;
            };
            let seed = found.data()[0];
            assert!(found.data()[..] == body(size_of(number), seed), "round {round}, entry {number}");
            whole += 1;
        }
    }
    assert!(whole > 60, "{whole}");
}

#[test]
fn two_processes_share_a_directory() {
    let folder = folder();
    let cache = cache(0, 50 * MIB, &folder);
    let (own, stored) = pair("http://b/", "own");
    cache.store_cached_response(&stored, &own);
    assert!(cache.cached_response(&request("http://a/3")).is_none());
    let mut child = other_process("once", folder.path());
    let lines = read_until(&mut child, |line| line == "stored");
    for number in 0..40 {
        let found = cache.cached_response(&request(&format!("http://a/{number}"))).unwrap();
        assert_eq!(found.data()[..], body(size_of(number), (number % 7) as u8));
    }
    assert_eq!(cache.cached_response(&own), Some(stored));
    let full = cache.current_disk_usage();
    assert!(full > 40 * 50_000);
    cache.remove_all_cached_responses();
    assert_eq!(cache.current_disk_usage(), 0);
    child.kill().unwrap();
    child.wait().unwrap();
    drop(lines);
}

/// The values of a cache.
mod cached_url_response {
    use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

    use super::*;

    fn value(url: &str, data: &'static str, policy: StoragePolicy) -> CachedUrlResponse {
        CachedUrlResponse::new(response(url), data).with_storage_policy(policy)
    }

    fn notes() -> BTreeMap<String, String> {
        BTreeMap::from([("key".to_owned(), "value".to_owned())])
    }

    #[test]
    fn test_copy() {
        let value = value("http://a/", "x", StoragePolicy::AllowedInMemoryOnly).with_user_info(notes());
        let copy = value.clone();
        assert_eq!((copy.response(), copy.data()), (value.response(), value.data()));
        assert_eq!((copy.user_info(), copy.storage_policy()), (value.user_info(), value.storage_policy()));
    }

    #[test]
    fn test_init_default_user_info_and_storage_policy() {
        let value = CachedUrlResponse::new(response("http://a/"), "x");
        assert_eq!((value.user_info(), value.storage_policy()), (None, StoragePolicy::Allowed));
    }

    #[test]
    fn test_init_default_user_info() {
        let value = value("http://a/", "x", StoragePolicy::AllowedInMemoryOnly);
        assert_eq!((value.user_info(), value.storage_policy()), (None, StoragePolicy::AllowedInMemoryOnly));
    }

    #[test]
    fn test_init_without_defaults() {
        let value = value("http://a/", "x", StoragePolicy::NotAllowed).with_user_info(notes());
        assert_eq!((value.response(), &value.data()[..]), (&response("http://a/"), &b"x"[..]));
        assert_eq!((value.user_info(), value.storage_policy()), (Some(&notes()), StoragePolicy::NotAllowed));
    }

    #[allow(clippy::eq_op)]
    #[test]
    fn test_equal_with_the_same_instance() {
        let value = value("http://a/", "x", StoragePolicy::Allowed);
        assert!(value == value);
    }

    #[test]
    fn test_equal_checking_response() {
        let of = |url| value(url, "x", StoragePolicy::Allowed);
        assert!(of("http://a/") == of("http://a/"));
        assert!(of("http://a/") != of("http://b/") && of("http://b/") != of("http://a/"));
    }

    #[test]
    fn test_equal_checking_data() {
        let of = |data| value("http://a/", data, StoragePolicy::Allowed);
        assert!(of("x") == of("x") && of("x") != of("y"));
    }

    #[test]
    fn test_equal_checking_storage_policy() {
        let of = |policy| value("http://a/", "x", policy);
        assert!(of(StoragePolicy::Allowed) == of(StoragePolicy::Allowed).with_user_info(notes()));
        assert!(of(StoragePolicy::Allowed) != of(StoragePolicy::AllowedInMemoryOnly));
    }

    #[test]
    fn test_hash() {
        let hash = |value| BuildHasherDefault::<DefaultHasher>::default().hash_one(value);
        let of = |url, data, policy| hash(value(url, data, policy));
        let one = of("http://a/", "x", StoragePolicy::Allowed);
        assert_eq!(one, of("http://a/", "x", StoragePolicy::Allowed));
        for other in [
            of("http://b/", "x", StoragePolicy::Allowed),
            of("http://a/", "y", StoragePolicy::Allowed),
            of("http://a/", "x", StoragePolicy::NotAllowed),
        ] {
            assert_ne!(one, other);
        }
    }

    #[test]
    fn the_body_is_not_shown() {
        let shown =
            format!("{:?}", value("http://a/", "secret", StoragePolicy::Allowed).with_user_info(notes()));
        assert!(!shown.contains("secret") && !shown.contains("value"), "{shown}");
    }
}

/// What a folder takes on the disk.
fn taken(folder: &Path) -> u64 {
    fs::read_dir(folder)
        .unwrap()
        .map(|file| {
            let file = file.unwrap();
            let metadata = file.metadata().unwrap();
            match metadata.is_dir() {
                true => taken(&file.path()),
                false => metadata.len().next_multiple_of(4096),
            }
        })
        .sum()
}

#[test]
fn the_folder_takes_no_more_than_the_capacity_and_a_tenth_index_and_log_included() {
    let folder = folder();
    let capacity = 4 * MIB;
    let cache = cache(0, capacity, &folder);
    let mut random = 0x5eed_u64;
    let mut most = 0;
    for number in 0..2000 {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        // Small ones, which are in the index, then large ones, which are not, then both.
        let length = match number / 500 {
            0 => 2048 + random % (14 * 1024),
            1 => 17 * 1024 + random % (23 * 1024),
            _ => 2048 + random % (38 * 1024),
        };
        let (request, cached) =
            pair(&format!("http://host{}.example/{number}", random % 97), body(length as usize, 1));
        cache.store_cached_response(&cached, &request);
        if number % 50 == 49 {
            assert!(cache.current_disk_usage() <= capacity);
            most = most.max(taken(folder.path()));
        }
    }
    assert!(most <= capacity + capacity / 10, "{most} bytes for {capacity}");
    assert!(taken(folder.path()) > capacity * 7 / 10, "little is kept: {}", taken(folder.path()));
    cache.set_disk_capacity(MIB);
    assert!(cache.current_disk_usage() <= MIB);
    assert!(taken(folder.path()) <= MIB + MIB / 10, "{} after shrinking", taken(folder.path()));
    cache.remove_all_cached_responses();
    assert_eq!(cache.current_disk_usage(), 0);
    assert!(taken(folder.path()) <= MIB / 4, "{} of nothing", taken(folder.path()));
}

#[test]
fn an_index_of_an_earlier_version_gives_its_pages_back_too() {
    let folder = folder();
    let capacity = 2 * MIB;
    let store = |cache: &UrlCache, from: usize| {
        for number in from..from + 300 {
            let (request, cached) = pair(&format!("http://a/{number}"), body(8 * 1024, 1));
            cache.store_cached_response(&cached, &request);
        }
        assert!(cache.current_disk_usage() <= capacity);
    };
    store(&cache(0, capacity, &folder), 0);
    // As earlier versions made it.
    let index = rusqlite::Connection::open(folder.path().join("cache.db")).unwrap();
    index.busy_timeout(Duration::from_secs(10)).unwrap();
    let is_kept: i64 = index
        .pragma_update(None, "auto_vacuum", 0)
        .and_then(|()| index.execute_batch("VACUUM"))
        .and_then(|()| index.pragma_query_value(None, "auto_vacuum", |row| row.get(0)))
        .unwrap();
    assert_eq!(is_kept, 0);
    drop(index);
    let later = cache(0, capacity, &folder);
    store(&later, 1000);
    later.set_disk_capacity(MIB);
    assert!(later.current_disk_usage() <= MIB);
    assert!(taken(folder.path()) <= MIB + MIB / 10, "{}", taken(folder.path()));
}

#[test]
fn a_task_finds_stores_and_removes_what_is_kept_for_its_current_request() {
    let folder = folder();
    let cache = cache(MIB, 0, &folder);
    let session = UrlSession::new(Configuration::ephemeral());
    let (kept, stored) = pair("http://a/1", "one");
    let task = session.data_task(&kept);
    let other = session.data_task(request("http://a/2"));
    assert!(block_on(cache.cached_response_for_task(&task)).is_none());
    cache.store_cached_response_for_task(&stored, &task);
    assert_eq!(block_on(cache.cached_response_for_task(&task)).unwrap().data(), "one");
    assert!(cache.cached_response(&kept).is_some());
    assert!(block_on(cache.cached_response_for_task(&other)).is_none());
    cache.remove_cached_response_for_task(&other);
    assert!(cache.cached_response(&kept).is_some());
    cache.remove_cached_response_for_task(&task);
    assert!(cache.cached_response(&kept).is_none());
}
