//! Owns the routes whose replies are not correct HTTP/1.1: the lost cities.

use crate::reply::Reply;

pub(super) fn route(path: &str) -> Option<Reply> {
    let reply = match path.strip_prefix("/LandOfTheLostCities/")? {
        // SETTINGS, then GOAWAY with PROTOCOL_ERROR: what an HTTP/2 server says to an HTTP/1 client.
        "Pompeii" => Reply::raw(
            *b"\x00\x00\x12\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x80\x00\x04\x00\x01\x00\x00\x00\x05\x00\xff\xff\xff\
               \x00\x00\x08\x07\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01",
        ),
        "Sodom" => Reply::raw("Technology is a useful servant but a dangerous master"),
        "Kameiros" => Reply::raw("HTTP/1.1 999 Wrong Code\r\nContent-Type: text/plain\r\n\r\n"),
        "Myndus" => {
            Reply::raw("HTTP/1.1 200 OK\r\n\r\nthis is a body that isn't supposed to be here")
        }
        "Gomorrah" => Reply::raw("HTTP/1.1\r\n\r\n\r\n"),
        "Dinavar" => Reply::raw("HTTP/1.1 20 Too Few Digits\r\n\r\n"),
        "Kuhikugu" => Reply::raw("HTTP/1.1 2000 Too Many Digits\r\n\r\n"),
        _ => return None,
    };
    Some(reply)
}
