//! Connections about which delegates decide, and those that are logged in: whom they serve.

use super::*;

#[test]
fn a_dial_serves_those_for_whom_the_same_delegates_are_asked() {
    let mut pool = Pool::new(6, true);
    let plain = [(); 3].map(|()| pool.wait(S));
    let session = [1, 2].map(|task| pool.wait_as(S, Decider::Session(task)));
    let own = [3, 4].map(|task| pool.wait_as(S, Decider::Task(task)));
    assert_eq!(pool.dials(), 4, "one without delegates, one of the session, one of each task");
    // The first that is for everyone serves all but those whose own delegates are being asked.
    pool.open_shared(many());
    let mut all = plain.into_iter().chain(session);
    assert!(all.all(|waiting| is_shared(pool.take(waiting))));
    pool.open_shared(many());
    assert!(own.iter().all(|waiting| pool.take(*waiting).is_none()));
    pool.open_shared(many());
    assert!(is_shared(pool.take(own[0])) && pool.take(own[1]).is_none());
    pool.refuse();
    assert!(matches!(pool.take(own[1]), Some(Acquired::Failed("refused"))));
}

#[test]
fn a_shared_connection_for_one_task_wakes_only_that_one_and_the_others_dial_their_own() {
    let mut pool = Pool::new(6, true);
    let [one, two, three] = [1, 2, 3].map(|task| pool.wait_as(S, Decider::Session(task)));
    assert_eq!(pool.dials(), 1);
    pool.open_shared(many_for(Scope::Task(1)));
    assert!(is_shared(pool.take(one)) && pool.take(two).is_none() && pool.take(three).is_none());
    assert_eq!(pool.dials(), 2, "one for each of the others, at once");
    pool.open_shared(many_for(Scope::Task(2)));
    assert!(is_shared(pool.take(two)) && pool.take(three).is_none());
    pool.open_shared(many_for(Scope::Session));
    assert!(is_shared(pool.take(three)));
    // What is open serves whom it may.
    assert!(matches!(pool.want_as(S, Decider::Session(9)), Acquire::Multiplexed(_)));
    assert!(matches!(pool.want_as(S, Decider::Task(9)), Acquire::Wait(_)));
    assert!(matches!(pool.want_as(S, Decider::Task(2)), Acquire::Multiplexed(_)));
    assert!(matches!(pool.want_as(S, Decider::Platform), Acquire::Wait(_)));
}

#[test]
fn connections_for_tasks_that_are_over_are_idle_like_others() {
    let mut pool = Pool::with_limits(6, true, Limits { per_host: 6, open: 1000, idle: 3 });
    for task in 1..=5 {
        let waiting = pool.wait_as(S, Decider::Task(task));
        pool.open_shared(many_for(Scope::Task(task)));
        let dial_id = pool.got_shared(waiting);
        pool.return_shared(S, dial_id);
    }
    assert_eq!(pool.closed_shared, 2);
    assert!(matches!(pool.want_as(S, Decider::Task(5)), Acquire::Multiplexed(_)));
    pool.now += REST;
    pool.expire(pool.now);
    assert_eq!(pool.closed_shared, 4, "all but the one in use");
}

#[test]
fn a_login_for_once_has_a_shared_connection_of_its_own_which_is_closed_after_use() {
    let mut pool = Pool::new(6, true);
    let plain = pool.wait(S);
    pool.open_shared(many());
    assert!(is_shared(pool.take(plain)));
    let space = UrlProtectionSpace::new(
        "a",
        443,
        UrlProtectionSpaceProtocol::Https,
        None,
        AuthenticationMethod::Negotiate,
    );
    let credential = UrlCredential::new("ann", "pw", UrlCredentialPersistence::None);
    let login = LoginUse::Begin(ConnectionLogin::new(space, Some(credential), None));
    let logins = Arc::new(LoginUses { server: login, proxy: LoginUse::None });
    let requester = Requester { logins: Some(logins.clone()), ..Requester::default() };
    let Acquire::Wait(waiting) = pool.want_for(S, requester) else { panic!("a connection of its own") };
    let mut anns = many();
    anns.1.begin(&logins);
    pool.open_shared(anns);
    assert!(matches!(pool.want_at(S, 0, 0.5), Acquire::Multiplexed(other) if !other.1.is_for_once()));
    let dial_id = pool.got_shared(waiting);
    pool.return_shared(S, dial_id);
    assert_eq!(pool.closed_shared, 1);
}

#[test]
fn a_dial_serves_whom_it_was_for_whatever_the_store_has_lost_meanwhile() {
    let stale = Reservation::new(Scope::Everyone, Some(1));
    let requester = Requester { revision: 2, ..Requester::default() };
    let mut pool = Pool::new(6, true);
    let waiting = [(); 2].map(|()| match pool.want_for(S, requester.clone()) {
        Acquire::Wait(waiting) => waiting,
        other => panic!("{other:?}"),
    });
    pool.open_shared(Many(Arc::new(AtomicBool::new(true)), stale));
    assert!(is_shared(pool.take(waiting[0])) && pool.take(waiting[1]).is_none());
    assert_eq!(pool.dials(), 1, "the other gets one of its own");
}

