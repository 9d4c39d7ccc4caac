//! Negotiate over a scripted layer, with tickets that are scripted too.

use parking_lot::Mutex;

use urlsession_proto::auth::base64;

use super::super::super::test_support::{Reply, Script, run, run_answered};
use super::super::Auth;
use super::*;
use crate::auth::Challenger;
use crate::configuration::Configuration;
use crate::env::{Gssapi, GssapiContext, GssapiStep, GssapiUser};
use crate::message::AuthChallengeDisposition as Disposition;
use crate::message::{AuthenticationMethod, UrlCredentialPersistence, UrlRequest};
use crate::store::UrlCredentialStorage;

/// What happens at each step: a token and whether it was the last; or a failure.
type Plan = &'static [std::result::Result<(&'static str, bool), &'static str>];

/// Tickets as planned; whose they were and what was heard is noted.
#[derive(Default)]
struct Planned {
    plan: Plan,
    /// No ticket for a user with a password.
    is_ambient_only: bool,
    log: Arc<Mutex<Vec<String>>>,
}

struct Steps(Plan, Arc<Mutex<Vec<String>>>);

impl Gssapi for Planned {
    fn find(&self) -> Result<()> {
        Ok(())
    }

    fn begin(&self, host: &str, user: Option<GssapiUser<'_>>) -> Result<Box<dyn GssapiContext>> {
        let whose =
            user.map_or("the machine's user".into(), |user| format!("{}:{}", user.name, user.password));
        self.log.lock().push(format!("{whose} to {host}"));
        if self.is_ambient_only && user.is_some() {
            return Err(failure("no such user"));
        }
        Ok(Box::new(Steps(self.plan, self.log.clone())))
    }
}

impl GssapiContext for Steps {
    fn step(&mut self, heard: Option<&[u8]>) -> Result<GssapiStep> {
        if let Some(heard) = heard {
            self.1.lock().push(format!("heard {}", String::from_utf8_lossy(heard)));
        }
        let (now, later) = self.0.split_first().expect("no step is planned");
        self.0 = later;
        let (token, is_done) = now.map_err(failure)?;
        Ok(GssapiStep { token: token.into(), is_done })
    }
}

fn failure(detail: &'static str) -> UrlError {
    UrlError::new(UrlErrorCode::UserAuthenticationRequired, Phase::Request, detail)
}

fn tickets(plan: Plan) -> Arc<Planned> {
    Arc::new(Planned { plan, ..Planned::default() })
}

fn layer<'a>(script: &'a Script, tickets: &Arc<Planned>) -> Auth<&'a Script> {
    let negotiate_domains = vec!["a".into(), "a.test".into(), "b".into()];
    let config = Configuration { negotiate_domains, ..Configuration::ephemeral() };
    Auth::new(Some(UrlCredentialStorage::ephemeral()), tickets.clone(), Arc::default(), script)
        .with_negotiate_domains(&Arc::new(config))
}

