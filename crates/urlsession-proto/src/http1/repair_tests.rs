//! Malformed field lines, in heads, trailers and heads that come in pieces.

use super::super::{HeadError, HeadLimits, HeadScanner, ResponseHead, parse_fields, parse_response};
use crate::field::raw_fields;

fn parse(lines: &[u8]) -> Result<ResponseHead, HeadError> {
    let buf = [b"HTTP/1.1 200 OK\r\n", lines, b"\r\n\r\nbody"].concat();
    let whole = parse_response(&buf, &HeadLimits::default());
    // However the bytes are cut, the answer is the same.
    let mut scanner = HeadScanner::new();
    let mut trickled = Ok(None);
    for end in 0..=buf.len() {
        trickled = scanner.parse(&buf[..end], &HeadLimits::default());
        if !matches!(trickled, Ok(None)) {
            break;
        }
    }
    assert_eq!(trickled, whole, "{:?}", lines.escape_ascii().to_string());
    let (head, consumed) = whole?.expect("the head is complete");
    assert_eq!(&buf[consumed..], b"body");
    assert_eq!(head.raw.len(), consumed, "a repaired head keeps its length");
    assert_eq!(head.reason(), b"OK");
    Ok(head)
}

/// The fields of a head with these lines, which are the same in a trailer section and in the raw bytes.
fn fields(lines: &[u8]) -> Result<Vec<(String, Vec<u8>)>, HeadError> {
    let own = |fields: &mut dyn Iterator<Item = (&str, &[u8])>| {
        let mut own: Vec<_> =
            fields.map(|(name, value)| (name.to_ascii_lowercase(), value.to_vec())).collect();
        own.sort();
        own
    };
    let head = parse(lines)?;
    let map = own(&mut head.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())));
    assert_eq!(own(&mut raw_fields(&head.raw)), map);
    let (trailers, raw) = parse_fields(&[lines, b"\r\n\r\n"].concat(), &HeadLimits::default())?;
    assert_eq!(raw.len(), lines.len() + 4);
    assert_eq!(own(&mut trailers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()))), map);
    Ok(map)
}

fn expect(lines: &[u8], expected: &[(&str, &[u8])]) {
    let fields =
        fields(lines).unwrap_or_else(|error| panic!("{:?}: {error}", lines.escape_ascii().to_string()));
    let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect();
    assert_eq!(fields, expected, "{:?}", lines.escape_ascii().to_string());
}

#[test]
fn white_space_before_the_colon_is_not_of_the_name() {
    for lines in [&b"A : b"[..], b"A\t: b", b"A \t : b", b"A   :b", b"A :\r\n b"] {
        expect(lines, &[("a", b"b")]);
    }
    expect(b"First: 1\r\nA : b\r\nLast : 2", &[("a", b"b"), ("first", b"1"), ("last", b"2")]);
}

#[test]
fn controls_in_a_value_become_spaces() {
    for (lines, expected) in [
        (&b"A: b\x7f"[..], &b"b"[..]),
        (b"A: \x7fb", b"b"),
        (b"A: b\x7fc", b"b c"),
        (b"A: b\x01\x02c", b"b  c"),
        (b"A: b\x0b", b"b"),
        (b"A: b\x0c\x1bc", b"b  c"),
        (b"A: b\tc\x08", b"b\tc"),
        (b"A: b\r\n c\x7fd", b"b   c d"),
        (b"A: \xff\x7f\xe9", b"\xff \xe9"),
        (b"A : \x7f", b""),
    ] {
        expect(lines, &[("a", expected)]);
    }
}

#[test]
fn a_cookie_with_a_control_is_left_out_and_no_other() {
    let others: [(&str, &[u8]); 2] = [("a", b"1"), ("b", b"2 3")];
    for cookie in [
        &b"Set-Cookie: a=b\x7fc; Expires=Thu, 01 Jan 2099 10:18:14 GMT"[..],
        b"set-cookie: a=\x01",
        b"SET-COOKIE : a=b\x1b; Path=/",
        b"Set-Cookie: a=b\r\n \x7fc",
        b"Set-Cookie: a=b\r\n c\x7f\r\n d: e",
        b"Set-Cookie: a=b\x7f\r\n : c",
    ] {
        expect(&[b"A: 1\r\n", cookie, b"\r\nB: 2\x7f3"].concat(), &others);
        let both = [b"A: 1\r\n", cookie, b"\r\nSet-Cookie: c=\td\r\nB: 2\x7f3"].concat();
        expect(&both, &[("a", b"1"), ("b", b"2 3"), ("set-cookie", b"c=\td")]);
    }
    assert!(fields(b"Set-Cookie: a=b\x7f\r\n Content-Length: 5").is_err());
}

