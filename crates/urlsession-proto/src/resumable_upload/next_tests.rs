//! What follows from responses of every kind, row by row.

use super::*;
use crate::resumable_upload::Limits;

fn reply(status: u16) -> Reply {
    Reply { status: StatusCode::from_u16(status).unwrap(), fields: UploadFields::default(), problem: None }
}

fn says(status: u16, is_complete: Option<bool>, offset: Option<u64>) -> Reply {
    let fields = UploadFields { is_complete, offset, ..UploadFields::default() };
    Reply { fields, ..reply(status) }
}

const WHOLE: Creation =
    Creation { dialect: Dialect::V8, is_complete: true, has_url: false, was_announced: false };
const ANNOUNCED: Creation = Creation { has_url: true, was_announced: true, ..WHOLE };
const CAREFUL: Creation = Creation { is_complete: false, has_url: true, ..WHOLE };

const PAUSE: Next = Next::Ask { after_pause: true };
const AT_ONCE: Next = Next::Ask { after_pause: false };

#[test]
fn a_creation_that_was_not_announced_is_an_ordinary_request() {
    for status in [200, 204, 307, 400, 404, 409, 413, 500, 503] {
        assert_eq!(after_creation(WHOLE, Some(&reply(status))), Next::Done, "{status}");
    }
    assert_eq!(after_creation(WHOLE, None), Next::Stop(Stop::Lost));
}

#[test]
fn an_announced_creation_goes_on_after_a_failure_but_not_after_an_answer_of_the_target() {
    assert_eq!(after_creation(ANNOUNCED, None), PAUSE);
    for status in [500, 502, 503, 504, 429, 408] {
        assert_eq!(after_creation(ANNOUNCED, Some(&reply(status))), PAUSE, "{status}");
        assert_eq!(after_creation(ANNOUNCED, Some(&says(status, Some(true), None))), Next::Done, "{status}");
    }
    for status in [200, 400, 403, 404, 501] {
        assert_eq!(after_creation(ANNOUNCED, Some(&reply(status))), Next::Done, "{status}");
    }
}

#[test]
fn a_server_that_has_not_all_is_sent_the_rest() {
    let at = Next::Continue { at: Some(5) };
    assert_eq!(after_creation(ANNOUNCED, Some(&says(201, Some(false), Some(5)))), at);
    assert_eq!(after_creation(ANNOUNCED, Some(&says(201, Some(false), None))), AT_ONCE);
    assert_eq!(after_creation(CAREFUL, Some(&says(201, Some(false), Some(5)))), at);
    let start = Next::Continue { at: Some(0) };
    assert_eq!(after_creation(CAREFUL, Some(&says(201, Some(false), None))), start);
    assert_eq!(after_creation(CAREFUL, Some(&reply(201))), start);
    let lost = Creation { has_url: false, ..CAREFUL };
    assert_eq!(after_creation(lost, Some(&reply(200))), Next::Stop(Stop::NotAnUpload));
    assert_eq!(after_creation(CAREFUL, Some(&reply(307))), Next::Done);
    let refused = Next::Stop(Stop::Refused(StatusCode::FORBIDDEN));
    assert_eq!(after_creation(CAREFUL, Some(&reply(403))), refused);
}

#[test]
fn a_content_too_large_of_the_protocol_asks_for_less() {
    assert_eq!(after_creation(WHOLE, Some(&says(413, Some(false), None))), Next::Smaller);
    let limits = Some(Limits { max_append_size: Some(100), ..Limits::default() });
    let fields = UploadFields { limits, ..UploadFields::default() };
    assert_eq!(after_creation(WHOLE, Some(&Reply { fields, ..reply(413) })), Next::Smaller);
    assert_eq!(after_append(Dialect::V8, true, Some(&reply(413))), Next::Smaller);
}

#[test]
fn the_offset_is_believed_up_to_the_end() {
    let head = |reply: Reply| after_head(Some(100), Some(100), Some(&reply));
    assert_eq!(head(says(204, Some(false), Some(40))), Next::Continue { at: Some(40) });
    assert_eq!(head(says(200, None, Some(100))), Next::Continue { at: Some(100) });
    assert_eq!(head(says(204, Some(true), Some(100))), Next::Done);
    assert_eq!(head(says(204, Some(false), Some(101))), Next::Delete(Stop::OffsetAhead));
    assert_eq!(head(says(204, Some(false), None)), Next::Stop(Stop::NotAnUpload));
    let unknown = after_head(None, Some(30), Some(&says(204, Some(false), Some(31))));
    assert_eq!(unknown, Next::Delete(Stop::OffsetAhead));
    let mut other = says(204, Some(false), Some(1));
    other.fields.length = Some(99);
    assert_eq!(head(other), Next::Stop(Stop::LengthMismatch));
}

