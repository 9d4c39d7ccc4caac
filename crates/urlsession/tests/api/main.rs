//! Sessions and tasks as applications use them, over every wire, against the embedded origin.

#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // the outside world is these tests' business

#[allow(unreachable_pub)] // shared by the modules of this one crate
mod support;

mod auth;
mod backends;
mod bad_input;
mod bulk;
mod bytes;
mod cache;
mod cache_suite;
mod cached_identities;
mod cached_ranges;
mod client_certificates;
mod configuration;
mod connection_limits;
mod connection_logins;
mod connectivity;
mod convert;
mod cookie_storage;
mod cookie_values;
mod cookies;
mod credentials;
mod custom_protocol;
mod data;
mod data_url;
mod decisions;
mod delegates;
mod downloads;
mod error_codes;
mod execution;
mod expectations;
mod failed_transactions;
mod fast_paths;
mod file_url;
mod forbidden_networks;
mod forms;
#[cfg(target_os = "linux")]
mod full_disks;
mod header_fields;
mod hsts;
mod http2;
#[cfg(target_os = "linux")]
mod killed_downloads;
mod limits;
mod metrics;
mod network;
#[cfg(target_os = "linux")]
mod no_threads;
mod order;
mod order_by_kind;
mod parts;
mod precedence;
mod priority;
mod progress;
mod properties;
mod properties_of_loads;
mod proxies;
mod publisher;
mod redirects;
mod removal;
mod renewed_downloads;
mod replays;
mod request_chains;
mod requests;
mod resumable_uploads;
mod resume_downloads;
mod resume_files;
mod retries;
mod reuse;
mod scoped_trust;
mod sent_requests;
mod session;
mod state;
mod streams;
mod timeouts;
mod tls;
mod together;
mod tracing;
mod trailers;
mod transparency;
mod trust;
mod unrequested_parts;
mod uploads;
mod url_cache;
mod zones;
