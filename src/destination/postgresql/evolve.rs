//! How PostgreSQL's columns evolve: what they hold, and what alters them.

use super::session::{Outcome, Session, failed};
use super::table::LiveTable;
use super::types::{NAME_BYTES_MAX, conversion, declaration, keeps, of_declaration, quoted};
use crate::batch::{Column, ColumnType};
use crate::destination::DestinationError;
use crate::destination::evolution::{Engine, Layout, LiveColumn, OldRows, Rules, There};

/// A table that can be looked at.
pub(super) struct Live<'a> {
    table: &'a LiveTable,
    session: &'a mut Session,
}

/// Makes of a table what can be looked at.
pub(super) fn there<'a>(table: &'a LiveTable, session: &'a mut Session, old_rows: OldRows) -> There<'a, Live<'a>> {
    There { columns: &table.columns, engine: Live { table, session }, old_rows }
}

impl Engine for Live<'_> {
    const RULES: Rules = Rules {
        engine: "PostgreSQL",
        // PostgreSQL 15, appendix K.
        columns_max: 1600,
        twins: "differ in their case alone",
        name_fault: |name| {
            let is_name = !name.is_empty() && name.len() <= NAME_BYTES_MAX && !name.contains('\0');
            (!is_name).then(|| format!("1 to {NAME_BYTES_MAX} bytes"))
        },
    };

    fn has(&mut self, column: &LiveColumn, condition: &str) -> Outcome<bool> {
        let (table, name) = (self.session.table(&self.table.name), quoted(&column.name));
        let found = self.session.rows(&format!("SELECT EXISTS (SELECT 1 FROM {table} WHERE {name} {condition})"), &[]);
        let found = found.map_err(failed(format_args!("looking at the values of {}.{}", self.table.name, column.name)))?;
        Ok(found.first().is_some_and(|row| row.get(0)))
    }

    fn own_type(&self, declared: &str) -> Option<ColumnType> {
        of_declaration(declared)
    }

    fn is_declaration(&self, declared: &str, column_type: ColumnType) -> bool {
        declaration(column_type) == declared
    }

    fn keeps(&self, declared: &str, new: ColumnType) -> bool {
        keeps(declared, new)
    }

    fn is_still(&self, declared: &str, published: ColumnType) -> bool {
        declaration(published) == declared || keeps(declared, published)
    }
}

impl Layout {
    /// Returns the columns that the load fills and leaves as they are declared.
    pub(super) fn filled(&self) -> Vec<&str> {
        let redeclared = self.redeclared();
        let names = self.batch.columns.iter().map(|column| column.name.as_str());
        names.filter(|name| redeclared.iter().all(|(changed, _, _)| changed != name)).collect()
    }
}

/// Returns what brings a table to the load's columns; `name` is SQL.
pub(super) fn alter_sql(name: &str, layout: &Layout) -> Vec<String> {
    let widened = layout.redeclared().into_iter().filter(|(_, from, to)| declaration(*from) != declaration(*to));
    let widen = |(column, from, to): (&str, ColumnType, ColumnType)| {
        let column = quoted(column);
        format!("ALTER TABLE {name} ALTER COLUMN {column} TYPE {} USING {}", declaration(to), conversion(&column, from, to))
    };
    let add = |column: &Column| format!("ALTER TABLE {name} ADD COLUMN {} {}", quoted(&column.name), declaration(column.column_type));
    widened.map(widen).chain(layout.added().map(add)).collect()
}

/// Makes an error of ours of an ALTER TABLE that failed.
pub(super) fn altered(result: Result<u64, postgres::Error>, what: &str) -> Outcome<()> {
    result.map(|_| ()).map_err(|error| {
        let is_used = error.code().is_some_and(|state| state.code() == "0A000");
        let error = failed(what)(error);
        let hint = "change the column by hand with all that depends on it, or give the source another target";
        if is_used { DestinationError { code: "schema_clash", hint: Some(hint.to_owned()), ..error } } else { error }
    })
}
