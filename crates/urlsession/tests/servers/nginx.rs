//! nginx: HTTP/1.1 and HTTP/2, coding, redirects with bodies, closed connections, WebDAV.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::{Sender, channel};

use urlsession::cache::{CacheLookup, RevalidationReason};
use urlsession::metrics::ResourceFetchType;
use urlsession::{
    BodyStream, DownloadTask, MultipartForm, ResumeData, ResumeFailure, TaskDelegate, UrlErrorCode,
    UrlRequest,
};

use crate::server::{Server, age, goes_on_where_it_was_cut, session};

fn nginx() -> Server {
    Server::start("nginx", |directory: &Path, plain, secure| {
        let d = directory.display();
        let configuration = format!(
            r#"
daemon off; master_process off; worker_processes 1; pid {d}/pid; error_log {d}/error;
events {{ worker_connections 512; }}
http {{
  access_log {d}/access; client_body_temp_path {d}/body; proxy_temp_path {d}/proxy; fastcgi_temp_path {d}/fastcgi;
  uwsgi_temp_path {d}/uwsgi; scgi_temp_path {d}/scgi; client_max_body_size 100m; types {{ text/plain txt; text/html html; }}
  default_type application/octet-stream;
  server {{
    listen 127.0.0.1:{plain}; listen 127.0.0.1:{secure} ssl http2;
    ssl_certificate {d}/server.pem; ssl_certificate_key {d}/server.key; root {d}/www;
    location / {{ gzip on; gzip_types text/plain; gzip_min_length 10; }}
    location /once {{ keepalive_timeout 0; alias {d}/www/index.html; }}
    location /few {{ keepalive_requests 3; alias {d}/www/index.html; }}
    location = /307 {{ return 307 /dav/redirected; }}
    location = /308 {{ return 308 /dav/redirected; }}
    location = /303 {{ return 303 /index.html; }}
    location = /loop {{ return 302 /loop; }}
    location = /404 {{ return 404 "not here"; }}
    location = /empty {{ return 444; }}
    location = /204 {{ return 204; }}
    location = /hour {{ expires 1h; alias {d}/www/index.html; }}
    location = /ask {{ add_header Cache-Control no-cache; alias {d}/www/index.html; }}
    location = /never {{ add_header Cache-Control no-store; alias {d}/www/index.html; }}
    location /private {{ auth_basic "private"; auth_basic_user_file {d}/users; alias {d}/www/index.html; }}
    location /slow/ {{ limit_rate 2m; alias {d}/www/; }}
    location /small/ {{ client_max_body_size 1k; dav_methods PUT; root {d}/www; }}
    location /dav/ {{ dav_methods PUT DELETE; create_full_put_path on; root {d}/www; }}
  }}
}}
"#
        );
        fs::write(directory.join("users"), "ann:{PLAIN}gr\u{20ac}en\n").unwrap();
        fs::write(directory.join("nginx.conf"), configuration).unwrap();
        let mut command = Command::new("nginx");
        command.arg("-e").arg(directory.join("error")).arg("-c").arg(directory.join("nginx.conf"));
        command
    })
}

fn request(url: &str, method: &str, body: &[u8]) -> UrlRequest {
    let mut request = UrlRequest::new(url.parse().unwrap());
    request.set_http_method(method).unwrap();
    request.set_http_body(body.to_vec());
    request
}

#[test]
fn bodies_arrive_whole_over_both_versions() {
    let server = nginx();
    for (base, version) in server.bases().iter().zip(["HTTP/1.1", "HTTP/2.0"]) {
        let session = session();
        for _ in 0..5 {
            let (data, response) = session.data(format!("{base}/3m.bin")).wait().unwrap();
            assert!(
                data.len() == 3_000_000
                    && data.iter().zip(0u64..).all(|(byte, i)| u64::from(*byte) == i % 251)
            );
            assert_eq!(format!("{:?}", response.http().unwrap().version()), version);
        }
    }
}

