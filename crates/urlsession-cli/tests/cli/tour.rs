//! The tour checks itself: here only that it does, and how it looks.

use std::io::Read;

use crate::support::*;

#[test]
fn the_tour_finds_everything_as_it_should_be() {
    let run = run(&mut command(&["tour"]));
    assert!(run.ok().contains("19 stops, all as they should be"), "{}", run.text());
    assert!(!run.text().contains("WRONG"));
    for what in [
        "1. Three styles",
        "103: Link:",
        "334 bytes before decoding, 88000 after",
        "/account/page gets theme and __Host-id",
        "cache: fresh",
        "http://blog.dev is loaded as https: every .dev wants TLS",
        "the server has seen ann's certificate",
        "gets the rest",
        "cut after 1000000 bytes",
        "PATCH /uploads/0 ?1 @1000000 2000000 bytes",
        "became a download, 1000000 bytes",
        "(-1022)",
        "opens in any viewer",
        " ms  │",
    ] {
        assert!(run.text().contains(what), "{what} is missing in:\n{}", run.text());
    }
    assert_eq!(run.stderr, "");
}

#[test]
fn the_tour_does_not_mind_that_nobody_reads_it() {
    let mut child = begun(|| command(&["tour"]).spawn());
    child.stdout.take().unwrap().read_exact(&mut [0; 3]).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
}
