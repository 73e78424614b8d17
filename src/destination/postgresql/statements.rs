//! The statements of a load, in the order in which it runs them, for people: what a dry run prints. Runs nothing.

use super::evolve::Layout;
use super::session::{Outcome, Session};
use super::staging::{Rows, Shape, copy_sql, make_sql};
use super::table::LiveTable;
use super::{bookkeeping, merge, publish};
use crate::destination::{Disposition, LoadRequest};

/// Returns the statements; `$1`, `$2` stand for bound values.
pub(super) fn statements(
    session: &mut Session,
    request: &LoadRequest,
    staging: &str,
    live: Option<&LiveTable>,
    layout: &Layout,
) -> Outcome<Vec<String>> {
    let shape = Shape::of(session, request, layout, live)?;
    let [loads, files] = bookkeeping::tables(session);
    let staged = session.table(staging);
    let mut list = vec![
        bookkeeping::begin_sql(&loads),
        make_sql(&staged, &shape, live, layout),
        copy_sql(&staged, &layout.batch, shape.number.as_deref(), Rows::Frozen),
    ];
    if let (Some(number), Disposition::Merge(fold) | Disposition::Full { fold: Some(fold), .. }) = (&shape.number, &request.disposition) {
        list.push(merge::fold_sql(&layout.batch, &request.target, &staged, number, fold)?);
    }
    list.extend(["BEGIN".to_owned(), bookkeeping::publish_sql(&loads)]);
    if matches!(request.disposition, Disposition::Full { .. }) {
        list.push(bookkeeping::forget_files_sql(&files));
    }
    list.push(bookkeeping::add_file_sql(&files));
    if shape.is_swap {
        list.extend(publish::rename_sql(session, live, &request.target, staging));
    } else {
        list.extend(fill(session, request, live, layout, &staged)?);
        list.push(format!("DROP TABLE IF EXISTS {staged}"));
    }
    list.extend([bookkeeping::counts_sql(&loads), "COMMIT".to_owned()]);
    Ok(list)
}

/// Returns what brings the staged rows into a table that stays.
fn fill(session: &mut Session, request: &LoadRequest, live: Option<&LiveTable>, layout: &Layout, staged: &str) -> Outcome<Vec<String>> {
    let name = session.table(live.map_or(&request.target, |live| &live.name));
    let mut list = Vec::new();
    if matches!(request.disposition, Disposition::Full { .. }) && live.is_some() {
        list.push(format!("DELETE FROM {name}"));
    }
    match live {
        Some(_) => list.extend(publish::alter_sql(&name, layout)),
        None => list.push(publish::create_target_sql(&name, layout)),
    }
    match &request.disposition {
        Disposition::Merge(fold) => {
            let key = merge::known_key(&layout.batch, &request.target, &fold.key)?;
            if let Some(live) = live {
                list.extend(merge::key_index_sql(session, &request.target, live, &key)?);
            }
            list.extend(merge::statements(&name, staged, layout, live, &key));
        }
        Disposition::Window { column, from, until } => {
            let condition = publish::bounds(&layout.batch, &request.target, column, from.as_ref(), until.as_ref())?;
            let condition = condition.map_or_else(String::new, |condition| format!(" WHERE {}", condition.sql));
            list.extend([format!("DELETE FROM {name}{condition}"), publish::insert_sql(&name, staged, layout)]);
        }
        Disposition::Full { .. } | Disposition::Append => list.push(publish::insert_sql(&name, staged, layout)),
    }
    Ok(list)
}