#[test]
fn coded_text_is_decoded() {
    let server = nginx();
    for base in server.bases() {
        let (data, response) = session().data(format!("{base}/lines.txt")).wait().unwrap();
        assert_eq!(response.http().unwrap().value("content-encoding"), Some("gzip"));
        assert_eq!(data, fs::read(server.directory.join("www/lines.txt")).unwrap());
        let (bytes, _) = session().bytes(format!("{base}/lines.txt")).wait().unwrap();
        let mut lines = bytes.lines();
        let count = std::iter::from_fn(|| lines.wait_line()).map(Result::unwrap).count();
        assert_eq!(count, 20_000);
    }
}

#[test]
fn a_post_survives_connections_that_nginx_closes() {
    let server = nginx();
    for base in server.bases() {
        let session = session();
        for path in ["/once", "/few", "/few", "/few", "/few", "/once"] {
            session.data(format!("{base}{path}")).wait().unwrap();
            let (_, response) =
                session.data(request(&format!("{base}/dav/put"), "PUT", b"x")).wait().unwrap();
            assert!(matches!(response.status_code(), Some(201 | 204)));
        }
    }
}

#[test]
fn redirects_keep_method_and_body_or_drop_both() {
    let server = nginx();
    for base in server.bases() {
        for status in [307, 308] {
            let body = format!("body of {status}");
            let (_, response) =
                session().data(request(&format!("{base}/{status}"), "PUT", body.as_bytes())).wait().unwrap();
            assert!(matches!(response.status_code(), Some(201 | 204)));
            assert_eq!(fs::read(server.directory.join("www/dav/redirected")).unwrap(), body.as_bytes());
        }
        let (data, _) = session().data(request(&format!("{base}/303"), "POST", b"dropped")).wait().unwrap();
        assert_eq!(data, "hello, servers\n");
        let error = session().data(format!("{base}/loop")).wait().unwrap_err();
        assert_eq!(error.code(), UrlErrorCode::HttpTooManyRedirects);
    }
}

#[test]
fn streamed_bodies_are_stored_byte_by_byte_the_same() {
    let server = nginx();
    let pattern = fs::read(server.directory.join("www/3m.bin")).unwrap();
    for base in server.bases() {
        for known in [true, false] {
            let mut put = request(&format!("{base}/dav/stream"), "PUT", b"");
            let stream = BodyStream::from_reader(std::io::Cursor::new(pattern.clone()));
            put.set_http_body_stream(if known { stream.with_length(pattern.len() as u64) } else { stream });
            let (_, response) = session().data(put).wait().unwrap();
            assert!(matches!(response.status_code(), Some(201 | 204)));
            assert!(fs::read(server.directory.join("www/dav/stream")).unwrap() == pattern);
        }
    }
}

#[test]
fn statuses_are_answers_and_no_answer_is_an_error() {
    let server = nginx();
    for base in server.bases() {
        let (data, response) = session().data(format!("{base}/404")).wait().unwrap();
        assert_eq!((response.status_code(), &data[..]), (Some(404), &b"not here"[..]));
        assert_eq!(session().data(format!("{base}/204")).wait().unwrap().1.status_code(), Some(204));
        let error = session().data(format!("{base}/empty")).wait().unwrap_err();
        // On HTTP/2 nginx resets the stream with PROTOCOL_ERROR.
        let expected = [UrlErrorCode::NetworkConnectionLost, UrlErrorCode::BadServerResponse];
        assert!(expected.contains(&error.code()), "{error}");
    }
}

#[test]
fn a_user_is_let_in_and_stays_logged_in() {
    let server = nginx();
    for base in server.bases() {
        let (session, url) = (session(), format!("{base}/private"));
        assert_eq!(session.data(&*url).wait().unwrap().1.status_code(), Some(401));
        let ann = url.replace("://", "://ann:gr%E2%82%ACen@");
        for url in [&ann, &url, &ann] {
            assert_eq!(session.data(&**url).wait().unwrap().0, "hello, servers\n");
        }
        let bob = url.replace("://", "://bob:red@");
        assert_eq!(session.data(&*bob).wait().unwrap().1.status_code(), Some(401));
    }
}

