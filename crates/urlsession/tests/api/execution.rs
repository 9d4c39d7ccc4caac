//! Where loads run: any executor, none, and runtimes that come and go.

use std::sync::mpsc;
use std::time::Duration;

use urlsession::UrlSession;
use urlsession::environment::block_on;
use urlsession_testkit::{Reply, Wire};

use crate::support::*;

#[test]
fn a_runtime_that_is_dropped_takes_no_later_load_with_it() {
    on(Wire::H1, |origin| {
        for _ in 0..50 {
            let (data, _) = in_tokio(UrlSession::shared().data(origin.url("/Peru"))).unwrap();
            assert_eq!(text(&data), "Lima");
        }
    });
    on_every_wire(|origin| {
        let session = session(origin);
        for round in 0..50 {
            let runtime = match round % 2 {
                0 => runtime(),
                _ => tokio::runtime::Builder::new_multi_thread()
                    .worker_threads(1)
                    .enable_all()
                    .build()
                    .unwrap(),
            };
            assert_eq!(text(&runtime.block_on(session.data(origin.url("/Peru"))).unwrap().0), "Lima");
        }
        assert_eq!(text(&session.data(origin.url("/Peru")).wait().unwrap().0), "Lima");
    });
}

#[test]
fn waiting_works_inside_any_runtime() {
    on_every_wire(|origin| {
        let session = session(origin);
        in_tokio(async {
            assert_eq!(text(&session.data(origin.url("/Peru")).wait().unwrap().0), "Lima");
            assert_eq!(text(&session.data(origin.url("/Peru")).await.unwrap().0), "Lima");
            assert_eq!(text(&session.data(origin.url("/Peru")).wait().unwrap().0), "Lima");
        });
        let multi =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let url = origin.url("/Peru");
        let data = multi.block_on(multi.spawn(async move { session.data(url).wait().unwrap().0 })).unwrap();
        assert_eq!(text(&data), "Lima");
    });
}

#[test]
fn futures_need_no_tokio() {
    on_every_wire(|origin| {
        let (data, _) = block_on(session(origin).data(origin.url("/bytes/500000"))).unwrap();
        assert_eq!(data.len(), 500_000);
        block_on(async {
            let (mut bytes, _) = session(origin).bytes(origin.url("/bytes/500000")).await.unwrap();
            let mut length = 0;
            while let Some(chunk) = next(&mut bytes).await {
                length += chunk.unwrap().len();
            }
            assert_eq!(length, 500_000);
        });
    });
}

#[test]
fn a_load_moves_between_threads_while_it_runs() {
    on_every_wire(|origin| {
        let gate = origin.hold();
        origin.enqueue("/slow", Reply::new(200).pattern(0, 10).body_gate(4, gate.clone()));
        let mut load = Box::pin(session(origin).data(origin.url("/slow")));
        let (sender, receiver) = mpsc::channel();
        // Polled here until the gate is reached, finished elsewhere.
        runtime().block_on(async {
            let _ = tokio::time::timeout(Duration::ZERO, &mut load).await;
        });
        drop(load);
        let load = session(origin).data(origin.url("/Peru"));
        std::thread::spawn(move || sender.send(block_on(load)).unwrap());
        assert_eq!(text(&receiver.recv_timeout(PATIENCE).unwrap().unwrap().0), "Lima");
        gate.release();
    });
}

#[test]
fn an_idle_connection_of_one_runtime_makes_room_for_another() {
    on(Wire::H1, |origin| {
        let mut configuration = configuration(origin);
        configuration.http_maximum_connections_per_host = 1;
        let session = UrlSession::new(configuration);
        let (first, second) = (runtime(), runtime());
        for _ in 0..3 {
            first.block_on(session.data(origin.url("/Peru"))).unwrap();
            second.block_on(session.data(origin.url("/Peru"))).unwrap();
        }
        assert_eq!(origin.requests().len(), 6);
    });
}

#[test]
fn a_load_in_place_keeps_its_connection_within_its_runtime() {
    on(Wire::H1, |origin| {
        let session = session(origin);
        let runtime = runtime();
        for _ in 0..5 {
            runtime.block_on(session.data(origin.url("/Peru"))).unwrap();
        }
        assert_eq!(origin.connection_count(), 1);
        drop(runtime);
        assert!(origin.wait_for(|journal| journal.closed == 1, PATIENCE), "it ends with its runtime");
    });
}
