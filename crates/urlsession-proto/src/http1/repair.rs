//! Field lines that the strict parser refuses and servers send all the same: repaired or left out where every recipient
//! would still see the same message (RFC 9110 §5.5, RFC 9112 §2.2, §5.1). Runs only after the strict parser has failed.
//!
//! A line that frames the message is never repaired, and CR or NUL within a line are always refused.

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};

use super::HeadError;
use crate::field::{field_lines, is_token, unfold};

/// Repairs the field lines of a section of `buf` that begins at `section`, whose first field line is at `lines`.
///
/// `Ok(None)` if the section has no end yet. Otherwise the fields, the repaired bytes of the section (of the same length),
/// and where in `buf` it ends.
pub(super) fn repair(
    buf: &[u8],
    section: usize,
    lines: usize,
    most_fields: usize,
) -> Result<Option<(HeaderMap, Bytes, usize)>, HeadError> {
    let Some(end) = end_of_lines(buf, lines)? else { return Ok(None) };
    let mut raw = buf[section..end].to_vec();
    let offset = lines - section;
    repair_lines(&mut raw[offset..])?;
    let unfolded = unfold(&raw[offset..]).into_owned();
    raw.truncate(offset);
    raw.extend_from_slice(&unfolded);
    let raw = Bytes::from(raw);
    let mut headers = HeaderMap::new();
    for (name, value) in field_lines(&raw[offset..]) {
        if headers.len() == most_fields {
            return Err(HeadError::TooManyFields);
        }
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| HeadError::HeaderName)?;
        let value =
            HeaderValue::from_maybe_shared(raw.slice_ref(value)).map_err(|_| HeadError::HeaderValue)?;
        headers.try_append(name, value).map_err(|_| HeadError::TooManyFields)?;
    }
    Ok(Some((headers, raw, end)))
}

/// Where the empty line that ends the section ends. Complete lines with CR or NUL are refused on the way.
fn end_of_lines(buf: &[u8], lines: usize) -> Result<Option<usize>, HeadError> {
    let mut at = lines;
    while let Some(length) = buf[at..].iter().position(|&b| b == b'\n') {
        let line = &buf[at..at + length];
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        at += length + 1;
        if line.is_empty() {
            return Ok(Some(at));
        }
        if let Some(bad) = line.iter().position(|b| matches!(b, b'\r' | b'\0')) {
            return Err(match line[..bad].contains(&b':') {
                true => HeadError::HeaderValue,
                false if line[bad] == b'\r' => HeadError::LineEnd,
                false => HeadError::HeaderName,
            });
        }
    }
    Ok(None)
}

/// Repairs each line in place; a line that is left out stays, in a form that is no field.
fn repair_lines(lines: &mut [u8]) -> Result<(), HeadError> {
    let (mut last, mut field_at, mut at) = (Line::LeftOut, 0, 0);
    while let Some(length) = lines[at..].iter().position(|&b| b == b'\n') {
        let line = &mut lines[at..=at + length];
        let start = at;
        at += length + 1;
        let end = if line.ends_with(b"\r\n") { length - 1 } else { length };
        let line = &mut line[..end];
        let value = match line.first() {
            // RFC 9112 §5.2: a continuation belongs to the line before it.
            Some(b' ' | b'\t') => 0,
            _ => {
                let (kind, value) = repair_name(line)?;
                (last, field_at) = (kind, start);
                value
            }
        };
        if last == Line::LeftOut {
            if resembles_framing(line) {
                return Err(HeadError::FramingField);
            }
            continue;
        }
        for b in line[value..].iter_mut().filter(|b| b.is_ascii_control() && **b != b'\t') {
            match last {
                Line::Framing => return Err(HeadError::FramingField),
                Line::Cookie => last = Line::LeftOut,
                Line::Kept | Line::LeftOut => {}
            }
            *b = b' ';
        }
        if last == Line::LeftOut {
            // It begins with what no name has.
            lines[field_at] = b'(';
        }
    }
    Ok(())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Line {
    /// It has no well-formed name, or continues a line that has none.
    LeftOut,
    Kept,
    /// It sets a cookie, which a control refuses (RFC 6265bis §5.6): repaired it would be another.
    Cookie,
    /// It says where the body ends.
    Framing,
}

/// What a line is, and where its value begins. White space before the colon is moved behind it.
fn repair_name(line: &mut [u8]) -> Result<(Line, usize), HeadError> {
    let Some(colon) = line.iter().position(|&b| b == b':') else { return Ok((Line::LeftOut, 0)) };
    let name = line[..colon].trim_ascii_end();
    let length = name.len();
    let Some(name) = std::str::from_utf8(name).ok().filter(|name| is_token(name)) else {
        return Ok((Line::LeftOut, 0));
    };
    let frames = FRAMING.iter().any(|framing| framing.eq_ignore_ascii_case(name));
    let kind = match frames {
        true => Line::Framing,
        false if name.eq_ignore_ascii_case("set-cookie") => Line::Cookie,
        false => Line::Kept,
    };
    if length < colon {
        if frames {
            return Err(HeadError::FramingField);
        }
        line.swap(length, colon);
    }
    Ok((kind, length + 1))
}

/// Whether a recipient that is more lenient than this one could take the line for one that frames the message.
fn resembles_framing(line: &[u8]) -> bool {
    let colon = line.iter().position(|&b| b == b':');
    let letters: Vec<u8> = line[..colon.unwrap_or(line.len())]
        .iter()
        .filter(|b| b.is_ascii_alphanumeric() || **b == b'-')
        .map(u8::to_ascii_lowercase)
        .collect();
    FRAMING.iter().map(|name| name.as_bytes()).any(|name| match colon {
        Some(_) => letters == name,
        None => letters.starts_with(name),
    })
}

const FRAMING: [&str; 2] = ["content-length", "transfer-encoding"];

#[cfg(test)]
#[path = "repair_tests.rs"]
mod tests;
