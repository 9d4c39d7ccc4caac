//! `AsyncBytes`: bodies read as they come.

use urlsession::UrlErrorCode;
use urlsession_testkit::Reply;

use crate::support::*;

#[test]
fn the_head_comes_before_the_body() {
    on_every_wire(|origin| {
        let gate = origin.hold();
        origin.enqueue("/slow", Reply::new(200).pattern(0, 10).body_gate(4, gate.clone()));
        in_tokio(async {
            let (mut bytes, response) = session(origin).bytes(origin.url("/slow")).await.unwrap();
            assert_eq!(response.status_code(), Some(200));
            let mut all = Vec::new();
            while let Some(chunk) = next(&mut bytes).await {
                all.extend_from_slice(&chunk.unwrap());
                gate.release();
            }
            assert_eq!(all, (0..10).collect::<Vec<u8>>());
            assert_eq!(bytes.task().count_of_bytes_received(), 10);
            assert!(bytes.task().error().is_none());
        });
    });
}

#[test]
pub(super) fn bytes_come_one_by_one_and_end_with_the_body_or_its_error() {
    on_every_wire(|origin| {
        origin.enqueue("/whole", Reply::new(200).pattern(0, 100_000));
        let session = session(origin);
        let whole = (0..100_000).map(|n| urlsession_testkit::pattern(n, 1)[0]).collect::<Vec<_>>();
        in_tokio(async {
            let (bytes, _) = session.bytes(origin.url("/whole")).await.unwrap();
            let mut bytes = bytes.bytes();
            let mut all = vec![bytes.next_byte().await.unwrap().unwrap()];
            while let Some(byte) = next(&mut bytes).await {
                all.push(byte.unwrap());
            }
            assert_eq!(all, whole);
            assert!(bytes.next_byte().await.is_none());
            assert_eq!(bytes.bytes().task().count_of_bytes_received(), 100_000);
        });
        origin.enqueue("/cut", Reply::new(200).pattern(0, 1000).truncate_at(500));
        let mut cut = session.bytes(origin.url("/cut")).wait().unwrap().0.bytes();
        let got = std::iter::from_fn(|| cut.wait_byte()).collect::<Vec<_>>();
        assert!(got.len() == 501 && got[..500].iter().all(Result::is_ok), "{}", got.len());
        assert_eq!(got[500].as_ref().unwrap_err().code(), UrlErrorCode::NetworkConnectionLost);
    });
}

#[test]
fn lines_come_one_by_one_without_their_ends() {
    on_every_wire(|origin| {
        let gate = origin.hold();
        let body = "one\ntwo\r\n\r\nthree\u{2028}four\u{85}f\u{fc}nf";
        origin.enqueue("/lines", Reply::new(200).body(body).body_gate(5, gate.clone()));
        let (bytes, _) = session(origin).bytes(origin.url("/lines")).wait().unwrap();
        let mut lines = bytes.lines();
        assert_eq!(lines.wait_line().unwrap().unwrap(), "one");
        gate.release();
        let rest = std::iter::from_fn(|| lines.wait_line()).map(Result::unwrap).collect::<Vec<_>>();
        assert_eq!(rest, ["two", "three", "four", "f\u{fc}nf"]);
    });
}

const TEXT: &str = "ne\u{301}\r\n\u{1f1f3}\u{1f1f5}\u{1f1fa}\u{1f1f8}";

/// Held back at every byte in turn: sequences and characters are cut everywhere.
#[test]
fn characters_come_whole_and_as_soon_as_they_are_certain() {
    on_every_wire(|origin| {
        let session = session(origin);
        for cut in 1..TEXT.len() as u64 {
            let gate = origin.hold();
            origin.enqueue("/text", Reply::new(200).body(TEXT).body_gate(cut, gate.clone()));
            let (bytes, _) = session.bytes(origin.url("/text")).wait().unwrap();
            let mut characters = bytes.characters();
            // The first is certain once the second has begun.
            if cut > 1 {
                assert_eq!(characters.wait_character().unwrap().unwrap(), "n");
            }
            gate.release();
            let rest = std::iter::from_fn(|| characters.wait_character()).map(Result::unwrap);
            let expected = ["n", "e\u{301}", "\r\n", "\u{1f1f3}\u{1f1f5}", "\u{1f1fa}\u{1f1f8}"];
            assert_eq!(rest.collect::<Vec<_>>(), expected[usize::from(cut > 1)..], "cut at {cut}");
            assert!(characters.bytes().task().error().is_none());
        }
    });
}

