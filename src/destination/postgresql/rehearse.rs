//! A load without effect: what a dry run asks. Rows go into a temporary table of a transaction that is never committed, beside the
//! target, which is only read.

use super::merge;
use super::publish;
use super::session::{Outcome, Session, failed};
use super::staging::{self, Sending, Shape};
use super::table::{Durability, LiveTable, create_sql, of_types};
use super::types::{conversion, declaration, quoted};
use crate::batch::{RecordBatch, Schema};
use crate::destination::evolution::Layout;
use crate::destination::keys::known_key;
use crate::destination::{Disposition, Fold, InvalidValue, LoadRequest, Rehearsal};
use crate::plan::SchemaChange;
use crate::run::Counts;

/// The temporary table as SQL.
const STAGED: &str = "pg_temp._etlsched_staged";

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
        staging::refuse_name(&request.target)?;
        let live = LiveTable::read(&mut session, &request.target)?;
        staging::admit(&mut session, &request.target, &request.owner, live.as_ref())?;
        let layout = staging::layout_of(&mut session, request, &request.schema, live.as_ref())?;
        session.begin()?;
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
        self.number = Shape::number(&self.request, &self.layout);
        let number = self.number.as_deref().map(|name| (name, "bigint".to_owned()));
        let create = create_sql(STAGED, Durability::Logged, of_types(&self.layout.batch.columns).chain(number));
        let sql = format!("DROP TABLE IF EXISTS {STAGED}; {create}");
        self.session.client.batch_execute(&sql).map_err(failed(format_args!("trying the load of {}", self.request.target)))
    }

    /// Returns what would become of the rows of a merge: added, updated, unchanged.
    fn merged(&mut self, fold: &Fold) -> Outcome<Counts> {
        let Some(live) = &self.live else { return Ok(Counts { added: self.count, ..Counts::default() }) };
        let key = known_key(&self.layout.batch, &self.request.target, &fold.key)?;
        let old = self.layout.batch.columns.iter().map(|column| {
            let there = live.column(&column.name).map(|there| quoted(&there.name));
            let changed = self.layout.redeclared().into_iter().find(|(name, _, _)| *name == column.name);
            let value = match (there, changed) {
                (Some(there), Some((_, from, to))) => conversion(&there, from, to),
                (Some(there), None) => there,
                (None, _) => format!("NULL::{}", declaration(column.column_type)),
            };
            format!("{value} AS {}", quoted(&column.name))
        });
        let old: Vec<String> = old.collect();
        let same_key: Vec<String> = key.iter().map(|column| format!("target.{0} = staged.{0}", quoted(column))).collect();
        let differs = merge::differs("target", &self.layout, Some(live), &key).unwrap_or_else(|| "false".to_owned());
        let sql = format!(
            "SELECT count(*), count(*) FILTER (WHERE {differs}) FROM {STAGED} AS staged JOIN (SELECT {} FROM {}) AS target ON {}",
            old.join(", "),
            self.session.table(&live.name),
            same_key.join(" AND ")
        );
        let rows = self.session.rows(&sql, &[]).map_err(failed(format_args!("comparing rows with those of {}", live.name)))?;
        let number = |place: usize| rows.first().and_then(|row| u64::try_from(row.get::<_, i64>(place)).ok()).unwrap_or(0);
        let (matched, updated) = (number(0), number(1));
        Ok(Counts { added: self.count.saturating_sub(matched), updated, unchanged: matched - updated, ..Counts::default() })
    }
}

impl Rehearsal for Trial {
    fn schema(&self) -> &Schema {
        &self.layout.batch
    }

    fn schema_changes(&self) -> &[SchemaChange] {
        &self.layout.changes
    }

    fn unfit(&self, batch: &RecordBatch, invalid: Vec<InvalidValue>) -> Vec<InvalidValue> {
        staging::unfit(batch, self.live.as_ref(), &self.layout, invalid)
    }

    fn take(&mut self, batch: &RecordBatch, invalid: &[InvalidValue]) -> Outcome<()> {
        if !self.is_staged {
            return Ok(());
        }
        let numbered = self.number.as_deref().map(|name| (name, self.count + 1));
        let sending = Sending { schema: &self.layout.batch, invalid, policy: self.request.invalid_values, numbered };
        let what = format!("trying the load of {}", self.request.target);
        self.count += staging::copy(&mut self.session, STAGED, batch, &sending, &what)?;
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
        let mut folded = 0;
        if let (Some(number), Disposition::Merge(fold) | Disposition::Full { fold: Some(fold), .. }) = (&self.number, &disposition) {
            let sql = merge::fold_sql(&self.layout.batch, &self.request.target, STAGED, number, fold)?;
            folded = self.session.run(&sql).map_err(failed(format_args!("trying to fold rows of {}", self.request.target)))?;
            self.count -= folded;
        }
        let counts = match &disposition {
            Disposition::Merge(fold) => self.merged(fold)?,
            Disposition::Window { column, from, until } => {
                let (batch, target) = (&self.layout.batch, &self.request.target);
                let condition = publish::window(&mut self.session, batch, target, STAGED, column, from.as_ref(), until.as_ref())?;
                let deleted = match (&live, condition) {
                    (None, _) => 0,
                    (Some(_), None) => before,
                    (Some(live), Some(condition)) => publish::counted(&mut self.session, live, &condition)?,
                };
                Counts { added: rows, deleted, ..Counts::default() }
            }
            Disposition::Full { .. } => Counts { added: rows - folded, deleted: before, ..Counts::default() },
            Disposition::Append => Counts { added: rows, ..Counts::default() },
        };
        Ok(Counts { folded, ..counts })
    }
}
