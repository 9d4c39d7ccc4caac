//! The jar alone, with the time passed in.

use std::time::{Duration, UNIX_EPOCH};

use url::Url;
use urlsession_proto::cookie;

use super::*;

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_000_000 + seconds)
}

fn cookie_of(url: &str, field: &str) -> HttpCookie {
    let url = url.parse().unwrap();
    HttpCookie::from_set_cookie(&cookie::parse(field).unwrap(), &url, at(0)).unwrap()
}

fn set(jar: &mut Jar, url: &str, field: &str, time: u64) -> bool {
    jar.set(cookie_of(url, field), None, at(time))
}

fn found_at(jar: &mut Jar, url: &str, time: u64) -> Vec<String> {
    let url: Url = url.parse().unwrap();
    let visit = Visit { url: &url, main_document_url: None, partition: None };
    jar.find(&visit, at(time)).iter().map(|cookie| format!("{}={}", cookie.name(), cookie.value())).collect()
}

fn found(jar: &mut Jar, url: &str) -> Vec<String> {
    found_at(jar, url, 0)
}

fn names(jar: &Jar) -> Vec<String> {
    jar.all(at(0)).iter().map(|cookie| cookie.name().to_owned()).collect()
}

#[test]
fn a_cookie_goes_where_host_path_and_protocol_say() {
    let mut jar = Jar::default();
    let url = "https://www.example.com/a/b";
    set(&mut jar, url, "host=1; Path=/", 0);
    set(&mut jar, url, "site=1; Path=/; Domain=example.com", 1);
    set(&mut jar, url, "folder=1", 2);
    set(&mut jar, url, "secure=1; Path=/; Secure", 3);
    assert_eq!(found(&mut jar, "https://www.example.com/"), ["host=1", "site=1", "secure=1"]);
    assert_eq!(found(&mut jar, "http://www.example.com/"), ["host=1", "site=1"]);
    assert_eq!(found(&mut jar, "https://example.com/"), ["site=1"]);
    assert_eq!(found(&mut jar, "https://a.b.example.com/"), ["site=1"]);
    assert_eq!(found(&mut jar, "https://www.example.com/a/c"), ["folder=1", "host=1", "site=1", "secure=1"]);
    assert_eq!(found(&mut jar, "https://superexample.com/"), Vec::<String>::new());
    assert_eq!(found(&mut jar, "data:,x"), Vec::<String>::new());
}

#[test]
fn the_longest_path_comes_first_then_the_oldest_cookie() {
    let mut jar = Jar::default();
    for (time, field) in
        [(0, "a=1; Path=/"), (0, "b=1; Path=/x"), (1, "c=1; Path=/"), (2, "d=1; Path=/x"), (3, "a=2; Path=/")]
    {
        set(&mut jar, "https://example.com/", field, time);
    }
    assert_eq!(found(&mut jar, "https://example.com/x"), ["b=1", "d=1", "a=2", "c=1"]);
}

#[test]
fn a_cookie_of_the_same_name_domain_and_path_is_replaced() {
    let mut jar = Jar::default();
    let url = "https://example.com/";
    assert!(set(&mut jar, url, "a=1", 0));
    assert!(set(&mut jar, url, "a=2", 0));
    assert!(!set(&mut jar, url, "a=2", 0), "nothing has changed");
    set(&mut jar, url, "a=3; Path=/x", 0);
    set(&mut jar, url, "a=4; Domain=example.com", 0);
    set(&mut jar, url, "A=5", 0);
    assert_eq!((jar.len(), jar.all(at(0)).len()), (4, 4));
    assert!(set(&mut jar, url, "a=; Max-Age=0", 0));
    assert!(!set(&mut jar, url, "b=; Max-Age=0", 0));
    assert_eq!((jar.len(), found(&mut jar, url)), (3, vec!["a=4".into(), "A=5".into()]));
}

#[test]
fn an_expired_cookie_is_as_good_as_gone() {
    let mut jar = Jar::default();
    set(&mut jar, "https://example.com/", "a=1; Max-Age=10", 0);
    assert_eq!(found_at(&mut jar, "https://example.com/", 9), ["a=1"]);
    assert_eq!(found_at(&mut jar, "https://example.com/", 10), Vec::<String>::new());
    assert!(jar.all(at(10)).is_empty());
}

#[test]
fn a_cookie_with_ports_goes_to_those_only() {
    let mut jar = Jar::default();
    set(&mut jar, "https://example.com/", "a=1; Port=\"443,8443\"; Version=1", 0);
    assert_eq!(found(&mut jar, "https://example.com/").len(), 1);
    assert_eq!(found(&mut jar, "https://example.com:8443/").len(), 1);
    assert_eq!(found(&mut jar, "https://example.com:8444/").len(), 0);
}

