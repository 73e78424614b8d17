//! A load without effect: what a dry run asks. Rows go into a temporary database that nobody else sees, beside the target, which is only read.

use std::path::Path;

use rusqlite::Connection;

use super::bind::Insert;
use super::failure::{Outcome, failed};
use super::table::{LiveTable, create_sql};
use super::types::{self, listed, quoted};
use super::{Sqlite, checks, evolve, merge, publish, staging};
use crate::batch::{RecordBatch, Schema};
use crate::destination::evolution::{self, Layout};
use crate::destination::{Access, Disposition, Fold, InvalidValue, LoadRequest, Rehearsal};
use crate::plan::SchemaChange;
use crate::run::Counts;

/// The name of the temporary table.
const STAGED: &str = "main.\"staged\"";

/// A load that is only tried.
#[derive(Debug)]
pub(super) struct Trial {
    request: LoadRequest,
    /// The target's file, where it is there.
    destination: Option<Sqlite>,
    live: Option<LiveTable>,
    layout: Layout,
    /// Dropped before its connection.
    insert: Option<Insert>,
    /// Holds the rows where they must be looked at together.
    rows: Option<Connection>,
    count: u64,
}

impl Trial {
    /// Settles the columns; refuses what [`super::Destination::begin`] refuses.
    pub(super) fn begin(name: &str, path: &Path, request: &LoadRequest) -> Outcome<Self> {
        staging::refuse_name(&request.target)?;
        let destination = Sqlite::open(name, path, Access::Read)?;
        let live = match &destination {
            Some(destination) => LiveTable::read(&destination.connection, &request.target)?,
            None => None,
        };
        if let Some(destination) = &destination {
            staging::admit(&destination.connection, &request.target, &request.owner, live.as_ref())?;
        }
        let layout = layout(destination.as_ref(), request, &request.schema, live.as_ref())?;
        let mut trial = Self { request: request.clone(), destination, live, layout, insert: None, rows: None, count: 0 };
        trial.make()?;
        Ok(trial)
    }

    /// Makes the temporary table, where rows must be looked at together.
    fn make(&mut self) -> Outcome<()> {
        (self.insert, self.rows, self.count) = (None, None, 0);
        if matches!(self.request.disposition, Disposition::Append | Disposition::Full { fold: None, .. }) {
            return Ok(());
        }
        let columns = &self.layout.batch.columns;
        let make = || -> rusqlite::Result<(Connection, Insert)> {
            let connection = Connection::open("")?;
            types::register(&connection)?;
            if let Some(destination) = &self.destination {
                connection.execute("ATTACH ?1 AS warehouse", [destination.path.to_string_lossy()])?;
            }
            connection.execute_batch(&create_sql("staged", columns))?;
            let sql = format!("INSERT INTO {STAGED} ({})", listed("", columns.iter().map(|column| column.name.as_str())));
            let insert = Insert::prepare(&connection, &sql, columns.len())?;
            Ok((connection, insert))
        };
        let (connection, insert) = make().map_err(failed(format_args!("trying the load of {}", self.request.target)))?;
        (self.rows, self.insert) = (Some(connection), Some(insert));
        Ok(())
    }

