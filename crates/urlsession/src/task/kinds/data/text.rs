//! `Lines`, `Characters` and `UnicodeScalars`: the text of a body as it comes. `lines`, `clusters` and `utf8` of
//! `urlsession_proto` implement the rules.

use std::error::Error;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use urlsession_proto::clusters::ClusterSplitter;
use urlsession_proto::lines::LineSplitter;
use urlsession_proto::utf8::Utf8Decoder;

use super::async_bytes::AsyncBytes;
use crate::env::block_on;
use crate::error::{Phase, Result, UrlError, UrlErrorCode};

impl AsyncBytes {
    /// The body as lines of text. Lines end with LF, CR, CRLF, VT, FF, NEL, LS or PS (Unicode §5.8). Empty lines are left
    /// out, and bytes that are not UTF-8 are replaced by U+FFFD. At most one line and one chunk are held: a line longer
    /// than 1 MiB fails with [`DataLengthExceedsMaximum`](UrlErrorCode::DataLengthExceedsMaximum).
    ///
    /// ```no_run
    /// # use urlsession::UrlSession;
    /// # async fn load() -> urlsession::Result<()> {
    /// let (bytes, _) = UrlSession::shared().bytes("https://example.com/log").await?;
    /// let mut lines = bytes.lines();
    /// while let Some(line) = lines.next_line().await? {
    ///     println!("{line}");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn lines(self) -> Lines {
        Lines(Pieces::new(self, LineSplitter::new(LONGEST_LINE)))
    }

    /// Same as [`lines`](Self::lines), but includes empty lines, which have a meaning in server-sent events and in heads.
    /// Lines end with LF, CR or CRLF only. Extension: no counterpart in Apple's API.
    pub fn lines_with_empty(self) -> Lines {
        Lines(Pieces::new(self, LineSplitter::with_empty(LONGEST_LINE)))
    }

    /// The body as Unicode scalar values. Bytes that are not UTF-8 are replaced by U+FFFD.
    #[doc(alias = "unicodeScalars")]
    pub fn unicode_scalars(self) -> UnicodeScalars {
        UnicodeScalars(Pieces::new(self, Scalars::default()))
    }

    /// The body as characters: extended grapheme clusters, each returned once it is complete. Bytes that are not UTF-8 are
    /// replaced by U+FFFD. A character longer than 4 KiB is an error.
    pub fn characters(self) -> Characters {
        Characters(Pieces::new(self, ClusterSplitter::new(LONGEST_CHARACTER)))
    }
}

/// The lines of an [`AsyncBytes`].
#[doc(alias = "AsyncLineSequence")]
#[derive(Debug)]
pub struct Lines(Pieces<LineSplitter>);

impl Lines {
    /// The [`AsyncBytes`] that this reads from.
    pub fn bytes(&self) -> &AsyncBytes {
        &self.0.bytes
    }

    /// The next line, without its end; `None` at the end. Nothing is lost if this future is dropped before it is ready.
    ///
    /// # Errors
    /// The errors of [`AsyncBytes::chunk`], and a line that is too long. Nothing comes after an error.
    pub async fn next_line(&mut self) -> Result<Option<String>> {
        poll_fn(|cx| self.0.poll(cx)).await.transpose()
    }

    /// The next line. Blocks this thread.
    pub fn wait_line(&mut self) -> Option<Result<String>> {
        self.0.wait()
    }
}

/// The characters of an [`AsyncBytes`] as a person counts them: extended grapheme clusters (Unicode UAX #29).
#[doc(alias = "AsyncCharacterSequence")]
#[derive(Debug)]
pub struct Characters(Pieces<ClusterSplitter>);

impl Characters {
    /// The [`AsyncBytes`] that this reads from.
    pub fn bytes(&self) -> &AsyncBytes {
        &self.0.bytes
    }

    /// The next character; `None` at the end. Nothing is lost if this future is dropped before it is ready.
    ///
    /// # Errors
    /// The errors of [`AsyncBytes::chunk`], and a character that is too long. Nothing comes after an error.
    pub async fn next_character(&mut self) -> Result<Option<String>> {
        poll_fn(|cx| self.0.poll(cx)).await.transpose()
    }

    /// The next character. Blocks this thread.
    pub fn wait_character(&mut self) -> Option<Result<String>> {
        self.0.wait()
    }
}

/// The Unicode scalar values of an [`AsyncBytes`].
#[doc(alias = "AsyncUnicodeScalarSequence")]
#[derive(Debug)]
pub struct UnicodeScalars(Pieces<Scalars>);