#[test]
fn partitions_do_not_see_each_other() {
    let mut jar = Jar::default();
    let url: Url = "https://example.com/".parse().unwrap();
    for (value, partition) in
        [("none", None), ("one", Some("https://one.com")), ("two", Some("https://two.com"))]
    {
        jar.set(cookie_of(url.as_str(), &format!("a={value}")), partition, at(0));
    }
    for (value, partition) in [("none", None), ("one", Some("https://one.com"))] {
        let visit = Visit { url: &url, main_document_url: None, partition };
        let found = jar.find(&visit, at(0));
        assert_eq!((found.len(), found[0].value()), (1, value));
    }
    assert_eq!(jar.len(), 3);
    assert!(jar.delete(&cookie_of(url.as_str(), "a=x")));
    assert_eq!(jar.len(), 0);
}

#[test]
fn a_cookie_is_withheld_from_requests_of_another_site() {
    let mut jar = Jar::default();
    let url: Url = "https://api.example.com/".parse().unwrap();
    for field in ["strict=1; SameSite=Strict", "lax=1; SameSite=Lax", "none=1; SameSite=None", "unsaid=1"] {
        set(&mut jar, url.as_str(), field, 0);
    }
    for (main, count) in [
        (None, 4),
        (Some("https://www.example.com/page"), 4),
        (Some("http://www.example.com/page"), 2),
        (Some("https://other.com/"), 2),
    ] {
        let main = main.map(|main| main.parse::<Url>().unwrap());
        let visit = Visit { url: &url, main_document_url: main.as_ref(), partition: None };
        assert_eq!(jar.find(&visit, at(0)).len(), count, "{main:?}");
    }
}

#[test]
fn a_secure_cookie_is_not_hidden_by_one_in_cleartext() {
    let mut jar = Jar::default();
    set(&mut jar, "https://www.example.com/", "a=1; Secure; Domain=example.com; Path=/login", 0);
    for (field, is_shielded) in [
        ("a=2; Path=/login", true),
        ("a=2; Path=/login/x", true),
        ("a=2; Path=/login; Domain=example.com", true),
        ("a=2; Path=/", false),
        ("b=2; Path=/login", false),
    ] {
        let cookie = cookie_of("http://www.example.com/", field);
        assert_eq!(jar.shields(&cookie, None, at(0)), is_shielded, "{field}");
        assert!(!jar.shields(&cookie, Some("https://other.com"), at(0)), "{field}");
    }
    let mut old = Jar::default();
    set(&mut old, "https://www.example.com/", "a=1; Secure; Path=/; Max-Age=60", 0);
    let cookie = cookie_of("http://www.example.com/", "a=2; Path=/");
    assert_eq!([at(59), at(60)].map(|now| old.shields(&cookie, None, now)), [true, false]);
    assert!(!jar.shields(&cookie_of("http://other.com/", "a=2; Path=/login"), None, at(0)));
}

#[test]
fn a_site_has_its_limit_however_many_hosts_it_has() {
    let mut jar = Jar::default();
    for number in 0..MOST_OF_SITE as u64 {
        set(&mut jar, &format!("https://h{number}.example.com/"), &format!("c{number}=1"), number);
    }
    // One is sent again, and one is over.
    assert_eq!(found_at(&mut jar, "https://h0.example.com/", 500).len(), 1);
    set(&mut jar, "https://example.com/", "new=1", 501);
    assert_eq!(jar.len(), MOST_OF_SITE);
    let names = names(&jar);
    assert!(names.contains(&"c0".into()) && !names.contains(&"c1".into()), "the one longest unused goes");
    set(&mut jar, "https://h5.example.com/", "c5=2; Max-Age=600", 502);
    set(&mut jar, "https://example.com/", "newer=1", 601);
    assert_eq!(found_at(&mut jar, "https://h5.example.com/", 601), Vec::<String>::new());
    assert_eq!(found_at(&mut jar, "https://h2.example.com/", 601), ["c2=1"], "the expired one goes first");
}

