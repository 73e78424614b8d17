//! `etlsched state`: how far sources are loaded, and how to make them start anew.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{Context, confirm, stored, worker};
use crate::engine::{self, TargetRecord};
use crate::error::Failure;
use crate::exit_code;
use crate::job::load::Secrets;
use crate::job::{DataSource, Job};
use crate::output::measure::utc;
use crate::output::table::{Align, Rows};
use crate::output::{self, Format, masked, slots as view, targets};
use crate::plan::{MendAction, Owner, WorkerError};
use crate::process::{self, Program};
use crate::run::due::SlotRecord;
use crate::state::{Actor, StateLocation, Store};
use crate::text::{count, printable};
use crate::workspace::Workspace;

/// How long a source may take to name its streams, and a destination to change its rows.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// How many slots of a job are shown.
const SLOTS_SHOWN: i64 = 10;

/// Look at what is loaded, or make sources start anew
#[derive(Debug, Args)]
#[command(
    after_long_help = "Examples:\n  etlsched state show sales\n  etlsched state reset sales --source orders\n  etlsched state migrate --from .etlsched/state.db"
)]
pub struct State {
    /// What to do
    #[command(subcommand)]
    pub action: Action,
}

/// What to do with the state.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Show how far each stream is loaded, and what became of the last slots
    Show(Show),
    /// Forget how far a source was read
    ///
    /// The next run of an incremental source is then a first run: everything is read again and takes the table's place. Tables and
    /// their rows stay as they are until then. With --take-over the source's tables are taken from whichever job or source owns them; tables with
    /// rows that etlsched did not load become its own, and the next load replaces all of their rows by those of the source.
    Reset(Reset),
    /// Copy a store that is a file into the PostgreSQL database that `state:` names
    ///
    /// The database must have no runs yet. All rows are copied, or none; the file stays as it is. Do it while no run goes on, and before the
    /// first run on the new store: the copied log, slots and owners go on where they were, and targets still know their workspace.
    Migrate(Migrate),
}

/// A store to copy.
#[derive(Debug, Args)]
pub struct Migrate {
    /// The file (default: .etlsched/state.db)
    #[arg(long, value_name = "PATH")]
    pub from: Option<PathBuf>,
}

/// A job, or all.
#[derive(Debug, Args)]
pub struct Show {
    /// The job (default: all)
    #[arg(value_name = "JOB")]
    pub job: Option<String>,
}

/// A source of a job.
#[derive(Debug, Args)]
pub struct Reset {
    /// The job
    #[arg(value_name = "JOB")]
    pub job: String,
    /// The source
    #[arg(long, value_name = "NAME")]
    pub source: String,
    /// Take the source's tables from another job or source, or from nobody
    #[arg(long)]
    pub take_over: bool,
    /// Don't ask
    #[arg(short, long)]
    pub yes: bool,
}

impl State {
    /// Runs the command; returns its exit code.
    ///
    /// # Errors
    /// What keeps it from being done.
    pub fn run(self, context: &Context) -> Result<u8, Failure> {
        let workspace = context.workspace()?;
        match self.action {
            Action::Show(Show { job }) => show(&workspace, job.as_deref(), context.output),
            Action::Reset(reset) => reset.run(&workspace, context),
            Action::Migrate(migrate) => migrate.run(&workspace, context),
        }
    }
}

fn show(workspace: &Workspace, job: Option<&str>, format: Format) -> Result<u8, Failure> {
    let (jobs, problems) = match job {
        Some(name) => {
            let id = super::job_id(workspace, name)?;
            let loaded = workspace.load(&id, Secrets::Left).map_err(|reason| super::no_job(&id, reason))?;
            (vec![loaded.job], Vec::new())
        }
        None => workspace.jobs(),
    };
    let mut found: Vec<(String, TargetRecord)> = Vec::new();
    let mut unknown: Vec<(String, String)> = Vec::new();
    let mut slots: Vec<(String, SlotRecord)> = Vec::new();
    // Without a store nothing was ever loaded.
    if let Some(mut store) = stored::open_existing(workspace)? {
        let workspace_id = store.workspace_id()?;
        for job in &jobs {
            let own = store.slots(job.id.as_str(), SLOTS_SHOWN)?;
            slots.extend(own.into_iter().map(|record| (job.id.to_string(), record)));
            match worker::targets(workspace, &job.id, &workspace_id) {
                Ok(mut records) => {
                    let masker = workspace.masker_for(job);
                    records.iter_mut().for_each(|record| masked::target(record, &masker));
                    found.extend(records.into_iter().map(|record| (job.id.to_string(), record)));
                }
                Err(why) => unknown.push((job.id.to_string(), why)),
            }
        }
    }
    print(workspace, &found, &slots, &unknown, format);
    if !problems.is_empty() {
        output::errors::tell(&problems);
        return Ok(exit_code::INVALID);
    }
    Ok(if unknown.is_empty() { exit_code::DONE } else { exit_code::FAILED })
}

