//! `BodyRecord`: the body of a request as the codec writes it, and with it the whole request.
//!
//! A file is written by its name and identity, and must be the one it was when it is read. The rest of a request has its
//! form in `message`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::error::{Phase, Result, UrlError, UrlErrorCode};
use crate::message::{
    BodyStream, Data, Date, FileIdentity, HttpBody, PathForm, RequestForm, ResumeFailure, UNWRITABLE,
    UrlRequest,
};

/// A body as the codec writes it: a file is known again, and the stream of a delegate is asked for again.
#[derive(Default, Serialize, Deserialize)]
pub(crate) enum BodyRecord {
    #[default]
    None,
    Data(Data),
    File(FileRecord),
    OfDelegate,
}

/// A file and what it was when it was named.
#[derive(Serialize, Deserialize)]
pub(crate) struct FileRecord {
    path: PathForm,
    device: u64,
    inode: u64,
    length: u64,
    modified: Option<Date>,
}

impl BodyRecord {
    /// The body.
    ///
    /// # Errors
    /// Says why it cannot be written.
    pub(crate) fn of(body: &HttpBody) -> Result<Self, &'static str> {
        Ok(match body {
            HttpBody::None => Self::None,
            HttpBody::Data(data) => Self::Data(Data(data.clone())),
            HttpBody::Stream(stream) => match stream.file() {
                _ if stream.trailers().is_some() => return Err(UNWRITABLE),
                Some((path, file)) => Self::File(FileRecord {
                    path: PathForm::of(path),
                    device: file.place.0,
                    inode: file.place.1,
                    length: file.length,
                    modified: file.modified.map(Date::of),
                }),
                None if stream.is_of_delegate() => Self::OfDelegate,
                None => return Err(UNWRITABLE),
            },
        })
    }

    /// Gives the request this body. A file is opened: it must be the one it was.
    ///
    /// # Errors
    /// Those of [`BodyStream::from_file`]; [`ResumeFailure::SourceChanged`] for another file.
    pub(crate) fn put_into(self, request: &mut UrlRequest) -> Result<()> {
        match self {
            Self::None => request.remove_http_body(),
            Self::Data(Data(data)) => request.set_http_body(data),
            Self::OfDelegate => request.set_http_body_stream(BodyStream::of_delegate()),
            Self::File(file) => {
                let body = file.open().map_err(|error| error.with_url(request.url()))?;
                request.set_http_body_stream(body);
            }
        }
        Ok(())
    }
}

impl FileRecord {
    fn open(self) -> Result<BodyStream> {
        let path = PathBuf::from(self.path);
        let body = BodyStream::from_file(&path)?;
        let was = FileIdentity {
            place: (self.device, self.inode),
            length: self.length,
            modified: self.modified.and_then(|date| date.date().ok()),
        };
        if body.file().is_none_or(|(_, is)| is != was) {
            let detail = format!("{} has changed since its upload began", path.display());
            let error = UrlError::new(UrlErrorCode::RequestBodyStreamExhausted, Phase::Request, detail);
            return Err(error.with_resume_failure(ResumeFailure::SourceChanged));
        }
        Ok(body)
    }
}

impl RequestForm<BodyRecord> {
    /// The whole request, with its secrets, for another process.
    ///
    /// # Errors
    /// [`RequestBodyStreamExhausted`](UrlErrorCode::RequestBodyStreamExhausted) for a body that only this process has: a
    /// stream that is not one whole file, or has trailers. That of a field that could not be set.
    pub(crate) fn whole(request: &UrlRequest) -> Result<Self> {
        request.check_fields()?;
        let body = BodyRecord::of(request.content()).and_then(|body| match body {
            BodyRecord::OfDelegate => Err(UNWRITABLE),
            body => Ok(body),
        });
        let body = body.map_err(|why| {
            UrlError::new(UrlErrorCode::RequestBodyStreamExhausted, Phase::Request, why)
                .with_url(request.url())
        })?;
        Ok(Self::of(request, body))
    }