#[test]
fn a_line_without_a_well_formed_name_is_left_out_with_its_continuation() {
    for line in [
        &b"no colon"[..],
        b": no name",
        b"A(: b",
        b"A b: c",
        b"\xe9: b",
        b"A\x7f: b",
        b"\x01: b",
        b"\"A\": b",
        b"<html>",
        b"no colon\r\n A: b",
        b"A(: b\r\n\tB: c\r\n D: e",
    ] {
        let lines = [b"First: 1\r\n", line, b"\r\nLast: 2"].concat();
        expect(&lines, &[("first", b"1"), ("last", b"2")]);
    }
    expect(b" A: b\r\nB: c", &[("b", b"c")]);
    expect(b" : no name\r\nB: c", &[("b", b"c")]);
    expect(b"\tA: b\r\n A: c", &[]);
    expect(b"nothing", &[]);
}

#[test]
fn a_malformed_line_that_frames_the_message_is_refused() {
    for line in [
        &b"Content-Length : 5"[..],
        b"content-length\t: 5",
        b"Transfer-Encoding : chunked",
        b"Content-Length: 5\x7f",
        b"Content-Length: \x0b5",
        b"Transfer-Encoding: \x0bchunked",
        b"Transfer-Encoding: chunked\r\n \x01",
        b"Transfer-Encoding:\r\n\x20\x0bchunked",
        b" Content-Length: 5",
        b"\tTransfer-Encoding: chunked",
        b"Content-Length 5",
        b"Transfer-Encoding chunked",
        b"Content-Length\x0b: 5",
        b"\x0cTransfer-Encoding: chunked",
        b"Content-Length\xa0: 5",
        b"Content-Length(: 5",
        b"no colon\r\n Content-Length: 5",
    ] {
        assert_eq!(parse(line), Err(HeadError::FramingField), "{:?}", line.escape_ascii().to_string());
        let trailer = [line, b"\r\n\r\n"].concat();
        assert_eq!(parse_fields(&trailer, &HeadLimits::default()), Err(HeadError::FramingField));
    }
}

#[test]
fn what_frames_the_message_is_read_beside_a_repaired_line() {
    expect(
        b"Content-Length: 5\r\nBad Name: x\r\nTransfer-Encoding:\r\n chunked",
        &[("content-length", b"5"), ("transfer-encoding", b"chunked")],
    );
    // Names that only begin like one that frames.
    expect(b"Content-Length-Was : 5\r\nContent-Lengthy(: 6", &[("content-length-was", b"5")]);
    expect(b"X : Content-Length: 5", &[("x", b"Content-Length: 5")]);
}

#[test]
fn a_repaired_head_is_held_to_the_limits() {
    let lines = |count: usize| [&b"A : b\r\n".repeat(count)[..], b"Last: 1"].concat();
    assert_eq!(fields(&lines(255)).map(|fields| fields.len()), Ok(256));
    assert_eq!(parse(&lines(256)), Err(HeadError::TooManyFields));
    let buf = b"HTTP/1.1 200 OK\r\nA : bcdef\r\n\r\n";
    let limits = |bytes| HeadLimits { bytes, ..HeadLimits::default() };
    assert!(parse_response(buf, &limits(buf.len())).unwrap().is_some());
    assert_eq!(parse_response(buf, &limits(buf.len() - 1)), Err(HeadError::TooLarge));
    assert_eq!(parse_response(&buf[..26], &limits(25)), Err(HeadError::TooLarge));
}

#[test]
fn a_status_line_is_not_repaired() {
    for line in [&b"HTTP/1.1 200 O\x7fK"[..], b"HTTP/1.1 200\rOK", b"HTTP/1.1 2 0 OK"] {
        let buf = [line, b"\r\nA : b\r\n\r\n"].concat();
        assert!(
            parse_response(&buf, &HeadLimits::default()).is_err(),
            "{:?}",
            line.escape_ascii().to_string()
        );
    }
}