    /// Returns what would become of the rows of a merge: added, updated, unchanged.
    fn merged(&self, connection: &Connection, fold: &Fold) -> Outcome<Counts> {
        let name = |column: &String| self.layout.batch.columns.iter().find(|known| known.name.eq_ignore_ascii_case(column));
        let key: Vec<&str> = fold.key.iter().filter_map(name).map(|column| column.name.as_str()).collect();
        let Some(live) = &self.live else { return Ok(Counts { added: self.count, ..Counts::default() }) };
        let old = |column: &str| {
            let there = live.column(column).map(|there| format!("old.{}", quoted(&there.name)));
            there.map_or_else(|| "NULL".to_owned(), |there| self.layout.conversion_of(column, &there).unwrap_or(there))
        };
        let same_key: Vec<String> = key.iter().map(|column| format!("{} = staged.{}", old(column), quoted(column))).collect();
        let values = self.layout.batch.columns.iter().filter(|column| !key.contains(&column.name.as_str()));
        let differs: Vec<String> = values.map(|column| format!("{} IS NOT staged.{}", old(&column.name), quoted(&column.name))).collect();
        let differs = if differs.is_empty() { "0".to_owned() } else { differs.join(" OR ") };
        let sql = format!(
            "SELECT count(*), coalesce(sum({differs}), 0) FROM {STAGED} AS staged JOIN warehouse.{} AS old ON {}",
            quoted(&live.name),
            same_key.join(" AND ")
        );
        let (matched, updated): (i64, i64) = connection
            .query_row(&sql, [], |row| Ok((row.get(0)?, row.get(1)?)))
            .map_err(failed(format_args!("comparing rows with those of {}", live.name)))?;
        let (matched, updated) = (u64::try_from(matched).unwrap_or(0), u64::try_from(updated).unwrap_or(0));
        Ok(Counts { added: self.count.saturating_sub(matched), updated, unchanged: matched - updated, ..Counts::default() })
    }
}

fn layout(destination: Option<&Sqlite>, request: &LoadRequest, schema: &Schema, live: Option<&LiveTable>) -> Outcome<Layout> {
    match destination {
        Some(destination) => staging::layout_of(&destination.connection, request, schema, live),
        None => evolution::layout::<evolve::Live<'_>>(request, None, None, schema),
    }
}

impl Rehearsal for Trial {
    fn schema(&self) -> &Schema {
        &self.layout.batch
    }

    fn schema_changes(&self) -> &[SchemaChange] {
        &self.layout.changes
    }

    fn take(&mut self, batch: &RecordBatch, invalid: &[InvalidValue]) -> Outcome<()> {
        if let Some(insert) = &mut self.insert {
            let taken = insert.write(batch, invalid, self.request.invalid_values);
            self.count += taken.map_err(failed(format_args!("trying the load of {}", self.request.target)))?;
        }
        Ok(())
    }

    fn restart(&mut self, schema: &Schema) -> Outcome<()> {
        self.layout = layout(self.destination.as_ref(), &self.request, schema, self.live.as_ref())?;
        self.make()
    }

    fn counts(&mut self, rows: u64) -> Outcome<Counts> {
        let before = match (&self.destination, &self.live) {
            (Some(destination), Some(live)) => publish::count(&destination.connection, &live.name)?,
            _ => 0,
        };
        let disposition = self.request.disposition.clone();
        let mut folded = 0;
        if let (Some(connection), Disposition::Merge(fold) | Disposition::Full { fold: Some(fold), .. }) = (&self.rows, &disposition) {
            let rowid = checks::rowid_name(&self.layout)?;
            let sql = merge::fold_sql(&self.layout.batch, &self.request.target, STAGED, rowid, fold)?;
            let sql = format!("DELETE FROM {STAGED} WHERE {rowid} IN ({sql})");
            let gone = connection.execute(&sql, []).map_err(failed(format_args!("trying to fold rows of {}", self.request.target)))?;
            folded = gone as u64;
            self.count -= folded;
        }
        let counts = match (&self.rows, &disposition) {
            (Some(connection), Disposition::Merge(fold)) => self.merged(connection, fold)?,
            (Some(connection), Disposition::Window { column, from, until }) => {
                let condition =
                    publish::window(connection, &self.layout.batch, &self.request.target, STAGED, column, from.as_ref(), until.as_ref())?;
                let deleted = match (&self.live, condition) {
                    (None, _) => 0,
                    (Some(_), None) => before,
                    (Some(live), Some(condition)) => {
                        publish::counted(connection, &format!("warehouse.{}", quoted(&live.name)), &condition)?
                    }
                };
                Counts { added: rows, deleted, ..Counts::default() }
            }
            (_, Disposition::Full { .. }) => Counts { added: rows - folded, deleted: before, ..Counts::default() },
            _ => Counts { added: rows, ..Counts::default() },
        };
        Ok(Counts { folded, ..counts })
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        self.insert = None;
    }
}