    /// The request with its body.
    ///
    /// # Errors
    /// [`CannotParseResponse`](UrlErrorCode::CannotParseResponse) if none is written so, and those of
    /// [`BodyRecord::put_into`].
    pub(crate) fn request(self) -> Result<UrlRequest> {
        let (mut request, body) = self
            .into_parts()
            .map_err(|why| UrlError::new(UrlErrorCode::CannotParseResponse, Phase::Request, why))?;
        body.put_into(&mut request)?;
        Ok(request)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::message::codec::tests::neighbours;
    use crate::message::codec::{read, write};
    use crate::message::{Attribution, CachePolicy, NetworkServiceType};

    fn request() -> UrlRequest {
        let mut request = UrlRequest::new("https://ann:secret@example.com/a?b#c".parse().unwrap());
        request.set_http_method("PATCH").unwrap();
        request.set_value("Authorization", "Bearer secret").unwrap();
        request.set_value("X-Latin-1", b"caf\xe9").unwrap();
        request.set_timeout_interval(Duration::from_millis(1500));
        request.set_cache_policy(CachePolicy::ReturnCacheDataElseLoad);
        request.set_main_document_url(Some("https://me:secret@example.org/".parse().unwrap()));
        request.set_network_service_type(NetworkServiceType::Video);
        request.set_attribution(Attribution::User);
        request.set_cookie_partition_identifier(Some("https://example.org"));
        request.set_allows_cellular_access(false);
        request
    }

    fn written(request: &UrlRequest) -> Vec<u8> {
        write(&RequestForm::whole(request).unwrap())
    }

    fn back(bytes: &[u8]) -> Option<Result<UrlRequest>> {
        read::<RequestForm<BodyRecord>>(bytes).map(RequestForm::request)
    }

    #[test]
    fn a_whole_request_is_read_as_it_was_written() {
        let plain = UrlRequest::new("data:,x".parse().unwrap());
        let mut zone = UrlRequest::new("http://[fe80::1]/".parse().unwrap());
        zone.set_zone_id(Some("eth0"));
        let mut data = request();
        data.set_http_body(&b"\0\xff body"[..]);
        for request in [request(), plain, zone, data] {
            assert!(back(&written(&request)).unwrap().unwrap() == request, "{request:?}");
        }
    }

    #[test]
    fn secrets_are_left_out_where_they_are_not_wanted() {
        let form = RequestForm::without_secrets(&request(), ());
        let bytes = write(&form);
        assert!(!bytes.windows(6).any(|part| part == b"secret"));
        let (read, ()) = form.into_parts().unwrap();
        assert_eq!((read.value("authorization"), read.fields().len()), (None, 1));
        assert!(RequestForm::without_fields(&request(), ()).into_parts().unwrap().0.fields().is_empty());
    }

    #[test]
    fn a_file_is_named_and_must_be_the_one_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bödy");
        std::fs::write(&path, "0123456789").unwrap();
        let mut request = request();
        request.set_http_body_stream(BodyStream::from_file(&path).unwrap());
        let bytes = written(&request);
        assert!(!bytes.windows(10).any(|part| part == b"0123456789"));
        let read = back(&bytes).unwrap().unwrap();
        assert_eq!(read.http_body_stream().unwrap().file(), request.http_body_stream().unwrap().file());
        std::fs::write(&path, "another").unwrap();
        let error = back(&bytes).unwrap().unwrap_err();
        assert_eq!(error.resume_failure(), Some(ResumeFailure::SourceChanged));
        std::fs::remove_file(&path).unwrap();
        assert_eq!(back(&bytes).unwrap().unwrap_err().code(), UrlErrorCode::FileDoesNotExist);
    }

    #[cfg(unix)]
    #[test]
    fn a_path_of_any_bytes_is_written() {
        use std::os::unix::ffi::OsStrExt;
        for name in [&b"caf\xe9"[..], b"\x01a", "ü".as_bytes()] {
            let path = std::path::Path::new(std::ffi::OsStr::from_bytes(name));
            assert_eq!(PathBuf::from(read::<PathForm>(&write(&PathForm::of(path))).unwrap()), path);
        }
    }

    #[test]
    fn a_stream_and_a_field_that_could_not_be_set_are_errors() {
        let mut stream = request();
        for body in [BodyStream::from_reader(std::io::empty()), BodyStream::of_delegate()] {
            stream.set_http_body_stream(body);
            let error = RequestForm::whole(&stream).err().unwrap();
            assert_eq!(error.code(), UrlErrorCode::RequestBodyStreamExhausted);
            assert!(error.to_string().contains("cannot be serialized"), "{error}");
        }
        assert!(RequestForm::whole(&request().header("X Y", "z")).is_err());
    }

    #[test]
    fn whatever_is_read_is_a_request_that_can_be_written() {
        let mut data = request();
        data.set_http_body("0123");
        for near in neighbours(&written(&data)) {
            match back(&near) {
                Some(Ok(request)) => assert!(back(&written(&request)).unwrap().unwrap() == request),
                Some(Err(error)) => assert!(!error.to_string().contains("secret"), "{error}"),
                None => {}
            }
        }
    }
}
