//! Basic: user and password as they are (RFC 7617).

use super::base64;

/// The value of `Authorization`. Always in UTF-8, whether the server says so (RFC 7617 §2.1) or nothing.
///
/// `None` if they cannot be sent: a colon in the user, or a control character in either (RFC 7617 §2).
pub fn authorization(user: &str, password: &str) -> Option<String> {
    let is_sendable = |text: &str| !text.chars().any(char::is_control);
    if user.contains(':') || !is_sendable(user) || !is_sendable(password) {
        return None;
    }
    Some(format!("Basic {}", base64::encode(format!("{user}:{password}").as_bytes())))
}

/// The directory of a path: what a credential for that path is taken to open, with all below it (RFC 7617 §2.2).
pub fn directory(path: &str) -> &str {
    path.rfind('/').map_or("/", |at| &path[..=at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_rfc_7617() {
        let of = |user, password| authorization(user, password).unwrap();
        assert_eq!(of("Aladdin", "open sesame"), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        assert_eq!(of("test", "123£"), "Basic dGVzdDoxMjPCow==");
    }

    #[test]
    fn a_colon_is_the_passwords_only_and_control_characters_nobodys() {
        assert!(authorization("a:b", "c").is_none());
        assert!(authorization("a", "b:c").is_some());
        assert!(authorization("a\n", "b").is_none());
        assert!(authorization("a", "b\0").is_none());
        assert_eq!(authorization("", "").unwrap(), "Basic Og==");
    }

    #[test]
    fn a_credential_opens_the_directory_of_its_path() {
        for (path, expected) in [("/docs/a.html", "/docs/"), ("/docs/", "/docs/"), ("/", "/"), ("", "/")] {
            assert_eq!(directory(path), expected);
        }
    }
}
