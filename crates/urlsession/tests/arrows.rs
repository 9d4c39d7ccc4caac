//! The house's shape, read off its sources: arrows point one way, files stay small, every file says what it owns.

use std::fs;
use std::path::{Path, PathBuf};

/// A file names only what stands to its right. The library's `lib.rs` and tests stand outside.
const ARROWS: [&str; 10] =
    ["session", "task", "protocol", "transport", "configuration", "store", "load", "message", "env", "error"];

/// The most lines of code in a file, tests not counted.
const MOST_LINES: usize = 600;

/// The median must stay below this.
const MEDIAN_LINES: usize = 200;

/// Files over the limit, each with its reason.
const EXCEPTIONS: [(&str, &str); 0] = [];

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn of_crate(name: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    sources(&workspace().join("crates").join(name).join("src"), &mut found);
    found
}

/// The lines before the tests.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .take_while(|(_, line)| !line.starts_with("#[cfg(test)]") && !line.starts_with("#[cfg(all(test"))
}

fn is_test_file(path: &Path) -> bool {
    let name = path.file_stem().unwrap().to_string_lossy();
    name.ends_with("_tests") || name == "test_support"
}

#[test]
fn arrows_point_to_the_right() {
    let root = workspace().join("crates/urlsession/src");
    let mut wrong = Vec::new();
    for path in of_crate("urlsession") {
        let inside = path.strip_prefix(&root).unwrap();
        let room = inside.iter().next().unwrap().to_string_lossy().trim_end_matches(".rs").to_owned();
        let Some(here) = ARROWS.iter().position(|arrow| *arrow == room) else { continue };
        if is_test_file(&path) {
            continue;
        }
        for (number, line) in code(&fs::read_to_string(&path).unwrap()) {
            for name in line.split("crate::").skip(1) {
                let name = name.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default();
                if ARROWS.iter().position(|arrow| *arrow == name).is_some_and(|there| there < here) {
                    wrong.push(format!(
                        "{}:{}: {room} must not name {name}: {line}",
                        inside.display(),
                        number + 1
                    ));
                }
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "a file names only what stands to its right of\n  {}\n{}",
        ARROWS.join(" ▸ "),
        wrong.join("\n")
    );
}

#[test]
fn files_stay_small_enough_to_read_in_one_sitting() {
    let mut sizes = Vec::new();
    let mut wrong = Vec::new();
    for name in ["urlsession", "urlsession-proto", "urlsession-testkit", "urlsession-cli"] {
        for path in of_crate(name) {
            let lines = code(&fs::read_to_string(&path).unwrap()).count();
            let excepted = EXCEPTIONS.iter().any(|(file, _)| path.ends_with(file));
            if lines > MOST_LINES && !excepted && !is_test_file(&path) {
                wrong.push(format!("{}: {lines} lines", path.display()));
            }
            sizes.push(lines);
        }
    }
    sizes.sort_unstable();
    assert!(wrong.is_empty(), "more than {MOST_LINES} lines; two rooms in one?\n{}", wrong.join("\n"));
    assert!(sizes[sizes.len() / 2] < MEDIAN_LINES, "the median file has {} lines", sizes[sizes.len() / 2]);
}

#[test]
fn every_file_says_what_it_owns() {
    for name in ["urlsession", "urlsession-proto", "urlsession-testkit", "urlsession-cli"] {
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