#[test]
fn scalars_come_one_by_one_and_what_is_no_text_is_replaced() {
    on_every_wire(|origin| {
        let session = session(origin);
        for cut in 1..TEXT.len() as u64 {
            let gate = origin.hold();
            let body = [TEXT.as_bytes(), b"\xff\xe2\x82"].concat();
            origin.enqueue("/text", Reply::new(200).body(body).body_gate(cut, gate.clone()));
            in_tokio(async {
                let (bytes, _) = session.bytes(origin.url("/text")).await.unwrap();
                let mut scalars = bytes.unicode_scalars();
                assert_eq!(next(&mut scalars).await.unwrap().unwrap(), 'n');
                gate.release();
                let rest = drain(scalars).await.into_iter().map(Result::unwrap).collect::<String>();
                assert_eq!(rest, format!("{}\u{fffd}\u{fffd}", &TEXT[1..]), "cut at {cut}");
            });
        }
        let (bytes, _) = session.bytes(origin.url("/Nepal")).wait().unwrap();
        let mut scalars = bytes.unicode_scalars();
        assert_eq!(
            std::iter::from_fn(|| scalars.wait_scalar()).map(Result::unwrap).collect::<String>(),
            "Kathmandu"
        );
    });
}

#[test]
fn an_error_in_the_body_ends_its_text() {
    on_every_wire(|origin| {
        let session = session(origin);
        let open = || {
            origin.enqueue("/cut", Reply::new(200).body("abcdef").truncate_at(3));
            session.bytes(origin.url("/cut")).wait().unwrap().0
        };
        let mut characters = open().characters();
        let found = std::iter::from_fn(|| characters.wait_character()).last().unwrap();
        assert_eq!(found.unwrap_err().code(), UrlErrorCode::NetworkConnectionLost);
        let mut scalars = open().unicode_scalars();
        let found = std::iter::from_fn(|| scalars.wait_scalar()).last().unwrap();
        assert_eq!(found.unwrap_err().code(), UrlErrorCode::NetworkConnectionLost);
        assert!(scalars.wait_scalar().is_none());
    });
}

#[test]
fn a_character_without_end_is_an_error() {
    on_every_wire(|origin| {
        origin.enqueue("/marks", Reply::new(200).body("\u{301}".repeat(4096)));
        let (bytes, _) = session(origin).bytes(origin.url("/marks")).wait().unwrap();
        let mut characters = bytes.characters();
        let error = characters.wait_character().unwrap().unwrap_err();
        assert_eq!(error.code(), UrlErrorCode::DataLengthExceedsMaximum);
        assert!(characters.wait_character().is_none());
    });
}

#[test]
fn it_is_an_async_read() {
    use tokio::io::AsyncReadExt;
    on_every_wire(|origin| {
        in_tokio(async {
            let (mut bytes, _) = session(origin).bytes(origin.url("/bytes/100000")).await.unwrap();
            let mut all = Vec::new();
            bytes.read_to_end(&mut all).await.unwrap();
            assert_eq!(all.len(), 100_000);
        });
    });
}

#[test]
fn others_read_it_by_the_traits_of_futures_and_of_the_standard_library() {
    use std::future::poll_fn;
    use std::io::{BufRead, Read};
    use std::pin::Pin;

    use futures_io::AsyncRead;
    on_every_wire(|origin| {
        let session = session(origin);
        let open = |path: &str| session.bytes(origin.url(path)).wait().unwrap().0;
        let mut reader = open("/bytes/100000").futures_reader();
        let mut all = 0;
        let mut buffer = [0; 777];
        loop {
            let read = poll_fn(|cx| Pin::new(&mut reader).poll_read(cx, &mut buffer));
            match urlsession::block_on(read).unwrap() {
                0 => break,
                n => all += n,
            }
        }
        assert_eq!((all, reader.bytes().task().count_of_bytes_received()), (100_000, 100_000));

        let mut blocking = open("/bytes/100000").blocking();
        let mut some = [0; 7];
        blocking.read_exact(&mut some).unwrap();
        let mut rest = Vec::new();
        blocking.read_to_end(&mut rest).unwrap();
        assert_eq!(rest.len(), 100_000 - 7);

        origin.enqueue("/lines", Reply::new(200).body("one\n\ntwo"));
        let lines: Vec<_> = open("/lines").blocking().lines().map(Result::unwrap).collect();
        assert_eq!(lines, ["one", "", "two"]);
    });
}

