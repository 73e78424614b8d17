//! Merging by a key: set-based, with exact counts.
//!
//! A key column without a value names no row, so such rows fail the load with a message.

use postgres::error::SqlState;

use super::publish::execute;
use super::session::{Outcome, Session, failed, refusal};
use super::staging::Staging;
use super::table::LiveTable;
use super::types::{comparable, listed, quoted, sortable};
use crate::batch::Schema;
use crate::destination::evolution::Layout;
use crate::destination::keys::{duplicate_key, known_column, known_key, refuse_nulls};
use crate::destination::{Fold, staging_names};
use crate::run::Counts;

/// One row in so many is few.
const FEW: u64 = 20;

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
    // The join goes by the key alone, and the other columns are wide.
    let analyze = format!("ANALYZE {staged} ({})", listed("", key.iter().map(String::as_str)));
    let session = &mut *staging.session;
    session.in_transaction(|session| {
        let folded = session.run(&sql).map_err(failed(&what))?;
        session.run(&analyze).map_err(failed(&what))?;
        Ok(folded)
    })
}

/// Returns what removes the staged rows that give way to another one of their key.
pub(super) fn fold_sql(batch: &Schema, target: &str, staged: &str, number: &str, fold: &Fold) -> Outcome<String> {
    let key = known_key(batch, target, &fold.key)?;
    let number = quoted(number);
    let newest = match &fold.newest_by {
        Some(name) => {
            let column = known_column(batch, target, name)?;
            format!("{} DESC NULLS LAST, ", sortable(&quoted(&column.name), column.column_type))
        }
        None => String::new(),
    };
    let key = listed("", key.iter().map(String::as_str));
    Ok(format!(
        "DELETE FROM {staged} WHERE {number} IN (SELECT {number} FROM (SELECT {number}, row_number() OVER (PARTITION BY {key} \
         ORDER BY {newest}{number} DESC) AS place FROM {staged}) AS placed WHERE place > 1)"
    ))
}

/// Merges the staged rows, one of each key, into the table. Inside the publish.
pub(super) fn merge(staging: &mut Staging<'_>, live: &LiveTable, key: &[String], counts: &mut Counts) -> Outcome<()> {
    let target = staging.request.target.clone();
    let key = known_key(&staging.layout.batch, &target, key)?;
    make_key_index(staging.session, &target, live, &key)?;
    prefer_index(staging)?;
    let (name, staged) = (staging.session.table(&live.name), staging.session.table(&staging.table));
    let [update, insert] = merge_sql(&name, &staged, &staging.layout, Some(live), &key);
    counts.updated = match update {
        Some(update) => execute(staging.session, &live.name, &update)?,
        None => 0,
    };
    counts.added = execute(staging.session, &live.name, &insert.expect("every merge inserts"))?;
    let Some(unchanged) = staging.rows.checked_sub(counts.added + counts.updated) else {
        return Err(refusal(
            "not_exact",
            format!("merging into {}: more rows changed than came", live.name),
            "look for rules on the table",
        ));
    };
    counts.unchanged = unchanged;
    Ok(())
}

/// A few rows are found by the index on the key sooner than by reading a large table, which by its default PostgreSQL takes to lie on a disk
/// with a slow arm.
fn prefer_index(staging: &mut Staging<'_>) -> Outcome<()> {
    let known = staging.previous.as_ref().and_then(|previous| previous.rows_in_target).unwrap_or(0);
    if staging.rows.saturating_mul(FEW) > known {
        return Ok(());
    }
    let sql = "SELECT set_config('random_page_cost', '1.1', true) WHERE current_setting('random_page_cost')::float8 > 1.1";
    let set = staging.session.rows(sql, &[]);
    set.map(|_| ()).map_err(failed(format_args!("merging into {}", staging.request.target)))
}

/// Returns the statements of a merge, for people.
pub(super) fn statements(name: &str, staged: &str, layout: &Layout, live: Option<&LiveTable>, key: &[String]) -> Vec<String> {
    merge_sql(name, staged, layout, live, key).into_iter().flatten().collect()
}

