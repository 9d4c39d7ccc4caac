//! Ranges of bytes (RFC 9110 §14): asking for the rest of a representation, and what an answer to that means.
//!
//! It knows what is here already and what a response says; it keeps no file, sends nothing and counts no tries.

use http::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, DATE, ETAG, HeaderMap, LAST_MODIFIED,
};
use http::{HeaderName, StatusCode};

use crate::date;
use crate::field::list;

/// A `Content-Range` in bytes (RFC 9110 §14.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentRange {
    /// Positions of the first and the last byte; `None` for `bytes */N` of a 416.
    pub range: Option<(u64, u64)>,
    /// The length of the whole representation; `None` for `*`.
    pub complete: Option<u64>,
}

impl ContentRange {
    /// Reads a value. `None` if it is malformed, contradicts itself, or counts in another unit.
    pub fn parse(value: &str) -> Option<Self> {
        let (unit, rest) = value.trim_matches([' ', '\t']).split_once(' ')?;
        let (range, complete) = rest.split_once('/')?;
        // RFC 9110 §14.1: range units are case-insensitive.
        if !unit.eq_ignore_ascii_case("bytes") {
            return None;
        }
        let complete = if complete == "*" { None } else { Some(number(complete)?) };
        if range == "*" {
            return complete.is_some().then_some(Self { range: None, complete });
        }
        let (first, last) = range.split_once('-')?;
        let (first, last) = (number(first)?, number(last)?);
        // RFC 9110 §14.4: such a field is invalid.
        let is_valid = first <= last && last < u64::MAX && complete.is_none_or(|complete| last < complete);
        is_valid.then_some(Self { range: Some((first, last)), complete })
    }
}

/// One range of a `Range` field in bytes (RFC 9110 §14.1.2, §14.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByteRange {
    /// From the first position to the last, which is the end if there is none.
    From(u64, Option<u64>),
    /// So many bytes at the end.
    Last(u64),
}

impl ByteRange {
    /// Reads a value. `None` if it is malformed, has several ranges, or counts in another unit.
    pub fn parse(value: &[u8]) -> Option<Self> {
        let (unit, range) = std::str::from_utf8(value).ok()?.split_once('=')?;
        let (first, last) = range.trim_matches([' ', '\t']).split_once('-')?;
        if !unit.trim_matches([' ', '\t']).eq_ignore_ascii_case("bytes") {
            return None;
        }
        if first.is_empty() {
            return Some(Self::Last(number(last)?));
        }
        let first = number(first)?;
        let last = if last.is_empty() { None } else { Some(number(last)?) };
        last.is_none_or(|last| first <= last).then_some(Self::From(first, last))
    }

    /// The positions of its first and its last byte in a representation that is so long; `None` if it holds none of them,
    /// or if that cannot be told.
    pub fn within(self, complete: Option<u64>) -> Option<(u64, u64)> {
        match (self, complete) {
            (Self::From(first, Some(last)), None) => Some((first, last)),
            (Self::From(first, last), Some(complete)) if first < complete => {
                Some((first, last.unwrap_or(u64::MAX).min(complete - 1)))
            }
            (Self::Last(length @ 1..), Some(complete @ 1..)) => {
                Some((complete.saturating_sub(length), complete - 1))
            }
            _ => None,
        }
    }
}

/// What tells one state of a representation from another, as far as it is strong enough to join two parts of it
/// (RFC 9110 §8.8, §13.1.5).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Validators {
    /// A strong entity tag, with its quotes.
    pub etag: Option<String>,
    /// A `Last-Modified` that is strong by RFC 9110 §8.8.2.2, as the server wrote it.
    pub date: Option<String>,
}

impl Validators {
    /// Those of a response. `now`, in seconds since 1970, tells the century of a date that has two digits for its year.
    pub fn of(fields: &HeaderMap, now: i64) -> Self {
        let etag = one(fields, &ETAG).filter(|tag| is_strong(tag)).map(str::to_owned);
        let date = one(fields, &LAST_MODIFIED).filter(|modified| {
            let of = |text| date::parse(text, now);
            let sent = one(fields, &DATE).and_then(of);
            // RFC 9110 §8.8.2.2: what was changed within the second it was sent in may have changed again in it.
            of(modified).zip(sent).is_some_and(|(modified, sent)| sent.saturating_sub(modified) >= 1)
        });
        Self { etag, date: date.map(str::to_owned) }
    }

