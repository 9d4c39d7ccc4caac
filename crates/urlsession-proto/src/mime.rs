//! Media types (RFC 9110 §8.3) and the file extension of the common ones. Sniffs nothing.

use std::borrow::Cow;

use crate::field::{is_token, parameters};

/// What a Content-Type field says, ready to be compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContentType {
    /// `type/subtype` in lower case, without parameters.
    pub mime: String,
    /// The charset in lower case, unquoted.
    pub charset: Option<String>,
}

/// Reads a Content-Type; `None` if it does not begin with a media type.
pub fn parse(content_type: &str) -> Option<ContentType> {
    let media = MediaType::parse(content_type)?;
    let charset = media.parameter("charset").filter(|charset| !charset.is_empty());
    Some(ContentType {
        mime: media.essence.to_ascii_lowercase(),
        charset: charset.map(|charset| charset.to_ascii_lowercase()),
    })
}

/// A media type as spelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MediaType<'a> {
    essence: &'a str,
    parameters: &'a str,
}

impl<'a> MediaType<'a> {
    /// `None` unless it begins with `token "/" token` (RFC 9110 §8.3.1).
    pub fn parse(value: &'a str) -> Option<Self> {
        let (essence, parameters) = value.split_once(';').unwrap_or((value, ""));
        let essence = essence.trim();
        let (kind, subtype) = essence.split_once('/')?;
        (is_token(kind) && is_token(subtype)).then_some(Self { essence, parameters })
    }

    /// `type/subtype`.
    pub fn essence(&self) -> &'a str {
        self.essence
    }

    /// The first parameter of this name, unquoted.
    pub fn parameter(&self, name: &str) -> Option<Cow<'a, str>> {
        parameters(self.parameters).find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

/// The usual file extension of a media type's essence, if it is a common one.
pub fn extension_for(mime: &str) -> Option<&'static str> {
    EXTENSIONS.iter().find(|(known, _)| mime.eq_ignore_ascii_case(known)).map(|&(_, extension)| extension)
}

/// The media type that a file extension, in any case, usually stands for.
pub fn for_extension(extension: &str) -> Option<&'static str> {
    let is = |known: &str| known.eq_ignore_ascii_case(extension);
    let other = OTHER_EXTENSIONS.iter().find(|(known, _)| is(known)).map(|&(_, mime)| mime);
    other.or_else(|| EXTENSIONS.iter().find(|(_, known)| is(known)).map(|&(mime, _)| mime))
}

/// Extensions that are not the usual one of their type, and those of two types.
const OTHER_EXTENSIONS: [(&str, &str); 10] = [
    ("htm", "text/html"),
    ("jpg", "image/jpeg"),
    // RFC 9239 §6
    ("js", "text/javascript"),
    ("log", "text/plain"),
    ("markdown", "text/markdown"),
    ("mjs", "text/javascript"),
    ("mpg", "video/mpeg"),
    ("oga", "audio/ogg"),
    ("text", "text/plain"),
    ("tif", "image/tiff"),
];

