//! The storage of credentials, in memory and on disk.

use super::UrlCredentialPersistence as Persistence;
use super::*;
use crate::message::{
    AuthenticationMethod, ServerTrust, UrlProtectionSpaceProtocol, UrlProtectionSpaceProxyType,
};

fn space(host: &str) -> UrlProtectionSpace {
    UrlProtectionSpace::new(host, 0, UrlProtectionSpaceProtocol::Http, None, AuthenticationMethod::Default)
}

fn credential(user: &str) -> UrlCredential {
    UrlCredential::new(user, "p4ss", Persistence::ForSession)
}

fn permanent(user: &str, password: &str) -> UrlCredential {
    UrlCredential::new(user, password, Persistence::Permanent)
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
fn a_user_has_one_credential_whatever_its_persistence() {
    each(|storage| {
        for credential in [permanent("ann", "one"), credential("ann"), permanent("ann", "two")] {
            storage.set(&credential, &space("example.com"));
            assert_eq!(storage.credentials(&space("example.com")), std::slice::from_ref(&credential));
            assert_eq!(storage.default_credential(&space("example.com")), Some(credential));
        }
    });
}

#[test]
fn only_permanent_passwords_outlive_the_storage() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("credentials.db");
    let proxy = UrlProtectionSpace::proxy(
        "proxy",
        3128,
        UrlProtectionSpaceProxyType::Https,
        Some("Größe"),
        AuthenticationMethod::HttpDigest,
    );
    let storage = UrlCredentialStorage::at(&path);
    storage.set(&permanent("ann", "gr€en"), &space("Example.com"));
    storage.set_default_credential(&permanent("bob", ""), &space("example.com"));
    storage.set(&credential("eve"), &space("example.com"));
    storage.set(
        &UrlCredential::with_identity(vec![vec![1]], vec![2], Persistence::Permanent),
        &space("example.com"),
    );
    storage.set(&permanent("ann", "proxy"), &proxy);
    assert_eq!(count(&storage), 5);
    drop(storage);
    let storage = UrlCredentialStorage::at(&path);
    assert_eq!(storage.credentials(&space("example.com")), [permanent("ann", "gr€en"), permanent("bob", "")]);
    assert_eq!(storage.default_credential(&space("example.com")), Some(permanent("bob", "")));
    let all = storage.all_credentials();
    assert_eq!(all[&proxy], [permanent("ann", "proxy")]);
    assert_eq!(all.len(), 2);
}

#[cfg(unix)]
#[test]
fn nothing_stands_on_disk_in_clear_and_files_are_for_their_user_alone() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let storage = UrlCredentialStorage::at(folder.path().join("vault/credentials.db"));
    storage.set(&permanent("anneliese", "s3cret-w0rd"), &space("secret-host.example"));
    let mut files = 0;
    for file in std::fs::read_dir(folder.path().join("vault")).unwrap() {
        let file = file.unwrap();
        let bytes = std::fs::read(file.path()).unwrap();
        for secret in ["anneliese", "s3cret-w0rd", "secret-host"] {
            assert!(
                !bytes.windows(secret.len()).any(|part| part == secret.as_bytes()),
                "{secret} in {file:?}"
            );
        }
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{file:?}");
        files += 1;
    }
    assert!(files >= 2, "the store and its key");
}

#[test]
fn a_lost_or_damaged_key_costs_the_credentials_and_nothing_else() {
    for damage in [None, Some("short"), Some(&*"x".repeat(64))] {
        let folder = tempfile::tempdir().unwrap();
        let (path, key) = (folder.path().join("credentials.db"), folder.path().join("credentials.db.key"));
        UrlCredentialStorage::at(&path).set(&permanent("ann", "one"), &space("a"));
        match damage {
            None => std::fs::remove_file(&key).unwrap(),
            Some(text) => std::fs::write(&key, text).unwrap(),
        }
        let storage = UrlCredentialStorage::at(&path);
        assert_eq!(count(&storage), 0);
        storage.set(&permanent("bob", "two"), &space("a"));
        assert_eq!(UrlCredentialStorage::at(&path).credentials(&space("a")), [permanent("bob", "two")]);
    }
}