    /// Whether nothing can be resumed by them.
    pub fn is_empty(&self) -> bool {
        self.etag.is_none() && self.date.is_none()
    }

    /// The value of `If-Range`, and which of the two it is: the tag, unless the date is asked for or all there is.
    pub fn if_range(&self, by_date: bool) -> Option<(&str, Condition)> {
        let etag = self.etag.as_deref().map(|tag| (tag, Condition::Etag));
        let date = self.date.as_deref().map(|date| (date, Condition::Date));
        if by_date { date.or(etag) } else { etag.or(date) }
    }
}

/// Which validator a range was asked for by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// An entity tag.
    Etag,
    /// A date.
    Date,
}

/// What is here of a representation.
#[derive(Clone, Copy, Debug)]
pub struct Have<'a> {
    /// How many bytes from its beginning on, uncoded.
    pub bytes: u64,
    /// How long it is, if that is known.
    pub complete: Option<u64>,
    /// What it was told by.
    pub validators: &'a Validators,
}

impl Have<'_> {
    /// Where to ask from: the first byte that is missing. If none is, the last byte, so that the server has something
    /// to answer with.
    pub fn first_wanted(&self) -> u64 {
        match self.complete {
            Some(complete) if complete > 0 && self.bytes >= complete => complete - 1,
            _ => self.bytes,
        }
    }
}

/// The value of a `Range` field: everything from `first` on (RFC 9110 §14.2).
pub fn from(first: u64) -> String {
    format!("bytes={first}-")
}

/// What an answer to a range request means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The body is the bytes from `at` up to `end`, which it does not hold; `at` is not after what is here, `end` is.
    Append {
        /// Where its first byte belongs. What is here after that is replaced by it.
        at: u64,
        /// One past the position of its last byte.
        end: u64,
        /// The length of the whole, if it is known by now.
        complete: Option<u64>,
    },
    /// The body is the whole representation: what is here is of no use.
    Whole(Reason),
    /// The body is the whole representation, but a server that honours only dates may yet give a range: ask once more,
    /// by the date.
    AskByDate,
    /// What is here is of no use and neither is this answer: ask for everything.
    Restart(Reason),
    /// Nothing is missing.
    Finished,
    /// The answer is not about the representation. What is here stays of use.
    Refuse(Reason),
}

/// Why a range is not simply appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The representation is another one now.
    Changed,
    /// The server sends everything.
    Ignored,
    /// The server's range does not fit what is here.
    Unusable,
    /// The server gives it to nobody like us (401, 403, 404, 410).
    Expired,
    /// Any other status.
    Status,
}

/// Judges an answer to a request for [everything from where it is wanted](Have::first_wanted) by `asked`.
pub fn verdict(have: &Have<'_>, asked: Condition, status: StatusCode, fields: &HeaderMap) -> Verdict {
    match status.as_u16() {
        206 => of_part(have, fields),
        200 => of_whole(have, asked, fields),
        // RFC 9110 §13.1.5 gives 200 for a changed representation; some servers take If-Range for If-Match.
        412 => Verdict::Restart(Reason::Changed),
        416 => match one(fields, &CONTENT_RANGE).and_then(ContentRange::parse) {
            _ if contradicts(have.validators, fields) => Verdict::Restart(Reason::Changed),
            // RFC 9110 §15.5.17: the current length.
            Some(ContentRange { range: None, complete: Some(complete) }) => {
                match complete == have.bytes && have.complete.is_none_or(|known| known == complete) {
                    true => Verdict::Finished,
                    false => Verdict::Restart(Reason::Changed),
                }
            }
            _ => Verdict::Restart(Reason::Unusable),
        },
        401 | 403 | 404 | 410 => Verdict::Refuse(Reason::Expired),
        _ => Verdict::Refuse(Reason::Status),
    }
}

