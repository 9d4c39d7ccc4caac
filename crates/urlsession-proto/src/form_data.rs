//! `multipart/form-data` as it is written (RFC 7578): boundaries, the heads of parts, and the end. What is in a part, and
//! reading one, is not here: `multipart` reads.

/// Whether this may be a boundary (RFC 2046 §5.1.1).
pub fn is_boundary(text: &str) -> bool {
    let is_allowed = |b: u8| b.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(&b);
    (1..=LONGEST_BOUNDARY).contains(&text.len()) && text.bytes().all(is_allowed) && !text.ends_with(' ')
}

/// A boundary that nobody can guess, and that data has by no accident, of 16 random bytes.
pub fn boundary(random: [u8; 16]) -> String {
    format!("form-{:032x}", u128::from_be_bytes(random))
}

/// The value of `Content-Type` for a form with this boundary.
pub fn content_type(boundary: &str) -> String {
    let needs_no_quotes = boundary.bytes().all(|b| b.is_ascii_alphanumeric() || b"'+_-.".contains(&b));
    match needs_no_quotes {
        true => format!("multipart/form-data; boundary={boundary}"),
        // None of what is allowed needs more than quotes.
        false => format!("multipart/form-data; boundary=\"{boundary}\""),
    }
}

/// What stands before the data of a part: the delimiter, with the line break that ends the part before it, and the head.
pub fn part_head(
    boundary: &str,
    is_first: bool,
    name: &str,
    file_name: Option<&str>,
    content_type: Option<&str>,
) -> String {
    let mut head = String::new();
    if !is_first {
        head.push_str("\r\n");
    }
    head.push_str("--");
    head.push_str(boundary);
    head.push_str("\r\nContent-Disposition: form-data; name=");
    push_quoted(&mut head, name);
    if let Some(file_name) = file_name {
        // RFC 7578 §4.2: never `filename*`.
        head.push_str("; filename=");
        push_quoted(&mut head, file_name);
    }
    if let Some(content_type) = content_type {
        head.push_str("\r\nContent-Type: ");
        head.push_str(content_type);
    }
    head.push_str("\r\n\r\n");
    head
}

/// What stands after the data of the last part, if there is one.
pub fn end(boundary: &str, has_parts: bool) -> String {
    let line_end = if has_parts { "\r\n" } else { "" };
    format!("{line_end}--{boundary}--\r\n")
}

/// In quotes, as the HTML standard ("multipart/form-data encoding algorithm") escapes names: other characters, UTF-8 or
/// percent signs, stand as they are (RFC 7578 §5.1).
fn push_quoted(out: &mut String, text: &str) {
    out.push('"');
    for char in text.chars() {
        match char {
            '"' => out.push_str("%22"),
            '\r' => out.push_str("%0D"),
            '\n' => out.push_str("%0A"),
            char => out.push(char),
        }
    }
    out.push('"');
}

/// RFC 2046 §5.1.1
const LONGEST_BOUNDARY: usize = 70;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mime::MediaType;
    use crate::multipart::{MultipartSplitter, Piece};

    #[test]
    fn boundaries_are_what_rfc_2046_allows() {
        let longest = "x".repeat(70);
        for good in ["a", "'()+_,-./:=?", "two words", &longest] {
            assert!(is_boundary(good), "{good:?}");
        }
        for bad in ["", "ends ", "a\"b", "a;b", "ü", "a\r\nb", &"x".repeat(71)] {
            assert!(!is_boundary(bad), "{bad:?}");
        }
        assert!(is_boundary(&boundary([0xff; 16])));
        assert_eq!(boundary([0; 16]).len(), boundary([0xff; 16]).len());
    }

    #[test]
    fn a_boundary_is_quoted_where_it_must_be_and_read_back() {
        assert_eq!(content_type("abc"), "multipart/form-data; boundary=abc");
        for boundary in ["abc", "a b", "a/b:c", "'()+_,-./:=?"] {
            let value = content_type(boundary);
            assert_eq!(MediaType::parse(&value).unwrap().parameter("boundary").unwrap(), boundary);
        }
    }

    #[test]
    fn names_cannot_leave_their_quotes_or_their_line() {
        let head = part_head("b", true, "a\"; x=\"\r\ny: z", Some("ü\"\\%22\r\n.txt"), None);
        assert_eq!(
            head,
            "--b\r\nContent-Disposition: form-data; name=\"a%22; x=%22%0D%0Ay: z\"; \
             filename=\"ü%22\\%22%0D%0A.txt\"\r\n\r\n"
        );
    }

    #[test]
    fn what_is_written_is_read_back() {
        let mut body = part_head("b", true, "one", None, None);
        body.push_str("1\r\n");
        body.push_str(&part_head("b", false, "two", Some("2.txt"), Some("text/plain")));
        body.push_str(&end("b", true));
        let mut splitter = MultipartSplitter::new("b").unwrap();
        splitter.push(body.as_bytes());
        let mut parts = Vec::new();
        while let Some(piece) = splitter.next_piece().unwrap() {
            match piece {
                Piece::Head(head) => parts.push((head.fields, Vec::new())),
                Piece::Data(data) => parts.last_mut().unwrap().1.extend_from_slice(&data),
            }
        }
        assert_eq!(splitter.finish(), Ok(None));
        assert_eq!(parts[0].1, b"1\r\n");
        assert_eq!(parts[0].0.len(), 1);
        assert_eq!((parts[1].0["content-type"].to_str().unwrap(), &*parts[1].1), ("text/plain", &b""[..]));
        assert_eq!(parts.len(), 2);
        assert_eq!(end("b", false), "--b--\r\n");
    }
}