fn print(
    workspace: &Workspace,
    found: &[(String, TargetRecord)],
    slots: &[(String, SlotRecord)],
    unknown: &[(String, String)],
    format: Format,
) {
    if format == Format::Json {
        let object = |(job, record): &(String, TargetRecord)| {
            let mut object = targets::object(record);
            object["job"] = job.clone().into();
            object
        };
        let cursors: Vec<Value> = found.iter().map(object).collect();
        let slots: Vec<Value> = slots.iter().map(|(job, record)| view::object(job, record)).collect();
        let unknown: Vec<Value> = unknown.iter().map(|(job, why)| json!({"job": job, "message": why})).collect();
        return output::json::print(
            &json!({"success": unknown.is_empty(), "cursors": cursors, "slots": slots, "unknown": unknown, "store": workspace.state.place().to_string()}),
        );
    }
    if format == Format::Csv {
        output::print(&csv(found).csv());
    } else if found.is_empty() && unknown.is_empty() {
        output::print("nothing is loaded yet");
    } else if !found.is_empty() {
        output::print(&targets::table_of_jobs(found, workspace.timezone).leaving_rest_to("-o json").text());
    }
    if format == Format::Table && !slots.is_empty() {
        output::print(&format!("\nSlots\n{}", view::table(slots, workspace.timezone).leaving_rest_to("-o json").text()));
    }
    if format == Format::Table {
        output::print(&format!("\nState store: {}", workspace.state.place()));
    }
    for (job, why) in unknown {
        let failure = Failure::new(exit_code::FAILED, "destination", format!("job {job}: {why}"));
        output::errors::print(&failure, Format::Table);
    }
}

fn csv(found: &[(String, TargetRecord)]) -> Rows {
    let names = ["job", "source", "stream", "target", "cursor", "version", "rows", "committed_at"];
    let mut rows = Rows::new(names.map(|name| (name, Align::Left)));
    for (job, TargetRecord { source, stream, target, cursor, version, rows: loaded, committed_at }) in found {
        let cursor = cursor.as_ref().map(|cursor| cursor.text.clone()).unwrap_or_default();
        let at = committed_at.map(utc).unwrap_or_default();
        let cells = [job, source, stream, target, &cursor, &version.to_string(), &loaded.to_string(), &at];
        rows.push(cells.map(Clone::clone).to_vec());
    }
    rows
}

impl Migrate {
    fn run(self, workspace: &Workspace, context: &Context) -> Result<u8, Failure> {
        if workspace.state.file().is_some() {
            let message = format!("state: names the file {}: there is no server to copy into", workspace.state.place());
            return Err(Failure::usage(message).hint("write state: postgresql://... into etlsched.yaml first"));
        }
        let here = std::env::current_dir().map_err(|error| Failure::internal(format!("the current folder can't be read: {error}")))?;
        let path = self.from.map_or_else(|| workspace.private_folder().join("state.db"), |path| here.join(path));
        let from = StateLocation::Sqlite(path);
        let Some(mut source) = Store::open_existing(&from)? else {
            return Err(Failure::usage(format!("no store in {}", from.place())).hint("name its file with --from PATH"));
        };
        let mut target = stored::open(workspace)?;
        let copied = source.copy_into(&mut target, &stored::actor(), &stored::moment(), &process::liveness)?;
        let (from, to) = (from.place().to_string(), workspace.state.place().to_string());
        match context.output {
            Format::Json => {
                let rows: serde_json::Map<String, Value> = copied.into_iter().map(|(table, rows)| (table, rows.into())).collect();
                output::json::print(&json!({"success": true, "from": from, "to": to, "rows": rows}));
            }
            Format::Csv => {
                let mut rows = Rows::new(["table", "rows"].map(|name| (name, Align::Left)));
                copied.into_iter().for_each(|(table, count)| rows.push(vec![table, count.to_string()]));
                output::print(&rows.csv());
            }
            Format::Table => {
                let of = |name: &str| copied.iter().find(|(table, _)| table == name).map_or(0, |(_, rows)| *rows);
                let (jobs, runs) = (count(of("jobs"), "job"), count(of("runs"), "run"));
                output::print(&format!("copied {jobs} and {runs} from {from} to {to}"));
            }
        }
        Ok(exit_code::DONE)
    }
}