/// Returns the condition under which a row of the table differs from the staged one in a column that isn't of the key.
pub(super) fn differs(table: &str, layout: &Layout, live: Option<&LiveTable>, key: &[String]) -> Option<String> {
    let values = layout.batch.columns.iter().filter(|column| !key.iter().any(|name| name.eq_ignore_ascii_case(&column.name)));
    let parts = values.map(|column| {
        let (name, declared) = (quoted(&column.name), LiveTable::declared(live, column));
        let here = comparable(&format!("{table}.{name}"), &declared);
        let staged = comparable(&format!("staged.{name}"), &super::types::declaration(column.column_type));
        let differs = format!("{here} IS DISTINCT FROM {staged}");
        if matches!(declared.as_str(), "real" | "double precision") {
            // 0 = -0 to the server, which keeps both apart.
            format!("{differs} OR ({here} = 0 AND {here}::text <> {staged}::text)")
        } else {
            differs
        }
    });
    let parts: Vec<String> = parts.collect();
    (!parts.is_empty()).then(|| parts.join(" OR "))
}

fn merge_sql(name: &str, staged: &str, layout: &Layout, live: Option<&LiveTable>, key: &[String]) -> [Option<String>; 2] {
    let columns: Vec<&str> = layout.batch.columns.iter().map(|column| column.name.as_str()).collect();
    let is_key = |column: &&str| key.iter().any(|name| name.eq_ignore_ascii_case(column));
    let same_key: Vec<String> = key.iter().map(|column| format!("target.{0} = staged.{0}", quoted(column))).collect();
    let same_key = same_key.join(" AND ");
    let update = differs("target", layout, live, key).map(|differs| {
        let set: Vec<String> =
            columns.iter().filter(|column| !is_key(column)).map(|column| format!("{0} = staged.{0}", quoted(column))).collect();
        format!("UPDATE {name} AS target SET {} FROM {staged} AS staged WHERE {same_key} AND ({differs})", set.join(", "))
    });
    let list = listed("", columns.iter().copied());
    let taken = listed("staged.", columns.iter().copied());
    let insert = format!(
        "INSERT INTO {name} ({list}) OVERRIDING SYSTEM VALUE SELECT {taken} FROM {staged} AS staged \
         WHERE NOT EXISTS (SELECT 1 FROM {name} AS target WHERE {same_key})"
    );
    [update, Some(insert)]
}

/// Sees to a unique index on the key: without it a merge would take the square of the rows, and its counts would not be exact.
fn make_key_index(session: &mut Session, target: &str, live: &LiveTable, key: &[String]) -> Outcome<()> {
    for sql in key_index_sql(session, target, live, key)? {
        match session.run(&sql) {
            Err(error) if error.code() == Some(&SqlState::UNIQUE_VIOLATION) => {
                return Err(duplicate_key(&live.name, key));
            }
            result => result.map_err(failed(format_args!("indexing the key of {}", live.name)))?,
        };
    }
    Ok(())
}

/// Returns what makes the unique index on the key; nothing where there is one.
pub(super) fn key_index_sql(session: &mut Session, target: &str, live: &LiveTable, key: &[String]) -> Outcome<Vec<String>> {
    let sql = "SELECT array_agg(a.attname::text) FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid \
         AND a.attnum = ANY (i.indkey[0:i.indnkeyatts - 1]) WHERE i.indrelid = $1::oid AND i.indisunique AND i.indisvalid \
         AND i.indpred IS NULL AND i.indexprs IS NULL GROUP BY i.indexrelid";
    let what = format!("reading the indexes of {}", live.name);
    let indexes = session.rows(sql, &[Some(&live.oid.to_string())]).map_err(failed(&what))?;
    let is_key = |columns: Vec<String>| columns.len() == key.len() && key.iter().all(|name| columns.contains(name));
    if indexes.iter().any(|row| is_key(row.get(0))) {
        return Ok(Vec::new());
    }
    let index = format!("_etlsched_key_{}", staging_names::hash(&target.to_lowercase()));
    let former = format!("DROP INDEX IF EXISTS {}", session.table(&index));
    let list = listed("", key.iter().map(String::as_str));
    Ok(vec![former, format!("CREATE UNIQUE INDEX {} ON {} ({list})", quoted(&index), session.table(&live.name))])
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