#[test]
fn of_a_site_that_has_too_many_the_cookies_that_are_not_secure_go_first() {
    let mut jar = Jar::default();
    let url = "https://example.com/";
    set(&mut jar, url, "sid=1; Secure", 0);
    for number in 1..MOST_OF_SITE as u64 {
        set(&mut jar, url, &format!("c{number}=1"), number);
    }
    set(&mut jar, url, "more=1; Secure", 500);
    let all = names(&jar);
    assert_eq!(all.len(), MOST_OF_SITE);
    assert!(all.contains(&"sid".into()) && all.contains(&"more".into()) && !all.contains(&"c1".into()));
    // Where all are secure, the one that was not sent for the longest time goes.
    for number in 0..MOST_OF_SITE as u64 {
        set(&mut jar, url, &format!("s{number}=1; Secure"), 600 + number);
    }
    assert!(names(&jar).iter().all(|name| name.starts_with('s') && name != "sid"), "{:?}", names(&jar));
}

#[test]
fn what_is_expired_goes_before_what_is_older() {
    let of_site: fn(usize) -> String = |_| "https://example.com/".into();
    let of_many: fn(usize) -> String = |number| format!("https://site{number}.com/");
    for (url, most) in [(of_site, MOST_OF_SITE), (of_many, MOST)] {
        let mut jar = Jar::default();
        set(&mut jar, &url(0), "keep=1", 0);
        set(&mut jar, &url(1), "old=1; Secure; Max-Age=10", 1);
        for number in 2..most {
            set(&mut jar, &url(number), &format!("c{number}=1"), 2);
        }
        assert_eq!(jar.len(), most);
        set(&mut jar, &url(most), "new=1", 11);
        let left = names(&jar);
        assert_eq!(left.len(), most);
        assert!(left.contains(&"keep".into()) && !left.contains(&"old".into()));
    }
}

#[test]
fn cleartext_evicts_no_secure_cookie_of_its_site_or_of_another() {
    let mut jar = Jar::default();
    set(&mut jar, "https://example.com/", "sid=1; Secure", 0);
    for number in 0..2 * MOST_OF_SITE as u64 {
        let cookie = cookie_of("http://example.com/", &format!("c{number}=1"));
        jar.set_from_cleartext(cookie, None, at(1 + number));
    }
    assert_eq!(jar.len(), MOST_OF_SITE);
    assert_eq!(names(&jar)[0], "sid");

    let mut jar = Jar::default();
    for number in 0..MOST as u64 {
        set(&mut jar, &format!("https://site{number}.com/"), "a=1; Secure", number);
    }
    let cookie = cookie_of("http://attacker.com/", "a=1");
    jar.set_from_cleartext(cookie, None, at(10_000));
    assert_eq!(found_at(&mut jar, "https://site0.com/", 10_001).len(), 1);
    assert_eq!(found_at(&mut jar, "http://attacker.com/", 10_001).len(), 0);
    assert_eq!(jar.len(), MOST);
    // One that came over TLS takes the place of the oldest.
    set(&mut jar, "https://example.org/", "a=1; Secure", 10_002);
    assert_eq!(found_at(&mut jar, "https://example.org/", 10_003).len(), 1);
    assert_eq!(jar.len(), MOST);
}

#[test]
fn a_site_with_many_cookies_gives_way_before_sites_with_few() {
    let mut jar = Jar::default();
    set(&mut jar, "https://few.com/", "a=1", 0);
    let mut number = 0;
    while jar.len() < MOST {
        number += 1;
        set(&mut jar, &format!("https://many{}.com/", number / 100), &format!("c{number}=1"), number);
    }
    set(&mut jar, "https://one-more.com/", "a=1", number + 1);
    assert_eq!(jar.len(), MOST);
    assert_eq!(found_at(&mut jar, "https://few.com/", number + 2).len(), 1);
    assert_eq!(found_at(&mut jar, "https://many0.com/", number + 2).len(), 98);
}

#[test]
fn the_whole_jar_has_its_limit() {
    let mut jar = Jar::default();
    for number in 0..MOST as u64 {
        set(&mut jar, &format!("https://site{number}.com/"), "a=1", number);
    }
    found_at(&mut jar, "https://site0.com/", 10_000);
    set(&mut jar, "https://one-more.com/", "a=1", 10_001);
    assert_eq!(jar.len(), MOST);
    assert_eq!(found_at(&mut jar, "https://site1.com/", 10_002).len(), 0);
    assert_eq!(found_at(&mut jar, "https://site0.com/", 10_002).len(), 1);
}

#[test]
fn cookies_made_after_a_date_can_be_removed() {
    let mut jar = Jar::default();
    set(&mut jar, "https://example.com/", "old=1", 0);
    set(&mut jar, "https://example.com/", "new=1", 10);
    assert!(jar.remove_since(at(5)));
    assert_eq!(names(&jar), ["old"]);
    assert!(!jar.remove_since(at(5)));
}

