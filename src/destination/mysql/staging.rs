//! A load under way: its staging table, filled a batch at a time, and what becomes of it.

use super::bookkeeping::{self, Fence};
use super::copying::Rows;
use super::evolve;
use super::pending::{self, mark, unmarked};
use super::sending::{self, Into, send};
use super::session::{Outcome, Session, Way, failed, refusal};
use super::table::{KEY_INDEX, LiveTable, create_sql};
use super::types::{NAME_CHARACTERS_MAX, literal, quoted};
use super::{alter, checks, invalid, mend, publish, records};
use crate::batch::{Column, ColumnType, RecordBatch, Schema};
use crate::destination::evolution::{self, Layout, OldRows};
use crate::destination::failure::fence_lost;
use crate::destination::{Committed, DestinationError, Disposition, Load, LoadRecord, LoadRequest, PublishRequest, Written};
use crate::destination::{ownership, staging_names};
use crate::plan::{Expect, Owner, Publish, RunRef, SchemaChange};

/// A load into a MySQL table.
#[derive(Debug)]
pub(super) struct Staging<'a> {
    pub(super) session: &'a mut Session,
    pub(super) request: LoadRequest,
    pub(super) fence: Fence,
    pub(super) previous: Option<LoadRecord>,
    pub(super) live: Option<LiveTable>,
    pub(super) layout: Layout,
    pub(super) shape: Shape,
    /// The staging table's name.
    pub(super) table: String,
    pub(super) rows: u64,
    restarts: u32,
    /// Published: the staging table is no more.
    is_over: bool,
    notices: Vec<String>,
}

/// What a staging table is made for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shape {
    /// It becomes the target by a RENAME.
    pub is_swap: bool,
    /// The column that numbers the rows, where rows with equal keys are folded: no column of the load has its name.
    pub number: Option<String>,
}

impl Shape {
    pub(super) fn of(session: &mut Session, request: &LoadRequest, layout: &Layout, live: Option<&LiveTable>) -> Outcome<Self> {
        let is_taken = |name: &str| layout.columns.iter().chain(&layout.batch.columns).any(|column| column.name.eq_ignore_ascii_case(name));
        let number = request.disposition.fold().map(|_| staging_names::numbering(is_taken));
        Ok(Self { is_swap: is_swap(session, request, live)?, number })
    }
}

/// Whether the staging table takes the target's place: where there is none, and for a full load into one that is nothing but itself.
fn is_swap(session: &mut Session, request: &LoadRequest, live: Option<&LiveTable>) -> Outcome<bool> {
    match live {
        None => Ok(true),
        Some(live) => match &request.disposition {
            // Rows with equal keys are staged before they are folded: a unique index of the table would refuse them.
            Disposition::Full { publish: Publish::Swap, fold } if fold.is_none() || !live.has_unique_index() => live.is_plain(session),
            _ => Ok(false),
        },
    }
}

impl<'a> Staging<'a> {
    /// Raises the fence, settles what dead runs left, and makes the staging table. Each step commits by itself.
    pub(super) fn begin(session: &'a mut Session, request: &LoadRequest) -> Outcome<Self> {
        // What refuses the load comes before anything is written.
        look(session, request)?;
        bookkeeping::make_tables(session)?;
        let fence = bookkeeping::begin(session, &request.target, &request.owner, &request.run)?;
        pending::settle(session, &request.target)?;
        mend::drop_older_staging(session, &request.target)?;
        let (live, previous, layout) = look(session, request)?;
        let shape = Shape::of(session, request, &layout, live.as_ref())?;
        let mut restarts = 0;
        let mut table = name(&request.target, &request.run, restarts);
        while LiveTable::read(session, &table)?.is_some() {
            restarts += 1;
            table = name(&request.target, &request.run, restarts);
        }
        let mut notices = notices(session);
        notices.extend(texts(session, &layout));
        let request = request.clone();
        let mut staging =
            Self { session, request, fence, previous, live, layout, shape, table, rows: 0, restarts, is_over: false, notices };
        staging.make()?;
        Ok(staging)
    }

    fn make(&mut self) -> Outcome<()> {
        let mark = mark(&self.fence.run_id, self.fence.begun_version);
        let statements = make_sql(self.session, &self.table, &self.shape, self.live.as_ref(), &self.layout, &mark);
        let what = format!("making staging table {}", self.table);
        statements.iter().try_for_each(|sql| self.session.define(&what, sql)).map_err(|error| alter::explained(error, &self.request.target))
    }

    fn stage(&mut self, batch: &RecordBatch) -> Outcome<Written> {
        let dialect = self.session.dialect;
        let limits = self.layout.limits(dialect, self.live.as_ref());
        let invalid = invalid::find(batch, &limits, dialect);
        let (table, what) = (self.session.table(&self.table), format!("staging rows for {}", self.request.target));
        let number = self.shape.number.as_deref();
        let into = Into { table: &table, schema: &self.layout.batch, number, what: &what };
        let numbered_from = number.map(|_| self.rows + 1);
        let rows = Rows { batch, invalid: &invalid, policy: self.request.invalid_values, numbered_from };
        let way = self.session.way;
        let rows = send(self.session, into, &rows)?;
        if self.session.way != way {
            self.notices.extend(notices(self.session));
        }
        self.rows += rows;
        Ok(Written { rows, invalid })
    }

