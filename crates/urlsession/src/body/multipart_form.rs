//! `MultipartForm`: a form with text, data, files and streams as the body of a request (RFC 7578).
//! `urlsession_proto::form_data` writes it. Extension: no counterpart in Apple's API.

use std::error::Error;
use std::fmt;
use std::path::Path;

use bytes::Bytes;
use urlsession_proto::{form_data, mime};

use super::stream::{self, Piece};
use crate::env::random;
use crate::error::Result;
use crate::message::{BodyStream, HeaderFields, InvalidHeaderField, UrlRequest};

/// A form, to be sent as `multipart/form-data`.
///
/// The length of the form is known, and sent, if the length of every part is known. The form can be sent again, after a
/// redirect or a login, if every part can be sent again. Files are opened when they are sent; if a file has changed by
/// then, the task fails. Extension: no counterpart in Apple's API.
///
/// ```
/// use urlsession::bodies::FormPart;
/// use urlsession::{MultipartForm, UrlRequest};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let notes = FormPart::data("a,b\n1,2\n").with_file_name("notes.csv");
/// let form = MultipartForm::new().with_text("title", "Notes").with_part("file", notes);
/// let mut request = UrlRequest::new("https://example.com/upload".parse()?);
/// request.set_http_method("POST")?;
/// request.set_multipart_form(form);
/// # Ok(())
/// # }
/// ```
pub struct MultipartForm {
    boundary: String,
    parts: Vec<(String, FormPart)>,
}

impl MultipartForm {
    /// Creates a form without parts. The boundary is random and 37 characters long: it does not occur in data by accident,
    /// and cannot be guessed.
    pub fn new() -> Self {
        let mut bytes = [0; 16];
        random(&mut bytes);
        Self { boundary: form_data::boundary(bytes), parts: Vec::new() }
    }

    /// Creates a form without parts that has this boundary. The caller must make sure that no part contains the boundary.
    ///
    /// # Errors
    /// If the boundary is not 1 to 70 characters long, contains a character that RFC 2046 §5.1.1 does not allow, or ends in
    /// a space.
    pub fn with_boundary(boundary: impl Into<String>) -> Result<Self, InvalidBoundary> {
        let boundary = boundary.into();
        match form_data::is_boundary(&boundary) {
            true => Ok(Self { boundary, parts: Vec::new() }),
            false => Err(InvalidBoundary(())),
        }
    }

    /// Adds a text field.
    #[must_use]
    pub fn with_text(self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.with_part(name, FormPart::text(value))
    }

    /// Adds a file with its own file name, and with the content type of its extension.
    ///
    /// # Errors
    /// As [`BodyStream::from_file`].
    pub fn with_file(self, name: impl Into<String>, path: impl AsRef<Path>) -> Result<Self> {
        Ok(self.with_part(name, FormPart::file(path)?))
    }

    /// Adds a part. Names need not be unique: several files of one field are parts of the same name (RFC 7578 §4.3).
    #[must_use]
    pub fn with_part(mut self, name: impl Into<String>, part: FormPart) -> Self {
        self.parts.push((name.into(), part));
        self
    }

    /// The boundary that separates the parts.
    pub fn boundary(&self) -> &str {
        &self.boundary
    }

    /// The value of `Content-Type` for this form.
    pub fn content_type(&self) -> String {
        form_data::content_type(&self.boundary)
    }
}

impl Default for MultipartForm {
    fn default() -> Self {
        Self::new()
    }
}

/// Values may be secrets: they are not shown.
impl fmt::Debug for MultipartForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MultipartForm").field("boundary", &self.boundary).field("parts", &self.parts).finish()
    }
}

