//! Public values: requests, responses, header fields, body streams, challenges and credentials. They carry no policy and do no IO.

mod body_stream;
mod challenge;
mod credential;
mod fields;
mod file_body;
mod property;
mod protection_space;
mod request;
mod response;
mod server_trust;

pub use body_stream::BodyStream;
pub(crate) use body_stream::Chunks;
pub use challenge::{AuthChallengeDisposition, UrlAuthenticationChallenge};
pub use credential::{UrlCredential, UrlCredentialPersistence};
pub use fields::{HeaderFields, InvalidHeaderField};
pub use protection_space::{
    AuthenticationMethod, UrlProtectionSpace, UrlProtectionSpaceProtocol, UrlProtectionSpaceProxyType,
};
pub use request::{Attribution, CachePolicy, HttpBody, IntoUrlRequest, NetworkServiceType, UrlRequest};
pub(crate) use response::HttpHead;
pub use response::{HttpUrlResponse, UrlResponse};
pub use server_trust::ServerTrust;
