//! Later: resume data of cancelled and failed uploads, and records that survive the process.

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, SystemTime};

use urlsession::uploads::UploadRecords;
use urlsession::{ResumeData, ResumeFailure, UploadTask, UrlErrorCode};
use urlsession_testkit::{Gate, Journal, Reply, UploadFault, UploadLimits, UploadStep};

use super::*;

/// Cuts the upload, then holds the server back until the gate is opened: the task is in the middle.
fn cut_and_hold(origin: &Origin, server: &UploadServer) -> Gate {
    let gate = origin.hold();
    server.at(UploadStep::Creation, [UploadFault::CutAt(CUT)]);
    server.at(UploadStep::Retrieval, [UploadFault::Answer(Reply::new(503).after(gate.clone()))]);
    gate
}

fn cancelled(task: &UploadTask) -> Option<ResumeData> {
    in_tokio(task.cancel_by_producing_resume_data())
}

fn file_in(folder: &Path) -> std::path::PathBuf {
    let file = folder.join("body");
    fs::write(&file, body()).unwrap();
    file
}

#[test]
fn a_cancelled_upload_goes_on_with_its_resume_data() {
    with_server(newest, |origin, server| {
        let gate = cut_and_hold(origin, server);
        let (session, receiver) = (session(origin), task_of(&session(origin), origin));
        let (task, receiver) = receiver;
        task.resume();
        assert!(gate.wait_reached(PATIENCE));
        let data = cancelled(&task).unwrap();
        let error = receiver.recv_timeout(PATIENCE).unwrap().unwrap_err();
        assert_eq!((error.code(), error.resume_data()), (UrlErrorCode::Cancelled, None));
        assert!(cancelled(&task).is_none(), "it is over");
        let (sender, results) = mpsc::channel();
        let bytes = data.as_bytes().to_vec();
        let again = session
            .upload_task_with_resume_data_with_handler(bytes, move |result| sender.send(result).unwrap());
        again.resume();
        took_all(results.recv_timeout(PATIENCE).unwrap(), server);
        assert_eq!(again.count_of_bytes_expected_to_send(), Some(LENGTH as u64));
        assert_eq!(again.count_of_bytes_sent(), LENGTH as u64);
        assert_eq!(server.lines()[2..], ["HEAD /uploads/0", "PATCH /uploads/0 ?1 @100000 200000 bytes"]);
        gate.release();
    });
}

#[test]
fn resume_data_is_there_as_soon_as_the_upload_is_announced_and_not_before() {
    with_server(newest, |origin, server| {
        let unannounced = origin.hold();
        origin.enqueue("/target", Reply::new(200).read_gate(unannounced.clone()));
        let (session, recorder) = recorded(origin);
        let task = session.upload_task(post(origin), body());
        assert!(cancelled(&task).is_none());
        let task = session.upload_task(post(origin), body());
        task.resume();
        assert!(unannounced.wait_reached(PATIENCE));
        let (sender, receiver) = mpsc::channel();
        task.cancel_by_producing_resume_data_with_handler(move |data| sender.send(data).unwrap());
        assert!(receiver.recv_timeout(PATIENCE).unwrap().is_none());
        unannounced.release();

        let gate = origin.hold();
        let answer = Reply::new(200).after(gate.clone());
        server.at(UploadStep::Creation, [UploadFault::Answer(answer)]);
        let task = session.upload_task(post(origin), body());
        task.resume();
        recorder.wait_for(|log| log.informational.len() == 1);
        let (sender, receiver) = mpsc::channel();
        task.cancel_by_producing_resume_data_with_handler(move |data| sender.send(data).unwrap());
        assert!(receiver.recv_timeout(PATIENCE).unwrap().is_some());
        gate.release();
    });
}

#[test]
fn a_failed_upload_leaves_resume_data_with_its_error_in_every_style() {
    with_server(newest, |origin, server| {
        let refuse = |server: &UploadServer| {
            server.at(UploadStep::Creation, [UploadFault::CutAt(CUT)]);
            server.at(UploadStep::Retrieval, [UploadFault::Answer(Reply::new(403))]);
        };
        refuse(server);
        let by_future = upload(&session(origin), origin).unwrap_err();
        refuse(server);
        let (task, receiver) = task_of(&session(origin), origin);
        task.resume();
        let by_handler = receiver.recv_timeout(PATIENCE).unwrap().unwrap_err();
        refuse(server);
        let (session, recorder) = recorded(origin);
        let delegated = session.upload_task(post(origin), body());
        delegated.resume();
        let by_delegate = recorder.completed(1).completions[0].clone().unwrap();
        for (at, error) in [by_future, by_handler, by_delegate, delegated.error().unwrap()].iter().enumerate()
        {
            assert_eq!(error.resume_failure(), Some(ResumeFailure::Refused));
            let data = error.resume_data().unwrap();
            if at < 3 {
                session.upload_resume_from(data).wait().unwrap();
                assert!(server.content(at) == body());
            }
        }
    });
}

