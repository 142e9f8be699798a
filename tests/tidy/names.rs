//! Each public type has a name of its own, files name each other in no circle, and no fact is read out of a sentence.
//! Reads the sources as syntax.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::visit::{self, Visit};
use syn::{Attribute, Expr, ExprMethodCall, ImplItemFn, Item, ItemMod, ItemUse, Path, UseTree, Visibility};

use crate::tidy::{File, files, report};

/// The only files that read facts out of sentences: those of earlier ledgers.
const READS_SENTENCES: [&str; 1] = ["src/ledger/sentences.rs"];
/// Methods that take a text apart.
const TAKES_APART: [&str; 9] = [
    "starts_with",
    "strip_prefix",
    "strip_suffix",
    "split",
    "split_once",
    "rsplit_once",
    "contains",
    "ends_with",
    "trim_start_matches",
];

/// What one file defines and names; its tests are left out.
#[derive(Default)]
struct Names {
    /// `crate`, `executor`, `stop`.
    module: Vec<String>,
    public_types: Vec<String>,
    /// Paths from the crate's root on.
    paths: BTreeSet<Vec<String>>,
    /// What it passes on under a name of its own.
    passed_on: BTreeMap<String, Vec<String>>,
    /// Texts that were a reason and are taken apart.
    taken_apart: Vec<String>,
}

fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| attribute.to_token_stream().to_string().replace(' ', "") == "#[cfg(test)]")
}

impl Names {
    fn of(file: &File) -> Self {
        let mut module: Vec<String> = file.name.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
        "crate".clone_into(&mut module[0]);
        if module.len() > 1 && ["mod", "lib", "main"].contains(&module[module.len() - 1].as_str()) {
            module.pop();
        }
        let mut names = Self { module, ..Self::default() };
        names.visit_file(&syn::parse_file(&file.text).unwrap());
        names
    }

    /// A path from the root; none where it begins with neither `crate` nor a neighbour.
    fn rooted(&self, path: &[String]) -> Option<Vec<String>> {
        match path[0].as_str() {
            "crate" => Some(path.to_vec()),
            "self" => Some([&self.module, &path[1..]].concat()),
            "super" => Some([&self.module[..self.module.len() - 1], &path[1..]].concat()),
            _ => None,
        }
    }

    fn name(&mut self, path: &[String]) {
        let path = self.rooted(path).unwrap_or_else(|| [&self.module, path].concat());
        self.paths.insert(path);
    }

    fn import(&mut self, tree: &UseTree, before: &[String], is_public: bool) {
        let with = |name: &dyn ToString| [before, &[name.to_string()]].concat();
        match tree {
            UseTree::Path(path) => self.import(&path.tree, &with(&path.ident), is_public),
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.import(tree, before, is_public)),
            UseTree::Glob(_) => self.name(before),
            UseTree::Name(name) => self.take(&with(&name.ident), name.ident.to_string(), is_public),
            UseTree::Rename(name) => self.take(&with(&name.ident), name.rename.to_string(), is_public),
        }
    }

    fn take(&mut self, path: &[String], name: String, is_public: bool) {
        self.name(path);
        if is_public && let Some(path) = self.rooted(path) {
            self.passed_on.insert(name, path);
        }
    }
}

impl<'ast> Visit<'ast> for Names {
    fn visit_item(&mut self, item: &'ast Item) {
        let (attributes, public_type) = match item {
            Item::Struct(item) => (&item.attrs, Some((&item.vis, &item.ident))),
            Item::Enum(item) => (&item.attrs, Some((&item.vis, &item.ident))),
            Item::Trait(item) => (&item.attrs, Some((&item.vis, &item.ident))),
            Item::Type(item) => (&item.attrs, Some((&item.vis, &item.ident))),
            Item::Fn(item) => (&item.attrs, None),
            Item::Mod(ItemMod { attrs, .. }) => (attrs, None),
            // The word enums of the domain.
            Item::Macro(item) if item.mac.path.is_ident("words") => {
                self.public_types.extend(word_enums(item.mac.tokens.clone()));
                return;
            }
            _ => return visit::visit_item(self, item),
        };
        if is_test(attributes) {
            return;
        }
        if let Some((visibility, name)) = public_type
            && !matches!(visibility, Visibility::Inherited)
        {
            self.public_types.push(name.to_string());
        }
        visit::visit_item(self, item);
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        self.import(&item.tree, &[], !matches!(item.vis, Visibility::Inherited));
    }

