//! Without fast paths all is the same: what other modules say of bodies and connections, said again.

use crate::support::without_fast_paths;

macro_rules! said_again {
    ($($module:ident::$test:ident,)*) => {
        $(#[test]
        fn $test() {
            without_fast_paths(super::$module::$test);
        })*
    };
}

said_again! {
    bulk::a_long_download_is_the_same_on_every_wire_and_its_progress_adds_up,
    bulk::a_long_download_that_is_cut_has_what_came,
    bulk::a_long_download_that_was_suspended_goes_on_without_another_request,
    bulk::a_long_download_that_was_cancelled_is_resumed_where_it_was,
    bulk::a_long_file_is_sent_on_every_wire_and_chunks_that_come_slowly_are_not_kept_back,
    bytes::bytes_come_one_by_one_and_end_with_the_body_or_its_error,
    bytes::a_body_is_not_read_faster_than_its_reader,
    data::test_gzipped_data_task,
    data::test_concurrent_requests,
    data::a_large_body_arrives_byte_by_byte_the_same,
    data::informational_responses_reach_the_delegate_before_the_response,
    downloads::test_download_task_with_url,
    downloads::test_gzipped_download_task,
    downloads::a_download_that_fails_or_is_cancelled_half_way_leaves_no_file,
    downloads::coded_bodies_that_break_have_the_codes_of_downloads,
    downloads::a_suspended_download_stops_reading_and_goes_on_without_another_request,
    resume_downloads::a_cancelled_download_goes_on_where_it_was,
    reuse::a_connection_is_used_again,
    reuse::a_response_that_nobody_asked_for_answers_no_later_request,
    reuse::bytes_after_a_long_body_answer_no_later_request,
    tls::certificates_that_are_not_good_have_their_own_codes,
    tls::versions_are_those_configured,
    tls::cipher_suites_are_those_configured,
    tls::sessions_are_resumed,
    trailers::trailers_of_a_response_are_there_at_its_end_for_every_kind_of_task,
}
