//! Header fields as an application sets them: spelling kept, names compared without case, values checked.
//!
//! What is checked is only what keeps a message one message (RFC 9110 §5.5); meaning is for the layers.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::sync::OnceLock;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use urlsession_proto::field::{title_case, unfold};

use crate::error::{Phase, UrlError, UrlErrorCode};

/// Header fields of a request in the order set, spelled as first set. A field of several values is one entry.
///
/// The map for applications is built on first use.
#[derive(Default)]
pub(crate) struct HeaderFields {
    fields: Vec<Field>,
    map: OnceLock<Box<HeaderMap>>,
}

#[derive(Clone, PartialEq, Eq)]
struct Field {
    name: Cow<'static, str>,
    /// All values, joined as the field's list.
    value: Bytes,
    /// Where in `value` each value after the first begins.
    starts: Vec<usize>,
}

impl Field {
    /// What stands between two values (RFC 9110 §5.3; RFC 6265 §4.2.1).
    fn separator(&self) -> &'static [u8] {
        if self.name.eq_ignore_ascii_case("cookie") { b"; " } else { b", " }
    }

    /// The values, one by one.
    fn values(&self) -> impl Iterator<Item = &[u8]> {
        let begins = std::iter::once(0).chain(self.starts.iter().copied());
        let separator = self.separator().len();
        let ends = self.starts.iter().map(move |start| start - separator).chain([self.value.len()]);
        begins.zip(ends).map(|(begin, end)| &self.value[begin..end])
    }

    fn extend<'a>(&mut self, values: impl IntoIterator<Item = &'a [u8]>) {
        let separator = self.separator();
        let mut values = values.into_iter().peekable();
        if values.peek().is_none() {
            return;
        }
        let mut all = self.value.to_vec();
        for value in values {
            all.extend_from_slice(separator);
            self.starts.push(all.len());
            all.extend_from_slice(value);
        }
        self.value = all.into();
    }
}

impl HeaderFields {
    /// No fields.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// The fields of a map, each word of a name capitalised as HTTP/1.1 usually is.
    pub(crate) fn of_map(map: &HeaderMap) -> Self {
        // No name occurs twice, so no search is needed.
        let field = |name: &HeaderName| {
            let mut values = map.get_all(name).iter().map(|value| value.as_bytes());
            let first = Bytes::copy_from_slice(values.next()?);
            let mut field =
                Field { name: title_case(name.as_str()).into(), value: first, starts: Vec::new() };
            field.extend(values);
            Some(field)
        };
        Self { fields: map.keys().filter_map(field).collect(), map: OnceLock::new() }
    }

    /// The fields as a map. Folds are spaces (RFC 9112 §5.2); a value that the map cannot hold, one with a control character,
    /// is left out.
    pub(super) fn map(&self) -> &HeaderMap {
        self.map.get_or_init(|| {
            let fields = self.iter().filter_map(|(name, value)| {
                Some((
                    HeaderName::from_bytes(name.as_bytes()).ok()?,
                    HeaderValue::from_bytes(&unfold(value)).ok()?,
                ))
            });
            let mut map = HeaderMap::new();
            for (name, value) in fields {
                // More names than a map can hold are more than any server takes.
                if map.try_append(name, value).is_err() {
                    break;
                }
            }
            Box::new(map)
        })
    }

    /// The fields, to change them.
    fn changed(&mut self) -> &mut Vec<Field> {
        self.map.take();
        &mut self.fields
    }

    /// The value of the field `name`, if there is one and it is UTF-8.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.bytes(name).and_then(|value| std::str::from_utf8(value).ok())
    }

    /// The value of the field `name` as it is sent; several values as one list.
    pub(crate) fn bytes(&self, name: &str) -> Option<&[u8]> {
        self.position(name).map(|at| &*self.fields[at].value)
    }

    /// Replaces the field `name`; its first spelling stays. The fields are unchanged on error.
    pub(crate) fn set(
        &mut self,
        name: impl Into<Cow<'static, str>>,
        value: impl Into<Bytes>,
    ) -> Result<(), InvalidHeaderField> {
        self.put(name.into(), value.into(), |field, value| (field.value, field.starts) = (value, Vec::new()))
    }

    /// A new field, or what `change` makes of the one of this name.
    fn put(
        &mut self,
        name: Cow<'static, str>,
        value: Bytes,
        change: impl FnOnce(&mut Field, Bytes),
    ) -> Result<(), InvalidHeaderField> {
        let (name, value) = checked(name, value)?;
        // The search is linear, and all fields together quadratic: they are the application's and few. 256 of them, as many
        // as are taken from a peer, are 32,640 comparisons.
        let at = self.position(&name);
        let fields = self.changed();
        match at {
            Some(at) => change(&mut fields[at], value),
            None => fields.push(Field { name, value, starts: Vec::new() }),
        }
        Ok(())
    }

    /// Appends to the last value of the field `name`, separated by a comma, or sets it. The fields are unchanged on error.
    pub(crate) fn add(
        &mut self,
        name: impl Into<Cow<'static, str>>,
        value: impl Into<Bytes>,
    ) -> Result<(), InvalidHeaderField> {
        let add = |field: &mut Field, value: Bytes| {
            field.value = [&field.value[..], b",", &value[..]].concat().into()
        };
        self.put(name.into(), value.into(), add)
    }

    /// Gives the field `name` one more value, which is sent as a field line of its own. The fields are unchanged on error.
    pub(crate) fn append(
        &mut self,
        name: impl Into<Cow<'static, str>>,
        value: impl Into<Bytes>,
    ) -> Result<(), InvalidHeaderField> {
        self.put(name.into(), value.into(), |field, value| field.extend([&value[..]]))
    }

    /// Removes the field `name`; true if it was there.
    pub(crate) fn remove(&mut self, name: &str) -> bool {
        let at = self.position(name);
        at.map(|at| self.changed().remove(at)).is_some()
    }

    /// Keeps the fields of these names only.
    pub(crate) fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        self.changed().retain(|field| keep(&field.name));
    }

    /// Whether there is a field of this name.
    pub(crate) fn contains(&self, name: &str) -> bool {
        self.position(name).is_some()
    }

    /// Name and value of every field line, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.fields.iter().flat_map(|field| field.values().map(|value| (&*field.name, value)))
    }

    /// How many fields there are.
    pub(crate) fn len(&self) -> usize {
        self.fields.len()
    }

    /// True if there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    fn position(&self, name: &str) -> Option<usize> {
        self.fields.iter().position(|field| field.name.eq_ignore_ascii_case(name))
    }
}

