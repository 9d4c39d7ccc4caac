//! Public values: requests, responses, header fields, cookies, challenges, credentials, resume data. They carry no policy and
//! do no IO: where the bytes of bodies come from is in `body`.

mod body_stream;
mod body_text;
mod cache_policy;
mod cached_response;
mod challenge;
pub(crate) mod codec;
mod cookie;
mod credential;
mod fields;
mod forms;
mod host;
mod http_types;
mod into_request;
mod property;
mod protection_space;
mod request;
mod request_chain;
mod response;
mod response_form;
mod resume_data;
#[cfg(feature = "serde")]
mod serialized;
mod server_trust;
mod stored_head;
mod trailers;

pub use body_stream::BodyStream;
pub(crate) use body_stream::{Chunks, FileIdentity, StreamSource};
pub use body_text::DataResponse;
pub use cache_policy::CachePolicy;
pub use cached_response::{CachedUrlResponse, StoragePolicy};
pub use challenge::{AuthChallengeDisposition, UrlAuthenticationChallenge};
pub use cookie::properties::HttpCookiePropertyKey;
pub use cookie::{HttpCookie, HttpCookieAcceptPolicy, HttpCookieStringPolicy};
pub(crate) use cookie::{LONGEST, ports_text};
pub use credential::{UrlCredential, UrlCredentialPersistence};
pub use fields::InvalidHeaderField;
pub(crate) use fields::{HeaderFields, is_of_origin, is_secret};
pub(crate) use forms::{Data, Date, PathForm, RequestForm, UNWRITABLE};
pub(crate) use host::HostId;
pub use into_request::IntoUrlRequest;
pub use protection_space::{
    AuthenticationMethod, UrlProtectionSpace, UrlProtectionSpaceProtocol, UrlProtectionSpaceProxyType,
};
pub use request::{Attribution, HttpBody, NetworkServiceType, UrlRequest};
pub(crate) use response::HttpHead;
pub use response::{HttpUrlResponse, UrlResponse};
pub(crate) use response_form::ResponseForm;
pub(crate) use resume_data::incomplete;
pub use resume_data::{ResumeData, ResumeFailure};
pub use server_trust::ServerTrust;
pub use trailers::BodyTrailers;
pub(crate) use trailers::Trailers;
pub use urlsession_proto::digest_fields::DigestAlgorithm;
