//! Requests in one expression: a constructor for each method, and setters that give the request back.

use std::time::Duration;

use http::Method;
use urlsession_proto::auth::basic;

use super::{HttpBody, IntoUrlRequest, InvalidHeaderField, UrlRequest};
use crate::error::Result;

macro_rules! constructors {
    ($($name:ident $method:ident;)*) => {$(
        #[doc = concat!("A `", stringify!($method), "` request for `url`.")]
        ///
        /// # Errors
        /// [`BadUrl`](crate::UrlErrorCode::BadUrl) if the text is not a URL.
        pub fn $name(url: impl IntoUrlRequest) -> Result<Self> {
            let mut request = url.into_url_request()?;
            request.set_method(Method::$method);
            Ok(request)
        }
    )*};
}

/// # In one expression
///
/// ```
/// use std::time::Duration;
/// use urlsession::UrlRequest;
///
/// # fn main() -> urlsession::Result<()> {
/// let request = UrlRequest::post("https://example.com/notes")?
///     .query("draft", "true")
///     .header("X-Note", "1")
///     .bearer_auth("token")
///     .timeout(Duration::from_secs(10))
///     .body("text");
/// # Ok(())
/// # }
/// ```
///
/// A header field that cannot be sent is kept with the request as an error, and every load of it fails with that error.
impl UrlRequest {
    constructors! {
        get GET;
        post POST;
        put PUT;
        patch PATCH;
        delete DELETE;
        head HEAD;
    }

    /// Gives the header field `name` one more value, which is sent as a field line of its own. [`set_value`](Self::set_value)
    /// replaces values.
    ///
    /// If the name or the value is not valid, every load of this request fails with
    /// [`BadUrl`](crate::UrlErrorCode::BadUrl), which names the field.
    pub fn header(mut self, name: impl AsRef<str>, value: impl AsRef<[u8]>) -> Self {
        self.append_value(name.as_ref(), value.as_ref());
        self
    }

    /// Appends a pair to the query of the URL, percent-encoded as a form field.
    pub fn query(self, name: impl AsRef<str>, value: impl AsRef<str>) -> Self {
        self.query_pairs([(name, value)])
    }

    /// Appends pairs to the query of the URL, percent-encoded as form fields.
    pub fn query_pairs<N: AsRef<str>, V: AsRef<str>>(
        mut self,
        pairs: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        let mut pairs = pairs.into_iter().peekable();
        if pairs.peek().is_some() {
            self.url_mut().query_pairs_mut().extend_pairs(pairs);
        }
        self
    }

    /// Sends `token` in `Authorization` (RFC 6750 §2.1).
    pub fn bearer_auth(self, token: impl AsRef<str>) -> Self {
        self.authorization(format!("Bearer {}", token.as_ref()))
    }

    /// Sends a user and a password in `Authorization` without waiting for a challenge (RFC 7617 §2).
    ///
    /// A user with a colon, and control characters in either, cannot be sent: every load of this request then fails with
    /// [`BadUrl`](crate::UrlErrorCode::BadUrl).
    pub fn basic_auth(mut self, user: impl AsRef<str>, password: impl AsRef<str>) -> Self {
        match basic::authorization(user.as_ref(), password.as_ref()) {
            Some(value) => self.authorization(value),
            None => {
                let what = "a user with a colon, or control characters, cannot be sent (RFC 7617 §2)";
                self.refuse(InvalidHeaderField::new("Authorization", what));
                self
            }
        }
    }

    fn authorization(mut self, value: String) -> Self {
        self.remove_value("Authorization");
        self.header("Authorization", value)
    }

    /// Sends this body, in the place of any other. See [`HttpBody`] for what a body is made from.
    pub fn body(mut self, body: impl Into<HttpBody>) -> Self {
        self.set_content(body.into());
        self
    }

    /// The chainable form of [`set_timeout_interval`](Self::set_timeout_interval).
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.set_timeout_interval(timeout);
        self
    }
}

#[cfg(feature = "serde")]
impl UrlRequest {
    /// Sends `value` as JSON, with `Content-Type: application/json` unless the request has such a field. Feature `serde`.
    ///
    /// # Errors
    /// [`RequestBodyStreamExhausted`](crate::UrlErrorCode::RequestBodyStreamExhausted) if the value cannot be written as
    /// JSON.
    pub fn json<T: serde::Serialize + ?Sized>(self, value: &T) -> Result<Self> {
        let json = serde_json::to_vec(value).map_err(|error| cannot_write("JSON", error))?;
        Ok(self.body_of_type(json, "application/json"))
    }

    /// Sends `value` as the fields of a form, with `Content-Type: application/x-www-form-urlencoded` unless the request has
    /// such a field. Feature `serde`.
    ///
    /// # Errors
    /// [`RequestBodyStreamExhausted`](crate::UrlErrorCode::RequestBodyStreamExhausted) if the value is neither a list of
    /// pairs nor a structure of plain members.
    pub fn form<T: serde::Serialize + ?Sized>(self, value: &T) -> Result<Self> {
        let form = serde_urlencoded::to_string(value).map_err(|error| cannot_write("a form", error))?;
        Ok(self.body_of_type(form.into_bytes(), "application/x-www-form-urlencoded"))
    }

    fn body_of_type(self, body: Vec<u8>, content_type: &str) -> Self {
        let has_type = self.value("Content-Type").is_some();
        let request = self.body(body);
        if has_type { request } else { request.header("Content-Type", content_type) }
    }
}

#[cfg(feature = "serde")]
fn cannot_write(what: &str, error: impl std::error::Error + Send + Sync + 'static) -> crate::UrlError {
    use crate::error::{Phase, UrlError, UrlErrorCode};
    let detail = format!("the value cannot be written as {what}: {error}");
    UrlError::new(UrlErrorCode::RequestBodyStreamExhausted, Phase::Request, detail).with_source(error)
}
