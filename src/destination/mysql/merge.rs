//! Merging by a key: set-based, with exact counts.
//!
//! A key column without a value names no row, so such rows fail the load with a message.

use super::session::{Outcome, Session, failed, refusal};
use super::staging::Staging;
use super::table::{KEY_INDEX, LiveTable, cell};
use super::types::{listed, quoted, sortable};
use crate::batch::Schema;
use crate::destination::evolution::Layout;
use crate::destination::keys::{duplicate_key, known_column, known_key, refuse_nulls};
use crate::destination::{DestinationError, Fold};
use crate::run::Counts;

/// Leaves one staged row of each key: the one with the greatest `newest_by`, then the later one. Returns how many went.
///
/// Before and outside of the publish: it holds no lock on the target.
pub(super) fn fold(staging: &mut Staging<'_>, fold: &Fold) -> Outcome<u64> {
    let target = staging.request.target.clone();
    let key = known_key(&staging.layout.batch, &target, &fold.key)?;
    refuse_keyless(staging, &key)?;
    let staged = staging.session.table(&staging.table);
    let number = staging.shape.number.as_deref().unwrap_or_default();
    let sql = fold_sql(&staging.layout.batch, &target, &staged, number, fold)?;
    let what = format!("folding rows of {target} with equal keys");
    staging.session.in_transaction(|session| session.run(&sql).map_err(failed(&what)))
}

/// Returns what removes the staged rows that give way to another one of their key.
pub(super) fn fold_sql(batch: &Schema, target: &str, staged: &str, number: &str, fold: &Fold) -> Outcome<String> {
    let number = quoted(number);
    let placed = placed_sql(batch, target, staged, &number, fold)?;
    Ok(format!(
        "DELETE staged FROM {staged} AS staged JOIN (SELECT {number} AS number FROM ({placed}) AS placed WHERE place > 1) AS gone \
         ON staged.{number} = gone.number"
    ))
}

/// Returns the query of the staged rows with their `place` among those of their key: 1 stays.
pub(super) fn placed_sql(batch: &Schema, target: &str, staged: &str, number: &str, fold: &Fold) -> Outcome<String> {
    let key = known_key(batch, target, &fold.key)?;
    let newest = match &fold.newest_by {
        Some(name) => {
            let column = known_column(batch, target, name)?;
            // NULL is the least, and so the last of a descending order.
            format!("{} DESC, ", sortable(&quoted(&column.name), column.column_type))
        }
        None => String::new(),
    };
    let key = listed("", key.iter().map(String::as_str));
    Ok(format!(
        "SELECT all_rows.*, row_number() OVER (PARTITION BY {key} ORDER BY {newest}{number} DESC) AS place FROM {staged} AS all_rows"
    ))
}

/// Merges the staged rows, one of each key, into the table. Inside the publish.
pub(super) fn merge(staging: &mut Staging<'_>, live: &LiveTable, key: &[String], counts: &mut Counts) -> Outcome<()> {
    let target = staging.request.target.clone();
    let key = known_key(&staging.layout.batch, &target, key)?;
    let what = format!("merging into table {target}");
    let [update, insert] = merge_sql(staging.session, &staging.table, &staging.layout, Some(live), &target, &key);
    counts.updated = match update {
        Some(update) => staging.session.run_unbent(&what, &update)?,
        None => 0,
    };
    counts.added = staging.session.run_unbent(&what, &insert.expect("every merge inserts"))?;
    let Some(unchanged) = staging.rows.checked_sub(counts.added + counts.updated) else {
        let message = format!("merging into {}: more rows changed than came", live.name);
        return Err(refusal("not_exact", message, "look for several rows of the table with one key"));
    };
    counts.unchanged = unchanged;
    Ok(())
}

/// Returns the statements of a merge, for people.
pub(super) fn statements(
    session: &Session,
    staged: &str,
    layout: &Layout,
    live: Option<&LiveTable>,
    target: &str,
    key: &[String],
) -> Vec<String> {
    merge_sql(session, staged, layout, live, target, key).into_iter().flatten().collect()
}

/// Returns the condition under which a row of the table differs from the staged one in a column that isn't of the key.
pub(super) fn differs(session: &Session, layout: &Layout, live: Option<&LiveTable>, key: &[String]) -> Option<String> {
    let dialect = session.dialect;
    let values = layout.batch.columns.iter().filter(|column| !key.iter().any(|name| name.eq_ignore_ascii_case(&column.name)));
    let parts = values.map(|column| {
        let (name, declared) = (quoted(&column.name), LiveTable::declared(live, dialect, column));
        let here = dialect.comparable(&format!("target.{name}"), &declared);
        let staged = dialect.comparable(&format!("staged.{name}"), &layout.fresh(dialect, column));
        format!("NOT ({here} <=> {staged})")
    });
    let parts: Vec<String> = parts.collect();
    (!parts.is_empty()).then(|| parts.join(" OR "))
}

/// Returns the condition under which a row of the table has the key of the staged one.
pub(super) fn same_key(session: &Session, layout: &Layout, live: Option<&LiveTable>, key: &[String]) -> String {
    let columns = layout.batch.columns.iter().filter(|column| key.contains(&column.name));
    let parts = columns.map(|column| {
        let declared = LiveTable::declared(live, session.dialect, column);
        let name = quoted(&column.name);
        session.dialect.same(&format!("target.{name}"), &declared, &format!("staged.{name}"))
    });
    parts.collect::<Vec<_>>().join(" AND ")
}

