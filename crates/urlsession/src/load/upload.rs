//! The types of an upload that can be resumed after it broke off.

use std::time::SystemTime;

use url::Url;
use urlsession_proto::resumable_upload::Dialect;

/// How an upload begins.
pub(crate) enum Uploading {
    /// With a request to its target.
    Anew,
    /// Where an earlier one stopped.
    From(Box<UploadPoint>),
    /// Not at all any more: the server is told so, and the load fails as a cancelled one.
    GivenUp(Box<UploadPoint>),
}

/// Where a server keeps what it has of an upload, and how much that is. The URL is as good as a password.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct UploadPoint {
    pub(crate) url: Url,
    pub(crate) dialect: Dialect,
    /// Bytes below it need never be sent again.
    pub(crate) offset: u64,
    /// Of the whole, if it is known.
    pub(crate) length: Option<u64>,
    /// Where in the whole the body of the request begins: what is before it, the server had already.
    pub(crate) base: u64,
    /// When the server gives it up, if it says so.
    pub(crate) expires: Option<SystemTime>,
}