/// A clone is usually made to be changed: it builds its own map.
impl Clone for HeaderFields {
    fn clone(&self) -> Self {
        Self { fields: self.fields.clone(), map: OnceLock::new() }
    }
}

impl PartialEq for HeaderFields {
    fn eq(&self, other: &Self) -> bool {
        self.fields == other.fields
    }
}

impl Eq for HeaderFields {}

/// Values may be secrets (`Authorization`, `Cookie`): only the names are shown.
impl fmt::Debug for HeaderFields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.fields.iter().map(|field| &field.name)).finish()
    }
}

/// Whether the value of the field `name` is a secret by its standard (RFC 9110 §11.6, §11.7, RFC 6265 §5.4). Such a field is
/// not kept, and comes again from its source.
pub(crate) fn is_secret(name: &str) -> bool {
    ["authorization", "cookie", "proxy-authorization"].iter().any(|secret| secret.eq_ignore_ascii_case(name))
}

/// Whether the field `name` is for one origin only. Credentials never go to another; neither does the name of the host.
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

/// A header field that cannot be sent. The message names the field and the reason; the value is not repeated.
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

/// The code is [`BadUrl`](UrlErrorCode::BadUrl): a request with this field cannot be sent.
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
    fn values_of_one_name_are_lines_of_their_own_and_one_list() {
        let mut fields = HeaderFields::new();
        for (name, value) in [("X-A", "1"), ("Cookie", "a=1"), ("x-a", ""), ("X-A", "3,4"), ("cookie", "b=2")]
        {
            fields.append(name, value).unwrap();
        }
        fields.add("X-A", "5").unwrap();
        let lines = [("X-A", "1"), ("X-A", ""), ("X-A", "3,4,5"), ("Cookie", "a=1"), ("Cookie", "b=2")];
        assert!(fields.iter().eq(lines.map(|(name, value)| (name, value.as_bytes()))));
        assert_eq!((fields.value("x-A"), fields.value("COOKIE")), (Some("1, , 3,4,5"), Some("a=1; b=2")));
        assert_eq!(fields.map().get_all("x-a").iter().collect::<Vec<_>>(), ["1", "", "3,4,5"]);
        assert_eq!(HeaderFields::of_map(fields.map()).map(), fields.map());
        fields.set("X-A", "new").unwrap();
        assert_eq!(
            fields.map().get_all("x-a").iter().collect::<Vec<_>>(),
            ["new"],
            "the map is not an old one"
        );
        assert_eq!((fields.len(), fields.map().len()), (2, 3));
    }

    #[test]
    fn the_fields_of_a_map_have_all_values_in_their_order() {
        let mut map = HeaderMap::new();
        for (name, value) in [("x-a", "1"), ("cookie", "a=1"), ("x-a", "2"), ("cookie", "b=2"), ("x-a", "")] {
            map.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let fields = HeaderFields::of_map(&map);
        assert_eq!((fields.value("x-a"), fields.value("Cookie")), (Some("1, 2, "), Some("a=1; b=2")));
        assert_eq!(fields.map(), &map);
        assert!(fields.iter().any(|(name, _)| name == "X-A"));
    }

    #[test]
    fn a_map_holds_what_it_can() {
        let mut fields = HeaderFields::new();
        fields.set("X-Fold", "a\r\n b").unwrap();
        fields.set("X-Control", "\x01").unwrap();
        assert_eq!((fields.map().len(), &fields.map()["x-fold"]), (1, &HeaderValue::from_static("a   b")));
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
