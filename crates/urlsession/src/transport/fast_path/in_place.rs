//! Cipher suites that leave application data where it was decrypted. rustls would copy each record to memory of its own;
//! it gets only the first byte, as a sign that a record has arrived, and handles everything else.
//!
//! The provider does the cryptography; this module has no access to keys.

use std::cell::Cell;
use std::ops::Range;
use std::sync::LazyLock;

use rustls::crypto::aws_lc_rs::DEFAULT_CIPHER_SUITES;
use rustls::crypto::cipher::{
    AeadKey, InboundOpaqueMessage, InboundPlainMessage, Iv, KeyBlockShape, MessageDecrypter,
    MessageEncrypter, Tls12AeadAlgorithm, Tls13AeadAlgorithm, UnsupportedOperationError,
};
use rustls::{
    CipherSuiteCommon, ConnectionTrafficSecrets, ContentType, Error, SupportedCipherSuite, Tls12CipherSuite,
    Tls13CipherSuite,
};

/// The provider's suites, in its order. Only for connections that are read within [`watch`]: any other would see the
/// first byte of each record.
pub(in crate::transport) static CIPHER_SUITES: LazyLock<Vec<SupportedCipherSuite>> =
    LazyLock::new(|| DEFAULT_CIPHER_SUITES.iter().map(in_place).collect());

/// The addresses of what a record held.
pub(in crate::transport) type AddrRange = Range<usize>;

/// Lets rustls look at what has come, and tells where the last record of application data is that it decrypted. There is
/// at most one: rustls hands out each before it looks at the next.
pub(in crate::transport) fn watch<T>(look: impl FnOnce() -> T) -> (T, Option<AddrRange>) {
    FOUND.set(None);
    let looked = look();
    let found = FOUND.replace(None);
    (looked, found.map(|(address, length)| address..address + length))
}

thread_local! {
    static FOUND: Cell<Option<(usize, usize)>> = const { Cell::new(None) };
}

struct InPlace<T>(T);

impl MessageDecrypter for InPlace<Box<dyn MessageDecrypter>> {
    fn decrypt<'a>(
        &mut self,
        message: InboundOpaqueMessage<'a>,
        seq: u64,
    ) -> Result<InboundPlainMessage<'a>, Error> {
        let mut plain = self.0.decrypt(message, seq)?;
        // An empty one is rustls' to count.
        if plain.typ == ContentType::ApplicationData && !plain.payload.is_empty() {
            FOUND.set(Some((plain.payload.as_ptr() as usize, plain.payload.len())));
            plain.payload = &plain.payload[..1];
        }
        Ok(plain)
    }
}

impl Tls13AeadAlgorithm for InPlace<&'static dyn Tls13AeadAlgorithm> {
    fn encrypter(&self, key: AeadKey, iv: Iv) -> Box<dyn MessageEncrypter> {
        self.0.encrypter(key, iv)
    }

    fn decrypter(&self, key: AeadKey, iv: Iv) -> Box<dyn MessageDecrypter> {
        Box::new(InPlace(self.0.decrypter(key, iv)))
    }

    fn key_len(&self) -> usize {
        self.0.key_len()
    }

    fn extract_keys(
        &self,
        key: AeadKey,
        iv: Iv,
    ) -> Result<ConnectionTrafficSecrets, UnsupportedOperationError> {
        self.0.extract_keys(key, iv)
    }

    fn fips(&self) -> bool {
        self.0.fips()
    }
}

impl Tls12AeadAlgorithm for InPlace<&'static dyn Tls12AeadAlgorithm> {
    fn encrypter(&self, key: AeadKey, iv: &[u8], extra: &[u8]) -> Box<dyn MessageEncrypter> {
        self.0.encrypter(key, iv, extra)
    }

    fn decrypter(&self, key: AeadKey, iv: &[u8]) -> Box<dyn MessageDecrypter> {
        Box::new(InPlace(self.0.decrypter(key, iv)))
    }

    fn key_block_shape(&self) -> KeyBlockShape {
        self.0.key_block_shape()
    }

    fn extract_keys(
        &self,
        key: AeadKey,
        iv: &[u8],
        explicit: &[u8],
    ) -> Result<ConnectionTrafficSecrets, UnsupportedOperationError> {
        self.0.extract_keys(key, iv, explicit)
    }

    fn fips(&self) -> bool {
        self.0.fips()
    }
}

/// rustls wants suites that live for ever: these are made once in a process.
fn in_place(suite: &SupportedCipherSuite) -> SupportedCipherSuite {
    match *suite {
        SupportedCipherSuite::Tls13(suite) => {
            SupportedCipherSuite::Tls13(Box::leak(Box::new(Tls13CipherSuite {
                common: common(&suite.common),
                hkdf_provider: suite.hkdf_provider,
                aead_alg: Box::leak(Box::new(InPlace(suite.aead_alg))),
                quic: suite.quic,
            })))
        }
        SupportedCipherSuite::Tls12(suite) => {
            SupportedCipherSuite::Tls12(Box::leak(Box::new(Tls12CipherSuite {
                common: common(&suite.common),
                prf_provider: suite.prf_provider,
                kx: suite.kx,
                sign: suite.sign,
                aead_alg: Box::leak(Box::new(InPlace(suite.aead_alg))),
            })))
        }
    }
}

fn common(of: &CipherSuiteCommon) -> CipherSuiteCommon {
    CipherSuiteCommon {
        suite: of.suite,
        hash_provider: of.hash_provider,
        confidentiality_limit: of.confidentiality_limit,
    }
}
