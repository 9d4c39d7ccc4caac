//! `Jar`: the cookies in memory, by site. It finds, replaces and evicts; the time is passed in, and what must be
//! written to disk is noted, not written.

use std::collections::{HashMap, HashSet};
use std::time::SystemTime;

use smallvec::SmallVec;
use urlsession_proto::cookie::{domain_matches, path_matches};

use super::changes::Watchers;
use super::rules::{Visit, site};
use crate::env::epoch_micros;
use crate::message::{HttpCookie, HttpCookieAcceptPolicy};
use crate::store::persistent::StoreData;

/// A cookie and what is known of it.
#[derive(Clone)]
pub(super) struct JarEntry {
    pub(super) cookie: HttpCookie,
    pub(super) partition: Option<Box<str>>,
    /// Microseconds since 1970, of no two cookies the same.
    pub(super) created: i64,
    /// Microseconds since 1970.
    pub(super) accessed: i64,
}

/// Which cookies make way for others.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Evictable {
    All,
    NotSecure,
}

/// Partition, domain, path and name, as they are stored.
pub(super) type Key = [Box<str>; 4];

#[derive(Default)]
pub(super) struct Jar {
    /// Which cookies the application lets in; its own to obey, and not written.
    pub(super) policy: HttpCookieAcceptPolicy,
    /// By registrable domain: who owns many hosts does not own more space.
    sites: HashMap<Box<str>, Vec<JarEntry>>,
    count: usize,
    newest: i64,
    /// What differs from the disk; `None` if there is none.
    unwritten: Option<Unwritten>,
}

/// What differs from the disk.
#[derive(Default)]
pub(super) struct Unwritten {
    keys: HashSet<Key>,
    /// Nothing that was on the disk is wanted any more.
    is_cleared: bool,
}

/// What to do to the disk.
pub(super) struct Batch {
    pub(super) clears: bool,
    pub(super) puts: Vec<JarEntry>,
    pub(super) deletes: Vec<Key>,
}

impl JarEntry {
    pub(super) fn key(&self) -> Key {
        let partition = self.partition.as_deref().unwrap_or_default();
        let [name, _] = self.cookie.stored_pair();
        [partition, self.cookie.domain(), self.cookie.path(), &*name].map(Into::into)
    }

    fn is_same(&self, cookie: &HttpCookie, partition: Option<&str>) -> bool {
        self.partition.as_deref() == partition && self.cookie.is_same(cookie)
    }

    /// RFC 6265bis §5.8.3 step 1.
    fn goes_to(&self, visit: &Visit<'_>, host: &str, is_secure: bool, now: SystemTime) -> bool {
        let cookie = &self.cookie;
        let is_its_host = match cookie.is_host_only() {
            true => cookie.host() == host,
            false => domain_matches(host, cookie.host()),
        };
        is_its_host
            && self.partition.as_deref() == visit.partition
            && (is_secure || !cookie.is_secure())
            && path_matches(visit.url.path(), cookie.path())
            && !cookie.is_expired(now)
            && cookie.port_list().is_none_or(|ports| {
                visit.url.port_or_known_default().is_some_and(|port| ports.contains(&port))
            })
            && (cookie.same_site_policy().is_none() || visit.is_same_site())
    }
}

impl Jar {
    /// The cookies of a request: longest path first, then the oldest (RFC 6265bis §5.8.3 step 2).
    pub(super) fn find(&mut self, visit: &Visit<'_>, now: SystemTime) -> SmallVec<[&HttpCookie; 8]> {
        let Some(host) = visit.url.host_str() else { return SmallVec::new() };
        let (is_secure, accessed) = (visit.is_secure(), epoch_micros(now));
        let Some(entries) = self.sites.get_mut(site(host)) else { return SmallVec::new() };
        let mut found: SmallVec<[&JarEntry; 8]> = SmallVec::new();
        for entry in entries.iter_mut() {
            if entry.goes_to(visit, host, is_secure, now) {
                entry.accessed = accessed;
                found.push(entry);
            }
        }
        found.sort_unstable_by_key(|entry| (usize::MAX - entry.cookie.path().len(), entry.created));
        found.into_iter().map(|entry| &entry.cookie).collect()
    }

    /// Every cookie that is not expired, the oldest first.
    pub(super) fn all(&self, now: SystemTime) -> Vec<HttpCookie> {
        let mut all: Vec<_> = self.entries().filter(|entry| !entry.cookie.is_expired(now)).collect();
        all.sort_unstable_by_key(|entry| entry.created);
        all.into_iter().map(|entry| entry.cookie.clone()).collect()
    }

    /// Whether there is a secure cookie that one from a cleartext connection would hide (RFC 6265bis §5.7).
    pub(super) fn shields(&self, cookie: &HttpCookie, partition: Option<&str>, now: SystemTime) -> bool {
        let Some(entries) = self.sites.get(site(cookie.host())) else { return false };
        entries.iter().any(|JarEntry { cookie: kept, partition: of, .. }| {
            kept.is_secure()
                && !kept.is_expired(now)
                && of.as_deref() == partition
                && kept.name_bytes() == cookie.name_bytes()
                && (domain_matches(kept.host(), cookie.host()) || domain_matches(cookie.host(), kept.host()))
                && path_matches(cookie.path(), kept.path())
        })
    }

