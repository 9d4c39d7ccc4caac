//! What a method promises (RFC 9110 §9.2) and how Apple's URLRequest spells it. Does not decide what is retried:
//! that also depends on the body and on how far the request got.

use http::Method;
use http::method::InvalidMethod;

/// Whether sending it twice has the effect of sending it once (RFC 9110 §9.2.2).
pub fn is_idempotent(method: &Method) -> bool {
    is_safe(method) || matches!(*method, Method::PUT | Method::DELETE)
}

/// Whether it asks for no change (RFC 9110 §9.2.1).
pub fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE)
}

/// The method an app named, spelled as Apple's URLRequest spells it: six are upper-cased, any other is as given.
pub fn normalize(name: &str) -> Result<Method, InvalidMethod> {
    match UPPER_CASED.iter().find(|method| name.eq_ignore_ascii_case(method.as_str())) {
        Some(method) => Ok(method.clone()),
        None => Method::from_bytes(name.as_bytes()),
    }
}

const UPPER_CASED: [Method; 6] =
    [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::DELETE, Method::CONNECT];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn six_methods_are_upper_cased_and_others_keep_their_spelling() {
        for (given, expected) in [
            ("get", "GET"),
            ("gEt", "GET"),
            ("hEAD", "HEAD"),
            ("pOST", "POST"),
            ("PUt", "PUT"),
            ("DeleTE", "DELETE"),
            ("cOnNeCt", "CONNECT"),
            ("options", "options"),
            ("trace", "trace"),
            ("patch", "patch"),
            ("PATCH", "PATCH"),
            ("foo", "foo"),
            ("BAR", "BAR"),
        ] {
            assert_eq!(normalize(given).unwrap().as_str(), expected);
        }
        assert_eq!(normalize("PATCH").unwrap(), Method::PATCH);
    }

    #[test]
    fn a_method_that_is_no_token_is_refused() {
        for name in ["", " ", "GET ", "G T", "GET\r\nHost: x", "get\0", "gét"] {
            assert!(normalize(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn every_safe_method_is_idempotent() {
        let promises = |name| {
            let method = normalize(name).unwrap();
            (is_safe(&method), is_idempotent(&method))
        };
        for name in ["GET", "HEAD", "OPTIONS", "TRACE"] {
            assert_eq!(promises(name), (true, true), "{name}");
        }
        for name in ["PUT", "DELETE"] {
            assert_eq!(promises(name), (false, true), "{name}");
        }
        for name in ["POST", "PATCH", "CONNECT", "options", "FOO"] {
            assert_eq!(promises(name), (false, false), "{name}");
        }
    }
}
