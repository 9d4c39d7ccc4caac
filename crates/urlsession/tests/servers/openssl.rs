//! Certificates of every bad kind, made by OpenSSL and shown by its server: what each fails with, and that good ones
//! do not.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;
use urlsession::authentication::{
    AuthChallengeDisposition as Disposition, AuthenticationMethod, UrlAuthenticationChallenge, UrlCredential,
    UrlCredentialPersistence as Persistence,
};
use urlsession::{Configuration, Decision, Task, TaskDelegate, UrlError, UrlErrorCode as Code, UrlSession};

/// An authority of OpenSSL's, in a folder of its own.
struct Authority(TempDir);

/// What is to be in a certificate.
#[derive(Clone, Copy)]
struct Leaf {
    names: &'static str,
    key: &'static [&'static str],
    digest: &'static str,
    start: &'static str,
    end: &'static str,
}

const EC: &[&str] = &["ec", "-pkeyopt", "ec_paramgen_curve:P-256"];

/// As it should be.
const GOOD: Leaf = Leaf {
    names: "DNS:localhost,IP:127.0.0.1",
    key: EC,
    digest: "sha256",
    start: "20240101000000Z",
    end: "20490101000000Z",
};

impl Authority {
    fn new(name: &str) -> Self {
        let authority = Self(tempfile::tempdir().unwrap());
        let configuration = format!(
            "[ca]\ndefault_ca = here\n[here]\ndir = {0}\ndatabase = {0}/index.txt\nnew_certs_dir = {0}\n\
             certificate = {0}/root.pem\nprivate_key = {0}/root.key\nrand_serial = yes\ncrlnumber = {0}/crlnumber\n\
             default_md = sha256\ndefault_crl_days = 3650\ncrl_extensions = list\nunique_subject = no\n\
             policy = any\ncopy_extensions = copy\n[any]\ncommonName = supplied\n\
             [list]\nauthorityKeyIdentifier = keyid\n[req]\ndistinguished_name = subject\nprompt = no\n\
             x509_extensions = root\n[subject]\nCN = {name}\n\
             [root]\nbasicConstraints = critical,CA:TRUE\nkeyUsage = critical,keyCertSign,cRLSign\n\
             subjectKeyIdentifier = hash\n",
            authority.0.path().display()
        );
        fs::write(authority.path("openssl.cnf"), configuration).unwrap();
        fs::write(authority.path("index.txt"), "").unwrap();
        fs::write(authority.path("crlnumber"), "01\n").unwrap();
        let new = ["req", "-config", "openssl.cnf", "-x509", "-nodes", "-days", "3650", "-newkey"];
        authority.openssl(&[&new[..], EC, &["-keyout", "root.key", "-out", "root.pem"]].concat());
        authority
    }

    /// Makes `<name>.pem` and `<name>.key`.
    fn issue(&self, name: &str, leaf: Leaf) {
        let (key, request, pem) = (format!("{name}.key"), format!("{name}.csr"), format!("{name}.pem"));
        let names = format!("subjectAltName={}", leaf.names);
        let subject = format!("/CN={name}");
        let new = ["req", "-config", "openssl.cnf", "-new", "-nodes", "-subj", &subject, "-addext", &names];
        self.openssl(&[&new[..], &["-newkey"], leaf.key, &["-keyout", &key, "-out", &request]].concat());
        let times = ["-startdate", leaf.start, "-enddate", leaf.end, "-md", leaf.digest];
        let sign = ["ca", "-config", "openssl.cnf", "-batch", "-notext", "-in", &request, "-out", &pem];
        self.openssl(&[&sign[..], &times].concat());
    }

    fn sign_itself(&self, name: &str) {
        let (key, pem) = (format!("{name}.key"), format!("{name}.pem"));
        let new = ["req", "-x509", "-nodes", "-days", "90", "-subj", "/CN=localhost", "-addext"];
        let names = format!("subjectAltName={}", GOOD.names);
        let out = ["-addext", "basicConstraints=critical,CA:FALSE", "-keyout", &key, "-out", &pem];
        self.openssl(&[&new[..], &[&names, "-newkey"], EC, &out].concat());
    }

