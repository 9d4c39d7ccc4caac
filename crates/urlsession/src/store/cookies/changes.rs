//! `HttpCookieChanges`: that a store has changed, as a stream. What has changed is not said: Apple's notification does
//! not either.

use parking_lot::Mutex;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};

use futures_core::Stream;

use crate::store::persistent::Watch;

/// Those who watch a store.
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

/// An item each time a store has changed, by this process or another; changes that are unread are one. It ends with
/// the store.
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
