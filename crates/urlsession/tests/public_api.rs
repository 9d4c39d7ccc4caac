//! The public API as the sources spell it, against `docs/public-api.txt`. What changes it changes that file too, where a reader
//! of the change sees it: `UPDATE_PUBLIC_API=1 cargo test --test public_api` writes it anew.
//!
//! It is read from the tokens of the sources: what `lib.rs` exports, and of that fields, variants, methods and implementations.
//! Of items that a macro makes, the names that the macro is given.
#![allow(clippy::disallowed_methods)] // a test reads files

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

/// Macros that make public items, beside their definitions.
const GENERATORS: [&str; 8] =
    ["setters", "flags", "constructors", "data", "from_text", "codes", "handle", "reasons"];

/// The items of the crate that are exported: their names, and the paths they are exported at.
type Exported = BTreeMap<String, BTreeSet<String>>;

fn is(token: &TokenTree, text: &str) -> bool {
    match token {
        TokenTree::Ident(ident) => *ident == text,
        TokenTree::Punct(punct) => text.len() == 1 && text.starts_with(punct.as_char()),
        _ => false,
    }
}

fn group(token: &TokenTree, delimiter: Delimiter) -> Option<&Group> {
    match token {
        TokenTree::Group(group) if group.delimiter() == delimiter => Some(group),
        _ => None,
    }
}

fn text(tokens: &[TokenTree]) -> String {
    let text = tokens.iter().cloned().collect::<TokenStream>().to_string();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What stands between commas that are in no angle brackets.
fn list(tokens: &[TokenTree]) -> Vec<Vec<TokenTree>> {
    let (mut all, mut depth, mut before) = (vec![Vec::new()], 0, ' ');
    for token in tokens {
        let sign = if let TokenTree::Punct(punct) = token { punct.as_char() } else { ' ' };
        match sign {
            '<' => depth += 1,
            '>' if before != '-' && before != '=' => depth -= 1,
            ',' if depth == 0 => {
                all.push(Vec::new());
                continue;
            }
            _ => {}
        }
        before = sign;
        all.last_mut().unwrap().push(token.clone());
    }
    all.retain(|one| !one.is_empty());
    all
}

/// An item without its attributes, cut at its body or its semicolon.
struct Item {
    attributes: String,
    head: Vec<TokenTree>,
    body: Option<Group>,
}

impl Item {
    /// What follows `pub`, if that is all its visibility.
    fn public(&self) -> Option<&[TokenTree]> {
        let (first, rest) = self.head.split_first()?;
        let is_restricted = rest.first().is_some_and(|next| group(next, Delimiter::Parenthesis).is_some());
        (is(first, "pub") && !is_restricted).then_some(rest)
    }
}

fn items(stream: TokenStream) -> Vec<Item> {
    let mut items = Vec::new();
    let (mut attributes, mut head) = (String::new(), Vec::<TokenTree>::new());
    let mut tokens = stream.into_iter().peekable();
    while let Some(token) = tokens.next() {
        if head.is_empty() && is(&token, "#") {
            let next = tokens.next_if(|next| is(next, "!"));
            let Some(attribute) = tokens.next() else { break };
            if next.is_none() {
                attributes += &text(&[attribute]);
            }
            continue;
        }
        let has = |word| head.iter().any(|token| is(token, word));
        let is_value = ["use", "const", "static", "type"].into_iter().any(has) && !has("fn") && !has("impl");
        let body = group(&token, Delimiter::Brace).filter(|_| !is_value).cloned();
        if body.is_none() && !is(&token, ";") {
            head.push(token);
            continue;
        }
        let (attributes, head) = (std::mem::take(&mut attributes), std::mem::take(&mut head));
        if !head.is_empty() && !attributes.contains("cfg (test)") && !attributes.contains("hidden") {
            items.push(Item { attributes, head, body });
        }
    }
    items
}

/// The names that `pub use` exports.
fn exported(stream: TokenStream, path: &str, all: &mut Exported) {
    for item in items(stream) {
        let Some(head) = item.public() else { continue };
        if is(&head[0], "mod")
            && let Some(body) = &item.body
        {
            exported(body.stream(), &format!("{path}{}::", head[1]), all);
        } else if is(&head[0], "use") {
            let last = head.last().unwrap();
            let names = match group(last, Delimiter::Brace) {
                Some(names) => list(&names.stream().into_iter().collect::<Vec<_>>()),
                None => vec![vec![last.clone()]],
            };
            for name in names {
                let name = text(&name);
                all.entry(name.clone()).or_default().insert(format!("{path}{name}"));
            }
        }
    }
}

struct Dump {
    exported: Exported,
    lines: BTreeSet<String>,
    found: BTreeSet<String>,
}

impl Dump {
    fn line(&mut self, name: &str, rest: &str) {
        for path in self.exported.get(name).into_iter().flatten() {
            self.lines.insert(format!("urlsession::{path}{rest}"));
        }
    }

    fn read(&mut self, folder: &Path) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                self.read(&path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let source = fs::read_to_string(&path).unwrap();
                items(source.parse().unwrap()).iter().for_each(|item| self.take(item));
            }
        }
    }

    fn take(&mut self, item: &Item) {
        let Some(first) = item.head.first() else { return };
        if is(first, "impl") {
            return self.take_impl(item);
        }
        if let [name, sign, ..] = &item.head[..]
            && is(sign, "!")
            && GENERATORS.iter().any(|generator| is(name, generator))
        {
            let tokens = item.body.as_ref().map(Group::stream).or_else(|| match item.head.last() {
                Some(TokenTree::Group(group)) => Some(group.stream()),
                _ => None,
            });
            return self.take_generated(&name.to_string(), tokens.unwrap_or_default());
        }
        let Some(head) = item.public() else { return };
        let Some(at) = head.iter().position(|token| {
            ["struct", "enum", "trait", "fn", "type", "const"].iter().any(|kind| is(token, kind))
        }) else {
            return;
        };
        let Some(TokenTree::Ident(name)) = head.get(at + 1) else { return };
        let (name, kind) = (name.to_string(), head[at].to_string());
        if !self.exported.contains_key(&name) {
            return;
        }
        self.found.insert(name.clone());
        let grows = if item.attributes.contains("non_exhaustive") { " (non_exhaustive)" } else { "" };
        let shown = match kind.as_str() {
            // Tuples are private but for what is `pub` in them.
            "struct" => head[..at + 2].to_vec(),
            _ => head.to_vec(),
        };
        self.line(&name, &format!(": {}{grows}", text(&shown)));
        let Some(body) = &item.body else { return };
        match kind.as_str() {
            "trait" => {
                for method in items(body.stream()) {
                    let default = if method.body.is_some() { " { … }" } else { "" };
                    self.line(&name, &format!("::{}{default}", text(&method.head)));
                }
            }
            "struct" | "enum" => {
                let tokens: Vec<_> = body.stream().into_iter().collect();
                for member in list(&tokens) {
                    let start = (0..member.len()).step_by(2).find(|at| !is(&member[*at], "#")).unwrap_or(0);
                    let is_hidden = text(&member[..start]).contains("hidden");
                    let is_public = kind == "enum" || is(&member[start], "pub");
                    let is_restricted = kind == "struct"
                        && member
                            .get(start + 1)
                            .is_some_and(|next| group(next, Delimiter::Parenthesis).is_some());
                    if is_public && !is_restricted && !is_hidden {
                        self.line(&name, &format!("::{}", text(&member[start..])));
                    }
                }
            }
            _ => {}
        }
    }

    fn take_impl(&mut self, item: &Item) {
        let whole = text(&item.head);
        let at = item.head.iter().position(|token| is(token, "for"));
        // `for<'a>` is of a bound.
        let at = at.filter(|at| item.head.get(at + 1).is_none_or(|next| !is(next, "<")));
        let mut depth = 0;
        let of = item.head[at.map_or(1, |at| at + 1)..].iter().find_map(|token| {
            match token {
                TokenTree::Punct(punct) if punct.as_char() == '<' => depth += 1,
                TokenTree::Punct(punct) if punct.as_char() == '>' => depth -= 1,
                TokenTree::Ident(ident) if depth == 0 && self.exported.contains_key(&ident.to_string()) => {
                    return Some(ident.to_string());
                }
                _ => {}
            }
            None
        });
        let Some(of) = of else { return };
        if at.is_some() {
            return self.line(&of, &format!(": {whole}"));
        }
        let Some(body) = &item.body else { return };
        for method in items(body.stream()) {
            if let Some(head) = method.public() {
                let head = head
                    .split(|token| is(token, "="))
                    .next()
                    .filter(|_| is(&head[0], "const"))
                    .unwrap_or(head);
                self.line(&of, &format!("::{}", text(head)));
            }
        }
    }

    fn take_generated(&mut self, generator: &str, stream: TokenStream) {
        let tokens = plain(stream);
        if generator == "setters" {
            let Some(fields) = tokens.last().and_then(|last| group(last, Delimiter::Brace)) else { return };
            for field in list(&fields.stream().into_iter().collect::<Vec<_>>()) {
                self.line(&tokens[1].to_string(), &format!("::setter {}", text(&field)));
            }
            return;
        }
        for part in tokens.split(|token| is(token, ";")).filter(|part| !part.is_empty()) {
            self.lines.insert(format!("{generator}!: {}", text(part)));
        }
    }
}

