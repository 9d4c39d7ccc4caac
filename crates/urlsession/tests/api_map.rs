//! `docs/api-map.tsv` against the library and against the list of Apple's symbols (`data/symbols.tsv`).
#![allow(clippy::disallowed_methods)] // a test reads files

#[path = "api_map/items.rs"]
mod items;

use std::collections::{BTreeMap, BTreeSet};

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

struct Row {
    symbol: [&'static str; 3],
    rust: &'static str,
    state: &'static str,
    note: &'static str,
}

fn map() -> Vec<Row> {
    let mut lines = MAP.lines();
    assert_eq!(lines.next(), Some("type\tsymbol\tkind\trust\tstate\tnote"));
    let row = |line: &'static str| match line.split('\t').collect::<Vec<_>>()[..] {
        [of, symbol, kind, rust, state, note] => Row { symbol: [of, symbol, kind], rust, state, note },
        _ => panic!("not six columns: {line}"),
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
    for Row { symbol, rust, state, note } in map() {
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
