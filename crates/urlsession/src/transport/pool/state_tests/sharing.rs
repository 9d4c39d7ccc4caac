//! Connections that carry many exchanges, and origins of which it is not known whether they offer them.

use super::*;

#[test]
fn while_nothing_is_known_of_an_origin_one_dial_serves_all() {
    let mut pool = Pool::new(6, true);
    let waiting = [(); 100].map(|()| pool.wait(S));
    assert_eq!(pool.dials(), 1);
    pool.open_shared(many());
    assert!(waiting.into_iter().all(|waiting| matches!(pool.take(waiting), Some(Acquired::Multiplexed(..)))));
    assert!(matches!(pool.want_at(S, 0, 0.5), Acquire::Multiplexed(..)));
}

#[test]
fn an_origin_that_shares_nothing_is_dialled_for_the_others() {
    let mut pool = Pool::new(3, true);
    let waiting = [(); 10].map(|()| pool.wait(S));
    pool.open(1);
    assert_eq!(pool.got(waiting[0]), Some(1));
    assert_eq!(pool.dials(), 2, "up to the limit, at once");
}

#[test]
fn a_shared_connection_that_has_closed_is_replaced_by_one_dial() {
    let mut pool = Pool::new(6, true);
    pool.wait(S);
    let multiplexed = many();
    pool.open_shared(multiplexed.clone());
    multiplexed.0.store(false, Relaxed);
    pool.wait(S);
    pool.wait(S);
    assert_eq!(pool.dials(), 1);
}

#[test]
fn a_failed_dial_that_was_to_serve_all_fails_all() {
    let mut pool = Pool::new(6, true);
    let waiting = [(); 100].map(|()| pool.wait(S));
    pool.fail();
    assert_eq!(pool.dials(), 0);
    assert!(waiting.into_iter().all(|waiting| matches!(pool.take(waiting), Some(Acquired::Failed(_)))));
}

#[test]
fn what_a_waiter_that_leaves_was_given_of_a_shared_connection_is_returned() {
    let mut pool = Pool::with_limits(6, true, limits(1, 100));
    let first = pool.wait(S);
    pool.open_shared(many());
    pool.forget(first);
    pool.wait(B);
    assert_eq!((pool.dialled(), pool.closed_shared), (vec!["b".to_owned()], 1));
}

#[test]
fn an_idle_shared_connection_expires_and_a_retired_one_is_closed_when_it_is_returned() {
    let mut pool = Pool::new(6, true);
    let dial_id = pool.connect_shared(S);
    let end = pool.now + REST;
    assert_eq!(pool.expire(end), None, "it is in use");
    pool.act(|state, _, actions| state.retire(actions));
    assert_eq!(pool.closed_shared, 0);
    let again = pool.wait(S);
    assert_eq!(pool.dials(), 1, "later loads get a new one");
    pool.return_shared(S, dial_id);
    assert_eq!(pool.closed_shared, 1);
    pool.open_shared(many());
    let dial_id = pool.got_shared(again);
    pool.return_shared(S, dial_id);
    assert_eq!(pool.expire(pool.now), Some(end));
    assert_eq!(pool.expire(end), None);
    assert_eq!(pool.closed_shared, 2);
    assert!(pool.state.is_empty());
}