/// A reset that may be done: its job, and who asks.
struct Order {
    workspace: Workspace,
    job: Job,
    workspace_id: String,
    program: Program,
}

impl Reset {
    fn run(self, workspace: &Workspace, context: &Context) -> Result<u8, Failure> {
        let Self { job, source, take_over: is_take_over, yes: is_yes } = self;
        let what = if is_take_over { "taking tables over" } else { "resetting a source" };
        let (workspace, job) = worker::job(workspace, &job)?;
        // One that the file doesn't name may have loaded tables: whether it is unknown is told below, before anybody is asked.
        let is_named = job.sources.iter().any(|known| known.name == source);
        if is_named {
            confirm::check(what, is_yes)?;
        }
        if !job.missing_variables.is_empty() {
            return Err(Failure::invalid(job.missing_variables));
        }
        let by = stored::actor();
        let mut store = stored::open(&workspace)?;
        if let Some(record) = store.job(job.id.as_str())? {
            stored::check_permitted(&workspace, &record, &by)?;
        }
        stored::refuse_while_it_runs(&mut store, job.id.as_str())?;
        let order = Order { workspace_id: store.workspace_id()?, program: worker::program()?, workspace, job };
        let action = if is_take_over { order.take_over(&source)? } else { order.reset(&source, context)? };
        let masker = &order.workspace.masker;
        let Some(action) = action else {
            print_changed(context, &order.job, &masker.mask(&source), &[], is_take_over);
            return Ok(exit_code::DONE);
        };
        confirm::check(what, is_yes)?;
        order.check_former_owners(&mut store, &action, &source, &by)?;
        let question = masker.mask(&question(&action, &source));
        if !is_yes && !confirm::ask(&question, "nothing was changed") {
            return Ok(exit_code::FAILED);
        }
        // It may have begun while the question stood.
        stored::refuse_while_it_runs(&mut store, order.job.id.as_str())?;
        let mut changed = engine::mend_targets(&order.program, &order.job, &order.workspace_id, action, ANSWER_TIMEOUT)
            .map_err(|error| order.failure(&source, error))?;
        if !changed.is_empty() {
            let word = if is_take_over { "state take-over" } else { "state reset" };
            let details = format!("source {source}: {}", changed.join(", "));
            store.note(&by, word, order.job.id.as_str(), Some(&details), stored::moment().at)?;
        }
        changed.iter_mut().for_each(|target| *target = masker.mask(target));
        print_changed(context, &order.job, &masker.mask(&source), &changed, is_take_over);
        Ok(exit_code::DONE)
    }
}

impl Order {
    fn source(&self, name: &str) -> Result<&DataSource, Failure> {
        let known = self.job.sources.iter().find(|source| source.name == name);
        known.ok_or_else(|| {
            let names: Vec<&str> = self.job.sources.iter().map(|source| source.name.as_str()).collect();
            let hint = match crate::text::nearest(name, names.iter().copied()) {
                Some(nearest) => format!("did you mean {nearest}?"),
                None => format!("its sources are {}", names.join(", ")),
            };
            masked::failure(Failure::usage(format!("job {}: no source {name:?}", self.job.id)).hint(hint), &self.workspace.masker)
        })
    }

    /// Returns the reset of every table that the source loaded, one that the job's file names no more too; `None` where there is none.
    fn reset(&self, source: &str, context: &Context) -> Result<Option<MendAction>, Failure> {
        let records = engine::target_records(&self.program, &self.job, &self.workspace_id, ANSWER_TIMEOUT)
            .map_err(|error| self.failure(source, error))?;
        let own: Vec<TargetRecord> = records.into_iter().filter(|record| record.source == source).collect();
        let targets = own.iter().map(|record| record.target.clone()).collect();
        if own.is_empty() {
            self.source(source)?;
            return Ok(None);
        }
        if context.output == Format::Table && !context.quiet {
            let mut shown = own;
            shown.iter_mut().for_each(|record| masked::target(record, &self.workspace.masker));
            output::note(&targets::table(&shown, self.workspace.timezone).text());
        }
        Ok(Some(MendAction::Reset { targets }))
    }

