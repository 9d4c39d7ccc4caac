//! `CachedUrlResponse`: a response with its body, as a cache keeps it. A value without a reference to a cache.
//!
//! Apple: *CachedURLResponse*.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{Hash, Hasher};

use bytes::Bytes;

use super::UrlResponse;

/// A response, its body, and how it may be kept. Two values are equal if response, data and policy are.
#[derive(Clone)]
#[doc(alias = "CachedURLResponse")]
pub struct CachedUrlResponse {
    response: UrlResponse,
    data: Bytes,
    user_info: Option<BTreeMap<String, String>>,
    policy: StoragePolicy,
    is_coded: bool,
}

impl CachedUrlResponse {
    /// A response that may be kept anywhere. `data` is decoded content, whatever the response's `Content-Encoding` says.
    #[doc(alias = "init(response:data:)")]
    pub fn new(response: impl Into<UrlResponse>, data: impl Into<Bytes>) -> Self {
        Self {
            response: response.into(),
            data: data.into(),
            user_info: None,
            policy: StoragePolicy::Allowed,
            is_coded: false,
        }
    }

    /// A response that came from a server: its data is coded as its head says.
    pub(crate) fn coded(response: UrlResponse, data: Bytes) -> Self {
        Self { is_coded: true, ..Self::new(response, data) }
    }

    /// The same with notes of the application.
    #[doc(alias = "init(response:data:userInfo:storagePolicy:)")]
    pub fn with_user_info(mut self, user_info: impl Into<Option<BTreeMap<String, String>>>) -> Self {
        self.user_info = user_info.into();
        self
    }

    /// The same with another policy.
    pub fn with_storage_policy(mut self, policy: StoragePolicy) -> Self {
        self.policy = policy;
        self
    }

    /// The response.
    pub fn response(&self) -> &UrlResponse {
        &self.response
    }

    /// The body. For a response that a session has kept, these are the bytes as received: coded, if the head has a
    /// `Content-Encoding`.
    pub fn data(&self) -> &Bytes {
        &self.data
    }

    /// The notes of the application. Default: `None`.
    #[doc(alias = "userInfo")]
    pub fn user_info(&self) -> Option<&BTreeMap<String, String>> {
        self.user_info.as_ref()
    }

    /// Where the response may be kept. Default: anywhere.
    #[doc(alias = "storagePolicy")]
    pub fn storage_policy(&self) -> StoragePolicy {
        self.policy
    }

    pub(crate) fn is_coded(&self) -> bool {
        self.is_coded
    }

    /// Marks the data as coded, if it is the same data as that of a coded response: an application that only adds its notes
    /// makes a new value of the same data.
    pub(crate) fn coded_like(mut self, other: &Self) -> Self {
        self.is_coded |= other.is_coded && other.data == self.data;
        self
    }
}

impl PartialEq for CachedUrlResponse {
    fn eq(&self, other: &Self) -> bool {
        self.response == other.response && self.data == other.data && self.policy == other.policy
    }
}

impl Eq for CachedUrlResponse {}

impl Hash for CachedUrlResponse {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.response.hash(state);
        self.data.hash(state);
        self.policy.hash(state);
    }
}

/// The body and the application's notes are private.
impl fmt::Debug for CachedUrlResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CachedUrlResponse")
            .field("response", &self.response)
            .field("length", &self.data.len())
            .field("storage_policy", &self.policy)
            .finish_non_exhaustive()
    }
}

/// Where a response may be kept. Numbers are Apple's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[doc(alias = "URLCache.StoragePolicy")]
pub enum StoragePolicy {
    /// In memory and on disk.
    #[default]
    #[doc(alias = "allowed")]
    Allowed = 0,
    /// In memory.
    #[doc(alias = "allowedInMemoryOnly")]
    AllowedInMemoryOnly = 1,
    /// Nowhere.
    #[doc(alias = "notAllowed")]
    NotAllowed = 2,
}
