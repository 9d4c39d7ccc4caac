//! `docs/api-map.tsv` against the library, its tests and the list of Apple's symbols (`data/symbols.tsv`).
#![allow(clippy::disallowed_methods)] // a test reads files

#[path = "api_map/docs.rs"]
mod docs;
#[path = "api_map/items.rs"]
mod items;
#[path = "api_map/tests.rs"]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

const MAP: &str = include_str!("../../../docs/api-map.tsv");
const SYMBOLS: &str = include_str!("data/symbols.tsv");

/// What a `later` row waits for.
const AREAS: [&str; 12] = [
    "authentication",
    "background",
    "cache",
    "connectivity",
    "cookies",
    "data tasks",
    "downloads",
    "proxies",
    "streams",
    "transport",
    "uploads",
    "websocket",
];

/// How the note of a row begins whose item has no effect that a test could miss.
const WITHOUT_EFFECT: [&str; 2] = ["stored only: ", "never reported: "];

/// Symbols that are types here too: what they do, their members prove.
const TYPES: [&str; 5] = ["class", "enum", "protocol", "struct", "typealias"];

struct Row {
    symbol: [&'static str; 3],
    rust: &'static str,
    state: &'static str,
    /// The test that fails if the item does not do what Apple documents: `file::function` or
    /// `file::module::function`, the file from this crate's folder; `-` without one.
    proof: &'static str,
    note: &'static str,
}

fn map() -> Vec<Row> {
    let mut lines = MAP.lines();
    assert_eq!(lines.next(), Some("type\tsymbol\tkind\trust\tstate\tproof\tnote"));
    let row = |line: &'static str| match line.split('\t').collect::<Vec<_>>()[..] {
        [of, symbol, kind, rust, state, proof, note] => {
            Row { symbol: [of, symbol, kind], rust, state, proof, note }
        }
        _ => panic!("not seven columns: {line}"),
    };
    lines.map(row).collect()
}

/// Overloads share their name: how often a symbol occurs is part of what it is.
fn counted(symbols: impl Iterator<Item = [&'static str; 3]>) -> BTreeMap<[&'static str; 3], usize> {
    let mut counts = BTreeMap::new();
    for symbol in symbols {
        *counts.entry(symbol).or_default() += 1;
    }
    counts
}

#[test]
fn every_symbol_has_its_row() {
    let mut lines = SYMBOLS.lines();
    assert_eq!(lines.next(), Some("type\tsymbol\tkind"));
    let listed = counted(lines.map(|line| match line.split('\t').collect::<Vec<_>>()[..] {
        [of, symbol, kind] => [of, symbol, kind],
        _ => panic!("not three columns: {line}"),
    }));
    let mapped = counted(map().into_iter().map(|row| row.symbol));
    for (symbol, count) in &listed {
        assert_eq!(mapped.get(symbol).copied().unwrap_or(0), *count, "rows of {symbol:?}");
    }
    for symbol in mapped.keys() {
        assert!(listed.contains_key(symbol), "no such symbol: {symbol:?}");
    }
}

#[test]
fn every_item_named_is_in_the_library() {
    let rows = map();
    let mapped: BTreeSet<_> = rows.iter().filter(|row| row.state == "here").map(|row| row.rust).collect();
    let names = items::names();
    let compiled: BTreeSet<_> = names.iter().copied().collect();
    assert_eq!(compiled.len(), names.len(), "a name occurs twice in items.rs");
    let missing: Vec<_> = mapped.difference(&compiled).collect();
    let surplus: Vec<_> = compiled.difference(&mapped).collect();
    assert!(
        missing.is_empty() && surplus.is_empty(),
        "items.rs lacks {missing:?}, the map lacks {surplus:?}"
    );
}

#[test]
fn every_row_tells_its_state() {
    for Row { symbol, rust, state, note, .. } in map() {
        let is_right = match state {
            "here" => rust != "-" && !rust.is_empty(),
            "later" => {
                let planned = note.split_once(": ");
                rust == "-" && planned.is_some_and(|(area, name)| AREAS.contains(&area) && !name.is_empty())
            }
            "none" => rust == "-" && !note.is_empty(),
            _ => false,
        };
        assert!(is_right, "{symbol:?}: {rust}, {state}, {note:?}");
    }
}

#[test]
fn every_item_with_an_effect_names_the_test_that_proves_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = BTreeMap::new();
    let mut is_there = |proof: &'static str| {
        let Some((file, test)) = proof.split_once("::") else { return false };
        let known: &BTreeSet<String> = files.entry(file).or_insert_with(|| {
            fs::read_to_string(root.join(file)).map(|source| tests::tests_of(&source)).unwrap_or_default()
        });
        known.contains(test)
    };
    for Row { symbol, rust, state, proof, note } in map() {
        let is_right = match (state, proof) {
            ("here", "-") => {
                TYPES.contains(&symbol[2]) || WITHOUT_EFFECT.iter().any(|reason| note.starts_with(reason))
            }
            ("here", proof) => is_there(proof),
            (_, proof) => proof == "-",
        };
        assert!(is_right, "{symbol:?}: {rust}, {state}, {proof}, {note:?}");
    }
}

#[test]
fn every_item_that_is_stored_only_says_so() {
    let sources = docs::sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    for Row { symbol, rust, note, .. } in map() {
        if note.starts_with("stored only: ") {
            let docs = docs::of(&sources, rust);
            let is_said = !docs.is_empty() && docs.iter().all(|doc| doc.contains("tored only"));
            assert!(is_said, "{symbol:?}: the doc comment of {rust} does not say \"Stored only\": {docs:?}");
        }
    }
}
