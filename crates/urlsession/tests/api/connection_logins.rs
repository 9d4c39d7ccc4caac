//! Connections that are logged in (NTLM), to servers and proxies: whom they serve.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use urlsession::authentication::{
    AuthChallengeDisposition as Disposition, UrlCredential, UrlCredentialPersistence as Persistence,
    UrlCredentialStorage,
};
use urlsession::network::ProxyDictionary;
use urlsession::{Configuration, Decision, UrlErrorCode, UrlSession};
use urlsession_proto::auth::base64;
use urlsession_testkit::{Origin, Proxy, ProxyLogin, Reply, Request, Wire};

use crate::support::*;

/// Connections that are logged in, and for whom.
type LoggedIn = Arc<Mutex<HashMap<usize, String>>>;

/// The user of the last message of NTLM.
fn user_of(value: &str) -> Option<String> {
    let message = base64::decode(value.strip_prefix("NTLM ")?)?;
    if message.get(8) != Some(&3) {
        return None;
    }
    let number = |at: usize| usize::from(u16::from_le_bytes([message[at], message[at + 1]]));
    let name = message.get(number(40)..number(40) + number(36))?;
    let units: Vec<_> = name.chunks(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]])).collect();
    String::from_utf16(&units).ok()
}

/// A server to which ann and carl may log in, and which tells each connection who it is.
fn server(wire: Wire) -> (Origin, LoggedIn) {
    let logged_in = LoggedIn::default();
    let known = logged_in.clone();
    let handler = move |request: &Request| {
        let mut logged_in = known.lock().unwrap();
        let asks = || Reply::new(401).header("WWW-Authenticate", "NTLM").body("who?");
        match request.header("authorization") {
            Some(value) => match user_of(value) {
                Some(user) if user == "ann" || user == "carl" => {
                    logged_in.insert(request.connection, user.clone());
                    Reply::new(200).body(user)
                }
                Some(_) => asks(),
                None => {
                    logged_in.remove(&request.connection);
                    Reply::routes()
                }
            },
            None => match logged_in.get(&request.connection) {
                Some(user) => Reply::new(200).body(user.clone()),
                None => asks(),
            },
        }
    };
    (Origin::builder().wire(wire).handler(handler).start(), logged_in)
}

const PATH: &str = "/ntlm/ann/pw";

/// The URL of the server as a user.
fn url(origin: &Origin, user: &str) -> String {
    match user {
        "" => origin.url(PATH),
        user => origin.url(PATH).replace("://", &format!("://{user}:pw@")),
    }
}

/// What the server says to this user, or its status if it says nothing.
fn says(session: &UrlSession, origin: &Origin, user: &str) -> String {
    let (data, response) = session.data(url(origin, user)).wait().unwrap();
    match response.status_code() {
        Some(200) => text(&data).to_owned(),
        status => format!("{status:?}"),
    }
}

const REFUSED: &str = "Some(401)";

const WIRES: [Wire; 2] = [Wire::H1, Wire::TlsH1];

fn without_store(origin: &Origin) -> Configuration {
    configuration(origin).url_credential_storage(None)
}

fn connections(origin: &Origin) -> Vec<usize> {
    origin.requests().iter().map(|request| request.connection).collect()
}

fn giving(credential: UrlCredential) -> Recorder {
    Recorder::new().answering(move |challenge| match challenge.protection_space().server_trust() {
        Some(_) => Decision::default_handling(),
        None => Decision::now(Disposition::UseCredential(Some(credential.clone()))),
    })
}

#[test]
fn a_connection_serves_only_the_user_who_is_logged_in_on_it() {
    for wire in WIRES {
        let (origin, _) = server(wire);
        let session = UrlSession::new(configuration(&origin));
        assert_eq!(says(&session, &origin, "ann"), "ann");
        assert_eq!(says(&session, &origin, "bob"), REFUSED);
        assert_eq!(says(&session, &origin, "carl"), "carl");
        assert_eq!(says(&session, &origin, "ann"), "ann");
        assert_eq!(says(&session, &origin, "carl"), "carl");
        // Of each the last request came over the connection that was logged in, without another login.
        let requests = origin.requests();
        let last = &requests[requests.len() - 2..];
        assert!(last.iter().all(|request| request.header("authorization").is_none()), "{requests:?}");
        assert_ne!(last[0].connection, last[1].connection);
    }
}