impl From<MultipartForm> for BodyStream {
    fn from(form: MultipartForm) -> Self {
        let mut pieces = Vec::with_capacity(2 * form.parts.len() + 1);
        let has_parts = !form.parts.is_empty();
        for (at, (name, part)) in form.parts.into_iter().enumerate() {
            let content_type = part.content_type();
            let file_name = part.file_name.as_deref();
            let head =
                form_data::part_head(&form.boundary, at == 0, &name, file_name, content_type.as_deref());
            pieces.push(Piece::Data(head.into()));
            pieces.push(match part.content {
                Content::Text(data) | Content::Data(data) => Piece::Data(data),
                Content::Stream(body) => Piece::Body(body),
            });
        }
        pieces.push(Piece::Data(form_data::end(&form.boundary, has_parts).into()));
        stream::of_pieces(pieces)
    }
}

impl UrlRequest {
    /// Sets a form as the body, and sets `Content-Type`. Replaces any other body. Extension: no counterpart in Apple's API.
    pub fn set_multipart_form(&mut self, form: MultipartForm) {
        // A boundary is checked when the form is made.
        let _ = self.set_value("Content-Type", form.content_type());
        self.set_http_body_stream(form.into());
    }
}

/// A part of a [`MultipartForm`].
pub struct FormPart {
    content: Content,
    content_type: Option<String>,
    file_name: Option<String>,
}

enum Content {
    Text(Bytes),
    Data(Bytes),
    Stream(BodyStream),
}

impl FormPart {
    /// A text part, sent in UTF-8 without a content type; the default content type is text (RFC 7578 §4.4, §5.1.2).
    pub fn text(value: impl Into<String>) -> Self {
        Self::of(Content::Text(value.into().into()))
    }

    /// Bytes.
    pub fn data(data: impl Into<Bytes>) -> Self {
        Self::of(Content::Data(data.into()))
    }

    /// A file part with the file's own name. The length of the part is the current length of the file; the task fails if
    /// the file has changed when it is sent.
    ///
    /// # Errors
    /// As [`BodyStream::from_file`].
    pub fn file(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let mut part = Self::stream(BodyStream::from_file(path)?);
        part.file_name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        Ok(part)
    }

    /// A stream part. If the stream has no length, the form has no length.
    pub fn stream(body: BodyStream) -> Self {
        Self::of(Content::Stream(body))
    }

    fn of(content: Content) -> Self {
        Self { content, content_type: None, file_name: None }
    }

    /// Sends this file name, in UTF-8, with `"`, CR and LF as `%22`, `%0D` and `%0A`, as browsers do. Most servers treat a
    /// part with a file name as a file.
    #[must_use]
    pub fn with_file_name(mut self, name: impl Into<String>) -> Self {
        self.file_name = Some(name.into());
        self
    }

    /// Sends no file name.
    #[must_use]
    pub fn without_file_name(mut self) -> Self {
        self.file_name = None;
        self
    }

    /// Sends this content type. Default: the content type of the file name's extension, else `application/octet-stream`;
    /// none for text without a file name.
    ///
    /// # Errors
    /// If the value contains a line break or NUL.
    pub fn with_content_type(mut self, content_type: impl Into<String>) -> Result<Self, InvalidHeaderField> {
        let content_type = content_type.into();
        HeaderFields::new().set("Content-Type", content_type.clone())?;
        if content_type.contains(['\r', '\n']) {
            // A folded value is sent in one line, and here nothing unfolds it.
            self.content_type = Some(content_type.split_whitespace().collect::<Vec<_>>().join(" "));
        } else {
            self.content_type = Some(content_type);
        }
        Ok(self)
    }

    fn content_type(&self) -> Option<String> {
        if self.content_type.is_some() {
            return self.content_type.clone();
        }
        let extension = self.file_name.as_deref().and_then(|name| Path::new(name).extension()?.to_str());
        match (extension.and_then(mime::for_extension), &self.content) {
            (Some(known), _) => Some(known.into()),
            (None, Content::Text(_)) => None,
            (None, Content::Data(_) | Content::Stream(_)) => Some("application/octet-stream".into()),
        }
    }
}

