//! The `urlsession` binary against origins on this machine.

mod cookies;
mod download;
mod failures;
mod har;
mod output;
mod proxies;
mod requests;
mod secrets;
mod show;
mod support;
mod tour;
mod upload;
