//! The values of keys: what a node of the file must be to be one, and what is said where it is not.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};
use toml::de::DeValue;

use crate::config::key::Typed;
use crate::config::reading::{Place, clip, nearest};
use crate::domain::words::Word;

/// The most items a list may have.
const MOST_ITEMS: usize = 1_000;

#[derive(Clone, Copy)]
pub(super) struct Node<'a> {
    pub(super) key: &'a str,
    /// What would be right, as TOML.
    pub(super) example: &'static str,
    /// True where the key cannot be left out.
    pub(super) required: bool,
    pub(super) value: &'a DeValue<'a>,
    pub(super) at: Place<'a>,
}

/// A type that values are read as.
pub(super) trait Value: Typed + Sized {
    /// Reads `node`, or reports why it is none.
    fn read(node: Node<'_>) -> Option<Self>;
}

impl<'a> Node<'a> {
    pub(super) fn text(self, what: &str) -> Option<&'a str> {
        match self.value {
            DeValue::String(text) => Some(text),
            _ => self.mismatch(what),
        }
    }

    /// Reports that something of another kind stands here; never shows it.
    pub(super) fn mismatch<T>(self, what: &str) -> Option<T> {
        self.refuse(format!("`{}` takes {what}, not {}", self.key, self.found()))
    }

    /// Reports `message`; the hint is the key's example.
    pub(super) fn refuse<T>(self, message: String) -> Option<T> {
        self.refuse_with(message, self.for_example())
    }

    /// Reports `message` and `hint`.
    pub(super) fn refuse_with<T>(self, message: impl Into<String>, hint: impl Into<String>) -> Option<T> {
        self.at.fault(message, hint);
        None
    }

    /// A hint that shows what would be right.
    pub(super) fn for_example(self) -> String {
        let bare = self.key.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b));
        let quote = if bare { "" } else { "\"" };
        format!("for example `{quote}{}{quote} = {}`", clip(self.key), self.example)
    }

    fn refuse_empty<T>(self, what: &str) -> Option<T> {
        let otherwise = if self.required { "" } else { ", or leave it out" };
        self.refuse_with(format!("`{}` is an empty {what}", self.key), format!("{}{otherwise}", self.for_example()))
    }

    /// What stands here, with its article.
    pub(super) fn found(self) -> &'static str {
        match self.value {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "a whole number",
            DeValue::Float(_) => "a number",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date or time",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        }
    }

    /// The items of the list that it must be; an empty one is refused.
    pub(super) fn items(self, what: &str) -> Option<Vec<Node<'a>>> {
        let DeValue::Array(items) = self.value else { return self.mismatch(what) };
        if items.is_empty() {
            return self.refuse_empty("list");
        }
        if items.len() > MOST_ITEMS {
            let message = format!("`{}` lists {} items, and {MOST_ITEMS} are allowed", self.key, items.len());
            return self.refuse_with(message, "use a glob, or several rules");
        }
        let item = |item: &'a toml::Spanned<DeValue<'a>>| {
            let at = self.at.moved(item.span().start);
            Node { value: item.get_ref(), at, ..self }
        };
        Some(items.iter().map(item).collect())
    }
}

impl Typed for bool {
    const WHAT: &'static str = "true or false";

    fn schema() -> Json {
        json!({ "type": "boolean" })
    }
}

impl Value for bool {
    fn read(node: Node<'_>) -> Option<Self> {
        match node.value {
            DeValue::Boolean(fact) => Some(*fact),
            _ => node.mismatch(Self::WHAT),
        }
    }
}

/// A list of at least one item.
impl<T: Typed> Typed for Vec<T> {
    const WHAT: &'static str = "a list";

    fn schema() -> Json {
        json!({ "type": "array", "items": T::schema(), "minItems": 1 })
    }
}

impl<T: Value> Value for Vec<T> {
    fn read(node: Node<'_>) -> Option<Self> {
        let items = node.items(Self::WHAT)?;
        let count = items.len();
        let read: Self = items.into_iter().filter_map(T::read).collect();
        (read.len() == count).then_some(read)
    }
}

/// A table of names and values, of at least one.
impl<T: Typed> Typed for BTreeMap<String, T> {
    const WHAT: &'static str = "a table of names and values";

    fn schema() -> Json {
        json!({ "type": "object", "additionalProperties": T::schema(), "minProperties": 1 })
    }
}

impl<T: Value> Value for BTreeMap<String, T> {
    fn read(node: Node<'_>) -> Option<Self> {
        let DeValue::Table(table) = node.value else { return node.mismatch(Self::WHAT) };
        if table.is_empty() {
            return node.refuse_empty("table");
        }
        let mut read = Self::new();
        for (name, value) in table {
            let at = node.at.moved(value.span().start);
            let item = Node { key: name.get_ref(), example: T::EXAMPLE, value: value.get_ref(), at, ..node };
            if item.value.is_table() {
                let message =
                    format!("`{}` has a dot without quotes, which means a table inside a table", clip(name.get_ref()));
                item.refuse_with::<T>(message, "put a name that has dots in quotes, as in `\"infer.s\"`");
            } else if let Some(value) = T::read(item) {
                read.insert(name.get_ref().to_string(), value);
            }
        }
        (read.len() == table.len()).then_some(read)
    }
}

impl<T: Word> Typed for T {
    const WHAT: &'static str = "a word in quotes";

    fn schema() -> Json {
        let words: Vec<&str> = T::ALL.iter().map(|value| value.word()).collect();
        json!({ "type": "string", "enum": words })
    }
}

impl<T: Word> Value for T {
    fn read(node: Node<'_>) -> Option<Self> {
        let text = node.text(Self::WHAT)?;
        if let Some(value) = T::ALL.iter().find(|value| value.word() == text) {
            return Some(*value);
        }
        let words: Vec<String> = T::ALL.iter().map(|value| format!("`{}`", value.word())).collect();
        let hint = match nearest(text, T::ALL.iter().map(|value| value.word())) {
            Some(word) => format!("did you mean `{word}`?"),
            None => node.for_example(),
        };
        node.refuse_with(
            format!("`{}` is not a valid `{}`: allowed are {}", clip(text), node.key, words.join(", ")),
            hint,
        )
    }
}
