//! The storage of credentials, in memory and on disk.

use std::io;
#[cfg(feature = "keyring")]
use std::path::PathBuf;

use zeroize::Zeroizing;

use super::UrlCredentialPersistence as Persistence;
use super::keyring::{Item, Keyring};
use super::vault::Vault;
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

/// A keyring that the test sees into; locked, nothing can be read or written.
#[derive(Clone, Default)]
struct Ring(Arc<Mutex<(HashMap<String, String>, bool)>>);

impl Ring {
    fn lock(&self, is_locked: bool) {
        self.0.lock().1 = is_locked;
    }

    fn names(&self) -> Vec<String> {
        self.0.lock().0.keys().cloned().collect()
    }

    fn with<T>(&self, work: impl FnOnce(&mut HashMap<String, String>) -> T) -> io::Result<T> {
        match &mut *self.0.lock() {
            (_, true) => Err(io::ErrorKind::PermissionDenied.into()),
            (items, false) => Ok(work(items)),
        }
    }
}

impl Keyring for Ring {
    fn password(&self, item: Item<'_>) -> io::Result<Option<Zeroizing<String>>> {
        self.with(|items| items.get(item.name).cloned().map(Zeroizing::new))
    }

    fn set_password(&self, item: Item<'_>, password: &str) -> io::Result<()> {
        self.with(|items| drop(items.insert(item.name.into(), password.into())))
    }

    fn remove(&self, item: Item<'_>) -> io::Result<()> {
        self.with(|items| drop(items.remove(item.name)))
    }
}

fn in_keyring(folder: &tempfile::TempDir, ring: &Ring) -> UrlCredentialStorage {
    let vault = Vault::new(folder.path().join("credentials.db"));
    UrlCredentialStorage::with(Some(Box::new(vault.with_keyring(Some(Box::new(ring.clone()))))))
}

#[test]
fn a_permanent_password_is_in_the_keyring_and_not_in_the_file() {
    let (folder, ring) = (tempfile::tempdir().unwrap(), Ring::default());
    let realm = UrlProtectionSpace::new(
        "Example.com",
        8443,
        UrlProtectionSpaceProtocol::Https,
        Some("the \"inner\" one"),
        AuthenticationMethod::HttpDigest,
    );
    in_keyring(&folder, &ring).set(&permanent("ann", "one"), &realm);
    in_keyring(&folder, &ring).set(&permanent("ann", "two"), &realm);
    assert_eq!(
        ring.names(),
        ["ann at example.com:8443 (Https, HttpDigest, realm \"the \\\"inner\\\" one\")"]
    );
    assert_eq!(in_keyring(&folder, &ring).credentials(&realm), [permanent("ann", "two")]);
    assert!(at(&folder).credentials(&realm).is_empty(), "the file alone does not have it");
    in_keyring(&folder, &ring).remove(&permanent("ann", "two"), &realm);
    assert!(ring.names().is_empty());
    in_keyring(&folder, &ring).set(&permanent("bob", "one"), &realm);
    in_keyring(&folder, &ring).empty();
    assert!(ring.names().is_empty());
}

#[test]
fn a_keyring_that_is_locked_rests_and_new_passwords_are_sealed_until_it_opens() {
    let (folder, ring) = (tempfile::tempdir().unwrap(), Ring::default());
    in_keyring(&folder, &ring).set(&permanent("ann", "one"), &space("a"));
    ring.lock(true);
    let storage = in_keyring(&folder, &ring);
    assert!(storage.credentials(&space("a")).is_empty());
    storage.set(&permanent("bob", "two"), &space("a"));
    assert_eq!(storage.credentials(&space("a")), [permanent("bob", "two")]);
    assert_eq!(at(&folder).credentials(&space("a")), [permanent("bob", "two")]);
    ring.lock(false);
    let both = [permanent("ann", "one"), permanent("bob", "two")];
    assert_eq!(in_keyring(&folder, &ring).credentials(&space("a")), both);
    assert_eq!(ring.names().len(), 2, "both are in the keyring now");
    assert!(at(&folder).credentials(&space("a")).is_empty());
}

#[test]
fn a_password_taken_out_of_the_keyring_is_a_credential_less() {
    let (folder, ring) = (tempfile::tempdir().unwrap(), Ring::default());
    in_keyring(&folder, &ring).set(&permanent("ann", "one"), &space("a"));
    ring.0.lock().0.clear();
    assert!(in_keyring(&folder, &ring).credentials(&space("a")).is_empty());
    in_keyring(&folder, &ring).set(&permanent("ann", "three"), &space("a"));
    assert_eq!(in_keyring(&folder, &ring).all_credentials()[&space("a")], [permanent("ann", "three")]);
}

