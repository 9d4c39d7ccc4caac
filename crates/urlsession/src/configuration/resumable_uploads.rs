//! How uploads are made resumable: choices only, which the resumable-upload layer reads.

/// Whether and how upload tasks use resumable uploads (draft-ietf-httpbis-resumable-upload, interop versions 8, 6, 5 and
/// 3). Data tasks never do. Not of Apple's, whose upload tasks do as [`Auto`](Self::Auto).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ResumableUploads {
    /// No. Uploads are plain requests.
    Off,
    /// Every upload says that it could be resumed, in three header fields (`Upload-Complete`, `Upload-Length` and
    /// `Upload-Draft-Interop-Version`), and is resumed if the server announces that by an interim response (104). A server
    /// that refuses the fields (400, 412, 417 or 501) gets the request once more in the version it names or without them,
    /// if the body can be sent again, and is then spoken to without them. A server whose interim responses get lost on
    /// the way is asked whether the target takes resumable uploads (`OPTIONS`) from the second upload on, and if it does,
    /// treated as [`UploadStrategy::Careful`] has it, and the way there is asked to forward the parts as they come
    /// (`Incremental: ?1`), unless it refuses; so is one that was heard to take less at once than there is. What is
    /// learned of a server is kept in
    /// [`Configuration::upload_server_storage`](field@crate::Configuration::upload_server_storage).
    #[default]
    Auto,
    /// As automatic, but never as a plain request: a server that refuses fails the upload, or its refusal is the answer.
    Require {
        /// How an upload begins.
        strategy: UploadStrategy,
    },
}

/// How a resumable upload begins. Not of Apple's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum UploadStrategy {
    /// With the whole body: no round trip is lost, but it can be resumed only if interim responses get through.
    #[default]
    Optimistic,
    /// With an empty request, whose final response says where the body goes: one round trip more, and proof against
    /// proxies that drop interim responses. Only for servers known to support it: another takes it for an empty body.
    Careful,
}
