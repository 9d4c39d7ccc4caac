//! The digest of a body that is complete before it is sent. Other modules decide where the digest is sent.

use std::io::{self, Read};
use std::sync::{Arc, Weak};

use aws_lc_rs::digest::{Context, SHA256, SHA512};
use urlsession_proto::digest_fields::DigestAlgorithm;

use crate::env::RuntimeHandle;
use crate::error::{Phase, Result, UrlError, UrlErrorCode};
use crate::message::HttpBody;

/// Works it out beside the reactor, for as long as it is waited for; a file is read for it. `None` of a body that can be
/// read only once, or not from here.
///
/// # Errors
/// If a file cannot be read, or is not the one it was.
pub(crate) async fn digest_of(
    body: &HttpBody,
    algorithm: DigestAlgorithm,
    runtime: &RuntimeHandle,
) -> Result<Option<Vec<u8>>> {
    let mut reader: Box<dyn Read + Send> = match body {
        HttpBody::None => Box::new(io::empty()),
        HttpBody::Data(data) => Box::new(io::Cursor::new(data.clone())),
        HttpBody::Stream(stream) => match stream.reader() {
            Some(reader) => reader,
            None => return Ok(None),
        },
    };
    let waiting = Arc::new(());
    let is_waited_for = Arc::downgrade(&waiting);
    let work = move || hash(&mut *reader, algorithm, &is_waited_for);
    runtime.blocking(work).await.flatten().map(Some).map_err(|error| {
        let detail = format!("the body could not be read for its digest: {error}");
        UrlError::new(UrlErrorCode::RequestBodyStreamExhausted, Phase::Send, detail).with_source(error)
    })
}

/// A hash to be fed piece by piece.
pub(crate) fn hasher(algorithm: DigestAlgorithm) -> Context {
    Context::new(match algorithm {
        DigestAlgorithm::Sha256 => &SHA256,
        DigestAlgorithm::Sha512 => &SHA512,
    })
}

fn hash(reader: &mut dyn Read, algorithm: DigestAlgorithm, is_waited_for: &Weak<()>) -> io::Result<Vec<u8>> {
    let mut hasher = hasher(algorithm);
    let mut buffer = vec![0; PIECE];
    loop {
        let n = reader.read(&mut buffer)?;
        if n == 0 {
            return Ok(hasher.finish().as_ref().to_vec());
        }
        hasher.update(&buffer[..n]);
        if is_waited_for.strong_count() == 0 {
            return Err(io::ErrorKind::Interrupted.into());
        }
    }
}

/// Bytes read at a time.
const PIECE: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use super::super::MultipartForm;
    use super::*;
    use crate::env::block_on;
    use crate::message::{BodyStream, UrlRequest};

    fn digest(body: HttpBody) -> Result<Option<Vec<u8>>> {
        block_on(digest_of(&body, DigestAlgorithm::Sha256, &RuntimeHandle::own().unwrap()))
    }

    /// FIPS 180-4's example, of `abc`; the rest is its own proof: the same bytes have the same digest.
    #[test]
    fn the_same_bytes_have_the_same_digest_from_memory_files_parts_and_forms() {
        let abc = digest(HttpBody::Data("abc".into())).unwrap().unwrap();
        assert_eq!(abc[..4], [0xba, 0x78, 0x16, 0xbf]);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("body");
        std::fs::write(&path, "xxabcxx").unwrap();
        let file = BodyStream::from_file(&path).unwrap();
        assert_eq!(digest(HttpBody::Stream(file.part(2, 3).unwrap())).unwrap(), Some(abc));

        let mut request = UrlRequest::new("https://a.example/".parse().unwrap());
        request.set_multipart_form(MultipartForm::new().with_file("it", &path).unwrap());
        let form = request.http_body_stream().unwrap().clone();
        let mut content = String::new();
        form.reader().unwrap().read_to_string(&mut content).unwrap();
        assert!(content.contains("xxabcxx") && content.len() as u64 == form.length().unwrap());
        for (start, length) in [(0, 10), (5, 50), (30, content.len() - 30)] {
            let part = content[start..start + length].to_owned();
            let of_stream = HttpBody::Stream(form.part(start as u64, length as u64).unwrap());
            assert_eq!(digest(of_stream).unwrap(), digest(HttpBody::Data(part.into())).unwrap());
        }
    }

    #[test]
    fn what_can_be_read_once_has_none_and_a_file_that_changed_fails() {
        let once = BodyStream::from_reader(io::empty());
        assert_eq!(digest(HttpBody::Stream(once)).unwrap(), None);
        assert_eq!(digest(HttpBody::Stream(BodyStream::of_delegate())).unwrap(), None);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("body");
        std::fs::write(&path, "abc").unwrap();
        let file = BodyStream::from_file(&path).unwrap();
        std::fs::write(&path, "abcd").unwrap();
        let error = digest(HttpBody::Stream(file)).unwrap_err();
        assert_eq!(error.code(), UrlErrorCode::RequestBodyStreamExhausted);
    }
}
