//! Owns the test certificate authority and its certificates, good and bad (RFC 5280, P-256).
//! It does not verify anything; the client under test does.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyPair, KeyUsagePurpose, PublicKeyData,
};
use rustls::pki_types::CertificateDer;

use crate::log::{TestLog, timestamp_list};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const LOCAL: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// A certificate with its chain and key, for [`crate::OriginBuilder::certificate`] or as a client's identity.
#[derive(Clone)]
pub struct Certificate {
    chain: Vec<Vec<u8>>,
    chain_pem: String,
    key: Arc<KeyPair>,
}

impl Certificate {
    /// The chain in DER, leaf first, without the root.
    pub fn chain_der(&self) -> &[Vec<u8>] {
        &self.chain
    }

    /// The chain in PEM, leaf first, without the root.
    pub fn chain_pem(&self) -> &str {
        &self.chain_pem
    }

    /// SHA-256 of its SubjectPublicKeyInfo.
    pub fn public_key_sha256(&self) -> [u8; 32] {
        sha256(&self.key)
    }

    /// The key in PKCS #8 DER.
    pub fn key_der(&self) -> Vec<u8> {
        self.key.serialize_der()
    }

    /// The key in PKCS #8 PEM.
    pub fn key_pem(&self) -> String {
        self.key.serialize_pem()
    }
}

impl fmt::Debug for Certificate {
    // The key stays out of logs, even this one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").field("chain", &self.chain.len()).finish_non_exhaustive()
    }
}

/// A certificate authority for tests; clones are the same authority.
#[derive(Clone)]
pub struct TestAuthority {
    inner: Arc<Inner>,
}

struct Inner {
    name: String,
    issuer: Issuer<'static, KeyPair>,
    der: Vec<u8>,
    pem: String,
    local: OnceLock<Certificate>,
}

impl TestAuthority {
    /// The authority of this process: made once, and every call gives the same one.
    pub fn new() -> Self {
        static SHARED: OnceLock<TestAuthority> = OnceLock::new();
        SHARED.get_or_init(|| Self::separate("urlsession test authority")).clone()
    }

    /// An authority of its own, which nothing else trusts.
    pub fn separate(name: &str) -> Self {
        let key = new_key();
        let mut params = params(name, &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages =
            vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
        valid(&mut params, days_ago(2), days_ahead(3650));
        let root = params.self_signed(&key).expect("a self-signed root from fixed parameters");
        let (der, pem) = (root.der().to_vec(), root.pem());
        let issuer = Issuer::new(params, key);
        Self { inner: Arc::new(Inner { name: name.to_owned(), issuer, der, pem, local: OnceLock::new() }) }
    }

    /// The root certificate in PEM.
    pub fn pem(&self) -> &str {
        &self.inner.pem
    }

    /// The root certificate in DER.
    pub fn der(&self) -> Vec<u8> {
        self.inner.der.clone()
    }

    /// SHA-256 of the root's SubjectPublicKeyInfo.
    pub fn public_key_sha256(&self) -> [u8; 32] {
        sha256(self.inner.issuer.key())
    }

    /// A valid server certificate for these names and addresses.
    ///
    /// # Panics
    /// When a name is not one a certificate can carry.
    pub fn leaf(&self, names: &[&str]) -> Certificate {
        self.issue(names, days_ago(1), days_ahead(90))
    }

    /// A valid server certificate for these names, for so many days, that these logs have signed for an hour ago, and that says
    /// so (RFC 6962 §3.3).
    ///
    /// # Panics
    /// When a name is not one a certificate can carry.
    pub fn logged_leaf(&self, names: &[&str], days: u32, logs: &[&TestLog]) -> Certificate {
        let key = new_key();
        let mut params = server_params(names);
        valid(&mut params, days_ago(1), days_ahead(days - 1));
        let signed = |params: &CertificateParams| {
            params.signed_by(&key, &self.inner.issuer).expect("a leaf signed by the test authority")
        };
        let to_be = signed(&params);
        let (fields, issuer) = (fields_of(to_be.der()), self.public_key_sha256());
        let at = SystemTime::now() - Duration::from_secs(60 * 60);
        let timestamps: Vec<_> = logs.iter().map(|log| log.sign_fields(fields, &issuer, at)).collect();
        let kind = [1, 3, 6, 1, 4, 1, 11129, 2, 4, 2];
        params.custom_extensions =
            vec![CustomExtension::from_oid_content(&kind, timestamp_list(&timestamps))];
        let leaf = signed(&params);
        certificate(&leaf, key)
    }

    /// The valid certificate for this machine's own names, made once per authority.
    pub fn local(&self) -> Certificate {
        self.inner.local.get_or_init(|| self.leaf(&LOCAL)).clone()
    }

    /// A server certificate that ended yesterday.
    pub fn expired(&self) -> Certificate {
        self.issue(&LOCAL, days_ago(30), days_ago(1))
    }

    /// A server certificate that begins tomorrow.
    pub fn not_yet_valid(&self) -> Certificate {
        self.issue(&LOCAL, days_ahead(1), days_ahead(30))
    }

    /// A valid server certificate for another host.
    pub fn wrong_host(&self) -> Certificate {
        self.leaf(&["elsewhere.test"])
    }

    /// A server certificate signed by its own key; this authority has no part in it.
    pub fn self_signed(&self) -> Certificate {
        let key = new_key();
        let mut params = server_params(&LOCAL);
        valid(&mut params, days_ago(1), days_ahead(90));
        let leaf = params.self_signed(&key).expect("a self-signed leaf from fixed parameters");
        certificate(&leaf, key)
    }

    /// A server certificate signed by its own key that says it is an authority's, valid from and to so many days from now.
    pub fn self_signed_authority(&self, from: i32, to: i32) -> Certificate {
        let key = new_key();
        let mut params = server_params(&LOCAL);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.extended_key_usages = Vec::new();
        params.key_usages = Vec::new();
        let day = |days: i32| {
            if days < 0 { days_ago(days.unsigned_abs()) } else { days_ahead(days.unsigned_abs()) }
        };
        valid(&mut params, day(from), day(to));
        let leaf = params.self_signed(&key).expect("a self-signed leaf from fixed parameters");
        certificate(&leaf, key)
    }

    /// A valid server certificate of another authority, which is not trusted.
    pub fn unknown_authority(&self) -> Certificate {
        static OTHER: OnceLock<TestAuthority> = OnceLock::new();
        OTHER.get_or_init(|| Self::separate("unknown test authority")).local()
    }

    /// A client certificate with that common name, for origins that require one.
    pub fn client(&self, common_name: &str) -> Certificate {
        let mut params = params(common_name, &[]);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        valid(&mut params, days_ago(1), days_ahead(90));
        self.sign(&params)
    }

    fn issue(&self, names: &[&str], from: SystemTime, to: SystemTime) -> Certificate {
        let mut params = server_params(names);
        valid(&mut params, from, to);
        self.sign(&params)
    }

    fn sign(&self, params: &CertificateParams) -> Certificate {
        let key = new_key();
        let leaf = params.signed_by(&key, &self.inner.issuer).expect("a leaf signed by the test authority");
        certificate(&leaf, key)
    }
}

impl Default for TestAuthority {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for TestAuthority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestAuthority").field("name", &self.inner.name).finish_non_exhaustive()
    }
}

