//! Columns by their names. rusqlite compares a name with each column's in turn, which costs more than the row itself
//! where there are forty columns and thousands of rows.

use std::collections::HashMap;

use rusqlite::types::FromSql;
use rusqlite::{Row as Columns, Statement};

/// Something whose columns can be read by name.
pub(super) trait NamedColumns {
    /// The column called `name`.
    fn get<T: FromSql>(&self, name: &str) -> rusqlite::Result<T>;
}

impl NamedColumns for Columns<'_> {
    fn get<T: FromSql>(&self, name: &str) -> rusqlite::Result<T> {
        Columns::get(self, name)
    }
}

/// Where the columns of a statement are.
pub(super) struct Places(HashMap<String, usize>);

impl Places {
    pub(super) fn of(statement: &Statement<'_>) -> Self {
        // The first of two columns with one name counts, as it does in rusqlite.
        let names = statement.column_names().enumerate().rev();
        Self(names.map(|(index, name)| (name.to_owned(), index)).collect())
    }

    /// One row of that statement.
    pub(super) fn on<'a>(&'a self, columns: &'a Columns<'a>) -> Placed<'a> {
        Placed { places: self, columns }
    }
}

/// A row whose columns are found at once.
pub(super) struct Placed<'a> {
    places: &'a Places,
    columns: &'a Columns<'a>,
}

impl NamedColumns for Placed<'_> {
    fn get<T: FromSql>(&self, name: &str) -> rusqlite::Result<T> {
        let place = self.places.0.get(name);
        self.columns.get(*place.ok_or_else(|| rusqlite::Error::InvalidColumnName(name.to_owned()))?)
    }
}
