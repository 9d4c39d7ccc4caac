//! `-F` options, as curl reads the common ones.

use std::fs;
use std::io;

use urlsession::bodies::FormPart;
use urlsession::{BodyStream, MultipartForm};

use crate::load::Failure;

/// The form of the options, in their order.
pub(super) fn form(given: &[String]) -> Result<MultipartForm, Failure> {
    given.iter().try_fold(MultipartForm::new(), |form, text| {
        let (name, part) = part(text)?;
        Ok(form.with_part(name, part))
    })
}

fn part(text: &str) -> Result<(String, FormPart), Failure> {
    let Some((name, content)) = text.split_once('=') else {
        return Err(Failure::Usage("a part of a form is written \"name=value\" or \"name=@file\"".into()));
    };
    let Split { content, content_type, file_name } = split(content);
    let mut part = match content.split_at_checked(1) {
        Some(("@", "-")) => FormPart::stream(BodyStream::from_reader(io::stdin())).with_file_name("-"),
        Some(("@", path)) => FormPart::file(path)?,
        Some(("<", path)) => {
            let read = if path == "-" { io::read_to_string(io::stdin()) } else { fs::read_to_string(path) };
            FormPart::text(read.map_err(|error| Failure::Local(format!("cannot read {path:?}: {error}")))?)
        }
        _ => FormPart::text(content),
    };
    if let Some(file_name) = file_name {
        part = part.with_file_name(file_name);
    }
    if let Some(content_type) = content_type {
        part = part.with_content_type(content_type).map_err(|error| Failure::Usage(error.to_string()))?;
    }
    Ok((name.to_owned(), part))
}

/// An option's content without what is said of it.
#[derive(Debug, Default, PartialEq)]
struct Split<'a> {
    content: &'a str,
    content_type: Option<&'a str>,
    file_name: Option<&'a str>,
}

/// Only what stands at the end and is known counts: a value may have semicolons of its own.
fn split(mut content: &str) -> Split<'_> {
    let mut split = Split::default();
    while let Some((before, last)) = content.rsplit_once(';') {
        match last.trim_start().split_once('=') {
            // `type=text/plain; charset=utf-8` has a parameter of its own.
            Some(("type", kind)) => split.content_type = Some(kind),
            Some(("filename", name)) => split.file_name = Some(name.trim_matches('"')),
            _ => {
                let parameters = content.rfind(";type=").filter(|_| split.content_type.is_none());
                match parameters {
                    Some(at) => {
                        split.content_type = Some(&content[at + 6..]);
                        content = &content[..at];
                        continue;
                    }
                    None => break,
                }
            }
        }
        content = before;
    }
    split.content = content;
    split
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_a_part_is_told_from_its_content() {
        let of = |content, content_type, file_name| Split { content, content_type, file_name };
        for (text, expected) in [
            ("value", of("value", None, None)),
            ("a;b=c", of("a;b=c", None, None)),
            ("{};type=application/json", of("{}", Some("application/json"), None)),
            ("@f;type=text/x;filename=\"g h\"", of("@f", Some("text/x"), Some("g h"))),
            ("@f;filename=g;type=text/x", of("@f", Some("text/x"), Some("g"))),
            ("x;type=text/plain; charset=utf-8", of("x", Some("text/plain; charset=utf-8"), None)),
        ] {
            assert_eq!(split(text), expected, "{text}");
        }
    }
}