#[test]
fn where_nothing_can_be_written_permanent_credentials_last_as_long_as_the_storage() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let storage = UrlCredentialStorage::at(file.join("credentials.db"));
    storage.set(&permanent("ann", "one"), &space("a"));
    assert_eq!(storage.credentials(&space("a")), [permanent("ann", "one")]);
}

#[test]
fn emptied_it_holds_nothing_and_says_that_something_changed() {
    each(|storage| {
        storage.set(&permanent("ann", "one"), &space("a"));
        storage.set(&credential("bob"), &space("a"));
        let before = storage.revision();
        storage.set(&credential("bob"), &space("a"));
        assert_eq!(storage.revision(), before);
        storage.empty();
        assert_eq!(count(storage), 0);
        assert_ne!(storage.revision(), before);
    });
}

#[test]
fn what_it_holds_is_not_shown() {
    let storage = UrlCredentialStorage::ephemeral();
    storage.set(&credential("ann"), &space("a"));
    assert!(!format!("{storage:?}").contains("p4ss"));
}

#[test]
fn who_only_looks_makes_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let storage = UrlCredentialStorage::at(folder.path().join("credentials.db"));
    assert_eq!(storage.default_credential(&space("a")), None);
    storage.set(&credential("ann"), &space("a"));
    storage.remove(&credential("ann"), &space("a"));
    storage.empty();
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn trust_in_a_server_is_not_kept() {
    each(|storage| {
        storage.set(&UrlCredential::for_trust(ServerTrust::new("a", vec![], Ok(()))), &space("example.com"));
        assert_eq!(count(storage), 0);
    });
}

#[cfg(all(feature = "keyring", target_os = "linux"))]
#[test]
fn without_a_secret_service_the_key_is_beside_the_file() {
    const NAME: &str = "store::credentials::tests::without_a_secret_service_the_key_is_beside_the_file";
    const FOLDER: &str = "URLSESSION_TEST_FOLDER";
    let Some(folder) = std::env::var_os(FOLDER) else {
        // Again, in a process that reaches no keyring of whoever runs this.
        let folder = tempfile::tempdir().unwrap();
        let mut again = std::process::Command::new(std::env::current_exe().unwrap());
        again.args(["--exact", NAME]).env(FOLDER, folder.path());
        let output = again.env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nowhere").output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("1 passed"), "{said}");
        return;
    };
    let path = std::path::Path::new(&folder).join("credentials.db");
    let storage =
        || UrlCredentialStorage::with(Some(Vault::new(path.clone()).with_keyring(platform_keyring())));
    storage().set(&permanent("ann", "one"), &space("a"));
    assert_eq!(storage().credentials(&space("a")), [permanent("ann", "one")]);
    let key = std::fs::read(path.with_extension("db.key")).unwrap();
    assert_eq!(key.len(), key::LENGTH);
}

#[test]
fn credentials_outlive_the_storage_with_their_key_in_a_keyring_and_rest_while_it_is_gone() {
    use std::sync::Arc;

    /// A keyring of one key.
    #[derive(Clone, Default)]
    struct Ring(Arc<Mutex<Option<key::Key>>>);

    impl Keyring for Ring {
        fn key(&self, _: &str) -> std::io::Result<Option<key::Key>> {
            Ok(self.0.lock().unwrap().clone())
        }

        fn set_key(&self, _: &str, key: &[u8]) -> std::io::Result<()> {
            *self.0.lock().unwrap() = Some(key.to_vec().into());
            Ok(())
        }
    }

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("credentials.db");
    let ring = Ring::default();
    let with_ring = || {
        let ring = Some(Box::new(ring.clone()) as Box<dyn Keyring>);
        UrlCredentialStorage::with(Some(Vault::new(path.clone()).with_keyring(ring)))
    };
    with_ring().set(&permanent("ann", "one"), &space("a"));
    assert_eq!(with_ring().credentials(&space("a")), [permanent("ann", "one")]);
    assert!(ring.0.lock().unwrap().is_some());

    let without = UrlCredentialStorage::at(&path);
    without.set(&permanent("bob", "two"), &space("a"));
    assert_eq!(without.credentials(&space("a")), [permanent("bob", "two")], "in memory");
    assert_eq!(with_ring().credentials(&space("a")), [permanent("ann", "one")]);
}
