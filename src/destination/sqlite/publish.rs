//! Publishing: the one short transaction that makes a load visible, with its bookkeeping.

use std::collections::BTreeSet;

use rusqlite::Connection;
use rusqlite::types::Value;

use super::evolve;
use super::failure::{Outcome, failed, refusal};
use super::staging::{Staging, drop_table};
use super::table::{LiveTable, create_sql};
use super::types::{collation, declaration, listed, quoted};
use super::{bookkeeping, is_swap, lock, merge, rewrite};
use crate::batch::{Column, Schema};
use crate::destination::evolution::{Layout, OldRows};
use crate::destination::failure::target_changed;
use crate::destination::ownership::refuse_foreign;
use crate::destination::window::{Condition, bounded};
use crate::destination::{Committed, DestinationError, Disposition, LoadRecord, PublishRequest, empty_load};
use crate::plan::SchemaChange;
use crate::run::cursor::Rounding;
use crate::run::{Counts, CursorValue};

/// Makes the staged rows visible, or leaves everything as it was.
pub(super) fn publish(staging: &mut Staging<'_>, request: &PublishRequest) -> Outcome<Committed> {
    let destination = staging.destination;
    let connection = &destination.connection;
    let folded = match staging.request.disposition.fold() {
        Some(fold) => merge::fold(staging, fold)?,
        None => 0,
    };
    staging.rows -= folded;
    destination.sync_publish()?;
    let committed = lock::in_transaction(connection, || {
        // The fence first: a run that has lost it doesn't touch a row.
        let rows = staging.rows;
        let version = bookkeeping::publish(
            connection,
            &staging.request.target,
            &staging.fence,
            &staging.request.run,
            request,
            rows,
            &staging.layout.batch,
        )?;
        bookkeeping::write_files(connection, &staging.request.target, &staging.fence.run_id, request)?;
        let (mut counts, rows_in_target) = apply(staging, request)?;
        counts = Counts { folded, skipped: request.skipped, rejected: request.rejected, ..counts };
        bookkeeping::write_counts(connection, &staging.request.target, &counts, rows_in_target)?;
        drop_table(connection, &staging.table)?;
        let schema_changes = staging.layout.changes.clone();
        Ok(Committed { counts, rows_in_target, version, schema_changes })
    })?;
    if destination.is_wal {
        destination.checkpoint("TRUNCATE");
    }
    Ok(committed)
}

fn apply(staging: &Staging<'_>, request: &PublishRequest) -> Outcome<(Counts, u64)> {
    let connection = &staging.destination.connection;
    let target = &staging.request.target;
    let live = LiveTable::read(connection, target)?;
    if live != staging.live {
        return Err(target_changed(target));
    }
    let disposition = &staging.request.disposition;
    let before = match &live {
        Some(live) => count(connection, &live.name)?,
        None => 0,
    };
    if !staging.previous.as_ref().is_some_and(LoadRecord::is_acquainted) {
        // Rows that someone put there while this first load ran.
        refuse_foreign(target, before, &staging.request.owner)?;
    }
    if matches!(disposition, Disposition::Full { .. }) && staging.rows == 0 && before > 0 && !request.allow_empty {
        return Err(empty_load(target, before));
    }
    if is_swap(disposition, live.as_ref()) {
        swap(connection, target, live.as_ref(), &staging.table)?;
        return Ok((Counts { added: staging.rows, deleted: before, ..Counts::default() }, staging.rows));
    }
    let name = match &live {
        Some(live) => {
            alter(connection, live, &staging.layout, &staging.table, OldRows::of(disposition))?;
            live.name.clone()
        }
        None => {
            execute(connection, target, &create_sql(target, &staging.layout.columns))?;
            target.clone()
        }
    };
    let guard = ForeignKeys::read(connection, &name)?;
    let mut counts = Counts::default();
    match disposition {
        Disposition::Merge(fold) => merge::merge(staging, &name, &fold.key, &mut counts)?,
        Disposition::Full { .. } => counts.deleted = delete(connection, &name, None)?,
        Disposition::Window { column, from, until } => {
            let staged = quoted(&staging.table);
            let condition = window(connection, &staging.layout.batch, target, &staged, column, from.as_ref(), until.as_ref())?;
            counts.deleted = delete(connection, &name, condition.as_ref())?;
        }
        Disposition::Append => {}
    }
    if !matches!(disposition, Disposition::Merge(_)) {
        counts.added = execute(connection, target, &insert_sql(&name, staging))?;
    }
    guard.demand_no_new_violations(connection, &name)?;
    Ok((counts, count(connection, &name)?))
}

