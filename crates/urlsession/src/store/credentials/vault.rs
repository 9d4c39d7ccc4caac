//! `Vault`: permanent credentials in a SQLite file, sealed by a key that is kept beside it or in a keyring.
//!
//! Neither hosts nor users nor passwords stand there in clear: rows are found by keyed hashes. All of it blocks.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hmac;
use rusqlite::{Connection, params};
use zeroize::Zeroizing;

use super::Entry;
use super::key::{self, Keyring};
use crate::env::random;
use crate::error::{Phase, Result, UrlError, UrlErrorCode};
use crate::message::{
    AuthenticationMethod, UrlCredential, UrlCredentialPersistence, UrlProtectionSpace,
    UrlProtectionSpaceProtocol, UrlProtectionSpaceProxyType,
};
use crate::store::database::{self, Schema};

pub(super) struct Vault {
    path: PathBuf,
    keyring: Option<Box<dyn Keyring>>,
    open: Mutex<State>,
}

enum State {
    Closed,
    Open(Box<Open>),
    /// It cannot be opened, and that was said.
    Broken,
}

struct Open {
    connection: Connection,
    seal: LessSafeKey,
    tag: hmac::Key,
}

impl Vault {
    /// Nothing is opened yet.
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, keyring: None, open: Mutex::new(State::Closed) }
    }

    /// With its key in a keyring, if that can be reached.
    pub(super) fn with_keyring(self, keyring: Option<Box<dyn Keyring>>) -> Self {
        Self { keyring, ..self }
    }

    pub(super) fn of(&self, space: &UrlProtectionSpace) -> Vec<Entry> {
        let read = |open: &Open| {
            let tag = open.tag_of(&space_bytes(space));
            let mut query = open
                .connection
                .prepare("SELECT is_default, sealed FROM credentials WHERE space = ? ORDER BY rowid")?;
            let rows = query.query_map([&tag[..]], |row| Ok((row.get(0)?, row.get::<_, Vec<u8>>(1)?)))?;
            let rows = rows.collect::<rusqlite::Result<Vec<_>>>()?;
            Ok(rows
                .into_iter()
                .filter_map(|(is_default, sealed)| open.unseal(&tag, sealed, is_default))
                .collect())
        };
        let found: Vec<(UrlProtectionSpace, Entry)> = self.with_existing(read).unwrap_or_default();
        found.into_iter().map(|(_, entry)| entry).collect()
    }

    pub(super) fn all(&self) -> Vec<(UrlProtectionSpace, Entry)> {
        let read = |open: &Open| {
            let mut query = open
                .connection
                .prepare("SELECT space, is_default, sealed FROM credentials ORDER BY rowid")?;
            let rows = query
                .query_map([], |row| Ok((row.get::<_, Vec<u8>>(0)?, row.get(1)?, row.get::<_, Vec<u8>>(2)?)))?
                .collect::<rusqlite::Result<Vec<_>>>()?;
            Ok(rows
                .into_iter()
                .filter_map(|(tag, is_default, sealed)| open.unseal(&tag, sealed, is_default))
                .collect())
        };
        self.with_existing(read).unwrap_or_default()
    }

    /// False if it could not be written.
    pub(super) fn put(&self, space: &UrlProtectionSpace, entry: &Entry) -> bool {
        let (Some(user), Some(password)) = (entry.credential.user(), entry.credential.password()) else {
            return false;
        };
        let write = |open: &Open| {
            let tag = open.tag_of(&space_bytes(space));
            let user_tag = open.tag_of(user.as_bytes());
            let Some(sealed) =
                open.seal(&tag, &record(space, user, password, entry.credential.persistence()))
            else {
                return Ok(false);
            };
            open.connection
                .prepare("INSERT OR REPLACE INTO credentials (space, user, is_default, sealed) VALUES (?, ?, ?, ?)")?
                .execute(params![&tag[..], &user_tag[..], entry.is_default, sealed])?;
            Ok(true)
        };
        self.with(write).unwrap_or(false)
    }

    pub(super) fn remove(&self, space: &UrlProtectionSpace, user: &str) {
        self.with_existing(|open| {
            let (tag, user) = (open.tag_of(&space_bytes(space)), open.tag_of(user.as_bytes()));
            open.connection
                .prepare("DELETE FROM credentials WHERE space = ? AND user = ?")?
                .execute([&tag[..], &user[..]])
        });
    }

    pub(super) fn demote(&self, space: &UrlProtectionSpace) {
        self.with_existing(|open| {
            let tag = open.tag_of(&space_bytes(space));
            open.connection
                .prepare("UPDATE credentials SET is_default = 0 WHERE space = ?")?
                .execute([&tag[..]])
        });
    }

    pub(super) fn empty(&self) {
        self.with_existing(|open| open.connection.execute("DELETE FROM credentials", []));
    }

    /// As [`with`](Self::with), of a file that is there: nobody who only looks makes one.
    fn with_existing<T>(&self, work: impl FnOnce(&Open) -> rusqlite::Result<T>) -> Option<T> {
        if self.path.exists() { self.with(work) } else { None }
    }

    /// What `work` gives; `None`, and a warning, if the file cannot be used.
    fn with<T>(&self, work: impl FnOnce(&Open) -> rusqlite::Result<T>) -> Option<T> {
        let mut state = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*state, State::Closed) {
            *state = match Open::at(&self.path, self.keyring.as_deref()) {
                Ok(open) => State::Open(Box::new(open)),
                Err(error) => {
                    tracing::warn!(
                        store = SCHEMA.name,
                        "permanent credentials are kept in memory only: {error}"
                    );
                    State::Broken
                }
            };
        }
        let State::Open(open) = &*state else { return None };
        let result = work(open);
        if let Err(error) = &result {
            tracing::warn!(store = SCHEMA.name, "{} cannot be used: {error}", self.path.display());
        }
        result.ok()
    }
}