fn says(status: u16, values: &[&'static str]) -> Result<Reply> {
    let fields = values.iter().map(|value| ("www-authenticate", *value)).collect();
    Ok(Reply { status, fields, body: b"" })
}

/// The `Authorization` of every request that had one, the tokens decoded.
fn shown(script: &Script) -> Vec<String> {
    let added = script.added.lock().clone();
    let words = added.iter().map(|field| field.strip_prefix("authorization: ").unwrap_or(field));
    words
        .map(|value| match value.strip_prefix("Negotiate ") {
            Some(token) => {
                format!("Negotiate {}", String::from_utf8(base64::decode(token).unwrap()).unwrap())
            }
            None => value.into(),
        })
        .collect()
}

fn request(url: &str) -> UrlRequest {
    UrlRequest::new(url.parse().unwrap())
}

/// Ann as her realm knows her.
fn ann_of_realm() -> UrlCredential {
    UrlCredential::new("ann@REALM", "pw", UrlCredentialPersistence::ForSession)
}

fn ann() -> UrlCredential {
    UrlCredential::new("ann", "pw", UrlCredentialPersistence::ForSession)
}

#[test]
fn the_ticket_of_the_machines_user_is_shown_to_the_host_that_asks_and_its_proof_is_checked() {
    let script = Script::new([says(401, &["Negotiate"]), says(200, &["Negotiate cHJvb2Y="])]);
    let tickets = tickets(&[Ok(("hello", false)), Ok(("", true))]);
    let (result, log) = run(&layer(&script, &tickets), "GET", "https://a.test:444/");
    assert_eq!(result.unwrap_or_else(|error| panic!("{error}")).head.status_code(), Some(200));
    assert_eq!(shown(&script), ["Negotiate hello"]);
    assert_eq!(*tickets.log.lock(), ["the machine's user to a.test", "heard proof"]);
    assert_eq!(log.len(), 2);
}

#[test]
fn the_ticket_of_the_machines_user_is_shown_to_listed_domains_only_unless_a_delegate_says_so() {
    let asks = || says(401, &["Negotiate, Basic realm=r"]);
    for (url, is_shown) in
        [("http://x.a/", true), ("http://c/", false), ("http://xa/", false), ("http://a.test.evil/", false)]
    {
        let script = Script::new([asks(), says(200, &[])]);
        let tickets = tickets(&[Ok(("hello", false))]);
        let (result, _) = run(&layer(&script, &tickets), "GET", url);
        let status = result.unwrap_or_else(|error| panic!("{error}")).head.status_code();
        assert_eq!(status, Some(if is_shown { 200 } else { 401 }), "{url}");
        assert_eq!(tickets.log.lock().len(), usize::from(is_shown), "{url}");
    }
    let (script, tickets) = (Script::new([asks(), says(200, &[])]), tickets(&[Ok(("hello", false))]));
    let answer = [Disposition::UseCredential(None)];
    assert!(run_answered(&layer(&script, &tickets), request("http://c/"), answer).0.is_ok());
    assert_eq!(shown(&script), ["Negotiate hello"], "a delegate's decision");
    let (script, tickets) = (Script::new([asks()]), self::tickets(&[Ok(("hello", false))]));
    let nobody = Auth::new(None, tickets.clone(), Arc::default(), &script)
        .with_negotiate_domains(&Arc::new(Configuration::ephemeral()));
    assert!(run(&nobody, "GET", "http://a/").0.is_ok());
    assert!(tickets.log.lock().is_empty(), "no domain is listed by default");
}

#[test]
fn a_ticket_is_never_shown_unasked() {
    let script = Script::new([says(401, &["Negotiate"]), says(200, &[]), says(200, &[]), says(200, &[])]);
    let layer = layer(&script, &tickets(&[Ok(("hello", false))]));
    for url in ["http://a/", "http://a/", "http://b/"] {
        assert!(run(&layer, "GET", url).0.is_ok());
    }
    assert_eq!(script.seen().len(), 4);
    assert_eq!(shown(&script).len(), 1);
}

/// Of each request, what it does about the login of its connection.
fn logins(script: &Script) -> Vec<&'static str> {
    let logins = script.logins.lock();
    let word = |login: &LoginUse| match login {
        LoginUse::None => "none",
        LoginUse::Reuse(login) if login.credential().is_none() => "as the machine's user",
        LoginUse::Reuse(_) => "as another user",
        LoginUse::Begin(_) => "begins",
    };
    logins.iter().map(word).collect()
}

#[test]
fn where_the_ticket_was_accepted_the_next_load_uses_its_connection_and_no_other_origin_does() {
    let script = Script::new([says(401, &["Negotiate"])].into_iter().chain((0..8).map(|_| says(200, &[]))));
    let layer = layer(&script, &tickets(&[Ok(("hello", false))]));
    for url in [
        "http://a/",
        "http://a/other",
        "https://a/",
        "http://a:81/",
        "http://x.a/",
        "http://b/",
        "http://bob:pw@a/",
    ] {
        assert!(run(&layer, "GET", url).0.is_ok());
    }
    let expected = ["none", "begins", "as the machine's user", "none", "none", "none", "none", "none"];
    assert_eq!(logins(&script), expected);
    assert_eq!(shown(&script), ["Negotiate hello"]);
}

