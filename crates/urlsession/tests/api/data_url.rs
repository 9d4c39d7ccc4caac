//! `data:` URLs.

use urlsession::{Configuration, UrlErrorCode, UrlSession};

use crate::support::*;

const FAMILY: &str = "\u{1F468}\u{200D}\u{1F469}\u{200D}\u{1F467}\u{200D}\u{1F466}";

fn utf16(bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
    FAMILY.encode_utf16().flat_map(bytes).collect()
}

#[test]
fn test_valid_uris() {
    let family = FAMILY.as_bytes().to_vec();
    let (little, big) = (utf16(u16::to_le_bytes), utf16(u16::to_be_bytes));
    let plain = "text/plain";
    // Length, MIME type, charset and body of each.
    let rows = [
        ("data:,123", 3, plain, None, b"123".to_vec()),
        (
            "data:;charset=utf-8;base64,8J+RqOKAjfCfkanigI3wn5Gn4oCN8J+Rpg==",
            25,
            plain,
            Some("utf-8"),
            family.clone(),
        ),
        (
            "data:text/plain;charset=utf-8,%f0%9f%91%a8%e2%80%8d%f0%9f%91%a9%e2%80%8d%f0%9f%91%a7%e2%80%8d%f0%9f%91%a6",
            25,
            plain,
            Some("utf-8"),
            family,
        ),
        (
            "data:text/plain;charset=utf-16;base64,Pdho3A0gPdhp3A0gPdhn3A0gPdhm3A==",
            22,
            plain,
            Some("utf-16"),
            little.clone(),
        ),
        (
            "data:text/plain;charset=utf-16le;base64,Pdho3A0gPdhp3A0gPdhn3A0gPdhm3A==",
            22,
            plain,
            Some("utf-16le"),
            little,
        ),
        (
            "data:text/plain;charset=utf-16be;base64,2D3caCAN2D3caSAN2D3cZyAN2D3cZg==",
            22,
            plain,
            Some("utf-16be"),
            big,
        ),
        (
            "data:application/json;charset=iso-8859-1;key=value,,123",
            4,
            "application/json",
            Some("iso-8859-1"),
            b",123".to_vec(),
        ),
        ("data:;charset=utf-8;charset=utf-16;image/png,abc", 3, plain, Some("utf-8"), b"abc".to_vec()),
        ("data:a/b;key=value;charset=macroman,blahblah", 8, "a/b", Some("macroman"), b"blahblah".to_vec()),
    ];
    for (url, length, mime, charset, body) in rows {
        let (session, recorder) = with_recorder(Configuration::ephemeral(), Recorder::new());
        session.data_task(url).resume();
        let log = recorder.completed(1);
        assert_eq!(log.calls, ["didReceiveResponse", "didReceiveData", "didComplete"], "{url}");
        let response = log.response.unwrap();
        assert_eq!(response.url().as_str(), url);
        assert_eq!(response.expected_content_length(), Some(length), "{url}");
        assert_eq!(response.mime_type().as_deref(), Some(mime), "{url}");
        assert_eq!(response.text_encoding_name().as_deref(), charset, "{url}");
        assert_eq!((log.data, log.completions[0].is_none()), (body, true), "{url}");
    }
}

#[test]
fn test_invalid_uris() {
    for url in [
        "data://blah",
        "data:%2c123",
        "data:application_json;charset=iso-8859-%31;key=value,123,",
        "data:appli/cation/json%3bcharset=iso-8859-1%3bkey=value,,123",
    ] {
        let (session, recorder) = with_recorder(Configuration::ephemeral(), Recorder::new());
        session.data_task(url).resume();
        let log = recorder.completed(1);
        assert_eq!((log.calls, log.response), (vec!["didComplete"], None), "{url}");
        let error = log.completions[0].as_ref().unwrap();
        assert_eq!(error.code(), UrlErrorCode::BadUrl, "{url}");
        // What a URL holds is not for logs.
        assert!(!format!("{error} {error:?}").contains("123"), "{error:?}");
    }
}

#[test]
fn every_style_loads_them_and_metrics_know_no_connection() {
    let session = UrlSession::new(Configuration::ephemeral());
    let load = session.data("data:;base64,SGk=");
    let task = load.task();
    assert_eq!(text(&load.wait().unwrap().0), "Hi");
    let metrics = task.metrics().unwrap();
    let [transaction] = &metrics.transaction_metrics[..] else { panic!("one transaction") };
    assert_eq!((transaction.network_protocol_name, transaction.remote_address), (None, None));
    assert_eq!(transaction.count_of_response_body_bytes_after_decoding, 2);
    in_tokio(async {
        let (bytes, response) = session.bytes("data:text/html,<p>").await.unwrap();
        assert_eq!(response.mime_type().as_deref(), Some("text/html"));
        assert_eq!(drain(bytes).await.len(), 1);
    });
    assert_eq!(text(&super::support::load(&session, "data:,#fragment").unwrap().0), "");
}
