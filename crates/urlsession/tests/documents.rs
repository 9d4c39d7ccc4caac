//! What documents say of the project, as far as a program can tell.
#![allow(clippy::disallowed_methods)] // a test reads files

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

fn read(path: &str) -> String {
    fs::read_to_string(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)).unwrap()
}

/// The names in the first column of the table under this heading.
fn crates_under(heading: &str) -> Vec<String> {
    let text = read("docs/dependencies.md");
    let (_, section) = text.split_once(heading).unwrap();
    let table = section.lines().skip(1).take_while(|line| !line.starts_with('#'));
    let rows = table.filter(|line| line.starts_with("| ") && !line.starts_with("| crate "));
    // Features and platforms stand in brackets behind them.
    let cells = rows.map(|row| row.split('|').nth(1).unwrap().split('(').next().unwrap());
    cells.flat_map(|names| names.split(',')).map(|name| name.trim().to_owned()).collect()
}

/// What a manifest depends on, tests included.
fn dependencies(manifest: &str) -> BTreeSet<String> {
    let mut is_of_dependencies = false;
    let mut all = BTreeSet::new();
    for line in read(manifest).lines() {
        if let Some(section) = line.strip_prefix('[') {
            is_of_dependencies = section.contains("dependencies");
        } else if let Some((name, _)) = line.split_once(['.', ' ', '=']).filter(|_| is_of_dependencies)
            && name.starts_with(|c: char| c.is_ascii_lowercase())
        {
            all.insert(package(name));
        }
    }
    all
}

/// The package that is known by this name here.
fn package(name: &str) -> String {
    let workspace = read("Cargo.toml");
    let line = workspace.lines().find(|line| line.starts_with(&format!("{name} = {{")));
    let renamed = line.and_then(|line| line.split_once("package = \"")?.1.split('"').next());
    renamed.unwrap_or(name).to_owned()
}

#[test]
fn the_changelog_says_nothing_twice() {
    let mut seen = BTreeSet::new();
    for line in read("CHANGELOG.md").lines().filter(|line| line.starts_with("- ")) {
        assert!(seen.insert(line.to_owned()), "{line}");
    }
    assert!(seen.len() > 20);
}

#[test]
fn each_dependency_of_the_library_has_one_line() {
    let listed = crates_under("## The library");
    let names: BTreeSet<_> = listed.iter().cloned().collect();
    assert_eq!(names.len(), listed.len(), "one is listed twice: {listed:?}");
    let ours = |name: &String| name.starts_with("urlsession");
    let used = dependencies("crates/urlsession/Cargo.toml");
    // What the grammar has a line for has none here.
    let known: BTreeSet<_> = listed.into_iter().chain(crates_under("## The grammar")).collect();
    let missing: Vec<_> = used.iter().filter(|name| !ours(name) && !known.contains(*name)).collect();
    assert!(missing.is_empty(), "not in docs/dependencies.md: {missing:?}");
    let gone: Vec<_> = names.iter().filter(|name| !used.contains(*name)).collect();
    assert!(gone.is_empty(), "not in Cargo.toml: {gone:?}");
}

#[test]
fn the_readme_says_how_to_spare_the_entropy_at_the_first_use_of_tls() {
    assert!(read("README.md").contains("AWS_LC_SYS_NO_JITTER_ENTROPY = \"1\""));
}

#[test]
fn the_outside_world_is_out_of_bounds_where_it_is_not_asked_through_the_environment() {
    let banned = read("crates/urlsession/clippy.toml");
    for path in [
        "std::time::SystemTime::now",
        "std::time::Instant::now",
        "std::thread::sleep",
        "std::fs::File::open",
        "std::fs::File::create",
        "std::fs::read",
        "std::fs::write",
        "std::fs::remove_file",
        "std::fs::rename",
        "std::net::TcpStream::connect",
    ] {
        assert!(banned.contains(&format!("path = \"{path}\"")), "{path}");
    }
}

