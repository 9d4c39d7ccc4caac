//! `Parts`: a body of `multipart/x-mixed-replace` as responses, each with data of its own. `urlsession_proto::multipart`
//! implements the grammar; `delivery` calls the delegate.

use bytes::Bytes;
use http::header;
use urlsession_proto::mime::MediaType;
use urlsession_proto::multipart::{MultipartError, MultipartSplitter, Piece};

use crate::error::{Phase, Result, UrlError, UrlErrorCode};
use crate::message::UrlResponse;

/// A body that is divided into its parts.
pub(in crate::task) struct Parts {
    whole: UrlResponse,
    splitter: MultipartSplitter,
}

/// What the division gives.
pub(in crate::task) enum Part {
    /// A part begins: its response.
    Response(UrlResponse),
    /// Data of that part.
    Data(Bytes),
}

impl Parts {
    /// `None` if the response is not of that type.
    pub(in crate::task) fn of(response: &UrlResponse) -> Result<Option<Self>> {
        let http = response.http();
        let content_type =
            http.as_ref().and_then(|http| http.headers().get(header::CONTENT_TYPE)?.to_str().ok());
        let Some(media) = content_type.and_then(MediaType::parse) else { return Ok(None) };
        if !media.essence().eq_ignore_ascii_case("multipart/x-mixed-replace") {
            return Ok(None);
        }
        let boundary = media.parameter("boundary").unwrap_or_default();
        let splitter = MultipartSplitter::new(&boundary).map_err(malformed)?;
        Ok(Some(Self { whole: response.clone(), splitter }))
    }

    pub(in crate::task) fn push(&mut self, chunk: &[u8]) {
        self.splitter.push(chunk);
    }

    pub(in crate::task) fn next(&mut self) -> Result<Option<Part>> {
        Ok(match self.splitter.next_piece().map_err(malformed)? {
            Some(Piece::Head(head)) => Some(Part::Response(self.whole.of_part(head.fields, &head.raw))),
            Some(Piece::Data(data)) => Some(Part::Data(data)),
            None => None,
        })
    }

    /// The body has ended: returns the rest of the last part's data.
    pub(in crate::task) fn finish(&mut self) -> Result<Option<Bytes>> {
        self.splitter.finish().map_err(malformed)
    }
}

fn malformed(error: MultipartError) -> UrlError {
    UrlError::new(UrlErrorCode::BadServerResponse, Phase::Body, error.to_string()).with_source(error)
}