#[test]
fn an_upload_that_is_gone_stops_and_a_server_that_fails_is_asked_again() {
    let head = |status| after_head(Some(100), Some(100), Some(&reply(status)));
    assert_eq!(head(404), Next::Stop(Stop::Gone(StatusCode::NOT_FOUND)));
    assert_eq!(head(410), Next::Stop(Stop::Gone(StatusCode::GONE)));
    assert_eq!(head(403), Next::Stop(Stop::Refused(StatusCode::FORBIDDEN)));
    assert_eq!((head(503), head(423), after_head(None, None, None)), (PAUSE, PAUSE, PAUSE));
}

#[test]
fn of_redirects_only_those_that_keep_the_method_are_followed() {
    for status in [307, 308] {
        assert_eq!(after_head(None, None, Some(&reply(status))), Next::Moved);
        assert_eq!(after_append(Dialect::V5, true, Some(&reply(status))), Next::Moved);
    }
    for status in [301, 302, 303] {
        assert!(matches!(after_head(None, None, Some(&reply(status))), Next::Stop(Stop::Refused(_))));
        assert!(matches!(
            after_append(Dialect::V8, true, Some(&reply(status))),
            Next::Stop(Stop::Refused(_))
        ));
    }
}

#[test]
fn after_an_append_the_target_answers_or_the_protocol_goes_on() {
    let last = |reply: Reply| after_append(Dialect::V8, true, Some(&reply));
    for status in [200, 201, 400, 422, 500] {
        assert_eq!(last(says(status, Some(true), None)), Next::Done, "{status}");
    }
    assert_eq!(last(says(204, Some(false), Some(7))), Next::Continue { at: Some(7) });
    assert_eq!(last(says(204, Some(false), None)), AT_ONCE);
    assert_eq!(last(reply(200)), Next::Done);
    assert_eq!(after_append(Dialect::V8, false, Some(&reply(204))), Next::Continue { at: None });
    assert_eq!(last(reply(409)), AT_ONCE);
    assert_eq!((last(reply(503)), after_append(Dialect::V8, true, None)), (PAUSE, PAUSE));
    assert_eq!(last(reply(404)), Next::Stop(Stop::Gone(StatusCode::NOT_FOUND)));
    assert_eq!(last(reply(422)), Next::Stop(Stop::Refused(StatusCode::UNPROCESSABLE_ENTITY)));
}

#[test]
fn before_version_8_the_answer_to_the_last_append_is_the_targets() {
    for dialect in [Dialect::V3, Dialect::V5, Dialect::V6] {
        assert_eq!(after_append(dialect, true, Some(&reply(422))), Next::Done);
        assert_eq!(after_append(dialect, true, Some(&says(201, None, Some(9)))), Next::Done);
        assert!(matches!(after_append(dialect, false, Some(&reply(422))), Next::Stop(_)));
        assert!(matches!(after_append(dialect, true, Some(&reply(410))), Next::Stop(Stop::Gone(_))));
    }
}

#[test]
fn problems_say_more_than_their_status() {
    let with = |status, problem| {
        after_append(Dialect::V6, true, Some(&Reply { problem: Some(problem), ..reply(status) }))
    };
    assert_eq!(with(400, Problem::InconsistentLength), Next::Stop(Stop::LengthMismatch));
    assert_eq!(with(400, Problem::Completed), AT_ONCE);
    assert_eq!(with(409, Problem::MismatchingOffset { expected: Some(1), provided: Some(2) }), AT_ONCE);
}

#[test]
fn fields_that_may_be_at_fault_are_sent_again_in_other_words_or_not_at_all() {
    let mut echo = reply(400);
    echo.fields.version = Some(6);
    assert_eq!(fallback(Dialect::V8, &echo, false), Some(Some(Dialect::V6)));
    assert_eq!(fallback(Dialect::V6, &echo, false), Some(None), "what it speaks is not the fault");
    for status in [400, 417, 501] {
        assert_eq!(fallback(Dialect::V8, &reply(status), false), Some(None), "{status}");
    }
    let mut dialects = vec![Dialect::V8];
    while let Some(Some(older)) = fallback(dialects[dialects.len() - 1], &reply(412), false) {
        dialects.push(older);
    }
    assert_eq!(dialects, Dialect::ALL);
    assert_eq!(fallback(Dialect::V3, &reply(412), false), Some(None));
    assert_eq!(fallback(Dialect::V3, &reply(412), true), None);
    assert_eq!(fallback(Dialect::V8, &reply(400), true), Some(Some(Dialect::V6)));
}

#[test]
fn an_answer_that_is_not_due_to_the_fields_is_taken_as_it_is() {
    for status in [200, 307, 401, 403, 404, 409, 413, 500, 503] {
        assert_eq!(fallback(Dialect::V8, &reply(status), false), None, "{status}");
    }
    assert_eq!(fallback(Dialect::V8, &says(400, Some(true), None), false), None);
    assert_eq!(fallback(Dialect::V8, &says(400, Some(false), None), false), None);
}

#[test]
fn pauses_grow_and_end() {
    let pauses = (1..).map_while(pause).map(|pause| pause.as_secs()).collect::<Vec<_>>();
    assert_eq!(pauses, [0, 1, 2, 4, 8]);
}
