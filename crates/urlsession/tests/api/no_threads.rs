//! A process that may not start a thread: loads fail and say so, nothing panics or hangs, and once there are threads all is as
//! ever.

use std::sync::mpsc::channel;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::set_thread_res_uid;
use urlsession::{DelegateQueue, UrlError, UrlErrorCode, UrlSession};
use urlsession_testkit::{Origin, Wire};

use crate::support::*;

/// Set for the child of the test below.
const CHILD: &str = "URLSESSION_TEST_BEGINS_WITHOUT_THREADS";

#[test]
fn the_first_loads_of_a_process_without_threads_fail_and_the_next_succeed_once_there_are_some() {
    in_a_process_of_its_own("no_threads::child_that_begins_without_threads", (CHILD, "yes"));
}

fn limit_threads(threads: Option<u64>) {
    let maximum = getrlimit(Resource::Nproc).maximum;
    setrlimit(Resource::Nproc, Rlimit { current: threads, maximum }).unwrap();
}

#[test]
#[ignore = "the child of the test above, whose process may start no thread for a while"]
fn child_that_begins_without_threads() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let origin = Origin::start(Wire::H1);
    let page = origin.url("/Peru");
    let application = runtime();
    let bare = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let recorder = Recorder::new();
    let inline =
        UrlSession::with_delegate(configuration(&origin), recorder.clone(), DelegateQueue::on(|job| job()));
    let queued = UrlSession::with_delegate(configuration(&origin), Recorder::new(), DelegateQueue::serial());
    let session = UrlSession::new(configuration(&origin));

    // The superuser has no limit. Of this thread only: the origin goes on.
    let nobody = rustix::process::Uid::from_raw(65_534);
    let _ = set_thread_res_uid(nobody, nobody, nobody);
    let enough = getrlimit(Resource::Nproc).current;
    limit_threads(Some(0));

    let says = |error: &UrlError, what: &str| {
        assert!(error.to_string().contains(what), "{error}");
        assert!(error.to_string().contains("ulimit -u"), "{error}");
    };
    inline.data_task(&*page).resume();
    let (handled, handler) = channel();
    inline.data_task_with_handler(&*page, move |result| handled.send(result).unwrap()).resume();
    for error in [
        recorder.completed(1).completions[0].clone().unwrap(),
        handler.try_recv().unwrap().unwrap_err(),
        session.data(&*page).wait().unwrap_err(),
        session.data("data:,x").wait().unwrap_err(),
        session.download(&*page).wait().unwrap_err(),
        bare.block_on(session.data(&*page).into_future()).unwrap_err(),
    ] {
        assert_eq!(error.code(), UrlErrorCode::ResourceUnavailable);
        says(&error, "urlsession-io cannot be started");
    }
    let task = queued.data_task(&*page);
    task.resume();
    says(&task.error().unwrap(), "urlsession-delegate cannot be started");
    // What is loaded in the application's own runtime needs no thread, unless there is something to be done beside it.
    assert_eq!(application.block_on(session.data(&*page).into_future()).unwrap().0, "Lima");
    let error = application.block_on(session.download(&*page).into_future()).unwrap_err();
    says(&error, "for blocking work cannot be started");
    // Neither hangs.
    application.block_on(session.flush());
    let (flushed, is_flushed) = channel();
    inline.flush_with_handler(move || flushed.send(()).unwrap());
    is_flushed.try_recv().unwrap();

    limit_threads(enough);
    assert_eq!(session.data(&*page).wait().unwrap().0, "Lima");
    application.block_on(session.download(&*page).into_future()).unwrap();
    let recorder = Recorder::new();
    let queued = UrlSession::with_delegate(configuration(&origin), recorder.clone(), DelegateQueue::serial());
    queued.data_task(&*page).resume();
    assert!(recorder.completed(1).completions[0].is_none());
}
