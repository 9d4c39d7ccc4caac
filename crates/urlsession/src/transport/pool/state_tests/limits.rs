//! The limits over all hosts.

use super::*;

#[test]
fn of_idle_connections_over_the_limit_the_one_idle_longest_is_closed() {
    let mut pool = Pool::with_limits(6, true, limits(10, 2));
    for (number, host) in [A, B, C].into_iter().enumerate() {
        pool.visit(host, number as u32);
    }
    assert_eq!(pool.closed, [0]);
    // Used again, it is the youngest.
    assert!(matches!(pool.want_at(B, 0, 0.5), Acquire::Exclusive(1)));
    pool.release(B, 0, 1);
    pool.visit(D, 3);
    assert_eq!(pool.closed, [0, 2]);
    let mut none = Pool::with_limits(6, true, limits(10, 0));
    none.visit(A, 1);
    assert_eq!(none.closed, [1]);
    assert!(none.state.is_empty(), "what is over is forgotten");
}

#[test]
fn at_the_limit_of_open_connections_the_one_idle_longest_is_closed_for_a_new_one() {
    let mut pool = Pool::with_limits(6, true, limits(2, 100));
    pool.visit(A, 1);
    pool.visit(B, 2);
    let waiting = pool.wait(C);
    assert_eq!((pool.closed.clone(), pool.dialled()), (vec![1], vec!["c".to_owned()]));
    pool.open(3);
    assert_eq!(pool.got(waiting), Some(3));
}

#[test]
fn hosts_take_turns_at_what_becomes_free() {
    let mut pool = Pool::with_limits(6, true, limits(1, 100));
    pool.connect(A, 1);
    let waiting = [pool.wait(B), pool.wait(B), pool.wait(C), pool.wait(D)];
    assert_eq!(pool.dials(), 0);
    pool.release(A, 0, 1);
    assert_eq!((pool.closed.clone(), pool.dialled()), (vec![1], vec!["b".to_owned()]));
    pool.open(2);
    assert_eq!(pool.got(waiting[0]), Some(2));
    // The connection serves whoever waits for this host: that is no new one.
    pool.release(B, 0, 2);
    assert_eq!(pool.got(waiting[1]), Some(2));
    pool.close(B);
    assert_eq!(pool.dialled(), ["c"]);
    pool.fail();
    assert!(matches!(pool.take(waiting[2]), Some(Acquired::Failed(_))));
    assert_eq!(pool.dialled(), ["d"]);
}

#[test]
fn a_shared_connection_counts_and_is_closed_for_another_only_while_it_carries_nothing() {
    let mut pool = Pool::with_limits(6, true, limits(1, 100));
    let dial_id = pool.connect_shared(S);
    assert!(matches!(pool.want_at(S, 0, 0.5), Acquire::Multiplexed(..)));
    let other = pool.wait(B);
    assert_eq!(pool.dials(), 0);
    pool.return_shared(S, dial_id);
    assert_eq!((pool.dials(), pool.closed_shared), (0, 0), "it carries another exchange");
    pool.return_shared(S, dial_id);
    assert_eq!((pool.dialled(), pool.closed_shared), (vec!["b".to_owned()], 1));
    pool.open(1);
    assert_eq!(pool.got(other), Some(1));
    // It reports its end all the same.
    pool.shared_closes(S, dial_id);
    pool.close(B);
    assert!(pool.state.is_empty());
}

#[test]
fn a_shared_connection_that_closes_by_itself_lets_another_be_made() {
    let mut pool = Pool::with_limits(6, true, limits(1, 100));
    let first = pool.wait(S);
    let multiplexed = many();
    pool.open_shared(multiplexed.clone());
    let dial_id = pool.got_shared(first);
    pool.wait(B);
    multiplexed.0.store(false, Relaxed);
    pool.shared_closes(S, dial_id);
    assert_eq!(pool.dialled(), ["b"]);
    pool.return_shared(S, dial_id);
}

#[test]
fn hosts_that_nobody_waits_for_any_more_are_forgotten() {
    let mut pool = Pool::with_limits(6, true, limits(1, 100));
    pool.connect(A, 1);
    for number in 0..10_000 {
        let waiting = pool.wait(&format!("http://h{number}/"));
        pool.forget(waiting);
    }
    assert!(pool.state.blocked.len() < 10, "{} are left", pool.state.blocked.len());
    pool.release(A, 0, 1);
    assert!(matches!(pool.want_at(A, 0, 0.5), Acquire::Exclusive(1)));
}
