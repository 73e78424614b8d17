//! A table as it stands in the catalogue: its name and its columns.

use super::session::{Outcome, Session, failed, refusal};
use super::types::{declaration, of_declaration, quoted, takes};
use crate::batch::Column;
use crate::destination::evolution::LiveColumn;

/// A table that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LiveTable {
    pub oid: u32,
    /// Its name as the catalogue has it.
    pub name: String,
    pub columns: Vec<LiveColumn>,
}

/// A name that differs in its case alone is the same table, as it is everywhere in a job; an exact one comes first.
const FIND: &str = "SELECT c.oid, c.relname::text, c.relkind::text, \
     EXISTS (SELECT FROM pg_inherits i JOIN pg_class k ON k.oid = i.inhrelid WHERE i.inhparent = c.oid AND NOT k.relispartition) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
     WHERE n.nspname = $1 AND (c.relname = $2 OR (lower(c.relname) = lower($2) AND c.relkind IN ('r', 'p'))) \
     ORDER BY c.relname = $2 DESC, c.relname LIMIT 1";

const COLUMNS: &str = "SELECT attname::text, format_type(atttypid, atttypmod), attgenerated <> '' FROM pg_attribute \
     WHERE attrelid = $1::oid AND attnum > 0 AND NOT attisdropped ORDER BY attnum";

impl LiveTable {
    /// Reads the table of that name; `None` where there is none.
    ///
    /// # Errors
    /// Something else of that name: a view, an index, a sequence, a foreign table.
    pub(super) fn read(session: &mut Session, target: &str) -> Outcome<Option<Self>> {
        let schema = session.schema.clone();
        let what = format!("reading table {target}");
        let found = session.rows(FIND, &[Some(&schema), Some(target)]).map_err(failed(&what))?;
        let Some(row) = found.first() else { return Ok(None) };
        let (oid, name, kind): (u32, String, String) = (row.get(0), row.get(1), row.get(2));
        let kind = match kind.as_str() {
            "r" | "p" => None,
            "v" => Some("a view"),
            "m" => Some("a materialized view"),
            "f" => Some("a foreign table"),
            "i" | "I" => Some("an index"),
            "S" => Some("a sequence"),
            _ => Some("a type"),
        };
        if let Some(kind) = kind {
            return Err(refusal("target_not_a_table", format!("{name} is {kind}, not a table"), "give the source another `target`"));
        }
        if row.get(3) {
            let message = format!("other tables inherit from {name}: to replace its rows would be to delete theirs");
            return Err(refusal("target_not_a_table", message, "give the source another `target`, one of those that inherit for instance"));
        }
        let columns = session.rows(COLUMNS, &[Some(&oid.to_string())]).map_err(failed(&what))?;
        let columns = columns.iter().map(|row| LiveColumn { name: row.get(0), declared: row.get(1), is_generated: row.get(2) }).collect();
        Ok(Some(Self { oid, name, columns }))
    }

    pub(super) fn column(&self, name: &str) -> Option<&LiveColumn> {
        self.columns.iter().find(|column| column.name.eq_ignore_ascii_case(name))
    }

    /// Whether a column that is there takes the values of a column of a load as COPY BINARY sends them.
    pub(super) fn takes(&self, column: &Column) -> bool {
        self.column(&column.name).is_none_or(|there| takes(&there.declared, column.column_type))
    }

    /// Returns how a column of the target is declared: as it is there, else by its type.
    pub(super) fn declared(live: Option<&Self>, column: &Column) -> String {
        match live.and_then(|live| live.column(&column.name)) {
            Some(there) if of_declaration(&there.declared).is_none() => there.declared.clone(),
            _ => declaration(column.column_type),
        }
    }
}

/// What becomes of a staging table when the server crashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Durability {
    /// It becomes the target.
    Logged,
    /// It is emptied, and the load with it fails.
    Unlogged,
}

/// Returns the SQL that makes a table of declared columns; `name` is SQL.
pub(super) fn create_sql<'a>(name: &str, durability: Durability, columns: impl IntoIterator<Item = (&'a str, String)>) -> String {
    let list: Vec<String> = columns.into_iter().map(|(name, declared)| format!("{} {declared}", quoted(name))).collect();
    let unlogged = if durability == Durability::Unlogged { "UNLOGGED " } else { "" };
    format!("CREATE {unlogged}TABLE {name} ({})", list.join(", "))
}

/// Returns the columns that a type of ours gives: what staging tables are made of.
pub(super) fn of_types(columns: &[Column]) -> impl Iterator<Item = (&str, String)> {
    columns.iter().map(|column| (column.name.as_str(), declaration(column.column_type)))
}
