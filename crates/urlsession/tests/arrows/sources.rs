//! The library's sources as a graph: which file names items of which other. Tests are left out: files of tests, modules
//! and items under `#[cfg(test)]`. A name is followed through re-exports to the file where its item is.
//!
//! Sources are parsed by `syn`; inside macro calls, paths are found among the tokens. Not seen are items reached without
//! being named (methods, fields), and what a macro puts together.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{TokenStream, TokenTree};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Attribute, Item, Meta, Token, UseTree};

/// One naming of another file's item.
pub(crate) struct Import {
    pub(crate) from: String,
    pub(crate) line: usize,
    /// As it is written, beginning at the root of the crate.
    pub(crate) path: String,
    /// The file where the item is.
    pub(crate) to: String,
    /// The first modules below the root that the path leads through.
    pub(crate) named: BTreeSet<String>,
}

/// The modules of the library.
pub(crate) struct Library {
    modules: BTreeMap<Names, Module>,
}

/// The way from the root to a module or an item.
type Names = Vec<String>;

#[derive(Default)]
struct Module {
    file: String,
    children: BTreeSet<String>,
    /// Names that this module gives to paths (`use`).
    aliases: BTreeMap<String, Names>,
    globs: Vec<Names>,
    /// Paths that are named here, and where.
    paths: Vec<(Names, usize)>,
}

impl Library {
    pub(crate) fn read() -> Self {
        let root = workspace().join("crates/urlsession/src");
        let sources: Vec<_> = of_crate("urlsession")
            .into_iter()
            .filter(|path| !is_test_file(path))
            .map(|path| {
                let inside = path.strip_prefix(&root).unwrap().to_string_lossy().replace('\\', "/");
                (inside, fs::read_to_string(&path).unwrap())
            })
            .collect();
        Self::of(&sources)
    }