#[test]
fn limits_that_only_the_documentation_tells_are_there() {
    let delegate = read("crates/urlsession/src/task/delegate.rs");
    assert!(delegate.contains("answered by credentials at most 20"));
    // The time for the whole resource goes on while a task is suspended.
    let state = read("crates/urlsession/src/task/state.rs");
    assert!(state.contains("the idle timeout stands still. The timeout for the whole resource runs"));
}

#[test]
fn what_the_readme_says_is_not_there_is_not() {
    let readme = read("README.md");
    let (_, rest) = readme.split_once("## Not yet").unwrap();
    let missing = rest.split("\n## ").next().unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
    let map = read("docs/api-map.tsv");
    // One item of Apple's for each.
    for (name, item) in [
        ("WebSocket", "webSocketTask(with:)"),
        ("streams to a host and port", "streamTask(withHostName:port:)"),
        ("background", "background(withIdentifier:)"),
    ] {
        assert!(missing.contains(name), "{name}");
        let mut rows = map.lines().filter(|row| row.split('\t').nth(1) == Some(item)).peekable();
        assert!(rows.peek().is_some(), "{item} is not in the map");
        assert!(
            rows.all(|row| row.split('\t').nth(4) == Some("later")),
            "{item} is there, and README denies it"
        );
    }
}

/// What is rarely needed is in a module, so that the first page of the documentation shows the way.
#[test]
fn the_root_shows_what_most_applications_need() {
    let library = read("crates/urlsession/src/lib.rs");
    let mut names = BTreeSet::new();
    let at_root = library.split("\npub use ").skip(1).filter_map(|rest| rest.split_once(';'));
    for (exported, _) in at_root {
        let list = exported.rsplit_once("::").map_or(exported, |(_, list)| list);
        let list = list.trim_matches(['{', '}', '\n', ' ']).split(',');
        names.extend(list.map(str::trim).filter(|name| !name.is_empty()));
    }
    assert!(names.contains("UrlSession") && names.contains("DataTask"), "names are found: {names:?}");
    assert!(names.len() <= MOST_AT_ROOT, "{} names: {names:?}", names.len());
    let modules = library.matches("\npub mod ").count();
    let linked = library.split_once("# Where things are").unwrap().1;
    assert_eq!(
        linked.split("//! # ").next().unwrap().matches("[`").count(),
        modules,
        "each module is linked"
    );
}

const MOST_AT_ROOT: usize = 50;

/// File and function of each step.
fn steps_of_one_request() -> Vec<(String, String)> {
    let text = read("docs/one-request.md");
    let rows = text.lines().filter(|line| line.starts_with("| `"));
    let cell = |row: &str, at: usize| row.split('|').nth(at).unwrap().trim().trim_matches('`').to_owned();
    rows.map(|row| (cell(row, 1), cell(row, 2))).collect()
}

#[test]
fn each_file_and_function_of_the_page_on_one_request_is_there() {
    let steps = steps_of_one_request();
    assert!(steps.len() > 20);
    for (file, function) in steps {
        let source = read(&format!("crates/urlsession/src/{file}"));
        let name = format!("fn {function}");
        let is_there =
            source.match_indices(&name).any(|(at, _)| source[at + name.len()..].starts_with(['(', '<']));
        assert!(is_there, "{file} has no function {function}");
    }
}

#[test]
fn the_page_on_one_request_counts_its_files_and_their_lines() {
    let steps = steps_of_one_request();
    let files: BTreeSet<_> = steps.iter().map(|(file, _)| file).collect();
    let lines: usize = files
        .iter()
        .map(|file| {
            let source = read(&format!("crates/urlsession/src/{file}"));
            source.lines().take_while(|line| *line != "#[cfg(test)]").count()
        })
        .sum();
    let text = read("docs/one-request.md");
    let (_, said) = text.split_once("These are ").unwrap();
    let numbers: Vec<usize> = said.split_whitespace().filter_map(|word| word.parse().ok()).take(2).collect();
    assert_eq!(numbers[0], files.len(), "files");
    assert!(lines <= numbers[1], "{lines} lines");
}
