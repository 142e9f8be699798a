//! The keys of a section: each has a name, a sentence, an example and, as its type, what its value is. Reading, hints
//! and JSON Schema all come from here, so that they cannot drift apart.

use std::marker::PhantomData;

use serde_json::{Value as Json, json};

/// Whether a key must be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    Required,
    /// Not always, and nothing stands in for it.
    Optional,
    /// Its example is what holds without it.
    Default,
}

/// A key whose value is a `T`.
pub(super) struct Key<T> {
    pub(super) name: &'static str,
    doc: &'static str,
    pub(super) example: &'static str,
    need: Need,
    value: PhantomData<fn() -> T>,
}

impl<T> Clone for Key<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Key<T> {}

impl<T> Key<T> {
    /// A key; made by [`section!`] only.
    pub(super) const fn new(name: &'static str, doc: &'static str, need: Need, example: &'static str) -> Self {
        Self { name, doc, example, need, value: PhantomData }
    }

    /// True where it must be given.
    pub(super) fn is_required(self) -> bool {
        self.need == Need::Required
    }
}

/// What a value is, without one at hand.
pub(super) trait Typed {
    /// What a key takes: `a cron expression in quotes`.
    const WHAT: &'static str;
    /// A value as TOML, where it stands under a name of the user's choice.
    const EXAMPLE: &'static str = "\"…\"";

    /// The JSON Schema of all that is accepted.
    fn schema() -> Json;
}

pub(super) trait AnyKey {
    fn name(&self) -> &'static str;
    /// True where it must be given.
    fn is_required(&self) -> bool;
    /// The JSON Schema of its value, with what it means.
    fn schema(&self) -> Json;
}

impl<T: Typed> AnyKey for Key<T> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn is_required(&self) -> bool {
        (*self).is_required()
    }

    fn schema(&self) -> Json {
        let mut schema = T::schema();
        if let Some(object) = schema.as_object_mut() {
            object.insert("description".to_owned(), json!(sentence(self.doc)));
            if let Some(example) = example(self.example) {
                let (word, value) = match self.need {
                    Need::Default => ("default", example),
                    _ => ("examples", json!([example])),
                };
                object.insert(word.to_owned(), value);
            }
        }
        schema
    }
}

/// A TOML value as JSON, dates as strings; nothing where there is no example.
fn example(text: &str) -> Option<Json> {
    let value: toml::Value = toml::from_str::<toml::Table>(&format!("x = {text}")).ok()?.remove("x")?;
    if value.is_datetime() { Some(json!(value.as_datetime()?.to_string())) } else { serde_json::to_value(value).ok() }
}

/// Doc comment lines as one line.
fn sentence(doc: &str) -> String {
    doc.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The keys that a section knows.
pub(super) trait Shape: Sized + 'static {
    const KEYS: Self;
    const NAMES: &'static [&'static str];
    const DOC: &'static str;
    /// What to do with a secret that was written here.
    const SECRETS: &'static str = "put it into a file of mode 600, a systemd credential or an environment variable";
    /// Keys that belong elsewhere, and where.
    const ELSEWHERE: &'static [(&'static str, &'static str)] = &[];

    /// All keys, as written in the source.
    fn keys() -> Vec<Box<dyn AnyKey>>;
    fn schema() -> Json {
        let keys = Self::keys();
        let properties: serde_json::Map<String, Json> =
            keys.iter().map(|key| (key.name().to_owned(), key.schema())).collect();
        let required: Vec<&str> = keys.iter().filter(|key| key.is_required()).map(|key| key.name()).collect();
        json!({
            "type": "object",
            "description": sentence(Self::DOC),
            "properties": properties,
            "required": required,
            "additionalProperties": false,
        })
    }
}

/// A section of this shape: `[mail]`.
pub(super) struct One<S>(PhantomData<S>);
/// Sections of this shape in order: `[[rule]]`.
pub(super) struct Many<S>(PhantomData<S>);
/// Sections of this shape, each with a name: `[connection.dev]`.
pub(super) struct NamedSections<S>(PhantomData<S>);

impl<S: Shape> Typed for One<S> {
    const WHAT: &'static str = "a section";

    fn schema() -> Json {
        S::schema()
    }
}

impl<S: Shape> Typed for Many<S> {
    const WHAT: &'static str = "sections in double brackets";

    fn schema() -> Json {
        json!({ "type": "array", "items": S::schema(), "minItems": 1 })
    }
}

impl<S: Shape> Typed for NamedSections<S> {
    const WHAT: &'static str = "sections that each have a name";

    fn schema() -> Json {
        json!({ "type": "object", "additionalProperties": S::schema() })
    }
}

/// Declares the keys of a section: a doc comment, name, type, whether it is needed, and an example (or the default)
/// as TOML for each.
macro_rules! section {
    ($(#[doc = $doc:literal])+ $shape:ident {
        $($(#[doc = $sentence:literal])+ $key:ident: $type:ty, $need:ident $example:literal;)+
    } $($more:item)*) => {
        $(#[doc = $doc])+
        pub(super) struct $shape {
            $($(#[doc = $sentence])+ pub(super) $key: $crate::config::key::Key<$type>,)+
        }

        impl $crate::config::key::Shape for $shape {
            const KEYS: Self = Self {
                $($key: $crate::config::key::Key::new(
                    stringify!($key),
                    concat!($($sentence),+),
                    $crate::config::key::Need::$need,
                    $example,
                ),)+
            };
            const NAMES: &'static [&'static str] = &[$(stringify!($key)),+];
            const DOC: &'static str = concat!($($doc),+);
            $($more)*

            fn keys() -> Vec<Box<dyn $crate::config::key::AnyKey>> {
                vec![$(Box::new(Self::KEYS.$key),)+]
            }
        }
    };
}
pub(super) use section;