    /// Returns the change of owner of every table that the source loads now.
    fn take_over(&self, source: &str) -> Result<Option<MendAction>, Failure> {
        let order = engine::discover_order(&self.job, self.source(source)?);
        let program = Program { variables_removed: self.job.variables.clone(), ..self.program.clone() };
        let answer = engine::ask(&program, &order, ANSWER_TIMEOUT).map_err(|error| self.failure(source, error))?;
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let streams = answer["streams"].as_array().map(Vec::as_slice).unwrap_or_default();
        let owners: Vec<(String, Owner)> = streams
            .iter()
            .filter_map(|stream| {
                let owner = Owner {
                    workspace_id: self.workspace_id.clone(),
                    job: self.job.id.to_string(),
                    source: source.to_owned(),
                    stream: text(&stream["name"])?,
                };
                Some((text(&stream["target"])?, owner))
            })
            .collect();
        Ok((!owners.is_empty()).then_some(MendAction::TakeOver { owners }))
    }

    /// Checks that this user may change the jobs of this workspace that tables are taken from.
    fn check_former_owners(&self, store: &mut Store, action: &MendAction, source: &str, by: &Actor) -> Result<(), Failure> {
        let MendAction::TakeOver { owners } = action else { return Ok(()) };
        let targets = owners.iter().map(|(target, _)| target.clone()).collect();
        let order = engine::inspect_order(&self.job, &self.workspace_id, targets);
        let program = Program { variables_removed: self.job.variables.clone(), ..self.program.clone() };
        let answer = engine::ask(&program, &order, ANSWER_TIMEOUT).map_err(|error| self.failure(source, error))?;
        let records = answer["records"].as_array().map(Vec::as_slice).unwrap_or_default();
        for record in records.iter().filter(|record| record["workspace_id"] == self.workspace_id.as_str()) {
            if let Some(former) = store.job(record["job"].as_str().unwrap_or_default())? {
                stored::check_permitted(&self.workspace, &former, by)?;
            }
        }
        Ok(())
    }

    fn failure(&self, source: &str, error: WorkerError) -> Failure {
        let message = self.workspace.masker.mask(&error.message);
        let failure = Failure::new(exit_code::FAILED, "state", format!("job {}, source {source}: {message}", self.job.id));
        Failure { hint: error.hint.map(|hint| self.workspace.masker.mask(&hint)), ..failure }
    }
}

fn question(action: &MendAction, source: &str) -> String {
    match action {
        MendAction::TakeOver { owners } => {
            let tables: Vec<&str> = owners.iter().map(|(target, _)| target.as_str()).collect();
            let (tables, source) = (printable(&tables.join(", ")).into_owned(), printable(source));
            format!("give {tables} to source {source}? {}. Whoever owned it can't load it any more.", replaced(&tables))
        }
        _ => format!(
            "forget how far source {} was read? Its next run reads everything; tables stay as they are until then.",
            printable(source)
        ),
    }
}

/// Returns what comes of a take-over: its rows are not the source's, so the first load, of an incremental source too, is a full one.
fn replaced(tables: &str) -> String {
    format!("the next load replaces all rows of {tables} by those of its source; rows that the source no longer has go")
}

fn print_changed(context: &Context, job: &Job, source: &str, changed: &[String], is_take_over: bool) {
    let job = job.id.as_str();
    match context.output {
        Format::Json => {
            let mut object = json!({"success": true, "job": job, "source": source, "changed": changed});
            if is_take_over && !changed.is_empty() {
                object["warning"] = replaced(&changed.join(", ")).into();
            }
            output::json::print(&object);
        }
        Format::Csv => {
            let mut rows = Rows::new(["job", "source", "target"].map(|name| (name, Align::Left)));
            changed.iter().for_each(|target| rows.push([job, source, target].map(str::to_owned).to_vec()));
            output::print(&rows.csv());
        }
        Format::Table if context.quiet => {}
        Format::Table if changed.is_empty() => {
            output::print(&format!("{job}: nothing to {}", if is_take_over { "take over" } else { "reset" }));
        }
        Format::Table => {
            let done = if is_take_over { "took over" } else { "reset" };
            let tables = count(changed.len() as u64, "table");
            let changed = printable(&changed.join(", ")).into_owned();
            output::print(&printable(&format!("{job}: {done} {tables} of source {source}: {changed}")));
            if is_take_over {
                output::note(&format!("warning: {}", replaced(&changed)));
            }
        }
    }
}
