//! Real servers: what nginx, Apache httpd and squid make of our requests, and we of their answers; OpenSSL with bad
//! certificates; and a real network that comes and goes.
//!
//! Needs `nginx`, `apache2`, `squid` and `openssl` (Debian: nginx-light or nginx-extras, apache2, squid, openssl) in the path; each test runs its own,
//! on ports of its own, as the user that runs the test.

#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // the outside world is these tests' business

mod apache;
mod nginx;
mod openssl;
#[cfg(target_os = "linux")]
mod path;
mod server;
mod squid;
