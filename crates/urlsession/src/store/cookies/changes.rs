//! `HttpCookieChanges`: a stream of changes of a store. An item does not say what has changed; Apple's notification does
//! not either.

use parking_lot::Mutex;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};

use futures_core::Stream;

use crate::store::persistent::Watch;

/// The watchers of a store.
#[derive(Default)]
pub(super) struct Watchers(Mutex<Vec<Weak<Mutex<Watcher>>>>);

#[derive(Default)]
struct Watcher {
    has_news: bool,
    is_over: bool,
    waker: Option<Waker>,
}

impl Watchers {
    pub(super) fn add(&self) -> HttpCookieChanges {
        let watcher = Arc::new(Mutex::new(Watcher::default()));
        let mut all = self.0.lock();
        all.retain(|watcher| watcher.strong_count() > 0);
        all.push(Arc::downgrade(&watcher));
        HttpCookieChanges(watcher)
    }

    fn each(&self, change: impl Fn(&mut Watcher)) {
        let all = self.0.lock();
        let watchers: Vec<_> = all.iter().filter_map(Weak::upgrade).collect();
        drop(all);
        for watcher in watchers {
            let mut watcher = watcher.lock();
            change(&mut watcher);
            let waker = watcher.waker.take();
            drop(watcher);
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }
}

impl Watch for Watchers {
    fn tell(&self) {
        self.each(|watcher| watcher.has_news = true);
    }
}

impl Drop for Watchers {
    fn drop(&mut self) {
        self.each(|watcher| watcher.is_over = true);
    }
}

/// A stream with an item for each change of a store, by this process or another. Changes that are not yet read are one
/// item. The stream ends when the store is dropped.
#[must_use = "streams do nothing unless polled"]
pub struct HttpCookieChanges(Arc<Mutex<Watcher>>);

impl Stream for HttpCookieChanges {
    type Item = ();

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<()>> {
        let mut watcher = self.0.lock();
        if std::mem::take(&mut watcher.has_news) {
            return Poll::Ready(Some(()));
        }
        if watcher.is_over {
            return Poll::Ready(None);
        }
        watcher.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl fmt::Debug for HttpCookieChanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HttpCookieChanges")
    }
}
