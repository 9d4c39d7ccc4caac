//! Whom a connection admits.

use super::*;
use crate::message::{
    AuthenticationMethod, UrlCredential, UrlCredentialPersistence, UrlProtectionSpace,
    UrlProtectionSpaceProtocol,
};

fn login(user: &str, method: AuthenticationMethod, revision: Option<u64>) -> Arc<ConnectionLogin> {
    let space = UrlProtectionSpace::new("a", 80, UrlProtectionSpaceProtocol::Http, None, method);
    let credential = UrlCredential::new(user, "pw", UrlCredentialPersistence::ForSession);
    ConnectionLogin::new(space, Some(credential), revision)
}

fn ntlm(user: &str) -> Arc<ConnectionLogin> {
    login(user, AuthenticationMethod::Ntlm, Some(0))
}

fn to_server(server: LoginUse) -> Requester {
    let logins = LoginUses { server, proxy: LoginUse::None };
    Requester { logins: Some(Arc::new(logins)), ..Requester::default() }
}

fn begun(login: &Arc<ConnectionLogin>) -> Reservation {
    let mut reservation = Reservation::default();
    reservation.begin(to_server(LoginUse::Begin(login.clone())).logins.as_deref().unwrap());
    reservation
}

#[test]
fn a_connection_that_is_logged_in_admits_only_who_it_is_logged_in_for() {
    let anns = begun(&ntlm("ann"));
    assert!(anns.admits(&to_server(LoginUse::Reuse(ntlm("ann")))));
    assert!(!anns.admits(&to_server(LoginUse::Reuse(ntlm("bob")))));
    assert!(!anns.admits(&Requester::default()));
    assert!(
        !anns.admits(&to_server(LoginUse::Begin(ntlm("ann")))),
        "NTLM begins on a connection without login"
    );
    let elsewhere = login("ann", AuthenticationMethod::Negotiate, Some(0));
    assert!(!anns.admits(&to_server(LoginUse::Reuse(elsewhere.clone()))));
    assert!(begun(&elsewhere).admits(&to_server(LoginUse::Begin(elsewhere))));
    let nobodys = Reservation::default();
    for wanted in [LoginUse::None, LoginUse::Reuse(ntlm("ann")), LoginUse::Begin(ntlm("ann"))] {
        assert!(nobodys.admits(&to_server(wanted)));
    }
}

#[test]
fn a_login_with_a_proxy_is_not_one_with_a_server() {
    let proxy = LoginUses { server: LoginUse::None, proxy: LoginUse::Begin(ntlm("ann")) };
    let mut reservation = Reservation::default();
    reservation.begin(&proxy);
    assert!(!reservation.admits(&to_server(LoginUse::Reuse(ntlm("ann")))));
    let proxy = LoginUses { server: LoginUse::None, proxy: LoginUse::Reuse(ntlm("ann")) };
    assert!(reservation.admits(&Requester { logins: Some(Arc::new(proxy)), ..Requester::default() }));
}

#[test]
fn a_login_for_once_serves_nothing_else_and_one_of_an_older_revision_is_closed() {
    let once = login("ann", AuthenticationMethod::Ntlm, None);
    assert!(!begun(&once).admits(&to_server(LoginUse::Reuse(once.clone()))));
    assert!(!begun(&once).outlives_exchange(|| 0));
    let kept = begun(&ntlm("ann"));
    assert!(kept.outlives_exchange(|| 0) && !kept.outlives_exchange(|| 1));
    let later = Requester { revision: 1, ..to_server(LoginUse::Reuse(ntlm("ann"))) };
    assert!(!kept.admits(&later));
}

#[test]
fn a_login_that_has_replaced_a_credential_of_the_store_serves_those_who_asked_before() {
    let asked_before = Requester { revision: 1, ..Requester::default() };
    assert!(Reservation::new(Scope::Everyone, Some(2)).admits(&asked_before));
    assert!(!Reservation::new(Scope::Everyone, Some(0)).admits(&asked_before));
    let anns = ntlm("ann");
    let connection = begun(&anns);
    anns.is_kept_in(1);
    assert!(connection.admits(&Requester { revision: 1, ..to_server(LoginUse::Reuse(anns)) }));
    assert!(connection.outlives_exchange(|| 1) && !connection.outlives_exchange(|| 2));
}

#[test]
fn what_is_older_in_one_of_its_logins_is_old() {
    let mut connection = Reservation::new(Scope::Everyone, Some(1));
    let logins = to_server(LoginUse::Begin(ntlm("ann"))).logins;
    connection.begin(logins.as_deref().unwrap());
    assert!(connection.outlives_exchange(|| 0) && !connection.outlives_exchange(|| 1));
}

#[test]
fn beside_others_no_login_begins() {
    let begins = to_server(LoginUse::Begin(login("ann", AuthenticationMethod::Negotiate, Some(0))));
    assert!(!Reservation::default().admits_beside_others(&begins));
    assert!(Reservation::default().admits_beside_others(&Requester::default()));
}

#[test]
fn who_decided_says_whom_a_connection_serves() {
    let requester = |decider| Requester { decider, ..Requester::default() };
    let all =
        [Decider::Platform, Decider::Session(1), Decider::Session(2), Decider::Task(1), Decider::Task(2)];
    let admitted = |scope| {
        let reservation = Reservation::new(scope, None);
        all.map(|decider| reservation.admits(&requester(decider)))
    };
    assert_eq!(admitted(Scope::Everyone), [true; 5]);
    assert_eq!(admitted(Scope::Session), [false, true, true, false, false]);
    assert_eq!(admitted(Scope::Task(1)), [false, true, false, true, false]);
    assert_eq!(Scope::of(DecidedBy::Default, Decider::Task(1)), Scope::Everyone);
    assert_eq!(Scope::of(DecidedBy::Session, Decider::Session(1)), Scope::Session);
    assert_eq!(Scope::of(DecidedBy::Session, Decider::Task(1)), Scope::Task(1));
    assert_eq!(Scope::of(DecidedBy::Task, Decider::Session(1)), Scope::Task(1));
    assert_eq!(Scope::Session.and(Scope::Task(1)), Scope::Task(1));
    assert_eq!(Scope::Everyone.and(Scope::Session), Scope::Session);
}