/// Without attributes and texts, which are documentation.
fn plain(stream: TokenStream) -> Vec<TokenTree> {
    let mut plain = Vec::new();
    for token in stream {
        match &token {
            TokenTree::Group(_) if plain.last().is_some_and(|last| is(last, "#")) => {
                plain.pop();
            }
            TokenTree::Group(group) => {
                let inner = self::plain(group.stream()).into_iter().collect();
                plain.push(Group::new(group.delimiter(), inner).into());
            }
            TokenTree::Literal(literal) if literal.to_string().starts_with('"') => {}
            _ => plain.push(token),
        }
    }
    plain
}

#[test]
fn the_public_api_is_the_one_that_is_checked_in() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut all = Exported::new();
    exported(fs::read_to_string(root.join("src/lib.rs")).unwrap().parse().unwrap(), "", &mut all);
    let mut dump = Dump { exported: all, lines: BTreeSet::new(), found: BTreeSet::new() };
    dump.read(&root.join("src"));
    // Those of other crates are theirs.
    let foreign: Vec<_> = dump.exported.keys().filter(|name| !dump.found.contains(*name)).cloned().collect();
    foreign.iter().for_each(|name| dump.line(name, ""));
    let now = dump.lines.into_iter().fold(String::new(), |all, line| all + &line + "\n");
    let file = root.join("../../docs/public-api.txt");
    if std::env::var_os("UPDATE_PUBLIC_API").is_some() {
        fs::write(&file, now).unwrap();
        return;
    }
    let kept = fs::read_to_string(&file).unwrap().replace("\r\n", "\n");
    let (kept, now): (BTreeSet<_>, BTreeSet<_>) = (kept.lines().collect(), now.lines().collect());
    let gone: Vec<_> = kept.difference(&now).collect();
    let new: Vec<_> = now.difference(&kept).collect();
    assert!(
        gone.is_empty() && new.is_empty(),
        "docs/public-api.txt is not the public API; UPDATE_PUBLIC_API=1 cargo test --test public_api writes it anew\n\
         gone: {gone:#?}\nnew: {new:#?}"
    );
}