impl fmt::Debug for FormPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FormPart")
            .field("content_type", &self.content_type())
            .field("file_name", &self.file_name)
            .finish_non_exhaustive()
    }
}

/// The error of a boundary that RFC 2046 §5.1.1 does not allow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidBoundary(());

impl fmt::Display for InvalidBoundary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "a boundary has 1 to 70 letters, digits or '()+_,-./:=? and spaces, and no space at its end",
        )
    }
}

impl Error for InvalidBoundary {}

#[cfg(test)]
mod tests {
    use super::*;

    fn head_of(part: FormPart) -> String {
        let form = MultipartForm::with_boundary("b").unwrap().with_part("n", part);
        let mut chunks = BodyStream::from(form).take().unwrap();
        let next = |cx: &mut std::task::Context<'_>| chunks.as_mut().poll_next(cx);
        let chunk = crate::env::block_on(std::future::poll_fn(next)).unwrap().unwrap();
        String::from_utf8(chunk.to_vec()).unwrap()
    }

    #[test]
    fn a_part_has_the_type_it_is_given_else_that_of_its_name() {
        let line = |part: FormPart| {
            let head = head_of(part);
            head.lines().find_map(|line| line.strip_prefix("Content-Type: ").map(str::to_owned))
        };
        let typed = |kind: &str| Some(kind.to_owned());
        assert_eq!(line(FormPart::text("x")), None);
        assert_eq!(line(FormPart::text("x").with_file_name("x.HTML")), typed("text/html"));
        assert_eq!(line(FormPart::data("x")), typed("application/octet-stream"));
        assert_eq!(line(FormPart::data("x").with_file_name("x.json")), typed("application/json"));
        assert_eq!(
            line(FormPart::data("x").with_file_name("x.unheard-of")),
            typed("application/octet-stream")
        );
        let own =
            FormPart::data("x").with_file_name("x.json").with_content_type("text/x; charset=utf-8").unwrap();
        assert_eq!(line(own), typed("text/x; charset=utf-8"));
        let folded = FormPart::data("x").with_content_type("text/x;\r\n a=b").unwrap();
        assert_eq!(line(folded), typed("text/x; a=b"));
        assert!(FormPart::data("x").with_content_type("text/x\r\nX-Evil: 1").is_err());
    }

    #[test]
    fn a_file_goes_by_its_own_name_unless_it_is_given_another_or_none() {
        let folder = tempfile::tempdir().unwrap();
        // Windows has no such names.
        let (name, shown) = match cfg!(windows) {
            true => ("a plain name.png", "a plain name.png"),
            false => ("a \"quoted\" name.png", "a %22quoted%22 name.png"),
        };
        let path = folder.path().join(name);
        std::fs::write(&path, "x").unwrap();
        let file = || FormPart::file(&path).unwrap();
        let wanted = format!("filename=\"{shown}\"\r\nContent-Type: image/png");
        assert!(head_of(file()).contains(&wanted));
        let named = head_of(file().with_file_name("a \"quoted\" name.png"));
        assert!(named.contains("filename=\"a %22quoted%22 name.png\"\r\n"), "{named}");
        assert!(head_of(file().with_file_name("b")).contains("filename=\"b\"\r\n"));
        assert!(!head_of(file().without_file_name()).contains("filename"));
        assert!(FormPart::file(folder.path()).is_err());
    }

    #[test]
    fn boundaries_are_random_unless_they_are_given() {
        assert_ne!(MultipartForm::new().boundary(), MultipartForm::default().boundary());
        assert_eq!(
            MultipartForm::with_boundary("x y").unwrap().content_type(),
            "multipart/form-data; boundary=\"x y\""
        );
        assert!(MultipartForm::with_boundary("x\r\n").unwrap_err().to_string().contains("1 to 70"));
    }

    #[test]
    fn values_are_not_shown() {
        let form = MultipartForm::new().with_text("password", "s3cret");
        assert!(!format!("{form:?}").contains("s3cret"));
    }
}
