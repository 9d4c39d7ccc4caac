//! `file:` URLs.

use std::fs;
use std::path::Path;

use urlsession::{CachePolicy, Configuration, Url, UrlError, UrlErrorCode, UrlRequest, UrlSession};
use urlsession_testkit::{Reply, Wire};

use crate::support::*;

fn url(path: &Path) -> String {
    Url::from_file_path(path).unwrap().into()
}

fn code(path: &Path) -> UrlErrorCode {
    let error: UrlError = load(&UrlSession::new(Configuration::ephemeral()), url(path)).unwrap_err();
    error.code()
}

#[test]
fn a_file_is_loaded_with_its_length_and_the_type_of_its_extension() {
    let folder = tempfile::tempdir().unwrap();
    let session = UrlSession::new(Configuration::ephemeral());
    for (name, mime) in [
        ("a page.html", "text/html"),
        ("photo.JPG", "image/jpeg"),
        ("unheard.of", "application/octet-stream"),
        ("none", "application/octet-stream"),
    ] {
        let path = folder.path().join(name);
        fs::write(&path, name).unwrap();
        let (data, response) = load(&session, url(&path)).unwrap();
        assert_eq!((text(&data), response.mime_type().as_deref()), (name, Some(mime)));
        assert_eq!(response.expected_content_length(), Some(name.len() as u64));
        assert_eq!((response.url().as_str(), response.status_code()), (&url(&path)[..], None));
    }
    let empty = folder.path().join("empty.txt");
    fs::write(&empty, "").unwrap();
    assert_eq!(load(&session, url(&empty)).unwrap().0.len(), 0);
}

#[test]
fn a_delegate_hears_of_a_file_as_of_anything_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("long.bin");
    let long = (0..300_000u32).map(|n| n as u8).collect::<Vec<_>>();
    fs::write(&path, &long).unwrap();
    let (session, recorder) = with_recorder(Configuration::ephemeral(), Recorder::new());
    let task = session.data_task(url(&path));
    task.resume();
    let log = recorder.completed(1);
    assert_eq!(log.calls, ["didReceiveResponse", "didReceiveData", "didComplete"]);
    assert!(log.data == long);
    assert_eq!(task.count_of_bytes_expected_to_receive(), Some(300_000));
    assert_eq!(log.metrics[0].transaction_metrics.len(), 1);
}

#[test]
fn a_long_file_is_read_piece_by_piece() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("long.bin");
    fs::File::create(&path).unwrap().set_len(10 << 20).unwrap();
    in_tokio(async {
        let session = UrlSession::new(Configuration::ephemeral());
        let (mut bytes, _) = session.bytes(url(&path)).await.unwrap();
        let first = next(&mut bytes).await.unwrap().unwrap().len();
        assert!((1..=64 * 1024).contains(&first), "{first}");
        let mut all = first;
        while let Some(chunk) = next(&mut bytes).await {
            all += chunk.unwrap().len();
        }
        assert_eq!(all, 10 << 20);
    });
}

#[test]
fn what_is_no_file_says_what_it_is() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(code(folder.path()), UrlErrorCode::FileIsDirectory);
    assert_eq!(code(&folder.path().join("missing")), UrlErrorCode::FileDoesNotExist);
    let session = UrlSession::new(Configuration::ephemeral());
    let elsewhere = load(&session, "file://server.example/file").unwrap_err();
    assert_eq!(elsewhere.code(), UrlErrorCode::BadUrl);
}

#[cfg(unix)]
#[test]
fn a_file_that_may_not_be_read_and_a_device_are_refused() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret.txt");
    fs::write(&path, "secret").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    // Whoever may read everything is refused nothing.
    if fs::File::open(&path).is_err() {
        assert_eq!(code(&path), UrlErrorCode::NoPermissionsToReadFile);
    }
    assert_eq!(code(Path::new("/dev/null")), UrlErrorCode::CannotOpenFile);
}

#[test]
fn a_redirect_of_http_does_not_lead_to_a_file() {
    on(Wire::H1, |origin| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret.txt");
        fs::write(&path, "secret").unwrap();
        origin.enqueue("/trap", Reply::new(302).header("location", url(&path)));
        let error = load(&session(origin), origin.url("/trap")).unwrap_err();
        assert_eq!(error.code(), UrlErrorCode::UnsupportedUrl);
    });
}

#[test]
fn a_file_is_in_no_cache_and_is_loaded_unless_only_a_cache_may_be() {
    use CachePolicy as Policy;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a");
    fs::write(&path, "text").unwrap();
    let policies = [
        Policy::UseProtocolCachePolicy,
        Policy::ReloadIgnoringLocalCacheData,
        Policy::ReturnCacheDataElseLoad,
        Policy::ReturnCacheDataDontLoad,
        Policy::ReloadIgnoringLocalAndRemoteCacheData,
        Policy::ReloadRevalidatingCacheData,
    ];
    for of_session in policies {
        for own in policies {
            let configuration = Configuration::ephemeral().request_cache_policy(of_session);
            let mut request = UrlRequest::new(url(&path).parse().unwrap());
            request.set_cache_policy(own);
            let result = load(&UrlSession::new(configuration), request);
            let policy = if own == Policy::UseProtocolCachePolicy { of_session } else { own };
            let expected = match policy {
                Policy::ReturnCacheDataDontLoad => Err(UrlErrorCode::CannotLoadFromNetwork),
                _ => Ok("text".to_owned()),
            };
            let got = result.map(|(data, _)| text(&data).to_owned()).map_err(|error| error.code());
            assert_eq!(got, expected, "{of_session:?} {own:?}");
        }
    }
}