#[test]
fn a_file_that_changed_is_not_gone_on_with() {
    let folder = tempfile::tempdir().unwrap();
    with_server(newest, |origin, server| {
        let file = file_in(folder.path());
        let gate = cut_and_hold(origin, server);
        let session = session(origin);
        let task = session.upload_task_from_file(post(origin), &file);
        task.resume();
        assert!(gate.wait_reached(PATIENCE));
        let data = cancelled(&task).unwrap();
        assert!(!data.as_bytes().windows(50).any(|part| part == &body()[..50]), "a file is named, not held");
        File::options().write(true).open(&file).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
        let error = session.upload_resume_from(data.clone()).wait().unwrap_err();
        assert_eq!(error.resume_failure(), Some(ResumeFailure::SourceChanged));
        assert!(error.to_string().contains("has changed since its upload began"), "{error}");
        fs::remove_file(&file).unwrap();
        let error = session.upload_resume_from(data).wait().unwrap_err();
        assert_eq!(error.code(), UrlErrorCode::FileDoesNotExist);
        assert_eq!(server.lines().len(), 2);
        gate.release();
    });
}

#[test]
fn resume_data_that_is_none_fails_the_task_that_was_made_of_it() {
    with_server(newest, |origin, _| {
        let (session, recorder) = recorded(origin);
        session.upload_task_with_resume_data(&b"no resume data"[..]).resume();
        let error = recorder.completed(1).completions[0].clone().unwrap();
        assert_eq!(error.resume_failure(), Some(ResumeFailure::DataDamaged));
    });
}

#[test]
fn resume_data_of_an_upload_that_is_gone_says_so() {
    with_server(newest, |origin, server| {
        let gate = cut_and_hold(origin, server);
        let session = session(origin);
        let (task, _receiver) = task_of(&session, origin);
        task.resume();
        assert!(gate.wait_reached(PATIENCE));
        let data = cancelled(&task).unwrap();
        server.forget(410);
        let error = session.upload_resume_from(data).wait().unwrap_err();
        assert_eq!(error.resume_failure(), Some(ResumeFailure::Expired));
        gate.release();
    });
}

/// The process dies: the load stops in the middle, without a word.
fn die_in_the_middle(
    origin: &Origin,
    server: &UploadServer,
    file: &Path,
    records: &UploadRecords,
    folder: &Path,
) {
    let gate = cut_and_hold(origin, server);
    let session = session(origin);
    let mut upload = session.upload_from_file(post(origin), file).resumable_across_runs(records);
    let is_record = |entry: std::io::Result<fs::DirEntry>| {
        entry.unwrap().path().extension().is_some_and(|kind| kind == "upload")
    };
    let written = || fs::read_dir(folder).is_ok_and(|mut entries| entries.any(is_record));
    let start = std::time::Instant::now();
    in_tokio(std::future::poll_fn(|cx| {
        assert!(std::pin::Pin::new(&mut upload).poll(cx).is_pending());
        assert!(start.elapsed() < PATIENCE, "nothing is recorded");
        match gate.reached() > 0 && written() {
            true => std::task::Poll::Ready(()),
            false => {
                cx.waker().wake_by_ref();
                std::task::Poll::Pending
            }
        }
    }));
    drop(upload);
    gate.release();
}

#[test]
fn an_upload_from_a_file_survives_its_process() {
    with_server(newest, |origin, server| {
        let folder = tempfile::tempdir().unwrap();
        let (file, place) = (file_in(folder.path()), folder.path().join("records"));
        die_in_the_middle(origin, server, &file, &UploadRecords::at(&place), &place);
        let records = UploadRecords::at(&place);
        let again = session(origin).upload_from_file(post(origin), &file).resumable_across_runs(&records);
        took_all(again.wait(), server);
        assert_eq!(server.lines()[2..], ["HEAD /uploads/0", "PATCH /uploads/0 ?1 @100000 200000 bytes"]);
        assert_eq!(fs::read_dir(&place).unwrap().count(), 0, "what is complete is not recorded");
        // The same once more is an upload of its own.
        let again = session(origin).upload_from_file(post(origin), &file).resumable_across_runs(&records);
        again.wait().unwrap();
        assert_eq!(server.lines()[4..], ["POST /target ?1 300000 bytes"]);
    });
}

