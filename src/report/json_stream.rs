//! A JSON document that is written piece by piece, because it is larger than memory should be. Looks exactly like what
//! `serde_json` makes of a whole value.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{Formatter, PrettyFormatter, Serializer};

pub(super) struct JsonStream<W> {
    out: W,
    form: PrettyFormatter<'static>,
    /// The lists and objects that are open.
    open: Vec<Open>,
}

#[derive(Debug, Clone, Copy)]
enum Open {
    List { is_empty: bool },
    Object { is_empty: bool },
}

impl<W: Write> JsonStream<W> {
    /// Nothing is written yet.
    pub(super) fn new(out: W) -> Self {
        Self { out, form: PrettyFormatter::new(), open: Vec::new() }
    }

    pub(super) fn list(&mut self) -> io::Result<()> {
        self.before_value()?;
        self.open.push(Open::List { is_empty: true });
        self.form.begin_array(&mut self.out)
    }

    pub(super) fn object(&mut self) -> io::Result<()> {
        self.before_value()?;
        self.open.push(Open::Object { is_empty: true });
        self.form.begin_object(&mut self.out)
    }

    /// The name of the field that comes next in the innermost object.
    pub(super) fn key(&mut self, name: &str) -> io::Result<()> {
        if let Some(Open::Object { is_empty }) = self.open.last_mut() {
            self.form.begin_object_key(&mut self.out, std::mem::take(is_empty))?;
        }
        serde_json::to_writer(&mut self.out, name)?;
        self.form.end_object_key(&mut self.out)
    }
    pub(super) fn field(&mut self, name: &str, value: &impl Serialize) -> io::Result<()> {
        self.key(name)?;
        self.value(value)
    }

    pub(super) fn value(&mut self, value: &impl Serialize) -> io::Result<()> {
        self.before_value()?;
        value.serialize(&mut Serializer::with_formatter(&mut self.out, Lent(&mut self.form)))?;
        self.after_value()
    }

    /// Closes the innermost list or object.
    pub(super) fn close(&mut self) -> io::Result<()> {
        match self.open.pop() {
            Some(Open::List { .. }) => self.form.end_array(&mut self.out)?,
            Some(Open::Object { .. }) => self.form.end_object(&mut self.out)?,
            None => {}
        }
        self.after_value()
    }

    /// Ends the document with a line end.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        self.out.write_all(b"\n")?;
        self.out.flush()
    }

    fn before_value(&mut self) -> io::Result<()> {
        match self.open.last_mut() {
            Some(Open::List { is_empty }) => self.form.begin_array_value(&mut self.out, std::mem::take(is_empty)),
            Some(Open::Object { .. }) => self.form.begin_object_value(&mut self.out),
            None => Ok(()),
        }
    }

    fn after_value(&mut self) -> io::Result<()> {
        match self.open.last() {
            Some(Open::List { .. }) => self.form.end_array_value(&mut self.out),
            Some(Open::Object { .. }) => self.form.end_object_value(&mut self.out),
            None => Ok(()),
        }
    }
}

/// The formatter of the whole document, lent to the serializer of one value, which goes on at its depth.
struct Lent<'a>(&'a mut PrettyFormatter<'static>);

macro_rules! lends {
    ($($name:ident($($more:ident: $kind:ty)?)),+ $(,)?) => {
        impl Formatter for Lent<'_> {
            $(fn $name<W: ?Sized + Write>(&mut self, out: &mut W $(, $more: $kind)?) -> io::Result<()> {
                self.0.$name(out $(, $more)?)
            })+
        }
    };
}

lends!(
    begin_array(),
    end_array(),
    begin_array_value(first: bool),
    end_array_value(),
    begin_object(),
    end_object(),
    begin_object_key(first: bool),
    end_object_key(),
    begin_object_value(),
    end_object_value(),
);

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::JsonStream;

    #[test]
    fn pieces_look_like_the_whole() {
        let row = json!({ "a": [1, { "b": [] }], "c": {}, "d": "\"\n" });
        let whole = json!({ "empty": [], "rows": [[row, 2], {}], "z": null });
        let mut bytes = Vec::new();
        let mut pieces = JsonStream::new(&mut bytes);
        pieces.object().unwrap();
        pieces.key("empty").unwrap();
        pieces.list().unwrap();
        pieces.close().unwrap();
        pieces.key("rows").unwrap();
        pieces.list().unwrap();
        pieces.list().unwrap();
        pieces.value(&row).unwrap();
        pieces.value(&2).unwrap();
        pieces.close().unwrap();
        pieces.object().unwrap();
        pieces.close().unwrap();
        pieces.close().unwrap();
        pieces.field("z", &None::<u8>).unwrap();
        pieces.close().unwrap();
        pieces.finish().unwrap();
        assert_eq!(String::from_utf8(bytes).unwrap(), format!("{whole:#}\n"));
    }
}
