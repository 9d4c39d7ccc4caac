//! Kerberos: a realm of the test's own (MIT krb5kdc), and Apache httpd with mod_auth_gssapi that asks for its tickets.
//!
//! The system's library reads from the environment where tickets are: the client is this test program again, in a process
//! of its own.

use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use urlsession::authentication::{
    AuthChallengeDisposition, AuthenticationMethod, UrlAuthenticationChallenge, UrlCredential,
    UrlCredentialPersistence,
};
use urlsession::{
    Configuration, Decision, DelegateQueue, SessionDelegate, Task, TaskDelegate, UrlRequest, UrlSession,
};
use urlsession_testkit::TestAuthority;

use crate::apache::configured;
use crate::server::{Server, free_port, stop};

/// Where the client finds the server.
const BASES: &str = "URLSESSION_TEST_BASES";
/// And the file with the authority of its certificate.
const ANCHOR: &str = "URLSESSION_TEST_ANCHOR";
const HELLO: &str = "hello, servers\n";

#[test]
fn a_ticket_opens_the_door_on_both_versions_and_the_server_proves_itself() {
    run("a_ticket_opens_the_door_on_both_versions_and_the_server_proves_itself", "tickets", |base| {
        let session = session();
        for _ in 0..3 {
            let (data, response) = session.data(format!("{base}/ticket")).wait().unwrap();
            assert_eq!(data, HELLO);
            let response = response.http().unwrap();
            assert_eq!(response.value("x-user"), Some("ann@URLSESSION.TEST"));
            let proof = response.value("www-authenticate").unwrap();
            assert!(proof.starts_with("Negotiate ") && proof.len() > 60, "{proof}");
        }
        let mut post = UrlRequest::new(format!("{base}/ticket").parse().unwrap());
        post.set_http_method("POST").unwrap();
        post.set_http_body(vec![b'x'; 100_000]);
        assert_eq!(session.data(&post).wait().unwrap().1.status_code(), Some(200));
    });
}

#[test]
fn a_connection_that_is_logged_in_is_used_again_without_a_challenge() {
    let realm = run("a_connection_that_is_logged_in_is_used_again_without_a_challenge", "tickets", |base| {
        let session = session();
        for number in 0..3 {
            assert_eq!(session.data(format!("{base}/bound?{number}")).wait().unwrap().0, HELLO);
        }
    });
    let Some(realm) = realm else { return };
    assert_eq!(realm.on_http1(), ["401 0", "200 1", "200 2", "200 3"]);
}

/// A server that accepts NTLM only, and a client where another mechanism than Kerberos is installed and has a user.
#[test]
fn ntlm_is_not_spoken_within_negotiate() {
    let realm = run("ntlm_is_not_spoken_within_negotiate", "ntlm", |base| {
        for session in [session(), answering(AuthChallengeDisposition::UseCredential(None)).0] {
            let response = session.data(format!("{base}/legs")).wait().unwrap().1;
            assert_eq!(response.status_code(), Some(401));
        }
    });
    let Some(realm) = realm else { return };
    assert_eq!(realm.on_http1(), ["401 0", "401 0"], "nothing is sent that the server could answer");
}

#[test]
fn a_ticket_is_shown_to_listed_domains_or_by_a_delegates_decision() {
    let realm = run("a_ticket_is_shown_to_listed_domains_or_by_a_delegates_decision", "tickets", |base| {
        for domains in [&[][..], &["example.com"], &["ocalhost"]] {
            let session = UrlSession::new(configuration(domains));
            let response = session.data(format!("{base}/ticket")).wait().unwrap().1;
            assert_eq!(response.status_code(), Some(401), "{domains:?}");
        }
        for domains in [&["localhost"][..], &["*"]] {
            let session = UrlSession::new(configuration(domains));
            assert_eq!(session.data(format!("{base}/ticket")).wait().unwrap().0, HELLO, "{domains:?}");
        }
        let (deciding, _) = answering(AuthChallengeDisposition::UseCredential(None));
        assert_eq!(deciding.data(format!("{base}/ticket")).wait().unwrap().0, HELLO);
    });
    let Some(realm) = realm else { return };
    let asked = realm.on_http1().iter().filter(|line| line.starts_with("401")).count();
    assert_eq!((asked, realm.on_http1().len()), (6, 9), "{:?}", realm.on_http1());
}

#[test]
fn a_user_with_a_password_needs_no_ticket() {
    run("a_user_with_a_password_needs_no_ticket", "none", |base| {
        let ann = UrlCredential::new("ann@URLSESSION.TEST", "pw", UrlCredentialPersistence::ForSession);
        let (own, asked) = answering(AuthChallengeDisposition::UseCredential(Some(ann)));
        for _ in 0..2 {
            assert_eq!(own.data(format!("{base}/ticket")).wait().unwrap().0, HELLO);
        }
        let methods = methods(&asked);
        assert!(methods.iter().all(|method| *method == AuthenticationMethod::Negotiate), "{methods:?}");

        let of_url = base.replace("://", "://ann%40URLSESSION.TEST:pw@");
        assert_eq!(session().data(format!("{of_url}/ticket")).wait().unwrap().0, HELLO);
    });
}

