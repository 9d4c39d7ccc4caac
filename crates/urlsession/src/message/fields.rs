//! Header fields as an application sets them: spelling kept, names compared without case, values checked.
//!
//! What is checked is only what keeps a message one message (RFC 9110 §5.5); meaning is for the layers.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;

use bytes::Bytes;
use http::HeaderName;

use crate::error::{Phase, UrlError, UrlErrorCode};

/// Header fields of a request: at most one of each name, in the order set, spelled as first set.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct HeaderFields(Vec<Field>);

#[derive(Clone, PartialEq, Eq)]
struct Field {
    name: Cow<'static, str>,
    value: Bytes,
}

impl HeaderFields {
    /// No fields.
    pub fn new() -> Self {
        Self::default()
    }

    /// The value of the field `name`, if there is one and it is UTF-8.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.bytes(name).and_then(|value| std::str::from_utf8(value).ok())
    }

    /// The value of the field `name` as it is sent.
    pub fn bytes(&self, name: &str) -> Option<&[u8]> {
        self.position(name).map(|at| &*self.0[at].value)
    }

    /// Replaces the field `name`; its first spelling stays. The fields are unchanged on error.
    pub fn set(
        &mut self,
        name: impl Into<Cow<'static, str>>,
        value: impl Into<Bytes>,
    ) -> Result<(), InvalidHeaderField> {
        let (name, value) = checked(name.into(), value.into())?;
        // The search is linear, and all fields together quadratic: they are the application's and few. 256 of them, as many
        // as are taken from a peer, are 32,640 comparisons.
        match self.position(&name) {
            Some(at) => self.0[at].value = value,
            None => self.0.push(Field { name, value }),
        }
        Ok(())
    }

    /// Appends to the field `name`, separated by a comma, or sets it. The fields are unchanged on error.
    pub fn add(
        &mut self,
        name: impl Into<Cow<'static, str>>,
        value: impl Into<Bytes>,
    ) -> Result<(), InvalidHeaderField> {
        let (name, value) = checked(name.into(), value.into())?;
        match self.position(&name) {
            Some(at) => self.0[at].value = [&self.0[at].value[..], b",", &value[..]].concat().into(),
            None => self.0.push(Field { name, value }),
        }
        Ok(())
    }

    /// Removes the field `name`; true if it was there.
    pub fn remove(&mut self, name: &str) -> bool {
        self.position(name).map(|at| self.0.remove(at)).is_some()
    }

    /// Keeps the fields of these names only.
    pub(crate) fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        self.0.retain(|field| keep(&field.name));
    }

    /// Whether there is a field of this name.
    pub fn contains(&self, name: &str) -> bool {
        self.position(name).is_some()
    }

    /// Name and value of every field, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.0.iter().map(|field| (&*field.name, &*field.value))
    }

    /// How many fields there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn position(&self, name: &str) -> Option<usize> {
        self.0.iter().position(|field| field.name.eq_ignore_ascii_case(name))
    }
}

/// Values may be secrets (`Authorization`, `Cookie`): only the names are shown.
impl fmt::Debug for HeaderFields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|field| &field.name)).finish()
    }
}

/// Is what a request says in the field `name` a secret by its standard (RFC 9110 §11.6, §11.7, RFC 6265 §5.4)? It is not
/// kept, and comes again from where it came from.
pub(crate) fn is_secret(name: &str) -> bool {
    ["authorization", "cookie", "proxy-authorization"].iter().any(|secret| secret.eq_ignore_ascii_case(name))
}

/// Is the field `name` for one origin only? Credentials never go to another; neither does the name of the host.
pub(crate) fn is_of_origin(name: &str) -> bool {
    is_secret(name) || name.eq_ignore_ascii_case("host")
}

fn checked(name: Cow<'static, str>, value: Bytes) -> Result<(Cow<'static, str>, Bytes), InvalidHeaderField> {
    if HeaderName::from_bytes(name.as_bytes()).is_err() {
        return Err(InvalidHeaderField {
            name: name.into_owned(),
            what: "the name is not a token (RFC 9110 §5.1)",
        });
    }
    if !urlsession_proto::field::is_acceptable_value(&value) {
        let what = "the value holds NUL or a line break (RFC 9110 §5.5)";
        return Err(InvalidHeaderField { name: name.into_owned(), what });
    }
    Ok((name, value))
}

/// A header field that cannot be sent. It says which and why; the value is not repeated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidHeaderField {
    name: String,
    what: &'static str,
}

impl InvalidHeaderField {
    pub(super) fn new(name: &str, what: &'static str) -> Self {
        Self { name: name.to_owned(), what }
    }
}

impl fmt::Display for InvalidHeaderField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "header field {:?} refused: {}", self.name, self.what)
    }
}

impl Error for InvalidHeaderField {}

/// [`BadUrl`](UrlErrorCode::BadUrl): a request with this field cannot be sent.
impl From<InvalidHeaderField> for UrlError {
    fn from(error: InvalidHeaderField) -> Self {
        Self::new(UrlErrorCode::BadUrl, Phase::Request, error.to_string()).with_source(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_compare_without_case_and_keep_their_first_spelling() {
        let mut fields = HeaderFields::new();
        fields.set("Accept", "json").unwrap();
        fields.set("accept", "xml").unwrap();
        fields.add("ACCEPT", "html").unwrap();
        assert_eq!(fields.iter().collect::<Vec<_>>(), [("Accept", &b"xml,html"[..])]);
    }

    #[test]
    fn a_question_mark_turns_a_refused_field_into_an_error() {
        fn set(name: &'static str) -> crate::error::Result<()> {
            Ok(HeaderFields::new().set(name, "secret")?)
        }
        let error = set("no token").unwrap_err();
        assert_eq!(error.code(), UrlErrorCode::BadUrl);
        assert!(error.detail().contains("no token") && !error.detail().contains("secret"), "{error}");
        assert!(set("Accept").is_ok());
    }

    #[test]
    fn a_refused_field_changes_nothing_and_its_value_is_not_shown() {
        let mut fields = HeaderFields::new();
        fields.set("Authorization", "Bearer s3cret").unwrap();
        let error = fields.set("Authorization", "other-s3cret\r\nX: y").unwrap_err();
        assert_eq!(fields.value("authorization"), Some("Bearer s3cret"));
        assert!(!error.to_string().contains("s3cret"));
        assert!(!format!("{fields:?}").contains("s3cret"));
    }

    #[test]
    fn credentials_and_cookies_are_secrets_however_they_are_spelled() {
        for name in ["authorization", "Authorization", "COOKIE", "Proxy-authorization"] {
            assert!(is_secret(name) && is_of_origin(name), "{name}");
        }
        for name in ["", "Cook", "X-Cookie", "WWW-Authenticate"] {
            assert!(!is_secret(name) && !is_of_origin(name), "{name}");
        }
        assert!(is_of_origin("HOST") && !is_secret("host"));
    }

    #[test]
    fn a_name_that_is_no_token_is_refused() {
        for name in ["", "a b", "a:b", "a\r\nb", "ü"] {
            assert!(HeaderFields::new().set(name, "v").is_err(), "{name:?}");
        }
    }
}
