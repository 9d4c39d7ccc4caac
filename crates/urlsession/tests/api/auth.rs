//! Authentication as applications see it: who is asked, what is sent, and what is never sent.

use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use urlsession::authentication::{
    AuthChallengeDisposition as Disposition, AuthenticationMethod as Method, UrlCredential,
    UrlCredentialPersistence as Persistence, UrlCredentialStorage, UrlProtectionSpace,
    UrlProtectionSpaceProtocol as Protocol,
};
use urlsession::{BodyStream, Decision, UrlErrorCode, UrlRequest};
use urlsession_testkit::{Origin, Reply, Wire};

use super::support::{
    HandClock, Recorder, configuration, load, on, on_every_wire, recorded, request, session, text,
    with_recorder,
};

fn ann() -> UrlCredential {
    UrlCredential::new("ann", "pw", Persistence::ForSession)
}

/// Gives this credential, whoever asks.
fn with(credential: UrlCredential) -> Recorder {
    Recorder::new().answering(move |_| Decision::now(Disposition::UseCredential(Some(credential.clone()))))
}

fn disposing(disposition: Disposition) -> Recorder {
    Recorder::new().answering(move |_| Decision::now(disposition.clone()))
}

/// The `Authorization` of every request so far.
fn sent(origin: &Origin) -> Vec<Option<String>> {
    origin.requests().iter().map(|request| request.header("authorization").map(Into::into)).collect()
}

fn space(origin: &Origin, realm: &str) -> UrlProtectionSpace {
    let url: urlsession::Url = origin.url("/").parse().unwrap();
    let protocol = if url.scheme() == "https" { Protocol::Https } else { Protocol::Http };
    UrlProtectionSpace::new(url.host_str().unwrap(), origin.port(), protocol, Some(realm), Method::HttpBasic)
}

#[test]
fn test_basic_auth_request() {
    on_every_wire(|origin| {
        let recorder = with(UrlCredential::new("user", "passwd", Persistence::None));
        let (session, recorder) = with_recorder(configuration(origin), recorder);
        session.data_task(origin.url("/auth/basic")).resume();
        let log = recorder.completed(1);
        assert!(log.completions[0].is_none());
        assert_eq!(log.response.unwrap().status_code(), Some(200));
        let space = log.challenges[0].protection_space();
        assert_eq!((space.realm(), space.authentication_method()), (Some("Fake Relam"), Method::HttpBasic));
        assert_eq!(log.challenges.len(), 1);
    });
}

/// The spaces a delegate is asked about, one by one, for these fields.
fn asked_about(origin: &Origin, values: &[&str]) -> Vec<(Method, Option<String>)> {
    let reply = values.iter().fold(Reply::new(401), |reply, value| reply.header("WWW-Authenticate", *value));
    origin.enqueue("/asked", reply);
    let (session, recorder) =
        with_recorder(configuration(origin), disposing(Disposition::RejectProtectionSpace));
    load(&session, origin.url("/asked")).unwrap();
    let challenges = recorder.log().challenges;
    let spaces = challenges.iter().map(|challenge| challenge.protection_space());
    spaces.map(|space| (space.authentication_method(), space.realm().map(Into::into))).collect()
}

#[test]
fn test_create_with_http_url_response() {
    on(Wire::H1, |origin| {
        assert_eq!(asked_about(origin, &["Basic Realm=\"\""]), [(Method::HttpBasic, Some(String::new()))]);
        assert_eq!(
            asked_about(origin, &["Basic realm=\"test\""]),
            [(Method::HttpBasic, Some("test".into()))]
        );
        // The peer knows neither of these.
        let digest = asked_about(origin, &["Digest realm=\"test\", nonce=\"n\""]);
        assert_eq!(digest, [(Method::HttpDigest, Some("test".into()))]);
        assert_eq!(asked_about(origin, &["NTLM"]), [(Method::Ntlm, None)]);
        assert_eq!(asked_about(origin, &["NT LM realm=\"test\""]), []);
        assert_eq!(asked_about(origin, &[]), []);
    });
}

#[test]
fn test_create_with_invalid_auth() {
    on_every_wire(|origin| assert_eq!(asked_about(origin, &["fdsfds"]), []));
}

