//! The tests that a source file holds, by the names under which documents point at them. It reads text and runs nothing.

use std::collections::BTreeSet;

/// The tests of a source, as `function` or `module::function`. One that is ignored proves nothing, and is none.
pub(crate) fn tests_of(source: &str) -> BTreeSet<String> {
    let mut tests = BTreeSet::new();
    // Modules around the line, each with its indentation.
    let mut modules: Vec<(usize, &str)> = Vec::new();
    let (mut is_test, mut is_ignored) = (false, false);
    for line in source.lines() {
        let text = line.trim_start();
        let indentation = line.len() - text.len();
        if text == "}" {
            modules.retain(|(outer, _)| *outer < indentation);
        }
        let item = text.strip_prefix("pub ").or_else(|| text.strip_prefix("pub(super) ")).unwrap_or(text);
        let item = item.strip_prefix("async ").unwrap_or(item);
        if let Some(name) = item.strip_prefix("mod ").and_then(|rest| rest.strip_suffix(" {")) {
            modules.push((indentation, name));
        } else if let Some((name, _)) = item.strip_prefix("fn ").and_then(|rest| rest.split_once('('))
            && is_test
            && !is_ignored
        {
            let path = modules.iter().map(|(_, module)| *module).chain([name]);
            tests.insert(path.collect::<Vec<_>>().join("::"));
        }
        match text {
            "#[test]" | "#[tokio::test]" => is_test = true,
            _ if text.starts_with("#[ignore") => is_ignored = true,
            _ if text.starts_with("#[") || text.starts_with("//") => {}
            _ => (is_test, is_ignored) = (false, false),
        }
    }
    tests
}

#[test]
fn tests_are_found_in_their_modules_and_ignored_ones_are_not() {
    let source = "#[test]\nfn plain() {\n}\n\nmod of_it {\n    /// Why.\n    #[tokio::test]\n    #[cfg(unix)]\n    \
                  async fn inner() {\n    }\n\n    fn helper() {}\n\n    mod deep {\n        #[test]\n        fn one() {\n\
                  \x20       }\n    }\n}\n\n#[test]\n#[ignore = \"a child\"]\nfn ignored() {\n}\n\n#[ignore]\n#[test]\n\
                  fn too() {}\n\nfn helper() {}\n#[test]\nfn last() {}\n";
    let found: Vec<_> = tests_of(source).into_iter().collect();
    assert_eq!(found, ["last", "of_it::deep::one", "of_it::inner", "plain"]);
}
