//! The request body: text and files of the `-d` options, joined as curl joins them.

use std::fs;
use std::io::{self, Read};

use crate::args::{Data, Datum};
use crate::load::Failure;

/// The body, if there is an option for one; it may be empty.
pub(super) fn body(data: &Data) -> Result<Option<Vec<u8>>, Failure> {
    if data.0.is_empty() {
        return Ok(None);
    }
    let parts = data.0.iter().map(part).collect::<Result<Vec<_>, _>>()?;
    Ok(Some(parts.join(&b'&')))
}

fn part(datum: &Datum) -> Result<Vec<u8>, Failure> {
    let Some(path) = datum.text.strip_prefix('@') else { return Ok(datum.text.clone().into_bytes()) };
    let read = match path {
        "-" => {
            let mut all = Vec::new();
            io::stdin().read_to_end(&mut all).map(|_| all)
        }
        path => fs::read(path),
    };
    let mut bytes = read.map_err(|error| Failure::Local(format!("cannot read {path:?}: {error}")))?;
    if !datum.is_binary {
        // curl's manual: "carriage returns, newlines and null bytes are stripped out".
        bytes.retain(|byte| !matches!(byte, b'\r' | b'\n' | b'\0'));
    }
    Ok(bytes)
}
