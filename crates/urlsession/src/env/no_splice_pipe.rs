//! `SplicePipe` where the system has none.

use std::convert::Infallible;
use std::io;
use std::task::{Context, Poll};

use tokio::net::TcpStream;

use crate::env::fs::File;

/// There is none.
pub(crate) struct SplicePipe(Infallible);

impl SplicePipe {
    pub(crate) fn new() -> Option<Self> {
        None
    }

    pub(crate) fn poll_fill(
        &mut self,
        _: &TcpStream,
        _: &mut Context<'_>,
        _: u64,
    ) -> Poll<io::Result<usize>> {
        match self.0 {}
    }

    pub(crate) fn drain(&mut self, _: &mut File, _: impl FnMut(usize)) -> io::Result<()> {
        match self.0 {}
    }

    pub(crate) fn is_good(&self) -> bool {
        match self.0 {}
    }
}
