//! How a load can end badly, and what that means for standard error and the exit code.

use std::error::Error;
use std::process::ExitCode;

use urlsession::{UrlError, UrlErrorCode};

use super::tell;
use crate::args::LoadArgs;

/// Why there is no body, or no whole one.
pub(crate) enum Failure {
    /// The command line cannot be meant.
    Usage(String),
    /// The load failed.
    Load(UrlError),
    /// A file or stream of this machine failed.
    Local(String),
    /// Whoever read our output has seen enough.
    Closed,
}

impl Failure {
    /// Says why, unless it is told otherwise, and gives the exit code.
    pub(super) fn tell(&self, args: &LoadArgs) -> ExitCode {
        // With --json the one object on standard error has it.
        let speaks = !args.silent && !args.json;
        match self {
            Self::Usage(message) => {
                tell(&format!("urlsession: {message}\n"));
                ExitCode::from(2)
            }
            Self::Load(error) => {
                if args.verbose {
                    tell_causes(error);
                }
                if speaks {
                    tell(&format!("urlsession: {error}{}\n", advice(error)));
                }
                ExitCode::FAILURE
            }
            Self::Local(message) => {
                if speaks {
                    tell(&format!("urlsession: {message}\n"));
                }
                ExitCode::FAILURE
            }
            Self::Closed => ExitCode::SUCCESS,
        }
    }
}

/// The options of the command that an error's advice, which is for programs, does not name.
fn advice(error: &UrlError) -> &'static str {
    match error.code() {
        UrlErrorCode::AppTransportSecurityRequiresSecureConnection => " [option: --allow-cleartext]",
        UrlErrorCode::ServerCertificateHasUnknownRoot => " [option: --cacert FILE]",
        UrlErrorCode::CannotCreateFile if is_there(error) => " [options: --overwrite, -o FILE]",
        _ => "",
    }
}

fn is_there(error: &UrlError) -> bool {
    let source = error.source().and_then(|source| source.downcast_ref::<std::io::Error>());
    source.is_some_and(|source| source.kind() == std::io::ErrorKind::AlreadyExists)
}

fn tell_causes(error: &UrlError) {
    let mut cause = error.source();
    while let Some(error) = cause {
        tell(&format!("* because: {error}\n"));
        cause = error.source();
    }
}

impl From<UrlError> for Failure {
    fn from(error: UrlError) -> Self {
        Self::Load(error)
    }
}
