//! The statements of a load, in the order in which it runs them, for people: what a dry run prints. Runs nothing.

use rusqlite::Connection;

use super::failure::Outcome;
use super::table::{LiveTable, create_sql};
use super::types::{collation, listed, quoted};
use super::{bookkeeping, checks, is_swap, merge, publish};
use crate::destination::evolution::Layout;
use crate::destination::{Disposition, LoadRequest};
use crate::run::CursorValue;

/// Returns the statements; `there` is the target with its file, where there is one. `:name` and `?` stand for bound values.
pub(super) fn statements(
    request: &LoadRequest,
    staging: &str,
    there: Option<(&Connection, &LiveTable)>,
    layout: &Layout,
) -> Outcome<Vec<String>> {
    let live = there.map(|(_, live)| live);
    let (name, staged) = (quoted(live.map_or(&request.target, |live| &live.name)), quoted(staging));
    let columns = listed("", layout.batch.columns.iter().map(|column| column.name.as_str()));
    let is_swapped = is_swap(&request.disposition, live);
    let mut list = vec![
        bookkeeping::BEGIN.to_owned(),
        create_sql(staging, if is_swapped { &layout.columns } else { &layout.batch.columns }),
        format!("INSERT INTO {staged} ({columns}) VALUES ({})", vec!["?"; layout.batch.columns.len()].join(", ")),
    ];
    if let Disposition::Merge(fold) | Disposition::Full { fold: Some(fold), .. } = &request.disposition {
        let rowid = checks::rowid_name(layout)?;
        let folded = merge::fold_sql(&layout.batch, &request.target, &staged, rowid, fold)?;
        list.push(format!("DELETE FROM {staged} WHERE {rowid} IN ({folded})"));
    }
    list.extend(["BEGIN IMMEDIATE".to_owned(), bookkeeping::PUBLISH.to_owned()]);
    if matches!(request.disposition, Disposition::Full { .. }) {
        list.push(bookkeeping::FORGET_FILES.to_owned());
    }
    list.push(bookkeeping::ADD_FILE.to_owned());
    if is_swapped {
        list.extend(publish::swap_sql(there, &request.target, staging)?);
    } else {
        list.extend(alter(there, &request.target, layout, staging)?);
        list.extend(fill(request, there, layout, &name, &staged)?);
        list.push(format!("DROP TABLE IF EXISTS {staged}"));
    }
    list.extend([bookkeeping::COUNTS.to_owned(), "COMMIT".to_owned()]);
    let on_one_line = |sql: String| sql.split('\n').map(str::trim).collect::<Vec<_>>().join(" ");
    // The SQL of an index or trigger is the user's own, with its line ends and what its quotes hold.
    Ok(list.into_iter().map(|sql| if sql.starts_with("CREATE") { sql } else { on_one_line(sql) }).collect())
}

/// Returns what brings a table that stays to the load's columns.
fn alter(there: Option<(&Connection, &LiveTable)>, target: &str, layout: &Layout, staging: &str) -> Outcome<Vec<String>> {
    let Some((_, live)) = there else { return Ok(vec![create_sql(target, &layout.columns)]) };
    let mut list = Vec::new();
    if layout.needs_rebuild() {
        let wide = format!("{staging}_w");
        list.extend(publish::rebuild_sql(live, layout, &wide).ok_or_else(|| publish::unkept(live, layout))?);
        list.extend(publish::swap_sql(there, target, &wide)?);
    }
    list.extend(publish::add_sql(&quoted(&live.name), layout));
    Ok(list)
}

/// Returns what brings the staged rows into a table that stays.
fn fill(
    request: &LoadRequest,
    there: Option<(&Connection, &LiveTable)>,
    layout: &Layout,
    name: &str,
    staged: &str,
) -> Outcome<Vec<String>> {
    let columns = listed("", layout.batch.columns.iter().map(|column| column.name.as_str()));
    let insert = format!("INSERT INTO {name} ({columns}) SELECT {columns} FROM {staged}");
    Ok(match &request.disposition {
        Disposition::Merge(fold) => {
            let index = match there {
                Some((connection, live)) => merge::key_index_sql(connection, &request.target, &live.name, &fold.key)?,
                None => Vec::new(),
            };
            index.into_iter().chain(merge::statements(name, staged, layout, &fold.key)).collect()
        }
        Disposition::Full { .. } => vec![format!("DELETE FROM {name}"), insert],
        Disposition::Window { column, from, until } => {
            let known = layout.batch.columns.iter().find(|known| known.name.eq_ignore_ascii_case(column));
            let order = known.map_or("", |known| collation(known.column_type));
            let part = |operator: &str, bound: &Option<CursorValue>| {
                bound.as_ref().map(|bound| format!("{} {operator} '{}'{order}", quoted(column), bound.text.replace('\'', "''")))
            };
            let parts: Vec<String> = part(">=", from).into_iter().chain(part("<", until)).collect();
            let condition = if parts.is_empty() { String::new() } else { format!(" WHERE {}", parts.join(" AND ")) };
            vec![format!("DELETE FROM {name}{condition}"), insert]
        }
        Disposition::Append => vec![insert],
    })
}