const EXTENSIONS: [(&str, &str); 72] = [
    ("application/atom+xml", "atom"),
    ("application/epub+zip", "epub"),
    ("application/gzip", "gz"),
    ("application/java-archive", "jar"),
    ("application/javascript", "js"),
    ("application/json", "json"),
    ("application/ld+json", "jsonld"),
    ("application/manifest+json", "webmanifest"),
    ("application/msword", "doc"),
    ("application/pdf", "pdf"),
    ("application/postscript", "ps"),
    ("application/rss+xml", "rss"),
    ("application/rtf", "rtf"),
    ("application/sql", "sql"),
    ("application/vnd.android.package-archive", "apk"),
    ("application/vnd.apple.installer+xml", "mpkg"),
    ("application/vnd.apple.mpegurl", "m3u8"),
    ("application/vnd.ms-excel", "xls"),
    ("application/vnd.ms-fontobject", "eot"),
    ("application/vnd.ms-powerpoint", "ppt"),
    ("application/vnd.oasis.opendocument.presentation", "odp"),
    ("application/vnd.oasis.opendocument.spreadsheet", "ods"),
    ("application/vnd.oasis.opendocument.text", "odt"),
    ("application/vnd.openxmlformats-officedocument.presentationml.presentation", "pptx"),
    ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "xlsx"),
    ("application/vnd.openxmlformats-officedocument.wordprocessingml.document", "docx"),
    ("application/vnd.rar", "rar"),
    ("application/wasm", "wasm"),
    ("application/x-7z-compressed", "7z"),
    ("application/x-apple-diskimage", "dmg"),
    ("application/x-bzip2", "bz2"),
    ("application/x-sh", "sh"),
    ("application/x-tar", "tar"),
    ("application/xhtml+xml", "xhtml"),
    ("application/xml", "xml"),
    ("application/zip", "zip"),
    ("application/zstd", "zst"),
    ("audio/aac", "aac"),
    ("audio/flac", "flac"),
    ("audio/midi", "mid"),
    ("audio/mp4", "m4a"),
    ("audio/mpeg", "mp3"),
    ("audio/ogg", "ogg"),
    ("audio/wav", "wav"),
    ("audio/webm", "weba"),
    ("font/otf", "otf"),
    ("font/ttf", "ttf"),
    ("font/woff", "woff"),
    ("font/woff2", "woff2"),
    ("image/avif", "avif"),
    ("image/bmp", "bmp"),
    ("image/gif", "gif"),
    ("image/heic", "heic"),
    ("image/jpeg", "jpeg"),
    ("image/jxl", "jxl"),
    ("image/png", "png"),
    ("image/svg+xml", "svg"),
    ("image/tiff", "tiff"),
    ("image/vnd.microsoft.icon", "ico"),
    ("image/webp", "webp"),
    ("text/calendar", "ics"),
    ("text/css", "css"),
    ("text/csv", "csv"),
    ("text/html", "html"),
    ("text/javascript", "js"),
    ("text/markdown", "md"),
    ("text/plain", "txt"),
    ("text/xml", "xml"),
    ("video/mp4", "mp4"),
    ("video/mpeg", "mpeg"),
    ("video/quicktime", "mov"),
    ("video/webm", "webm"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_type_is_read_in_lower_case() {
        for (value, mime, charset) in [
            ("text/html", "text/html", None),
            ("text/HTML; charset=ISO-8859-4", "text/html", Some("iso-8859-4")),
            (" Text/Plain ;CharSet = \"UTF-8\" ", "text/plain", Some("utf-8")),
            ("text/plain;a=\";charset=x\";charset=y;charset=z", "text/plain", Some("y")),
            ("text/plain; charset=", "text/plain", None),
            ("text/plain; charset=\"\"", "text/plain", None),
            ("text/plain; charset", "text/plain", None),
            ("text/plain;", "text/plain", None),
            ("application/vnd.api+json; v=1", "application/vnd.api+json", None),
            ("text/plain; charset=\"a\\\"b", "text/plain", Some("a\"b")),
        ] {
            let expected = ContentType { mime: mime.to_owned(), charset: charset.map(str::to_owned) };
            assert_eq!(parse(value), Some(expected), "{value}");
        }
    }

    #[test]
    fn what_is_no_media_type_is_refused() {
        for value in
            ["", ";", "text", "text/", "/html", "text/html/x", "te xt/html", "text /html", "a/b,c/d", "é/b"]
        {
            assert_eq!(parse(value), None, "{value}");
        }
    }

    #[test]
    fn a_media_type_tells_any_of_its_parameters() {
        let media = MediaType::parse("multipart/form-data; boundary=\"a b\"; x=1").unwrap();
        assert_eq!(media.essence(), "multipart/form-data");
        assert_eq!(media.parameter("BOUNDARY").as_deref(), Some("a b"));
        assert_eq!(media.parameter("y"), None);
    }

    #[test]
    fn common_types_have_an_extension() {
        assert_eq!(extension_for("image/JPEG"), Some("jpeg"));
        assert_eq!(extension_for("text/plain"), Some("txt"));
        assert_eq!(extension_for("application/octet-stream"), None);
    }

    #[test]
    fn extensions_have_a_type() {
        for (extension, mime) in [
            ("txt", "text/plain"),
            ("JPG", "image/jpeg"),
            ("jpeg", "image/jpeg"),
            ("js", "text/javascript"),
            ("xml", "application/xml"),
        ] {
            assert_eq!(for_extension(extension), Some(mime), "{extension}");
        }
        assert_eq!(for_extension("unheard-of"), None);
        assert!(OTHER_EXTENSIONS.iter().all(|(_, mime)| extension_for(mime).is_some()));
    }

    #[test]
    fn the_extension_table_is_sorted_and_lower_case() {
        assert!(EXTENSIONS.is_sorted_by(|(a, _), (b, _)| a < b));
        assert!(EXTENSIONS.iter().all(|(mime, _)| MediaType::parse(mime).is_some()));
        assert!(EXTENSIONS.iter().all(|(mime, _)| !mime.bytes().any(|b| b.is_ascii_uppercase())));
    }
}