#[test]
fn test_challenge() {
    on(Wire::H1, |origin| {
        for (value, realms) in [
            ("maybe challenge, maybe not", &[][..]),
            ("Basic Realm=\"Test\",charset=\"utf-8\", other=\"be2e\"", &["Test"]),
            (
                "Digest realm=\"Unsupported\", Basic, basic realm =    \"First \\\" realm\", Basic realm=\"Second realm\"",
                &["First \" realm", "Second realm"],
            ),
            ("not real, Basic realm=\"Second realm\"", &["Second realm"]),
            ("Basic realm=\"Second realm\"charset=", &["Second realm"]),
            ("Basic reALm = \"Second realm\",charset=", &["Second realm"]),
            ("Basic realm=\"Second realm", &[]),
            ("Basic charset=\"utf-8\"", &[]),
        ] {
            let asked = asked_about(origin, &[value]);
            assert_eq!(
                asked.iter().filter_map(|(_, realm)| realm.as_deref()).collect::<Vec<_>>(),
                realms,
                "{value}"
            );
        }
    });
}

#[test]
fn the_refusal_is_never_delivered_when_a_credential_follows() {
    on_every_wire(|origin| {
        let (session, recorder) = with_recorder(configuration(origin), with(ann()));
        session.data_task(origin.url("/basic/ann/pw")).resume();
        let log = recorder.completed(1);
        assert_eq!(text(&log.data), "in");
        assert_eq!(log.calls, ["didReceiveChallenge", "didReceiveResponse", "didReceiveData", "didComplete"]);
        let challenge = &log.challenges[0];
        assert_eq!(challenge.failure_response().unwrap().status_code(), Some(401));
        assert_eq!((challenge.previous_failure_count(), challenge.proposed_credential()), (0, None));
        assert_eq!(*challenge.protection_space(), space(origin, "of ann"));
        assert_eq!(origin.connection_count(), 1, "the refusal's body is read for the connection's sake");
    });
}

#[test]
fn each_try_is_a_transaction_of_its_own() {
    on_every_wire(|origin| {
        let (session, recorder) = with_recorder(configuration(origin), with(ann()));
        session.data_task(origin.url("/basic/ann/pw")).resume();
        let log = recorder.completed(1);
        let transactions = &log.metrics[0].transaction_metrics;
        let status: Vec<_> =
            transactions.iter().map(|one| one.response.as_ref().unwrap().status_code()).collect();
        assert_eq!(status, [Some(401), Some(200)]);
        assert_eq!(transactions[0].count_of_response_body_bytes_after_decoding, "need basic".len() as u64);
        assert_eq!(log.metrics[0].redirect_count, 0);
    });
}

#[test]
fn handlers_and_futures_ask_too() {
    on_every_wire(|origin| {
        let (session, recorder) = with_recorder(configuration(origin), with(ann()));
        let (data, _) = load(&session, origin.url("/basic/ann/pw")).unwrap();
        assert_eq!(text(&data), "in");
        let (data, _) = session.data(origin.url("/basic/bob/pw")).wait().unwrap();
        assert_eq!(text(&data), "need basic", "ann is not bob, whoever insists");
        assert!(recorder.log().challenges.len() > 1);
    });
}

#[test]
fn a_wrong_password_is_asked_for_again_until_the_delegate_gives_up() {
    on_every_wire(|origin| {
        let recorder = Recorder::new().answering(|challenge| {
            let password = match challenge.previous_failure_count() {
                0 => "one",
                1 => "two",
                _ => return Decision::now(Disposition::PerformDefaultHandling),
            };
            Decision::now(Disposition::UseCredential(Some(UrlCredential::new(
                "ann",
                password,
                Persistence::ForSession,
            ))))
        });
        let config = configuration(origin);
        let storage = config.url_credential_storage.clone().unwrap();
        let (session, recorder) = with_recorder(config, recorder);
        session.data_task(origin.url("/basic/ann/pw")).resume();
        let log = recorder.completed(1);
        assert_eq!(log.response.unwrap().status_code(), Some(401));
        assert_eq!(text(&log.data), "need basic");
        let counts: Vec<_> = log.challenges.iter().map(|one| one.previous_failure_count()).collect();
        assert_eq!(counts, [0, 1, 2]);
        let proposed: Vec<_> = log
            .challenges
            .iter()
            .map(|one| one.proposed_credential().and_then(|it| it.password()).map(str::to_owned))
            .collect();
        assert_eq!(proposed, [None, Some("one".into()), Some("two".into())]);
        assert!(storage.all_credentials().is_empty(), "what did not work is not kept");
    });
}

