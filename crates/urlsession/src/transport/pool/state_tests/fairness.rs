//! Nobody waits for ever at a limit, and nobody gives up a connection for one who has no use for its space.

use super::*;

/// A pool in which A has connection 1, and it is in use.
fn busy(per_host: usize, limits: Limits) -> Pool {
    let mut pool = Pool::with_limits(per_host, true, limits);
    pool.connect(A, 1);
    pool
}

/// Connection 1 goes from one load of A to the next until something is dialled, or for so many turns. The last waiter of A.
fn go_on(pool: &mut Pool, turns: usize) -> WaiterId {
    let mut has = pool.wait(A);
    for _ in 0..turns {
        pool.release(A, 0, 1);
        if pool.dials() > 0 {
            break;
        }
        assert_eq!(pool.got(has), Some(1));
        has = pool.wait(A);
    }
    has
}

const MANY_TURNS: usize = 40;

#[test]
fn a_busy_host_does_not_keep_others_waiting_for_ever() {
    let mut pool = busy(6, limits(1, 100));
    let other = pool.wait(B);
    let has = go_on(&mut pool, MANY_TURNS);
    assert_eq!((pool.dialled(), pool.closed.clone()), (vec!["b".to_owned()], vec![1]));
    pool.open(2);
    assert_eq!(pool.got(other), Some(2));
    pool.release(B, 0, 2);
    assert_eq!(pool.dialled(), ["a"], "who waited meanwhile is next");
    pool.open(3);
    assert_eq!(pool.got(has), Some(3));
}

#[test]
fn a_busy_host_whose_turn_it_would_be_lets_the_next_have_it() {
    let mut pool = busy(6, limits(1, 100));
    // It waits for a second connection, before the other does.
    let _second = pool.wait(A);
    let other = pool.wait(B);
    pool.release(A, 0, 1);
    go_on(&mut pool, MANY_TURNS);
    assert_eq!((pool.dialled(), pool.closed.clone()), (vec!["b".to_owned()], vec![1]));
    pool.open(2);
    assert_eq!(pool.got(other), Some(2));
}

#[test]
fn a_waiter_that_may_not_use_the_connections_of_its_host_is_not_passed_over_for_ever() {
    for (per_host, limits) in [(1, limits(100, 100)), (6, limits(1, 100))] {
        let mut pool = Pool::with_limits(per_host, true, limits);
        let one = pool.wait_as(A, Decider::Task(1));
        pool.open(1001);
        assert_eq!(pool.got(one), Some(1001));
        let other = pool.wait(A);
        let mut turns = 0;
        let has = loop {
            let has = pool.wait_as(A, Decider::Task(1));
            pool.release(A, 0, 1001);
            if pool.dials() > 0 {
                break has;
            }
            assert_eq!(pool.got(has), Some(1001));
            turns += 1;
            assert!(turns < MANY_TURNS, "the task goes on and on");
        };
        assert!(turns >= 8, "it need not give way at once");
        assert_eq!(pool.closed, [1001]);
        pool.open(2);
        assert_eq!(pool.got(other), Some(2));
        // And so on: what was made for everyone serves the task.
        pool.release(A, 0, 2);
        assert_eq!(pool.got(has), Some(2));
    }
}

#[test]
fn a_waiter_whose_own_connection_is_being_made_is_passed_over_at_will() {
    let mut pool = busy(2, limits(100, 100));
    let other = pool.wait_as(A, Decider::Task(9));
    assert_eq!(pool.dials(), 1);
    for _ in 0..MANY_TURNS {
        let has = pool.wait(A);
        pool.release(A, 0, 1);
        assert_eq!(pool.got(has), Some(1));
    }
    assert!(pool.closed.is_empty());
    pool.open(9002);
    assert_eq!(pool.got(other), Some(9002));
}

#[test]
fn no_connection_is_given_up_for_a_host_whose_waiters_were_served_otherwise() {
    let mut pool = busy(6, limits(2, 100));
    let [first, second] = [(); 2].map(|()| pool.wait(B));
    pool.open(2);
    assert_eq!(pool.got(first), Some(2));
    pool.release(B, 0, 2);
    assert_eq!(pool.got(second), Some(2));
    go_on(&mut pool, MANY_TURNS);
    assert_eq!((pool.closed.clone(), pool.dials()), (vec![], 0));
}