    /// Keeps a cookie; an expired one removes that of the same name, domain and path. Says whether anything has changed.
    pub(super) fn set(&mut self, cookie: HttpCookie, partition: Option<&str>, now: SystemTime) -> bool {
        self.set_evicting(cookie, partition, now, Evictable::All)
    }

    /// The same for a cookie from a cleartext connection, which evicts no secure cookie: where there are only secure
    /// ones, the new cookie itself is left out.
    pub(super) fn set_from_cleartext(
        &mut self,
        cookie: HttpCookie,
        partition: Option<&str>,
        now: SystemTime,
    ) -> bool {
        self.set_evicting(cookie, partition, now, Evictable::NotSecure)
    }

    fn set_evicting(
        &mut self,
        cookie: HttpCookie,
        partition: Option<&str>,
        now: SystemTime,
        evictable: Evictable,
    ) -> bool {
        if cookie.is_expired(now) {
            return self.remove_if(site(cookie.host()), |entry| entry.is_same(&cookie, partition));
        }
        let accessed = epoch_micros(now);
        let entries = self.of_site(site(cookie.host()));
        if let Some(entry) = entries.iter_mut().find(|entry| entry.is_same(&cookie, partition)) {
            // §5.7: the place of a cookie in the order does not change with its value.
            let is_new = entry.cookie != cookie;
            (entry.cookie, entry.accessed) = (cookie, accessed);
            let key = is_new.then(|| entry.key());
            key.into_iter().for_each(|key| self.note(key));
            return is_new;
        }
        // What came from a file may be as late as it likes.
        self.newest = accessed.max(self.newest.saturating_add(1));
        let entry = JarEntry { cookie, partition: partition.map(Into::into), created: self.newest, accessed };
        if self.unwritten.is_some() {
            let key = entry.key();
            self.note(key);
        }
        let key: Box<str> = site(entry.cookie.host()).into();
        self.of_site(&key).push(entry);
        self.count += 1;
        self.remove_excess(&key, now, evictable);
        true
    }

    /// Removes the cookie of this name, domain and path, whatever its partition. True if anything has changed.
    pub(super) fn delete(&mut self, cookie: &HttpCookie) -> bool {
        self.remove_if(site(cookie.host()), |entry| entry.cookie.is_same(cookie))
    }

    /// Removes what was made after `date`. True if anything has changed.
    pub(super) fn remove_since(&mut self, date: SystemTime) -> bool {
        let date = epoch_micros(date);
        let sites: Vec<Box<str>> = self.sites.keys().cloned().collect();
        sites.iter().fold(false, |changed, site| self.remove_if(site, |entry| entry.created > date) | changed)
    }

    fn entries(&self) -> impl Iterator<Item = &JarEntry> {
        self.sites.values().flatten()
    }

    fn of_site(&mut self, site: &str) -> &mut Vec<JarEntry> {
        if !self.sites.contains_key(site) {
            self.sites.insert(site.into(), Vec::new());
        }
        self.sites.entry(site.into()).or_default()
    }

    fn add(&mut self, entry: JarEntry) {
        let key: Box<str> = site(entry.cookie.host()).into();
        self.sites.entry(key).or_default().push(entry);
        self.count += 1;
    }

    fn note(&mut self, key: Key) {
        if let Some(unwritten) = &mut self.unwritten {
            unwritten.keys.insert(key);
        }
    }

    fn remove_if(&mut self, site: &str, is_unwanted: impl Fn(&JarEntry) -> bool) -> bool {
        let Some(entries) = self.sites.get_mut(site) else { return false };
        let removed: Vec<JarEntry> = entries.extract_if(.., |entry| is_unwanted(entry)).collect();
        if entries.is_empty() {
            self.sites.remove(site);
        }
        self.count -= removed.len();
        if self.unwritten.is_some() {
            removed.iter().map(JarEntry::key).for_each(|key| self.note(key));
        }
        !removed.is_empty()
    }

    /// Removes what is too much, in the order of RFC 6265bis §5.7: expired cookies; those of sites with many cookies
    /// that are not secure, then that are; then any. Of each class those go first that were not sent for the longest
    /// time.
    fn remove_excess(&mut self, of: &str, now: SystemTime, evictable: Evictable) {
        let may_go = |entry: &&JarEntry| evictable == Evictable::All || !entry.cookie.is_secure();
        if self.sites.get(of).is_some_and(|entries| entries.len() > MOST_OF_SITE) {
            self.remove_if(of, |entry| entry.cookie.is_expired(now));
        }
        while let Some(entries) = self.sites.get(of).filter(|entries| entries.len() > MOST_OF_SITE) {
            let first =
                entries.iter().filter(may_go).min_by_key(|entry| (entry.cookie.is_secure(), age(entry)));
            let Some(first) = first.map(age) else { break };
            self.remove_if(of, |entry| age(entry) == first);
        }
        if self.count > MOST {
            self.expire(now);
        }
        while self.count > MOST {
            let of_site = |entries: &'_ Vec<JarEntry>| entries.len() > MANY_OF_SITE;
            let ranked = self.sites.values().flat_map(|entries| {
                let is_many = of_site(entries);
                let class =
                    move |entry: &JarEntry| if is_many { u8::from(entry.cookie.is_secure()) } else { 2 };
                entries.iter().map(move |entry| ((class(entry), age(entry)), entry))
            });
            let first = ranked.filter(|(_, entry)| may_go(entry)).min_by_key(|(rank, _)| *rank);
            let Some((first, of)) = first.map(|(_, entry)| (age(entry), entry.cookie.host().to_owned()))
            else {
                break;
            };
            self.remove_if(site(&of), |entry| age(entry) == first);
        }
    }
}

