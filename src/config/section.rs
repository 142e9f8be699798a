//! A section of a file, read key by key. Opening it reports unknown keys; reading a key reports what is wrong with its
//! value; so all faults of a file come out of one walk.

use std::marker::PhantomData;

use toml::de::{DeTable, DeValue};

use crate::config::key::{Key, Many, NamedSections, One, Shape};
use crate::config::reading::{Place, clip, did_you_mean};
use crate::config::value::{Node, Value};

/// A section whose keys are those of `S`.
pub(super) struct Section<'a, S> {
    /// `rule.select`; empty for the file itself.
    path: String,
    table: &'a DeTable<'a>,
    at: Place<'a>,
    shape: PhantomData<S>,
}

impl<'a, S: Shape> Section<'a, S> {
    pub(super) fn root(table: &'a DeTable<'a>, at: Place<'a>) -> Self {
        Self::open(String::new(), table, at)
    }

    fn open(path: String, table: &'a DeTable<'a>, at: Place<'a>) -> Self {
        let section = Self { path, table, at, shape: PhantomData };
        for key in table.keys().filter(|key| !S::NAMES.contains(&key.get_ref().as_ref())) {
            section.report_unknown(key.get_ref(), at.moved(key.span().start).of_key(key.get_ref()));
        }
        section
    }

    fn report_unknown(&self, key: &str, at: Place<'_>) {
        if is_secret(key) {
            return report_secret::<S>(key, at);
        }
        let message = format!("unknown key `{}` in {}", clip(key), self.title());
        match S::ELSEWHERE.iter().find(|(name, _)| *name == key) {
            Some((_, hint)) => at.fault(message, *hint),
            None => at.fault(message, did_you_mean(key, S::NAMES.iter().copied(), "known keys are")),
        }
    }

    /// How the section is called in a message.
    pub(super) fn title(&self) -> String {
        if self.path.is_empty() { "this file".to_owned() } else { format!("`[{}]`", clip(&self.path)) }
    }

    /// The name under which it stands: `dev` of `[connection.dev]`.
    pub(super) fn name(&self) -> &str {
        self.path.split_once('.').map_or(self.path.as_str(), |(_, name)| name)
    }