#[test]
fn a_delegate_that_insists_on_a_wrong_password_ends_after_twenty_tries() {
    on(Wire::H1, |origin| {
        let (session, recorder) =
            with_recorder(configuration(origin), with(UrlCredential::new("ann", "no", Persistence::None)));
        session.data_task(origin.url("/basic/ann/pw")).resume();
        assert_eq!(recorder.completed(1).response.unwrap().status_code(), Some(401));
        assert_eq!(origin.requests().len(), 21);
    });
}

#[test]
fn cancelling_the_challenge_cancels_the_task() {
    on_every_wire(|origin| {
        let (session, recorder) =
            with_recorder(configuration(origin), disposing(Disposition::CancelAuthenticationChallenge));
        session.data_task(origin.url("/basic/ann/pw")).resume();
        let log = recorder.completed(1);
        assert_eq!(log.completions[0].as_ref().unwrap().code(), UrlErrorCode::Cancelled);
        assert_eq!(log.calls, ["didReceiveChallenge", "didComplete"]);
    });
}

#[test]
fn without_a_credential_the_refusal_is_the_answer() {
    on_every_wire(|origin| {
        for disposition in [
            Disposition::UseCredential(None),
            Disposition::PerformDefaultHandling,
            Disposition::RejectProtectionSpace,
        ] {
            let (session, recorder) = with_recorder(configuration(origin), disposing(disposition.clone()));
            session.data_task(origin.url("/basic/ann/pw")).resume();
            let log = recorder.completed(1);
            assert!(log.completions[0].is_none(), "{disposition:?}");
            assert_eq!(text(&log.data), "need basic", "{disposition:?}");
        }
    });
}

#[test]
fn a_rejected_space_makes_way_for_the_next_and_the_strongest_comes_first() {
    on_every_wire(|origin| {
        let asks = Reply::new(401).header("WWW-Authenticate", "Basic realm=\"weak\"").header(
            "WWW-Authenticate",
            "Bearer realm=x, Digest realm=\"strong\", nonce=n, algorithm=SHA-256",
        );
        origin.enqueue("/both", asks);
        origin.enqueue("/both", Reply::new(200).body("in"));
        let recorder = Recorder::new().answering(|challenge| {
            Decision::now(match challenge.protection_space().authentication_method() {
                Method::HttpDigest => Disposition::RejectProtectionSpace,
                _ => Disposition::UseCredential(Some(ann())),
            })
        });
        let (session, recorder) = with_recorder(configuration(origin), recorder);
        session.data_task(origin.url("/both")).resume();
        let log = recorder.completed(1);
        let realms: Vec<_> = log.challenges.iter().filter_map(|one| one.protection_space().realm()).collect();
        assert_eq!((realms, text(&log.data)), (vec!["strong", "weak"], "in"));
        assert_eq!(sent(origin), [None, Some("Basic YW5uOnB3".into())]);
    });
}

#[test]
fn the_userinfo_of_a_url_is_tried_without_asking_and_never_sent_in_the_target() {
    on_every_wire(|origin| {
        let (session, recorder) = recorded(origin);
        let url = origin.url("/basic/ann/p%20w%C3%A9").replace("://", "://ann:p%20w%C3%A9@");
        session.data_task(&*url).resume();
        let log = recorder.completed(1);
        assert_eq!(text(&log.data), "in");
        assert!(log.challenges.is_empty());
        assert!(origin.requests().iter().all(|request| {
            !request.target.contains('@') && !request.authority.as_deref().unwrap_or_default().contains('@')
        }));
    });
}

#[test]
fn a_wrong_password_in_a_url_is_refused_and_then_asked_for() {
    on_every_wire(|origin| {
        let (session, recorder) = with_recorder(configuration(origin), with(ann()));
        session.data_task(&*origin.url("/basic/ann/pw").replace("://", "://ann:wrong@")).resume();
        let log = recorder.completed(1);
        assert_eq!(text(&log.data), "in");
        assert_eq!(log.challenges[0].previous_failure_count(), 1);
        assert_eq!(log.challenges[0].proposed_credential().unwrap().password(), Some("wrong"));
    });
}

#[test]
fn a_url_that_names_a_user_is_not_loaded_as_another() {
    on_every_wire(|origin| {
        let session = session(origin);
        let url = |user: &str| origin.url("/basic/ann/pw").replace("://", &format!("://{user}@"));
        assert_eq!(text(&load(&session, &*url("ann:pw")).unwrap().0), "in");
        assert_eq!(text(&load(&session, &*url("bob:pw")).unwrap().0), "need basic");
        assert_eq!(
            text(&load(&session, &*url("ann:old")).unwrap().0),
            "in",
            "the store knows ann's newer password"
        );
    });
}