/// RFC 9110 §15.3.7
fn of_part(have: &Have<'_>, fields: &HeaderMap) -> Verdict {
    if contradicts(have.validators, fields) {
        return Verdict::Restart(Reason::Changed);
    }
    let unusable = Verdict::Restart(Reason::Unusable);
    let several = one(fields, &CONTENT_TYPE).is_some_and(is_multipart);
    let range = one(fields, &CONTENT_RANGE).and_then(ContentRange::parse);
    let Some(ContentRange { range: Some((at, last)), complete }) = range else { return unusable };
    // Ranges count coded bytes (RFC 9110 §14.2); what is here is not coded.
    if several || is_coded(fields) {
        return unusable;
    }
    if complete.zip(have.complete).is_some_and(|(now, then)| now != then) {
        return Verdict::Restart(Reason::Changed);
    }
    let complete = complete.or(have.complete);
    let (end, length) = (last + 1, last - at + 1);
    let says_otherwise = one(fields, &CONTENT_LENGTH).is_some_and(|said| number(said) != Some(length));
    // RFC 9110 §15.3.7: a server may begin earlier, at a boundary of its own. Later would leave a hole, and what ends
    // before what is here brings nothing.
    let brings = end > have.bytes || complete == Some(have.bytes) && end == have.bytes;
    if at > have.bytes || !brings || says_otherwise || complete.is_some_and(|complete| end > complete) {
        return unusable;
    }
    Verdict::Append { at, end, complete }
}

fn of_whole(have: &Have<'_>, asked: Condition, fields: &HeaderMap) -> Verdict {
    if contradicts(have.validators, fields) {
        return Verdict::Whole(Reason::Changed);
    }
    // Some servers answer a range with 200 and the rest alone. What may be such a rest is not taken for the whole: only an
    // answer to a request without a range is.
    let length = whole_length(fields);
    let is_other_length =
        length.is_some_and(|now| have.complete.map_or(now < have.bytes, |then| now != then));
    let is_as_long_as_rest =
        length.is_some() && length == have.complete.map(|all| all.saturating_sub(have.bytes));
    if is_rest(fields) || is_other_length && (is_as_long_as_rest || confirms(have.validators, fields)) {
        return Verdict::Restart(Reason::Unusable);
    }
    if is_other_length {
        return Verdict::Whole(Reason::Changed);
    }
    // Only a response that names the same date can be of a server that would have matched it.
    let same_date =
        have.validators.date.is_some() && one(fields, &LAST_MODIFIED) == have.validators.date.as_deref();
    match asked {
        Condition::Etag if same_date => Verdict::AskByDate,
        Condition::Etag | Condition::Date => Verdict::Whole(Reason::Ignored),
    }
}

/// Whether a response that should hold everything says that it holds a part.
fn is_rest(fields: &HeaderMap) -> bool {
    let said = one(fields, &CONTENT_RANGE).and_then(ContentRange::parse);
    said.is_some_and(|said| match said.range {
        Some((first, last)) => first > 0 || said.complete != Some(last + 1),
        None => false,
    })
}

/// What a 206 (Partial Content) holds whose request asked for no range (RFC 9110 §15.3.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnrequestedPart {
    /// All bytes of the representation.
    Whole,
    /// The bytes from `at` up to `end`, which it does not hold.
    Bytes {
        /// The position of the first byte.
        at: u64,
        /// One past the position of the last byte.
        end: u64,
        /// The length of the whole, if the response names it.
        complete: Option<u64>,
    },
    /// Several parts (`multipart/byteranges`), or a part whose `Content-Range` in bytes is malformed.
    Unusable,
    /// It names no part in bytes: it has no `Content-Range`, or one in another unit, as some query interfaces use it.
    Unknown,
}