    /// Where the section begins.
    pub(super) fn place(&self) -> Place<'a> {
        self.at
    }

    /// Where the value of a key stands, or else the section.
    pub(super) fn place_of<T>(&self, key: impl Fn(S) -> Key<T>) -> Place<'a> {
        let name = key(S::KEYS).name;
        let at = self.at.of_key(name);
        self.table.get(name).map_or(at, |value| at.moved(value.span().start))
    }

    /// True where the key is given, right or wrong.
    pub(super) fn has<T>(&self, key: impl Fn(S) -> Key<T>) -> bool {
        self.table.contains_key(key(S::KEYS).name)
    }

    /// The names in the table under a key.
    pub(super) fn names<T>(&self, key: impl Fn(S) -> Key<T>) -> Vec<String> {
        match self.table.get(key(S::KEYS).name).map(toml::Spanned::get_ref) {
            Some(DeValue::Table(table)) => table.keys().map(|name| name.get_ref().to_string()).collect(),
            _ => Vec::new(),
        }
    }

    /// The value of a key, where it is given and right.
    pub(super) fn get<T: Value>(&self, key: impl Fn(S) -> Key<T>) -> Option<T> {
        T::read(self.node(key(S::KEYS))?)
    }

    /// The value of a key that must be given.
    pub(super) fn need<T: Value>(&self, key: impl Fn(S) -> Key<T>) -> Option<T> {
        self.report_missing(key(S::KEYS));
        self.get(key)
    }

    pub(super) fn section<T: Shape>(&self, key: impl Fn(S) -> Key<One<T>>) -> Option<Section<'a, T>> {
        let key = key(S::KEYS);
        open_child(self.path_of(key.name), self.node(key)?)
    }

    /// The section under a key that must be given.
    pub(super) fn need_section<T: Shape>(&self, key: impl Fn(S) -> Key<One<T>>) -> Option<Section<'a, T>> {
        self.report_missing(key(S::KEYS));
        self.section(key)
    }
    pub(super) fn sections<T: Shape>(&self, key: impl Fn(S) -> Key<Many<T>>) -> Vec<Section<'a, T>> {
        let key = key(S::KEYS);
        let Some(node) = self.node(key) else { return Vec::new() };
        let path = self.path_of(key.name);
        let hint = format!("write `[[{path}]]` before each of them");
        let DeValue::Array(items) = node.value else {
            let message = format!("`{}` takes sections in double brackets, not {}", key.name, node.found());
            node.at.fault(message, hint);
            return Vec::new();
        };
        if items.is_empty() {
            node.at.fault(format!("`{}` is an empty list", key.name), hint);
        }
        let item = |value: &'a toml::Spanned<DeValue<'a>>| Node {
            value: value.get_ref(),
            at: self.at.moved(value.span().start),
            ..node
        };
        items.iter().filter_map(|value| open_child(format!("[{path}]"), item(value))).collect()
    }

    /// The sections under a key, each with a name, in the names' order.
    pub(super) fn named<T: Shape>(&self, key: impl Fn(S) -> Key<NamedSections<T>>) -> Vec<Section<'a, T>> {
        let key = key(S::KEYS);
        let Some(node) = self.node(key) else { return Vec::new() };
        let DeValue::Table(table) = node.value else {
            node.mismatch::<()>("sections that each have a name");
            return Vec::new();
        };
        let mut sections = Vec::new();
        for (name, value) in table {
            let at = self.at.moved(value.span().start);
            match value.get_ref() {
                DeValue::Table(table) => {
                    sections.push(Section::open(format!("{}.{}", key.name, name.get_ref()), table, at));
                }
                _ => report_nameless::<T>(key.name, name.get_ref(), self.at.moved(name.span().start)),
            }
        }
        sections
    }

    fn path_of(&self, key: &str) -> String {
        let path = self.path.trim_matches(['[', ']']);
        if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
    }

    fn node<T>(&self, key: Key<T>) -> Option<Node<'a>> {
        let value = self.table.get(key.name)?;
        let at = self.at.moved(value.span().start).of_key(key.name);
        Some(Node { key: key.name, example: key.example, required: key.is_required(), value: value.get_ref(), at })
    }

    fn report_missing<T>(&self, key: Key<T>) {
        if !self.table.contains_key(key.name) {
            let message = format!("`{}` is missing in {}", key.name, self.title());
            self.at.of_key(key.name).fault(message, format!("for example `{} = {}`", key.name, key.example));
        }
    }
}

fn open_child<T: Shape>(path: String, node: Node<'_>) -> Option<Section<'_, T>> {
    match node.value {
        DeValue::Table(table) => Some(Section::open(path, table, node.at)),
        _ => node.refuse_with(
            format!("`{}` takes a section, not {}", node.key, node.found()),
            format!("write `[{path}]` above its keys"),
        ),
    }
}

fn report_secret<S: Shape>(key: &str, at: Place<'_>) {
    at.fault(format!("`{}` is a secret, and this file must not contain secrets", clip(key)), S::SECRETS);
}

/// A key stands in `[section]` itself, where only names of sections of the shape `S` do.
fn report_nameless<S: Shape>(section: &str, key: &str, at: Place<'_>) {
    if is_secret(key) {
        return report_secret::<S>(key, at);
    }
    let hint = format!("write `[{section}.NAME]` above it");
    at.fault(format!("`{}` in `[{section}]` is not under a name", clip(key)), hint);
}

/// True for the name of a key that would hold a secret itself.
fn is_secret(key: &str) -> bool {
    const ENDINGS: [&str; 8] =
        ["password", "passwd", "passphrase", "secret", "token", "apikey", "privatekey", "authorization"];
    let bare = key.to_lowercase().replace(['_', '-', '.'], "");
    ENDINGS.iter().any(|ending| bare.ends_with(ending)) || bare == "key" || bare == "pwd"
}