    fn visit_visibility(&mut self, _: &'ast Visibility) {}

    fn visit_path(&mut self, path: &'ast Path) {
        let words: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if words.len() > 1 {
            self.name(&words);
        }
        visit::visit_path(self, path);
    }

    fn visit_expr_method_call(&mut self, call: &'ast ExprMethodCall) {
        if TAKES_APART.contains(&call.method.to_string().as_str()) && is_a_reason(&call.receiver) {
            self.taken_apart.push(call.to_token_stream().to_string());
        }
        visit::visit_expr_method_call(self, call);
    }
}

/// Names in `words! { /// … Name { … } }`: each before a pair of braces.
fn word_enums(tokens: TokenStream) -> Vec<String> {
    let tokens: Vec<_> = tokens.into_iter().collect();
    let before_braces = tokens.windows(2).filter(|pair| {
        matches!(&pair[1], proc_macro2::TokenTree::Group(group) if group.delimiter() == proc_macro2::Delimiter::Brace)
    });
    before_braces.map(|pair| pair[0].to_string()).collect()
}

fn is_a_reason(receiver: &Expr) -> bool {
    let text = receiver.to_token_stream().to_string();
    let words = text.split(|c: char| !c.is_alphanumeric() && c != '_');
    words.into_iter().any(|word| ["reason", "why", "keyword"].contains(&word))
}

#[test]
fn each_public_type_has_a_name_of_its_own() {
    let mut known: BTreeMap<String, String> = BTreeMap::new();
    let mut findings = Vec::new();
    for file in files("src") {
        for name in Names::of(&file).public_types {
            if let Some(other) = known.insert(name.clone(), file.name.clone()) {
                findings.push(format!("{}: `{name}` is also the name of a type in {other}", file.name));
            }
        }
    }
    assert!(known.len() > 300, "types are found: {}", known.len());
    report(&findings);
}

/// What is visible outside of the crate and says nothing of itself. Fields and variants may speak by their names.
#[derive(Default)]
struct Undocumented(Vec<String>);

impl Undocumented {
    fn look(&mut self, visibility: &Visibility, attributes: &[Attribute], name: &impl ToString) {
        let is_documented = attributes.iter().any(|attribute| attribute.path().is_ident("doc"));
        if matches!(visibility, Visibility::Public(_)) && !is_documented {
            self.0.push(name.to_string());
        }
    }
}

impl<'ast> Visit<'ast> for Undocumented {
    fn visit_item(&mut self, item: &'ast Item) {
        match item {
            Item::Struct(item) => self.look(&item.vis, &item.attrs, &item.ident),
            Item::Enum(item) => self.look(&item.vis, &item.attrs, &item.ident),
            Item::Trait(item) => self.look(&item.vis, &item.attrs, &item.ident),
            Item::Type(item) => self.look(&item.vis, &item.attrs, &item.ident),
            Item::Const(item) => self.look(&item.vis, &item.attrs, &item.ident),
            Item::Fn(item) => self.look(&item.vis, &item.attrs, &item.sig.ident),
            _ => {}
        }
        visit::visit_item(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast ImplItemFn) {
        self.look(&item.vis, &item.attrs, &item.sig.ident);
    }
}

#[test]
fn what_is_public_on_purpose_says_what_it_is() {
    let mut findings = Vec::new();
    for file in files("src") {
        let mut undocumented = Undocumented::default();
        undocumented.visit_file(&syn::parse_file(&file.text).unwrap());
        findings.extend(undocumented.0.iter().map(|name| format!("{}: `{name}` has no documentation", file.name)));
    }
    report(&findings);
}

#[test]
fn no_fact_is_read_out_of_a_sentence() {
    let files = files("src").into_iter().filter(|file| !READS_SENTENCES.contains(&file.name.as_str()));
    let found = files.flat_map(|file| {
        let taken = Names::of(&file).taken_apart.into_iter();
        taken.map(|text| format!("{}: takes a reason apart: {text}", file.name)).collect::<Vec<_>>()
    });
    report(&found.collect::<Vec<_>>());
}

/// Which files each file names, by way of what others pass on.
fn edges() -> BTreeMap<Vec<String>, BTreeSet<Vec<String>>> {
    let files: BTreeMap<Vec<String>, Names> =
        files("src").iter().map(Names::of).map(|names| (names.module.clone(), names)).collect();
    let home = |path: &[String]| {
        let mut path = path.to_vec();
        // As many detours as there can be.
        for _ in 0..5 {
            let length = (1..=path.len()).rev().find(|length| files.contains_key(&path[..*length]))?;
            let next = path.get(length).and_then(|name| files[&path[..length]].passed_on.get(name));
            match next {
                Some(next) => path = [&next[..], &path[length + 1..]].concat(),
                None => return Some(path[..length].to_vec()),
            }
        }
        None
    };
    let of = |names: &Names| {
        let homes = names.paths.iter().filter_map(|path| home(path));
        homes.filter(|home| *home != names.module && home.len() > 1).collect()
    };
    files.values().map(|names| (names.module.clone(), of(names))).collect()
}

#[test]
fn no_files_name_each_other_in_a_circle() {
    let mut edges = edges();
    // What names no other that is left, and what no other names, is in no circle.
    loop {
        let named: BTreeSet<Vec<String>> = edges.values().flatten().cloned().collect();
        let before = edges.len();
        edges.retain(|file, names| !names.is_empty() && named.contains(file));
        let left: BTreeSet<Vec<String>> = edges.keys().cloned().collect();
        for names in edges.values_mut() {
            names.retain(|name| left.contains(name));
        }
        if edges.len() == before {
            break;
        }
    }
    let shown = |path: &[String]| path[1..].join("/");
    let found = edges.iter().map(|(file, names)| {
        let names: Vec<String> = names.iter().map(|name| shown(name)).collect();
        format!("{} is in a circle, or between two: it names {}", shown(file), names.join(", "))
    });
    report(&found.collect::<Vec<_>>());
}

#[test]
fn the_reader_of_syntax_sees_what_it_should() {
    let file = |name: &str, text: &str| File { name: name.to_owned(), text: text.to_owned() };
    let names = Names::of(&file(
        "src/a/b.rs",
        "pub use crate::c::D as E; use super::f::{g, h}; pub(super) struct I; struct J; words! { /// K\n K { A = \"a\" } }\n\
         fn l(reason: &str) { reason.starts_with(\"m\"); n::o(); } #[cfg(test)] mod tests { use crate::p; }",
    ));
    assert_eq!(names.module, ["crate", "a", "b"]);
    assert_eq!(names.public_types, ["I", "K"]);
    assert_eq!(names.passed_on["E"], ["crate", "c", "D"]);
    let paths: Vec<String> = names.paths.iter().map(|path| path.join("::")).collect();
    assert_eq!(paths, ["crate::a::b::n::o", "crate::a::f::g", "crate::a::f::h", "crate::c::D"]);
    assert_eq!(names.taken_apart.len(), 1);
}
