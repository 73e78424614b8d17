//! The statements of a load, in the order in which it runs them, for people: what a dry run prints. Runs nothing.

use super::evolve;
use super::guards::Guards;
use super::session::{Outcome, Session};
use super::staging::{Rows, Shape, copy_sql, make_sql};
use super::table::LiveTable;
use super::{bookkeeping, merge, publish};
use crate::destination::evolution::Layout;
use crate::destination::keys::known_key;
use crate::destination::window::Condition;
use crate::destination::{Disposition, LoadRequest};

/// Returns the statements; `$1`, `$2` stand for bound values.
pub(super) fn statements(
    session: &mut Session,
    request: &LoadRequest,
    staging: &str,
    live: Option<&LiveTable>,
    layout: &Layout,
) -> Outcome<Vec<String>> {
    let shape = session.in_transaction(|session| Shape::of(session, request, layout, live, staging))?;
    let [loads, files] = bookkeeping::tables(session);
    let staged = session.table(staging);
    let mut list = vec![bookkeeping::begin_sql(&loads)];
    list.extend(make_sql(&staged, &shape, layout));
    list.push(copy_sql(&staged, &layout.batch, shape.number.as_deref(), Rows::of(&shape)));
    if let (Some(number), Disposition::Merge(fold) | Disposition::Full { fold: Some(fold), .. }) = (&shape.number, &request.disposition) {
        list.push(merge::fold_sql(&layout.batch, &request.target, &staged, number, fold)?);
    }
    list.extend(shape.complete_sql(&staged));
    list.extend(["BEGIN".to_owned(), bookkeeping::publish_sql(&loads)]);
    if matches!(request.disposition, Disposition::Full { .. }) {
        list.push(bookkeeping::forget_files_sql(&files));
    }
    list.push(bookkeeping::add_file_sql(&files));
    if shape.is_swap {
        list.extend(publish::swap_sql(session, live, &request.target, staging, shape.likeness.as_ref()));
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
    let is_referenced = match live {
        Some(live) => Guards::read(session, live)?.is_referenced(),
        None => false,
    };
    let alter = match live {
        Some(_) => evolve::alter_sql(&name, layout),
        None => vec![publish::create_target_sql(&name, layout)],
    };
    let replace = |condition: Option<&Condition<String>>| match condition {
        condition if is_referenced => vec![publish::replace_sql(&name, staged, layout, condition)],
        Some(condition) => vec![format!("DELETE FROM {name} WHERE {}", condition.sql), publish::insert_sql(&name, staged, layout)],
        None => vec![format!("DELETE FROM {name}"), publish::insert_sql(&name, staged, layout)],
    };
    Ok(match &request.disposition {
        Disposition::Merge(fold) => {
            let key = known_key(&layout.batch, &request.target, &fold.key)?;
            let index = match live {
                Some(live) => merge::key_index_sql(session, &request.target, live, &key)?,
                None => Vec::new(),
            };
            [alter, index, merge::statements(&name, staged, layout, live, &key)].concat()
        }
        Disposition::Window { column, from, until } => {
            let condition = publish::bounds(&layout.batch, &request.target, column, from.as_ref(), until.as_ref())?;
            [alter, replace(condition.as_ref())].concat()
        }
        // Deleted before the columns change, where nothing refers to the rows.
        Disposition::Full { .. } if live.is_some() && !is_referenced => {
            [vec![format!("DELETE FROM {name}")], alter, vec![publish::insert_sql(&name, staged, layout)]].concat()
        }
        Disposition::Full { .. } if live.is_some() => [alter, replace(None)].concat(),
        Disposition::Full { .. } | Disposition::Append => [alter, vec![publish::insert_sql(&name, staged, layout)]].concat(),
    })
}