    /// Tells why a step failed: a run that began after this one has dropped the staging table, which the server only finds missing.
    pub(super) fn explained(&mut self, error: DestinationError) -> DestinationError {
        if self.session.is_lost() {
            return error;
        }
        let is_held = bookkeeping::is_held(self.session, &self.request.target, &self.fence);
        if is_held.is_ok_and(|is_held| !is_held) { fence_lost(&self.request.target) } else { error }
    }
}

/// Says why rows go another way than the quick one.
fn notices(session: &Session) -> Vec<String> {
    if session.way == Way::Infile || session.is_infile_off() {
        return Vec::new();
    }
    vec![
        "rows go by INSERT, which takes two to three times as long: the server doesn't allow LOAD DATA LOCAL (set local_infile = ON there, \
         or infile: off on the connection to say that it is meant so)"
            .to_owned(),
    ]
}

/// Says which columns are kept as text though they are numbers.
fn texts(session: &Session, layout: &Layout) -> Vec<String> {
    let is_kept =
        |column: &&Column| matches!(column.column_type, ColumnType::Decimal { .. }) && session.dialect.is_text(column.column_type);
    let told = |column: &Column| {
        let Column { name, column_type } = column;
        format!("column {name} is {column_type}, which MySQL has no type for (65 digits, 30 behind the point): it is kept as text")
    };
    layout.batch.columns.iter().filter(is_kept).map(told).collect()
}

/// Reads the target and its bookkeeping, and decides what becomes of its columns.
pub(super) fn look(session: &mut Session, request: &LoadRequest) -> Outcome<(Option<LiveTable>, Option<LoadRecord>, Layout)> {
    refuse_name(&request.target)?;
    let live = LiveTable::read(session, &request.target)?;
    let previous = admit(session, &request.target, &request.owner, live.as_ref())?;
    if let Some(live) = &live {
        live.refuse_engine()?;
        refuse_cascades(session, request, live)?;
    }
    let layout = layout_of(session, request, &request.schema, live.as_ref())?;
    Ok((live, previous, layout))
}

/// Refuses to delete rows with which the rows of other tables would go, in silence.
fn refuse_cascades(session: &mut Session, request: &LoadRequest, live: &LiveTable) -> Outcome<()> {
    if !matches!(request.disposition, Disposition::Full { .. } | Disposition::Window { .. }) {
        return Ok(());
    }
    let sql = "SELECT table_name, delete_rule FROM information_schema.referential_constraints \
         WHERE unique_constraint_schema = ? AND referenced_table_name = ? AND delete_rule NOT IN ('RESTRICT', 'NO ACTION')";
    let schema = session.schema.clone();
    let found = session.rows(sql, &[Some(&schema), Some(&live.name)]);
    let found = found.map_err(failed(format_args!("looking at the foreign keys towards {}", live.name)))?;
    let Some(row) = found.first() else { return Ok(()) };
    let (child, rule) = (super::table::cell(row, 0), super::table::cell(row, 1));
    let message = format!("table {}: replacing its rows would change those of {child}, whose foreign key says ON DELETE {rule}", live.name);
    Err(refusal("cascade", message, "load it by a primary_key with mode: incremental, which deletes nothing, or change that foreign key"))
}

impl Load for Staging<'_> {
    fn schema(&self) -> &Schema {
        &self.layout.batch
    }

    fn schema_changes(&self) -> &[SchemaChange] {
        &self.layout.changes
    }

    fn write(&mut self, batch: &RecordBatch) -> Outcome<Written> {
        self.stage(batch).map_err(|error| self.explained(error))
    }

    fn pause(&mut self) -> Outcome<()> {
        // Each batch is a transaction of its own: nothing is held between two of them.
        Ok(())
    }

    fn restart(&mut self, schema: &Schema) -> Outcome<()> {
        drop_table(self.session, &self.table)?;
        self.restarts += 1;
        self.table = name(&self.request.target, &self.request.run, self.restarts);
        self.request.schema = schema.clone();
        let (live, _, layout) = look(self.session, &self.request)?;
        self.shape = Shape::of(self.session, &self.request, &layout, live.as_ref())?;
        self.live = live;
        self.notices.extend(texts(self.session, &layout));
        self.layout = layout;
        self.rows = 0;
        self.make()
    }

    fn take_notices(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notices)
    }

    fn finish(&mut self, rows: u64) -> Outcome<()> {
        let table = self.session.table(&self.table);
        let staged = self.session.count(&table).map_err(|error| self.explained(error))?;
        if staged == rows && self.rows == rows {
            return Ok(());
        }
        let message = format!("table {}: {rows} rows were sent and {staged} are staged", self.request.target);
        Err(refusal("rows_lost", message, "run the job again"))
    }

    fn check(&mut self, expect: &Expect) -> Outcome<Vec<String>> {
        checks::run(self, expect).map_err(|error| self.explained(error))
    }

    fn publish(mut self: Box<Self>, request: &PublishRequest) -> Outcome<Committed> {
        let committed = publish::publish(&mut self, request).map_err(|error| self.explained(error))?;
        self.is_over = true;
        Ok(committed)
    }
}