fn merge_sql(
    session: &Session,
    staged: &str,
    layout: &Layout,
    live: Option<&LiveTable>,
    target: &str,
    key: &[String],
) -> [Option<String>; 2] {
    let name = session.table(live.map_or(target, |live| &live.name));
    let staged = session.table(staged);
    let columns: Vec<&str> = layout.batch.columns.iter().map(|column| column.name.as_str()).collect();
    let is_key = |column: &&str| key.iter().any(|name| name.eq_ignore_ascii_case(column));
    let same_key = same_key(session, layout, live, key);
    let update = differs(session, layout, live, key).map(|differs| {
        let set: Vec<String> =
            columns.iter().filter(|column| !is_key(column)).map(|column| format!("target.{0} = staged.{0}", quoted(column))).collect();
        format!("UPDATE {name} AS target JOIN {staged} AS staged ON {same_key} SET {} WHERE {differs}", set.join(", "))
    });
    let list = listed("", columns.iter().copied());
    let taken = listed("staged.", columns.iter().copied());
    let first = quoted(key.first().map_or("", String::as_str));
    let insert = format!(
        "INSERT INTO {name} ({list}) SELECT {taken} FROM {staged} AS staged LEFT JOIN {name} AS target ON {same_key} \
         WHERE target.{first} IS NULL"
    );
    [update, Some(insert)]
}

/// Sees to a unique index on the key: without it a merge would take the square of the rows, and its counts would not be exact.
/// `table` is the table's name.
pub(super) fn make_key_index(session: &mut Session, table: &str, layout: &Layout, key: &[String]) -> Outcome<()> {
    let Some(live) = LiveTable::read(session, table)? else { return Ok(()) };
    let name = session.table(table);
    for sql in key_index_sql(session, &live, layout, key)? {
        let what = format!("indexing the key of {table}");
        session.define(&what, &format!("ALTER TABLE {name} {sql}")).map_err(|error| refused_index(error, table, key))?;
    }
    Ok(())
}

fn refused_index(error: DestinationError, table: &str, key: &[String]) -> DestinationError {
    match error.code {
        "constraint" => duplicate_key(table, key),
        "invalid_data" => refusal(
            "key_too_long",
            format!("table {table} holds values in its key ({}) that are longer than an index takes: {}", key.join(", "), error.message),
            "name a primary_key of shorter values",
        ),
        _ => error,
    }
}

/// Returns what makes the unique index on the key, as parts of ALTER TABLE; nothing where there is one.
pub(super) fn key_index_sql(session: &mut Session, live: &LiveTable, layout: &Layout, key: &[String]) -> Outcome<Vec<String>> {
    let sql = "SELECT index_name, column_name, sub_part FROM information_schema.statistics \
         WHERE table_schema = ? AND table_name = ? AND non_unique = 0 ORDER BY index_name, seq_in_index";
    let schema = session.schema.clone();
    let rows =
        session.rows(sql, &[Some(&schema), Some(&live.name)]).map_err(failed(format_args!("reading the indexes of {}", live.name)))?;
    let mut indexes: Vec<(String, Vec<String>)> = Vec::new();
    for row in &rows {
        let column = if cell(row, 2).is_empty() { cell(row, 1) } else { String::new() };
        match indexes.last_mut() {
            Some((name, columns)) if *name == cell(row, 0) => columns.push(column),
            _ => indexes.push((cell(row, 0), vec![column])),
        }
    }
    if indexes.iter().any(|(_, columns)| columns.len() == key.len() && key.iter().all(|name| columns.contains(name))) {
        return Ok(Vec::new());
    }
    let mut list = Vec::new();
    // An index takes no text or bytes of any length.
    for column in layout.batch.columns.iter().filter(|column| key.contains(&column.name)) {
        let there = live.column(&column.name).map(|there| there.declared.clone()).unwrap_or_default();
        if there.starts_with("longtext") || there == "longblob" {
            list.push(format!(
                "MODIFY COLUMN {} {} {}",
                quoted(&column.name),
                layout.fresh(session.dialect, column),
                live.attributes(&column.name)
            ));
        }
    }
    if indexes.iter().any(|(name, _)| name == KEY_INDEX) {
        list.push(format!("DROP INDEX {}", quoted(KEY_INDEX)));
    }
    list.push(format!("ADD UNIQUE INDEX {} ({})", quoted(KEY_INDEX), listed("", key.iter().map(String::as_str))));
    Ok(vec![list.join(", ")])
}

/// Refuses staged rows without a value in a column of the key.
fn refuse_keyless(staging: &mut Staging<'_>, key: &[String]) -> Outcome<()> {
    let (session, target) = (&mut *staging.session, &staging.request.target);
    let staged = session.table(&staging.table);
    refuse_nulls(target, key, |column| {
        let sql = format!("SELECT count(*) FROM {staged} WHERE {} IS NULL", quoted(column));
        session.number(&sql).map_err(failed(format_args!("looking for NULL in the key of {target}")))
    })
}