#[test]
fn what_the_server_forgot_or_the_user_changed_is_uploaded_anew() {
    with_server(newest, |origin, server| {
        let folder = tempfile::tempdir().unwrap();
        let (file, place) = (file_in(folder.path()), folder.path().join("records"));
        let records = UploadRecords::at(&place);
        die_in_the_middle(origin, server, &file, &records, &place);
        server.forget(404);
        let again = session(origin).upload_from_file(post(origin), &file).resumable_across_runs(&records);
        again.wait().unwrap();
        assert_eq!(server.lines()[2..], ["HEAD /uploads/0", "POST /target ?1 300000 bytes"]);
        assert_eq!(fs::read_dir(&place).unwrap().count(), 0);

        die_in_the_middle(origin, server, &file, &records, &place);
        File::options().write(true).open(&file).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
        let before = server.lines().len();
        let again = session(origin).upload_from_file(post(origin), &file).resumable_across_runs(&records);
        again.wait().unwrap();
        assert_eq!(server.lines()[before..], ["POST /target ?1 300000 bytes"]);
    });
}

#[test]
fn a_record_that_was_damaged_is_passed_over() {
    with_server(newest, |origin, server| {
        let folder = tempfile::tempdir().unwrap();
        let (file, place) = (file_in(folder.path()), folder.path().join("records"));
        let records = UploadRecords::at(&place);
        die_in_the_middle(origin, server, &file, &records, &place);
        let record = fs::read_dir(&place).unwrap().next().unwrap().unwrap().path();
        fs::write(record, "damaged").unwrap();
        let again = session(origin).upload_from_file(post(origin), &file).resumable_across_runs(&records);
        again.wait().unwrap();
        assert_eq!(server.lines()[2..], ["POST /target ?1 300000 bytes"]);
    });
}

#[test]
fn a_record_of_an_upload_that_the_server_gave_up_by_now_is_passed_over() {
    let limits = UploadLimits { max_age: Some(3600), ..UploadLimits::default() };
    with_server(
        || newest().limited(limits),
        |origin, server| {
            let folder = tempfile::tempdir().unwrap();
            let (file, place) = (file_in(folder.path()), folder.path().join("records"));
            let records = UploadRecords::at(&place);
            die_in_the_middle(origin, server, &file, &records, &place);
            let (session, clock) = with_clock(origin);
            clock.advance(Duration::from_secs(3601));
            let again = session.upload_from_file(post(origin), &file).resumable_across_runs(&records);
            again.wait().unwrap();
            assert_eq!(server.lines()[2..], ["POST /target ?1 300000 bytes"]);
        },
    );
}

#[test]
fn an_upload_that_times_out_leaves_resume_data() {
    with_server(newest, |origin, server| {
        server.at(UploadStep::Creation, [UploadFault::AnswerAt(CUT, Reply::stall())]);
        let clock = HandClock::new();
        let mut configuration = configuration(origin);
        configuration.environment.clock = std::sync::Arc::new(clock.clone());
        let (session, recorder) = with_recorder(configuration, Recorder::new());
        session.upload_task(post(origin), body()).resume();
        recorder.wait_for(|log| log.informational.len() == 1);
        let taken = |journal: &Journal| {
            let heads = journal.heads.iter().map(|head| head.body_len);
            heads.chain(journal.requests.iter().map(|request| request.body_len)).any(|length| length >= CUT)
        };
        assert!(origin.wait_for(taken, PATIENCE));
        clock.advance_until(Duration::from_secs(60), || !recorder.log().completions.is_empty());
        let error = recorder.completed(1).completions[0].clone().unwrap();
        assert_eq!(error.code(), UrlErrorCode::TimedOut);
        let (data, _) = session.upload_resume_from(error.resume_data().unwrap()).wait().unwrap();
        assert_eq!(text(&data), format!("took {LENGTH} bytes"));
        assert_eq!(server.lines().last().unwrap(), "PATCH /uploads/0 ?1 @100000 200000 bytes");
    });
}

#[test]
fn a_record_that_leads_to_another_upload_does_not_stand_in_the_way() {
    with_server(newest, |origin, server| {
        let folder = tempfile::tempdir().unwrap();
        let (file, place) = (file_in(folder.path()), folder.path().join("records"));
        let records = UploadRecords::at(&place);
        die_in_the_middle(origin, server, &file, &records, &place);
        server.at(UploadStep::Retrieval, [UploadFault::Offset(LENGTH as u64 + 1)]);
        let again = session(origin).upload_from_file(post(origin), &file).resumable_across_runs(&records);
        again.wait().unwrap();
        let lines = ["HEAD /uploads/0", "DELETE /uploads/0", "POST /target ?1 300000 bytes"];
        assert_eq!(server.lines()[2..], lines);
        assert_eq!(fs::read_dir(&place).unwrap().count(), 0);
    });
}