/// A request for a part of a file, if it is still that of this tag.
fn rest(url: &str, from: usize, tag: &str) -> UrlRequest {
    let mut request = UrlRequest::new(url.parse().unwrap());
    request.set_value("Range", format!("bytes={from}-")).unwrap();
    request.set_value("If-Range", tag).unwrap();
    request
}

#[test]
fn a_slow_answer_that_is_left_goes_on_from_where_it_was() {
    let server = nginx();
    let pattern = fs::read(server.directory.join("www/3m.bin")).unwrap();
    for base in server.bases() {
        let (session, url) = (session(), format!("{base}/slow/3m.bin"));
        let (mut bytes, response) = session.bytes(&*url).wait().unwrap();
        let head = response.http().unwrap();
        assert_eq!(head.value("accept-ranges"), Some("bytes"));
        let tag = head.value("etag").unwrap().to_owned();
        let mut data = Vec::new();
        while data.len() < 100_000 {
            data.extend_from_slice(&bytes.wait_chunk().unwrap().unwrap());
        }
        assert!(data.len() < pattern.len(), "the server is slow");
        drop(bytes);
        let (part, response) = session.data(rest(&url, data.len(), &tag)).wait().unwrap();
        let range = format!("bytes {}-2999999/3000000", data.len());
        assert_eq!(response.status_code(), Some(206));
        assert_eq!(response.http().unwrap().value("content-range"), Some(&*range));
        data.extend_from_slice(&part);
        assert!(data == pattern);
        let (whole, response) = session.data(rest(&url, 10, "\"another\"")).wait().unwrap();
        assert_eq!((response.status_code(), whole.len()), (Some(200), 3_000_000));
        let (_, response) = session.data(rest(&url, 3_000_000, &tag)).wait().unwrap();
        assert_eq!(response.status_code(), Some(416));
        assert_eq!(response.http().unwrap().value("content-range"), Some("bytes */3000000"));
    }
}

#[test]
fn an_interrupted_download_goes_on_where_it_was() {
    let server = nginx();
    let file = server.directory.join("www/3m.bin");
    age(&file);
    let pattern = fs::read(&file).unwrap();
    for base in server.bases() {
        goes_on_where_it_was_cut(&format!("{base}/slow/3m.bin"), &pattern);
    }
}

#[test]
fn a_body_that_is_too_large_is_not_sent_to_a_server_that_is_asked_first() {
    let server = nginx();
    let session = session();
    // On HTTP/2 nginx does not say 100: the body goes out after a second.
    let base = &server.bases()[0];
    let mut put = request(&format!("{base}/dav/asked"), "PUT", &[7; 500_000]);
    put.set_value("Expect", "100-continue").unwrap();
    assert!(matches!(session.data(&put).wait().unwrap().1.status_code(), Some(201 | 204)));
    assert_eq!(fs::read(server.directory.join("www/dav/asked")).unwrap(), [7; 500_000]);
    put.set_url(format!("{base}/small/asked").parse().unwrap());
    let load = session.data(&put);
    let task = load.task();
    assert_eq!(load.wait().unwrap().1.status_code(), Some(413));
    assert_eq!(task.count_of_bytes_sent(), 0);
}

