//! The file name of a Content-Disposition field (RFC 6266), made safe to create in a directory of the app's choosing.
//! Does not say whether such a file exists, nor what it may be named if it does.

use percent_encoding::percent_decode_str;

use crate::field::parameters;

/// The file name a server suggests: one component, never a device, a parent or an empty name; `None` if it suggests
/// none.
pub fn file_name(value: &str) -> Option<String> {
    let mut plain = None;
    let mut extended = None;
    for (name, value) in parameters(value) {
        if name.eq_ignore_ascii_case("filename") {
            plain = plain.or_else(|| safe(&value));
        } else if name.eq_ignore_ascii_case("filename*") {
            extended = extended.or_else(|| extended_value(&value).and_then(|value| safe(&value)));
        }
    }
    // RFC 6266 §4.3: filename* is preferred when it can be decoded.
    extended.or(plain)
}

/// The file name that the last segment of a URL's path suggests, as [`file_name`] would have it; `None` if it suggests none.
pub fn file_name_of_segment(segment: &str) -> Option<String> {
    // A name that is not UTF-8 stays encoded.
    match percent_decode_str(segment).decode_utf8() {
        Ok(name) => safe(&name).or_else(|| safe(segment)),
        Err(_) => safe(segment),
    }
}

/// RFC 8187 §3.2: `charset'language'percent-encoded`.
fn extended_value(value: &str) -> Option<String> {
    let (charset, rest) = value.split_once('\'')?;
    let (_language, encoded) = rest.split_once('\'')?;
    let bytes = percent_decode_str(encoded);
    if charset.eq_ignore_ascii_case("utf-8") {
        bytes.decode_utf8().ok().map(Into::into)
    } else if charset.eq_ignore_ascii_case("iso-8859-1") {
        Some(bytes.map(char::from).collect())
    } else {
        None
    }
}

/// RFC 6266 §4.3: a recipient takes the name as a hint, from someone it need not trust.
fn safe(name: &str) -> Option<String> {
    let mut safe: String = name
        .chars()
        .filter(|&c| !c.is_control() && !is_invisible(c))
        .map(|c| if SEPARATORS.contains(&c) { '_' } else { c })
        .collect();
    // What is not a name but dots is none.
    safe = trim(&safe).to_owned();
    // A name with a leading dot is hidden on Unix, and some configure programs.
    if safe.starts_with('.') {
        safe.replace_range(..1, "_");
    }
    if is_device(&safe) || is_of_library(&safe) {
        safe.insert(0, '_');
    }
    let safe = trim(shorten(&safe).as_str()).to_owned();
    (!safe.is_empty()).then_some(safe)
}

/// Windows drops trailing dots and spaces; without them `.` and `..` are nothing.
fn trim(name: &str) -> &str {
    name.trim_start().trim_end_matches(|c: char| c == '.' || c.is_whitespace())
}

/// Cuts the name to what file systems take, sparing its extension.
fn shorten(name: &str) -> String {
    if name.len() <= MAX_BYTES {
        return name.to_owned();
    }
    let extension = match name.rfind('.') {
        Some(dot) if dot > 0 && name.len() - dot <= MAX_EXTENSION_BYTES => &name[dot..],
        _ => "",
    };
    let mut end = MAX_BYTES - extension.len();
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    [&name[..end], extension].concat()
}

/// Windows opens a device by these names, whatever their extension.
fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().trim();
    if DEVICES.iter().any(|device| stem.eq_ignore_ascii_case(device)) {
        return true;
    }
    let Some((kind, port)) = stem.split_at_checked(3) else { return false };
    let mut port = port.chars();
    (kind.eq_ignore_ascii_case("com") || kind.eq_ignore_ascii_case("lpt"))
        && matches!((port.next(), port.next()), (Some('0'..='9' | '¹' | '²' | '³'), None))
}

/// Names by which the library finds what it keeps of a download that is not whole.
fn is_of_library(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    [".urlsession-part", ".urlsession-note"].iter().any(|suffix| name.ends_with(suffix))
        || name.starts_with("urlsession-") && name.ends_with(".tmp")
}

/// Marks that make `exe.gpj` read `jpg.exe`, or the other way round, separators of lines, and what is not seen at all. The
/// joiners of scripts and emoji stay.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

