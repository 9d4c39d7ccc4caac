//! Owns the redirect routes and the three-digit status routes.

use super::{Place, echo, parameter, text};
use crate::reply::Reply;
use crate::request::Request;

pub(super) fn route(request: &Request, path: &str, place: &Place) -> Option<Reply> {
    let reply = match path {
        "/UnitedStates" => {
            let Place { scheme, host, closed_port } = place;
            redirect(302, &format!("{scheme}://{host}:{closed_port}/USA"))
        }
        "/UnitedKingdom" => redirect(302, "UK"),
        "/redirect-with-default-port" => {
            redirect(302, &format!("{}://{}/redirected-with-default-port", place.scheme, place.host))
        }
        "/redirectToEchoHeaders" => Reply::new(302)
            .header("location", "/echoHeaders")
            .header("Set-Cookie", "redirect=true; Max-Age=7776000; path=/"),
        _ => {
            if let Some(left) = path.strip_prefix("/redirect/").and_then(|n| n.parse::<u32>().ok()) {
                let target =
                    if left > 1 { format!("/redirect/{}", left - 1) } else { "/jsonBody".to_owned() };
                return Some(redirect(302, &target));
            }
            let digits = path.strip_prefix('/').filter(|p| p.len() == 3)?;
            let code = digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok())??;
            status(request, code)
        }
    };
    Some(reply)
}

fn redirect(code: u16, location: &str) -> Reply {
    Reply::new(code).header("Location", location)
}

fn status(request: &Request, code: u16) -> Reply {
    match code {
        300..=303 | 305..=308 => {
            let location = parameter(request, "location")
                .unwrap_or_else(|| format!("/{}", request.method.to_ascii_lowercase()));
            let body = format!("Redirecting to {} {location}", request.method);
            text(body).status(code).header("Location", location)
        }
        401 => echo::json(request, 401).header("WWW-Authenticate", echo::CHALLENGE),
        // A final reply below 200 does not exist; 1xx are scripted.
        0..=199 => Reply::new(404),
        _ => echo::json(request, code),
    }
}