#[test]
fn a_refused_ticket_and_one_that_a_delegate_gave_are_not_remembered() {
    let plan = &[Ok(("hello", false)); 3];
    let script = Script::new([
        says(401, &["Negotiate"]),
        says(200, &[]),
        says(401, &["Negotiate"]),
        says(401, &["Negotiate"]),
        says(200, &[]),
    ]);
    let layer = layer(&script, &tickets(plan));
    for _ in 0..3 {
        assert!(run(&layer, "GET", "http://a/").0.is_ok());
    }
    assert_eq!(logins(&script), ["none", "begins", "as the machine's user", "begins", "none"], "refused");

    let script = Script::new([says(401, &["Negotiate"]), says(200, &[]), says(200, &[])]);
    let layer = self::layer(&script, &tickets(plan));
    let given = [Disposition::UseCredential(None)];
    assert!(run_answered(&layer, request("http://c/"), given).0.is_ok());
    assert!(run(&layer, "GET", "http://c/").0.is_ok());
    assert_eq!(logins(&script), ["none", "begins", "none"], "given once");
}

#[test]
fn a_credential_is_not_sent_where_the_machines_user_is_logged_in() {
    let script = Script::new([
        says(401, &["Negotiate"]),
        says(200, &[]),
        says(401, &["Basic realm=r"]),
        says(200, &[]),
    ]);
    let layer = layer(&script, &tickets(&[Ok(("hello", false))]));
    assert!(run(&layer, "GET", "http://a/").0.is_ok());
    let answer = [Disposition::UseCredential(Some(ann()))];
    assert!(run_answered(&layer, request("http://a/basic"), answer).0.is_ok());
    assert_eq!(logins(&script), ["none", "begins", "as the machine's user", "none"]);
}

#[test]
fn a_server_may_want_to_hear_more_before_it_answers() {
    let script = Script::new([
        says(401, &["Negotiate", "Basic realm=r"]),
        says(401, &["Negotiate Zmlyc3Q="]),
        says(401, &["Negotiate c2Vjb25k"]),
        says(200, &["Negotiate dGhpcmQ="]),
    ]);
    let tickets = tickets(&[Ok(("one", false)), Ok(("two", false)), Ok(("three", false)), Ok(("", true))]);
    let (result, log) = run(&layer(&script, &tickets), "GET", "http://a/");
    assert_eq!(result.unwrap_or_else(|error| panic!("{error}")).head.status_code(), Some(200));
    assert_eq!(shown(&script), ["Negotiate one", "Negotiate two", "Negotiate three"]);
    assert_eq!(tickets.log.lock()[1..], ["heard first", "heard second", "heard third"]);
    assert_eq!(log.len(), 4, "a transaction a leg");
}

#[test]
fn a_server_that_wants_to_hear_more_without_end_is_left() {
    let asks = std::iter::once(says(401, &["Negotiate"]));
    let script = Script::new(asks.chain((0..100).map(|_| says(401, &["Negotiate bW9yZQ=="]))));
    let (result, _) = run(&layer(&script, &tickets(&[Ok(("on", false)); 100])), "GET", "http://a/");
    assert_eq!(result.err().map(|error| error.code()), Some(UrlErrorCode::BadServerResponse));
    assert_eq!(script.seen().len(), MOST_LEGS + 1);
}

