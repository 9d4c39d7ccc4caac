//! Connections that carry one exchange at a time: who gets one, and when it is closed.

use super::*;

#[test]
fn one_connection_is_dialled_for_each_waiter_up_to_the_limit() {
    let mut pool = Pool::new(2, true);
    let waiting = [(); 5].map(|()| pool.wait(A));
    assert_eq!(pool.dials(), 2);
    pool.open(1);
    pool.open(2);
    assert_eq!((pool.got(waiting[0]), pool.got(waiting[1]), pool.got(waiting[2])), (Some(1), Some(2), None));
    assert_eq!(pool.dials(), 0, "the limit is reached");
    pool.release(A, 0, 1);
    assert_eq!(pool.got(waiting[2]), Some(1));
}

#[test]
fn a_rested_connection_is_reused_youngest_first_until_it_expires() {
    let mut pool = Pool::new(6, true);
    for connection in [1, 2] {
        pool.wait(A);
        pool.open(connection);
    }
    pool.release(A, 0, 1);
    pool.release(A, 0, 2);
    assert!(matches!(pool.want_at(A, 0, 0.5), Acquire::Exclusive(2)));
    pool.now += REST;
    pool.wait(A);
    assert_eq!((pool.closed.clone(), pool.dials()), (vec![1], 1));
}

#[test]
fn origins_do_not_mix() {
    let mut pool = Pool::new(6, true);
    pool.visit(A, 1);
    for other in ["http://b/", "http://a:81/", S] {
        pool.wait(other);
    }
    assert_eq!(pool.dials(), 3);
    assert!(matches!(pool.want_at("http://a:80/other", 0, 0.5), Acquire::Exclusive(1)));
}

#[test]
fn a_released_connection_serves_a_waiter_whose_dial_then_serves_another() {
    let mut pool = Pool::new(6, true);
    pool.connect(A, 1);
    let [second, third] = [(); 2].map(|()| pool.wait(A));
    pool.release(A, 0, 1);
    assert_eq!(pool.got(second), Some(1));
    let fourth = pool.wait(A);
    assert_eq!(pool.dials(), 2, "the second's dial was adopted");
    pool.open(2);
    pool.open(3);
    assert_eq!((pool.got(third), pool.got(fourth)), (Some(2), Some(3)));
}

#[test]
fn higher_priorities_go_first_and_equal_ones_in_order() {
    let mut pool = Pool::new(1, true);
    pool.connect(A, 1);
    let [low, middle, high, later] =
        [0.1, 0.5, 0.9, 0.5].map(|priority| match pool.want_at(A, 0, priority) {
            Acquire::Wait(waiting) => waiting,
            other => panic!("{other:?}"),
        });
    for waiting in [high, middle, later, low] {
        pool.release(A, 0, 1);
        assert_eq!(pool.got(waiting), Some(1));
    }
}

#[test]
fn nobody_overtakes_those_who_wait() {
    let mut pool = Pool::new(1, true);
    pool.connect(A, 1);
    let first = pool.wait(A);
    pool.release(A, 0, 1);
    assert!(matches!(pool.want_at(A, 0, 0.5), Acquire::Wait(_)));
    assert_eq!(pool.got(first), Some(1));
}

#[test]
fn a_failed_dial_fails_its_waiter() {
    let mut pool = Pool::new(2, true);
    let waiting = [(); 4].map(|()| pool.wait(A));
    pool.fail();
    assert!(matches!(pool.take(waiting[0]), Some(Acquired::Failed("refused"))));
    assert_eq!((pool.got(waiting[1]), pool.got(waiting[2])), (None, None), "dials are in progress");
    while pool.dials() > 0 {
        pool.fail();
    }
    assert!(waiting[1..].iter().all(|waiting| matches!(pool.take(*waiting), Some(Acquired::Failed(_)))));
    assert!(pool.state.is_empty());
}

#[test]
fn a_waiter_that_leaves_gives_up_its_place_and_what_it_was_given() {
    let mut pool = Pool::new(1, true);
    let [first, second] = [(); 2].map(|()| pool.wait(A));
    pool.open(1);
    pool.forget(first);
    assert_eq!(pool.got(second), Some(1));
    let third = pool.wait(A);
    pool.forget(third);
    pool.release(A, 0, 1);
    assert!(matches!(pool.want_at(A, 0, 0.5), Acquire::Exclusive(1)));
}

#[test]
fn a_dial_whose_waiter_left_leaves_a_usable_connection() {
    let mut pool = Pool::new(6, true);
    let waiting = pool.wait(A);
    pool.forget(waiting);
    pool.open(1);
    assert!(matches!(pool.want_at(A, 0, 0.5), Acquire::Exclusive(1)));
}

#[test]
fn a_closed_connection_makes_room() {
    let mut pool = Pool::new(1, true);
    pool.connect(A, 1);
    pool.wait(A);
    assert_eq!(pool.dials(), 0);
    pool.close(A);
    assert_eq!(pool.dials(), 1);
}

#[test]
fn connections_stay_in_their_place_and_make_room_for_others() {
    let mut pool = Pool::new(1, true);
    pool.visit(A, 1);
    let Acquire::Wait(elsewhere) = pool.want_at(A, 7, 0.5) else { panic!("another place has no connection") };
    assert_eq!((pool.closed.clone(), pool.dials()), (vec![1], 1));
    pool.open(2);
    assert_eq!(pool.got(elsewhere), Some(2));
    // Busy there, wanted here: it is closed when it is released.
    let here = pool.wait(A);
    pool.release(A, 7, 2);
    assert_eq!((pool.closed.clone(), pool.dials()), (vec![1, 2], 1));
    pool.open(3);
    assert_eq!(pool.got(here), Some(3));
}

#[test]
fn a_place_that_goes_takes_only_its_own() {
    let mut pool = Pool::new(6, true);
    pool.visit(A, 1);
    pool.want_at(A, 7, 0.5);
    pool.open(2);
    pool.release(A, 7, 2);
    pool.act(|state, _, actions| state.runtime_gone(0, actions));
    assert_eq!(pool.closed, [1]);
    assert!(matches!(pool.want_at(A, 7, 0.5), Acquire::Exclusive(2)));
}

#[test]
fn what_is_expired_is_closed_and_forgotten() {
    let mut pool = Pool::new(6, true);
    pool.visit(A, 1);
    let end = pool.now + REST;
    assert_eq!(pool.expire(pool.now), Some(end));
    assert_eq!(pool.expire(end), None);
    assert_eq!(pool.closed, [1]);
    assert!(pool.state.is_empty());
}

#[test]
fn a_grant_wakes_its_waiter_once() {
    let mut pool = Pool::new(1, true);
    let waiting = pool.wait(A);
    assert_eq!(pool.got(waiting), None);
    pool.open(1);
    assert_eq!(pool.woken.0.load(Relaxed), 1);
    assert_eq!(pool.got(waiting), Some(1));
}