#[test]
fn a_stored_credential_is_proposed_and_used_by_default() {
    on_every_wire(|origin| {
        let config = configuration(origin);
        config.url_credential_storage.as_ref().unwrap().set(&ann(), &space(origin, "of ann"));
        let (session, recorder) = with_recorder(config.clone(), Recorder::new());
        session.data_task(origin.url("/basic/ann/pw")).resume();
        let log = recorder.completed(1);
        assert_eq!(text(&log.data), "in");
        assert_eq!(log.challenges[0].proposed_credential(), Some(&ann()));
        let (data, _) = load(&urlsession::UrlSession::new(config), origin.url("/basic/ann/pw")).unwrap();
        assert_eq!(text(&data), "in", "without a delegate too");
    });
}

#[test]
fn a_credential_that_worked_is_kept_as_its_persistence_says() {
    on_every_wire(|origin| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("credentials.db");
        for (persistence, in_storage, on_disk) in [
            (Persistence::None, false, false),
            (Persistence::ForSession, true, false),
            (Persistence::Permanent, true, true),
        ] {
            let storage = UrlCredentialStorage::at(&path);
            let config = configuration(origin).url_credential_storage(storage.clone());
            let credential = UrlCredential::new("ann", "pw", persistence);
            let (session, recorder) = with_recorder(config, with(credential.clone()));
            session.data_task(origin.url("/basic/ann/pw")).resume();
            recorder.completed(1);
            let kept = storage.default_credential(&space(origin, "of ann"));
            assert_eq!(kept, in_storage.then_some(credential), "{persistence:?}");
            let again = UrlCredentialStorage::at(&path);
            assert_eq!(
                again.default_credential(&space(origin, "of ann")).is_some(),
                on_disk,
                "{persistence:?}"
            );
        }
    });
}

#[test]
fn without_a_storage_nothing_is_looked_up_or_remembered() {
    on_every_wire(|origin| {
        let config = configuration(origin).url_credential_storage(None);
        let (session, recorder) = with_recorder(config, with(ann()));
        for count in 1..=2 {
            session.data_task(origin.url("/basic/ann/pw")).resume();
            assert_eq!(recorder.completed(count).challenges.len(), count);
        }
    });
}

#[test]
fn where_the_session_is_logged_in_nobody_asks_again() {
    on_every_wire(|origin| {
        let (session, recorder) = with_recorder(configuration(origin), with(ann()));
        for path in ["/basic/ann/pw/a/", "/basic/ann/pw/a/b", "/basic/ann/pw/a/b/c"] {
            let (data, _) = load(&session, origin.url(path)).unwrap();
            assert_eq!(text(&data), "in");
        }
        assert_eq!(recorder.log().challenges.len(), 1);
        let basic = Some("Basic YW5uOnB3".to_owned());
        assert_eq!(sent(origin), [None, basic.clone(), basic.clone(), basic]);
        load(&session, origin.url("/Peru")).unwrap();
        assert_eq!(sent(origin).last().unwrap(), &None, "outside of it nothing is sent");
    });
}

#[test]
fn reset_logs_out_and_empties_the_storage() {
    on_every_wire(|origin| {
        let config = configuration(origin);
        let storage = config.url_credential_storage.clone().unwrap();
        let (session, recorder) = with_recorder(config, with(ann()));
        load(&session, origin.url("/basic/ann/pw/")).unwrap();
        assert_eq!(storage.all_credentials().len(), 1);
        urlsession::block_on(session.reset());
        assert!(storage.all_credentials().is_empty());
        load(&session, origin.url("/basic/ann/pw/")).unwrap();
        assert_eq!(recorder.log().challenges.len(), 2);
    });
}

#[test]
fn a_credential_taken_out_of_the_storage_is_not_sent_any_more() {
    on_every_wire(|origin| {
        let config = configuration(origin);
        let storage = config.url_credential_storage.clone().unwrap();
        let (session, recorder) = with_recorder(config, with(ann()));
        load(&session, origin.url("/basic/ann/pw/")).unwrap();
        storage.remove(&ann(), &space(origin, "of ann"));
        load(&session, origin.url("/basic/ann/pw/")).unwrap();
        assert_eq!(sent(origin)[2], None);
        assert_eq!(recorder.log().challenges.len(), 2);
    });
}