fn at(folder: &tempfile::TempDir) -> UrlCredentialStorage {
    UrlCredentialStorage::at(folder.path().join("credentials.db"))
}

/// Runs this test again with a bus of its own, so that no keyring of whoever runs it is touched; then `None`.
#[cfg(all(feature = "keyring", target_os = "linux"))]
fn again(name: &str, through: &[&str], bus: Option<&str>) -> Option<UrlCredentialStorage> {
    const FOLDER: &str = "URLSESSION_TEST_FOLDER";
    if let Some(folder) = std::env::var_os(FOLDER) {
        let path = std::path::Path::new(&folder).join("credentials.db");
        return Some(UrlCredentialStorage::with(Some(Box::new(
            Vault::new(path).with_keyring(keyring::platform()),
        ))));
    }
    let folder = tempfile::tempdir().unwrap();
    let test = std::env::current_exe().unwrap();
    let mut again =
        std::process::Command::new(through.first().map_or(test.as_os_str(), |first| first.as_ref()));
    if let Some((_, rest)) = through.split_first() {
        again.args(rest).arg(&test);
    }
    again.args(["--exact", &format!("store::credentials::tests::{name}"), "--nocapture"]);
    again.env(FOLDER, folder.path()).env("HOME", folder.path()).env("XDG_RUNTIME_DIR", folder.path());
    again.envs(bus.map(|bus| ("DBUS_SESSION_BUS_ADDRESS", bus)));
    let output = again.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}{complained}");
    None
}

#[cfg(all(feature = "keyring", target_os = "linux"))]
#[test]
fn without_a_secret_service_the_password_is_sealed_in_the_file() {
    let name = "without_a_secret_service_the_password_is_sealed_in_the_file";
    let Some(storage) = again(name, &[], Some("unix:path=/nowhere")) else { return };
    storage.set(&permanent("ann", "one"), &space("a"));
    drop(storage);
    let folder = PathBuf::from(std::env::var_os("HOME").unwrap());
    let file = UrlCredentialStorage::at(folder.join("credentials.db"));
    assert_eq!(file.credentials(&space("a")), [permanent("ann", "one")]);
}

#[cfg(all(feature = "keyring", feature = "real-servers", target_os = "linux"))]
#[test]
fn gnome_keyring_holds_the_password_as_an_item_of_its_own() {
    let unlocked = "printf x | gnome-keyring-daemon --unlock --components=secrets >/dev/null; exec \"$@\"";
    let through = ["dbus-run-session", "--", "sh", "-c", unlocked, "sh"];
    let name = "gnome_keyring_holds_the_password_as_an_item_of_its_own";
    let Some(storage) = again(name, &through, None) else { return };
    storage.set(&permanent("ann", "0ne"), &space("a.example"));
    assert_eq!(storage.credentials(&space("a.example")), [permanent("ann", "0ne")]);
    let path = PathBuf::from(std::env::var_os("HOME").unwrap()).join("credentials.db");
    assert!(UrlCredentialStorage::at(&path).credentials(&space("a.example")).is_empty());
    // As another program sees it.
    let tool = |verb: &str| {
        let service = format!("urlsession {}", path.display());
        let args = [verb, "service", &service, "username", "ann at a.example:80 (Http, Default)"];
        String::from_utf8(std::process::Command::new("secret-tool").args(args).output().unwrap().stdout)
            .unwrap()
    };
    assert_eq!(tool("lookup"), "0ne");
    tool("clear");
    assert!(storage.credentials(&space("a.example")).is_empty());
    storage.set(&permanent("ann", "tw0"), &space("a.example"));
    assert_eq!(tool("lookup"), "tw0");
    storage.remove(&permanent("ann", "tw0"), &space("a.example"));
    assert_eq!(tool("lookup"), "");
}

#[test]
fn what_was_sealed_is_in_no_file_once_it_is_removed_or_replaced() {
    type Remove = fn(&UrlCredentialStorage);
    let ways: [Remove; 3] = [
        |storage| storage.remove(&permanent("ann", "one"), &space("a")),
        |storage| storage.set(&permanent("ann", "two"), &space("a")),
        UrlCredentialStorage::empty,
    ];
    for remove in ways {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("credentials.db");
        let storage = UrlCredentialStorage::at(&path);
        storage.set(&permanent("ann", "one"), &space("a"));
        let sealed: Vec<u8> = rusqlite::Connection::open(&path)
            .unwrap()
            .query_row("SELECT sealed FROM credentials", [], |row| row.get(0))
            .unwrap();
        let files = || {
            let files = std::fs::read_dir(folder.path()).unwrap();
            files.map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect::<Vec<_>>()
        };
        let has = || files().iter().any(|file| file.windows(16).any(|window| window == &sealed[..16]));
        assert!(has());
        remove(&storage);
        assert!(!has());
    }
}
