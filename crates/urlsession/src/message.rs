//! Public values: requests, responses, header fields, body streams. They carry no policy and do no IO.

mod body_stream;
mod cached_response;
mod fields;
mod request;
mod response;

pub use body_stream::BodyStream;
pub(crate) use body_stream::Chunks;
pub use cached_response::{CachedUrlResponse, StoragePolicy};
pub use fields::{HeaderFields, InvalidHeaderField};
pub use request::{Attribution, CachePolicy, HttpBody, IntoUrlRequest, NetworkServiceType, UrlRequest};
pub(crate) use response::HttpHead;
pub use response::{HttpUrlResponse, UrlResponse};
