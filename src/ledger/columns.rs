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
pub(super) struct ColumnIndex(HashMap<String, usize>);

impl ColumnIndex {
    pub(super) fn of(statement: &Statement<'_>) -> Self {
        // The first of two columns with one name counts, as it does in rusqlite.
        let names = statement.column_names().enumerate().rev();
        Self(names.map(|(index, name)| (name.to_owned(), index)).collect())
    }

    pub(super) fn on<'a>(&'a self, columns: &'a Columns<'a>) -> IndexedRow<'a> {
        IndexedRow { index: self, columns }
    }
}

/// A row whose columns are found at once.
pub(super) struct IndexedRow<'a> {
    index: &'a ColumnIndex,
    columns: &'a Columns<'a>,
}

impl NamedColumns for IndexedRow<'_> {
    fn get<T: FromSql>(&self, name: &str) -> rusqlite::Result<T> {
        let found = self.index.0.get(name);
        self.columns.get(*found.ok_or_else(|| rusqlite::Error::InvalidColumnName(name.to_owned()))?)
    }
}