    /// Of files by their names below `src`.
    pub(crate) fn of(sources: &[(impl AsRef<str>, impl AsRef<str>)]) -> Self {
        let mut library = Self { modules: BTreeMap::new() };
        let mut parsed: BTreeMap<&str, syn::File> = BTreeMap::new();
        for (file, text) in sources {
            parsed.insert(file.as_ref(), syn::parse_file(text.as_ref()).unwrap());
        }
        // Which module a file is, where a `path` attribute says so.
        let mut elsewhere = BTreeMap::new();
        for (file, syntax) in &parsed {
            for item in &syntax.items {
                if let Item::Mod(module) = item
                    && let Some(path) = path_attribute(&module.attrs)
                {
                    let folder =
                        file.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("{folder}/"));
                    let mut names = module_of(file);
                    names.push(module.ident.to_string());
                    elsewhere.insert(format!("{folder}{path}"), names);
                }
            }
        }
        for (file, syntax) in &parsed {
            let names = elsewhere.get(*file).cloned().unwrap_or_else(|| module_of(file));
            library.add(file, names, &syntax.items);
        }
        library
    }

    fn add(&mut self, file: &str, names: Names, items: &[Item]) {
        // Two files may be the same module on different platforms.
        let mut module = self.modules.remove(&names).unwrap_or_default();
        module.file = file.to_owned();
        let mut inside = Vec::new();
        for item in items.iter().filter(|item| !is_test(attributes(item))) {
            match item {
                Item::Mod(child) => {
                    module.children.insert(child.ident.to_string());
                    if let Some((_, items)) = &child.content {
                        inside.push((child.ident.to_string(), items));
                    }
                }
                Item::Use(item) => uses(&item.tree, &mut Vec::new(), &mut module),
                _ => Paths(&mut module.paths).visit_item(item),
            }
        }
        self.modules.insert(names.clone(), module);
        for (name, items) in inside {
            let names = names.iter().cloned().chain([name]).collect();
            self.add(file, names, items);
        }
    }

    /// Every naming of another file's item.
    pub(crate) fn imports(&self) -> Vec<Import> {
        let mut imports = Vec::new();
        for (names, module) in &self.modules {
            if names.is_empty() {
                continue;
            }
            for (path, line) in &module.paths {
                let Some((absolute, rest)) = self.absolute(names, path, 0) else { continue };
                let full: Names = absolute.iter().chain(rest).cloned().collect();
                let mut named = BTreeSet::new();
                let Some(file) = self.target(&full, &mut named, 0) else { continue };
                if file != module.file && !file.is_empty() && file != "lib.rs" {
                    imports.push(Import {
                        from: module.file.clone(),
                        line: *line,
                        path: full.join("::"),
                        to: file,
                        named,
                    });
                }
            }
        }
        imports
    }

    /// Every path as it is written: its file, its line and itself.
    pub(crate) fn paths(&self) -> Vec<(String, usize, String)> {
        let of = |module: &Module| {
            let path = |(names, line): &(Names, usize)| (module.file.clone(), *line, names.join("::"));
            module.paths.iter().map(path).collect::<Vec<_>>()
        };
        self.modules.values().flat_map(of).collect()
    }

    /// The first part of a path as seen from a module, and what is left of it; `None` if it leads out of the crate.
    fn absolute<'p>(
        &self,
        from: &[String],
        path: &'p [String],
        depth: usize,
    ) -> Option<(Names, &'p [String])> {
        let (first, rest) = path.split_first()?;
        match first.as_str() {
            "crate" => Some((Vec::new(), rest)),
            "self" => Some((from.to_vec(), rest)),
            "super" => {
                let mut names = from.to_vec();
                let mut left = path;
                while left.first().is_some_and(|name| name == "super") {
                    names.pop()?;
                    left = &left[1..];
                }
                Some((names, left))
            }
            name => {
                let module = self.modules.get(from)?;
                if module.children.contains(name) {
                    return Some((from.iter().cloned().chain([name.to_owned()]).collect(), rest));
                }
                let alias = module.aliases.get(name).filter(|_| depth < MOST)?;
                // `use url::Url` names the crate, not itself.
                (alias != &[name.to_owned()]).then_some(())?;
                let (start, more) = self.absolute(from, alias, depth + 1)?;
                Some((start.into_iter().chain(more.iter().cloned()).collect(), rest))
            }
        }
    }

    /// The file where a path from the root ends, re-exports followed.
    fn target(&self, path: &[String], named: &mut BTreeSet<String>, depth: usize) -> Option<String> {
        named.extend(path.first().cloned());
        let mut at = Vec::new();
        for (index, name) in path.iter().enumerate() {
            let module = self.modules.get(&at)?;
            if module.children.contains(name) {
                at.push(name.clone());
                if !self.modules.contains_key(&at) {
                    return None;
                }
                continue;
            }
            if depth < MOST {
                let mut leads = module.aliases.get(name).cloned().into_iter().collect::<Vec<_>>();
                if leads.is_empty() && !module.globs.is_empty() {
                    let through = |glob: &Names| glob.iter().cloned().chain([name.clone()]).collect();
                    leads = module.globs.iter().map(through).collect();
                }
                for lead in leads {
                    let Some((start, more)) = self.absolute(&at, &lead, depth + 1) else { continue };
                    let full: Names = start.iter().chain(more).chain(&path[index + 1..]).cloned().collect();
                    if full != path
                        && let Some(file) = self.target(&full, named, depth + 1)
                    {
                        return Some(file);
                    }
                }
                if module.aliases.contains_key(name) {
                    return None;
                }
            }
            return Some(module.file.clone());
        }
        self.modules.get(&at).map(|module| module.file.clone())
    }

    fn edges(&self) -> BTreeMap<String, BTreeSet<String>> {
        let mut edges = BTreeMap::<String, BTreeSet<String>>::new();
        for import in self.imports() {
            edges.entry(import.from).or_default().insert(import.to);
        }
        edges
    }

    /// The sets of files of which each can be reached from each.
    pub(crate) fn circles(&self) -> Vec<Vec<String>> {
        let edges = self.edges();
        let reached = |from: &String| {
            let (mut seen, mut left) = (BTreeSet::new(), vec![from]);
            while let Some(file) = left.pop() {
                for next in edges.get(file).into_iter().flatten() {
                    if seen.insert(next) {
                        left.push(next);
                    }
                }
            }
            seen
        };
        let all: BTreeMap<_, _> = edges.keys().map(|file| (file, reached(file))).collect();
        let mut circles = BTreeSet::new();
        for (file, reaches) in &all {
            let circle: Vec<String> = reaches
                .iter()
                .filter(|other| all.get(**other).is_some_and(|back| back.contains(*file)))
                .map(|other| (*other).clone())
                .collect();
            if circle.len() > 1 {
                circles.insert(circle);
            }
        }
        circles.into_iter().collect()
    }
}

/// Finds the paths of an item.
struct Paths<'p>(&'p mut Vec<(Names, usize)>);

impl Visit<'_> for Paths<'_> {
    fn visit_item(&mut self, item: &Item) {
        if is_test(attributes(item)) {
            return;
        }
        match item {
            Item::Use(item) => {
                let mut module = Module::default();
                uses(&item.tree, &mut Vec::new(), &mut module);
                self.0.append(&mut module.paths);
            }
            item => visit::visit_item(self, item),
        }
    }

    fn visit_impl_item(&mut self, item: &syn::ImplItem) {
        let attributes = match item {
            syn::ImplItem::Fn(item) => &item.attrs,
            syn::ImplItem::Const(item) => &item.attrs,
            syn::ImplItem::Type(item) => &item.attrs,
            _ => return visit::visit_impl_item(self, item),
        };
        if !is_test(attributes) {
            visit::visit_impl_item(self, item);
        }
    }

