//! Requests and responses of the crate `http`, both ways.

use bytes::Bytes;
use http::uri::InvalidUri;
use http::{Uri, header};
use url::Url;

use super::{BodyStream, HttpBody, HttpUrlResponse, IntoUrlRequest, UrlRequest, UrlResponse};
use crate::error::{Phase, Result, UrlError, UrlErrorCode};

impl From<()> for HttpBody {
    fn from((): ()) -> Self {
        Self::None
    }
}

impl From<BodyStream> for HttpBody {
    fn from(stream: BodyStream) -> Self {
        Self::Stream(stream)
    }
}

macro_rules! data {
    ($($kind:ty),*) => {$(
        impl From<$kind> for HttpBody {
            fn from(data: $kind) -> Self {
                Self::Data(data.into())
            }
        }
    )*};
}

data!(Bytes, Vec<u8>, String, &'static str, &'static [u8]);

/// Takes method, URL, header fields and body. The version is ignored: the connection decides it.
///
/// # Errors
/// [`BadUrl`](UrlErrorCode::BadUrl) if the URI has no scheme and host.
impl<B: Into<HttpBody>> TryFrom<http::Request<B>> for UrlRequest {
    type Error = UrlError;

    fn try_from(request: http::Request<B>) -> Result<Self> {
        let (parts, body) = request.into_parts();
        let mut made = parts.uri.to_string().into_url_request()?;
        made.set_method(parts.method);
        made.set_headers(&parts.headers);
        made.set_content(body.into());
        Ok(made)
    }
}

impl<B: Into<HttpBody>> IntoUrlRequest for http::Request<B> {
    fn into_url_request(self) -> Result<UrlRequest> {
        self.try_into()
    }
}

/// Method, URL without its fragment, header fields and body.
///
/// # Errors
/// [`BadUrl`](UrlErrorCode::BadUrl) if the URL is not one that [`Uri`] can hold: it has no host, such as a `data:` URL.
impl TryFrom<UrlRequest> for http::Request<HttpBody> {
    type Error = UrlError;

    fn try_from(request: UrlRequest) -> Result<Self> {
        let request = request.into_url_request()?;
        let mut url = request.url().clone();
        url.set_fragment(None);
        let refused = || {
            let detail = "the URL is not a URI with a scheme and a host";
            UrlError::new(UrlErrorCode::BadUrl, Phase::Request, detail).with_url(request.url())
        };
        // Without a host, `Uri` parses a URL as another form.
        let uri = Some(url).filter(Url::has_host).ok_or_else(refused)?;
        let uri: Uri = uri.as_str().parse().map_err(|error: InvalidUri| refused().with_source(error))?;
        let mut made = Self::new(request.content().clone());
        *made.method_mut() = request.http_method().clone();
        *made.uri_mut() = uri;
        *made.headers_mut() = request.headers().clone();
        Ok(made)
    }
}

/// Status, version and header fields. For a response of another protocol than HTTP the status is 200, and `Content-Type` is its
/// media type.
impl From<UrlResponse> for http::Response<()> {
    fn from(response: UrlResponse) -> Self {
        let mut made = Self::new(());
        *made.status_mut() = response.status();
        match response.http() {
            Some(http) => {
                *made.version_mut() = http.version();
                *made.headers_mut() = http.headers().clone();
            }
            None => {
                let kind = response.mime_type().and_then(|kind| kind.parse().ok());
                made.headers_mut().extend(kind.map(|kind| (header::CONTENT_TYPE, kind)));
            }
        }
        made
    }
}

impl From<HttpUrlResponse> for http::Response<()> {
    fn from(response: HttpUrlResponse) -> Self {
        UrlResponse::from(response).into()
    }
}