#[test]
fn credentials_never_cross_an_origin() {
    on_every_wire(|origin| {
        let other = Origin::start(Wire::H1);
        let target = other.url("/basic/ann/pw/");
        origin.enqueue("/basic/ann/pw/away", Reply::new(302).header("Location", target));
        let (session, recorder) = with_recorder(configuration(origin), with(ann()));
        load(&session, origin.url("/basic/ann/pw/")).unwrap();
        load(&session, origin.url("/basic/ann/pw/away")).unwrap();
        assert_eq!(other.requests()[0].header("authorization"), None);
        let log = recorder.log();
        assert_eq!(log.challenges.len(), 2, "the other origin asks for itself");
        assert_eq!(log.challenges[1].protection_space().port(), other.port());
    });
}

#[test]
fn an_authorization_of_the_applications_own_is_left_alone() {
    on_every_wire(|origin| {
        let (session, recorder) = with_recorder(configuration(origin), with(ann()));
        load(&session, origin.url("/basic/ann/pw/")).unwrap();
        let mut request = UrlRequest::new(origin.url("/basic/ann/pw/").parse().unwrap());
        request.set_value("Authorization", "Bearer token").unwrap();
        let (data, response) = load(&session, request).unwrap();
        assert_eq!((text(&data), response.status_code()), ("need basic", Some(401)));
        assert_eq!(sent(origin).last().unwrap().as_deref(), Some("Bearer token"));
        assert_eq!(recorder.log().challenges.len(), 1);
    });
}

#[test]
fn a_body_is_sent_again_and_a_stream_is_asked_for_again() {
    on_every_wire(|origin| {
        let recorder = with(ann()).giving_bodies([BodyStream::from_reader(&b"stream"[..])]);
        let (session, recorder) = with_recorder(configuration(origin), recorder);
        load(&session, request(&origin.url("/basic/ann/pw/a/"), "POST", Some(b"data"))).unwrap();
        let mut streamed = request(&origin.url("/basic/ann/pw/x"), "POST", None);
        streamed.set_http_body_stream(BodyStream::from_reader(&b"stream"[..]));
        let (data, _) = load(&session, streamed).unwrap();
        assert_eq!(text(&data), "in");
        let bodies: Vec<_> = origin.requests().iter().map(|request| request.text()).collect();
        assert_eq!(bodies, ["data", "data", "stream", "stream"]);
        assert!(recorder.log().calls.contains(&"needNewBodyStream"));
    });
}

#[test]
fn digest_is_spoken_with_every_algorithm_and_quality_of_protection() {
    for wire in [Wire::H1, Wire::TlsH2] {
        on(wire, |origin| {
            for algorithm in ["MD5", "MD5-sess", "SHA-256", "SHA-256-sess", "SHA-512-256", "SHA-512-256-sess"]
            {
                for qop in ["auth", "auth-int", "none"] {
                    let (session, recorder) = with_recorder(configuration(origin), with(ann()));
                    let url = origin.url(&format!("/digest/ann/pw/{algorithm}/{qop}?a=b"));
                    let (data, _) = load(&session, request(&url, "POST", Some(b"body"))).unwrap();
                    assert_eq!(text(&data), "in", "{algorithm} {qop}");
                    let (data, _) = load(&session, &*url).unwrap();
                    assert_eq!(text(&data), "in", "{algorithm} {qop} again");
                    assert_eq!(recorder.log().challenges.len(), 1, "{algorithm} {qop}");
                }
            }
        });
    }
}

#[test]
fn a_digest_of_a_wrong_password_is_refused() {
    on_every_wire(|origin| {
        let recorder = Recorder::new().answering(|challenge| {
            let password = if challenge.previous_failure_count() == 0 { "wrong" } else { "pw" };
            Decision::now(Disposition::UseCredential(Some(UrlCredential::new(
                "ann",
                password,
                Persistence::ForSession,
            ))))
        });
        let (session, recorder) = with_recorder(configuration(origin), recorder);
        let (data, _) = load(&session, origin.url("/digest/ann/pw/SHA-256/auth")).unwrap();
        assert_eq!((text(&data), recorder.log().challenges.len()), ("in", 2));
    });
}

