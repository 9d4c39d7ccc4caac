//! Real servers: what nginx and Apache httpd make of our requests, and we of their answers; and a real network that
//! comes and goes.
//!
//! Needs `nginx`, `apache2` and a Kerberos KDC (Debian: nginx-light or nginx-extras, apache2, libapache2-mod-auth-gssapi,
//! gss-ntlmssp, krb5-kdc, krb5-admin-server, krb5-user) in the path; each test runs its own, on ports of its own, as the user that runs
//! the test.

#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // the outside world is these tests' business

mod apache;
mod kerberos;
mod nginx;
#[cfg(target_os = "linux")]
mod path;
mod server;