/// Gives the table's place to another table.
fn swap(connection: &Connection, target: &str, live: Option<&LiveTable>, successor: &str) -> Outcome<()> {
    let guard = live.map(|live| ForeignKeys::read(connection, &live.name)).transpose()?;
    for sql in swap_sql(live.map(|live| (connection, live)), target, successor)? {
        connection.execute_batch(&sql).map_err(failed(format_args!("publishing table {target}: `{sql}`")))?;
    }
    match (guard, live) {
        (Some(guard), Some(live)) => guard.demand_no_new_violations(connection, &live.name),
        _ => Ok(()),
    }
}

/// Returns what gives a table's place to another one. Indexes and triggers are made anew from their own SQL; views, and triggers on
/// views, name the table and stay as they are.
pub(super) fn swap_sql(there: Option<(&Connection, &LiveTable)>, target: &str, successor: &str) -> Outcome<Vec<String>> {
    let name = quoted(there.map_or(target, |(_, live)| &live.name));
    let rename = format!("ALTER TABLE {} RENAME TO {name}", quoted(successor));
    let Some((connection, live)) = there else { return Ok(vec![rename]) };
    let hanging = hanging_sql(connection, &live.name)?;
    Ok([format!("DROP TABLE {name}"), rename].into_iter().chain(hanging).collect())
}

/// Returns the SQL of a table's own indexes and triggers.
fn hanging_sql(connection: &Connection, table: &str) -> Outcome<Vec<String>> {
    let read = || -> rusqlite::Result<Vec<String>> {
        let sql = "SELECT sql FROM sqlite_schema WHERE tbl_name = ?1 COLLATE NOCASE AND type IN ('index', 'trigger') AND sql IS NOT NULL ORDER BY rowid";
        connection.prepare(sql)?.query_map([table], |row| row.get(0))?.collect()
    };
    read().map_err(failed(format_args!("reading the indexes and triggers of {table}")))
}

/// Brings a table that stays to the load's columns.
fn alter(connection: &Connection, live: &LiveTable, layout: &Layout, staging: &str, old_rows: OldRows) -> Outcome<()> {
    if layout.needs_rebuild() {
        rebuild(connection, live, layout, staging, old_rows)?;
    }
    add_sql(&quoted(&live.name), layout).iter().try_for_each(|sql| execute(connection, &live.name, sql).map(|_| ()))
}

/// Widens columns that are stored otherwise from now on: a table like the old one takes the converted rows and its place.
fn rebuild(connection: &Connection, live: &LiveTable, layout: &Layout, staging: &str, old_rows: OldRows) -> Outcome<()> {
    if !evolve::there(live, connection, old_rows).still_fits(layout)? {
        return Err(target_changed(&live.name));
    }
    let wide = format!("{staging}_w");
    let [create, fill] = rebuild_sql(live, layout, &wide).ok_or_else(|| unkept(live, layout))?;
    execute(connection, &live.name, &create)?;
    let is_alike = LiveTable::read(connection, &wide)?.is_some_and(|made| {
        made.columns.iter().map(|column| &column.name).eq(live.columns.iter().map(|column| &column.name))
            && layout.declarations().iter().all(|(name, declared)| made.column(name).is_some_and(|column| column.declared == *declared))
    });
    if !is_alike {
        return Err(unkept(live, layout));
    }
    execute(connection, &live.name, &fill)?;
    swap(connection, &live.name, Some(live), &wide)
}

