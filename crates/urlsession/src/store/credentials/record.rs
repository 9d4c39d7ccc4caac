//! What a row of the vault says of a credential, as bytes before they are sealed, and what its item in a keyring is called.

use zeroize::Zeroizing;

use crate::message::{
    AuthenticationMethod, UrlProtectionSpace, UrlProtectionSpaceProtocol, UrlProtectionSpaceProxyType,
};

pub(super) struct Record {
    pub(super) space: UrlProtectionSpace,
    pub(super) user: String,
    /// `None` if it is in the keyring.
    pub(super) password: Option<Zeroizing<String>>,
    pub(super) is_synchronizable: bool,
}

impl Record {
    pub(super) fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut bytes = Zeroizing::new(space_bytes(&self.space));
        write(&mut bytes, self.user.as_bytes());
        write(&mut bytes, self.password.as_ref().map_or(b"", |password| password.as_bytes()));
        let in_keyring = if self.password.is_none() { IN_KEYRING } else { 0 };
        let synchronizable = if self.is_synchronizable { SYNCHRONIZABLE } else { 0 };
        bytes.push(in_keyring | synchronizable);
        bytes
    }

    pub(super) fn from_bytes(mut bytes: &[u8]) -> Option<Self> {
        let space = read_space(&mut bytes)?;
        let (user, password) = (read(&mut bytes)?, read(&mut bytes)?);
        let [flags] = bytes else { return None };
        Some(Self {
            space,
            user: user.into(),
            password: (flags & IN_KEYRING == 0).then(|| Zeroizing::new(password.into())),
            is_synchronizable: flags & SYNCHRONIZABLE != 0,
        })
    }

    /// What a user finds in the keyring. It differs where spaces differ.
    pub(super) fn item_name(space: &UrlProtectionSpace, user: &str) -> String {
        let whose = match (space.protocol(), space.proxy_type()) {
            (Some(protocol), _) => format!("{protocol:?}"),
            (None, Some(proxy)) => format!("{proxy:?} proxy"),
            (None, None) => "unknown".into(),
        };
        let (host, port) = (space.host().to_ascii_lowercase(), space.effective_port());
        let realm = space.realm().map_or_else(String::new, |realm| format!(", realm {realm:?}"));
        format!("{user} at {host}:{port} ({whose}, {:?}{realm})", space.authentication_method())
    }
}

/// A space as it is hashed: the same bytes for equal spaces.
pub(super) fn space_bytes(space: &UrlProtectionSpace) -> Vec<u8> {
    let mut bytes = vec![whose(space), method(space.authentication_method())];
    bytes.extend_from_slice(&space.effective_port().to_be_bytes());
    write(&mut bytes, space.host().to_ascii_lowercase().as_bytes());
    bytes.push(u8::from(space.realm().is_some()));
    write(&mut bytes, space.realm().unwrap_or_default().as_bytes());
    bytes
}

fn read_space(bytes: &mut &[u8]) -> Option<UrlProtectionSpace> {
    let [whose, method, high, low, rest @ ..] = *bytes else { return None };
    *bytes = rest;
    let port = u16::from_be_bytes([*high, *low]);
    let method = *METHODS.get(usize::from(*method))?;
    let host = read(bytes)?;
    let (has_realm, rest) = bytes.split_first()?;
    *bytes = rest;
    let realm = read(bytes)?;
    let realm = (*has_realm == 1).then_some(realm);
    Some(match usize::from(*whose).checked_sub(PROTOCOLS.len()) {
        None => UrlProtectionSpace::new(host, port, *PROTOCOLS.get(usize::from(*whose))?, realm, method),
        Some(proxy) => UrlProtectionSpace::proxy(host, port, *PROXIES.get(proxy)?, realm, method),
    })
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

const SYNCHRONIZABLE: u8 = 1;
const IN_KEYRING: u8 = 2;

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
