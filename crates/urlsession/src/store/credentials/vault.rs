//! `Vault`: permanent credentials in a SQLite file, sealed by a key that is kept beside it; their passwords in a keyring, if
//! there is one that can be reached, else sealed with the rest.
//!
//! Neither hosts nor users nor passwords stand there in clear: rows are found by keyed hashes. All of it blocks.

use parking_lot::{Mutex, MutexGuard};
use std::cell::Cell;
use std::path::{Path, PathBuf};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hmac;
use rusqlite::{Connection, params};
use zeroize::Zeroizing;

use super::keeper::{Keeper, StoredCredential};
use super::keyring::{Item, Keyring};
use super::record::{Record, space_bytes};
use crate::env::{fs, random};
use crate::error::{Phase, Result, UrlError, UrlErrorCode};
use crate::message::{UrlCredential, UrlCredentialPersistence, UrlProtectionSpace};
use crate::store::database::{self, Remains, Schema};
use crate::store::key_file;
use crate::store::persistent::data::Effort;

pub(super) struct Vault {
    path: PathBuf,
    keyring: Option<Box<dyn Keyring>>,
    /// Whose the items in the keyring are.
    service: String,
    open: Mutex<VaultState>,
}

enum VaultState {
    Closed,
    Open(Box<Open>),
    /// It cannot be opened, and that was said.
    Broken,
}

struct Open {
    connection: Connection,
    seal: LessSafeKey,
    tag: hmac::Key,
    /// Of what is gone, in the file.
    remains: Cell<Remains>,
}

struct Row {
    record: Record,
    is_default: bool,
}

impl Vault {
    /// Nothing is opened yet.
    pub(super) fn new(path: PathBuf) -> Self {
        let service = format!("urlsession {}", path.display());
        Self { path, keyring: None, service, open: Mutex::new(VaultState::Closed) }
    }

    /// With its passwords in a keyring, as far as that can be reached.
    pub(super) fn with_keyring(self, keyring: Option<Box<dyn Keyring>>) -> Self {
        Self { keyring, ..self }
    }
}

impl Keeper for Vault {
    fn of(&self, space: &UrlProtectionSpace) -> Vec<StoredCredential> {
        let rows = self.with_existing(|open| open.rows(Some(&open.tag_of(&space_bytes(space)))));
        let rows = rows.unwrap_or_default().into_iter();
        rows.filter_map(|row| self.entry(row).map(|(_, entry)| entry)).collect()
    }

    fn all(&self) -> Vec<(UrlProtectionSpace, StoredCredential)> {
        let rows = self.with_existing(|open| open.rows(None)).unwrap_or_default();
        rows.into_iter().filter_map(|row| self.entry(row)).collect()
    }

    /// False if it could not be written.
    fn put(&self, space: &UrlProtectionSpace, entry: &StoredCredential) -> bool {
        let (Some(user), Some(password)) = (entry.credential.user(), entry.credential.password()) else {
            return false;
        };
        let is_in_keyring = self.hand_over(space, user, password);
        let record = Record {
            space: space.clone(),
            user: user.into(),
            password: (!is_in_keyring).then(|| Zeroizing::new(password.into())),
            is_synchronizable: entry.credential.persistence() == UrlCredentialPersistence::Synchronizable,
        };
        let is_written = self.with(|open| open.put(&record, entry.is_default)).unwrap_or(false);
        if is_in_keyring && !is_written {
            self.remove_item(space, user);
        }
        is_written
    }

    fn remove(&self, space: &UrlProtectionSpace, user: &str) {
        let removed = self.with_existing(|open| {
            let (tag, user) = (open.tag_of(&space_bytes(space)), open.tag_of(user.as_bytes()));
            open.connection
                .prepare("DELETE FROM credentials WHERE space = ? AND user = ?")?
                .execute([&tag[..], &user[..]])
                .inspect(|_| open.note_remains())
        });
        if removed.is_some_and(|rows| rows > 0) {
            self.remove_item(space, user);
        }
    }

    fn demote(&self, space: &UrlProtectionSpace) {
        self.with_existing(|open| {
            let tag = open.tag_of(&space_bytes(space));
            open.connection
                .prepare("UPDATE credentials SET is_default = 0 WHERE space = ?")?
                .execute([&tag[..]])
        });
    }

