//! Public values: requests, responses, header fields, bodies and forms, cookies, challenges, credentials, resume data.
//! They carry no policy. The only IO is that of request bodies, which read their files and readers while they are sent.

mod body_digest;
mod body_stream;
mod body_text;
mod cache_policy;
mod cached_response;
mod challenge;
mod chunks;
mod cookie;
mod credential;
mod fields;
mod file_body;
mod host;
mod http_types;
mod into_request;
mod multipart_form;
mod property;
mod protection_space;
mod recycled;
mod request;
mod request_chain;
mod response;
mod resume_data;
#[cfg(feature = "serde")]
mod serialized;
mod server_trust;
mod stored_head;
mod trailers;

pub(crate) use body_digest::{digest_of, hasher};
pub use body_stream::BodyStream;
pub use body_text::DataResponse;
pub use cache_policy::CachePolicy;
pub use cached_response::{CachedUrlResponse, StoragePolicy};
pub use challenge::{AuthChallengeDisposition, UrlAuthenticationChallenge};
pub(crate) use chunks::Chunks;
pub use cookie::properties::HttpCookiePropertyKey;
pub use cookie::{HttpCookie, HttpCookieAcceptPolicy, HttpCookieStringPolicy};
pub(crate) use cookie::{LONGEST, ports_text};
pub use credential::{UrlCredential, UrlCredentialPersistence};
pub use fields::InvalidHeaderField;
pub(crate) use fields::{HeaderFields, is_of_origin, is_secret};
pub(crate) use file_body::FileIdentity;
pub(crate) use host::HostId;
pub use into_request::IntoUrlRequest;
pub use multipart_form::{FormPart, InvalidBoundary, MultipartForm};
pub use protection_space::{
    AuthenticationMethod, UrlProtectionSpace, UrlProtectionSpaceProtocol, UrlProtectionSpaceProxyType,
};
pub use request::{Attribution, HttpBody, NetworkServiceType, UrlRequest};
pub(crate) use response::HttpHead;
pub use response::{HttpUrlResponse, UrlResponse};
pub use resume_data::{ResumeData, ResumeFailure};
pub(crate) use resume_data::{ResumeFields, ResumeKind, unusable};
pub use server_trust::ServerTrust;
pub use trailers::BodyTrailers;
pub(crate) use trailers::Trailers;
pub use urlsession_proto::digest_fields::DigestAlgorithm;
