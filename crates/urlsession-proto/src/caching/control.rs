//! `Cache-Control` (RFC 9111 §5.2), of requests and responses. A value that is badly written means the most
//! restrictive thing it may mean.

use std::borrow::Cow;

use http::header::{CACHE_CONTROL, HeaderMap, PRAGMA};

use crate::field::list;

/// The directives a private cache obeys; `s-maxage` and `proxy-revalidate` are for shared ones. Times are in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheControl {
    /// Keep nothing.
    pub no_store: bool,
    /// Ask the server before each use. So is `no-cache` that names fields, which are not kept apart here.
    pub no_cache: bool,
    /// Never use it stale.
    pub must_revalidate: bool,
    /// `no-store` does not count where the status is understood.
    pub must_understand: bool,
    /// Any cache may keep it.
    pub public: bool,
    /// Only private caches may keep it, as this one.
    pub private: bool,
    /// It does not change while it is fresh (RFC 8246).
    pub immutable: bool,
    /// A request: nothing is to be sent.
    pub only_if_cached: bool,
    /// The longest age; the smallest given, 0 for a value that is no number.
    pub max_age: Option<u64>,
    /// A request: for how long it must stay fresh.
    pub min_fresh: Option<u64>,
    /// A request: how stale it may be, `u64::MAX` for any time.
    pub max_stale: Option<u64>,
    /// How stale it may be while it is asked for anew (RFC 5861 §3).
    pub stale_while_revalidate: Option<u64>,
    /// How stale it may be if the server fails (RFC 5861 §4).
    pub stale_if_error: Option<u64>,
}

impl CacheControl {
    /// The directives of a head. Without `Cache-Control`, `Pragma: no-cache` counts (RFC 9111 §5.4).
    pub fn of(fields: &HeaderMap) -> Self {
        let mut control = Self::of_values(fields.get_all(CACHE_CONTROL).iter().map(|value| value.as_bytes()));
        if let Some(pragma) = fields.get(PRAGMA).filter(|_| !fields.contains_key(CACHE_CONTROL)) {
            control.no_cache = Self::of_values([pragma.as_bytes()]).no_cache;
        }
        control
    }

    /// The directives of field values.
    pub fn of_values<'a>(values: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut control = Self::default();
        let mut count = 0;
        for value in values {
            let value = String::from_utf8_lossy(value);
            for directive in members(&value) {
                count += 1;
                control.add(directive);
            }
        }
        // Nobody means that many: whatever hides behind them, it is not kept.
        control.no_store |= count > MAX_DIRECTIVES;
        control
    }

    fn add(&mut self, directive: &str) {
        let (name, argument) = match directive.split_once('=') {
            Some((name, argument)) => (name.trim(), Some(argument.trim())),
            None => (directive.trim(), None),
        };
        let seconds = || seconds(argument.unwrap_or_default());
        match &*lower(name) {
            "no-store" => self.no_store = true,
            "no-cache" => self.no_cache = true,
            "must-revalidate" => self.must_revalidate = true,
            "must-understand" => self.must_understand = true,
            "public" => self.public = true,
            "private" => self.private = true,
            "immutable" => self.immutable = true,
            "only-if-cached" => self.only_if_cached = true,
            "max-age" => restrict(&mut self.max_age, seconds().unwrap_or(0)),
            "min-fresh" => {
                let most = seconds().unwrap_or(LONGEST).max(self.min_fresh.unwrap_or(0));
                self.min_fresh = Some(most);
            }
            "max-stale" => {
                let any = argument.is_none().then_some(u64::MAX);
                restrict(&mut self.max_stale, any.or_else(seconds).unwrap_or(0));
            }
            "stale-while-revalidate" => restrict(&mut self.stale_while_revalidate, seconds().unwrap_or(0)),
            "stale-if-error" => restrict(&mut self.stale_if_error, seconds().unwrap_or(0)),
            _ => {}
        }
    }
}

