//! JSON Schema (draft 2020-12) of both kinds of file, for editors. Made from the keys that the reader itself goes by.

use serde_json::{Value as Json, json};

use crate::config::key::Shape;
use crate::config::main_file::MainKeys;
use crate::config::rule::RuleFileKeys;

/// A kind of file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    Main,
    Rules,
}

/// The schema of files of this kind.
pub fn schema(kind: FileKind) -> Json {
    let (title, mut schema) = match kind {
        FileKind::Main => ("offhours.toml", MainKeys::schema()),
        FileKind::Rules => ("offhours rules", RuleFileKeys::schema()),
    };
    if let Some(object) = schema.as_object_mut() {
        object.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
        object.insert("title".to_owned(), json!(title));
    }
    schema
}
