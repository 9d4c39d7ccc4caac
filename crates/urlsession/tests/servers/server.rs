//! Starts a server with a configuration of its own in a directory of its own, and stops it.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use urlsession::{Configuration, UrlSession};
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
        // With what it has started: the process leads a group of its own. A server that is asked to end tidies up.
        let group = format!("-{}", self.process.id());
        let signal = |name| Command::new("kill").args([name, "--", &group]).stderr(Stdio::null()).status();
        let _ = signal("-TERM");
        let start = Instant::now();
        while matches!(self.process.try_wait(), Ok(None)) && start.elapsed() < Duration::from_secs(15) {
            std::thread::yield_now();
        }
        let _ = signal("-KILL");
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// Free a moment ago; nothing else here takes ports at random from this range at the same time.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

pub(crate) fn session() -> UrlSession {
    let anchors = vec![TestAuthority::new().der()];
    UrlSession::new(Configuration { additional_trust_anchors: anchors, ..Configuration::ephemeral() })
}