/// Returns what makes the wider table and what fills it; `None` where the table has something that can't be kept.
pub(super) fn rebuild_sql(live: &LiveTable, layout: &Layout, wide: &str) -> Option<[String; 2]> {
    let create = rewrite::retyped(live, wide, &layout.declarations())?;
    let kept: Vec<&str> = live.columns.iter().filter(|column| !column.is_generated).map(|column| column.name.as_str()).collect();
    let value = |name: &&str| layout.conversion_of(name, &quoted(name)).unwrap_or_else(|| quoted(name));
    let values: Vec<String> = kept.iter().map(value).collect();
    let list = listed("", kept.iter().copied());
    Some([create, format!("INSERT INTO {} ({list}) SELECT {} FROM {}", quoted(wide), values.join(", "), quoted(&live.name))])
}

pub(super) fn unkept(live: &LiveTable, layout: &Layout) -> DestinationError {
    let widened = layout.changes.iter().filter_map(|change| match change {
        SchemaChange::Widened { column, from, to } => Some(format!("{column} from {from} to {to}")),
        _ => None,
    });
    let widened = widened.collect::<Vec<_>>().join(", ");
    let message = format!("table {} has rules of its own that can't be kept while columns are widened: {widened}", live.name);
    refusal("schema_clash", message, "widen them by hand, or give the source another target")
}

/// Returns what gives a table the columns that are new.
pub(super) fn add_sql(name: &str, layout: &Layout) -> Vec<String> {
    let add = |column: &Column| format!("ALTER TABLE {name} ADD COLUMN {} {}", quoted(&column.name), declaration(column.column_type));
    layout.added().map(add).collect()
}

fn insert_sql(name: &str, staging: &Staging<'_>) -> String {
    let columns = listed("", staging.layout.batch.columns.iter().map(|column| column.name.as_str()));
    format!("INSERT INTO {} ({columns}) SELECT {columns} FROM {}", quoted(name), quoted(&staging.table))
}

/// Returns how many rows of a table meet a condition; `table` is SQL.
pub(super) fn counted(connection: &Connection, table: &str, condition: &Condition<Value>) -> Outcome<u64> {
    let sql = format!("SELECT count(*) FROM {table} WHERE {}", condition.sql);
    let rows: i64 = connection
        .query_row(&sql, rusqlite::params_from_iter(&condition.values), |row| row.get(0))
        .map_err(failed(format_args!("counting the rows of {table} in the window")))?;
    Ok(u64::try_from(rows).unwrap_or(0))
}

/// Returns which rows the window holds. Rows without a value belong to it when the load brings such rows again.
pub(super) fn window(
    connection: &Connection,
    batch: &Schema,
    target: &str,
    staged: &str,
    column: &str,
    from: Option<&CursorValue>,
    until: Option<&CursorValue>,
) -> Outcome<Option<Condition<Value>>> {
    let Some(found) = bounded(batch, target, column, from, until)? else { return Ok(None) };
    let (name, order) = (quoted(&found.name), collation(found.column_type));
    let condition = Condition::between(from, until, |operator, bound, place| {
        (format!("{name} {operator} ?{place}{order}"), bound_value(found.column_type, bound))
    });
    let nulls: i64 = connection
        .query_row(&format!("SELECT count(*) FROM (SELECT 1 FROM {staged} WHERE {name} IS NULL LIMIT 1)"), [], |row| row.get(0))
        .map_err(failed(format_args!("looking for rows of {} without {column}", target)))?;
    Ok(Some(if nulls > 0 { condition.or_null(&name) } else { condition }))
}

