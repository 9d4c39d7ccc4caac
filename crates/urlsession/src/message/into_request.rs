//! `IntoUrlRequest`: the types that a request is made from, text above all.

use std::str::FromStr;

use url::Url;

use super::UrlRequest;
use crate::error::{Phase, Result, UrlError, UrlErrorCode};

/// What a task can be created from: a URL as text, a [`Url`], a [`UrlRequest`] or a request of the crate `http`.
///
/// Every [`UrlRequest`] has a URL. Text that is not a URL becomes an error instead. The constructors ([`UrlRequest::get`],
/// [`FromStr`], `TryFrom<&str>`) return the error at once; a task or future that is created from such text fails when it is
/// loaded, so that [`data("…")`](crate::UrlSession::data) needs only one `?`.
pub trait IntoUrlRequest {
    /// The request.
    ///
    /// # Errors
    /// [`BadUrl`](UrlErrorCode::BadUrl) if the text is not a URL, or a header field of the request is not valid. The error
    /// repeats the text, unless the text contains an `@`, because a password may precede it.
    fn into_url_request(self) -> Result<UrlRequest>;
}

impl IntoUrlRequest for UrlRequest {
    fn into_url_request(self) -> Result<UrlRequest> {
        self.check_fields()?;
        Ok(self)
    }
}

impl IntoUrlRequest for &UrlRequest {
    fn into_url_request(self) -> Result<UrlRequest> {
        self.clone().into_url_request()
    }
}

impl IntoUrlRequest for Url {
    fn into_url_request(self) -> Result<UrlRequest> {
        Ok(UrlRequest::new(self))
    }
}

impl IntoUrlRequest for &Url {
    fn into_url_request(self) -> Result<UrlRequest> {
        Ok(UrlRequest::new(self.clone()))
    }
}

impl IntoUrlRequest for &str {
    fn into_url_request(self) -> Result<UrlRequest> {
        if let Some((text, zone)) = urlsession_proto::zone::split(self) {
            let mut request = text.as_str().into_url_request()?;
            request.set_zone_id(Some(&zone));
            return Ok(request);
        }
        let url = Url::parse(self).map_err(|error| {
            // What stands before an @ may be a password.
            let text = if self.contains('@') { "the text".into() } else { format!("{self:?}") };
            let why = match error {
                url::ParseError::RelativeUrlWithoutBase => "it has no scheme, such as https://".into(),
                _ => error.to_string(),
            };
            UrlError::new(UrlErrorCode::BadUrl, Phase::Request, format!("{text} is not a URL: {why}"))
                .with_source(error)
        })?;
        Ok(UrlRequest::new(url))
    }
}

/// A GET request for this URL; [`BadUrl`](UrlErrorCode::BadUrl) if the text is not one.
impl FromStr for UrlRequest {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self> {
        text.into_url_request()
    }
}

macro_rules! from_text {
    ($($kind:ty),*) => {$(
        /// A GET request for this URL; [`BadUrl`](UrlErrorCode::BadUrl) if the text is not one.
        impl TryFrom<$kind> for UrlRequest {
            type Error = UrlError;

            fn try_from(text: $kind) -> Result<Self> {
                text.into_url_request()
            }
        }
    )*};
}

from_text!(&str, String, &String);

/// A GET request for this URL.
impl From<Url> for UrlRequest {
    fn from(url: Url) -> Self {
        Self::new(url)
    }
}

impl IntoUrlRequest for String {
    fn into_url_request(self) -> Result<UrlRequest> {
        self.as_str().into_url_request()
    }
}

impl IntoUrlRequest for &String {
    fn into_url_request(self) -> Result<UrlRequest> {
        self.as_str().into_url_request()
    }
}