#[test]
fn without_a_ticket_the_next_scheme_is_asked_for_and_told_why() {
    run("without_a_ticket_the_next_scheme_is_asked_for_and_told_why", "none", |base| {
        let response = session().data(format!("{base}/ticket")).wait().unwrap().1;
        assert_eq!(response.status_code(), Some(401));
        let wrong = UrlCredential::new("ann@URLSESSION.TEST", "wrong", UrlCredentialPersistence::ForSession);
        let (session, asked) = answering(AuthChallengeDisposition::UseCredential(Some(wrong)));
        let response = session.data(format!("{base}/either")).wait().unwrap().1;
        assert_eq!(response.status_code(), Some(401));
        let methods = methods(&asked);
        assert_eq!(methods[..2], [AuthenticationMethod::Negotiate, AuthenticationMethod::HttpBasic]);
        let why = asked.lock().unwrap()[1].error().unwrap().to_string();
        assert!(why.contains("Decrypt integrity check failed"), "{why}");
    });
}

/// Runs `client` against both versions, in a process whose tickets are in the realm's file of that name. What comes back is
/// the realm, to look at; `None` in the client's process.
fn run(test: &str, tickets: &str, client: impl Fn(&str)) -> Option<Realm> {
    if let Ok(bases) = std::env::var(BASES) {
        bases.split(' ').for_each(client);
        return None;
    }
    let realm = Realm::start();
    let directory = &realm.apache.directory;
    let mut again = Command::new(std::env::current_exe().unwrap());
    again.args(["--exact", &format!("kerberos::{test}"), "--nocapture"]);
    again.env("KRB5_CONFIG", directory.join("krb5.conf"));
    again.env("KRB5CCNAME", format!("FILE:{}", directory.join(tickets).display()));
    fs::write(directory.join("anchor"), TestAuthority::new().der()).unwrap();
    again.env(ANCHOR, directory.join("anchor"));
    match tickets {
        "ntlm" => again.env("NTLM_USER_FILE", directory.join("users")),
        // What other mechanisms are installed here is of no importance.
        _ => again.env("GSS_MECH_CONFIG", "/dev/null"),
    };
    let bases = realm.apache.bases();
    again.env(BASES, bases.map(|base| base.replace("127.0.0.1", "localhost")).join(" "));
    let output = again.output().unwrap();
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let log = || fs::read_to_string(directory.join("error")).unwrap_or_default();
    assert!(output.status.success(), "{}{}{}", said(&output.stdout), said(&output.stderr), log());
    assert!(said(&output.stdout).contains("1 passed"), "the test was not found by its name");
    Some(realm)
}

fn configuration(negotiate_domains: &[&str]) -> Configuration {
    let anchors = vec![fs::read(std::env::var_os(ANCHOR).unwrap()).unwrap()];
    Configuration::ephemeral()
        .additional_trust_anchors(anchors)
        .negotiate_domains(negotiate_domains.iter().copied())
}

/// A session that shows tickets to this machine.
fn session() -> UrlSession {
    UrlSession::new(configuration(&["localhost"]))
}

/// A session whose delegate gives one answer to all who ask for a user, and what it was asked.
fn answering(answer: AuthChallengeDisposition) -> (UrlSession, Arc<Mutex<Vec<UrlAuthenticationChallenge>>>) {
    let asked = Arc::<Mutex<Vec<_>>>::default();
    let delegate = Arc::new(Answering { answer, asked: asked.clone() });
    (UrlSession::with_delegate(configuration(&[]), delegate, DelegateQueue::serial()), asked)
}

fn methods(asked: &Mutex<Vec<UrlAuthenticationChallenge>>) -> Vec<AuthenticationMethod> {
    let asked = asked.lock().unwrap();
    asked.iter().map(|challenge| challenge.protection_space().authentication_method()).collect()
}

struct Answering {
    answer: AuthChallengeDisposition,
    asked: Arc<Mutex<Vec<UrlAuthenticationChallenge>>>,
}

impl TaskDelegate for Answering {
    fn did_receive_challenge(
        &self,
        _: &Task,
        challenge: &UrlAuthenticationChallenge,
    ) -> Decision<AuthChallengeDisposition> {
        if challenge.protection_space().authentication_method() == AuthenticationMethod::ServerTrust {
            return Decision::default_handling();
        }
        self.asked.lock().unwrap().push(challenge.clone());
        // Once: what was refused is not given again.
        match challenge.previous_failure_count() {
            0 => self.answer.clone().into(),
            _ => Decision::default_handling(),
        }
    }
}

impl SessionDelegate for Answering {}

