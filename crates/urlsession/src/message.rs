//! Public values: requests, responses, header fields, cookies, body streams. They carry no policy and do no IO.

mod body_stream;
mod cookie;
mod fields;
mod file_body;
mod request;
mod response;

pub use body_stream::BodyStream;
pub(crate) use body_stream::Chunks;
pub use cookie::{HttpCookie, HttpCookieAcceptPolicy, HttpCookiePropertyKey, HttpCookieStringPolicy};
pub(crate) use cookie::{LONGEST, ports_text, seconds_of};
pub use fields::{HeaderFields, InvalidHeaderField};
pub use request::{Attribution, CachePolicy, HttpBody, IntoUrlRequest, NetworkServiceType, UrlRequest};
pub(crate) use response::HttpHead;
pub use response::{HttpUrlResponse, UrlResponse};
