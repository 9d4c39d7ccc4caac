//! What the kernel is asked for when a download appears at its place: only a power cut shows whether that was in the right
//! order, so its system calls are looked at (`strace`).

use std::fs;
use std::path::Path;
use std::process::Command;

use urlsession::UrlSession;

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