#[test]
fn a_stale_nonce_is_replaced_without_asking() {
    on_every_wire(|origin| {
        let (session, recorder) = with_recorder(configuration(origin), with(ann()));
        for _ in 0..2 {
            let (data, _) = load(&session, origin.url("/digest/ann/pw/MD5/auth?stale")).unwrap();
            assert_eq!(text(&data), "in");
        }
        assert_eq!(recorder.log().challenges.len(), 1);
        let nonces: Vec<_> = sent(origin).into_iter().map(|value| part(value.as_deref(), "nonce")).collect();
        assert_eq!(nonces, [None, Some("first".into()), Some("second".into()), Some("second".into())]);
    });
}

#[test]
fn nonces_are_counted_and_the_next_one_is_the_servers_choice() {
    on_every_wire(|origin| {
        let (session, _) = with_recorder(configuration(origin), with(ann()));
        for query in ["", "", "?next", ""] {
            load(&session, &*origin.url(&format!("/digest/ann/pw/MD5/auth{query}"))).unwrap();
        }
        let sent = sent(origin);
        let of =
            |name| sent.iter().skip(1).map(|value| part(value.as_deref(), name).unwrap()).collect::<Vec<_>>();
        assert_eq!(of("nc"), ["00000001", "00000002", "00000003", "00000001"]);
        assert_eq!(of("nonce"), ["first", "first", "first", "next"]);
    });
}

#[test]
fn a_server_that_proves_its_knowledge_wrongly_gets_no_login_unasked() {
    on_every_wire(|origin| {
        let (session, _) = with_recorder(configuration(origin), with(ann()));
        for _ in 0..2 {
            let (data, _) = load(&session, origin.url("/digest/ann/pw/MD5/auth?lies")).unwrap();
            assert_eq!(text(&data), "in");
        }
        let asked = sent(origin).iter().filter(|value| value.is_none()).count();
        assert_eq!(asked, 2);
    });
}

#[test]
fn ntlm_stays_on_its_connection_which_is_then_logged_in() {
    for wire in [Wire::H1, Wire::TlsH1] {
        let logged_in = Mutex::new(HashSet::new());
        let handler = move |request: &urlsession_testkit::Request| {
            let mut logged_in = logged_in.lock().unwrap();
            // The last message is longer than the first.
            if request.header("authorization").is_some_and(|value| value.len() > 100) {
                logged_in.insert(request.connection);
                return Reply::routes();
            }
            match logged_in.contains(&request.connection) {
                true => Reply::new(200).body("still in"),
                false => Reply::routes(),
            }
        };
        let origin = Origin::builder().wire(wire).handler(handler).start();
        let session_asked = std::sync::Arc::new(AtomicUsize::new(0));
        let counter = session_asked.clone();
        let recorder = Recorder::new().answering_for_session(move |challenge| {
            counter.fetch_add(1, SeqCst);
            assert_eq!(challenge.protection_space().authentication_method(), Method::Ntlm);
            Decision::now(Disposition::UseCredential(Some(UrlCredential::new(
                "DOM\\ann",
                "pw",
                Persistence::ForSession,
            ))))
        });
        let (session, recorder) = with_recorder(configuration(&origin), recorder);
        let (data, _) = load(&session, request(&origin.url("/ntlm/ann/pw"), "POST", Some(b"body"))).unwrap();
        assert_eq!(text(&data), "in");
        let connections: Vec<_> = origin.requests().iter().map(|request| request.connection).collect();
        assert_eq!(connections, [0, 0, 0]);
        let (data, _) = load(&session, origin.url("/ntlm/ann/pw")).unwrap();
        assert_eq!(text(&data), "still in");
        assert_eq!(session_asked.load(SeqCst), 1);
        assert!(!recorder.log().calls.contains(&"didReceiveChallenge"), "the session's method is the one");
    }
}

#[test]
fn ntlm_keeps_its_connection_from_others_who_wait_for_one() {
    on(Wire::H1, |origin| {
        let config = configuration(origin).http_maximum_connections_per_host(1);
        let (session, recorder) = with_recorder(config, with(ann()));
        session.data_task(origin.url("/ntlm/ann/pw")).resume();
        for _ in 0..8 {
            session.data_task(origin.url("/Peru")).resume();
        }
        let log = recorder.completed(9);
        assert!(log.completions.iter().all(Option::is_none));
        let requests = origin.requests();
        let first = requests.iter().position(|request| request.header("authorization").is_some()).unwrap();
        assert!(requests[first + 1].header("authorization").is_some(), "nobody comes in between");
        assert_eq!(requests[first].connection, requests[first + 1].connection);
    });
}