impl Open {
    fn at(path: &Path, keyring: Option<&dyn Keyring>) -> Result<Self> {
        let connection = database::open(path, &SCHEMA)?;
        let bad = |cause: Box<dyn std::error::Error + Send + Sync>| {
            let detail = format!("the key of {} can neither be read nor made", path.display());
            UrlError::new(UrlErrorCode::CannotOpenFile, Phase::Disk, detail).with_source(cause)
        };
        let key = key::read_or_make(path, keyring).map_err(|error| bad(error.into()))?;
        // Half of it seals, half of it hashes.
        let (seal, tag) = key.split_at(key::LENGTH / 2);
        let seal =
            UnboundKey::new(&AES_256_GCM, seal).map_err(|_| bad("the key has a wrong length".into()))?;
        Ok(Self { connection, seal: LessSafeKey::new(seal), tag: hmac::Key::new(hmac::HMAC_SHA256, tag) })
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

    /// `None` for a row that this key did not seal.
    fn unseal(
        &self,
        tag: &[u8],
        mut sealed: Vec<u8>,
        is_default: bool,
    ) -> Option<(UrlProtectionSpace, Entry)> {
        let (nonce, record) = sealed.split_at_mut_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let record = self.seal.open_in_place(nonce, Aad::from(tag), record).ok()?;
        let (space, credential) = read_record(record)?;
        zeroize::Zeroize::zeroize(&mut sealed);
        Some((space, Entry { credential, is_default }))
    }
}

/// A space as it is hashed: the same bytes for equal spaces.
fn space_bytes(space: &UrlProtectionSpace) -> Vec<u8> {
    let mut bytes = vec![whose(space), method(space.authentication_method())];
    bytes.extend_from_slice(&space.effective_port().to_be_bytes());
    write(&mut bytes, space.host().to_ascii_lowercase().as_bytes());
    bytes.push(u8::from(space.realm().is_some()));
    write(&mut bytes, space.realm().unwrap_or_default().as_bytes());
    bytes
}

fn record(
    space: &UrlProtectionSpace,
    user: &str,
    password: &str,
    persistence: UrlCredentialPersistence,
) -> Zeroizing<Vec<u8>> {
    let mut bytes = Zeroizing::new(space_bytes(space));
    write(&mut bytes, user.as_bytes());
    write(&mut bytes, password.as_bytes());
    bytes.push(u8::from(persistence == UrlCredentialPersistence::Synchronizable));
    bytes
}

fn read_record(mut bytes: &[u8]) -> Option<(UrlProtectionSpace, UrlCredential)> {
    let [whose, method, high, low, rest @ ..] = bytes else { return None };
    bytes = rest;
    let port = u16::from_be_bytes([*high, *low]);
    let method = *METHODS.get(usize::from(*method))?;
    let host = read(&mut bytes)?;
    let (has_realm, rest) = bytes.split_first()?;
    bytes = rest;
    let realm = read(&mut bytes)?;
    let realm = (*has_realm == 1).then_some(realm);
    let space = match usize::from(*whose).checked_sub(PROTOCOLS.len()) {
        None => UrlProtectionSpace::new(host, port, *PROTOCOLS.get(usize::from(*whose))?, realm, method),
        Some(proxy) => UrlProtectionSpace::proxy(host, port, *PROXIES.get(proxy)?, realm, method),
    };
    let (user, password) = (read(&mut bytes)?, read(&mut bytes)?);
    let persistence = match bytes {
        [1] => UrlCredentialPersistence::Synchronizable,
        _ => UrlCredentialPersistence::Permanent,
    };
    Some((space, UrlCredential::new(user, password, persistence)))
}

fn write(bytes: &mut Vec<u8>, text: &[u8]) {
    bytes.extend_from_slice(&(text.len() as u32).to_be_bytes());
    bytes.extend_from_slice(text);
}

fn read<'a>(bytes: &mut &'a [u8]) -> Option<&'a str> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (text, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
    *bytes = rest;
    std::str::from_utf8(text).ok()
}

