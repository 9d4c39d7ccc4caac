//! The structure of the library, read from its sources: layers name only what is to their right, no circles of
//! imports, files stay small, every file has a module doc. How sources are read is in `arrows/sources.rs`.
#![allow(clippy::disallowed_methods)] // a test reads files

#[path = "arrows/sources.rs"]
mod sources;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use sources::{Library, code_lines, is_test_file, of_crate};

/// A file names only what stands to its right. The library's `lib.rs` and tests stand outside.
const ARROWS: [&str; 12] = [
    "session",
    "task",
    "protocol",
    "transport",
    "auth",
    "configuration",
    "store",
    "load",
    "body",
    "message",
    "env",
    "error",
];

/// The most lines of code in a file, tests not counted.
const MOST_LINES: usize = 600;

/// The median must stay below this.
const MEDIAN_LINES: usize = 200;

/// Files over the limit, each with its reason.
const EXCEPTIONS: [(&str, &str); 0] = [];

const CRATES: [&str; 4] = ["urlsession", "urlsession-proto", "urlsession-testkit", "urlsession-cli"];

#[test]
fn arrows_point_to_the_right() {
    let wrong = leftward(&Library::read());
    assert!(
        wrong.is_empty(),
        "a file names only what stands to its right of\n  {}\n{}",
        ARROWS.join(" ▸ "),
        wrong.join("\n")
    );
}

fn leftward(library: &Library) -> Vec<String> {
    let place = |file: &str| {
        let layer = file.split('/').next().unwrap().trim_end_matches(".rs");
        ARROWS.iter().position(|arrow| *arrow == layer)
    };
    let mut wrong = Vec::new();
    for import in library.imports() {
        // What is re-exported counts where it is named, and where it is.
        let named = import.named.iter().filter_map(|layer| ARROWS.iter().position(|arrow| arrow == layer));
        let theirs = place(&import.to).into_iter().chain(named).min();
        if let (Some(here), Some(there)) = (place(&import.from), theirs)
            && there < here
        {
            wrong.push(format!("{}:{} must not name {}", import.from, import.line, import.path));
        }
    }
    wrong
}

#[test]
fn messages_are_values_that_do_no_io() {
    let wrong = io_of_messages(&Library::read());
    assert!(
        wrong.is_empty(),
        "what reads, writes or waits belongs to `body` or to its left:\n{}",
        wrong.join("\n")
    );
}

/// Of the outside world messages may name the time, and that is all.
fn io_of_messages(library: &Library) -> Vec<String> {
    const TIME: [&str; 2] = ["epoch_seconds", "system_wall"];
    const OUTSIDE: [&str; 7] =
        ["std::fs", "std::net", "std::os", "std::process", "std::thread", "tokio", "rusqlite"];
    // How paths are spelt is no IO.
    const SPELLING: &str = "std::os::unix::ffi::";
    let is_message = |file: &str| file == "message.rs" || file.starts_with("message/");
    let within = library.imports().into_iter().filter_map(|import| {
        let is_io = import.to.starts_with("env") && !TIME.iter().any(|item| import.path.ends_with(item));
        is_io.then_some((import.from, import.line, import.path))
    });
    let beyond = library.paths().into_iter().filter(|(_, _, path)| {
        let begins = |outside: &str| path == outside || path.starts_with(&format!("{outside}::"));
        !path.starts_with(SPELLING) && OUTSIDE.iter().any(|outside| begins(outside))
    });
    let all = within.chain(beyond).filter(|(from, ..)| is_message(from));
    all.map(|(from, line, path)| format!("{from}:{line} names {path}")).collect()
}

#[test]
fn io_of_a_message_is_seen() {
    let files = [
        ("lib.rs", "mod message;\nmod env;"),
        ("env.rs", "pub(crate) fn system_wall() {}\npub(crate) fn open() {}"),
        (
            "message.rs",
            "use crate::env::{open, system_wall};\nuse std::{fs, fmt};\nfn a() { std::fs::read(\"x\") }\n#[cfg(test)]\nmod \
             tests { use std::fs; }\nuse tokio::io::AsyncRead;",
        ),
    ];
    let lines: BTreeSet<_> = io_of_messages(&Library::of(&files)).into_iter().collect();
    let seen: Vec<_> = lines.iter().map(String::as_str).collect();
    assert_eq!(
        seen,
        [
            "message.rs:1 names env::open",
            "message.rs:2 names std::fs",
            "message.rs:3 names std::fs::read",
            "message.rs:6 names tokio::io::AsyncRead",
        ]
    );
}

#[test]
fn no_file_imports_itself_by_way_of_others() {
    let circles = Library::read().circles();
    let shown: Vec<_> = circles.iter().map(|files| files.join(" ")).collect();
    assert!(
        circles.is_empty(),
        "files that import each other; pass a value or a trait, or move the item to a file that both import:\n{}",
        shown.join("\n")
    );
}