#[test]
fn ntlm_with_a_wrong_password_is_refused_and_asked_again() {
    on(Wire::H1, |origin| {
        let recorder = Recorder::new().answering(|challenge| {
            let password = if challenge.previous_failure_count() == 0 { "wrong" } else { "pw" };
            Decision::now(Disposition::UseCredential(Some(UrlCredential::new(
                "ann",
                password,
                Persistence::ForSession,
            ))))
        });
        let (session, recorder) = with_recorder(configuration(origin), recorder);
        let (data, _) = load(&session, origin.url("/ntlm/ann/pw")).unwrap();
        assert_eq!((text(&data), recorder.log().challenges.len()), ("in", 2));
    });
}

#[test]
fn a_task_s_own_delegate_is_asked_before_the_session_s() {
    on(Wire::H1, |origin| {
        for (path, own_answers) in [
            ("/basic/ann/pw", true),
            ("/basic/ann/pw", false),
            ("/ntlm/ann/pw", true),
            ("/ntlm/ann/pw", false),
        ] {
            let own = if own_answers { with(ann()) } else { Recorder::new() };
            let session_delegate = Recorder::new()
                .answering(|_| Decision::now(Disposition::UseCredential(Some(ann()))))
                .answering_for_session(|_| Decision::now(Disposition::UseCredential(Some(ann()))));
            let (session, of_session) = with_recorder(configuration(origin), session_delegate);
            let task = session.data_task(origin.url(path));
            task.set_delegate(own.clone()).unwrap();
            task.resume();
            own.completed(1);
            assert_eq!(own.log().challenges.len(), 1, "{path}");
            let asked = of_session.log().calls;
            // A recorder decides by default; it does not pass on what concerns a task only.
            let expected: &[&str] = match (path.starts_with("/ntlm"), own_answers) {
                (true, false) => &["didReceiveSessionChallenge"],
                _ => &[],
            };
            assert_eq!(asked, expected, "{path} {own_answers}");
        }
    });
}

#[test]
fn a_refusal_too_long_to_read_costs_a_connection_and_nothing_else() {
    on(Wire::H1, |origin| {
        origin.enqueue("/long", Reply::new(401).header("WWW-Authenticate", "Basic realm=r").endless(1 << 40));
        origin.enqueue("/long", Reply::new(200).body("in"));
        let (session, _) = with_recorder(configuration(origin), with(ann()));
        let (data, _) = load(&session, origin.url("/long")).unwrap();
        assert_eq!((text(&data), origin.connection_count()), ("in", 2));
    });
}

#[test]
fn a_session_without_logins_sends_what_it_always_sent() {
    on_every_wire(|origin| {
        let (data, _) = load(&session(origin), origin.url("/Peru")).unwrap();
        assert_eq!(text(&data), "Lima");
        assert_eq!(sent(origin), [None]);
    });
}

#[test]
fn a_user_that_basic_cannot_send_is_asked_for_again_with_the_reason() {
    on(Wire::H1, |origin| {
        let recorder = Recorder::new().answering(|challenge| {
            let user = if challenge.previous_failure_count() == 0 { "a:b" } else { "ann" };
            Decision::now(Disposition::UseCredential(Some(UrlCredential::new(user, "pw", Persistence::None))))
        });
        let (session, recorder) = with_recorder(configuration(origin), recorder);
        let (data, _) = load(&session, origin.url("/basic/ann/pw")).unwrap();
        assert_eq!(text(&data), "in");
        let error = recorder.log().challenges[1].error().unwrap().clone();
        assert_eq!(error.code(), UrlErrorCode::UserAuthenticationRequired);
        assert_eq!(origin.requests().len(), 2, "what cannot be sent is not sent");
    });
}

/// A parameter of a Digest answer.
fn part(value: Option<&str>, name: &str) -> Option<String> {
    let after = value?.split(&format!(", {name}=")).nth(1)?;
    Some(after.split(',').next()?.trim_matches('"').to_owned())
}

#[test]
fn a_user_without_a_realm_is_passed_over_by_negotiate_and_let_in_by_basic() {
    on_every_wire(|origin| {
        let asks = Reply::new(401).header("WWW-Authenticate", "Negotiate, Basic realm=\"r\"");
        origin.enqueue("/either", asks);
        origin.enqueue("/either", Reply::new(200).body("in"));
        let (session, _) = with_recorder(configuration(origin), with(ann()));
        let (data, _) = load(&session, origin.url("/either")).unwrap();
        assert_eq!(text(&data), "in");
        assert_eq!(sent(origin), [None, Some("Basic YW5uOnB3".to_owned())]);
    });
}

