//! What a table that stays does with rows of its own accord: triggers and rules, and what foreign keys of other tables do when rows go.
//!
//! None of it is switched off. What it does to the load is counted, and where a count would not be true the load fails.

use super::merge;
use super::session::{Outcome, Session, failed, refusal};
use super::staging::Staging;
use super::table::LiveTable;
use super::types::quoted;
use crate::destination::DestinationError;
use crate::destination::keys::known_key;
use crate::run::Counts;
use crate::text::count;

/// Triggers that are switched on and rules, of the partitions too; the columns whose texts are equal though they differ.
const IS_GUARDED: &str = "WITH parts AS (SELECT $1::oid AS part UNION SELECT relid::oid FROM pg_partition_tree($1::oid::regclass)) \
     SELECT EXISTS (SELECT FROM pg_trigger JOIN parts ON tgrelid = part WHERE NOT tgisinternal AND tgenabled <> 'D') \
     OR EXISTS (SELECT FROM pg_rewrite JOIN parts ON ev_class = part), \
     (SELECT coalesce(array_agg(attname::text), '{}') FROM pg_attribute JOIN pg_collation l ON l.oid = attcollation \
         WHERE attrelid = $1::oid AND attnum > 0 AND NOT collisdeterministic)";

/// Foreign keys that refer to the table; those of itself come as such.
const REFERENCES: &str = "SELECT con.conname::text, format('%I.%I', n.nspname, k.relname), con.conrelid = con.confrelid, con.confdeltype::text, \
     (SELECT string_agg(format('%I IS NOT NULL', a.attname), ' AND ') FROM pg_attribute a WHERE a.attrelid = con.conrelid \
         AND a.attnum = ANY (con.conkey)) \
     FROM pg_constraint con JOIN pg_class k ON k.oid = con.conrelid JOIN pg_namespace n ON n.oid = k.relnamespace \
     WHERE con.contype = 'f' AND con.confrelid = $1::oid AND con.conparentid = 0 ORDER BY 1, 2";

/// A foreign key that refers to the table.
#[derive(Debug)]
struct Reference {
    name: String,
    /// The table that has it, as SQL.
    table: String,
    is_own: bool,
    /// Whether it changes or deletes rows of its table when the ones that it refers to go.
    is_cascade: bool,
    /// Which rows of its table refer to one.
    condition: String,
}

/// What a table does with rows of its own accord.
#[derive(Debug)]
pub(super) struct Guards {
    /// It has triggers or rules.
    is_guarded: bool,
    references: Vec<Reference>,
    /// Columns with a collation to which different texts are equal.
    blurred: Vec<String>,
}

impl Guards {
    pub(super) fn read(session: &mut Session, live: &LiveTable) -> Outcome<Self> {
        let (oid, what) = (live.oid.to_string(), format!("looking at the triggers and foreign keys of {}", live.name));
        let guarded = session.rows(IS_GUARDED, &[Some(&oid)]).map_err(failed(&what))?;
        let references = session.rows(REFERENCES, &[Some(&oid)]).map_err(failed(&what))?;
        let references = references.iter().map(|row| Reference {
            name: row.get(0),
            table: row.get(1),
            is_own: row.get(2),
            is_cascade: matches!(row.get(3), "c" | "n" | "d"),
            condition: row.get(4),
        });
        let (is_guarded, blurred) = guarded.first().map_or_else(Default::default, |row| (row.get(0), row.get(1)));
        Ok(Self { is_guarded, references: references.collect(), blurred })
    }

    /// Whether it does nothing of its own accord.
    pub(super) fn is_none(&self) -> bool {
        !self.is_guarded && self.references.is_empty()
    }

    /// Whether other tables refer to it.
    pub(super) fn is_referenced(&self) -> bool {
        self.references.iter().any(|reference| !reference.is_own)
    }