    fn empty(&self) {
        let rows = self.with_existing(|open| {
            let rows = open.rows(None)?;
            open.connection.execute("DELETE FROM credentials", [])?;
            open.note_remains();
            Ok(rows)
        });
        self.settle();
        database::remove_aside(&self.path);
        for Row { record, .. } in rows.into_iter().flatten().filter(|row| row.record.password.is_none()) {
            self.remove_item(&record.space, &record.user);
        }
    }

    /// Waits until nothing of what is gone is in the file any more. One that is not open has nothing.
    fn settle(&self) {
        if matches!(*self.lock(), VaultState::Open(_)) {
            self.with(|open| open.remove_remains(Effort::All));
        }
    }
}

impl Vault {
    /// With its password from where it is; `None` if that cannot be had.
    fn entry(&self, Row { record, is_default }: Row) -> Option<(UrlProtectionSpace, StoredCredential)> {
        let Record { space, user, password, is_synchronizable } = record;
        let password = match password {
            Some(password) => password,
            None => self.password_of(&space, &user)?,
        };
        let persistence = match is_synchronizable {
            true => UrlCredentialPersistence::Synchronizable,
            false => UrlCredentialPersistence::Permanent,
        };
        let credential = UrlCredential::new(&user, password.as_str(), persistence);
        Some((space, StoredCredential { credential, is_default }))
    }

    fn password_of(&self, space: &UrlProtectionSpace, user: &str) -> Option<Zeroizing<String>> {
        let Some(keyring) = &self.keyring else {
            tracing::warn!("a credential of {} is not used: no keyring is available", space.host());
            return None;
        };
        let found = keyring.password(self.item(&Record::item_name(space, user)));
        match found {
            Ok(Some(password)) => return Some(password),
            // Its user took it out of the keyring, and means it.
            Ok(None) => self.remove(space, user),
            Err(error) => tracing::warn!(
                "a credential of {} is not used: the keyring cannot be read: {error}",
                space.host()
            ),
        }
        None
    }

    /// Whether the password is in the keyring now.
    fn hand_over(&self, space: &UrlProtectionSpace, user: &str, password: &str) -> bool {
        let Some(keyring) = &self.keyring else { return false };
        let result = keyring.set_password(self.item(&Record::item_name(space, user)), password);
        if let Err(error) = &result {
            tracing::debug!("a password is in {}, not in the keyring: {error}", self.path.display());
        }
        result.is_ok()
    }

    fn remove_item(&self, space: &UrlProtectionSpace, user: &str) {
        let Some(keyring) = &self.keyring else { return };
        if let Err(error) = keyring.remove(self.item(&Record::item_name(space, user))) {
            tracing::warn!("a password of {} could not be removed from the keyring: {error}", space.host());
        }
    }

    fn item<'a>(&'a self, name: &'a str) -> Item<'a> {
        Item { service: &self.service, name }
    }

    /// What was written while no keyring could be reached is moved there.
    fn move_to_keyring(&self, open: &Open) -> rusqlite::Result<()> {
        if self.keyring.is_none() {
            return Ok(());
        }
        for Row { mut record, is_default } in open.rows(None)? {
            let Some(password) = record.password.take() else { continue };
            if !self.hand_over(&record.space, &record.user, &password) {
                break;
            }
            open.put(&record, is_default)?;
        }
        Ok(())
    }

    /// As [`with`](Self::with), of a file that is there: nobody who only looks makes one.
    fn with_existing<T>(&self, work: impl FnOnce(&Open) -> rusqlite::Result<T>) -> Option<T> {
        if fs::exists(&self.path) { self.with(work) } else { None }
    }

    /// What `work` gives; `None`, and a warning, if the file cannot be used.
    fn with<T>(&self, work: impl FnOnce(&Open) -> rusqlite::Result<T>) -> Option<T> {
        let mut state = self.lock();
        let unusable = |error: &rusqlite::Error| {
            tracing::warn!(store = SCHEMA.name, "{} cannot be used: {error}", self.path.display());
        };
        if matches!(*state, VaultState::Closed) {
            *state = match Open::at(&self.path) {
                Ok(open) => {
                    let _ = self.move_to_keyring(&open).inspect_err(unusable);
                    VaultState::Open(Box::new(open))
                }
                Err(error) => {
                    tracing::warn!(store = SCHEMA.name, "permanent credentials are in memory only: {error}");
                    VaultState::Broken
                }
            };
        }
        let VaultState::Open(open) = &*state else { return None };
        let done = work(open).inspect_err(unusable).ok();
        let _ = open.remove_remains(Effort::Little).inspect_err(unusable);
        done
    }

