//! How uploads are made resumable: choices only, which the resumable-upload layer reads.

/// Whether and how upload tasks use resumable uploads (draft-ietf-httpbis-resumable-upload, interop versions 8, 6, 5 and 3).
/// Data tasks never do. Extension: no counterpart in Apple's API, whose upload tasks work as [`Auto`](Self::Auto).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ResumableUploads {
    /// Never. Uploads are plain requests.
    Off,
    /// Every upload announces that it can be resumed, in three header fields (`Upload-Complete`, `Upload-Length` and
    /// `Upload-Draft-Interop-Version`), and is resumed if the server announces its support by an interim response (104). If a
    /// server refuses the fields (400, 412, 417 or 501), the request is sent once more in the version that the server names, or
    /// without the fields, if the body can be sent again; later uploads to that server are sent without the fields. If the
    /// interim responses of a server get lost on the way, an `OPTIONS` request finds out whether the target supports resumable
    /// uploads, from the second upload on. If it does, uploads begin as in [`UploadStrategy::Careful`], and the requests with
    /// the parts ask the proxies on the way to forward them as they come (`Incremental: ?1`), unless that field is refused. An
    /// upload that is longer than the limit that a server has announced begins with the same `OPTIONS` request. What is learned
    /// of a server is kept in [`Configuration::upload_server_storage`](field@crate::Configuration::upload_server_storage).
    #[default]
    Auto,
    /// As automatic, but never as a plain request: if a server refuses, the upload fails, or the refusal is the response.
    Require {
        /// How an upload begins.
        strategy: UploadStrategy,
    },
}

/// How a resumable upload begins. Extension: no counterpart in Apple's API.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum UploadStrategy {
    /// With the whole body: no round trip is lost, but the upload can be resumed only if interim responses get through.
    #[default]
    Optimistic,
    /// With an empty request, whose final response names the URL for the body: one more round trip, but it works with proxies
    /// that drop interim responses. Only for servers known to support it: any other server treats the request as an empty body.
    Careful,
}