#[test]
fn a_refusal_fails_only_the_task_that_was_asked() {
    for url in [S, A] {
        let mut pool = Pool::new(1, true);
        let one = pool.wait_as(url, Decider::Session(1));
        let two = pool.wait_as(url, Decider::Session(2));
        let plain = pool.wait(url);
        pool.refuse();
        assert!(matches!(pool.take(one), Some(Acquired::Failed("refused"))));
        assert!(pool.take(two).is_none() && pool.take(plain).is_none());
        assert!(pool.dials() > 0);
        for connection in 1.. {
            if pool.dials() == 0 {
                break;
            }
            pool.open(connection);
        }
        let Some(connection) = pool.got(two) else { panic!("nothing for the second") };
        pool.release(url, 0, connection);
        assert!(pool.got(plain).is_some());
    }
}

#[test]
fn a_waiter_does_not_fail_by_what_is_decided_in_a_dial_that_it_adopted() {
    let mut pool = Pool::new(1, true);
    let gone = pool.wait_as(A, Decider::Session(1));
    let waiting = pool.wait_as(A, Decider::Session(2));
    pool.forget(gone);
    let third = pool.wait_as(A, Decider::Session(3));
    pool.forget(third);
    pool.refuse();
    assert!(pool.take(waiting).is_none());
    pool.open(7);
    assert_eq!(pool.got(waiting), Some(7));
}

#[test]
fn a_dial_that_is_left_is_not_adopted_by_those_who_ask_other_delegates() {
    let mut pool = Pool::new(6, true);
    let gone = pool.wait_as(A, Decider::Task(1));
    pool.forget(gone);
    let waiting = pool.wait(A);
    assert_eq!(pool.dials(), 2);
    pool.open(1001);
    assert_eq!(pool.got(waiting), None, "it is for the task that has gone");
    pool.open(2);
    assert_eq!(pool.got(waiting), Some(2));
}

#[test]
fn a_task_that_is_being_asked_is_asked_once_whatever_else_is_learned_of_the_origin() {
    let mut pool = Pool::new(6, true);
    let asked = pool.wait_as(S, Decider::Task(1));
    let (origin, _, dial_id) = pool.next_dial();
    let plain = pool.wait(S);
    pool.open(1);
    assert_eq!((pool.got(plain), pool.got(asked), pool.dials()), (Some(1), None, 0));
    pool.release(S, 0, 1);
    assert_eq!(pool.got(asked), None, "its delegate has not answered");
    pool.act(|state, now, actions| state.opened(&origin, dial_id, 1001, now, now + REST, actions));
    assert_eq!((pool.got(asked), pool.dials()), (Some(1001), 0));
}

#[test]
fn an_idle_connection_of_a_task_is_its_own_and_makes_room_for_others() {
    let mut pool = Pool::new(1, true);
    let one = pool.wait_as(A, Decider::Task(1));
    pool.open(1001);
    assert_eq!(pool.got(one), Some(1001));
    pool.release(A, 0, 1001);
    assert!(matches!(pool.want_as(A, Decider::Task(1)), Acquire::Exclusive(1001)));
    pool.release(A, 0, 1001);
    let other = pool.wait_as(A, Decider::Task(2));
    assert_eq!((pool.closed.clone(), pool.dials()), (vec![1001], 1));
    pool.open(2);
    assert_eq!(pool.got(other), Some(2));
    // Others wait for it: it is closed when it is given back for a task that has no further use for it.
    let busy = pool.wait_as(A, Decider::Task(3));
    pool.release(A, 0, 2);
    assert_eq!(pool.got(busy), Some(2));
    let plain = pool.wait(A);
    pool.close(A);
    pool.open(3003);
    assert_eq!(pool.got(plain), None);
    assert_eq!((pool.closed.clone(), pool.dials()), (vec![1001, 3003], 1));
    pool.open(4);
    assert_eq!(pool.got(plain), Some(4));
}

#[test]
fn dials_of_tasks_with_delegates_of_their_own_keep_to_the_limit() {
    let mut pool = Pool::new(3, true);
    let waiting: Vec<_> = (1..=10).map(|task| pool.wait_as(S, Decider::Task(task))).collect();
    assert_eq!(pool.dials(), 3);
    for served in [8, 9, 10] {
        pool.open_shared(many());
        let all = waiting.iter().filter(|waiting| pool.take(**waiting).is_some());
        assert_eq!(all.count(), if served == 8 { 8 } else { 1 });
    }
}

#[test]
fn dials_that_turn_out_to_be_for_one_exchange_at_a_time_keep_to_the_limit() {
    let mut pool = Pool::new(3, true);
    let waiting: Vec<_> = (1..=10).map(|task| pool.wait_as(S, Decider::Task(task))).collect();
    for task in 1..=3 {
        assert_eq!(pool.dials(), 4 - task as usize, "with those that are open no more than three");
        pool.open(task * 1000);
        assert_eq!(pool.got(waiting[task as usize - 1]), Some(task * 1000));
    }
    pool.close(S);
    assert_eq!(pool.dials(), 1);
    pool.open_shared(many());
    // Of the three that were open two are.
    pool.close(S);
    pool.close(S);
    assert_eq!(pool.state.open, 1);
}
