//! How a load can end badly, and what that means for standard error and the exit code.

use std::error::Error;
use std::process::ExitCode;

use urlsession::UrlError;

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
                    tell(&format!("urlsession: {error}\n"));
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
