//! Parts of a representation whose requests asked for all of it: never taken for the whole.

use std::fs;

use urlsession::{ResumeFailure, UrlErrorCode};
use urlsession_testkit::{Reply, Wire};

use crate::support::ranges::*;
use crate::support::*;

#[test]
fn a_download_asks_for_the_rest_of_a_part_it_has_not_asked_for() {
    on_every_range_server(|ranges| {
        for first in [
            part(0, 4),
            part(0, LENGTH - 1),
            tagged(206).header("Content-Range", "bytes 0-3/*").pattern(0, 4),
        ] {
            let before = ranges.origin.requests().len();
            ranges.then(move |_| first.clone());
            let (file, response) = ranges.download().wait().unwrap();
            assert!(fs::read(file.path()).unwrap() == content());
            assert_eq!(response.status_code(), Some(206));
            let requests = ranges.origin.requests();
            assert_eq!(requests[before].header("range"), None);
            assert!(asked(&requests[before + 1]) > 0);
        }
        // Several in a row.
        ranges.then(|_| part(0, 4)).then(|_| part(4, 10)).then(|_| part(10, 11));
        let (file, _) = ranges.download().wait().unwrap();
        assert!(fs::read(file.path()).unwrap() == content());
    });
}

#[test]
fn a_part_whose_rest_cannot_be_asked_for_is_no_file() {
    on_every_range_server(|ranges| {
        let untagged = |range: &str| Reply::new(206).header("Content-Range", range).pattern(0, 4);
        let several = tagged(206).header("Content-Type", "multipart/byteranges; boundary=x");
        for reply in [
            untagged("bytes 0-3/100"),
            untagged("bytes 0-3/100").header("ETag", "W/\"v1\""),
            part(4, 8),
            several.body("--x\r\nContent-Range: bytes 0-3/100\r\n\r\nabcd\r\n--x--\r\n"),
            Reply::new(206).pattern(0, 4),
            tagged(206).header("Content-Range", "bytes 0-3/2").pattern(0, 4),
            tagged(206).header("Content-Range", "bytes 0-9/100").pattern(0, 4),
            part(0, 4).header("Content-Encoding", "gzip"),
        ] {
            let shown = format!("{reply:?}");
            let folder = tempfile::tempdir().unwrap();
            ranges.then(move |_| reply.clone());
            let error = ranges.download().to(folder.path().join("file")).wait().unwrap_err();
            assert_eq!(error.code(), UrlErrorCode::BadServerResponse, "{shown}");
            assert!(error.to_string().contains("206"), "{error}");
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "{shown}");
        }
    });
}

#[test]
fn all_bytes_in_a_part_are_the_whole() {
    on_every_range_server(|ranges| {
        ranges.then(|_| part(0, LENGTH));
        let (file, _) = ranges.download().wait().unwrap();
        assert!(fs::read(file.path()).unwrap() == content());
        ranges.then(|_| Reply::new(206).header("Content-Range", "bytes 0-3/4").pattern(0, 4));
        assert_eq!(load(&ranges.session(), ranges.url()).unwrap().0.len(), 4);
    });
}

#[test]
fn a_part_is_no_data_unless_it_was_asked_for() {
    on_every_range_server(|ranges| {
        let several =
            || tagged(206).header("Content-Type", "multipart/byteranges; boundary=x").body("--x--\r\n");
        for reply in [part(0, 4), part(0, 0xffff), part(4, LENGTH), several()] {
            ranges.then(move |_| reply.clone());
            let error = load(&ranges.session(), ranges.url()).unwrap_err();
            assert_eq!(error.code(), UrlErrorCode::BadServerResponse);
            assert!(error.to_string().contains("206"), "{error}");
        }
        for reply in [part(0, 4), several()] {
            let mut request = request(&ranges.url(), "GET", None);
            request.set_value("Range", "bytes=0-3").unwrap();
            let answer = reply.clone();
            ranges.then(move |_| answer.clone()).then(move |_| reply.clone());
            let (data, response) = load(&ranges.session(), request.clone()).unwrap();
            assert_eq!(response.status_code(), Some(206));
            let (file, _) = ranges.session().download(request).wait().unwrap();
            assert_eq!(fs::read(file.path()).unwrap(), data);
        }
        // Other units count other things than bytes, and are an interface's own.
        ranges.then(|_| Reply::new(206).header("Content-Range", "0-24/1000").body("[]"));
        assert_eq!(text(&load(&ranges.session(), ranges.url()).unwrap().0), "[]");
    });
}

#[test]
fn a_range_of_the_session_is_asked_for() {
    on(Wire::H1, |origin| {
        let mut configuration = configuration(origin);
        set_for_all(&mut configuration, "Range", "bytes=0-3");
        let session = urlsession::UrlSession::new(configuration);
        for _ in 0..2 {
            origin.enqueue("/part", Reply::new(206).header("Content-Range", "bytes 0-3/100").body("four"));
        }
        assert_eq!(text(&load(&session, origin.url("/part")).unwrap().0), "four");
        let (file, _) = session.download(origin.url("/part")).wait().unwrap();
        assert_eq!(fs::read(file.path()).unwrap(), b"four");
    });
}

#[test]
fn a_resumed_download_never_takes_a_rest_for_the_whole() {
    on_every_range_server(|ranges| {
        let data = ranges.broken_at(1000);
        // 200 with the rest alone: the whole is asked for.
        ranges.then(|_| tagged(200).pattern(1000, LENGTH - 1000));
        let download = ranges.session().download_resume_from(data);
        let (file, _) = download.wait().unwrap();
        assert!(fs::read(file.path()).unwrap() == content());
        assert_eq!(ranges.origin.requests().last().unwrap().header("range"), None);

        let data = ranges.broken_at(1000);
        let rest = || Reply::new(200).header("Content-Range", format!("bytes 1000-{}/{LENGTH}", LENGTH - 1));
        ranges.then(move |_| rest().pattern(1000, LENGTH - 1000));
        let (file, _) = ranges.session().download_resume_from(data).wait().unwrap();
        assert!(fs::read(file.path()).unwrap() == content());

        // The same tag and another length, whatever is asked.
        let data = ranges.broken_at(1000);
        ranges.then(|_| tagged(200).pattern(0, 2000)).then(|_| tagged(200).pattern(0, 2000));
        let error = ranges.session().download_resume_from(data).wait().unwrap_err();
        assert_eq!(error.code(), UrlErrorCode::BadServerResponse);
        assert_eq!(error.resume_failure(), Some(ResumeFailure::RangeUnusable));
        assert!(error.to_string().contains("2000"), "{error}");
    });
}
