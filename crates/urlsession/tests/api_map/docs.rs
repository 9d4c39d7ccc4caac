//! The doc comments of items, found by the text of the sources: what `rustdoc` would show of them.

use std::fs;
use std::path::Path;

/// The lines of every source file below a folder.
pub(super) fn sources(folder: &Path) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let source = fs::read_to_string(path).unwrap();
            found.push(source.lines().map(|line| line.trim().to_owned()).collect());
        }
    }
    found
}

/// The doc comments of what is called `Type::name`: of each field, method or variant of that name in the files that have the
/// type, or an `impl` of it. Of a setter those of what it sets.
pub(super) fn of(sources: &[Vec<String>], item: &str) -> Vec<String> {
    let (of, name) = item.split_once("::").unwrap();
    let name = name.strip_prefix("set_").unwrap_or(name);
    let is_type = |line: &String| {
        let named = ["pub struct ", "pub enum ", "impl "].iter().find_map(|kind| line.strip_prefix(kind));
        named.and_then(|rest| rest.strip_prefix(of)).is_some_and(|rest| rest.starts_with([' ', '(']))
    };
    let starts =
        [format!("pub {name}: "), format!("pub fn {name}("), format!("{name},"), format!("{name} = ")];
    let flag = format!(", {name}, ");
    let mut docs = Vec::new();
    for file in sources.iter().filter(|file| file.iter().any(is_type)) {
        for (at, line) in file.iter().enumerate() {
            if starts.iter().any(|start| line.starts_with(start)) {
                let above = file[..at].iter().rev();
                let above = above.take_while(|line| line.starts_with("///") || line.starts_with("#["));
                let mut doc = above.filter_map(|line| line.strip_prefix("///")).collect::<Vec<_>>();
                doc.reverse();
                docs.push(doc.concat());
            } else if line.contains(&flag) && file.get(at + 1).is_some_and(|next| next.starts_with('"')) {
                // Of a list that a macro takes: the text is below.
                docs.push(file[at + 1].clone());
            }
        }
    }
    docs.retain(|doc| !doc.is_empty());
    docs
}
