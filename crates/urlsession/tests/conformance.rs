//! `docs/conformance.md` against the tests it names: none claimed that is not there, none there that is not listed.
#![allow(clippy::disallowed_methods)] // a test reads files

#[path = "api_map/tests.rs"]
mod found;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

const TABLE: &str = include_str!("../../../docs/conformance.md");
const ROWS: usize = 257;

struct Row {
    suite: &'static str,
    name: &'static str,
    state: &'static str,
    /// `file::function` or `file::module::function`; empty if there is none.
    at: &'static str,
}

fn rows() -> Vec<Row> {
    let table = TABLE.lines().filter(|line| line.starts_with("| Test"));
    let row = |line: &'static str| match line.split('|').map(str::trim).collect::<Vec<_>>()[..] {
        ["", suite, name, state, at, ""] => Row { suite, name, state, at: at.trim_matches('`') },
        _ => panic!("not four cells: {line}"),
    };
    table.map(row).collect()
}

/// The tests of a file whose names begin with `test_`, as the table writes them.
fn rows_of(path: &Path, name: &str, tests: &mut BTreeSet<String>) {
    let found = found::tests_of(&fs::read_to_string(path).unwrap());
    let is_row =
        |test: &String| test.rsplit("::").next().is_some_and(|function| function.starts_with("test_"));
    tests.extend(found.into_iter().filter(is_row).map(|test| format!("{name}::{test}")));
}

fn tests() -> BTreeSet<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let mut tests = BTreeSet::new();
    rows_of(&root.join("messages.rs"), "tests/messages.rs", &mut tests);
    for entry in fs::read_dir(root.join("api")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap();
        if name.ends_with(".rs") {
            rows_of(&path, &format!("tests/api/{name}"), &mut tests);
        }
    }
    tests
}

#[test]
fn every_row_is_in_the_table_once() {
    let rows = rows();
    let names: BTreeSet<_> = rows.iter().map(|row| (row.suite, row.name)).collect();
    assert_eq!((rows.len(), names.len()), (ROWS, ROWS));
}

#[test]
fn a_row_passes_by_a_test_or_says_why_not() {
    let tests = tests();
    for Row { suite, name, state, at } in rows() {
        match state {
            "passes" => assert!(tests.contains(at), "{suite} {name}: there is no test {at:?}"),
            _ => {
                let reason = state.strip_prefix("not reached: ");
                assert!(reason.is_some_and(|reason| !reason.is_empty()), "{suite} {name}: {state:?}");
                assert!(at.is_empty() || tests.contains(at), "{suite} {name}: there is no test {at:?}");
            }
        }
        // `test_dataTaskWithURL` is `test_data_task_with_url` here.
        let plain = |name: &str| name.replace('_', "").to_ascii_lowercase();
        let function = at.rsplit("::").next().unwrap_or_default();
        assert!(at.is_empty() || plain(function) == plain(name), "{suite} {name} is not {function}");
    }
}

#[test]
fn the_count_at_the_top_is_right() {
    let passing = rows().iter().filter(|row| row.state == "passes").count();
    let count = format!("{passing} of {ROWS} rows pass.");
    assert!(TABLE.lines().any(|line| line == count), "not at the top: {count}");
}

#[test]
fn every_test_that_is_named_like_a_row_is_in_the_table() {
    let rows = rows();
    let listed: BTreeSet<_> = rows.iter().map(|row| row.at).collect();
    let missing: Vec<_> = tests().into_iter().filter(|test| !listed.contains(&test[..])).collect();
    assert!(missing.is_empty(), "no row names {missing:?}");
}