#[test]
fn a_form_is_stored_as_it_was_written() {
    let server = nginx();
    let file = server.directory.join("www/lines.txt");
    for base in server.bases() {
        let form =
            MultipartForm::with_boundary("cut").unwrap().with_text("t", "x").with_file("f", &file).unwrap();
        let put = request(&format!("{base}/dav/form"), "PUT", b"");
        let (_, response) = session().upload_from_form(put, form).wait().unwrap();
        assert!(matches!(response.status_code(), Some(201 | 204)));
        let expected = [
            &b"--cut\r\nContent-Disposition: form-data; name=\"t\"\r\n\r\nx\r\n--cut\r\nContent-Disposition: form-data; \
               name=\"f\"; filename=\"lines.txt\"\r\nContent-Type: text/plain\r\n\r\n"[..],
            &fs::read(&file).unwrap(),
            b"\r\n--cut--\r\n",
        ];
        assert!(fs::read(server.directory.join("www/dav/form")).unwrap() == expected.concat());
    }
}

/// What the cache had to do with the last of two loads of a path, and its answer's length.
fn second(base: &str, path: &str) -> (CacheLookup, ResourceFetchType, usize) {
    let session = session();
    session.data(format!("{base}{path}")).wait().unwrap();
    let load = session.data(format!("{base}{path}"));
    let task = load.task();
    let (data, response) = load.wait().unwrap();
    assert_eq!(response.status_code(), Some(200));
    let metrics = task.metrics().unwrap();
    let last = metrics.transaction_metrics.last().unwrap();
    (last.cache_decision.unwrap().lookup, last.resource_fetch_type, data.len())
}

#[test]
fn what_nginx_says_of_caching_is_obeyed() {
    let server = nginx();
    for base in server.bases() {
        let (lookup, fetched, length) = second(&base, "/hour");
        assert!(matches!(lookup, CacheLookup::Fresh { is_heuristic: false, .. }), "{lookup:?}");
        assert_eq!(fetched, ResourceFetchType::LocalCache);
        // nginx has ETag and Last-Modified: the second load is a 304, and the body is the first's.
        assert_eq!(
            second(&base, "/ask"),
            (CacheLookup::Revalidated(RevalidationReason::NoCache), ResourceFetchType::NetworkLoad, length)
        );
        assert_eq!(second(&base, "/never"), (CacheLookup::Miss, ResourceFetchType::NetworkLoad, length));
    }
}

/// Cancels a download once it has written this much, and says what it is resumed with.
struct Stopper(u64, Sender<Option<ResumeData>>);

impl TaskDelegate for Stopper {
    fn did_write_data(&self, task: &DownloadTask, _: u64, total: u64, _: Option<u64>) {
        if total >= self.0 {
            let sender = self.1.clone();
            task.cancel_by_producing_resume_data_with_handler(move |data| {
                let _ = sender.send(data);
            });
        }
    }
}

#[test]
fn a_stopped_download_goes_on_and_begins_anew_when_the_file_has_changed() {
    let server = nginx();
    for base in server.bases() {
        let (session, url) = (session(), format!("{base}/slow/3m.bin"));
        let stopped = || {
            let (sender, receiver) = channel();
            let download = session.download(&url).delegate(Stopper(300_000, sender));
            assert_eq!(download.wait().unwrap_err().code(), UrlErrorCode::Cancelled);
            receiver.recv().unwrap().expect("nginx sends strong tags")
        };
        let file = server.directory.join("www/3m.bin");
        let (before, data) = (fs::read(&file).unwrap(), stopped());
        let (saved, response) = session.download_resume_from(data).wait().unwrap();
        assert_eq!(response.status_code(), Some(206));
        assert!(response.expected_content_length().unwrap() <= 2_700_000);
        assert!(fs::read(saved.path()).unwrap() == before);

        let data = stopped();
        let after = before.iter().map(|byte| byte ^ 1).chain([7]).collect::<Vec<_>>();
        fs::write(&file, &after).unwrap();
        let download = session.download_resume_from(data);
        let task = download.task();
        let (saved, response) = download.wait().unwrap();
        assert_eq!(response.status_code(), Some(200));
        assert_eq!(task.resume_failure(), Some(ResumeFailure::ValidatorChanged));
        assert!(fs::read(saved.path()).unwrap() == after);
        fs::write(&file, &before).unwrap();
    }
}
