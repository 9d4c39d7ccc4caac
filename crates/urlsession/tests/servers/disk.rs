//! What the kernel is asked for when a download appears at its place: only a power cut shows whether that was in the right
//! order, so its system calls are looked at (`strace`).

use std::fs;
use std::path::Path;
use std::process::Command;

use urlsession::{UrlErrorCode, UrlSession};
use urlsession_testkit::{Origin, Reply, Wire};

/// Set for the child of the test below: where the download is to be.
const CHILD: &str = "URLSESSION_TEST_DOWNLOAD_TO";

#[test]
#[ignore = "the child of the test below"]
fn child_that_downloads() {
    let Some(path) = std::env::var_os(CHILD) else { return };
    UrlSession::shared().download("data:,abc").to(path).wait().unwrap();
}

#[test]
fn a_download_is_on_disk_before_it_has_its_name_and_its_name_is_before_it_is_announced() {
    let folder = tempfile::tempdir().unwrap();
    let folder = fs::canonicalize(folder.path()).unwrap();
    let (log, to) = (folder.join("log"), folder.join("place/a.bin"));
    fs::create_dir(folder.join("place")).unwrap();
    let mut command = Command::new("strace");
    command.args(["-f", "-y", "-e", "trace=fsync,rename,renameat,renameat2,link,linkat", "-o"]).arg(&log);
    command.arg(std::env::current_exe().unwrap()).args([
        "--exact",
        "--ignored",
        "disk::child_that_downloads",
    ]);
    let child = command.env(CHILD, &to).output().unwrap();
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stderr));
    assert_eq!(fs::read(&to).unwrap(), b"abc");
    let log = fs::read_to_string(log).unwrap();
    let at = |is: &dyn Fn(&str) -> bool| log.lines().position(is).unwrap_or_else(|| panic!("{log}"));
    let synced = |line: &str, path: &str| line.contains("fsync(") && line.contains(&format!("<{path}"));
    let place = folder.join("place");
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let (file, place, to) = (text(&place) + "/.", text(&place) + ">", text(&to) + "\"");
    let file = at(&|line| synced(line, &file));
    let named = at(&|line| line.contains(&to) && !line.contains("fsync("));
    let place = at(&|line| synced(line, &place));
    assert!(file < named && named < place, "{log}");
}

#[test]
#[ignore = "the child of the test below"]
fn child_whose_file_cannot_be_closed() {
    let Some(path) = std::env::var_os(CHILD) else { return };
    let origin = Origin::start(Wire::H1);
    origin.enqueue("/a", Reply::new(200).header("ETag", "\"v1\"").body("abc"));
    let error = UrlSession::shared().download(origin.url("/a")).to(path).wait().unwrap_err();
    assert_eq!(error.code(), UrlErrorCode::CannotCloseFile, "{error}");
    assert!(error.to_string().contains(".a.bin.urlsession-part"), "{error}");
}

#[test]
fn a_file_that_the_system_cannot_close_does_not_get_to_its_destination() {
    let folder = tempfile::tempdir().unwrap();
    let folder = fs::canonicalize(folder.path()).unwrap();
    let (log, to) = (folder.join("log"), folder.join("a.bin"));
    let mut command = Command::new("strace");
    command.arg("-f").arg("-P").arg(folder.join(".a.bin.urlsession-part"));
    command.args(["-e", "trace=close", "-e", "inject=close:error=EDQUOT", "-o"]).arg(&log);
    command.arg(std::env::current_exe().unwrap());
    command.args(["--exact", "--ignored", "disk::child_whose_file_cannot_be_closed"]);
    let child = command.env(CHILD, &to).output().unwrap();
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stdout));
    assert!(fs::read_to_string(log).unwrap().contains("INJECTED") && !to.exists());
}