    fn lock(&self) -> MutexGuard<'_, VaultState> {
        self.open.lock()
    }
}

impl Open {
    fn at(path: &Path) -> Result<Self> {
        let connection = database::open(path, &SCHEMA)?;
        let bad = |cause: Box<dyn std::error::Error + Send + Sync>| {
            let detail = format!("the key of {} can neither be read nor made", path.display());
            UrlError::new(UrlErrorCode::CannotOpenFile, Phase::Disk, detail).with_source(cause)
        };
        let key = key_file::read_or_make(path).map_err(|error| bad(error.into()))?;
        // Half of it seals, half of it hashes.
        let (seal, tag) = key.split_at(key_file::LENGTH / 2);
        let seal =
            UnboundKey::new(&AES_256_GCM, seal).map_err(|_| bad("the key has a wrong length".into()))?;
        Ok(Self {
            connection,
            seal: LessSafeKey::new(seal),
            tag: hmac::Key::new(hmac::HMAC_SHA256, tag),
            remains: Cell::default(),
        })
    }

    fn note_remains(&self) {
        let mut remains = self.remains.get();
        remains.note();
        self.remains.set(remains);
    }

    fn remove_remains(&self, effort: Effort) -> rusqlite::Result<()> {
        let mut remains = self.remains.get();
        let done = remains.remove(&self.connection, effort);
        self.remains.set(remains);
        done
    }

    /// Those of a space, or all, without those that this key did not seal.
    fn rows(&self, tag: Option<&[u8]>) -> rusqlite::Result<Vec<Row>> {
        let mut query = self.connection.prepare(
            "SELECT space, is_default, sealed FROM credentials WHERE ?1 IS NULL OR space = ?1 ORDER BY rowid",
        )?;
        let rows = query
            .query_map([tag], |row| Ok((row.get::<_, Vec<u8>>(0)?, row.get(1)?, row.get::<_, Vec<u8>>(2)?)))?
            .collect::<rusqlite::Result<Vec<_>>>()?;
        let row = |(tag, is_default, sealed): (Vec<u8>, _, _)| {
            Some(Row { record: self.unseal(&tag, sealed)?, is_default })
        };
        Ok(rows.into_iter().filter_map(row).collect())
    }

    /// False if it cannot be sealed.
    fn put(&self, record: &Record, is_default: bool) -> rusqlite::Result<bool> {
        let tag = self.tag_of(&space_bytes(&record.space));
        let user_tag = self.tag_of(record.user.as_bytes());
        let Some(sealed) = self.seal(&tag, &record.to_bytes()) else { return Ok(false) };
        // In its place, so that the order stays what it was.
        self.connection
            .prepare(
                "INSERT INTO credentials (space, user, is_default, sealed) VALUES (?, ?, ?, ?)
                 ON CONFLICT (space, user) DO UPDATE SET is_default = excluded.is_default, sealed = excluded.sealed",
            )?
            .execute(params![&tag[..], &user_tag[..], is_default, sealed])?;
        // It may have been there, with another password.
        self.note_remains();
        Ok(true)
    }

    fn tag_of(&self, bytes: &[u8]) -> Vec<u8> {
        hmac::sign(&self.tag, bytes).as_ref().to_vec()
    }

    /// Nonce, then what is sealed. It opens only in the row of its space.
    fn seal(&self, tag: &[u8], record: &[u8]) -> Option<Vec<u8>> {
        let mut nonce = [0; NONCE_LEN];
        random(&mut nonce);
        let mut sealed = record.to_vec();
        self.seal
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(tag), &mut sealed)
            .ok()?;
        Some([&nonce[..], &sealed].concat())
    }

    fn unseal(&self, tag: &[u8], mut sealed: Vec<u8>) -> Option<Record> {
        let (nonce, record) = sealed.split_at_mut_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let record = Record::from_bytes(self.seal.open_in_place(nonce, Aad::from(tag), record).ok()?);
        zeroize::Zeroize::zeroize(&mut sealed);
        record
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        // The next who opens the file tries it, too.
        let _ = self.remove_remains(Effort::Little);
    }
}

const SCHEMA: Schema = Schema {
    name: "credential",
    version: 1,
    discard_older: None,
    create: "CREATE TABLE credentials (
        space BLOB NOT NULL, user BLOB NOT NULL, is_default INTEGER NOT NULL, sealed BLOB NOT NULL,
        UNIQUE (space, user)) STRICT",
};