#[test]
fn users_at_the_same_time_are_not_taken_for_each_other() {
    for wire in WIRES {
        let (origin, _) = server(wire);
        let session = UrlSession::new(configuration(&origin));
        for _ in 0..3 {
            let loads: Vec<_> = (0..24)
                .map(|number| {
                    let user = ["ann", "carl", "bob"][number % 3];
                    let load = session.data(url(&origin, user));
                    (user, std::thread::spawn(move || load.wait().unwrap()))
                })
                .collect();
            for (user, load) in loads {
                let (data, response) = load.join().unwrap();
                match user {
                    "bob" => assert_eq!(response.status_code(), Some(401)),
                    user => assert_eq!(text(&data), user),
                }
            }
        }
    }
}

#[test]
fn a_load_without_credentials_does_not_use_a_connection_that_is_logged_in() {
    for wire in WIRES {
        let (origin, _) = server(wire);
        let session = UrlSession::new(without_store(&origin));
        assert_eq!(says(&session, &origin, "ann"), "ann");
        assert_eq!(says(&session, &origin, ""), REFUSED);
        assert_eq!(says(&session, &origin, "ann"), "ann");
        // One's own authorization is nobody's login here either.
        let session = UrlSession::new(configuration(&origin));
        assert_eq!(says(&session, &origin, "ann"), "ann");
        let mut own = request(&origin.url(PATH), "GET", None);
        own.set_value("Authorization", "Bearer x").unwrap();
        session.data(own).wait().unwrap();
        let seen = connections(&origin);
        assert_ne!(seen[seen.len() - 1], seen[seen.len() - 2]);
    }
}

#[test]
fn the_sessions_default_credential_uses_the_connection_that_is_logged_in_with_it() {
    for wire in WIRES {
        let (origin, _) = server(wire);
        let session = UrlSession::new(configuration(&origin));
        let ann = UrlCredential::new("ann", "pw", Persistence::ForSession);
        assert_eq!(session.data(url(&origin, "")).delegate(giving(ann)).wait().unwrap().0, "ann");
        (0..2).for_each(|_| assert_eq!(says(&session, &origin, ""), "ann"));
        assert_eq!(connections(&origin), [0; 5]);
        let last = origin.requests().pop().unwrap();
        assert_eq!(last.header("authorization"), None);
    }
}

#[test]
fn a_connection_of_a_credential_for_once_is_closed_after_its_use() {
    for wire in WIRES {
        for with_store in [true, false] {
            let (origin, _) = server(wire);
            let (credential, config) = match with_store {
                true => (UrlCredential::new("ann", "pw", Persistence::None), configuration(&origin)),
                false => (UrlCredential::new("ann", "pw", Persistence::ForSession), without_store(&origin)),
            };
            let session = UrlSession::new(config);
            assert_eq!(session.data(url(&origin, "")).delegate(giving(credential)).wait().unwrap().0, "ann");
            assert!(origin.wait_for(|journal| journal.closed == 1, PATIENCE));
            assert_eq!(says(&session, &origin, ""), REFUSED);
        }
    }
}

#[test]
fn a_connection_whose_credential_the_store_has_lost_is_not_used_again() {
    for wire in WIRES {
        let (origin, _) = server(wire);
        let config = configuration(&origin);
        let storage = config.url_credential_storage.clone().unwrap();
        let session = UrlSession::new(config);
        assert_eq!(says(&session, &origin, "ann"), "ann");
        remove_all(&storage);
        assert_eq!(says(&session, &origin, ""), REFUSED);
        // One that is in use meanwhile is closed when it is given back.
        assert_eq!(says(&session, &origin, "ann"), "ann");
        let (gate, closed) = (origin.hold(), origin.journal(|journal| journal.closed));
        origin.enqueue(PATH, Reply::new(200).body("late").after(gate.clone()));
        let load = session.data(url(&origin, "ann"));
        let load = std::thread::spawn(move || load.wait().unwrap().0);
        assert!(gate.wait_reached(PATIENCE));
        remove_all(&storage);
        gate.release();
        assert_eq!(load.join().unwrap(), "late");
        assert!(origin.wait_for(|journal| journal.closed == closed + 1, PATIENCE));
    }
}

#[test]
fn a_login_that_the_server_forgets_is_made_again() {
    for wire in WIRES {
        let (origin, logged_in) = server(wire);
        let session = UrlSession::new(configuration(&origin));
        assert_eq!(says(&session, &origin, "ann"), "ann");
        logged_in.lock().unwrap().clear();
        assert_eq!(says(&session, &origin, "ann"), "ann");
        assert_eq!(says(&session, &origin, "ann"), "ann");
        let last = origin.requests().pop().unwrap();
        assert_eq!(last.header("authorization"), None);
        assert_eq!(says(&session, &origin, "bob"), REFUSED);
    }
}

