//! Proves the upload server against a raw socket: what goes out byte by byte in each version, and where it cuts.

mod common;

use common::{LIMIT, Raw, field};
use urlsession_testkit::{Origin, Refusal, UploadFault, UploadLimits, UploadServer, UploadStep};

fn request(line: &str, fields: &[&str], length: usize) -> String {
    let fields = fields.iter().map(|field| format!("{field}\r\n")).collect::<String>();
    format!("{line} HTTP/1.1\r\nHost: localhost\r\n{fields}Content-Length: {length}\r\n\r\n")
}

#[test]
fn an_upload_is_announced_before_its_body_is_read_and_cut_at_the_byte() {
    let server = UploadServer::new(8).limited(UploadLimits { max_age: Some(60), ..UploadLimits::appends(9) });
    let origin = Origin::builder().uploads(&server).start();
    server.at(UploadStep::Creation, [UploadFault::CutAt(3)]);
    let version = "Upload-Draft-Interop-Version: 8";
    let mut raw = Raw::connect(&origin);
    raw.send(request("POST /a", &[version, "Upload-Complete: ?1", "Upload-Length: 9"], 9));
    let announced = "HTTP/1.1 104 Upload Resumption Supported\r\nUpload-Draft-Interop-Version: 8\r\n\
                     Location: /uploads/0\r\nUpload-Limit: max-append-size=9, max-age=60\r\n\r\n";
    assert_eq!(raw.head(), announced);
    raw.send("012345678");
    assert_eq!(raw.rest_text(), "");
    assert_eq!(server.content(0), b"012");

    let mut raw = Raw::connect(&origin);
    raw.send(format!("HEAD /uploads/0 HTTP/1.1\r\nHost: localhost\r\n{version}\r\n\r\n"));
    let head = raw.head();
    assert!(head.starts_with("HTTP/1.1 204 "), "{head}");
    for (name, value) in [
        ("Upload-Offset", "3"),
        ("Upload-Complete", "?0"),
        ("Upload-Length", "9"),
        ("Cache-Control", "no-store"),
    ] {
        assert_eq!(field(&head, name), Some(value), "{head}");
    }
    let partial = "Content-Type: application/partial-upload";
    raw.send(
        request("PATCH /uploads/0", &[version, "Upload-Complete: ?1", "Upload-Offset: 4", partial], 1) + "x",
    );
    let head = raw.head();
    assert!(head.starts_with("HTTP/1.1 409 "), "{head}");
    let length = field(&head, "content-length").and_then(|length| length.parse().ok()).unwrap_or_default();
    let problem = String::from_utf8(raw.bytes(length)).expect("text");
    assert!(problem.contains("\"expected-offset\":3,\"provided-offset\":4"), "{problem}");
    raw.send(request("PATCH /uploads/0", &[version, "Upload-Complete: ?1", "Upload-Offset: 3", partial], 6));
    raw.send("345678");
    let head = raw.head();
    assert_eq!(field(&head, "Upload-Complete"), Some("?1"), "{head}");
    assert_eq!(raw.bytes(12), b"took 9 bytes");
    assert!(server.is_complete(0) && server.violations().is_empty(), "{:?}", server.violations());
    assert!(origin.wait_for(|journal| journal.violations.is_empty(), LIMIT));
}

#[test]
fn version_3_says_the_inverse_and_others_are_refused_by_name() {
    let server = UploadServer::new(3).speaking(&[3], Refusal::BadRequest);
    let origin = Origin::builder().uploads(&server).start();
    let mut raw = Raw::connect(&origin);
    raw.send(request("PUT /a", &["Upload-Draft-Interop-Version: 8", "Upload-Complete: ?1"], 1) + "x");
    let head = raw.head();
    assert!(head.starts_with("HTTP/1.1 400 "), "{head}");
    assert_eq!(field(&head, "Upload-Draft-Interop-Version"), Some("3"));
    raw.send(request("PUT /a", &["Upload-Draft-Interop-Version: 3", "Upload-Incomplete: ?1"], 1) + "x");
    assert!(raw.head().starts_with("HTTP/1.1 104 "));
    let head = raw.head();
    assert!(head.starts_with("HTTP/1.1 201 "), "{head}");
    assert_eq!((field(&head, "Upload-Incomplete"), field(&head, "Upload-Offset")), (Some("?1"), Some("1")));
    assert_eq!(server.lines(), ["PUT /a ?1 1 bytes", "PUT /a ?0 1 bytes"]);
}
