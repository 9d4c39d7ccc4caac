//! The command line's grammar. The flags are curl's where curl has one; what they do is `get`'s business.

mod data;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

pub(crate) use self::data::{Data, Datum};

/// Loads URLs.
#[derive(Parser)]
#[command(name = "urlsession", version, about = "Loads URLs with the urlsession library.")]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Load a URL and write its body to standard output
    ///
    /// Redirects are followed unless --no-location is given, and content codings are undone. Every response is a
    /// success, whatever its status: the exit code is 1 only if the load failed.
    Get(Box<GetArgs>),
    /// Send a file, standard input or a form to a URL, and write the body of the answer to standard output
    ///
    /// The method is PUT, or POST of a form. What has to be sent again, after a redirect or a login, is sent again; standard
    /// input cannot be. `-H 'Expect: 100-continue'` asks the server first. Exit codes are those of `get`.
    Upload(Box<UploadArgs>),
    /// Download a URL to a file, which appears when it is whole, and write its path to standard output
    ///
    /// What an interrupted download left beside the file is gone on with, if the server still has the same. A status of
    /// 300 or more is a failure, and changes no file.
    Download(Box<DownloadArgs>),
    /// See what the library does, against a server of its own on this machine; needs no network
    Tour,
}

/// What to load, and where it goes.
#[derive(Args)]
pub(crate) struct GetArgs {
    /// The URL; without a scheme it is an https one
    pub(crate) url: String,

    /// Write the body to FILE instead of standard output; `-` is standard output
    #[arg(short, long, value_name = "FILE", conflicts_with = "remote_name")]
    pub(crate) output: Option<PathBuf>,

    /// Write the body to a new file in the current directory, named as the response suggests
    ///
    /// The server chooses the name, so a file that exists is not overwritten.
    #[arg(short = 'O', long)]
    pub(crate) remote_name: bool,

    #[command(flatten)]
    pub(crate) data: Data,

    /// Write the heads of the responses before the body
    #[arg(short, long, visible_alias = "show-headers")]
    pub(crate) include: bool,

    /// Ask for the head only (HEAD) and write it
    #[arg(short = 'I', long, conflicts_with_all = ["data", "data-binary", "request"])]
    pub(crate) head: bool,

    #[command(flatten)]
    pub(crate) load: LoadArgs,
}

/// What to send, and where to.
#[derive(Args)]
pub(crate) struct UploadArgs {
    /// The file to send, `-` being standard input, and the URL to send it to; with -F only the URL
    ///
    /// A file's name is added to a URL that ends in a slash.
    #[arg(value_names = ["FILE", "URL"], num_args = 1..=2, required = true)]
    pub(crate) targets: Vec<String>,

    /// Send a part of a form: `name=value`, `name=@FILE`, or `name=<FILE` for a text of a file (repeatable)
    ///
    /// After a file may stand `;type=text/plain` and `;filename=name`, after a value `;type=…`. `@-` is standard input.
    #[arg(short = 'F', long, value_name = "NAME=CONTENT", allow_hyphen_values = true)]
    pub(crate) form: Vec<String>,

    /// Fail, and write no body, if the server answers with a status of 400 or more
    #[arg(short, long)]
    pub(crate) fail: bool,

    /// Do not go on with an interrupted upload of the same file to the same URL, and do not let a later one go on with this
    #[arg(long)]
    pub(crate) no_resume: bool,

    #[command(flatten)]
    pub(crate) progress: ProgressArgs,

    #[command(flatten)]
    pub(crate) load: LoadArgs,
}

/// What to download, and where to.
#[derive(Args)]
pub(crate) struct DownloadArgs {
    /// The URL; without a scheme it is an https one
    pub(crate) url: String,

    /// Download to FILE instead of a file in the current directory, named as the response suggests
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,

    /// Replace a file that is there, once the new one is whole; otherwise that is a failure
    #[arg(long)]
    pub(crate) overwrite: bool,

    /// Do not go on with what an interrupted download left, and leave nothing
    #[arg(long)]
    pub(crate) no_resume: bool,

    /// Fail unless the file has this SHA-256 digest, in hexadecimal digits
    #[arg(long, value_name = "HEX")]
    pub(crate) sha256: Option<String>,

    #[command(flatten)]
    pub(crate) progress: ProgressArgs,

    #[command(flatten)]
    pub(crate) load: LoadArgs,
}

/// Whether to show how far it is.
#[derive(Args)]
pub(crate) struct ProgressArgs {
    /// Show how far it is on standard error, also if that is not a terminal
    #[arg(long, overrides_with = "no_progress")]
    pub(crate) progress: bool,

    /// Do not show how far it is
    #[arg(long)]
    pub(crate) no_progress: bool,
}

/// How to load, whatever it is.
#[derive(Args)]
pub(crate) struct LoadArgs {
    /// Send a header field: `Name: value`; `Name:` takes a default away, `Name;` sends it empty (repeatable)
    #[arg(short = 'H', long, value_name = "FIELD", allow_hyphen_values = true)]
    pub(crate) header: Vec<String>,

    /// Use this method instead of the command's own: of `get` GET, or POST when there is data; of `upload` PUT, or POST
    /// of a form
    #[arg(short = 'X', long, value_name = "METHOD")]
    pub(crate) request: Option<String>,