#[test]
fn a_server_that_proves_to_be_another_fails_the_load() {
    for (plan, proof) in [
        (&[Ok(("hello", false)), Err("bad proof")][..], "Negotiate eA=="),
        (&[Ok(("hello", false)), Err("nothing")], "Negotiate a"),
        (&[Ok(("hello", false)), Ok(("more", false))], "Negotiate eA=="),
    ] {
        let script = Script::new([says(401, &["Negotiate"]), says(200, &[proof])]);
        let layer = layer(&script, &tickets(plan));
        let (result, _, _) =
            run_answered(&layer, request("http://a/"), [Disposition::UseCredential(Some(ann_of_realm()))]);
        let error = result.err().unwrap();
        assert_eq!(error.code(), UrlErrorCode::BadServerResponse);
        assert!(layer.server.storage.unwrap().all_credentials().is_empty(), "nothing is kept");
    }
}

#[test]
fn a_server_need_not_prove_itself_and_after_the_end_nothing_is_heard() {
    for (plan, proof) in
        [(&[Ok(("hello", false))][..], &[][..]), (&[Ok(("hello", true))], &["Negotiate eA=="])]
    {
        let script = Script::new([says(401, &["Negotiate"]), says(200, proof)]);
        assert!(run(&layer(&script, &tickets(plan)), "GET", "http://a/").0.is_ok());
    }
}

#[test]
fn without_a_ticket_the_next_scheme_is_tried_and_its_challenge_says_why() {
    let script = Script::new([says(401, &["Negotiate, Basic realm=r"]), says(200, &[])]);
    let tickets = tickets(&[Err("no ticket")]);
    let answers = [Disposition::UseCredential(None), Disposition::UseCredential(Some(ann()))];
    let (result, log, challenges) = run_answered(&layer(&script, &tickets), request("http://a/"), answers);
    assert!(result.is_ok());
    assert_eq!(shown(&script), ["Basic YW5uOnB3"]);
    assert_eq!(log.len(), 2, "nothing was sent for the ticket");
    let asked: Vec<_> =
        challenges.iter().map(|challenge| challenge.protection_space().authentication_method()).collect();
    assert_eq!(asked, [AuthenticationMethod::Negotiate, AuthenticationMethod::HttpBasic]);
    assert!(challenges[0].error().is_none());
    assert!(challenges[1].error().unwrap().to_string().contains("no ticket"));
    assert_eq!(challenges[1].previous_failure_count(), 0);
}

#[test]
fn a_user_of_the_url_for_whom_there_is_no_ticket_is_good_for_a_weaker_scheme() {
    let script = Script::new([says(401, &["Negotiate, Basic realm=r"]), says(200, &[])]);
    let tickets = Arc::new(Planned { is_ambient_only: true, ..Planned::default() });
    assert!(run(&layer(&script, &tickets), "GET", "http://ann%40R:pw@a/").0.is_ok());
    assert_eq!(shown(&script), ["Basic YW5uQFI6cHc="]);
    assert_eq!(*tickets.log.lock(), ["ann@R:pw to a"], "nobody else's ticket is shown for ann");
}

#[test]
fn a_user_without_a_realm_is_not_asked_for_at_the_one_of_the_machine() {
    let script = Script::new([says(401, &["Negotiate, Basic realm=r"]), says(200, &[])]);
    let tickets = tickets(&[]);
    assert!(run(&layer(&script, &tickets), "GET", "http://ann:pw@a/").0.is_ok());
    assert_eq!(shown(&script), ["Basic YW5uOnB3"]);
    assert!(tickets.log.lock().is_empty());
}

#[test]
fn a_delegate_may_give_a_user_with_a_password_who_is_kept_if_it_worked() {
    let script = Script::new([says(401, &["Negotiate"]), says(200, &[])]);
    let (tickets, answer) =
        (tickets(&[Ok(("hello", false))]), Disposition::UseCredential(Some(ann_of_realm())));
    let layer = layer(&script, &tickets);
    assert!(run_answered(&layer, request("http://a/"), [answer]).0.is_ok());
    assert_eq!(*tickets.log.lock(), ["ann@REALM:pw to a"]);
    let kept = layer.server.storage.unwrap().all_credentials();
    let (space, credentials) = kept.iter().next().unwrap();
    assert_eq!(space.authentication_method(), AuthenticationMethod::Negotiate);
    assert_eq!(credentials[0].user(), Some("ann@REALM"));
}

