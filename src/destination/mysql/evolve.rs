//! How MySQL's columns evolve: what they hold, and how new ones are declared.

use super::session::{Outcome, Session, failed};
use super::table::LiveTable;
use super::types::{Dialect, NAME_CHARACTERS_MAX, key_lengths, length_of, quoted};
use crate::batch::ColumnType::{Binary, Json};
use crate::batch::{Column, ColumnType};
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
        engine: "MySQL",
        // InnoDB has 1017, one of which may number staged rows.
        columns_max: 1016,
        twins: "differ in their case alone",
        name_fault: |name| (!is_name(name)).then(|| format!("1 to {NAME_CHARACTERS_MAX} characters below U+10000, no space at its end")),
    };

    fn has(&mut self, column: &LiveColumn, condition: &str) -> Outcome<bool> {
        let (table, name) = (self.session.table(&self.table.name), quoted(&column.name));
        let found = self.session.number(&format!("SELECT EXISTS (SELECT 1 FROM {table} WHERE {name} {condition})"));
        let found = found.map_err(failed(format_args!("looking at the values of {}.{}", self.table.name, column.name)))?;
        Ok(found > 0)
    }

    fn own_type(&self, declared: &str) -> Option<ColumnType> {
        self.session.dialect.of_declaration(declared)
    }

    fn is_declaration(&self, declared: &str, column_type: ColumnType) -> bool {
        self.session.dialect.declaration(column_type) == declared
    }

    fn keeps(&self, declared: &str, new: ColumnType) -> bool {
        self.session.dialect.keeps(declared, new)
    }

    fn is_still(&self, declared: &str, published: ColumnType) -> bool {
        let dialect = self.session.dialect;
        let own = dialect.of_declaration(declared);
        own.is_some_and(|own| dialect.declaration(own) == dialect.declaration(published)) || dialect.keeps(declared, published)
    }
}

impl Layout {
    /// Returns how a column is declared that no table has yet: an index has to take those of the key.
    pub(super) fn fresh(&self, dialect: Dialect, column: &Column) -> String {
        let is_key = |name: &str| self.key.iter().any(|key| key.eq_ignore_ascii_case(name));
        let plain = dialect.declaration(column.column_type);
        if !is_key(&column.name) {
            return plain;
        }
        let types: Vec<ColumnType> =
            self.batch.columns.iter().filter(|column| is_key(&column.name)).map(|column| column.column_type).collect();
        let (characters, bytes) = key_lengths(&types, dialect);
        match column.column_type {
            Binary => format!("varbinary({bytes})"),
            other if dialect.is_text(other) || other == Json => format!("varchar({characters}) COLLATE {}", dialect.collation()),
            _ => plain,
        }
    }

    /// Returns how long the values of each column of the batches may be, where it isn't as long as anybody likes.
    pub(super) fn limits(&self, dialect: Dialect, live: Option<&LiveTable>) -> Vec<Option<usize>> {
        let limit = |column: &Column| {
            let there = live.and_then(|live| live.column(&column.name)).and_then(|there| length_of(&there.declared));
            let own = length_of(&self.fresh(dialect, column));
            there.into_iter().chain(own).min()
        };
        self.batch.columns.iter().map(limit).collect()
    }
}

/// Whether the engine keeps a name as it is (MySQL 8.0, "9.2 Schema Object Names").
pub(super) fn is_name(name: &str) -> bool {
    let is_kept = |character: char| character != '\0' && u32::from(character) < 0x1_0000;
    !name.is_empty() && !name.ends_with(' ') && name.chars().count() <= NAME_CHARACTERS_MAX && name.chars().all(is_kept)
}