/// The fields of a certificate in DER, which its signature covers.
fn fields_of(certificate: &[u8]) -> &[u8] {
    // Both have lengths of two octets.
    let length = usize::from(u16::from_be_bytes([certificate[6], certificate[7]]));
    assert_eq!([certificate[1], certificate[4], certificate[5]], [0x82, 0x30, 0x82], "a long certificate");
    &certificate[4..8 + length]
}

fn sha256(key: &KeyPair) -> [u8; 32] {
    sha256_of(&key.subject_public_key_info())
}

pub(crate) fn sha256_of(data: &[u8]) -> [u8; 32] {
    let hash = rustls::crypto::aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256;
    let rustls::SupportedCipherSuite::Tls13(suite) = hash else { unreachable!("a suite of TLS 1.3") };
    let digest = suite.common.hash_provider.hash(data);
    digest.as_ref().try_into().expect("32 bytes")
}

fn certificate(leaf: &rcgen::Certificate, key: KeyPair) -> Certificate {
    Certificate { chain: vec![leaf.der().to_vec()], chain_pem: leaf.pem(), key: Arc::new(key) }
}

fn server_params(names: &[&str]) -> CertificateParams {
    let mut params = params(names.first().copied().unwrap_or("nameless"), names);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    params
}

fn params(common_name: &str, names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
    let mut params = CertificateParams::new(names).expect("names a certificate can carry");
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params
}

fn valid(params: &mut CertificateParams, from: SystemTime, to: SystemTime) {
    params.not_before = from.into();
    params.not_after = to.into();
}

pub(crate) fn new_key() -> KeyPair {
    KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).expect("a P-256 key from the system's generator")
}

fn days_ago(days: u32) -> SystemTime {
    SystemTime::now() - DAY * days
}

fn days_ahead(days: u32) -> SystemTime {
    SystemTime::now() + DAY * days
}

/// The chain as `rustls` takes it.
pub(crate) fn chain_of(certificate: &Certificate) -> Vec<CertificateDer<'static>> {
    certificate.chain.iter().map(|der| CertificateDer::from(der.clone())).collect()
}
