//! One `-H` option, as curl reads it.

use urlsession::{Url, UrlRequest};

use super::failure::Failure;

/// What an option asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Header {
    /// `Name: value`, or `Name;` with an empty value
    Set(String, String),
    /// `Name:`
    Remove(String),
}

impl Header {
    /// A usage error if the text is none of the three forms. Values may be secrets: it does not repeat them.
    pub(super) fn parse(text: &str) -> Result<Self, Failure> {
        let malformed = || {
            let what = "a header field is written \"Name: value\", \"Name:\" or \"Name;\"";
            Failure::Usage(what.into())
        };
        let header = match text.split_once(':') {
            Some((name, value)) if value.trim().is_empty() => Self::Remove(name.trim_end().to_owned()),
            Some((name, value)) => Self::Set(name.trim_end().to_owned(), value.trim().to_owned()),
            None => {
                let name = text.trim_end().strip_suffix(';').ok_or_else(malformed)?;
                Self::Set(name.trim_end().to_owned(), String::new())
            }
        };
        // Tried out on a request of its own, so that it fails before anything else is looked at.
        let (name, value) = match &header {
            Self::Set(name, value) => (name, value.as_str()),
            Self::Remove(name) => (name, ""),
        };
        set(&mut UrlRequest::new(Url::parse("http://localhost").expect("a URL")), name, value)?;
        Ok(header)
    }

    fn apply(&self, request: &mut UrlRequest, is_repeated: bool) -> Result<(), Failure> {
        match self {
            Self::Set(name, value) if is_repeated => add(request, name, value),
            Self::Set(name, value) => set(request, name, value),
            Self::Remove(name) => {
                request.remove_value(name);
                Ok(())
            }
        }
    }
}

/// Changes the request. A field of the options replaces one that the command sets itself; of several options with one name
/// all values are sent, as one list (RFC 9110 §5.3).
pub(super) fn apply(headers: &[Header], request: &mut UrlRequest) -> Result<(), Failure> {
    let mut names: Vec<&str> = Vec::new();
    for header in headers {
        let (Header::Set(name, _) | Header::Remove(name)) = header;
        let is_known = names.iter().any(|known| known.eq_ignore_ascii_case(name));
        header.apply(request, is_known && request.value(name).is_some())?;
        names.push(name);
    }
    Ok(())
}

/// Adds to a list; cookies have a separator of their own (RFC 6265 §4.2.1).
fn add(request: &mut UrlRequest, name: &str, value: &str) -> Result<(), Failure> {
    let separator = if name.eq_ignore_ascii_case("cookie") { "; " } else { ", " };
    match request.value(name).filter(|known| !known.is_empty()) {
        Some(known) if !value.is_empty() => set(request, name, &format!("{known}{separator}{value}")),
        Some(_) => Ok(()),
        None => set(request, name, value),
    }
}

/// The names of the fields that the options take away, as far as they can be read.
pub(super) fn removed(options: &[String]) -> Vec<String> {
    let headers = options.iter().filter_map(|text| Header::parse(text).ok());
    let name = |header| match header {
        Header::Remove(name) => Some(name),
        Header::Set(..) => None,
    };
    headers.filter_map(name).collect()
}

/// Replaces a field. Values come from the command line: a refusal is a usage error.
pub(crate) fn set(request: &mut UrlRequest, name: &str, value: &str) -> Result<(), Failure> {
    request.set_value(name, value).map_err(|error| Failure::Usage(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_forms_are_told_apart() {
        let set = |name: &str, value: &str| Header::Set(name.into(), value.into());
        for (text, header) in [
            ("X-A: b", set("X-A", "b")),
            ("X-A:b:c", set("X-A", "b:c")),
            ("X-A;", set("X-A", "")),
            ("Accept:", Header::Remove("Accept".into())),
            ("Accept:  ", Header::Remove("Accept".into())),
        ] {
            assert_eq!(Header::parse(text).ok(), Some(header), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_sent_is_refused_and_its_value_not_repeated() {
        for text in ["s3cret", "", ": s3cret", "X Y: s3cret", "X: s3cret\r\nY: z", "X: s3cret\0"] {
            match Header::parse(text) {
                Err(Failure::Usage(message)) => assert!(!message.contains("s3cret"), "{message}"),
                _ => unreachable!("{text:?} was taken"),
            }
        }
    }
}
