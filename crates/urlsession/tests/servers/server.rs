//! Starts a server with a configuration of its own in a directory of its own, and stops it.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use urlsession::{Configuration, DownloadTask, TaskDelegate, UrlErrorCode, UrlSession};
use urlsession_testkit::TestAuthority;

pub(crate) struct Server {
    process: Child,
    pub(crate) plain: u16,
    pub(crate) secure: u16,
    pub(crate) directory: PathBuf,
}

impl Server {
    /// `configure` writes the configuration of a server on two ports into its directory and gives the command.
    pub(crate) fn start(name: &str, configure: impl Fn(&Path, u16, u16) -> Command) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let directory =
            std::env::temp_dir().join(format!("urlsession-{name}-{}-{number}", std::process::id()));
        fs::create_dir_all(directory.join("www")).unwrap();
        let authority = TestAuthority::new();
        let certificate = authority.local();
        fs::write(directory.join("server.pem"), certificate.chain_pem()).unwrap();
        fs::write(directory.join("server.key"), certificate.key_pem()).unwrap();
        fs::write(directory.join("www/index.html"), "hello, servers\n").unwrap();
        let pattern = (0..3_000_000u64).map(|i| (i % 251) as u8).collect::<Vec<_>>();
        fs::write(directory.join("www/3m.bin"), pattern).unwrap();
        let text = (0..20_000).map(|i| format!("line {i}\n")).collect::<String>();
        fs::write(directory.join("www/lines.txt"), text).unwrap();
        let (plain, secure) = (free_port(), free_port());
        let mut command = configure(&directory, plain, secure);
        let log = fs::File::create(directory.join("output")).unwrap();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut process = command.spawn().unwrap_or_else(|error| panic!("{name} cannot be started: {error}"));
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", plain)).is_err() {
            let output = || fs::read_to_string(directory.join("output")).unwrap_or_default();
            assert!(process.try_wait().unwrap().is_none(), "{name} ended: {}", output());
            assert!(start.elapsed() < Duration::from_secs(20), "{name} does not listen: {}", output());
            std::thread::yield_now();
        }
        Self { process, plain, secure, directory }
    }

    /// The two ways to reach it.
    pub(crate) fn bases(&self) -> [String; 2] {
        [format!("http://127.0.0.1:{}", self.plain), format!("https://localhost:{}", self.secure)]
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        stop(&mut self.process);
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// Ends a server.
pub(crate) fn stop(process: &mut Child) {
    // With what it has started: the process leads a group of its own. A server that is asked to end tidies up.
    let group = format!("-{}", process.id());
    let signal = |name| Command::new("kill").args([name, "--", &group]).stderr(Stdio::null()).status();
    let _ = signal("-TERM");
    let start = Instant::now();
    while matches!(process.try_wait(), Ok(None)) && start.elapsed() < Duration::from_secs(15) {
        std::thread::yield_now();
    }
    let _ = signal("-KILL");
    let _ = process.kill();
    let _ = process.wait();
}

/// Free a moment ago; nothing else here takes ports at random from this range at the same time.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

pub(crate) fn session() -> UrlSession {
    let anchors = vec![TestAuthority::new().der()];
    UrlSession::new(Configuration::ephemeral().additional_trust_anchors(anchors))
}

/// Downloads half of a file, is interrupted, and downloads the rest: the file is whole, and nothing came twice.
pub(crate) fn goes_on_where_it_was_cut(url: &str, pattern: &[u8]) {
    /// Cancels the task once half of the file is here, and notes where another goes on.
    struct Cut(Arc<AtomicU64>, bool);

    impl TaskDelegate for Cut {
        fn did_write_data(&self, task: &DownloadTask, _: u64, total: u64, _: Option<u64>) {
            if self.1 && total >= 1_500_000 {
                task.cancel();
            }
        }

        fn did_resume_at_offset(&self, _: &DownloadTask, offset: u64, _: Option<u64>) {
            self.0.store(offset, Ordering::SeqCst);
        }
    }

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let load = |cuts| {
        let resumed_at = Arc::new(AtomicU64::new(0));
        let load = session().download(url).to(&path).delegate(Cut(resumed_at.clone(), cuts));
        let task = load.task();
        let result = load.wait();
        let received: u64 = task
            .metrics()
            .unwrap()
            .transaction_metrics
            .iter()
            .map(|one| one.count_of_response_body_bytes_after_decoding)
            .sum();
        (result, resumed_at.load(Ordering::SeqCst), received)
    };
    let (cut, ..) = load(true);
    assert_eq!(cut.unwrap_err().code(), UrlErrorCode::Cancelled);
    assert!(!path.exists());
    let (rest, resumed_at, received) = load(false);
    rest.unwrap();
    assert!(resumed_at >= 1_000_000, "it went on at {resumed_at}");
    assert_eq!(received, pattern.len() as u64 - resumed_at);
    assert!(fs::read(&path).unwrap() == pattern);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
}

/// Lets a file have changed long ago: what is newer than a second has no strong validator (RFC 9110 §8.8.2.2).
pub(crate) fn age(file: &Path) {
    let an_hour_ago = std::time::SystemTime::now() - Duration::from_secs(3600);
    fs::File::options().write(true).open(file).unwrap().set_modified(an_hour_ago).unwrap();
}
