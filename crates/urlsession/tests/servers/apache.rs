//! Apache httpd: HTTP/1.1 with short keep-alive, HTTP/2, deflate, chunked answers, WebDAV.

use std::fs;
use std::path::Path;
use std::process::Command;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use urlsession::{BodyStream, Decision, HeaderMap, Task, TaskDelegate, UrlRequest};

use crate::server::{Server, age, goes_on_where_it_was_cut, session};

fn apache() -> Server {
    Server::start("apache", |directory: &Path, plain, secure| {
        let d = directory.display();
        fs::create_dir_all(directory.join("www/dav/private")).unwrap();
        // ann, realm private, password pw
        let users = "ann:private:3acc0a064bf7ad4b19bb9e724f1a66ee\n";
        fs::write(directory.join("users"), users).unwrap();
        let modules =
            ["dir", "mime", "deflate", "filter", "dav", "dav_fs", "auth_digest", "env", "ratelimit"];
        let directives = format!(
            r#"
KeepAlive On
MaxKeepAliveRequests 4
KeepAliveTimeout 5
TypesConfig /dev/null
AddType text/plain .txt
AddOutputFilterByType DEFLATE text/plain
DAVLockDB {d}/davlock
<Location /dav>
  Dav On
</Location>
<Location /private>
  AuthType Digest
  AuthName private
  AuthDigestProvider file
  AuthUserFile {d}/users
  Require valid-user
</Location>
<Location /dav/private>
  AuthType Digest
  AuthName private
  AuthDigestProvider file
  AuthUserFile {d}/users
  Require valid-user
</Location>
<Location /slow>
  SetOutputFilter RATE_LIMIT
  SetEnv rate-limit 3000
</Location>
Alias /private {d}/www/index.html
Alias /slow {d}/www
Redirect 307 /moved /dav
Header always set X-Served apache
"#
        );
        configured(Command::new("apache2"), directory, plain, secure, &modules, &directives)
    })
}

/// The command with a configuration in the directory: files over HTTP/1.1 and, with TLS, HTTP/2, and these modules and
/// directives beside.
pub(crate) fn configured(
    mut command: Command,
    directory: &Path,
    plain: u16,
    secure: u16,
    modules: &[&str],
    directives: &str,
) -> Command {
    let d = directory.display();
    let load = |name: &&str| format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n");
    let modules: String = MODULES.iter().chain(modules).map(load).collect();
    let configuration = format!(
        r#"
ServerRoot {d}
ServerName localhost
{modules}
PidFile {d}/pid
ErrorLog {d}/error
Listen 127.0.0.1:{plain}
Listen 127.0.0.1:{secure}
User www-data
Group www-data
DocumentRoot {d}/www
DefaultRuntimeDir {d}
<Directory {d}/www>
  Require all granted
</Directory>
{directives}
<VirtualHost 127.0.0.1:{plain}>
  Protocols http/1.1
</VirtualHost>
<VirtualHost 127.0.0.1:{secure}>
  Protocols h2 http/1.1
  SSLEngine on
  SSLCertificateFile {d}/server.pem
  SSLCertificateKeyFile {d}/server.key
</VirtualHost>
"#
    );
    fs::write(directory.join("apache.conf"), configuration).unwrap();
    // The server gives up root for www-data.
    let _ = Command::new("chown").args(["-R", "www-data"]).arg(directory).status();
    command.arg("-f").arg(directory.join("apache.conf")).args(["-D", "FOREGROUND"]);
    command
}

const MODULES: [&str; 9] =
    ["mpm_event", "authz_core", "authz_user", "authn_core", "authn_file", "alias", "headers", "ssl", "http2"];

#[test]
fn bodies_arrive_whole_over_connections_of_few_requests() {
    let server = apache();
    for (base, version) in server.bases().iter().zip(["HTTP/1.1", "HTTP/2.0"]) {
        let session = session();
        for _ in 0..12 {
            let (data, response) = session.data(format!("{base}/3m.bin")).wait().unwrap();
            assert_eq!(data.len(), 3_000_000);
            let response = response.http().unwrap();
            assert_eq!(format!("{:?}", response.version()), version);
            assert_eq!(response.value("x-served"), Some("apache"));
        }
    }
}

#[test]
fn deflated_text_is_decoded() {
    let server = apache();
    for base in server.bases() {
        let (data, response) = session().data(format!("{base}/lines.txt")).wait().unwrap();
        assert_eq!(response.http().unwrap().value("content-encoding"), Some("gzip"));
        assert_eq!(response.mime_type().as_deref(), Some("text/plain"));
        assert_eq!(data, fs::read(server.directory.join("www/lines.txt")).unwrap());
    }
}

#[test]
fn a_redirected_put_keeps_its_body_and_a_streamed_one_is_stored_whole() {
    let server = apache();
    let pattern = fs::read(server.directory.join("www/3m.bin")).unwrap();
    for base in server.bases() {
        let session = session();
        let mut put = UrlRequest::new(format!("{base}/moved/file").parse().unwrap());
        put.set_http_method("PUT").unwrap();
        put.set_http_body(pattern.clone());
        let (_, response) = session.data(&put).wait().unwrap();
        assert!(matches!(response.status_code(), Some(201 | 204)), "{response:?}");
        put.set_url(format!("{base}/dav/streamed").parse().unwrap());
        put.set_http_body_stream(BodyStream::from_reader(std::io::Cursor::new(pattern.clone())));
        let (_, response) = session.data(&put).wait().unwrap();
        assert!(matches!(response.status_code(), Some(201 | 204)), "{response:?}");
        for name in ["file", "streamed"] {
            assert!(fs::read(server.directory.join("www/dav").join(name)).unwrap() == pattern, "{name}");
        }
    }
}

