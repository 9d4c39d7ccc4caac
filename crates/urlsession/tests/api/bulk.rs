//! Bodies of many mebibytes: the kernel, and large pieces, must bring what small ones would.

use std::fs;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use urlsession::{BodyStream, Bytes, UrlErrorCode};
use urlsession_testkit::{Journal, Reply, pattern};

use crate::support::*;

const MIB: u64 = 1024 * 1024;

/// Chunks as they are sent to it.
struct Slow(tokio::sync::mpsc::Receiver<Bytes>);

impl futures_core::Stream for Slow {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(cx).map(|chunk| chunk.map(Ok))
    }
}

fn whole(length: u64) -> Reply {
    Reply::new(200).header("ETag", "\"one\"").header("Accept-Ranges", "bytes").pattern(0, length)
}

#[test]
pub(super) fn a_long_download_is_the_same_on_every_wire_and_its_progress_adds_up() {
    on_every_wire(|origin| {
        let (session, recorder) = recorded(origin);
        let length = 5 * MIB + 12_345;
        origin.enqueue("/file", whole(length));
        let task = session.download_task(origin.url("/file"));
        task.resume();
        let log = recorder.completed(1);
        log.succeeded();
        assert!(log.data == pattern(0, length as usize), "{:?}", origin.wire());
        assert_eq!(log.written.iter().map(|(new, ..)| new).sum::<u64>(), length);
        assert_eq!(log.written.last().unwrap().1, length);
        assert_eq!(
            (task.count_of_bytes_received(), task.count_of_bytes_expected_to_receive()),
            (length, Some(length))
        );
        // The connection is in step: it carries another load.
        assert_eq!(load(&session, origin.url("/Peru")).unwrap().0, "Lima");
        assert_eq!(origin.journal(|journal| journal.accepted), 1);
    });
}

#[test]
pub(super) fn a_long_download_that_is_cut_has_what_came() {
    on_every_wire(|origin| {
        let (session, recorder) = recorded(origin);
        origin.enqueue("/cut", whole(8 * MIB).truncate_at(3 * MIB + 1));
        session.download_task(origin.url("/cut")).resume();
        let log = recorder.completed(1);
        let error = log.completions[0].as_ref().unwrap();
        assert_eq!(error.code(), UrlErrorCode::NetworkConnectionLost);
        assert_eq!(log.written.last().unwrap().1, 3 * MIB + 1);
    });
}

#[test]
pub(super) fn a_long_download_that_was_suspended_goes_on_without_another_request() {
    on_every_wire(|origin| {
        let (session, recorder) = recorded(origin);
        let gate = origin.hold();
        origin.enqueue("/file", whole(6 * MIB).body_gate(3 * MIB, gate.clone()));
        let task = session.download_task(origin.url("/file"));
        task.resume();
        recorder.wait_for(|log| log.written.last().is_some_and(|(_, total, _)| *total == 3 * MIB));
        task.suspend();
        gate.release();
        task.resume();
        assert!(recorder.completed(1).data == pattern(0, 6 * MIB as usize));
        assert_eq!(origin.requests().len(), 1);
    });
}

#[test]
pub(super) fn a_long_download_that_was_cancelled_is_resumed_where_it_was() {
    on_every_wire(|origin| {
        let (session, recorder) = recorded(origin);
        let gate = origin.hold();
        let (length, at) = (6 * MIB, 3 * MIB + 7);
        origin.enqueue("/file", whole(length).body_gate(at, gate.clone()));
        let task = session.download_task(origin.url("/file"));
        task.resume();
        recorder.wait_for(|log| log.written.last().is_some_and(|(_, total, _)| *total == at));
        let data = in_tokio(task.cancel_by_producing_resume_data()).unwrap();
        gate.release();
        let rest = Reply::new(206)
            .header("ETag", "\"one\"")
            .header("Content-Range", format!("bytes {at}-{}/{length}", length - 1))
            .pattern(at, length - at);
        origin.enqueue("/file", rest);
        let (file, _) = session.download_resume_from(data).wait().unwrap();
        assert!(fs::read(file.path()).unwrap() == pattern(0, length as usize));
        assert_eq!(origin.requests()[1].header("range"), Some(&*format!("bytes={at}-")));
    });
}

#[cfg(target_os = "linux")]
#[test]
fn room_that_was_reserved_for_a_download_that_breaks_is_given_back() {
    use std::os::unix::fs::MetadataExt;

    on(urlsession_testkit::Wire::H1, |origin| {
        let folder = tempfile::tempdir().unwrap();
        origin.enqueue("/cut", whole(64 * MIB).truncate_at(2 * MIB));
        let download = session(origin).download(origin.url("/cut")).to(folder.path().join("file"));
        assert_eq!(download.wait().unwrap_err().code(), UrlErrorCode::NetworkConnectionLost);
        let left = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().metadata().unwrap());
        let left: Vec<_> = left.map(|file| (file.len(), file.blocks() * 512)).collect();
        assert!(left.iter().any(|(length, _)| *length == 2 * MIB), "{left:?}");
        assert!(left.iter().map(|(_, space)| space).sum::<u64>() < 4 * MIB, "{left:?}");
    });
}

#[cfg(target_os = "linux")]
#[test]
fn a_download_for_which_there_is_no_room_fails_before_its_body_is_read() {
    on_every_wire(|origin| {
        let (session, recorder) = recorded(origin);
        let gate = origin.hold();
        origin.enqueue("/huge", whole(1 << 60).truncate_at(MIB).body_gate(0, gate.clone()));
        session.download_task(origin.url("/huge")).resume();
        let log = recorder.completed(1);
        assert_eq!(log.completions[0].as_ref().unwrap().code(), UrlErrorCode::CannotWriteToFile);
        assert_eq!(log.written, []);
        gate.release();
    });
}

#[test]
pub(super) fn a_long_file_is_sent_on_every_wire_and_chunks_that_come_slowly_are_not_kept_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("body");
    let data = pattern(0, 3 * MIB as usize + 5);
    fs::write(&path, &data).unwrap();
    on_every_wire(|origin| {
        let mut post = request(&origin.url("/echo"), "POST", None);
        post.set_http_body_stream(BodyStream::from_file(&path).unwrap());
        load(&session(origin), post).unwrap();
        let sent = origin.requests();
        let sent = sent.last().unwrap();
        assert!(sent.body_is_pattern && sent.body_len == data.len() as u64);

        let (sender, receiver) = tokio::sync::mpsc::channel::<Bytes>(1);
        let mut post = request(&origin.url("/echo"), "POST", None);
        post.set_http_body_stream(BodyStream::from_stream(Slow(receiver)));
        let session = session(origin);
        let task = session.data_task_with_handler(post, |_| {});
        task.resume();
        for turn in 1..=3 {
            sender.blocking_send(Bytes::from(data[..20_000].to_vec())).unwrap();
            let has_come =
                |journal: &Journal| journal.heads.iter().any(|head| head.body_len == turn * 20_000);
            assert!(origin.wait_for(has_come, PATIENCE), "{:?}: chunk {turn} was kept back", origin.wire());
        }
        task.cancel();
    });
}