    /// The list, in DER, of what is revoked.
    fn revocation_list(&self) -> Vec<u8> {
        self.openssl(&["ca", "-config", "openssl.cnf", "-gencrl", "-out", "list.pem"]);
        self.openssl(&["crl", "-in", "list.pem", "-outform", "DER", "-out", "list.der"]);
        fs::read(self.path("list.der")).unwrap()
    }

    fn certificate(&self, name: &str) -> Vec<u8> {
        let (pem, der) = (format!("{name}.pem"), format!("{name}.der"));
        self.openssl(&["x509", "-in", &pem, "-outform", "DER", "-out", &der]);
        fs::read(self.path(&der)).unwrap()
    }

    /// The key in PKCS#8, as an application has it.
    fn key(&self, name: &str) -> Vec<u8> {
        let (key, der) = (format!("{name}.key"), format!("{name}.key.der"));
        self.openssl(&["pkcs8", "-topk8", "-nocrypt", "-in", &key, "-outform", "DER", "-out", &der]);
        fs::read(self.path(&der)).unwrap()
    }

    fn openssl(&self, arguments: &[&str]) {
        let mut command = Command::new("openssl");
        command.args(arguments).current_dir(self.0.path()).stdin(Stdio::null());
        let output = command.output().expect("openssl is not installed");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "openssl {}: {said}", arguments.join(" "));
    }

    /// A server that shows this certificate and answers every request with a page about the connection.
    fn serve(&self, name: &str, more: &[&str]) -> Server {
        let mut command = Command::new("openssl");
        command.args(["s_server", "-accept", "127.0.0.1:0", "-www", "-cert", &format!("{name}.pem"), "-key"]);
        // A server that has forgotten what is weak.
        command.args([&format!("{name}.key"), "-cipher", "DEFAULT@SECLEVEL=0"]).args(more);
        command.current_dir(self.0.path()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = command.spawn().expect("openssl is not installed");
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let port = lines.by_ref().find_map(|line| {
            let line = line.unwrap();
            line.strip_prefix("ACCEPT ")?.rsplit(':').next()?.trim().parse().ok()
        });
        // Nobody reads what it goes on to say, but it must not fail to say it.
        std::thread::spawn(move || lines.for_each(drop));
        Server { process, port: port.expect("openssl does not listen") }
    }

    fn configuration(&self) -> Configuration {
        Configuration::ephemeral().additional_trust_anchors([self.certificate("root")])
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

struct Server {
    process: Child,
    port: u16,
}

impl Server {
    fn load(&self, configuration: Configuration) -> Result<String, UrlError> {
        self.load_with(configuration, Plain)
    }

    fn load_with(
        &self,
        configuration: Configuration,
        delegate: impl TaskDelegate + 'static,
    ) -> Result<String, UrlError> {
        let load = UrlSession::new(configuration).data(format!("https://localhost:{}/", self.port));
        load.delegate(delegate).wait().map(|(page, _)| String::from_utf8_lossy(&page).into_owned())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

struct Plain;

impl TaskDelegate for Plain {}

/// Shows this certificate to who asks.
struct Showing(UrlCredential);

impl TaskDelegate for Showing {
    fn did_receive_challenge(
        &self,
        _: &Task,
        challenge: &UrlAuthenticationChallenge,
    ) -> Decision<Disposition> {
        match challenge.protection_space().authentication_method() {
            AuthenticationMethod::ClientCertificate => {
                Disposition::UseCredential(Some(self.0.clone())).into()
            }
            _ => Decision::default_handling(),
        }
    }
}

#[test]
fn each_bad_certificate_has_its_code_and_says_what_is_wrong() {
    let (authority, stranger) = (Authority::new("good authority"), Authority::new("unknown authority"));
    authority.issue("good", GOOD);
    assert!(authority.serve("good", &[]).load(authority.configuration()).unwrap().contains("s_server"));

    let past = Leaf { start: "20200101000000Z", end: "20210101000000Z", ..GOOD };
    let future = Leaf { start: "20480101000000Z", ..GOOD };
    authority.issue("expired", past);
    authority.issue("early", future);
    authority.issue("elsewhere", Leaf { names: "DNS:elsewhere.test", ..GOOD });
    authority.issue("sha1", Leaf { digest: "sha1", ..GOOD });
    authority.issue("rsa1024", Leaf { key: &["rsa:1024"], ..GOOD });
    authority.issue("rsa2048", Leaf { key: &["rsa:2048"], ..GOOD });
    authority.sign_itself("itself");
    stranger.issue("stranger", GOOD);
    for (by, name, code, says) in [
        (&authority, "expired", Code::ServerCertificateHasBadDate, "expired"),
        (&authority, "early", Code::ServerCertificateNotYetValid, "not valid yet"),
        (&authority, "elsewhere", Code::ServerCertificateUntrusted, "another host"),
        (&stranger, "stranger", Code::ServerCertificateHasUnknownRoot, "authority"),
        (&authority, "itself", Code::ServerCertificateUntrusted, "signed by itself"),
        (&authority, "sha1", Code::ServerCertificateUntrusted, "SHA-1"),
        (&authority, "rsa1024", Code::ServerCertificateUntrusted, "2048"),
    ] {
        for version in ["-tls1_2", "-tls1_3"] {
            let error = by.serve(name, &[version]).load(authority.configuration()).unwrap_err();
            assert_eq!(error.code(), code, "{name} {version}: {error}");
            assert!(error.to_string().contains(says), "{name} {version}: {error}");
        }
    }
    authority.serve("rsa2048", &[]).load(authority.configuration()).unwrap();
}

#[test]
fn a_certificate_on_a_revocation_list_is_refused_and_others_are_not() {
    let authority = Authority::new("authority that revokes");
    authority.issue("kept", GOOD);
    authority.issue("revoked", GOOD);
    authority.openssl(&["ca", "-config", "openssl.cnf", "-revoke", "revoked.pem"]);
    let list = authority.revocation_list();
    let server = authority.serve("revoked", &[]);
    assert!(server.load(authority.configuration()).is_ok(), "without the list nobody knows");
    let strict = authority.configuration().certificate_revocation_lists([list]);
    let error = server.load(strict.clone()).unwrap_err();
    assert_eq!(error.code(), Code::ServerCertificateUntrusted);
    assert!(error.to_string().contains("revoked"), "{error}");
    assert!(authority.serve("kept", &[]).load(strict.clone()).is_ok());

    // An authority of which there is no list is not suspected.
    let other = Authority::new("authority without a list");
    other.issue("other", GOOD);
    let mut both = strict.clone();
    both.additional_trust_anchors.extend(other.configuration().additional_trust_anchors);
    assert!(other.serve("other", &[]).load(both).is_ok());

    let broken = strict.certificate_revocation_lists([vec![1, 2, 3]]);
    let error = server.load(broken).unwrap_err();
    assert!(error.to_string().contains("revocation list"), "{error}");
}

#[test]
fn a_server_that_requires_a_client_certificate_gets_the_delegates() {
    let authority = Authority::new("authority of users");
    authority.issue("server", GOOD);
    authority.issue("ann", Leaf { names: "email:ann@example.com", ..GOOD });
    let stranger = Authority::new("authority of strangers");
    stranger.issue("eve", GOOD);
    let identity = |by: &Authority, name: &str| {
        UrlCredential::with_identity(vec![by.certificate(name)], by.key(name), Persistence::None)
    };
    for version in ["-tls1_2", "-tls1_3"] {
        let requires = ["-Verify", "1", "-CAfile", "root.pem", "-verify_return_error", version];
        let server = authority.serve("server", &requires);
        let page = server.load_with(authority.configuration(), Showing(identity(&authority, "ann"))).unwrap();
        assert!(page.contains("Client certificate"), "{version}: {page}");
        assert!(page.contains("ann"), "{version}: {page}");
        let error = server.load(authority.configuration()).unwrap_err();
        assert_eq!(error.code(), Code::ClientCertificateRequired, "{version}: {error}");
        let eve = Showing(identity(&stranger, "eve"));
        let error = server.load_with(authority.configuration(), eve).unwrap_err();
        assert_eq!(error.code(), Code::ClientCertificateRejected, "{version}: {error}");
    }
}