    fn visit_path(&mut self, path: &syn::Path) {
        if path.segments.len() > 1 && path.leading_colon.is_none() {
            let names = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
            self.0.push((names, path.span().start().line));
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &syn::Macro) {
        self.visit_path(&call.path);
        tokens(call.tokens.clone(), self.0);
    }

    fn visit_vis_restricted(&mut self, _: &syn::VisRestricted) {
        // Who may see an item, not what it needs.
    }

    fn visit_attribute(&mut self, _: &Attribute) {}
}

/// Paths among the tokens of a macro call.
fn tokens(stream: TokenStream, found: &mut Vec<(Names, usize)>) {
    let trees: Vec<_> = stream.into_iter().collect();
    let is_colon = |tree: Option<&TokenTree>| matches!(tree, Some(TokenTree::Punct(p)) if p.as_char() == ':');
    let mut at = 0;
    while at < trees.len() {
        match &trees[at] {
            TokenTree::Group(group) => tokens(group.stream(), found),
            TokenTree::Ident(ident) => {
                let line = ident.span().start().line;
                let mut names = vec![ident.to_string()];
                while is_colon(trees.get(at + 1))
                    && is_colon(trees.get(at + 2))
                    && let Some(TokenTree::Ident(next)) = trees.get(at + 3)
                {
                    names.push(next.to_string());
                    at += 3;
                }
                if names.len() > 1 {
                    found.push((names, line));
                }
            }
            _ => {}
        }
        at += 1;
    }
}

/// The names and the paths of a `use`.
fn uses(tree: &UseTree, before: &mut Names, module: &mut Module) {
    let with = |name: &syn::Ident, before: &Names| {
        let mut path = before.clone();
        // `use a::{self}` is `use a`.
        if name != "self" || path.is_empty() {
            path.push(name.to_string());
        }
        path
    };
    match tree {
        UseTree::Path(path) => {
            before.push(path.ident.to_string());
            uses(&path.tree, before, module);
            before.pop();
        }
        UseTree::Name(name) => {
            let path = with(&name.ident, before);
            module.paths.push((path.clone(), name.span().start().line));
            module.aliases.insert(path.last().unwrap().clone(), path);
        }
        UseTree::Rename(rename) => {
            let path = with(&rename.ident, before);
            module.paths.push((path.clone(), rename.span().start().line));
            module.aliases.insert(rename.rename.to_string(), path);
        }
        UseTree::Glob(glob) => {
            module.paths.push((before.clone(), glob.span().start().line));
            module.globs.push(before.clone());
        }
        UseTree::Group(group) => group.items.iter().for_each(|tree| uses(tree, before, module)),
    }
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::ExternCrate(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::ForeignMod(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::TraitAlias(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Union(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

/// Whether this is compiled for tests only: `test`, `cfg(test)`, `cfg(all(…, test))`.
pub(crate) fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("test")
            || (attribute.path().is_ident("cfg")
                && attribute.parse_args::<Meta>().is_ok_and(|condition| needs_test(&condition)))
    })
}

fn needs_test(condition: &Meta) -> bool {
    match condition {
        Meta::Path(path) => path.is_ident("test"),
        Meta::List(list) if list.path.is_ident("all") => list
            .parse_args_with(syn::punctuated::Punctuated::<Meta, Token![,]>::parse_terminated)
            .is_ok_and(|all| all.iter().any(needs_test)),
        _ => false,
    }
}

fn path_attribute(attributes: &[Attribute]) -> Option<String> {
    attributes.iter().find_map(|attribute| match &attribute.meta {
        Meta::NameValue(pair) if pair.path.is_ident("path") => match &pair.value {
            syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(path), .. }) => Some(path.value()),
            _ => None,
        },
        _ => None,
    })
}

/// The module of a file: `task/core.rs` is `task::core`.
fn module_of(file: &str) -> Names {
    let names = file.trim_end_matches(".rs").split('/').map(str::to_owned);
    names.filter(|name| name != "lib").collect()
}

/// Lines of a file without its tests.
pub(crate) fn code_lines(text: &str) -> usize {
    let syntax = syn::parse_file(text).unwrap();
    let tests: usize = syntax
        .items
        .iter()
        .filter(|item| is_test(attributes(item)))
        .map(|item| {
            let start = attributes(item).iter().map(|attribute| attribute.span().start().line).min();
            let span = item.span();
            let blank = 1;
            span.end().line + blank - start.unwrap_or(span.start().line).min(span.start().line) + 1
        })
        .sum();
    text.lines().count().saturating_sub(tests)
}

pub(crate) fn of_crate(name: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    list(&workspace().join("crates").join(name).join("src"), &mut found);
    found
}

fn list(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            list(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

pub(crate) fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

pub(crate) fn is_test_file(path: &Path) -> bool {
    let name = path.file_stem().unwrap().to_string_lossy();
    name.ends_with("_tests") || name == "test_support"
}

/// How many re-exports of re-exports are followed.
const MOST: usize = 16;