/// Returns a bound as the column stores it: decimals are compared in their column's own scale, which may have grown.
fn bound_value(column_type: crate::batch::ColumnType, bound: &CursorValue) -> Value {
    let position = bound.position_in(column_type, Rounding::Up);
    let bound = position.and_then(|position| CursorValue::at(column_type, position)).unwrap_or_else(|| bound.clone());
    match declaration(column_type) {
        "INTEGER" => bound.text.parse().map_or_else(|_| bound.text.clone().into(), Value::Integer),
        "REAL" => bound.text.parse().map_or_else(|_| bound.text.clone().into(), Value::Real),
        _ => bound.text.clone().into(),
    }
}

fn delete(connection: &Connection, name: &str, condition: Option<&Condition<Value>>) -> Outcome<u64> {
    let what = format!("deleting the old rows of {name}");
    let result = match condition {
        None => connection.execute(&format!("DELETE FROM {}", quoted(name)), []),
        Some(Condition { sql, values }) => {
            connection.execute(&format!("DELETE FROM {} WHERE {sql}", quoted(name)), rusqlite::params_from_iter(values))
        }
    };
    result.map(|rows| rows as u64).map_err(failed(what))
}

/// Runs a statement of a publish; returns how many rows it changed.
pub(super) fn execute(connection: &Connection, target: &str, sql: &str) -> Outcome<u64> {
    connection.execute(sql, []).map(|rows| rows as u64).map_err(failed(format_args!("publishing table {target}")))
}

/// Returns the rows of a table.
pub(super) fn count(connection: &Connection, table: &str) -> Outcome<u64> {
    let rows: i64 = connection
        .query_row(&format!("SELECT count(*) FROM {}", quoted(table)), [], |row| row.get(0))
        .map_err(failed(format_args!("counting the rows of {table}")))?;
    Ok(u64::try_from(rows).unwrap_or(0))
}

/// The rows of other tables, and of the table itself, that name a row which isn't there.
struct ForeignKeys {
    /// The table and those whose foreign keys name it.
    tables: Vec<String>,
    violations: BTreeSet<(String, Option<i64>, i64)>,
}

impl ForeignKeys {
    fn read(connection: &Connection, table: &str) -> Outcome<Self> {
        let read = || -> rusqlite::Result<Vec<String>> {
            let sql = "SELECT DISTINCT child.name FROM sqlite_schema AS child, pragma_foreign_key_list(child.name) AS key
                 WHERE child.type = 'table' AND (key.\"table\" = ?1 COLLATE NOCASE OR child.name = ?1 COLLATE NOCASE)";
            connection.prepare(sql)?.query_map([table], |row| row.get(0))?.collect()
        };
        let tables = read().map_err(failed(format_args!("reading the foreign keys around {table}")))?;
        let violations = Self::violations(connection, &tables)?;
        Ok(Self { tables, violations })
    }

    fn violations(connection: &Connection, tables: &[String]) -> Outcome<BTreeSet<(String, Option<i64>, i64)>> {
        let mut all = BTreeSet::new();
        for table in tables {
            let mut read = || -> rusqlite::Result<()> {
                let mut statement = connection.prepare("SELECT \"table\", rowid, fkid FROM pragma_foreign_key_check(?1)")?;
                let mut rows = statement.query([table])?;
                while let Some(row) = rows.next()? {
                    all.insert((row.get(0)?, row.get(1)?, row.get(2)?));
                }
                Ok(())
            };
            read().map_err(failed(format_args!("checking the foreign keys of {table}")))?;
        }
        Ok(all)
    }

    fn demand_no_new_violations(&self, connection: &Connection, table: &str) -> Outcome<()> {
        let now = Self::violations(connection, &self.tables)?;
        let mut new = now.difference(&self.violations);
        let Some((child, row, _)) = new.next() else { return Ok(()) };
        let row = row.map_or_else(String::new, |row| format!(" (row {row})"));
        let message = format!(
            "table {table}: the load would leave {} that name a row of {table} which is gone, the first in {child}{row}",
            crate::text::count(1 + new.count() as u64, "row")
        );
        Err(refusal("foreign_key", message, "load the missing rows, or drop the foreign key"))
    }
}