impl UnrequestedPart {
    /// Reads the header fields of a 206.
    pub fn of(fields: &HeaderMap) -> Self {
        if one(fields, &CONTENT_TYPE).is_some_and(is_multipart) {
            return Self::Unusable;
        }
        let mut values = fields.get_all(CONTENT_RANGE).iter();
        let (Some(first), second) = (values.next(), values.next()) else { return Self::Unknown };
        let is_in_bytes = first.as_bytes().trim_ascii_start().get(..5);
        if second.is_none() && !is_in_bytes.is_some_and(|unit| unit.eq_ignore_ascii_case(b"bytes")) {
            return Self::Unknown;
        }
        let range = one(fields, &CONTENT_RANGE).and_then(ContentRange::parse);
        let Some(ContentRange { range: Some((at, last)), complete }) = range else { return Self::Unusable };
        let (end, length) = (last + 1, last - at + 1);
        if one(fields, &CONTENT_LENGTH).is_some_and(|said| number(said) != Some(length)) {
            return Self::Unusable;
        }
        if at == 0 && complete == Some(end) { Self::Whole } else { Self::Bytes { at, end, complete } }
    }
}

/// Whether the response names the validator that is known. A weaker one does not count where both have a tag.
pub fn confirms(known: &Validators, fields: &HeaderMap) -> bool {
    let same = |name, known: &Option<String>| known.is_some() && one(fields, name) == known.as_deref();
    match known.etag.is_some() && one(fields, &ETAG).is_some() {
        true => same(&ETAG, &known.etag),
        false => same(&LAST_MODIFIED, &known.date),
    }
}

/// The length of the representation that a response with the whole of it says, if it is not coded.
pub fn whole_length(fields: &HeaderMap) -> Option<u64> {
    one(fields, &CONTENT_LENGTH).and_then(number).filter(|_| !is_coded(fields))
}

/// Whether the response names a validator other than the one known. One that it does not name says nothing.
fn contradicts(known: &Validators, fields: &HeaderMap) -> bool {
    let differs = |name, known: &Option<String>| {
        one(fields, name).zip(known.as_deref()).is_some_and(|(now, then)| now != then)
    };
    // RFC 9110 §8.8.1: where there is a strong tag, it alone decides.
    match known.etag.is_some() && one(fields, &ETAG).is_some() {
        true => differs(&ETAG, &known.etag),
        false => differs(&LAST_MODIFIED, &known.date),
    }
}

/// Whether the content is coded, by whatever coding.
pub fn is_coded(fields: &HeaderMap) -> bool {
    fields.get_all(CONTENT_ENCODING).iter().any(|value| match value.to_str() {
        Ok(value) => list(value).any(|coding| !coding.eq_ignore_ascii_case("identity")),
        Err(_) => true,
    })
}

/// RFC 9110 §8.8.3: not `W/"…"`, and a tag at all.
fn is_strong(tag: &str) -> bool {
    let inner = tag.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    inner.is_some_and(|inner| inner.bytes().all(|b| b == 0x21 || (0x23..=0x7e).contains(&b)))
}

fn is_multipart(kind: &str) -> bool {
    kind.get(..MULTIPART.len()).is_some_and(|start| start.eq_ignore_ascii_case(MULTIPART))
}

/// The value of a field that may occur once; several are none.
fn one<'a>(fields: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = fields.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then(|| value.trim_matches([' ', '\t']))
}

fn number(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}

