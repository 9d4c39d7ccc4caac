//! The flags of the `client` program: those of the peers it is compared with.

use std::path::PathBuf;

use urlsession::network::HttpVersions;
use urlsession::{Configuration, Url};

/// What to load and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// `--url`
    pub url: Url,
    /// `--requests`: how many in all.
    pub requests: usize,
    /// `--concurrency`: how many at the same time.
    pub concurrency: usize,
    /// `--mode`
    pub mode: Mode,
    /// `--out`: where a download goes.
    pub out: Option<PathBuf>,
    /// `--in`: what an upload sends.
    pub input: Option<PathBuf>,
    /// `--http`: 1 or 2.
    pub http: u8,
    /// `--ca`: PEM file of the authorities to trust.
    pub ca: Option<PathBuf>,
    /// `--conns`: connections per host; 0 for no limit.
    pub connections: usize,
    /// `--cold`: no connection is used twice.
    pub cold: bool,
    /// `--warmup`: requests before the clock starts.
    pub warmup: usize,
    /// `--rt multi`: tokio's multi-threaded runtime in place of its single-threaded one.
    pub many_threads: bool,
    /// `--x style=…`
    pub style: Style,
}

/// What a request is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Load to memory.
    #[default]
    Get,
    /// Load to a file.
    Download,
    /// POST a file.
    Upload,
}

/// By which part of the API.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Style {
    /// `session.data(…).await` in tokio tasks.
    #[default]
    Async,
    /// `session.data(…).wait()` on plain threads.
    Wait,
    /// A completion handler, from one plain thread.
    Handler,
    /// A session delegate, from one plain thread.
    Delegate,
}

impl Mode {
    /// As on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Download => "download",
            Self::Upload => "upload",
        }
    }
}

impl Style {
    /// As on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Async => "async",
            Self::Wait => "wait",
            Self::Handler => "handler",
            Self::Delegate => "delegate",
        }
    }
}

impl Options {
    /// One sequential GET of `url` over HTTP/1.1, to begin with.
    pub fn get(url: Url) -> Self {
        Self {
            url,
            requests: 1,
            concurrency: 1,
            mode: Mode::Get,
            out: None,
            input: None,
            http: 1,
            ca: None,
            connections: 0,
            cold: false,
            warmup: 0,
            many_threads: false,
            style: Style::Async,
        }
    }

    /// Of a command line without the program's name; the error says which flag is wrong.
    pub fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let nowhere = Url::parse("http://127.0.0.1/").map_err(|error| error.to_string())?;
        let mut options = Self::get(nowhere);
        let mut has_url = false;
        let mut arguments = arguments.into_iter();
        while let Some(flag) = arguments.next() {
            if flag == "--cold" {
                options.cold = true;
                continue;
            }
            let value = arguments.next().ok_or_else(|| format!("{flag} needs a value"))?;
            has_url |= flag == "--url";
            options.set(&flag, &value).map_err(|why| format!("{flag} {value}: {why}"))?;
        }
        match has_url {
            true => Ok(options),
            false => Err("--url is missing".into()),
        }
    }

    fn set(&mut self, flag: &str, value: &str) -> Result<(), String> {
        let number = || value.parse::<usize>().map_err(|error| error.to_string());
        match flag {
            "--url" => self.url = Url::parse(value).map_err(|error| error.to_string())?,
            "--requests" => self.requests = number()?,
            "--concurrency" => self.concurrency = number()?.max(1),
            "--conns" => self.connections = number()?,
            "--warmup" => self.warmup = number()?,
            "--out" => self.out = Some(value.into()),
            "--in" => self.input = Some(value.into()),
            "--ca" => self.ca = Some(value.into()),
            "--size" => {} // Of WebSocket messages, which this client has not.
            "--http" => {
                self.http = match value {
                    "1" => 1,
                    "2" => 2,
                    _ => return Err("1 or 2".into()),
                }
            }
            "--mode" => {
                self.mode = match value {
                    "get" => Mode::Get,
                    "download" => Mode::Download,
                    "upload" => Mode::Upload,
                    _ => return Err("get, download or upload".into()),
                }
            }
            "--rt" => {
                self.many_threads = match value {
                    "current" => false,
                    "multi" => true,
                    _ => return Err("current or multi".into()),
                }
            }
            "--x" => {
                self.style = match value {
                    "style=async" => Style::Async,
                    "style=wait" => Style::Wait,
                    "style=handler" => Style::Handler,
                    "style=delegate" => Style::Delegate,
                    _ => return Err("style=async, wait, handler or delegate".into()),
                }
            }
            _ => return Err("no such flag".into()),
        }
        Ok(())
    }

    /// The configuration of the session to load with.
    pub fn configuration(&self) -> Result<Configuration, String> {
        let mut configuration = Configuration::ephemeral();
        configuration.http_versions = if self.http == 2 { HttpVersions::Http2 } else { HttpVersions::Http1 };
        let most = if self.connections == 0 { usize::MAX } else { self.connections };
        configuration.http_maximum_connections_per_host = most;
        // There is one host: what holds over all of them is not to hold first.
        configuration.maximum_open_connections = configuration.maximum_open_connections.max(most);
        configuration.maximum_idle_connections = configuration.maximum_idle_connections.max(most);
        if self.cold {
            configuration.connection_idle_timeout = std::time::Duration::ZERO;
        }
        if let Some(path) = &self.ca {
            let pem = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
            configuration.add_trust_anchors_pem(&pem).map_err(|error| error.to_string())?;
        }
        Ok(configuration)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, String> {
        Options::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn flags_of_the_peers_are_understood() {
        let options = parse(
            "--url http://127.0.0.1:1/x --requests 7 --concurrency 3 --http 2 --cold --mode upload --in f \
             --conns 6 --warmup 2 --rt multi --x style=handler",
        );
        let options = options.unwrap();
        assert_eq!((options.requests, options.concurrency, options.http), (7, 3, 2));
        assert_eq!((options.mode, options.style), (Mode::Upload, Style::Handler));
        assert!(options.cold && options.many_threads);
    }

    #[test]
    fn mistakes_are_named() {
        assert!(parse("--requests 1").unwrap_err().contains("--url"));
        assert!(parse("--url http://a/ --http 9").unwrap_err().contains("--http 9"));
        assert!(parse("--url http://a/ --nonsense 9").unwrap_err().contains("no such flag"));
    }
}
