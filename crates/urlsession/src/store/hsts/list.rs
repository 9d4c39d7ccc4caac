//! `List`: the hosts in memory, and the fields they have sent. The time is passed in; `bounded_map` notes what must be
//! written to disk.

use std::time::{Duration, SystemTime};

use urlsession_proto::hsts::{StrictTransportSecurity, domains_of};

use crate::env::epoch_micros;
use crate::store::bounded_map::{BoundedMap, Expiring};

/// What a host has said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HstsEntry {
    /// Microseconds since 1970.
    pub(super) expires: i64,
    /// Microseconds since 1970.
    pub(super) noted: i64,
    pub(super) includes_subdomains: bool,
}

impl Expiring for HstsEntry {
    const MOST: usize = MOST;

    fn expires(&self) -> i64 {
        self.expires
    }

    fn noted(&self) -> i64 {
        self.noted
    }
}

/// By host.
pub(super) type List = BoundedMap<HstsEntry>;

impl List {
    /// RFC 6797 §8.2: the host itself, or a domain above it that speaks for its subdomains.
    pub(super) fn knows(&self, host: &str, now: SystemTime) -> bool {
        let now = epoch_micros(now);
        domains_of(host).any(|name| {
            let entry = self.get(name);
            entry.is_some_and(|entry| {
                entry.expires > now && (entry.includes_subdomains || name.len() == host.len())
            })
        })
    }

    /// Stores what a host says, in place of what it has said before (§8.1.1). True if there is anything to write.
    pub(super) fn note(&mut self, host: &str, said: StrictTransportSecurity, now: SystemTime) -> bool {
        if said.max_age == 0 {
            return self.remove(host);
        }
        let max_age = Duration::from_secs(said.max_age.min(MOST_SECONDS));
        let entry = HstsEntry {
            expires: epoch_micros(now).saturating_add(i64::try_from(max_age.as_micros()).unwrap_or(i64::MAX)),
            noted: epoch_micros(now),
            includes_subdomains: said.includes_subdomains,
        };
        if let Some(known) = self.get(host) {
            // Every response says it again: what moves by less than a share of the whole is not worth a write.
            let share = entry.expires.saturating_sub(entry.noted) / WORTH_WRITING;
            let is_new = known.includes_subdomains != entry.includes_subdomains
                || known.expires.abs_diff(entry.expires) >= share.unsigned_abs();
            if !is_new {
                return false;
            }
        }
        self.put(host, entry, now);
        true
    }
}

/// Hosts kept.
pub(super) const MOST: usize = 10_000;
/// A hundred years: what is longer says no more.
const MOST_SECONDS: u64 = 100 * 365 * 24 * 60 * 60;
/// What is known is written again when it has moved by this share of its time.
const WORTH_WRITING: i64 = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::persistent::StoreData;

    fn says(max_age: u64, includes_subdomains: bool) -> StrictTransportSecurity {
        StrictTransportSecurity { max_age, includes_subdomains }
    }

    fn start() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000)
    }

    #[test]
    fn a_host_speaks_for_itself_and_for_those_below_it_if_it_says_so() {
        let mut list = List::default();
        assert!(list.note("one.example", says(60, false), start()));
        assert!(list.note("all.example", says(60, true), start()));
        for (host, is_known) in [
            ("one.example", true),
            ("www.one.example", false),
            ("all.example", true),
            ("a.b.all.example", true),
            ("overall.example", false),
            ("example", false),
        ] {
            assert_eq!(list.knows(host, start()), is_known, "{host}");
        }
    }

    #[test]
    fn what_a_host_says_holds_for_its_time_and_is_replaced_by_what_it_says_next() {
        let mut list = List::default();
        let at = |seconds| start() + Duration::from_secs(seconds);
        list.note("a.example", says(60, true), at(0));
        assert!(list.knows("a.example", at(59)) && !list.knows("a.example", at(60)));
        list.note("a.example", says(60, false), at(50));
        assert!(list.knows("a.example", at(109)) && !list.knows("www.a.example", at(51)));
        assert!(list.note("a.example", says(0, true), at(51)));
        assert!(!list.knows("a.example", at(51)) && list.len() == 0);
        assert!(!list.note("a.example", says(0, true), at(51)), "nothing is left to remove");
        list.note("a.example", says(u64::MAX, false), at(52));
        assert!(list.knows("a.example", at(3_000_000_000)));
    }

    #[test]
    fn what_is_said_with_every_response_is_not_written_with_every_response() {
        let mut list = List::kept();
        assert!(list.note("a.example", says(6400, false), start()));
        assert!(!list.note("a.example", says(6400, false), start() + Duration::from_secs(99)));
        assert!(list.note("a.example", says(6400, false), start() + Duration::from_secs(100)));
    }

    #[test]
    fn a_list_that_is_full_forgets_the_expired_and_then_the_oldest() {
        let mut list = List::kept();
        list.note("expired.example", says(1, false), start() + Duration::from_secs(7));
        for number in 0..MOST as u64 {
            let at = start() + Duration::from_secs(10 + number);
            list.note(&format!("{number}.example"), says(1 << 30, false), at);
        }
        assert!(list.len() <= MOST && list.len() > MOST / 2);
        let later = start() + Duration::from_secs(MOST as u64 + 10);
        assert!(!list.knows("0.example", later) && list.knows(&format!("{}.example", MOST - 1), later));
        let batch = list.take_dirty().unwrap();
        assert!(batch.entries.iter().any(|(host, entry)| &**host == "expired.example" && entry.is_none()));
    }

    #[test]
    fn what_has_expired_is_taken_from_the_disk() {
        let mut list = List::kept();
        list.note("old.example", says(60, false), start());
        list.note("new.example", says(61, false), start());
        list.take_dirty();
        list.expire(start() + Duration::from_secs(60));
        let batch = list.take_dirty().unwrap();
        assert_eq!(batch.entries.iter().map(|(host, _)| &**host).collect::<Vec<_>>(), ["old.example"]);
        assert!(batch.entries[0].1.is_none() && list.len() == 1);
    }

    #[test]
    fn what_another_process_wrote_is_taken_in_beside_what_is_not_written_yet() {
        let mut list = List::kept();
        list.note("ours.example", says(60, false), start());
        let entry = HstsEntry { expires: i64::MAX, noted: 0, includes_subdomains: true };
        list.merge_from_disk(vec![("ours.example".into(), entry), ("theirs.example".into(), entry)], start());
        assert!(list.knows("www.theirs.example", start()) && !list.knows("www.ours.example", start()));
        let batch = list.take_dirty().unwrap();
        assert_eq!(batch.entries.len(), 1);
        list.merge_from_disk(Vec::new(), start());
        assert_eq!(list.len(), 0, "what was written and is not there, another has removed");
        list.mark_dirty(batch);
        assert_eq!(list.take_dirty().unwrap().entries.len(), 1);
        list.clear();
        list.merge_from_disk(vec![("theirs.example".into(), entry)], start());
        assert_eq!(list.len(), 0, "what is cleared here is not read again");
    }
}