fn entry(field: &str, created: u64) -> JarEntry {
    let (created, accessed) = (epoch_micros(at(created)), epoch_micros(at(created)));
    JarEntry { cookie: cookie_of("https://example.com/", field), partition: None, created, accessed }
}

#[test]
fn what_another_process_wrote_is_taken_in_and_what_is_unwritten_stays() {
    let mut jar = Jar::kept();
    let url = "https://example.com/";
    for field in ["session=1", "written=1; Max-Age=60", "removed-there=1; Max-Age=60"] {
        set(&mut jar, url, field, 5);
    }
    assert_eq!(jar.take_dirty().unwrap().puts.len(), 2);
    set(&mut jar, url, "unwritten=1; Max-Age=60", 6);
    set(&mut jar, url, "both=mine; Max-Age=60", 7);
    jar.merge_from_disk(
        vec![
            entry("theirs=1; Max-Age=60", 1),
            entry("written=2; Max-Age=60", 5),
            entry("both=theirs; Max-Age=60", 2),
        ],
        at(8),
    );
    let mut all = found_at(&mut jar, url, 8);
    assert_eq!(all[0], "theirs=1");
    assert_eq!(all[1], "both=mine", "its age is that of the older one");
    all.sort();
    assert_eq!(all, ["both=mine", "session=1", "theirs=1", "unwritten=1", "written=2"]);
    let batch = jar.take_dirty().unwrap();
    assert_eq!((batch.puts.len(), batch.deletes.len(), batch.clears), (2, 0, false));
    assert!(jar.take_dirty().is_none());
}

#[test]
fn what_is_removed_here_is_removed_there() {
    let mut jar = Jar::kept();
    let url = "https://example.com/";
    jar.merge_from_disk(vec![entry("a=1; Max-Age=60", 0), entry("b=1; Max-Age=60", 0)], at(0));
    set(&mut jar, url, "a=; Max-Age=0", 1);
    set(&mut jar, url, "b=session", 1);
    // Another process writes before this one does.
    jar.merge_from_disk(vec![entry("a=1; Max-Age=60", 0), entry("b=1; Max-Age=60", 0)], at(1));
    assert_eq!(found(&mut jar, url), ["b=session"]);
    let batch = jar.take_dirty().unwrap();
    assert_eq!((batch.puts.len(), batch.deletes.len()), (0, 2));
    jar.mark_dirty(batch);
    assert_eq!(jar.take_dirty().unwrap().deletes.len(), 2);

    assert!(jar.clear());
    jar.merge_from_disk(vec![entry("a=1; Max-Age=60", 0)], at(1));
    assert_eq!(jar.len(), 0);
    assert!(jar.take_dirty().unwrap().clears);
}

/// xorshift64: the same cookies at every run.
fn below(state: &mut u64, bound: u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state % bound
}

#[test]
fn whatever_servers_set_the_jar_keeps_its_limits_and_its_count() {
    let mut random = 0x5eed_0006;
    let mut jar = Jar::kept();
    let mut was_full = false;
    for step in 0..12_000 {
        // Some sites have many hosts and cookies, many have few.
        let (site, host) = match below(&mut random, 3) {
            0 => (below(&mut random, 4), below(&mut random, 200)),
            _ => (below(&mut random, 4000), below(&mut random, 2)),
        };
        let url = format!("https://h{host}.site{site}.com/");
        let domain = ["", "; Domain=.com", "; Domain=h1", "; Port=443"][below(&mut random, 4) as usize];
        let age = below(&mut random, 500) as i64 - 5;
        let field = format!("n{}=v; Max-Age={age}; Path=/{domain}", below(&mut random, 40));
        set(&mut jar, &url, &field, step / 100);
        if step % 7 == 0 {
            found_at(&mut jar, &url, step / 100);
        }
        assert!(jar.len() <= MOST);
        was_full |= jar.len() == MOST;
        if step % 500 == 0 {
            assert_eq!(jar.len(), jar.entries().count());
            assert!(jar.sites.values().all(|entries| (1..=MOST_OF_SITE).contains(&entries.len())));
            let mut keys: Vec<_> = jar.entries().map(JarEntry::key).collect();
            keys.sort();
            keys.dedup();
            assert_eq!(keys.len(), jar.len(), "no cookie is there twice");
            let batch = jar.take_dirty().unwrap();
            jar.mark_dirty(batch);
        }
    }
    assert!(was_full, "the limit was never reached");
}
