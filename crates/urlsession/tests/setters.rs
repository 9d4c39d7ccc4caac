//! Public structs that will grow: they are `#[non_exhaustive]`, and each public field has a chainable setter of its name.
#![allow(clippy::disallowed_methods)] // a test reads files

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::Duration;

use proc_macro2::TokenTree;
use syn::{Fields, ImplItem, Item, Type, Visibility};
use urlsession::Configuration;
use urlsession::network::ProxyDictionary;
use urlsession::security::{ExceptionDomain, HstsStorage, TlsVersion};

/// What the library hands out: an application makes none.
const MADE_HERE: [&str; 4] = ["CacheDecision", "Tasks", "TaskMetrics", "TransactionMetrics"];

/// What will not grow: an error and what it gives back.
const CLOSED: [&str; 1] = ["PersistError"];

#[derive(Default)]
struct Found {
    /// The public fields of a struct, and whether it is `#[non_exhaustive]`.
    structs: BTreeMap<String, (BTreeSet<String>, bool)>,
    /// The setters of a type.
    setters: BTreeMap<String, BTreeSet<String>>,
}

impl Found {
    fn read(&mut self, folder: &Path) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                self.read(&path);
            } else {
                let file = syn::parse_file(&fs::read_to_string(&path).unwrap()).unwrap();
                file.items.iter().for_each(|item| self.take(item));
            }
        }
    }

    fn take(&mut self, item: &Item) {
        match item {
            Item::Struct(item) if matches!(item.vis, Visibility::Public(_)) => {
                let Fields::Named(named) = &item.fields else { return };
                let public = named.named.iter().filter(|field| matches!(field.vis, Visibility::Public(_)));
                let fields: BTreeSet<_> =
                    public.map(|field| field.ident.as_ref().unwrap().to_string()).collect();
                let grows = item.attrs.iter().any(|attribute| attribute.path().is_ident("non_exhaustive"));
                if !fields.is_empty() {
                    self.structs.insert(item.ident.to_string(), (fields, grows));
                }
            }
            Item::Impl(item) if item.trait_.is_none() => {
                let Type::Path(of) = &*item.self_ty else { return };
                let of = of.path.segments.last().unwrap().ident.to_string();
                for function in &item.items {
                    let ImplItem::Fn(function) = function else { continue };
                    let takes_self = function.sig.inputs.first().is_some_and(
                        |input| matches!(input, syn::FnArg::Receiver(this) if matches!(this.kind, syn::ReceiverKind::Value)),
                    );
                    if takes_self && function.sig.inputs.len() == 2 {
                        self.setters.entry(of.clone()).or_default().insert(function.sig.ident.to_string());
                    }
                }
            }
            Item::Macro(call) if call.mac.path.is_ident("setters") => {
                // `impl Name { field: word Type, … }`
                let tokens: Vec<_> = call.mac.tokens.clone().into_iter().collect();
                let [TokenTree::Ident(_), TokenTree::Ident(of), TokenTree::Group(fields)] = &tokens[..]
                else {
                    panic!("setters! of something else: {}", call.mac.tokens);
                };
                let fields: Vec<_> = fields.stream().into_iter().collect();
                let named = fields.windows(2).filter_map(|pair| match pair {
                    [TokenTree::Ident(name), TokenTree::Punct(colon)] if colon.as_char() == ':' => {
                        Some(name.to_string())
                    }
                    _ => None,
                });
                self.setters.entry(of.to_string()).or_default().extend(named);
            }
            _ => {}
        }
    }
}

#[test]
fn every_public_field_of_what_applications_make_has_a_setter() {
    let mut found = Found::default();
    found.read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    let mut wrong = Vec::new();
    let none = BTreeSet::new();
    for (of, (fields, grows)) in &found.structs {
        if *grows == CLOSED.contains(&of.as_str()) {
            wrong.push(format!("{of}: #[non_exhaustive], or in CLOSED"));
        }
        if !CLOSED.contains(&of.as_str()) && !MADE_HERE.contains(&of.as_str()) {
            let setters = found.setters.get(of).unwrap_or(&none);
            wrong.extend(fields.difference(setters).map(|field| format!("{of}::{field} has no setter")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(found.structs["Configuration"].0.len() > 40, "fields are found");
}

#[test]
fn setters_set_the_field_of_their_name() {
    let legacy = ExceptionDomain::new("old.test").minimum_tls_version(TlsVersion::Tls13);
    let storage = HstsStorage::ephemeral();
    let made = Configuration::ephemeral()
        .timeout_interval_for_request(Duration::from_secs(5))
        .omitted_header_fields(["User-Agent"])
        .tls_cipher_suites([0x1301, 0xC02F])
        .hsts_storage(storage.clone())
        .url_cache(None)
        .identifier(Some("a name".into()))
        .connection_proxy_dictionary(ProxyDictionary::new().http_port(8080).exceptions_list(["*.local"]));
    assert_eq!(made.timeout_interval_for_request, Duration::from_secs(5));
    assert_eq!(made.omitted_header_fields, ["User-Agent"]);
    assert_eq!(made.tls_cipher_suites, [0x1301, 0xC02F]);
    assert_eq!(made.hsts_storage, Some(storage));
    assert!(made.url_cache.is_none());
    assert_eq!(made.identifier.as_deref(), Some("a name"));
    assert_eq!(legacy.minimum_tls_version, Some(TlsVersion::Tls13));
    let proxies = made.connection_proxy_dictionary.unwrap();
    assert_eq!(proxies.http_port, Some(8080));
    assert_eq!(proxies.exceptions_list, ["*.local"]);
}