#[test]
fn basic_without_a_realm_is_answered_and_remembered() {
    on_every_wire(|origin| {
        for challenge in ["Basic", "Basic charset=\"UTF-8\"", "Digest nonce=n, Basic"] {
            let (session, recorder) = with_recorder(configuration(origin), with(ann()));
            origin.enqueue("/plain", Reply::new(401).header("WWW-Authenticate", challenge));
            origin.enqueue("/plain", Reply::new(200).body("in"));
            origin.enqueue("/plain", Reply::new(200).body("still in"));
            assert_eq!(text(&load(&session, origin.url("/plain")).unwrap().0), "in", "{challenge}");
            assert_eq!(text(&load(&session, origin.url("/plain")).unwrap().0), "still in", "{challenge}");
            let log = recorder.log();
            let space = log.challenges[0].protection_space();
            assert_eq!((log.challenges.len(), space.realm()), (1, None), "{challenge}");
            let basic = Some("Basic YW5uOnB3".to_owned());
            assert_eq!(sent(origin).iter().rev().take(3).collect::<Vec<_>>(), [&basic, &basic, &None]);
        }
    });
}

#[test]
fn a_realm_in_latin_1_is_sent_back_byte_for_byte() {
    let origin = Origin::start(Wire::H1);
    let body = "WWW-Authenticate: Digest nonce=\"n\", qop=\"\", realm=\"K";
    let head = [b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n", body.as_bytes(), b"\xf6ln\"\r\n\r\n"];
    origin.enqueue("/koeln", Reply::raw(head.concat()));
    origin.enqueue("/koeln", Reply::new(200).body("in"));
    let (session, recorder) = with_recorder(configuration(&origin), with(ann()));
    assert_eq!(text(&load(&session, origin.url("/koeln")).unwrap().0), "in");
    assert_eq!(recorder.log().challenges[0].protection_space().realm(), Some("K\u{f6}ln"));
    // The journal shows bytes that are not UTF-8 as ISO-8859-1.
    let answer = sent(&origin)[1].clone().unwrap();
    assert!(answer.contains("realm=\"K\u{f6}ln\"") && !answer.contains('\u{c3}'), "{answer}");
    assert!(!answer.contains("qop") && !answer.contains("cnonce"), "an empty list is none: {answer}");
    // RFC 2069: MD5 of `key:n:MD5(GET:/koeln)`, where the key is the MD5 of `ann:K\xf6ln:pw`.
    assert_eq!(part(Some(&answer), "response").as_deref(), Some("61b60d50a936171017f13cbb7d03d994"));
}

#[test]
fn a_response_with_very_many_challenges_asks_sixteen_times_at_most() {
    on_every_wire(|origin| {
        let mut reply = Reply::new(401);
        for field in 0..40 {
            let many = (0..30).map(|number| format!("Digest realm=\"{field}-{number}\", nonce=n"));
            reply = reply.header("WWW-Authenticate", many.collect::<Vec<_>>().join(", "));
        }
        origin.enqueue("/many", reply);
        let (session, recorder) =
            with_recorder(configuration(origin), disposing(Disposition::RejectProtectionSpace));
        let (_, response) = load(&session, origin.url("/many")).unwrap();
        assert_eq!((response.status_code(), recorder.log().challenges.len()), (Some(401), 16));
    });
}

#[test]
fn the_body_of_a_challenge_that_never_ends_is_not_waited_for() {
    for (version, fields) in [("HTTP/1.1", "Connection: close\r\n"), ("HTTP/1.0", "")] {
        on(Wire::H1, |origin| {
            let head =
                format!("{version} 401 X\r\nWWW-Authenticate: Basic realm=\"x\"\r\n{fields}\r\nno end");
            origin.enqueue("/Peru", Reply::raw(head).then(urlsession_testkit::After::KeepAlive));
            let mut configuration = configuration(origin);
            configuration.environment.clock = std::sync::Arc::new(HandClock::new());
            let url = origin.url("/Peru").replace("://", "://user:passwd@");
            let (data, _) = load(&urlsession::UrlSession::new(configuration), url).unwrap();
            assert_eq!((text(&data), origin.connection_count()), ("Lima", 2), "{version}");
        });
    }
}