#[test]
fn the_login_of_a_user_whose_password_replaces_a_wrong_one_of_the_store_is_remembered() {
    let once = || [says(401, &["Negotiate"]), says(200, &[])];
    let script = Script::new(once().into_iter().chain(once()));
    let tickets = tickets(&[Ok(("hello", false))]);
    let layer = layer(&script, &tickets);
    let answer = || [Disposition::UseCredential(Some(ann_of_realm()))];
    assert!(run_answered(&layer, request("http://a/"), answer()).0.is_ok());
    let storage = layer.server.storage.clone().unwrap();
    let space = storage.all_credentials().into_keys().next().unwrap();
    storage.set(&UrlCredential::new("ann@REALM", "wrong", UrlCredentialPersistence::ForSession), &space);
    let login = || {
        layer.server.logins.connection_login(
            Challenger::Server(&request("http://a/")),
            None,
            storage.revision(),
        )
    };
    assert!(login().is_none(), "the store vouches for another");
    assert!(run_answered(&layer, request("http://a/"), answer()).0.is_ok());
    assert!(login().is_some());
}

#[test]
fn a_refused_ticket_is_not_shown_again_and_the_refusal_is_counted() {
    let script = Script::new([
        says(401, &["Negotiate, Basic realm=r"]),
        says(401, &["Negotiate, Basic realm=r"]),
        says(200, &[]),
    ]);
    let tickets = tickets(&[Ok(("hello", false))]);
    let answers = [
        Disposition::PerformDefaultHandling,
        Disposition::RejectProtectionSpace,
        Disposition::UseCredential(Some(ann())),
    ];
    let (result, _, challenges) = run_answered(&layer(&script, &tickets), request("http://a/"), answers);
    assert!(result.is_ok());
    assert_eq!(shown(&script), ["Negotiate hello", "Basic YW5uOnB3"]);
    let counts: Vec<_> = challenges.iter().map(|challenge| challenge.previous_failure_count()).collect();
    assert_eq!(counts, [0, 1, 1]);
}

#[test]
fn left_to_the_default_a_refused_ticket_is_the_end_of_it() {
    let script = Script::new([says(401, &["Negotiate"]), says(401, &["Negotiate"])]);
    let (result, _) = run(&layer(&script, &tickets(&[Ok(("hello", false))])), "GET", "http://a/");
    assert_eq!(result.unwrap_or_else(|error| panic!("{error}")).head.status_code(), Some(401));
    assert_eq!(script.seen().len(), 2);
}

#[test]
fn a_rejected_space_is_passed_over_for_the_next() {
    let script = Script::new([says(401, &["Negotiate, Basic realm=r"]), says(200, &[])]);
    let tickets = tickets(&[]);
    let answers = [Disposition::RejectProtectionSpace, Disposition::UseCredential(Some(ann()))];
    assert!(run_answered(&layer(&script, &tickets), request("http://a/"), answers).0.is_ok());
    assert_eq!(shown(&script), ["Basic YW5uOnB3"]);
    assert!(tickets.log.lock().is_empty(), "no ticket was looked for");
}

#[test]
fn a_bad_answer_in_the_middle_is_a_refusal_with_a_reason() {
    let script = Script::new([
        says(401, &["Negotiate"]),
        says(401, &["Negotiate eA==", "Basic realm=r"]),
        says(200, &[]),
    ]);
    let tickets = tickets(&[Ok(("hello", false)), Err("defective token")]);
    let answers = [
        Disposition::PerformDefaultHandling,
        Disposition::RejectProtectionSpace,
        Disposition::UseCredential(Some(ann())),
    ];
    let (result, _, challenges) = run_answered(&layer(&script, &tickets), request("http://a/"), answers);
    assert!(result.is_ok());
    assert!(challenges[1].error().unwrap().to_string().contains("defective token"));
}
