//! The statements of a load, in the order in which it runs them, for people: what a dry run prints. Runs nothing.

use super::session::{Outcome, Session};
use super::staging::{Shape, make_sql, send_sql};
use super::table::LiveTable;
use super::{alter, bookkeeping, merge, publish, swap, window};
use crate::destination::evolution::Layout;
use crate::destination::keys::known_key;
use crate::destination::{Disposition, Fold, LoadRequest};

/// Returns the statements; `?` stands for bound values.
pub(super) fn statements(
    session: &mut Session,
    request: &LoadRequest,
    staging: &str,
    live: Option<&LiveTable>,
    layout: &Layout,
) -> Outcome<Vec<String>> {
    let shape = Shape::of(session, request, layout, live)?;
    let [loads, files] = bookkeeping::tables(session);
    let mut list = vec![bookkeeping::begin_sql(&loads)];
    list.extend(make_sql(session, staging, &shape, live, layout, "[etlsched RUN]"));
    list.push(send_sql(session, staging, &shape, layout));
    let fold = match &request.disposition {
        Disposition::Merge(fold) | Disposition::Full { fold: Some(fold), .. } => Some(fold),
        _ => None,
    };
    if let (Some(number), Some(fold)) = (&shape.number, fold) {
        list.push(merge::fold_sql(&layout.batch, &request.target, &session.table(staging), number, fold)?);
    }
    let mut written = vec![bookkeeping::publish_sql(&loads)];
    if matches!(request.disposition, Disposition::Full { .. }) {
        written.push(bookkeeping::forget_files_sql(&files));
    }
    written.push(bookkeeping::add_file_sql(&files));
    let begin = ["START TRANSACTION".to_owned(), bookkeeping::fence_sql(&loads)];
    if shape.is_swap {
        list.extend(finish(session, request, live, layout, &shape, staging, fold)?);
        list.extend(begin.clone());
        list.extend([bookkeeping::pending_sql(&loads), "COMMIT".to_owned()]);
        let name = live.map_or(&request.target, |live| &live.name);
        let old = live.map(|_| swap::old_name(staging));
        list.push(swap::rename_sql(session, name, staging, old.as_deref()));
        list.extend(begin.into_iter().take(1).chain(written).chain(["COMMIT".to_owned()]));
        list.extend(old.map(|old| format!("DROP TABLE IF EXISTS {}", session.table(&old))));
    } else if let Some(live) = live {
        list.extend(altered(session, request, live, layout)?);
        list.extend(begin);
        list.extend(fill(session, request, live, layout, staging)?);
        list.extend(written);
        list.extend(["COMMIT".to_owned(), format!("DROP TABLE IF EXISTS {}", session.table(staging))]);
    }
    Ok(list)
}

/// Returns what makes a staging table what the target is going to be.
fn finish(
    session: &Session,
    request: &LoadRequest,
    live: Option<&LiveTable>,
    layout: &Layout,
    shape: &Shape,
    staging: &str,
    fold: Option<&Fold>,
) -> Outcome<Vec<String>> {
    let mut list = Vec::new();
    if let Some(fold) = fold {
        let key = known_key(&layout.batch, &request.target, &fold.key)?;
        list.extend(swap::index_sql(session, staging, layout, live, &key));
    }
    list.extend(swap::drop_number_sql(session, staging, shape.number.as_deref()));
    Ok(list)
}

/// Returns what brings the columns and the key of a table that stays to what the load needs.
fn altered(session: &mut Session, request: &LoadRequest, live: &LiveTable, layout: &Layout) -> Outcome<Vec<String>> {
    let name = session.table(&live.name);
    let mut list = alter::statements(session.dialect, &name, live, layout);
    if let Disposition::Merge(fold) = &request.disposition {
        let key = known_key(&layout.batch, &request.target, &fold.key)?;
        let index = merge::key_index_sql(session, live, layout, &key)?;
        list.extend(index.into_iter().map(|sql| format!("ALTER TABLE {name} {sql}")));
    }
    Ok(list)
}

/// Returns what brings the staged rows into a table that stays.
fn fill(session: &Session, request: &LoadRequest, live: &LiveTable, layout: &Layout, staging: &str) -> Outcome<Vec<String>> {
    let (name, staged) = (session.table(&live.name), session.table(staging));
    Ok(match &request.disposition {
        Disposition::Merge(fold) => {
            let key = known_key(&layout.batch, &request.target, &fold.key)?;
            merge::statements(session, staging, layout, Some(live), &request.target, &key)
        }
        Disposition::Window { column, from, until } => {
            let condition = window::bounds(&layout.batch, &request.target, column, from.as_ref(), until.as_ref())?;
            let condition = condition.map_or_else(String::new, |condition| format!(" WHERE {}", condition.sql));
            vec![format!("DELETE FROM {name}{condition}"), publish::insert_sql(&name, &staged, layout)]
        }
        Disposition::Full { .. } => vec![format!("DELETE FROM {name}"), publish::insert_sql(&name, &staged, layout)],
        Disposition::Append => vec![publish::insert_sql(&name, &staged, layout)],
    })
}