fn whose(space: &UrlProtectionSpace) -> u8 {
    let server = space.protocol().and_then(|known| PROTOCOLS.iter().position(|protocol| *protocol == known));
    let proxy = space.proxy_type().and_then(|known| PROXIES.iter().position(|proxy| *proxy == known));
    server.or(proxy.map(|proxy| proxy + PROTOCOLS.len())).unwrap_or(usize::from(u8::MAX)) as u8
}

fn method(method: AuthenticationMethod) -> u8 {
    METHODS.iter().position(|known| *known == method).unwrap_or(usize::from(u8::MAX)) as u8
}

/// What is written is the position: append only.
const PROTOCOLS: [UrlProtectionSpaceProtocol; 3] =
    [UrlProtectionSpaceProtocol::Http, UrlProtectionSpaceProtocol::Https, UrlProtectionSpaceProtocol::Ftp];

const PROXIES: [UrlProtectionSpaceProxyType; 4] = [
    UrlProtectionSpaceProxyType::Http,
    UrlProtectionSpaceProxyType::Https,
    UrlProtectionSpaceProxyType::Ftp,
    UrlProtectionSpaceProxyType::Socks,
];

const METHODS: [AuthenticationMethod; 8] = [
    AuthenticationMethod::Default,
    AuthenticationMethod::HttpBasic,
    AuthenticationMethod::HttpDigest,
    AuthenticationMethod::HtmlForm,
    AuthenticationMethod::Ntlm,
    AuthenticationMethod::Negotiate,
    AuthenticationMethod::ClientCertificate,
    AuthenticationMethod::ServerTrust,
];

const SCHEMA: Schema = Schema {
    name: "credential",
    version: 1,
    create: "CREATE TABLE credentials (
        space BLOB NOT NULL, user BLOB NOT NULL, is_default INTEGER NOT NULL, sealed BLOB NOT NULL,
        UNIQUE (space, user)) STRICT",
};
