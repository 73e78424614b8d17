//! How SQLite's columns evolve: what they hold, and which must be stored otherwise.

use rusqlite::Connection;

use super::failure::{Outcome, failed};
use super::rewrite;
use super::table::LiveTable;
use super::types::{Affinity, affinity, conversion, declaration, quoted};
use crate::batch::ColumnType;
use crate::batch::ColumnType::Text;
use crate::destination::evolution::{Engine, Layout, LiveColumn, OldRows, Rules, There};
use crate::plan::SchemaChange;

/// A table that can be looked at.
pub(super) struct Live<'a> {
    table: &'a LiveTable,
    connection: &'a Connection,
}

/// Makes of a table what can be looked at.
pub(super) fn there<'a>(table: &'a LiveTable, connection: &'a Connection, old_rows: OldRows) -> There<'a, Live<'a>> {
    There { columns: &table.columns, engine: Live { table, connection }, old_rows }
}

impl Engine for Live<'_> {
    const RULES: Rules = Rules {
        engine: "SQLite",
        // <https://www.sqlite.org/limits.html>, 2.
        columns_max: 2000,
        twins: "are one name in SQLite",
        name_fault: |_| None,
    };

    fn has(&mut self, column: &LiveColumn, condition: &str) -> Outcome<bool> {
        let (table, name) = (quoted(&self.table.name), quoted(&column.name));
        let sql = format!("SELECT EXISTS (SELECT 1 FROM {table} WHERE {name} {condition})");
        let found = self.connection.query_row(&sql, [], |row| row.get(0));
        found.map_err(failed(format_args!("looking at the values of {}.{}", self.table.name, column.name)))
    }

    fn own_type(&self, declared: &str) -> Option<ColumnType> {
        match Affinity::of_declaration(declared) {
            Affinity::Integer => Some(ColumnType::Int64),
            Affinity::Real => Some(ColumnType::Float64),
            Affinity::Text => Some(Text),
            Affinity::Blob => Some(ColumnType::Binary),
            Affinity::Numeric => None,
        }
    }

    /// What is stored alike is the same to SQLite; a column without an affinity stores everything as it is.
    fn is_declaration(&self, declared: &str, column_type: ColumnType) -> bool {
        let there = Affinity::of_declaration(declared);
        there == Affinity::Blob || there == affinity(column_type)
    }

    /// A NUMERIC column bends what looks like a number: `1.10`.
    fn keeps(&self, _: &str, new: ColumnType) -> bool {
        use ColumnType::*;
        matches!(
            new,
            Boolean | Int16 | Int32 | Int64 | Date | Time | TimeNanos | Timestamp | TimestampNanos | TimestampUtc | TimestampNanosUtc
        )
    }

    fn is_still(&self, declared: &str, published: ColumnType) -> bool {
        affinity(published) == Affinity::of_declaration(declared)
    }

    fn can_settle(&self, column: &LiveColumn, new: ColumnType) -> bool {
        let types = [(column.name.as_str(), declaration(new))];
        declaration(new) == declaration(Text) || rewrite::retyped(self.table, &self.table.name, &types).is_some()
    }
}

impl Layout {
    /// Returns the SQL of the widened value of a column, where the values that are there are stored otherwise.
    pub(super) fn conversion_of(&self, name: &str, quoted: &str) -> Option<String> {
        self.changes.iter().find_map(|change| match change {
            SchemaChange::Widened { column, from, to } if column == name => conversion(quoted, *from, *to),
            _ => None,
        })
    }

    /// Whether a column that is there must be stored otherwise.
    pub(super) fn needs_rebuild(&self) -> bool {
        self.changes.iter().any(|change| match change {
            SchemaChange::Widened { from, to, .. } => affinity(*from) != affinity(*to) || conversion("c", *from, *to).is_some(),
            SchemaChange::Settled { from, to, .. } => affinity(*from) != affinity(*to),
            SchemaChange::Added { .. } | SchemaChange::Gone { .. } => false,
        })
    }

    /// Returns the columns whose declaration is another word from now on, with that word.
    pub(super) fn declarations(&self) -> Vec<(&str, &'static str)> {
        let changed = self.redeclared().into_iter().filter(|(_, from, to)| declaration(*from) != declaration(*to));
        changed.map(|(column, _, to)| (column, declaration(to))).collect()
    }
}