#[test]
fn a_reader_that_reads_on_when_interrupted_hears_of_a_cancelled_task() {
    use std::io::Read;
    on_every_wire(|origin| {
        let gate = origin.hold();
        origin.enqueue("/slow", Reply::new(200).pattern(0, 10).body_gate(4, gate.clone()));
        let (bytes, _) = session(origin).bytes(origin.url("/slow")).wait().unwrap();
        bytes.task().cancel();
        let error = bytes.blocking().read_to_end(&mut Vec::new()).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::Other);
        gate.release();
    });
}

#[test]
fn lines_are_awaited_one_by_one_and_the_empty_ones_of_server_sent_events_kept() {
    on_every_wire(|origin| {
        let session = session(origin);
        let events = "data: a\u{2028}b\r\n\r\ndata: c\n\n";
        for path in ["/events", "/lines"] {
            origin.enqueue(path, Reply::new(200).body(events));
        }
        in_tokio(async {
            let (bytes, _) = session.bytes(origin.url("/events")).await.unwrap();
            let mut lines = bytes.lines_with_empty();
            let mut all = Vec::new();
            while let Some(line) = lines.next_line().await.unwrap() {
                all.push(line);
            }
            assert_eq!(all, ["data: a\u{2028}b", "", "data: c", ""]);
            let (bytes, _) = session.bytes(origin.url("/lines")).await.unwrap();
            assert_eq!(bytes.lines().next_line().await.unwrap().unwrap(), "data: a");
            origin.enqueue("/lines", Reply::new(200).body("é"));
            let (bytes, _) = session.bytes(origin.url("/lines")).await.unwrap();
            assert_eq!(bytes.characters().next_character().await.unwrap().unwrap(), "é");
            origin.enqueue("/lines", Reply::new(200).body("é"));
            let (bytes, _) = session.bytes(origin.url("/lines")).await.unwrap();
            assert_eq!(bytes.unicode_scalars().next_scalar().await.unwrap(), Some('é'));
        });
    });
}

#[test]
fn a_body_that_is_dropped_cancels_its_task() {
    on_every_wire(|origin| {
        let gate = origin.hold();
        origin.enqueue("/slow", Reply::new(200).pattern(0, 10).body_gate(4, gate.clone()));
        let (bytes, _) = session(origin).bytes(origin.url("/slow")).wait().unwrap();
        let task = bytes.task();
        drop(bytes);
        assert_eq!(task.error().unwrap().code(), UrlErrorCode::Cancelled);
        gate.release();
    });
}

#[test]
fn an_error_in_the_body_ends_it() {
    on_every_wire(|origin| {
        origin.enqueue("/cut", Reply::new(200).pattern(0, 1000).truncate_at(500));
        let (mut bytes, _) = session(origin).bytes(origin.url("/cut")).wait().unwrap();
        let mut error = None;
        while let Some(chunk) = bytes.wait_chunk() {
            error = chunk.err();
        }
        assert_eq!(error.unwrap().code(), UrlErrorCode::NetworkConnectionLost);
        assert_eq!(bytes.task().error().unwrap().code(), UrlErrorCode::NetworkConnectionLost);
        assert!(bytes.wait_chunk().is_none());
    });
}

#[test]
pub(super) fn a_body_is_not_read_faster_than_its_reader() {
    on_every_wire(|origin| {
        origin.enqueue("/big", Reply::new(200).endless(1 << 30));
        let (mut bytes, _) = session(origin).bytes(origin.url("/big")).wait().unwrap();
        let first = bytes.wait_chunk().unwrap().unwrap();
        assert!(!first.is_empty());
        assert!(bytes.task().count_of_bytes_received() <= 1 << 20);
        drop(bytes);
    });
}