const MULTIPART: &str = "multipart/byteranges";

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn one_range_is_read_and_put_into_the_representation() {
        for (value, complete, expected) in [
            ("bytes=0-1", Some(10), Some((0, 1))),
            ("BYTES = 5- ", Some(10), Some((5, 9))),
            ("bytes=-3", Some(10), Some((7, 9))),
            ("bytes=-30", Some(10), Some((0, 9))),
            ("bytes=8-99", Some(10), Some((8, 9))),
            ("bytes=10-", Some(10), None),
            ("bytes=-0", Some(10), None),
            ("bytes=-1", Some(0), None),
            ("bytes=2-3", None, Some((2, 3))),
            ("bytes=2-", None, None),
            ("bytes=-2", None, None),
            ("bytes=3-2", Some(10), None),
            ("bytes=0-1,3-4", Some(10), None),
            ("bytes=a-b", Some(10), None),
            ("bytes=-", Some(10), None),
            ("bytes", Some(10), None),
            ("lines=0-1", Some(10), None),
            ("bytes=99999999999999999999-", Some(10), None),
        ] {
            let range = ByteRange::parse(value.as_bytes()).and_then(|range| range.within(complete));
            assert_eq!(range, expected, "{value} of {complete:?}");
        }
        assert_eq!(ByteRange::parse(b"bytes=\xff-"), None);
    }

    fn fields(all: &[(&'static str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in all {
            map.append(*name, HeaderValue::from_str(value).unwrap());
        }
        map
    }

    #[test]
    fn content_ranges_are_read_or_refused() {
        let range = |first, last, complete| Some(ContentRange { range: Some((first, last)), complete });
        for (value, expected) in [
            ("bytes 0-499/1234", range(0, 499, Some(1234))),
            ("Bytes 42-1233/*", range(42, 1233, None)),
            (" bytes 5-5/6 ", range(5, 5, Some(6))),
            ("bytes */1234", Some(ContentRange { range: None, complete: Some(1234) })),
            ("bytes */*", None),
            ("bytes 5-4/10", None),
            ("bytes 0-10/10", None),
            ("bytes 0-18446744073709551615/*", None),
            ("bytes 0-18446744073709551616/*", None),
            ("bytes=0-4/10", None),
            ("bytes 0-4", None),
            ("bytes -4/10", None),
            ("bytes +0-4/10", None),
            ("bytes 0 - 4/10", None),
            ("items 0-4/10", None),
            ("", None),
        ] {
            assert_eq!(ContentRange::parse(value), expected, "{value}");
        }
        assert_eq!(from(500), "bytes=500-");
    }

    const THEN: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const LATER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";

    fn known(etag: Option<&str>, date: Option<&str>) -> Validators {
        Validators { etag: etag.map(Into::into), date: date.map(Into::into) }
    }

    #[test]
    fn only_strong_validators_count() {
        let of = |all: &[_]| Validators::of(&fields(all), 0);
        assert_eq!(of(&[("etag", "\"a\"")]), known(Some("\"a\""), None));
        for weak in ["W/\"a\"", "a", "\"a", "\"a\"b\"", "\"a b\"", "", "\""] {
            assert!(of(&[("etag", weak)]).is_empty(), "{weak}");
        }
        assert!(of(&[("etag", "\"a\""), ("etag", "\"b\"")]).is_empty());
        assert_eq!(of(&[("last-modified", THEN), ("date", LATER)]), known(None, Some(THEN)));
        assert!(of(&[("last-modified", THEN), ("date", THEN)]).is_empty());
        assert!(of(&[("last-modified", LATER), ("date", THEN)]).is_empty());
        assert!(of(&[("last-modified", THEN)]).is_empty());
        assert!(of(&[("last-modified", "yesterday"), ("date", LATER)]).is_empty());
    }

    #[test]
    fn the_tag_is_asked_by_before_the_date() {
        let both = known(Some("\"a\""), Some(THEN));
        assert_eq!(both.if_range(false), Some(("\"a\"", Condition::Etag)));
        assert_eq!(both.if_range(true), Some((THEN, Condition::Date)));
        assert_eq!(known(None, Some(THEN)).if_range(false), Some((THEN, Condition::Date)));
        assert_eq!(known(None, None).if_range(false), None);
    }

    fn judged(complete: Option<u64>, status: u16, all: &[(&'static str, &str)]) -> Verdict {
        let validators = known(Some("\"a\""), None);
        let have = Have { bytes: 500, complete, validators: &validators };
        verdict(&have, Condition::Etag, StatusCode::from_u16(status).unwrap(), &fields(all))
    }

    #[test]
    fn a_part_is_joined_where_it_belongs_or_not_at_all() {
        let append = |at, end, complete| Verdict::Append { at, end, complete };
        let changed = Verdict::Restart(Reason::Changed);
        let unusable = Verdict::Restart(Reason::Unusable);
        for (range, expected) in [
            ("bytes 500-999/1000", append(500, 1000, Some(1000))),
            ("bytes 500-999/*", append(500, 1000, Some(1000))),
            ("bytes 500-599/1000", append(500, 600, Some(1000))),
            ("bytes 256-999/1000", append(256, 1000, Some(1000))),
            ("bytes 0-999/1000", append(0, 1000, Some(1000))),
            ("bytes 501-999/1000", unusable),
            ("bytes 0-499/1000", unusable),
            ("bytes 500-999/1001", changed),
            ("bytes 500-1999/*", unusable),
            ("bytes */1000", unusable),
            ("bytes=500-999/1000", unusable),
        ] {
            assert_eq!(judged(Some(1000), 206, &[("content-range", range)]), expected, "{range}");
        }
        let range = ("content-range", "bytes 500-999/1000");
        for (field, expected) in [
            (("etag", "\"a\""), append(500, 1000, Some(1000))),
            (("etag", "\"b\""), changed),
            (("etag", "W/\"a\""), changed),
            (("content-encoding", "identity"), append(500, 1000, Some(1000))),
            (("content-encoding", "gzip"), unusable),
            (("content-length", "500"), append(500, 1000, Some(1000))),
            (("content-length", "501"), unusable),
            (("content-type", "Multipart/ByteRanges; boundary=x"), unusable),
            (("content-range", "bytes 500-999/1000"), unusable),
        ] {
            assert_eq!(judged(Some(1000), 206, &[range, field]), expected, "{field:?}");
        }
        assert_eq!(judged(None, 206, &[range]), append(500, 1000, Some(1000)));
        assert_eq!(judged(None, 206, &[("content-range", "bytes 500-599/*")]), append(500, 600, None));
        assert_eq!(judged(Some(1000), 206, &[]), unusable);
    }

    #[test]
    fn the_last_byte_is_asked_for_again_when_nothing_is_missing() {
        let validators = known(Some("\"a\""), None);
        let have = Have { bytes: 500, complete: Some(500), validators: &validators };
        assert_eq!(have.first_wanted(), 499);
        assert_eq!(Have { complete: Some(501), ..have }.first_wanted(), 500);
        assert_eq!(Have { complete: None, ..have }.first_wanted(), 500);
        assert_eq!(Have { bytes: 0, complete: Some(0), ..have }.first_wanted(), 0);
        let answer = judged(Some(500), 206, &[("content-range", "bytes 499-499/500")]);
        assert_eq!(answer, Verdict::Append { at: 499, end: 500, complete: Some(500) });
    }

    #[test]
    fn everything_is_taken_for_everything() {
        let whole = |etag, all: &[_]| {
            let validators = known(etag, Some(THEN));
            let have = Have { bytes: 500, complete: Some(1000), validators: &validators };
            let (_, asked) = validators.if_range(false).unwrap();
            verdict(&have, asked, StatusCode::OK, &fields(all))
        };
        let tag = Some("\"a\"");
        assert_eq!(whole(tag, &[("etag", "\"b\"")]), Verdict::Whole(Reason::Changed));
        assert_eq!(whole(tag, &[("etag", "\"a\"")]), Verdict::Whole(Reason::Ignored));
        assert_eq!(whole(tag, &[("etag", "\"a\""), ("last-modified", THEN)]), Verdict::AskByDate);
        assert_eq!(whole(tag, &[("last-modified", THEN)]), Verdict::AskByDate);
        assert_eq!(whole(tag, &[("last-modified", LATER)]), Verdict::Whole(Reason::Changed));
        assert_eq!(whole(tag, &[]), Verdict::Whole(Reason::Ignored));
        // The rest alone, or another state that its server does not tell.
        let again = Verdict::Restart(Reason::Unusable);
        assert_eq!(whole(tag, &[("content-length", "999"), ("last-modified", THEN)]), again);
        assert_eq!(whole(tag, &[("content-length", "500"), ("etag", "\"a\"")]), again);
        assert_eq!(whole(tag, &[("content-length", "500")]), again);
        assert_eq!(whole(tag, &[("content-range", "bytes 500-999/1000"), ("etag", "\"a\"")]), again);
        let same = [("content-length", "1000"), ("content-range", "bytes 0-999/1000")];
        assert_eq!(whole(tag, &same), Verdict::Whole(Reason::Ignored));
        let changed = [("content-length", "999"), ("etag", "\"b\"")];
        assert_eq!(whole(tag, &changed), Verdict::Whole(Reason::Changed));
        assert_eq!(whole(tag, &[("content-length", "400")]), Verdict::Whole(Reason::Changed));
        assert_eq!(judged(None, 200, &[("content-length", "499"), ("etag", "\"a\"")]), again);
        assert_eq!(judged(None, 200, &[("content-length", "500")]), Verdict::Whole(Reason::Ignored));
        assert_eq!(whole(None, &[("last-modified", THEN)]), Verdict::Whole(Reason::Ignored));
    }

    #[test]
    fn a_part_without_a_request_for_it_is_told_from_the_whole() {
        let of = |all: &[_]| UnrequestedPart::of(&fields(all));
        let bytes = |at, end, complete| UnrequestedPart::Bytes { at, end, complete };
        for (range, expected) in [
            ("bytes 0-3/100", bytes(0, 4, Some(100))),
            ("Bytes 0-3/*", bytes(0, 4, None)),
            ("bytes 96-99/100", bytes(96, 100, Some(100))),
            ("bytes 0-99/100", UnrequestedPart::Whole),
            ("bytes 5-4/100", UnrequestedPart::Unusable),
            ("bytes=0-3/100", UnrequestedPart::Unusable),
            ("bytes */100", UnrequestedPart::Unusable),
            ("items 0-3/100", UnrequestedPart::Unknown),
            ("0-24/100", UnrequestedPart::Unknown),
            ("", UnrequestedPart::Unknown),
        ] {
            assert_eq!(of(&[("content-range", range)]), expected, "{range}");
        }
        assert_eq!(of(&[]), UnrequestedPart::Unknown);
        let range = ("content-range", "bytes 0-99/100");
        assert_eq!(of(&[range, ("content-length", "100")]), UnrequestedPart::Whole);
        assert_eq!(of(&[range, ("content-length", "4")]), UnrequestedPart::Unusable);
        assert_eq!(of(&[range, range]), UnrequestedPart::Unusable);
        assert_eq!(of(&[("content-type", "multipart/byteranges; boundary=x")]), UnrequestedPart::Unusable);
    }

    #[test]
    fn only_a_validator_that_is_known_confirms() {
        let tagged = known(Some("\"a\""), Some(THEN));
        assert!(confirms(&tagged, &fields(&[("etag", "\"a\""), ("last-modified", LATER)])));
        assert!(!confirms(&tagged, &fields(&[("etag", "\"b\""), ("last-modified", THEN)])));
        assert!(confirms(&tagged, &fields(&[("last-modified", THEN)])));
        assert!(!confirms(&tagged, &fields(&[])) && !confirms(&known(None, None), &fields(&[])));
    }

    #[test]
    fn other_statuses_finish_restart_or_refuse() {
        let unsatisfied = |complete, range| judged(complete, 416, &[("content-range", range)]);
        assert_eq!(unsatisfied(None, "bytes */500"), Verdict::Finished);
        assert_eq!(unsatisfied(Some(500), "bytes */500"), Verdict::Finished);
        assert_eq!(unsatisfied(Some(1000), "bytes */500"), Verdict::Restart(Reason::Changed));
        assert_eq!(unsatisfied(None, "bytes */400"), Verdict::Restart(Reason::Changed));
        assert_eq!(judged(None, 416, &[]), Verdict::Restart(Reason::Unusable));
        assert_eq!(
            judged(None, 416, &[("content-range", "bytes */500"), ("etag", "\"b\"")]),
            Verdict::Restart(Reason::Changed)
        );
        assert_eq!(judged(None, 412, &[]), Verdict::Restart(Reason::Changed));
        for status in [401, 403, 404, 410] {
            assert_eq!(judged(None, status, &[]), Verdict::Refuse(Reason::Expired), "{status}");
        }
        for status in [204, 302, 304, 400, 429, 500, 503] {
            assert_eq!(judged(None, status, &[]), Verdict::Refuse(Reason::Status), "{status}");
        }
    }
}
