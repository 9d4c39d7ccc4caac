//! Decoding of a loaded body: text by its charset, values of JSON.

use std::borrow::Cow;

use bytes::Bytes;
use encoding_rs::{Encoding, UTF_8};

use super::UrlResponse;
use crate::error::Result;

impl UrlResponse {
    /// The text of a body of this response, in the encoding of its byte order mark, else in that of the `charset` that the
    /// response names, else in UTF-8. Bytes that are not valid in the encoding become U+FFFD.
    pub fn text<'a>(&self, data: &'a [u8]) -> Cow<'a, str> {
        let name = self.text_encoding_name();
        let encoding = name.and_then(|name| Encoding::for_label(name.as_bytes())).unwrap_or(UTF_8);
        encoding.decode(data).0
    }

    /// The value of a body of this response that is JSON. Feature `serde`.
    ///
    /// # Errors
    /// [`CannotParseResponse`](crate::UrlErrorCode::CannotParseResponse) if the body is not JSON of this type.
    #[cfg(feature = "serde")]
    pub fn json<T: serde::de::DeserializeOwned>(&self, data: &[u8]) -> Result<T> {
        use crate::error::{Phase, UrlError, UrlErrorCode};
        serde_json::from_slice(data).map_err(|error| {
            let detail = format!("the body is not JSON of the expected type: {error}");
            UrlError::new(UrlErrorCode::CannotParseResponse, Phase::Decode, detail)
                .with_source(error)
                .with_url(self.url())
        })
    }
}

/// A body in memory and its response, as [`UrlSession::data`](crate::UrlSession::data) gives them, in one chain.
///
/// ```no_run
/// use urlsession::{DataResponse as _, UrlSession};
///
/// # async fn load() -> urlsession::Result<()> {
/// let answer = UrlSession::shared().data("https://example.com/").await?.error_for_status()?;
/// println!("{}", answer.text());
/// # Ok(())
/// # }
/// ```
pub trait DataResponse: Sized {
    /// As [`UrlResponse::error_for_status`].
    ///
    /// # Errors
    /// As there.
    fn error_for_status(self) -> Result<Self>;

    /// As [`UrlResponse::text`].
    fn text(&self) -> Cow<'_, str>;

    /// As [`UrlResponse::json`].
    ///
    /// # Errors
    /// As there.
    #[cfg(feature = "serde")]
    fn json<T: serde::de::DeserializeOwned>(&self) -> Result<T>;

    /// The response of the crate `http`, with the body.
    fn into_http(self) -> http::Response<Bytes>;
}

impl DataResponse for (Bytes, UrlResponse) {
    fn error_for_status(self) -> Result<Self> {
        let (data, response) = self;
        Ok((data, response.error_for_status()?))
    }

    fn text(&self) -> Cow<'_, str> {
        self.1.text(&self.0)
    }

    #[cfg(feature = "serde")]
    fn json<T: serde::de::DeserializeOwned>(&self) -> Result<T> {
        self.1.json(&self.0)
    }

    fn into_http(self) -> http::Response<Bytes> {
        http::Response::from(self.1).map(|()| self.0)
    }
}