impl UnicodeScalars {
    /// The [`AsyncBytes`] that this reads from.
    pub fn bytes(&self) -> &AsyncBytes {
        &self.0.bytes
    }

    /// The next scalar; `None` at the end. Nothing is lost if this future is dropped before it is ready.
    ///
    /// # Errors
    /// The errors of [`AsyncBytes::chunk`]. Nothing comes after an error.
    pub async fn next_scalar(&mut self) -> Result<Option<char>> {
        poll_fn(|cx| self.0.poll(cx)).await.transpose()
    }

    /// The next scalar. Blocks this thread.
    pub fn wait_scalar(&mut self) -> Option<Result<char>> {
        self.0.wait()
    }
}

impl Stream for Lines {
    type Item = Result<String>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<String>>> {
        self.0.poll(cx)
    }
}

impl Stream for Characters {
    type Item = Result<String>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<String>>> {
        self.0.poll(cx)
    }
}

impl Stream for UnicodeScalars {
    type Item = Result<char>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<char>>> {
        self.0.poll(cx)
    }
}

/// Cuts bytes into pieces of text as they arrive.
trait Cutter {
    type Piece;

    fn push(&mut self, chunk: &[u8]);

    /// Called when the last byte has been pushed.
    fn end(&mut self);

    /// The next complete piece.
    fn cut(&mut self) -> Result<Option<Self::Piece>>;
}

/// The pieces of a body.
struct Pieces<C> {
    bytes: AsyncBytes,
    cutter: C,
    has_ended: bool,
    /// True after the last piece or an error: nothing follows.
    is_over: bool,
}

impl<C: Cutter> Pieces<C> {
    fn new(bytes: AsyncBytes, cutter: C) -> Self {
        Self { bytes, cutter, has_ended: false, is_over: false }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<C::Piece>>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        let next = ready!(self.poll_piece(cx)).transpose();
        self.is_over = !matches!(next, Some(Ok(_)));
        Poll::Ready(next)
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<C::Piece>>> {
        loop {
            let piece = self.cutter.cut()?;
            if piece.is_some() || self.has_ended {
                return Poll::Ready(Ok(piece));
            }
            match ready!(self.bytes.poll_chunk(cx)).transpose()? {
                Some(chunk) => self.cutter.push(&chunk),
                None => {
                    self.has_ended = true;
                    self.cutter.end();
                }
            }
        }
    }

    fn wait(&mut self) -> Option<Result<C::Piece>> {
        block_on(poll_fn(|cx| self.poll(cx)))
    }
}

impl<C> fmt::Debug for Pieces<C> {
    // The bytes themselves are not shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.bytes.fmt(f)
    }
}

impl Cutter for LineSplitter {
    type Piece = String;

    fn push(&mut self, chunk: &[u8]) {
        self.push(chunk);
    }

    fn end(&mut self) {
        self.end();
    }

    fn cut(&mut self) -> Result<Option<String>> {
        self.next_line().map_err(|error| too_long("line", LONGEST_LINE, error))
    }
}

impl Cutter for ClusterSplitter {
    type Piece = String;

    fn push(&mut self, chunk: &[u8]) {
        self.push(chunk);
    }

    fn end(&mut self) {
        self.end();
    }

    fn cut(&mut self) -> Result<Option<String>> {
        let next = self.next_cluster().map_err(|error| too_long("character", LONGEST_CHARACTER, error))?;
        Ok(next.map(str::to_owned))
    }
}

#[derive(Default)]
struct Scalars {
    decoder: Utf8Decoder,
    /// The text of one chunk, and how much of it has been returned.
    text: String,
    taken: usize,
}

impl Cutter for Scalars {
    type Piece = char;

    fn push(&mut self, chunk: &[u8]) {
        self.text.clear();
        self.taken = 0;
        self.decoder.push(chunk, &mut self.text);
    }

    fn end(&mut self) {
        self.decoder.finish(&mut self.text);
    }

    fn cut(&mut self) -> Result<Option<char>> {
        let scalar = self.text[self.taken..].chars().next();
        self.taken += scalar.map_or(0, char::len_utf8);
        Ok(scalar)
    }
}

fn too_long(what: &str, longest: usize, error: impl Error + Send + Sync + 'static) -> UrlError {
    let detail = format!("a {what} of the body is longer than {longest} bytes");
    UrlError::new(UrlErrorCode::DataLengthExceedsMaximum, Phase::Body, detail).with_source(error)
}

const LONGEST_LINE: usize = 1024 * 1024;
const LONGEST_CHARACTER: usize = 4 * 1024;