impl Drop for Staging<'_> {
    fn drop(&mut self) {
        // Without a publish nothing may remain; what can't be dropped now goes with the next mend.
        if !self.is_over && !self.session.is_lost() {
            let sql = format!("DROP TABLE IF EXISTS {}", self.session.table(&self.table));
            let _ = self.session.run(&sql);
        }
    }
}

/// Refuses names that are ours or that the engine wouldn't keep.
pub(super) fn refuse_name(target: &str) -> Outcome<()> {
    let length = target.chars().count();
    if length > NAME_CHARACTERS_MAX {
        let message = format!("{target:?} has {length} characters, and names have at most {NAME_CHARACTERS_MAX} in MySQL");
        return Err(refusal("bad_target", message, "set `target` to a shorter name"));
    }
    if !evolve::is_name(target) || target.to_ascii_lowercase().starts_with("_etlsched_") {
        let message = format!("{target:?} can't be the name of a target table");
        return Err(refusal(
            "bad_target",
            message,
            "names that begin with _etlsched_, end with a space or hold emoji can't be used; set `target`",
        ));
    }
    Ok(())
}

/// Returns the target's bookkeeping row, where this owner may load it.
///
/// # Errors
/// As for [`ownership::admit`].
pub(super) fn admit(session: &mut Session, target: &str, owner: &Owner, live: Option<&LiveTable>) -> Outcome<Option<LoadRecord>> {
    ownership::admit(session, target, owner, live.map(|live| live.name.as_str()))
}

/// Returns the name of a staging table.
pub(super) fn name(target: &str, run: &RunRef, restarts: u32) -> String {
    staging_names::name(&target.to_lowercase(), run, restarts)
}

/// Decides what becomes of the target's columns.
pub(super) fn layout_of(session: &mut Session, request: &LoadRequest, schema: &Schema, live: Option<&LiveTable>) -> Outcome<Layout> {
    let record = records::record(session, &request.target)?;
    let published = record.as_ref().map(|record| &record.schema);
    // Only a swap takes the old rows away before the columns change.
    let old_rows = if is_swap(session, request, live)? { OldRows::Go } else { OldRows::Stay };
    evolution::layout(request, live.map(|table| evolve::there(table, session, old_rows)), published, schema)
}

/// Drops a table of ours where it is there.
pub(super) fn drop_table(session: &mut Session, table: &str) -> Outcome<()> {
    let sql = format!("DROP TABLE IF EXISTS {}", session.table(table));
    session.define(&format!("dropping staging table {table}"), &sql)
}

/// Returns the statements that make the staging table, with a mark of the load that it belongs to.
pub(super) fn make_sql(
    session: &Session,
    table: &str,
    shape: &Shape,
    live: Option<&LiveTable>,
    layout: &Layout,
    mark: &str,
) -> Vec<String> {
    let (dialect, name) = (session.dialect, session.table(table));
    let number = shape.number.as_deref();
    if let (true, Some(live)) = (shape.is_swap, live) {
        let mut changes = alter::column_changes(dialect, live, layout);
        changes.extend(number.map(|number| format!("ADD COLUMN {} bigint", quoted(number))));
        if number.is_some() && live.has_key_index() {
            changes.push(format!("DROP INDEX {}", quoted(KEY_INDEX)));
        }
        changes.push(format!("COMMENT = {}", literal(format!("{} {mark}", unmarked(&live.comment)).trim_start())));
        return vec![
            format!("CREATE TABLE {name} LIKE {}", session.table(&live.name)),
            format!("ALTER TABLE {name} {}", changes.join(", ")),
        ];
    }
    let columns = layout.batch.columns.iter().map(|column| (column.name.as_str(), layout.fresh(dialect, column)));
    let declared = if shape.is_swap { "bigint" } else { "bigint NOT NULL PRIMARY KEY" };
    let number = number.map(|name| (name, declared.to_owned()));
    vec![format!("{} COMMENT = {}", create_sql(dialect, &name, columns.chain(number)), literal(mark))]
}

/// Returns the statement by which rows are staged, for people.
pub(super) fn send_sql(session: &Session, table: &str, shape: &Shape, layout: &Layout) -> String {
    let into = Into { table: &session.table(table), schema: &layout.batch, number: shape.number.as_deref(), what: "" };
    match session.way {
        Way::Infile => sending::infile_sql(session.dialect, into),
        Way::Insert => sending::insert_sql(into, 1),
    }
}
