//! NTLM, version 2: the three messages of its handshake (MS-NLMP §2.2.1), which authenticates a connection.
//!
//! Nothing is signed or sealed, and no message integrity code is sent: HTTP uses neither. The time comes from the caller.

use hmac::{Hmac, KeyInit, Mac};
use md4::{Digest, Md4};
use md5::Md5;

/// The first message: what the client can do (MS-NLMP §2.2.1.1).
pub fn negotiate() -> Vec<u8> {
    let mut message = SIGNATURE.to_vec();
    message.extend_from_slice(&1_u32.to_le_bytes());
    message.extend_from_slice(&FLAGS.to_le_bytes());
    // No domain and no workstation are told.
    message.extend_from_slice(&[0; 16]);
    message
}

/// The server's message (MS-NLMP §2.2.1.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NtlmChallenge {
    flags: u32,
    challenge: [u8; 8],
    target_info: Vec<u8>,
}

impl NtlmChallenge {
    /// Reads the message; `None` if it is not one.
    pub fn parse(message: &[u8]) -> Option<Self> {
        let rest = message.strip_prefix(SIGNATURE)?;
        if u32_at(rest, 0)? != 2 {
            return None;
        }
        let flags = u32_at(rest, 12)?;
        let challenge = rest.get(16..24)?.try_into().ok()?;
        let target_info = match flags & TARGET_INFO {
            0 => Vec::new(),
            _ => {
                let (length, offset) = (u16_at(rest, 32)? as usize, u32_at(rest, 36)? as usize);
                message.get(offset..offset.checked_add(length)?)?.to_vec()
            }
        };
        Some(Self { flags, challenge, target_info })
    }

    /// The time the server tells, in 100 ns since 1601 (MS-NLMP §2.2.2.1, `MsvAvTimestamp`).
    fn server_time(&self) -> Option<u64> {
        let mut pairs = &self.target_info[..];
        loop {
            let (id, length) = (u16_at(pairs, 0)?, u16_at(pairs, 2)? as usize);
            let value = pairs.get(4..4 + length)?;
            match id {
                AV_END => return None,
                AV_TIMESTAMP => return Some(u64::from_le_bytes(value.try_into().ok()?)),
                _ => pairs = &pairs[4 + length..],
            }
        }
    }
}

/// Who logs in.
#[derive(Clone, Copy)]
pub struct NtlmUser<'a> {
    /// The domain, or nothing.
    pub domain: &'a str,
    /// The user.
    pub user: &'a str,
    /// The password.
    pub password: &'a str,
}

impl<'a> NtlmUser<'a> {
    /// Of `DOMAIN\user`, or of a user without a domain; `user@domain` is a user's name as a whole.
    pub fn parse(user: &'a str, password: &'a str) -> Self {
        let (domain, user) = user.split_once('\\').unwrap_or(("", user));
        Self { domain, user, password }
    }
}

/// The last message: the proof (MS-NLMP §2.2.1.3). `nonce` must be random, `time` is in 100 ns since 1601 and used if the
/// server does not tell its own.
pub fn authenticate(challenge: &NtlmChallenge, user: NtlmUser<'_>, nonce: [u8; 8], time: u64) -> Vec<u8> {
    let key = response_key(user);
    let told = challenge.server_time();
    let nt = nt_response(&key, challenge, nonce, told.unwrap_or(time));
    let lm = match told {
        // MS-NLMP §3.1.5.1.2: a server that tells its time wants no LM response.
        Some(_) => vec![0; 24],
        None => lm_response(&key, challenge, nonce),
    };
    let is_unicode = challenge.flags & UNICODE != 0;
    let text = |text: &str| if is_unicode { utf16(text) } else { text.as_bytes().to_vec() };
    let fields = [lm, nt, text(user.domain), text(user.user), Vec::new(), Vec::new()];
    let mut message = SIGNATURE.to_vec();
    message.extend_from_slice(&3_u32.to_le_bytes());
    let mut offset = HEAD;
    for field in &fields {
        let length = u16::try_from(field.len()).unwrap_or(u16::MAX);
        message.extend_from_slice(&length.to_le_bytes());
        message.extend_from_slice(&length.to_le_bytes());
        message.extend_from_slice(&(offset as u32).to_le_bytes());
        offset += usize::from(length);
    }
    message.extend_from_slice(&(challenge.flags & FLAGS).to_le_bytes());
    for field in &fields {
        message.extend_from_slice(&field[..field.len().min(u16::MAX.into())]);
    }
    message
}

/// MS-NLMP §3.3.2, `NTOWFv2`.
fn response_key(user: NtlmUser<'_>) -> [u8; 16] {
    let password: [u8; 16] = Md4::digest(utf16(user.password)).into();
    hmac(&password, &[&utf16(&user.user.to_uppercase()), &utf16(user.domain)])
}

/// MS-NLMP §3.3.2: the proof, and what it proves.
fn nt_response(key: &[u8; 16], challenge: &NtlmChallenge, nonce: [u8; 8], time: u64) -> Vec<u8> {
    let mut blob = vec![1, 1, 0, 0, 0, 0, 0, 0];
    blob.extend_from_slice(&time.to_le_bytes());
    blob.extend_from_slice(&nonce);
    blob.extend_from_slice(&[0; 4]);
    blob.extend_from_slice(&challenge.target_info);
    blob.extend_from_slice(&[0; 4]);
    let proof = hmac(key, &[&challenge.challenge, &blob]);
    [&proof[..], &blob].concat()
}

fn lm_response(key: &[u8; 16], challenge: &NtlmChallenge, nonce: [u8; 8]) -> Vec<u8> {
    [&hmac(key, &[&challenge.challenge, &nonce])[..], &nonce].concat()
}