/// A realm with the user `ann`, whose password is `pw`, and the service `HTTP/localhost`. Ann's ticket is in the file
/// `tickets`.
struct Realm {
    // Before the directory goes.
    _kdc: Kdc,
    apache: Server,
}

struct Kdc(Child);

impl Drop for Kdc {
    fn drop(&mut self) {
        stop(&mut self.0);
    }
}

impl Realm {
    fn start() -> Self {
        let port = free_port();
        let apache = Server::start("kerberos", |directory, plain, secure| {
            make_realm(directory, port);
            make_apache(directory, plain, secure)
        });
        let directory = &apache.directory;
        let mut kdc = within(directory, "krb5kdc");
        let kdc = kdc.arg("-n").stdout(Stdio::null()).stderr(Stdio::null()).process_group(0).spawn().unwrap();
        let kdc = Kdc(kdc);
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(start.elapsed() < Duration::from_secs(20), "the KDC does not listen");
            std::thread::yield_now();
        }
        let tickets = format!("FILE:{}", directory.join("tickets").display());
        say(within(directory, "kinit").args(["-c", &tickets, "ann"]), "pw\n");
        Self { _kdc: kdc, apache }
    }

    /// Of each request the status, and how many its connection had carried before.
    fn on_http1(&self) -> Vec<String> {
        let log = fs::read_to_string(self.apache.directory.join("access")).unwrap();
        log.lines().filter_map(|line| line.strip_prefix("HTTP/1.1 ")).map(Into::into).collect()
    }
}

fn make_realm(directory: &Path, port: u16) {
    let d = directory.display();
    let client = format!(
        "[libdefaults]
 default_realm = URLSESSION.TEST
 dns_lookup_kdc = false
 dns_lookup_realm = false
 dns_canonicalize_hostname = false
 rdns = false
 udp_preference_limit = 1
[realms]
 URLSESSION.TEST = {{
  kdc = 127.0.0.1:{port}
 }}
[domain_realm]
 localhost = URLSESSION.TEST
"
    );
    let kdc = format!(
        "[kdcdefaults]
 kdc_listen = 127.0.0.1:{port}
 kdc_tcp_listen = 127.0.0.1:{port}
[realms]
 URLSESSION.TEST = {{
  database_name = {d}/principal
  key_stash_file = {d}/stash
  acl_file = {d}/acl
 }}
[logging]
 kdc = FILE:{d}/kdc.log
"
    );
    fs::write(directory.join("krb5.conf"), client).unwrap();
    fs::write(directory.join("kdc.conf"), kdc).unwrap();
    say(within(directory, "kdb5_util").args(["create", "-s"]), "master\nmaster\n");
    for query in [
        "addprinc -pw pw ann".to_owned(),
        "addprinc -randkey HTTP/localhost".into(),
        format!("ktadd -k {d}/keytab HTTP/localhost"),
    ] {
        say(within(directory, "kadmin.local").args(["-q", &query]), "");
    }
}

fn make_apache(directory: &Path, plain: u16, secure: u16) -> Command {
    let d = directory.display();
    let keytab = format!("GssapiCredStore keytab:{d}/keytab");
    // Nothing of one is handed on to another.
    let doors: String = [
        ("/ticket", "krb5", &*keytab),
        ("/bound", "krb5", &format!("{keytab}\nGssapiConnectionBound On")),
        ("/either", "krb5", &format!("{keytab}\nGssapiBasicAuth On")),
        ("/legs", "ntlmssp", "GssapiConnectionBound On"),
    ]
    .map(|(path, mechanism, more)| {
        format!(
            "Alias {path} {d}/www/index.html
<Location {path}>
  AuthType GSSAPI
  AuthName tickets
  GssapiAllowedMech {mechanism}
  {more}
  Require valid-user
  Header always set X-User %{{REMOTE_USER}}s
</Location>
"
        )
    })
    .concat();
    let directives = format!("LogFormat \"%H %>s %k\" short\nCustomLog {d}/access short\n{doors}");
    fs::write(directory.join("users"), "DOMAIN:ann:pw\n").unwrap();
    let mut command = within(directory, "apache2");
    command.env("NTLM_USER_FILE", directory.join("users"));
    configured(command, directory, plain, secure, &["auth_basic", "auth_gssapi"], &directives)
}

/// A program that knows this realm only, and leaves nothing elsewhere.
fn within(directory: &Path, program: &str) -> Command {
    let mut command = Command::new(program);
    command.env("KRB5_CONFIG", directory.join("krb5.conf"));
    command.env("KRB5_KDC_PROFILE", directory.join("kdc.conf"));
    command.env("KRB5RCACHENAME", "none:");
    command
}

/// Runs a program to its end with this input.
fn say(command: &mut Command, input: &str) {
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process =
        command.spawn().unwrap_or_else(|error| panic!("{command:?} cannot be started: {error}"));
    process.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = process.wait_with_output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