const MAX_BYTES: usize = 255;
const MAX_EXTENSION_BYTES: usize = 32;
/// The colon separates on old macOS, and on Windows names a drive or a stream.
const SEPARATORS: [char; 3] = ['/', '\\', ':'];
const DEVICES: [&str; 6] = ["con", "prn", "aux", "nul", "conin$", "conout$"];

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> Option<String> {
        let quoted = name.replace('\\', "\\\\").replace('"', "\\\"");
        file_name(&format!("attachment; filename=\"{quoted}\""))
    }

    #[test]
    fn a_file_name_is_read_as_apple_reads_it() {
        for (value, expected) in [
            ("inline", None),
            ("", None),
            ("attachment; filename=\"fname.ext\"", Some("fname.ext")),
            (
                "attachment; filename=genome.jpeg; modification-date=\"Wed, 12 Feb 1997 16:29:51 -0500\";",
                Some("genome.jpeg"),
            ),
            ("attachment; filename=\";.ext\"", Some(";.ext")),
            ("attachment; filename=\".ext\"", Some("_ext")),
            ("attachment; aa=bb\\; filename=\"wrong.ext\"; filename=\"fname.ext\"; cc=dd", Some("fname.ext")),
            ("aa=bb\\; filename=\"wrong.ext\"; filename=\"fname.ext\"; cc=dd", Some("fname.ext")),
            ("attachment; filename=\"/a/b/name\"", Some("_a_b_name")),
            ("attachment; filename=\"a/../b/name\"", Some("a_.._b_name")),
            ("attachment; FileName = a.b ; size=3", Some("a.b")),
            ("filename=a.b", Some("a.b")),
            ("attachment; filename=\"open.ext", Some("open.ext")),
            ("attachment; filename=", None),
            ("attachment; filename=\"\"; filename=second", Some("second")),
            ("attachment; filename=\"a\\\"b\"", Some("a\"b")),
        ] {
            assert_eq!(file_name(value).as_deref(), expected, "{value}");
        }
    }

    #[test]
    fn an_extended_name_wins_when_it_can_be_decoded() {
        for (value, expected) in [
            ("a; filename=plain; filename*=UTF-8''%e2%82%ac%20rates", "€ rates"),
            ("a; filename*=utf-8'en'na%C3%AFve.txt; filename=plain", "naïve.txt"),
            ("a; filename*=\"UTF-8''quoted\"", "quoted"),
            ("a; filename*=iso-8859-1''%A3%20rates", "£ rates"),
            ("a; filename*=UTF-8''..%2f..%2Fetc%5cpasswd%00", "_._.._etc_passwd"),
            ("a; filename*=UTF-8''%ff; filename=plain", "plain"),
            ("a; filename*=koi8-r''x; filename=plain", "plain"),
            ("a; filename*=UTF-8'x; filename=plain", "plain"),
            ("a; filename*=x; filename=plain", "plain"),
            ("a; filename*=UTF-8''; filename=plain", "plain"),
            ("a; filename*=UTF-8''%2e%2e; filename=plain", "plain"),
        ] {
            assert_eq!(file_name(value).as_deref(), Some(expected), "{value}");
        }
    }

    #[test]
    fn a_name_never_leaves_its_directory() {
        for (given, expected) in [
            ("..", None),
            (".", None),
            ("...", None),
            (" . . ", None),
            ("..\u{0}", None),
            ("../..", Some("_._")),
            ("..\\..\\x", Some("_._.._x")),
            ("C:\\x", Some("C__x")),
            ("file:stream", Some("file_stream")),
            (".hidden", Some("_hidden")),
            (".bash_profile", Some("_bash_profile")),
            (" \u{200b}.bash_profile", Some("_bash_profile")),
            (". .ssh", Some("_ .ssh")),
            ("..", None),
            (".a.iso.urlsession-part", Some("__a.iso.urlsession-part")),
            ("a.URLSESSION-note", Some("_a.URLSESSION-note")),
            ("urlsession-x.tmp", Some("_urlsession-x.tmp")),
            ("line\u{2028}break\u{feff}", Some("linebreak")),
            ("a\r\n\t\u{7f}\u{85}b", Some("ab")),
            ("photo\u{202e}gpj.exe", Some("photogpj.exe")),
            ("trail. . ", Some("trail")),
            ("  lead", Some("lead")),
        ] {
            assert_eq!(named(given).as_deref(), expected, "{given:?}");
        }
    }

    #[test]
    fn the_last_segment_of_a_path_is_a_name_with_all_its_characters() {
        for (segment, expected) in [
            ("a;b.txt", Some("a;b.txt")),
            ("a%3Bb=c.txt", Some("a;b=c.txt")),
            ("%22quoted%22", Some("\"quoted\"")),
            ("caf%C3%A9.txt", Some("café.txt")),
            ("caf%E9.txt", Some("caf%E9.txt")),
            (".bash_profile", Some("_bash_profile")),
            (".a.iso.urlsession-part", Some("__a.iso.urlsession-part")),
            ("%2ebashrc", Some("_bashrc")),
            ("..%2f..%2fx", Some("_._.._x")),
            ("con.txt", Some("_con.txt")),
            ("x.txt%2e%20.", Some("x.txt")),
            ("a%E2%80%AEtxt.exe", Some("atxt.exe")),
            ("%00%0a", Some("%00%0a")),
            ("", None),
        ] {
            assert_eq!(file_name_of_segment(segment).as_deref(), expected, "{segment}");
        }
    }

    #[test]
    fn a_name_is_never_a_windows_device() {
        for (given, expected) in [
            ("CON", "_CON"),
            ("nul.txt", "_nul.txt"),
            ("Aux .c", "_Aux .c"),
            ("com1", "_com1"),
            ("LPT9.tar.gz", "_LPT9.tar.gz"),
            ("com¹", "_com¹"),
            ("con...", "_con"),
            ("conin$", "_conin$"),
            ("com", "com"),
            ("com10", "com10"),
            ("console", "console"),
            ("coé1", "coé1"),
        ] {
            assert_eq!(named(given).as_deref(), Some(expected), "{given}");
        }
    }

    #[test]
    fn a_long_name_keeps_its_extension() {
        let name = named(&format!("{}.jpeg", "a".repeat(300))).unwrap();
        assert_eq!((name.len(), name.ends_with("a.jpeg")), (255, true));
        let name = named(&format!("{}.jpeg", "€".repeat(300))).unwrap();
        assert!(name.len() <= 255 && name.ends_with("€.jpeg"));
        let name = named(&"a".repeat(300)).unwrap();
        assert_eq!(name.len(), 255);
        let name = named(&format!("a.{}", "b".repeat(300))).unwrap();
        assert_eq!(name.len(), 255);
        let name = named(&format!("nul.{}", "b".repeat(300))).unwrap();
        assert!(name.len() <= 255 && name.starts_with("_nul"));
        let name = named(&format!("{} {}", "a".repeat(254), "b")).unwrap();
        assert_eq!(name.len(), 254);
    }
}