#[test]
fn a_connection_of_another_user_makes_room_at_the_limit() {
    for wire in WIRES {
        let (origin, _) = server(wire);
        let config = configuration(&origin).http_maximum_connections_per_host(1);
        let session = UrlSession::new(config);
        for user in ["ann", "carl", "ann"] {
            assert_eq!(says(&session, &origin, user), user);
        }
    }
}

#[test]
fn a_connection_that_the_application_logs_in_by_itself_serves_nobody_else() {
    for wire in WIRES {
        let (origin, _) = server(wire);
        // As `urlsession` would do it.
        let (recorded, _) = server(wire);
        assert_eq!(says(&UrlSession::new(configuration(&recorded)), &recorded, "ann"), "ann");
        let messages: Vec<_> = recorded
            .requests()
            .iter()
            .filter_map(|request| request.header("authorization").map(ToOwned::to_owned))
            .collect();
        let session = UrlSession::new(configuration(&origin));
        let with = |message: &str| {
            let mut own = request(&origin.url(PATH), "GET", None);
            own.set_value("Authorization", message).unwrap();
            session.data(own).wait().unwrap()
        };
        assert_eq!(with(&messages[0]).1.status_code(), Some(401));
        assert_eq!(with(&messages[1]).0, "ann");
        assert_eq!(connections(&origin), [0, 0], "its messages follow each other on one connection");
        assert_eq!(says(&session, &origin, ""), REFUSED);
        assert_eq!(connections(&origin)[2], 1);
    }
}

fn remove_all(storage: &UrlCredentialStorage) {
    for (space, credentials) in storage.all_credentials() {
        credentials.iter().for_each(|credential| storage.remove(credential, &space));
    }
}

fn through(origin: &Origin, proxy: &Proxy) -> Configuration {
    let dictionary = ProxyDictionary::with_proxy("127.0.0.1", proxy.port());
    configuration(origin).connection_proxy_dictionary(dictionary)
}

/// A proxy refuses: by its response where it is asked for the URL, by an error where it makes tunnels.
fn is_refused(session: &UrlSession, url: String) -> bool {
    match session.data(url).wait() {
        Ok((_, response)) => response.status_code() == Some(407),
        Err(error) => error.code() == UrlErrorCode::UserAuthenticationRequired,
    }
}

#[test]
fn a_login_with_a_proxy_for_once_serves_one_task() {
    for login in [ProxyLogin::Ntlm("ann", "pw"), ProxyLogin::Basic("ann", "pw")] {
        on_every_wire(|origin| {
            let proxy = Proxy::with_login(login);
            let session = UrlSession::new(through(origin, &proxy));
            let ann = UrlCredential::new("ann", "pw", Persistence::None);
            let load = session.data(origin.url("/Peru")).delegate(giving(ann));
            assert_eq!(load.wait().unwrap().0, "Lima");
            assert!(is_refused(&session, origin.url("/Peru")), "{login:?}");
            assert_eq!(origin.requests().len(), 1);
        });
    }
}

#[test]
fn a_login_with_a_proxy_for_the_session_serves_its_tasks_until_the_store_loses_it() {
    for login in [ProxyLogin::Ntlm("ann", "pw"), ProxyLogin::Digest("ann", "pw")] {
        on_every_wire(|origin| {
            let proxy = Proxy::with_login(login);
            let config = through(origin, &proxy);
            let storage = config.url_credential_storage.clone().unwrap();
            let session = UrlSession::new(config);
            let ann = UrlCredential::new("ann", "pw", Persistence::ForSession);
            let load = session.data(origin.url("/Peru")).delegate(giving(ann));
            assert_eq!(load.wait().unwrap().0, "Lima");
            assert_eq!(session.data(origin.url("/Peru")).wait().unwrap().0, "Lima");
            assert_eq!(proxy.connection_count(), 1);
            remove_all(&storage);
            assert!(is_refused(&session, origin.url("/Peru")), "{login:?}");
            assert_eq!(origin.requests().len(), 2);
        });
    }
}

/// A store that holds a password of ann which is not, or no longer, hers, for the space of whoever asks for the URL.
fn with_wrong_password(config: Configuration, url: &str) -> Configuration {
    let recorder = Recorder::new();
    let probe = config.clone().url_credential_storage(None);
    let (session, recorder) = with_recorder(probe, recorder.answering(|_| Decision::default_handling()));
    session.data_task(url).resume();
    let asked = recorder.completed(1).challenges;
    let asked = asked.iter().find(|challenge| challenge.protection_space().server_trust().is_none());
    let storage = UrlCredentialStorage::ephemeral();
    let wrong = UrlCredential::new("ann", "wrong", Persistence::ForSession);
    storage.set(&wrong, asked.unwrap().protection_space());
    config.url_credential_storage(storage)
}