    /// Show heads as they come, and a timeline of every transaction afterwards, on standard error; secrets are left out
    ///
    /// Requests are shown without the fields that every request has (Accept, User-Agent and the like). A request that is
    /// repeated, to log in for example, is shown in the timeline only.
    #[arg(short, long, conflicts_with = "json")]
    pub(crate) verbose: bool,

    /// Say nothing when the load fails
    #[arg(short, long)]
    pub(crate) silent: bool,

    /// Send cookies: `name=value; name=value` to the server of the URL, or those of a file in the Netscape format (repeatable)
    #[arg(short = 'b', long, value_name = "DATA|FILE", allow_hyphen_values = true)]
    pub(crate) cookie: Vec<OsString>,

    /// Write all cookies to FILE in the Netscape format after the load; `-` is standard output
    ///
    /// They are secrets. Cookies are kept during a load, over redirects, whether this is given or not.
    #[arg(short = 'c', long, value_name = "FILE")]
    pub(crate) cookie_jar: Option<PathBuf>,

    /// Log in; without a password it is empty. By Basic and unasked, unless one of the next flags says else
    ///
    /// The login is for the server of the URL (scheme, host and port); a redirect does not carry it to another. An upgrade
    /// from http to https of the same host keeps it: port 80 becomes 443, and any other port stays.
    #[arg(short, long, value_name = "USER[:PASSWORD]", allow_hyphen_values = true)]
    pub(crate) user: Option<String>,

    /// Log in by Basic: the default
    #[arg(long, requires = "user", group = "scheme")]
    pub(crate) basic: bool,

    /// Log in by Digest, when the server asks
    #[arg(long, requires = "user", group = "scheme")]
    pub(crate) digest: bool,

    /// Log in by NTLM, when the server asks
    #[arg(long, requires = "user", group = "scheme")]
    pub(crate) ntlm: bool,

    /// Log in by Negotiate, when the server asks: with `-u :` by the Kerberos ticket of whoever is logged in here
    ///
    /// Without this, or --anyauth, no ticket is shown.
    #[arg(long, requires = "user", group = "scheme")]
    pub(crate) negotiate: bool,

    /// Log in by the strongest scheme the server offers, when it asks
    #[arg(long, requires = "user", group = "scheme")]
    pub(crate) anyauth: bool,

    /// Use an HTTP proxy: it fetches http URLs, and makes tunnels for https; without a port it is 1080
    #[arg(short = 'x', long, value_name = "[http://][USER:PASSWORD@]HOST[:PORT]")]
    pub(crate) proxy: Option<String>,

    /// Log in to the proxy when it asks, by the strongest scheme it offers; without a password it is empty
    #[arg(long, value_name = "USER[:PASSWORD]", requires = "proxy", allow_hyphen_values = true)]
    pub(crate) proxy_user: Option<String>,

    /// Hosts that need no proxy, with a comma between: domains with all below them, addresses, ranges like 10.0.0.0/8; `*` is all
    #[arg(long, value_name = "HOSTS", requires = "proxy")]
    pub(crate) noproxy: Option<String>,

    /// Trust the certificates of a PEM file too: authorities, or a server's own that is signed by itself (trust anchors)
    #[arg(long, value_name = "FILE")]
    pub(crate) cacert: Option<PathBuf>,

    /// Use HTTP/1.1 only
    #[arg(long = "http1.1", conflicts_with = "http2")]
    pub(crate) http1: bool,

    /// Use HTTP/2 only; https only. By default the server chooses
    #[arg(long)]
    pub(crate) http2: bool,

    /// Fail if the whole load takes longer; fractions count, 0 is no limit
    #[arg(short, long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) max_time: Option<Duration>,

    /// Write one JSON object on standard error: response, metrics, error; secrets are left out
    #[arg(long)]
    pub(crate) json: bool,

    /// Write a log of every transaction to FILE, in the HAR format that browsers' developer tools open
    ///
    /// `-` is standard output, after the body. The text of request bodies is in the log; credentials are left out. Only
    /// the owner of the file may read it.
    #[arg(long, value_name = "FILE")]
    pub(crate) har: Option<PathBuf>,

    /// Allow http to every host. Without it App Transport Security allows this machine, names without a dot, and names below .local
    #[arg(long)]
    pub(crate) allow_cleartext: bool,

    /// Follow redirects: the default, accepted for curl's sake
    #[arg(short = 'L', long)]
    pub(crate) location: bool,

    /// Follow redirects, and send what -u, -b name=value, and -H 'Authorization: …' and 'Cookie: …' give to every server they
    /// lead to; without this flag only the first server receives them
    #[arg(long, conflicts_with = "no_location")]
    pub(crate) location_trusted: bool,

    /// Take a redirect response itself instead of following it
    #[arg(long, conflicts_with = "location")]
    pub(crate) no_location: bool,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number of seconds".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_grammar_contradicts_itself_nowhere() {
        Cli::command().debug_assert();
    }

    #[test]
    fn seconds_have_fractions_and_no_sign() {
        assert_eq!(seconds("1.5"), Ok(Duration::from_millis(1500)));
        for wrong in ["-1", "NaN", "inf", "soon", ""] {
            assert!(seconds(wrong).is_err(), "{wrong:?}");
        }
    }
}
