//! Publishing by a RENAME, which commits by itself: what it publishes is written before it, and settled after it ([`pending`]).

use super::bookkeeping::{self, Published};
use super::merge;
use super::pending::{self, Pending};
use super::publish::{refuse_unexpected, unchanged};
use super::session::{Outcome, Session};
use super::staging::{Staging, drop_table};
use super::table::{KEY_INDEX, LiveTable};
use super::types::{listed, quoted};
use crate::destination::evolution::Layout;
use crate::destination::failure::target_changed;
use crate::destination::keys::known_key;
use crate::destination::{Committed, DestinationError, Disposition, PublishRequest};
use crate::run::Counts;

/// Gives the target's place to the staging table.
pub(super) fn publish(staging: &mut Staging<'_>, request: &PublishRequest, folded: u64) -> Outcome<Committed> {
    let target = staging.request.target.clone();
    finish(staging)?;
    let live = unchanged(staging)?;
    let before = match &live {
        Some(live) => {
            if !live.is_plain(staging.session)? {
                return Err(target_changed(&target));
            }
            let name = staging.session.table(&live.name);
            refuse_unexpected(staging, &name, request, true)?
        }
        None => 0,
    };
    let counts =
        Counts { added: staging.rows, deleted: before, folded, skipped: request.skipped, rejected: request.rejected, ..Counts::default() };
    let published = Published::of(&staging.fence, &staging.request.run, request, staging.rows, &staging.layout.batch);
    let pending = Pending {
        begun_version: staging.fence.begun_version,
        table: live.as_ref().map_or_else(|| target.clone(), |live| live.name.clone()),
        staging: staging.table.clone(),
        old: live.map(|_| old_name(&staging.table)),
        published: Published { counts, rows_in_target: staging.rows, ..published },
        files: request.files.clone(),
        replace_files: request.replace_files,
    };
    let version = announce(staging, pending)?;
    Ok(Committed { counts, rows_in_target: staging.rows, version, schema_changes: staging.layout.changes.clone() })
}

/// Makes the staging table what the target is going to be: without our numbers, with an index on the key.
fn finish(staging: &mut Staging<'_>) -> Outcome<()> {
    let (target, table) = (staging.request.target.clone(), staging.table.clone());
    if let Disposition::Merge(fold) | Disposition::Full { fold: Some(fold), .. } = &staging.request.disposition {
        let key = known_key(&staging.layout.batch, &target, &fold.key)?;
        merge::make_key_index(staging.session, &table, &staging.layout, &key)?;
    }
    match drop_number_sql(staging.session, &table, staging.shape.number.as_deref()) {
        Some(sql) => staging.session.define(&format!("finishing staging table {table}"), &sql),
        None => Ok(()),
    }
}

/// Returns what drops the column of numbers.
pub(super) fn drop_number_sql(session: &Session, table: &str, number: Option<&str>) -> Option<String> {
    number.map(|number| format!("ALTER TABLE {} DROP COLUMN {}", session.table(table), quoted(number)))
}

/// Returns the name of the table before, while it stands aside.
pub(super) fn old_name(staging: &str) -> String {
    format!("{staging}_old")
}

/// Writes what is pending, renames, settles; returns the version.
fn announce(staging: &mut Staging<'_>, mut pending: Pending) -> Outcome<i64> {
    let target = staging.request.target.clone();
    let fence = staging.fence.clone();
    let session = &mut *staging.session;
    session.in_transaction(|session| {
        pending.published.version = bookkeeping::held(session, &target, &fence)? + 1;
        bookkeeping::write_pending(session, &target, &pending)
    })?;
    let sql = rename_sql(session, &pending.table, &pending.staging, pending.old.as_deref());
    if let Err(error) = session.define(&format!("publishing table {target} by a RENAME"), &sql) {
        return fate(session, &target, &pending, error);
    }
    // It is done: whoever reads the row next settles what can't be settled now.
    let settled = session.in_transaction(|session| {
        if bookkeeping::locked_pending(session, &target)?.as_ref() == Some(&pending) {
            bookkeeping::settle(session, &target, &pending, true)?;
        }
        Ok(())
    });
    match settled {
        Ok(()) => {
            if let Some(old) = &pending.old {
                let _ = drop_table(session, old);
            }
        }
        Err(_) => {
            let _ = session.reconnect().and_then(|()| pending::settle(session, &target));
        }
    }
    Ok(pending.published.version)
}

/// Finds out what became of a RENAME that failed, or whose answer was lost.
fn fate(session: &mut Session, target: &str, pending: &Pending, error: DestinationError) -> Outcome<i64> {
    if session.is_lost() {
        session.reconnect()?;
    }
    pending::settle(session, target)?;
    let fence = bookkeeping::Fence { begun_version: pending.begun_version, run_id: pending.published.run_id.clone() };
    let version = bookkeeping::published_by(session, target, &fence)?;
    if version == Some(pending.published.version) { Ok(pending.published.version) } else { Err(error) }
}

/// Returns the one statement that gives a table's place to another.
pub(super) fn rename_sql(session: &Session, table: &str, staging: &str, old: Option<&str>) -> String {
    let (name, staged) = (session.table(table), session.table(staging));
    match old {
        Some(old) => format!("RENAME TABLE {name} TO {}, {staged} TO {name}", session.table(old)),
        None => format!("RENAME TABLE {staged} TO {name}"),
    }
}

/// Returns what makes the index on the key of a staging table, for people.
pub(super) fn index_sql(session: &Session, table: &str, layout: &Layout, live: Option<&LiveTable>, key: &[String]) -> Option<String> {
    // The copy of a table has its indexes but ours, which rows with equal keys would break.
    let is_there = live.is_some_and(|live| live.has_unique_index());
    let columns = layout.batch.columns.iter().map(|column| column.name.as_str()).filter(|name| key.iter().any(|key| key == name));
    let list = listed("", columns);
    (!is_there).then(|| format!("ALTER TABLE {} ADD UNIQUE INDEX {} ({list})", session.table(table), quoted(KEY_INDEX)))
}
