//! Credentials and their storage, as applications use them without a load.

use urlsession::authentication::{
    AuthenticationMethod, UrlCredential, UrlCredentialPersistence as Persistence, UrlCredentialStorage,
    UrlProtectionSpace, UrlProtectionSpaceProtocol,
};

fn space(host: &str) -> UrlProtectionSpace {
    UrlProtectionSpace::new(host, 0, UrlProtectionSpaceProtocol::Http, None, AuthenticationMethod::Default)
}

fn credential(user: &str) -> UrlCredential {
    UrlCredential::new(user, "p4ss", Persistence::ForSession)
}

fn count(storage: &UrlCredentialStorage) -> usize {
    storage.all_credentials().values().map(Vec::len).sum()
}

/// One in memory, one with a file.
fn each(test: impl Fn(&UrlCredentialStorage)) {
    test(&UrlCredentialStorage::ephemeral());
    let folder = tempfile::tempdir().unwrap();
    test(&UrlCredentialStorage::at(folder.path().join("credentials.db")));
}

#[test]
fn test_storage_starts_empty() {
    each(|storage| assert_eq!(count(storage), 0));
}

#[test]
fn test_session_credential_gets_returned_for_the_right_protection_space() {
    each(|storage| {
        storage.set(&credential("user1"), &space("example.com"));
        assert_eq!(count(storage), 1);
        assert_eq!(storage.credentials(&space("example.com")), [credential("user1")]);
    });
}

#[test]
fn test_session_credential_does_not_get_returned_for_the_wrong_protection_space() {
    each(|storage| {
        storage.set(&credential("user1"), &space("example1.com"));
        assert!(storage.credentials(&space("example2.com")).is_empty());
    });
}

#[test]
fn test_session_credential_becomes_default_for_protection_space() {
    each(|storage| {
        storage.set(&credential("user1"), &space("example.com"));
        assert_eq!(storage.default_credential(&space("example.com")), Some(credential("user1")));
    });
}

#[test]
fn test_session_credential_gets_returned_as_default_if_set_as_default_for_space() {
    each(|storage| {
        storage.set_default_credential(&credential("user1"), &space("example.com"));
        assert_eq!(storage.default_credential(&space("example.com")), Some(credential("user1")));
    });
}

#[test]
fn test_session_credential_gets_returned_if_set_as_default_for_space() {
    each(|storage| {
        storage.set_default_credential(&credential("user1"), &space("example.com"));
        assert_eq!(count(storage), 1);
        assert_eq!(storage.credentials(&space("example.com")), [credential("user1")]);
    });
}

#[test]
fn test_session_credential_does_not_get_returned_if_set_as_default_for_other_space() {
    each(|storage| {
        storage.set_default_credential(&credential("user1"), &space("example1.com"));
        assert_eq!(storage.default_credential(&space("example2.com")), None);
    });
}

#[test]
fn test_session_credential_does_not_get_returned_when_not_added_as_default() {
    each(|storage| {
        storage.set(&credential("user2"), &space("example.com"));
        storage.set_default_credential(&credential("user1"), &space("example.com"));
        assert_eq!(storage.default_credential(&space("example.com")), Some(credential("user1")));
        assert_eq!(count(storage), 2);
    });
}

#[test]
fn test_session_credential_can_be_removed_from_space() {
    each(|storage| {
        storage.set(&credential("user1"), &space("example.com"));
        storage.remove(&credential("user1"), &space("example.com"));
        assert_eq!(count(storage), 0);
        assert!(storage.credentials(&space("example.com")).is_empty());
        storage.remove(&credential("user1"), &space("example.com"));
    });
}

#[test]
fn test_session_default_credential_can_be_removed_from_space() {
    each(|storage| {
        storage.set_default_credential(&credential("user1"), &space("example.com"));
        storage.set(&credential("user2"), &space("example.com"));
        storage.remove(&credential("user1"), &space("example.com"));
        assert_eq!(storage.default_credential(&space("example.com")), None);
        assert_eq!(count(storage), 1);
    });
}

#[test]
fn test_synchronizable_credential_can_be_removed_with_right_options() {
    each(|storage| {
        let credential = UrlCredential::new("user1", "p4ss", Persistence::Synchronizable);
        storage.set(&credential, &space("example.com"));
        storage.remove_with_options(&credential, &space("example.com"), true);
        assert_eq!(count(storage), 0);
    });
}

#[test]
fn test_synchronizable_credential_will_not_be_removed_without_right_options() {
    each(|storage| {
        let credential = UrlCredential::new("user1", "p4ss", Persistence::Synchronizable);
        storage.set(&credential, &space("example.com"));
        storage.remove(&credential, &space("example.com"));
        storage.remove_with_options(&credential, &space("example.com"), false);
        assert_eq!(storage.credentials(&space("example.com")), [credential]);
    });
}

#[test]
fn test_storage_can_remove_arbitrary_credential_without_failing() {
    each(|storage| {
        storage.set(&credential("user1"), &space("example.com"));
        storage.remove(&credential("unknown"), &space("example.com"));
        storage.remove(&credential("user1"), &space("elsewhere.com"));
        assert_eq!(count(storage), 1);
    });
}

#[test]
fn test_storage_will_not_save_credentials_without_persistence() {
    each(|storage| {
        storage.set(&UrlCredential::new("user1", "p4ss", Persistence::None), &space("example.com"));
        assert_eq!(count(storage), 0);
    });
}

#[test]
fn test_construction() {
    let credential = UrlCredential::new("swiftUser", "swiftPassword", Persistence::ForSession);
    assert_eq!(credential.user(), Some("swiftUser"));
    assert_eq!(credential.password(), Some("swiftPassword"));
    assert_eq!(credential.persistence(), Persistence::ForSession);
    assert!(credential.has_password());
}

#[test]
fn test_copy() {
    let credential = UrlCredential::new("user", "password", Persistence::ForSession);
    assert_eq!(credential.clone(), credential);
    assert_ne!(UrlCredential::new("user", "other", Persistence::ForSession), credential);
    assert_ne!(UrlCredential::new("user", "password", Persistence::None), credential);
}