/// Gives the right password in the place of the stored one: at once, or after the stored one was refused.
fn correcting(persistence: Persistence, is_at_once: bool) -> Recorder {
    Recorder::new().answering(move |challenge| match challenge.protection_space().server_trust() {
        None if is_at_once || challenge.previous_failure_count() > 0 => {
            let right = UrlCredential::new("ann", "pw", persistence);
            Decision::now(Disposition::UseCredential(Some(right)))
        }
        _ => Decision::default_handling(),
    })
}

const CORRECTIONS: [(Persistence, bool); 6] = [
    (Persistence::ForSession, true),
    (Persistence::ForSession, false),
    (Persistence::Permanent, true),
    (Persistence::Permanent, false),
    (Persistence::None, true),
    (Persistence::None, false),
];

#[test]
fn a_password_that_replaces_a_wrong_one_of_the_store_makes_one_connection_to_a_proxy() {
    let logins =
        [ProxyLogin::Basic("ann", "pw"), ProxyLogin::Digest("ann", "pw"), ProxyLogin::Ntlm("ann", "pw")];
    for (login, (persistence, is_at_once)) in
        logins.into_iter().flat_map(|login| CORRECTIONS.map(|correction| (login, correction)))
    {
        on_every_wire(|origin| {
            let proxy = Proxy::with_login(login);
            let config = with_wrong_password(through(origin, &proxy), &origin.url("/Peru"));
            let (requests, connections) = (proxy.requests().len(), proxy.connection_count());
            let session = UrlSession::new(config);
            let load = || {
                let load = session.data(origin.url("/Peru")).delegate(correcting(persistence, is_at_once));
                assert_eq!(load.wait().unwrap().0, "Lima");
            };
            let case = format!("{login:?} {persistence:?} {is_at_once}");
            load();
            let first = proxy.requests().len() - requests;
            // NTLM needs two requests for each password, and begins without being asked where it follows an answer.
            let most = if matches!(login, ProxyLogin::Ntlm(..)) { 5 } else { 3 };
            assert!(first <= most, "{case}: {first} requests");
            let of_first = proxy.connection_count() - connections;
            let is_refused_on_it = matches!(login, ProxyLogin::Ntlm(..)) && !is_at_once;
            assert!(of_first == 1 || is_refused_on_it && of_first == 2, "{case}: {of_first} connections");
            load();
            let (all, second) = (proxy.requests().len() - requests, proxy.connection_count() - connections);
            let is_tunnel = origin.url("").starts_with("https");
            match persistence {
                Persistence::None => {
                    assert!(all <= 2 * first && second <= 2 * of_first, "{case}: {all}, {second}");
                }
                _ if is_tunnel => assert_eq!((all, second), (first, of_first), "{case}"),
                _ => assert_eq!((all, second), (first + 1, of_first), "{case}"),
            }
        });
    }
}

#[test]
fn loads_that_wait_for_a_tunnel_while_a_password_is_replaced_share_it() {
    on(Wire::TlsH2, |origin| {
        let proxy = Proxy::with_login(ProxyLogin::Basic("ann", "pw"));
        let config = with_wrong_password(through(origin, &proxy), &origin.url("/Peru"));
        let before = proxy.connection_count();
        let (session, recorder) = with_recorder(config, correcting(Persistence::ForSession, true));
        (0..20).for_each(|_| session.data_task(origin.url("/Peru")).resume());
        assert!(recorder.completed(20).completions.iter().all(Option::is_none));
        assert_eq!(proxy.connection_count() - before, 1);
    });
}

#[test]
fn a_password_that_replaces_a_wrong_one_of_the_store_keeps_the_connection_it_logged_in() {
    for wire in WIRES {
        for (persistence, is_at_once) in CORRECTIONS {
            let (origin, _) = server(wire);
            let config = with_wrong_password(configuration(&origin), &url(&origin, ""));
            let before = origin.requests().len();
            let session = UrlSession::new(config);
            let load = || {
                let load = session.data(url(&origin, "")).delegate(correcting(persistence, is_at_once));
                assert_eq!(load.wait().unwrap().0, "ann");
            };
            (0..2).for_each(|_| load());
            let requests = origin.requests().split_off(before);
            let case = format!("{persistence:?} {is_at_once}: {requests:?}");
            let first = requests[0].connection;
            match persistence {
                Persistence::None => assert!(requests.len() <= 6, "{case}"),
                _ => {
                    assert!(requests.iter().all(|request| request.connection == first), "{case}");
                    assert_eq!(requests.last().unwrap().header("authorization"), None, "{case}");
                }
            }
        }
    }
}
