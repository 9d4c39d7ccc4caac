//! Squid: a forward proxy that asks for Basic or Digest, for URLs and for tunnels.

use std::fs;
use std::path::Path;
use std::process::Command;

use urlsession::network::{ProxyConfiguration, ProxyDictionary};
use urlsession::{Configuration, UrlErrorCode, UrlSession};
use urlsession_testkit::{Origin, Wire};

use crate::server::Server;

/// A running squid. Its shared memory has a name, under which it would stay.
struct Squid(Server);

impl Drop for Squid {
    fn drop(&mut self) {
        let name = format!("{}-", service(self.0.plain));
        for entry in fs::read_dir("/dev/shm").into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().starts_with(&name) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

fn service(port: u16) -> String {
    format!("t{}x{port}", std::process::id())
}

/// A proxy for ann with the password pw, in the realm sq.
fn squid(scheme: &str) -> Squid {
    Squid(Server::start("squid", |directory: &Path, plain, _| {
        let d = directory.display();
        fs::write(directory.join("users.basic"), "ann:$1$urlsess$gv1JjG1DYoJUDnFSfeytF1\n").unwrap();
        fs::write(directory.join("users.digest"), "ann:sq:4182df6cd85fad71abb22612463178ae\n").unwrap();
        let program = match scheme {
            "basic" => format!("auth_param basic program /usr/lib/squid/basic_ncsa_auth {d}/users.basic"),
            _ => format!("auth_param digest program /usr/lib/squid/digest_file_auth -c {d}/users.digest"),
        };
        let configuration = format!(
            "http_port 127.0.0.1:{plain}\n\
             pid_filename {d}/pid\n\
             access_log none\n\
             cache_log {d}/cache.log\n\
             coredump_dir {d}\n\
             cache deny all\n\
             cache_mem 1 MB\n\
             netdb_filename none\n\
             pinger_enable off\n\
             shutdown_lifetime 0 seconds\n\
             visible_hostname localhost\n\
             {program}\n\
             auth_param {scheme} realm sq\n\
             auth_param {scheme} children 1\n\
             acl authed proxy_auth REQUIRED\n\
             http_access allow authed\n\
             http_access deny all\n"
        );
        fs::write(directory.join("squid.conf"), configuration).unwrap();
        // It gives up root for proxy.
        let _ = Command::new("chown").args(["-R", "proxy"]).arg(directory).status();
        let mut command = Command::new("squid");
        // One process, but for the helpers that check passwords; the name keeps its shared memory apart.
        command.arg("-N").arg("-n").arg(service(plain));
        command.arg("-f").arg(directory.join("squid.conf"));
        command
    }))
}

fn configuration(origin: &Origin) -> Configuration {
    Configuration::ephemeral().additional_trust_anchors([origin.trust_anchor_der()])
}

#[test]
fn tunnels_are_made_for_who_proves_the_password() {
    for scheme in ["basic", "digest"] {
        let server = squid(scheme);
        for wire in [Wire::H1, Wire::TlsH1, Wire::TlsH2] {
            let origin = Origin::start(wire);
            let mut proxy = ProxyConfiguration::with_http_connect_proxy("127.0.0.1", server.0.plain);
            let without = configuration(&origin).proxy_configurations([proxy.clone()]);
            let error = UrlSession::new(without).data(origin.url("/Peru")).wait().unwrap_err();
            assert_eq!(error.code(), UrlErrorCode::UserAuthenticationRequired);
            assert!(error.to_string().contains("407 Proxy Authentication Required"), "{error}");
            proxy.apply_credential("ann", "pw");
            let with = configuration(&origin).proxy_configurations([proxy]);
            let session = UrlSession::new(with);
            for _ in 0..5 {
                assert_eq!(session.data(origin.url("/Peru")).wait().unwrap().0, "Lima");
                // The next load takes a tunnel of its own, with the same login.
                session.flush_with_handler(|| ());
            }
            assert!(origin.requests().iter().all(|it| it.header("proxy-authorization").is_none()));
        }
    }
}

#[test]
fn urls_are_fetched_for_who_proves_the_password() {
    use urlsession::authentication::{
        AuthenticationMethod as Method, UrlCredential, UrlCredentialPersistence as Persistence,
        UrlProtectionSpace, UrlProtectionSpaceProxyType as ProxyType,
    };
    for (scheme, method) in [("basic", Method::HttpBasic), ("digest", Method::HttpDigest)] {
        let (server, origin) = (squid(scheme), Origin::start(Wire::H1));
        let dictionary = ProxyDictionary::with_proxy("127.0.0.1", server.0.plain);
        let configuration = configuration(&origin).connection_proxy_dictionary(dictionary);
        let session = UrlSession::new(configuration.clone());
        assert_eq!(session.data(origin.url("/Peru")).wait().unwrap().1.status_code(), Some(407));
        let space =
            UrlProtectionSpace::proxy("127.0.0.1", server.0.plain, ProxyType::Http, Some("sq"), method);
        for (password, status) in [("wrong", 407), ("pw", 200)] {
            let ann = UrlCredential::new("ann", password, Persistence::ForSession);
            configuration.url_credential_storage.as_ref().unwrap().set_default_credential(&ann, &space);
            for _ in 0..5 {
                let (_, response) = session.data(origin.url("/Peru?a=b")).wait().unwrap();
                assert_eq!(response.status_code(), Some(status), "{scheme}");
            }
        }
        assert!(origin.requests().iter().all(|it| it.header("proxy-authorization").is_none()));
    }
}