impl StoreData for Jar {
    type Rows = Vec<JarEntry>;
    type Batch = Batch;
    type Watchers = Watchers;

    fn kept() -> Self {
        Self { unwritten: Some(Unwritten::default()), ..Self::default() }
    }

    fn len(&self) -> usize {
        self.count
    }

    fn has_lasting(&self) -> bool {
        self.entries().any(|entry| !entry.cookie.is_session_only())
    }

    fn clear(&mut self) -> bool {
        let had = self.count > 0;
        self.sites.clear();
        self.count = 0;
        if let Some(unwritten) = &mut self.unwritten {
            *unwritten = Unwritten { is_cleared: true, ..Unwritten::default() };
        }
        had
    }

    fn merge_from_disk(&mut self, rows: Vec<JarEntry>, now: SystemTime) {
        let unwritten = self.unwritten.take().unwrap_or_default();
        let mut before = std::mem::take(&mut self.sites);
        self.count = 0;
        for mut row in rows {
            self.newest = self.newest.max(row.created);
            let old = before.get_mut(site(row.cookie.host())).and_then(|entries| {
                entries.iter_mut().find(|old| old.is_same(&row.cookie, row.partition.as_deref()))
            });
            if unwritten.is_cleared || unwritten.keys.contains(&row.key()) {
                if let Some(old) = old {
                    old.created = old.created.min(row.created);
                }
                continue;
            }
            row.accessed = old.map_or(row.accessed, |old| old.accessed.max(row.accessed));
            self.add(row);
        }
        for entry in before.into_values().flatten() {
            let is_ours = entry.cookie.is_session_only() || unwritten.keys.contains(&entry.key());
            let is_there = |jar: &Self| {
                let entries = jar.sites.get(site(entry.cookie.host()));
                entries.is_some_and(|entries| {
                    entries.iter().any(|kept| kept.is_same(&entry.cookie, entry.partition.as_deref()))
                })
            };
            if is_ours && !is_there(self) {
                self.add(entry);
            }
        }
        self.unwritten = Some(unwritten);
        let sites: Vec<Box<str>> = self.sites.keys().cloned().collect();
        sites.iter().for_each(|site| self.remove_excess(site, now, Evictable::All));
    }

    fn expire(&mut self, now: SystemTime) {
        let sites: Vec<Box<str>> = self.sites.keys().cloned().collect();
        for site in &sites {
            self.remove_if(site, |entry| entry.cookie.is_expired(now));
        }
    }

    fn take_dirty(&mut self) -> Option<Batch> {
        let unwritten = std::mem::take(self.unwritten.as_mut()?);
        let mut batch = Batch { clears: unwritten.is_cleared, puts: Vec::new(), deletes: Vec::new() };
        for key in unwritten.keys {
            let entries = self.sites.get(site(key[1].trim_start_matches('.')));
            let entry = entries.and_then(|entries| entries.iter().find(|entry| entry.key() == key));
            match entry {
                // A cookie of the session is not for the disk; one it replaced is there no more.
                Some(entry) if !entry.cookie.is_session_only() => batch.puts.push(entry.clone()),
                _ => batch.deletes.push(key),
            }
        }
        (batch.clears || !batch.puts.is_empty() || !batch.deletes.is_empty()).then_some(batch)
    }

    fn mark_dirty(&mut self, batch: Batch) {
        if let Some(unwritten) = &mut self.unwritten {
            unwritten.is_cleared |= batch.clears;
            unwritten.keys.extend(batch.deletes);
            unwritten.keys.extend(batch.puts.iter().map(JarEntry::key));
        }
    }

    fn forget_disk(&mut self) {
        self.unwritten = None;
    }
}

/// What was sent long ago comes first; two of the same age do not exist.
fn age(entry: &JarEntry) -> (i64, i64) {
    (entry.accessed, entry.created)
}

/// Cookies of one site (RFC 6265bis §6.1 wants 50 at least).
pub(super) const MOST_OF_SITE: usize = 180;
/// A site with more cookies than this gives way first when there are too many in all (RFC 6265bis §6.1: 50).
const MANY_OF_SITE: usize = 50;
/// Cookies in all (RFC 6265bis §6.1).
pub(super) const MOST: usize = 3000;

#[cfg(test)]
#[path = "jar_tests.rs"]
mod tests;
