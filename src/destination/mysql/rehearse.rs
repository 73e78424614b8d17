//! A load without effect: what a dry run asks. Rows go into a temporary table, which nobody else sees and which goes with the
//! connection, beside the target, which is only read.

use super::copying::Rows;
use super::sending::{Into, send};
use super::session::{Outcome, Session, failed};
use super::staging::{self, Shape};
use super::table::{LiveTable, cell, create_sql};
use super::types::quoted;
use super::{merge, window};
use crate::batch::{RecordBatch, Schema};
use crate::destination::evolution::Layout;
use crate::destination::keys::known_key;
use crate::destination::{Disposition, Fold, InvalidValue, LoadRequest, Rehearsal};
use crate::plan::SchemaChange;
use crate::run::Counts;

/// The temporary table.
const STAGED: &str = "_etlsched_staged";

/// A load that is only tried.
#[derive(Debug)]
pub(super) struct Trial {
    session: Session,
    request: LoadRequest,
    live: Option<LiveTable>,
    layout: Layout,
    number: Option<String>,
    /// Whether the rows must be looked at together.
    is_staged: bool,
    count: u64,
}

impl Trial {
    /// Settles the columns; refuses what [`super::Destination::begin`] refuses.
    pub(super) fn begin(mut session: Session, request: &LoadRequest) -> Outcome<Self> {
        let (live, _, layout) = staging::look(&mut session, request)?;
        let request = request.clone();
        let mut trial = Self { session, request, live, layout, number: None, is_staged: false, count: 0 };
        trial.make()?;
        Ok(trial)
    }

    /// Makes the temporary table, where rows must be looked at together.
    fn make(&mut self) -> Outcome<()> {
        self.count = 0;
        self.is_staged = !matches!(self.request.disposition, Disposition::Append | Disposition::Full { fold: None, .. });
        if !self.is_staged {
            return Ok(());
        }
        let dialect = self.session.dialect;
        self.number = Shape::of(&mut self.session, &self.request, &self.layout, self.live.as_ref())?.number;
        let number = self.number.as_deref().map(|name| (name, "bigint".to_owned()));
        let columns = self.layout.batch.columns.iter().map(|column| (column.name.as_str(), self.layout.fresh(dialect, column)));
        let table = self.session.table(STAGED);
        let create = create_sql(dialect, &table, columns.chain(number)).replacen("CREATE TABLE", "CREATE TEMPORARY TABLE", 1);
        let what = format!("trying the load of {}", self.request.target);
        self.session.define(&what, &format!("DROP TEMPORARY TABLE IF EXISTS {table}"))?;
        self.session.define(&what, &create)
    }

    /// Returns how many rows would give way to another one of their key.
    fn folded(&mut self, fold: &Fold) -> Outcome<u64> {
        let key = known_key(&self.layout.batch, &self.request.target, &fold.key)?;
        let list: Vec<String> = key.iter().map(|name| quoted(name)).collect();
        let table = self.session.table(STAGED);
        let sql = format!("SELECT count(*) FROM (SELECT 1 FROM {table} GROUP BY {}) AS kept", list.join(", "));
        let kept = self.session.number(&sql).map_err(failed(format_args!("trying to fold rows of {}", self.request.target)))?;
        Ok(self.count.saturating_sub(kept))
    }

    /// Returns what would become of the rows of a merge, of which `kept` stay: added, updated, unchanged.
    fn merged(&mut self, fold: &Fold, kept: u64) -> Outcome<Counts> {
        let (Some(live), Some(number)) = (&self.live, &self.number) else { return Ok(Counts { added: kept, ..Counts::default() }) };
        let (session, layout, target) = (&mut self.session, &self.layout, &self.request.target);
        let dialect = session.dialect;
        let key = known_key(&layout.batch, target, &fold.key)?;
        let old = layout.batch.columns.iter().map(|column| {
            let there = live.column(&column.name).map(|there| quoted(&there.name));
            let changed = layout.redeclared().into_iter().find(|(name, _, _)| *name == column.name);
            let value = match (there, changed) {
                (Some(there), Some((_, from, to))) => dialect.as_wider(&there, from, to),
                (Some(there), None) => there,
                (None, _) => "NULL".to_owned(),
            };
            format!("{value} AS {}", quoted(&column.name))
        });
        let old: Vec<String> = old.collect();
        let differs = merge::differs(session, layout, Some(live), &key).unwrap_or_else(|| "false".to_owned());
        let same_key = merge::same_key(session, layout, Some(live), &key);
        let placed = merge::placed_sql(&layout.batch, target, &session.table(STAGED), &quoted(number), fold)?;
        let sql = format!(
            "SELECT count(*), coalesce(sum(CASE WHEN {differs} THEN 1 ELSE 0 END), 0) FROM (SELECT * FROM ({placed}) AS placed \
             WHERE place = 1) AS staged JOIN (SELECT {} FROM {}) AS target ON {same_key}",
            old.join(", "),
            session.table(&live.name)
        );
        let rows = session.query(&sql).map_err(failed(format_args!("comparing rows with those of {}", live.name)))?;
        let number = |place: usize| rows.first().and_then(|row| cell(row, place).parse::<u64>().ok()).unwrap_or(0);
        let (matched, updated) = (number(0), number(1));
        Ok(Counts { added: kept.saturating_sub(matched), updated, unchanged: matched - updated, ..Counts::default() })
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
        if !self.is_staged {
            return Ok(());
        }
        let (table, what) = (self.session.table(STAGED), format!("trying the load of {}", self.request.target));
        let number = self.number.as_deref();
        let into = Into { table: &table, schema: &self.layout.batch, number, what: &what };
        let numbered_from = number.map(|_| self.count + 1);
        let rows = Rows { batch, invalid, policy: self.request.invalid_values, numbered_from };
        self.count += send(&mut self.session, into, &rows)?;
        Ok(())
    }

    fn restart(&mut self, schema: &Schema) -> Outcome<()> {
        self.layout = staging::layout_of(&mut self.session, &self.request, schema, self.live.as_ref())?;
        self.make()
    }

    fn counts(&mut self, rows: u64) -> Outcome<Counts> {
        let live = self.live.as_ref().map(|live| self.session.table(&live.name));
        let before = match &live {
            Some(live) => self.session.count(live)?,
            None => 0,
        };
        let disposition = self.request.disposition.clone();
        let folded = match &disposition {
            Disposition::Merge(fold) | Disposition::Full { fold: Some(fold), .. } => self.folded(fold)?,
            _ => 0,
        };
        let counts = match &disposition {
            Disposition::Merge(fold) => self.merged(fold, self.count - folded)?,
            Disposition::Window { column, from, until } => {
                let (batch, target) = (&self.layout.batch, &self.request.target);
                let staged = self.session.table(STAGED);
                let condition = window::window(&mut self.session, batch, target, &staged, column, from.as_ref(), until.as_ref())?;
                let deleted = match (&live, condition) {
                    (None, _) => 0,
                    (Some(_), None) => before,
                    (Some(live), Some(condition)) => window::counted(&mut self.session, live, &condition)?,
                };
                Counts { added: rows, deleted, ..Counts::default() }
            }
            Disposition::Full { .. } => Counts { added: rows - folded, deleted: before, ..Counts::default() },
            Disposition::Append => Counts { added: rows, ..Counts::default() },
        };
        Ok(Counts { folded, ..counts })
    }
}