/// Sources that do what is forbidden in every way that must be seen.
#[test]
fn every_way_of_naming_the_left_is_seen() {
    let files = [
        ("lib.rs", "mod task;\nmod store;\nmod error;\nmod session;"),
        ("session.rs", "pub(crate) struct Session;"),
        ("task.rs", "mod core;\npub(crate) mod kind;\npub(crate) use self::core::Core;"),
        ("task/core.rs", "pub(crate) struct Core;\nimpl Core { pub(crate) fn new() -> Self { Self } }"),
        ("task/kind.rs", "pub(crate) fn of() {}\npub(crate) mod inner { pub(crate) struct Deep; }"),
        ("error.rs", "pub(crate) struct UrlError;"),
        (
            "store.rs",
            "use crate::{error::UrlError, task::{\n    Core,\n    kind::{self, inner::Deep},\n}};\nmod lower;\nmacro_rules! no \
             { () => {} }",
        ),
        (
            "store/lower.rs",
            "#[cfg(test)]\nuse crate::task::Core as InTests;\n#[cfg(test)]\nmod tests { use crate::task::Core; }\nfn \
             a() { super::super::task::kind::of() }\nfn b(_: crate::task::Core) {}\nfn c() { println!(\"{:?}\", \
             crate::task::kind::of()) }\nmod inline { fn d(_: super::super::super::task::Core) {} }\n#[cfg(not(test))]\nfn \
             e() { let _ = crate::session::Session; }\nuse crate::task as renamed;\nfn f() { renamed::kind::of() }",
        ),
    ];
    let wrong = leftward(&Library::of(&files));
    let seen = |line: &str| wrong.iter().filter(|wrong| wrong.starts_with(line)).count();
    assert_eq!(seen("store.rs:2 "), 1, "one of several on several lines: {wrong:#?}");
    assert_eq!(seen("store.rs:3 "), 2, "nested braces: {wrong:#?}");
    for (line, way) in [
        (5, "super::super"),
        (6, "a type"),
        (7, "inside a macro"),
        (8, "a module in a file"),
        (10, "after the tests, and not of them"),
        (11, "a renamed module"),
        (12, "through the renamed module"),
    ] {
        assert_eq!(seen(&format!("store/lower.rs:{line} ")), 1, "{way}: {wrong:#?}");
    }
    assert_eq!(wrong.len(), 10, "{wrong:#?}");
}

#[test]
fn circles_are_found_through_re_exports_and_over_several_files() {
    let files = [
        ("lib.rs", "mod a;\nmod b;\nmod c;\nmod d;\nmod e;"),
        ("a.rs", "use crate::b::One;\npub(crate) struct A;"),
        ("b.rs", "mod one;\npub(crate) use one::One;"),
        ("b/one.rs", "use crate::c::C;\npub(crate) struct One(C);"),
        ("c.rs", "pub(crate) struct C;\nfn back() -> crate::a::A { crate::a::A }"),
        ("d.rs", "use crate::e::E;\npub(crate) struct D;"),
        ("e.rs", "pub(crate) struct E;\nimpl E { fn d(&self) -> crate::d::D { crate::d::D } }"),
    ];
    let library = Library::of(&files);
    assert_eq!(library.circles(), [vec!["a.rs", "b/one.rs", "c.rs"], vec!["d.rs", "e.rs"]]);
}

#[test]
fn files_stay_small_enough_to_read_in_one_sitting() {
    let mut sizes = Vec::new();
    let mut wrong = Vec::new();
    for name in CRATES {
        for path in of_crate(name) {
            let lines = code_lines(&fs::read_to_string(&path).unwrap());
            let excepted = EXCEPTIONS.iter().any(|(file, _)| path.ends_with(file));
            if lines > MOST_LINES && !excepted && !is_test_file(&path) {
                wrong.push(format!("{}: {lines} lines", path.display()));
            }
            sizes.push(lines);
        }
    }
    sizes.sort_unstable();
    assert!(wrong.is_empty(), "more than {MOST_LINES} lines; two units in one?\n{}", wrong.join("\n"));
    assert!(sizes[sizes.len() / 2] < MEDIAN_LINES, "the median file has {} lines", sizes[sizes.len() / 2]);
}

#[test]
fn lines_of_code_are_counted_to_the_end_of_the_file() {
    let text = "//! Doc.\nuse std::fs;\n#[cfg(test)]\nuse std::io;\n\n#[cfg(test)]\nmod tests {\n    fn a() {}\n}\n\nfn after() {}\n";
    assert_eq!(code_lines(text), 3);
}

#[test]
fn every_file_says_what_it_owns() {
    for name in CRATES {
        for path in of_crate(name) {
            let text = fs::read_to_string(&path).unwrap();
            assert!(
                text.starts_with("//!") || is_test_file(&path),
                "{} has no module doc on its first line",
                path.display()
            );
        }
    }
}

/// What a map of the modules is made of, for who dissolves a circle: `ARROWS_OF=task/core.rs` prints that file's imports.
#[test]
fn imports_of_a_file_can_be_printed() {
    let Ok(file) = std::env::var("ARROWS_OF") else { return };
    let mut imports = BTreeMap::<String, BTreeSet<String>>::new();
    for import in Library::read().imports().into_iter().filter(|import| import.from == file) {
        imports.entry(import.to).or_default().insert(format!("{} (line {})", import.path, import.line));
    }
    println!("{imports:#?}");
}