/// The members of the list. A quotation mark that is never closed hides nothing.
fn members(value: &str) -> impl Iterator<Item = &str> {
    let is_closed = is_closed(value);
    let quoted = is_closed.then(|| list(value));
    let plain = (!is_closed).then(|| value.split(','));
    quoted.into_iter().flatten().chain(plain.into_iter().flatten())
}

fn is_closed(value: &str) -> bool {
    let (mut quoted, mut escaped) = (false, false);
    for b in value.bytes() {
        match b {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ => {}
        }
    }
    !quoted
}

fn lower(name: &str) -> Cow<'_, str> {
    match name.bytes().any(|b| b.is_ascii_uppercase()) {
        true => Cow::Owned(name.to_ascii_lowercase()),
        false => Cow::Borrowed(name),
    }
}

/// Of several, the smallest.
fn restrict(known: &mut Option<u64>, seconds: u64) {
    *known = Some(known.map_or(seconds, |known| known.min(seconds)));
}

/// RFC 9111 §1.2.2: digits, in quotes too; what is too large is the largest there is.
pub(super) fn seconds(text: &str) -> Option<u64> {
    let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    let is_number = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(LONGEST).min(LONGEST))
}

/// RFC 9111 §1.2.2: 2^31 s, 68 years.
pub(super) const LONGEST: u64 = 1 << 31;

const MAX_DIRECTIVES: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    fn of(value: &str) -> CacheControl {
        CacheControl::of_values([value.as_bytes()])
    }

    #[test]
    fn directives_are_read_in_any_case_and_quoted_or_not() {
        for value in [
            "max-age=60, must-revalidate",
            "MAX-AGE=\"60\",Must-Revalidate",
            " max-age = 60 ,,must-revalidate ",
        ] {
            let expected = CacheControl { max_age: Some(60), must_revalidate: true, ..Default::default() };
            assert_eq!(of(value), expected, "{value}");
        }
    }

    #[test]
    fn of_several_the_most_restrictive_counts() {
        assert_eq!(of("max-age=60, max-age=5").max_age, Some(5));
        assert_eq!(CacheControl::of_values([&b"max-age=5"[..], b"max-age=60"]).max_age, Some(5));
        assert_eq!(of("min-fresh=5, min-fresh=60").min_fresh, Some(60));
        assert_eq!(of("max-stale, max-stale=5").max_stale, Some(5));
        assert!(of("no-cache, public").no_cache);
    }

    #[test]
    fn a_number_that_is_none_is_zero_and_one_too_large_is_the_largest() {
        for value in
            ["max-age", "max-age=", "max-age=x", "max-age=-1", "max-age=1.5", "max-age=+5", "max-age='6'"]
        {
            assert_eq!(of(value).max_age, Some(0), "{value}");
        }
        for value in ["max-age=99999999999999999999999", "max-age=18446744073709551615", "max-age=2147483649"]
        {
            assert_eq!(of(value).max_age, Some(LONGEST), "{value}");
        }
        assert_eq!(of("stale-while-revalidate=soon").stale_while_revalidate, Some(0));
        assert_eq!(of("max-stale").max_stale, Some(u64::MAX));
    }

    #[test]
    fn a_directive_that_names_fields_is_the_directive_and_quotes_hide_nothing_after_them() {
        assert!(of("no-cache=\"set-cookie, x\", max-age=5").no_cache);
        assert_eq!(of("private=\"a, max-age=0\", max-age=5").max_age, Some(5));
        assert!(of("private=\"a, no-store").no_store);
        assert!(of("ext=\"\\\", no-store").no_store);
    }

    #[test]
    fn many_directives_are_no_store() {
        assert!(!of(&"a,".repeat(MAX_DIRECTIVES)).no_store);
        assert!(of(&"a,".repeat(MAX_DIRECTIVES + 1)).no_store);
    }

    #[test]
    fn pragma_counts_only_alone() {
        let mut fields = HeaderMap::new();
        fields.insert(PRAGMA, "no-cache".parse().unwrap());
        assert!(CacheControl::of(&fields).no_cache);
        fields.insert(CACHE_CONTROL, "max-age=5".parse().unwrap());
        assert!(!CacheControl::of(&fields).no_cache);
    }
}
