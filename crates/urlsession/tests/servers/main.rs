//! Real servers: what nginx, Apache httpd and squid make of our requests, and we of their answers; OpenSSL with bad
//! certificates; a real network that comes and goes; and what a real disk is asked for.
//!
//! Needs `nginx`, `apache2`, `squid`, `openssl` and `strace` (Debian: nginx-light or nginx-extras, the others by their names) in
//! the path; each test runs its own, on ports of its own, as the user that runs the test.

#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // the outside world is these tests' business

mod apache;
#[cfg(target_os = "linux")]
mod disk;
mod kerberos;
mod nginx;
mod openssl;
#[cfg(target_os = "linux")]
mod path;
mod server;
mod squid;
