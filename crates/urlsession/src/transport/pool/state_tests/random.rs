//! Random moves: the limits hold, nobody is forgotten, and everything ends empty.

use super::*;

/// Numbers below the given ones (xorshift).
fn random(seed: u64) -> impl FnMut(u64) -> u64 {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    move |n| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) % n
    }
}

/// Ten thousand random moves: the limit holds, nobody is forgotten, and everything ends empty.
#[test]
fn no_sequence_of_events_breaks_the_limit_or_loses_a_waiter() {
    for seed in 1..200u64 {
        let mut next = random(seed);
        let limit = 1 + next(4) as usize;
        let mut pool = Pool::new(limit, true);
        let (mut waiting, mut busy, mut numbers) = (Vec::new(), Vec::new(), 0..);
        for _ in 0..300 {
            match next(6) {
                0 | 1 => match pool.want_at(A, 0, next(3) as f32 / 2.0) {
                    Acquire::Wait(number) => waiting.push(number),
                    Acquire::Exclusive(connection) => busy.push(connection),
                    Acquire::Multiplexed(..) => unreachable!(),
                },
                2 if pool.dials() > 0 => pool.open(numbers.next().unwrap()),
                3 if pool.dials() > 0 => pool.fail(),
                4 if !busy.is_empty() => {
                    let connection = busy.swap_remove(next(busy.len() as u64) as usize);
                    if next(2) == 0 { pool.release(A, 0, connection) } else { pool.close(A) }
                }
                5 if !waiting.is_empty() => {
                    let number = waiting.swap_remove(next(waiting.len() as u64) as usize);
                    pool.forget(number);
                }
                _ => {}
            }
            waiting.retain(|number| match pool.take(*number) {
                Some(Acquired::Exclusive(connection)) => {
                    busy.push(connection);
                    false
                }
                Some(Acquired::Failed(_)) => false,
                Some(Acquired::Multiplexed(..)) => unreachable!(),
                None => true,
            });
            assert!(busy.len() + pool.dials() <= limit, "seed {seed}");
        }
        // Everyone still waiting is served once what is busy comes back and what is dialled opens.
        for _ in 0..1000 {
            if pool.dials() > 0 {
                pool.open(numbers.next().unwrap());
            }
            if let Some(connection) = busy.pop() {
                pool.release(A, 0, connection);
            }
            waiting.retain(|number| match pool.take(*number) {
                Some(Acquired::Exclusive(connection)) => {
                    busy.push(connection);
                    false
                }
                _ => true,
            });
        }
        assert!(waiting.is_empty() && busy.is_empty(), "seed {seed}: {} wait", waiting.len());
        pool.now += REST * 2;
        pool.expire(pool.now);
        assert!(pool.state.is_empty(), "seed {seed}");
    }
}

/// Random moves over several hosts, some of which share connections, for loads with several delegates, some of whose
/// connections are for one task: the limits hold, and whoever waits is served once
/// what is busy comes back.
#[test]
fn no_sequence_of_events_over_many_hosts_breaks_the_limits_or_loses_a_waiter() {
    #[derive(Debug)]
    enum Held {
        Exclusive(&'static str, u32),
        Multiplexed(&'static str, DialId),
    }
    let hosts = [A, B, C, D, S, "https://b/", "https://c/"];
    for seed in 1..100u64 {
        let mut next = random(seed);
        let limits =
            Limits { per_host: 1 + next(3) as usize, open: 1 + next(4) as usize, idle: next(4) as usize };
        let mut pool = Pool::with_limits(limits.per_host, true, limits);
        let mut waiting: Vec<(&'static str, WaiterId)> = Vec::new();
        let (mut held, mut numbers): (Vec<Held>, _) = (Vec::new(), 0..);
        let open_next = |pool: &mut Pool, number: u32| {
            let (is_secure, decider) = {
                let dials = pool.dials.lock();
                (dials[0].0.secure, dials[0].1.1.decider)
            };
            // Of three connections about which delegates decide two are for one task.
            let scope = match decider {
                Decider::Session(task) | Decider::Task(task) if !number.is_multiple_of(3) => {
                    Scope::Task(task)
                }
                _ => Scope::Everyone,
            };
            match (is_secure, scope) {
                (true, scope) => pool.open_shared(many_for(scope)),
                (false, Scope::Task(task)) => pool.open(task as u32 * 1000 + number % 1000),
                (false, _) => pool.open(number % 1000),
            }
        };
        let collect = |pool: &mut Pool, waiting: &mut Vec<(&'static str, WaiterId)>, held: &mut Vec<Held>| {
            waiting.retain(|(host, number)| {
                match pool.take(*number) {
                    Some(Acquired::Exclusive(connection)) => held.push(Held::Exclusive(host, connection)),
                    Some(Acquired::Multiplexed(_, dial_id)) => held.push(Held::Multiplexed(host, dial_id)),
                    Some(Acquired::Failed(_)) => {}
                    None => return true,
                }
                false
            });
        };
        let give_back = |pool: &mut Pool, held: Held, keep: bool| match held {
            Held::Exclusive(host, connection) if keep => pool.release(host, 0, connection),
            Held::Exclusive(host, _) => pool.close(host),
            Held::Multiplexed(host, dial_id) => {
                if !keep {
                    pool.shared_closes(host, dial_id);
                }
                pool.return_shared(host, dial_id);
            }
        };
        for _ in 0..400 {
            match next(7) {
                0..=2 => {
                    let host = hosts[next(hosts.len() as u64) as usize];
                    let decider = match next(4) {
                        0 => Decider::Session(1 + next(3)),
                        1 => Decider::Task(1 + next(3)),
                        _ => Decider::Platform,
                    };
                    match pool.want_as(host, decider) {
                        Acquire::Wait(number) => {
                            pool.state.prioritise(number, next(3) as f32 / 2.0);
                            waiting.push((host, number));
                        }
                        Acquire::Exclusive(connection) => held.push(Held::Exclusive(host, connection)),
                        Acquire::Multiplexed(handle) => {
                            held.push(Held::Multiplexed(host, pool.ticket_of(host, &handle)));
                        }
                    }
                }
                3 if pool.dials() > 0 => open_next(&mut pool, numbers.next().unwrap()),
                4 if pool.dials() > 0 && next(3) == 0 => pool.fail(),
                5 if !held.is_empty() => {
                    let one = held.swap_remove(next(held.len() as u64) as usize);
                    give_back(&mut pool, one, next(3) > 0);
                }
                6 if !waiting.is_empty() && next(3) == 0 => {
                    let (_, number) = waiting.swap_remove(next(waiting.len() as u64) as usize);
                    pool.forget(number);
                }
                _ => {}
            }
            collect(&mut pool, &mut waiting, &mut held);
            assert!(pool.state.open <= limits.open, "seed {seed}");
            assert!(pool.state.idle.len() <= limits.idle, "seed {seed}");
            let free = pool.state.open < limits.open || !pool.state.idle.is_empty();
            assert!(pool.state.blocked.is_empty() || !free, "seed {seed}: hosts wait though one may be made");
        }
        for _ in 0..1000 {
            if pool.dials() > 0 {
                open_next(&mut pool, numbers.next().unwrap());
            }
            collect(&mut pool, &mut waiting, &mut held);
            if let Some(one) = held.pop() {
                give_back(&mut pool, one, true);
            }
        }
        assert!(waiting.is_empty() && held.is_empty(), "seed {seed}: {} wait, {held:?}", waiting.len());
        pool.now += REST * 2;
        pool.expire(pool.now);
        assert!(pool.state.is_empty(), "seed {seed}: {} open", pool.state.open);
    }
}
