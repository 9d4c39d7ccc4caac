//! `BodyStream`: a request body that is produced while it is sent, as a value.
//!
//! The sources of its bytes, and the code that reads them, are in `body::stream`; this module holds the interface of the two.
//! Apple: `httpBodyStream`.

use std::borrow::Cow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::io::{self, Read};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use futures_core::Stream;

use super::{BodyTrailers, InvalidHeaderField, Trailers};

/// A body produced while it is sent, of known or unknown length. A clone is the same body.
///
/// Without a length the body is sent in chunks (RFC 9112 §7.1) or as HTTP/2 DATA without `Content-Length`.
#[derive(Clone)]
#[doc(alias = "InputStream")]
#[doc(alias = "httpBodyStream")]
pub struct BodyStream {
    source: Arc<dyn StreamSource>,
    length: Option<u64>,
    trailers: Option<Arc<Trailers>>,
}

/// The chunks of a body, pulled one at a time.
pub(crate) type Chunks = Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>;

/// Where the bytes of a [`BodyStream`] come from.
pub(crate) trait StreamSource: Send + Sync {
    /// The chunks; `None` if a stream was taken before, or if the sender has to get it from the delegate.
    fn take(&self) -> Option<Chunks>;

    /// Whether [`take`](Self::take) would return `None`.
    fn is_spent(&self) -> bool;

    /// Whether the body consists of files and data, so that it can be sent from anywhere as often as needed.
    fn is_repeatable(&self) -> bool;

    /// Whether the delegate supplies the body when it is needed.
    fn is_of_delegate(&self) -> bool;

    /// All of it, to be read where blocking is allowed; `None` if it can be read only once, or not from here.
    fn reader(&self) -> Option<Box<dyn Read + Send>>;

    /// Of a whole file: its path, and the identity of the file when the body was made.
    fn file(&self) -> Option<(&Path, FileIdentity)>;

    /// `length` bytes from `start` on; `None` if a file has fewer.
    fn part(self: Arc<Self>, start: u64, length: u64) -> Option<Arc<dyn StreamSource>>;

    /// The same without its first `bytes` bytes.
    fn skipping(self: Arc<Self>, bytes: u64) -> Arc<dyn StreamSource>;
}

/// Which file it is, and in which state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileIdentity {
    /// Device and inode; on Windows the serial number of the volume and the index of the file.
    pub(crate) place: (u64, u64),
    /// In bytes.
    pub(crate) length: u64,
    /// When it was changed last, to the nanosecond.
    pub(crate) modified: Option<SystemTime>,
}

impl BodyStream {
    pub(crate) fn of(source: Arc<dyn StreamSource>, length: Option<u64>) -> Self {
        Self { source, length, trailers: None }
    }

    /// Sets how many bytes the stream has. They are sent with `Content-Length`; if the stream turns out shorter or longer, the
    /// task fails.
    #[must_use]
    pub fn with_length(mut self, length: u64) -> Self {
        self.length = Some(length);
        self
    }

    /// The length in bytes, if it is known.
    pub fn length(&self) -> Option<u64> {
        self.length
    }

    /// The same body without its first `bytes` bytes, for an answer to
    /// [`need_new_body_stream_from`](crate::TaskDelegate::need_new_body_stream_from). A file is read from that offset on; the
    /// first bytes of a stream are read and discarded. If the body has fewer bytes, the task that sends it fails.
    ///
    /// It is still the same stream: it can be taken once, from either value.
    #[must_use]
    pub fn skipping(self, bytes: u64) -> Self {
        if bytes == 0 {
            return self;
        }
        let length = self.length.map(|length| length.saturating_sub(bytes));
        Self { source: self.source.skipping(bytes), length, trailers: self.trailers }
    }

    /// So many bytes from `start` on, without trailers; `None` if a file has fewer.
    pub(crate) fn part(&self, start: u64, length: u64) -> Option<Self> {
        Some(Self::of(self.source.clone().part(start, length)?, Some(length)))
    }

    /// Sends fields of these names after the body. They are made from the sent bytes each time the body is sent. On HTTP/1.1
    /// they follow the last chunk, and the body is sent in chunks even if its length is known; on HTTP/2 they are in a HEADERS
    /// frame. The names are announced in `Trailer`, unless the request has a `Trailer` field of its own. Other protocols, and
    /// forms, do not send them.
    ///
    /// # Errors
    /// If a field of one of these names may not follow a body (RFC 9110 §6.5.1), or a name is not valid.
    pub fn with_trailers<N: Into<Cow<'static, str>>, T: BodyTrailers>(
        mut self,
        names: impl IntoIterator<Item = N>,
        make: impl Fn() -> T + Send + Sync + 'static,
    ) -> Result<Self, InvalidHeaderField> {
        let names = names.into_iter().map(Into::into).collect();
        self.trailers = Some(Arc::new(Trailers::new(names, Box::new(move || Box::new(make())))?));
        Ok(self)
    }

    pub(crate) fn trailers(&self) -> Option<&Arc<Trailers>> {
        self.trailers.as_ref()
    }

    /// The chunks, for a custom protocol that sends them; `None` if those of a stream were taken before.
    pub fn take(&self) -> Option<Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>> {
        self.source.take()
    }

    pub(crate) fn is_spent(&self) -> bool {
        self.source.is_spent()
    }

    pub(crate) fn is_repeatable(&self) -> bool {
        self.source.is_repeatable()
    }

    pub(crate) fn is_of_delegate(&self) -> bool {
        self.source.is_of_delegate()
    }

    pub(crate) fn reader(&self) -> Option<Box<dyn Read + Send>> {
        self.source.reader()
    }

    pub(crate) fn file(&self) -> Option<(&Path, FileIdentity)> {
        self.source.file()
    }
}

/// Streams are equal if they are the same.
impl PartialEq for BodyStream {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.source, &other.source)
    }
}

impl Eq for BodyStream {}

impl Hash for BodyStream {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.source).hash(state);
    }
}

impl fmt::Debug for BodyStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BodyStream").field("length", &self.length).finish_non_exhaustive()
    }
}
