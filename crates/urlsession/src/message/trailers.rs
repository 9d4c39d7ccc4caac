//! Trailer fields of a request: values that are known only after the body has been sent, such as its digest (RFC 9110 §6.5).

use std::borrow::Cow;
use std::fmt;

use http::{HeaderMap, HeaderName};
use urlsession_proto::trailers::may_carry;

use super::{HeaderFields, InvalidHeaderField};

/// Makes the trailer fields each time a body is sent. A function that returns the fields implements it, without access to the
/// body.
///
/// ```
/// use urlsession::bodies::BodyTrailers;
/// use urlsession::{BodyStream, HeaderMap};
///
/// /// The number of lines.
/// #[derive(Default)]
/// struct Lines(usize);
///
/// impl BodyTrailers for Lines {
///     fn update(&mut self, chunk: &[u8]) {
///         self.0 += chunk.iter().filter(|byte| **byte == b'\n').count();
///     }
///
///     fn finish(self: Box<Self>) -> HeaderMap {
///         HeaderMap::from_iter([("x-lines".parse().expect("a name"), self.0.into())])
///     }
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let body = BodyStream::from_reader(&b"one\ntwo\n"[..]).with_trailers(["X-Lines"], Lines::default)?;
/// # Ok(())
/// # }
/// ```
pub trait BodyTrailers: Send + 'static {
    /// Receives the next bytes of the body, as they are sent. Called on the threads of loads: it must not block.
    fn update(&mut self, chunk: &[u8]) {
        let _ = chunk;
    }

    /// Returns the fields, after the last byte. A field that was not announced fails the load.
    fn finish(self: Box<Self>) -> HeaderMap;
}

impl<F: FnOnce() -> HeaderMap + Send + 'static> BodyTrailers for F {
    fn finish(self: Box<Self>) -> HeaderMap {
        self()
    }
}

/// What makes the trailers of a body, each time it is sent.
pub(crate) struct Trailers {
    names: Vec<Cow<'static, str>>,
    make: Box<dyn Fn() -> Box<dyn BodyTrailers> + Send + Sync>,
}

impl Trailers {
    /// Fails if a field of one of these names may not be a trailer.
    pub(super) fn new(
        names: Vec<Cow<'static, str>>,
        make: Box<dyn Fn() -> Box<dyn BodyTrailers> + Send + Sync>,
    ) -> Result<Self, InvalidHeaderField> {
        let mut checked = HeaderFields::new();
        for name in &names {
            checked.set(name.clone(), "")?;
            if !may_carry(name) {
                let what = "it may not be a trailer field (RFC 9110 §6.5.1)";
                return Err(InvalidHeaderField::new(name, what));
            }
        }
        Ok(Self { names, make })
    }

    /// The value of `Trailer` (RFC 9110 §6.6.2).
    pub(crate) fn announcement(&self) -> String {
        self.names.join(", ")
    }

    pub(crate) fn make(&self) -> Box<dyn BodyTrailers> {
        (self.make)()
    }

    /// A field that was not announced, if there is one.
    pub(crate) fn unannounced<'a>(&self, fields: &'a HeaderMap) -> Option<&'a str> {
        let is_known = |field: &str| self.names.iter().any(|name| name.eq_ignore_ascii_case(field));
        fields.keys().map(HeaderName::as_str).find(|name| !is_known(name))
    }
}

impl fmt::Debug for Trailers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.names.fmt(f)
    }
}