fn hmac(key: &[u8; 16], parts: &[&[u8]]) -> [u8; 16] {
    // A key of any length is taken.
    let Ok(mut mac) = Hmac::<Md5>::new_from_slice(key) else { return [0; 16] };
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

const SIGNATURE: &[u8] = b"NTLMSSP\0";

/// The length of the last message before its fields.
const HEAD: usize = 8 + 4 + 6 * 8 + 4;

/// MS-NLMP §2.2.2.5.
const UNICODE: u32 = 1;
const TARGET_INFO: u32 = 1 << 23;
const FLAGS: u32 = UNICODE
    | 1 << 2 // the server names itself
    | 1 << 9 // NTLM
    | 1 << 15 // as every client says
    | 1 << 19 // extended session security
    | TARGET_INFO
    | 1 << 29 // 128 bits
    | 1 << 31; // 56 bits

/// MS-NLMP §2.2.2.1.
const AV_END: u16 = 0;
const AV_TIMESTAMP: u16 = 7;

#[cfg(test)]
mod tests {
    use super::*;

    const USER: NtlmUser<'_> = NtlmUser { domain: "Domain", user: "User", password: "Password" };

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn pair(id: u16, value: &[u8]) -> Vec<u8> {
        [&id.to_le_bytes()[..], &(value.len() as u16).to_le_bytes(), value].concat()
    }

    fn message(target_info: &[u8]) -> Vec<u8> {
        let mut message = SIGNATURE.to_vec();
        message.extend_from_slice(&2_u32.to_le_bytes());
        message.extend_from_slice(&[0; 8]);
        message.extend_from_slice(&FLAGS.to_le_bytes());
        message.extend_from_slice(&[0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef]);
        message.extend_from_slice(&[0; 8]);
        message.extend_from_slice(&(target_info.len() as u16).to_le_bytes());
        message.extend_from_slice(&(target_info.len() as u16).to_le_bytes());
        message.extend_from_slice(&48_u32.to_le_bytes());
        message.extend_from_slice(target_info);
        message
    }

    /// MS-NLMP §4.2.4
    fn vector() -> NtlmChallenge {
        let info = [pair(2, &utf16("Domain")), pair(1, &utf16("Server")), pair(0, &[])].concat();
        NtlmChallenge::parse(&message(&info)).unwrap()
    }

    #[test]
    fn the_vectors_of_ms_nlmp_section_4_2_4() {
        let key = response_key(USER);
        assert_eq!(hex(&key), "0c868a403bfd7a93a3001ef22ef02e3f");
        let nt = nt_response(&key, &vector(), [0xaa; 8], 0);
        assert_eq!(hex(&nt[..16]), "68cd0ab851e51c96aabc927bebef6a1c");
        let lm = lm_response(&key, &vector(), [0xaa; 8]);
        assert_eq!(hex(&lm), "86c35097ac9cec102554764a57cccc19aaaaaaaaaaaaaaaa");
    }

    #[test]
    fn the_last_message_holds_its_fields_where_it_says() {
        let message = authenticate(&vector(), USER, [0xaa; 8], 0);
        let field = |number: usize| {
            let at = 12 + 8 * number;
            let (length, offset) = (u16_at(&message, at).unwrap(), u32_at(&message, at + 4).unwrap());
            &message[offset as usize..offset as usize + usize::from(length)]
        };
        assert_eq!(hex(&field(0)[..16]), "86c35097ac9cec102554764a57cccc19");
        assert_eq!(hex(&field(1)[..16]), "68cd0ab851e51c96aabc927bebef6a1c");
        assert_eq!((field(2), field(3), field(4)), (&utf16("Domain")[..], &utf16("User")[..], &[][..]));
    }

    #[test]
    fn the_servers_time_is_the_one_to_use_and_then_there_is_no_lm_response() {
        let time = 0x0102_0304_0506_0708_u64;
        let info = [pair(AV_TIMESTAMP, &time.to_le_bytes()), pair(0, &[])].concat();
        let challenge = NtlmChallenge::parse(&message(&info)).unwrap();
        let answer = authenticate(&challenge, USER, [0xaa; 8], 0);
        assert_eq!(answer[HEAD..HEAD + 24], [0; 24]);
        assert_eq!(answer[HEAD + 24 + 16 + 8..][..8], time.to_le_bytes());
    }

    #[test]
    fn a_domain_stands_before_a_backslash() {
        let parts = |user| {
            let NtlmUser { domain, user, .. } = NtlmUser::parse(user, "");
            (domain, user)
        };
        assert_eq!(parts("CORP\\ann"), ("CORP", "ann"));
        assert_eq!(parts("ann"), ("", "ann"));
        assert_eq!(parts("ann@corp.example"), ("", "ann@corp.example"));
    }

    #[test]
    fn damaged_messages_are_refused_without_harm() {
        let whole = message(&[pair(AV_TIMESTAMP, &[1; 8]), pair(0, &[])].concat());
        for length in 0..whole.len() {
            assert_eq!(NtlmChallenge::parse(&whole[..length]), None, "{length}");
        }
        for at in 0..whole.len() {
            for value in [0, 1, 0x7f, 0xff] {
                let mut damaged = whole.clone();
                damaged[at] = value;
                if let Some(challenge) = NtlmChallenge::parse(&damaged) {
                    authenticate(&challenge, USER, [0; 8], 0);
                }
            }
        }
        let unterminated = NtlmChallenge::parse(&message(&pair(9, b"x"))).unwrap();
        assert_eq!(unterminated.server_time(), None);
    }
}