    /// Refuses to delete rows where that would delete or change rows of other tables, or rows outside of a window.
    pub(super) fn refuse_cascades(&self, session: &mut Session, live: &LiveTable, is_window: bool) -> Outcome<()> {
        for reference in self.references.iter().filter(|reference| reference.is_cascade && (is_window || !reference.is_own)) {
            let Reference { name, table, condition, .. } = reference;
            let what = format!("looking for rows of {table} that refer to {}", live.name);
            let found = session.rows(&format!("SELECT EXISTS (SELECT FROM {table} WHERE {condition})"), &[]).map_err(failed(what))?;
            if found.first().is_some_and(|row| row.get(0)) {
                let message = format!("rows of {table} refer to {} by foreign key {name}, which would change or delete them", live.name);
                let hint = "load it by a primary_key in mode incremental, which deletes nothing, or make the key ON DELETE NO ACTION";
                return Err(refusal("dependents", message, hint));
            }
        }
        Ok(())
    }

    /// Refuses to merge by a column to which different texts are one key.
    pub(super) fn refuse_blurred_key(&self, live: &LiveTable, key: &[String]) -> Outcome<()> {
        match key.iter().find(|column| self.blurred.iter().any(|blurred| blurred.eq_ignore_ascii_case(column))) {
            None => Ok(()),
            Some(column) => {
                let message = format!("table {}: key column {column} has a collation to which different texts are equal", live.name);
                Err(refusal("schema_clash", message, "give the column a deterministic collation, or name another primary_key"))
            }
        }
    }

    /// Refuses a deletion that a trigger or rule has kept from some rows.
    pub(super) fn refuse_left_rows(&self, live: &LiveTable, rows: u64, deleted: u64) -> Outcome<()> {
        if rows == deleted {
            return Ok(());
        }
        let message = format!("table {}: {} had to go and {} could be deleted", live.name, count(rows, "row"), count(deleted, "row"));
        Err(refusal("rows_lost", message, "look for triggers and rules of the table that keep rows from being deleted"))
    }

    /// Returns how many rows a merge must update and add, where triggers or rules may keep it from some.
    pub(super) fn foretell(&self, staging: &mut Staging<'_>, live: &LiveTable, key: &[String]) -> Outcome<Option<(u64, u64)>> {
        if !self.is_guarded {
            return Ok(None);
        }
        let key = known_key(&staging.layout.batch, &live.name, key)?;
        let (name, staged) = (staging.session.table(&live.name), staging.session.table(&staging.table));
        let same_key: Vec<String> = key.iter().map(|column| format!("target.{0} = staged.{0}", quoted(column))).collect();
        let same_key = same_key.join(" AND ");
        let differs = merge::differs("target", &staging.layout, Some(live), &key).unwrap_or_else(|| "false".to_owned());
        let what = format!("counting what changes in {}", live.name);
        let mut number = |sql: String| staging.session.number(&sql).map_err(failed(&what));
        let updated = number(format!("SELECT count(*) FROM {name} AS target JOIN {staged} AS staged ON {same_key} WHERE {differs}"))?;
        let added =
            number(format!("SELECT count(*) FROM {staged} AS staged WHERE NOT EXISTS (SELECT 1 FROM {name} AS target WHERE {same_key})"))?;
        Ok(Some((updated, added)))
    }

    /// Refuses a merge that did something else than was foretold.
    pub(super) fn refuse_other_counts(&self, live: &LiveTable, counts: &Counts, foretold: Option<(u64, u64)>) -> Outcome<()> {
        match foretold {
            Some((updated, _)) if updated != counts.updated => Err(left_out(live, updated, counts.updated)),
            Some((_, added)) if added != counts.added => Err(left_out(live, added, counts.added)),
            _ => Ok(()),
        }
    }
}

/// Says that a trigger or rule has left rows out.
pub(super) fn left_out(live: &LiveTable, rows: u64, written: u64) -> DestinationError {
    let message = format!("table {}: {} had to be written and {written} could be", live.name, count(rows, "row"));
    refusal("rows_lost", message, "look for triggers and rules of the table that leave rows out")
}
