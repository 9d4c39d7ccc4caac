//! Real servers: what nginx, Apache httpd and squid make of our requests, and we of their answers; OpenSSL with bad
//! certificates; and a real network that comes and goes.
//!
//! Real servers: what nginx, Apache httpd and squid make of our requests, and we of their answers; a Kerberos KDC;
//! OpenSSL with bad certificates; and a real network that comes and goes.
//!
//! Needs `nginx`, `apache2` with mod_auth_gssapi, `squid`, `krb5kdc` and `openssl` (Debian: nginx-light or nginx-extras,
//! apache2, libapache2-mod-auth-gssapi, squid, krb5-kdc, krb5-admin-server, krb5-user, openssl) in the path; each test runs its own,

#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // the outside world is these tests' business

mod apache;
mod kerberos;
mod nginx;
mod openssl;
#[cfg(target_os = "linux")]
mod path;
mod server;
mod squid;