#[test]
fn a_user_proves_the_password_by_digest() {
    let server = apache();
    for base in server.bases() {
        let (session, url) = (session(), format!("{base}/private?a=b&c=%20"));
        assert_eq!(session.data(&*url).wait().unwrap().1.status_code(), Some(401));
        let ann = url.replace("://", "://ann:pw@");
        // More than one connection carries: the count of the nonce goes on over all of them.
        for url in [&ann, &url, &url, &url, &url, &url, &ann] {
            assert_eq!(session.data(&**url).wait().unwrap().0, "hello, servers\n");
        }
        let bob = url.replace("://", "://bob:pw@");
        assert_eq!(session.data(&*bob).wait().unwrap().1.status_code(), Some(401));
    }
}

/// Gives a stream of a file whenever it is asked for one, and counts.
struct Giving(std::path::PathBuf, Arc<AtomicUsize>);

impl TaskDelegate for Giving {
    fn need_new_body_stream(&self, _: &Task) -> Decision<Option<BodyStream>> {
        self.1.fetch_add(1, Relaxed);
        Some(BodyStream::from_reader(fs::File::open(&self.0).unwrap())).into()
    }
}

#[test]
fn a_stream_is_asked_for_again_after_a_digest_unless_the_server_was_asked_first() {
    let server = apache();
    let source = server.directory.join("www/3m.bin");
    let pattern = fs::read(&source).unwrap();
    for base in server.bases() {
        for (asks_first, times) in [(false, 1), (true, 0)] {
            let name = format!("streamed-{asks_first}");
            let url = format!("{base}/dav/private/{name}").replace("://", "://ann:pw@");
            let mut put = UrlRequest::new(url.parse().unwrap());
            put.set_http_method("PUT").unwrap();
            if asks_first {
                put.set_value("Expect", "100-continue").unwrap();
            }
            put.set_http_body_stream(BodyStream::from_reader(fs::File::open(&source).unwrap()));
            let asked = Arc::new(AtomicUsize::new(0));
            let load = session().data(&put).delegate(Giving(source.clone(), asked.clone()));
            let task = load.task();
            let (_, response) = load.wait().unwrap();
            assert!(matches!(response.status_code(), Some(201 | 204)), "{response:?}");
            assert_eq!(asked.load(Relaxed), times);
            assert!(fs::read(server.directory.join("www/dav/private").join(&name)).unwrap() == pattern);
            // Asked first, the server refuses before anything of the body has gone out.
            let sent = task.count_of_bytes_sent();
            assert!(if asks_first { sent == 3_000_000 } else { sent > 3_000_000 }, "{sent}");
        }
    }
}

#[test]
fn a_body_with_trailers_is_stored() {
    let server = apache();
    for base in server.bases() {
        let mut put = UrlRequest::new(format!("{base}/dav/trailed").parse().unwrap());
        put.set_http_method("PUT").unwrap();
        let body = BodyStream::from_reader(&b"with trailers"[..]);
        put.set_http_body_stream(
            body.with_trailers(["X-Sum"], || {
                || {
                    let mut fields = HeaderMap::new();
                    fields.insert("x-sum", "1".parse().unwrap());
                    fields
                }
            })
            .unwrap(),
        );
        let (_, response) = session().data(put).wait().unwrap();
        assert!(matches!(response.status_code(), Some(201 | 204)), "{response:?}");
        assert_eq!(fs::read(server.directory.join("www/dav/trailed")).unwrap(), b"with trailers");
    }
}

#[test]
fn a_range_goes_on_where_the_first_ended_if_the_file_is_still_the_same() {
    let server = apache();
    let file = server.directory.join("www/3m.bin");
    let pattern = fs::read(&file).unwrap();
    age(&file);
    for base in server.bases() {
        let (session, url) = (session(), format!("{base}/3m.bin"));
        let (_, whole) = session.data(&*url).wait().unwrap();
        let head = whole.http().unwrap();
        let validators =
            [(head.value("etag").unwrap(), 206), (head.value("last-modified").unwrap(), 206), ("\"x\"", 200)];
        for (validator, status) in validators {
            let mut part = UrlRequest::new(url.parse().unwrap());
            part.set_value("Range", "bytes=1000000-").unwrap();
            part.set_value("If-Range", validator).unwrap();
            let (data, response) = session.data(part).wait().unwrap();
            assert_eq!(response.status_code(), Some(status), "{validator}");
            let expected = if status == 206 { &pattern[1_000_000..] } else { &pattern[..] };
            assert!(data == expected, "{validator}");
        }
    }
}

#[test]
fn an_interrupted_download_goes_on_where_it_was() {
    let server = apache();
    let file = server.directory.join("www/3m.bin");
    age(&file);
    let pattern = fs::read(&file).unwrap();
    for base in server.bases() {
        goes_on_where_it_was_cut(&format!("{base}/slow/3m.bin"), &pattern);
    }
}
