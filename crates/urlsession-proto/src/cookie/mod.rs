//! Cookies (RFC 6265bis): what a server sets, and where it goes.
//!
//! Reads fields and dates and compares hosts and paths. It keeps no cookie, knows no list of public suffixes and no
//! clock: what is stored, for how long and for whom is a store's business.

mod date;
mod matching;
mod netscape;
mod set_cookie;

pub use date::{format_date, parse_date};
pub use matching::{default_path, domain_matches, path_matches, prefix_allows};
pub use netscape::{NetscapeCookie, netscape_cookies, write_netscape_cookie};
pub use set_cookie::{MAX_ATTRIBUTE, MAX_PAIR, SameSite, SetCookie, parse, unfolded};
