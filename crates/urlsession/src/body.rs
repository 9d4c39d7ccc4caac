//! Where bodies come from and how they are read: data, files, streams and forms that are sent; and the body of a response,
//! with what stands on its way: an observer (the cache), a decoder.
//!
//! The values that requests hold are in `message` (`BodyStream`, `HttpBody`): those who make them are here.

mod chunks;
mod digest;
mod file;
mod multipart_form;
mod reader;
mod record;
mod response_body;
mod stream;
mod target;

pub(crate) use self::digest::{digest_of, hasher};
pub use self::multipart_form::{FormPart, InvalidBoundary, MultipartForm};
pub(crate) use self::record::BodyRecord;
pub(crate) use self::response_body::{Body, BodyObserver, BodySource, Decode, Draining, Duplex, ReadPause};
pub(crate) use self::target::ReadTarget;
