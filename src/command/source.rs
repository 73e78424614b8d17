//! `etlsched source`: reach a source without loading.

use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{Context, worker};
use crate::engine::{self, ask};
use crate::error::Failure;
use crate::exit_code;
use crate::job::load::Secrets;
use crate::job::{DataSource, Job};
use crate::output::table::{Align, Rows};
use crate::output::{self, Format, masked};
use crate::plan::{Order, WorkerError};
use crate::process::Program;
use crate::secret::Masker;
use crate::text::printable;
use crate::workspace::Workspace;

/// How long a source may take to answer: a preview of a large remote file is read from its start.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(300);

/// So many columns of the screen a value takes in a preview; JSON and CSV have it whole.
const CELL_MAX: usize = 60;

/// Reach a source without loading
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  etlsched source test flights\n  etlsched source preview flights weather -n 5")]
pub struct Source {
    /// What to do
    #[command(subcommand)]
    pub action: Action,
}

/// What to do with a source.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// List the sources of a job, or of all
    List(Jobs),
    /// Reach the sources of a job
    Test(Named),
    /// Show the first rows of a source
    Preview(Preview),
    /// Show the columns and types of a source
    Schema(Named),
}

/// A job, or all.
#[derive(Debug, Args)]
pub struct Jobs {
    /// The job (default: all)
    #[arg(value_name = "JOB")]
    pub job: Option<String>,
}

/// The sources of a job.
#[derive(Debug, Args)]
pub struct Named {
    /// The job
    #[arg(value_name = "JOB")]
    pub job: String,
    /// The source (default: all of the job)
    #[arg(value_name = "SOURCE")]
    pub source: Option<String>,
    /// The source, as `run` takes it
    #[arg(long = "source", value_name = "NAME", conflicts_with = "source")]
    pub source_option: Option<String>,
}

impl Named {
    fn source(&self) -> Option<&str> {
        self.source.as_deref().or(self.source_option.as_deref())
    }
}

/// The first rows of a source.
#[derive(Debug, Args)]
pub struct Preview {
    #[command(flatten)]
    pub named: Named,
    /// How many rows
    #[arg(short = 'n', long, default_value_t = 10, value_name = "N")]
    pub rows: usize,
}

/// A source that was asked, and its answer.
pub(super) struct Answer {
    pub(super) source: String,
    pub(super) value: Result<Value, WorkerError>,
}

impl Source {
    /// Runs the command; returns its exit code.
    ///
    /// # Errors
    /// What keeps it from being done.
    pub fn run(self, context: &Context) -> Result<u8, Failure> {
        let workspace = context.workspace()?;
        match self.action {
            Action::List(Jobs { job }) => list(&workspace, job.as_deref(), context.output),
            Action::Test(named) => {
                let answers = answers(&workspace, &named.job, named.source(), engine::test_order)?;
                print(&named.job, &answers, context.output, tested(&answers));
                Ok(exit_code_of(&answers))
            }
            Action::Schema(named) => {
                let answers = answers(&workspace, &named.job, named.source(), engine::discover_order)?;
                print(&named.job, &answers, context.output, columns(&answers));
                Ok(exit_code_of(&answers))
            }
            Action::Preview(Preview { named, rows }) => {
                let answers = answers(&workspace, &named.job, named.source(), |job, source| engine::preview_order(job, source, rows))?;
                preview(&named.job, &answers, context.output);
                Ok(exit_code_of(&answers))
            }
        }
    }
}

/// Reaches every source of a job.
///
/// # Errors
/// The job can't be loaded.
pub(super) fn reach(workspace: &Workspace, job: &str) -> Result<Vec<Answer>, Failure> {
    answers(workspace, job, None, engine::test_order)
}

/// Asks each source that is named; every one of them answers, also behind one that fails.
fn answers(
    workspace: &Workspace,
    job: &str,
    source: Option<&str>,
    order: impl Fn(&Job, &DataSource) -> Order,
) -> Result<Vec<Answer>, Failure> {
    let (workspace, job) = worker::job(workspace, job)?;
    if !job.missing_variables.is_empty() {
        return Err(Failure::invalid(job.missing_variables));
    }
    let chosen: Vec<&DataSource> = job.sources.iter().filter(|candidate| source.is_none_or(|name| candidate.name == name)).collect();
    if let (Some(name), true) = (source, chosen.is_empty()) {
        let names: Vec<&str> = job.sources.iter().map(|source| source.name.as_str()).collect();
        let hint = match crate::text::nearest(name, names.iter().copied()) {
            Some(nearest) => format!("did you mean {nearest}?"),
            None => format!("its sources are {}", names.join(", ")),
        };
        return Err(masked::failure(Failure::usage(format!("job {}: no source {name:?}", job.id)).hint(hint), &workspace.masker));
    }
    let program = Program { variables_removed: job.variables.clone(), ..worker::program()? };
    let mask = |mut error: WorkerError| {
        error.message = workspace.masker.mask(&error.message);
        error.hint = error.hint.map(|hint| workspace.masker.mask(&hint));
        error
    };
    let asked = |source: &&DataSource| {
        let mut value = ask(&program, &order(&job, source), ANSWER_TIMEOUT).map_err(mask);
        if let Ok(value) = &mut value {
            hide(value, &workspace.masker);
        }
        Answer { source: workspace.masker.mask(&source.name), value }
    };
    Ok(chosen.iter().map(asked).collect())
}

/// Hides secrets in what a worker says of a source; names of columns and values are the source's own data.
fn hide(answer: &mut Value, masker: &Masker) {
    let texts = |object: &mut Value, keys: &[&str]| {
        for key in keys {
            if let Some(Value::String(text)) = object.get_mut(*key) {
                *text = masker.mask(text);
            }
        }
    };
    texts(answer, &["message"]);
    for stream in answer.get_mut("streams").and_then(Value::as_array_mut).into_iter().flatten() {
        texts(stream, &["name", "target"]);
        if let Some(error) = stream.get_mut("error") {
            texts(error, &["message", "hint"]);
        }
        for note in stream.get_mut("notes").and_then(Value::as_array_mut).into_iter().flatten() {
            *note = masker.mask(note.as_str().unwrap_or_default()).into();
        }
    }
}

fn exit_code_of(answers: &[Answer]) -> u8 {
    if answers.iter().all(is_good) { exit_code::DONE } else { exit_code::FAILED }
}

/// Whether the source answered, for each of its streams.
fn is_good(answer: &Answer) -> bool {
    answer.value.is_ok() && stream_errors(answer).next().is_none()
}

/// Returns the streams of which the source can't tell, each with why.
fn stream_errors(answer: &Answer) -> impl Iterator<Item = &Value> {
    let streams = answer.value.as_ref().ok().map(|value| list_of(&value["streams"]));
    streams.into_iter().flatten().map(|stream| &stream["error"]).filter(|error| !error.is_null())
}

fn list(workspace: &Workspace, job: Option<&str>, format: Format) -> Result<u8, Failure> {
    let (jobs, problems) = match job {
        Some(name) => {
            let id = super::job_id(workspace, name)?;
            let loaded = workspace.load(&id, Secrets::Left).map_err(|reason| super::no_job(&id, reason))?;
            (vec![loaded.job], Vec::new())
        }
        None => workspace.jobs(),
    };
    let mut rows =
        Rows::new([("Job", Align::Left), ("Source", Align::Left), ("Type", Align::Left), ("Reads", Align::Left), ("Mode", Align::Left)]);
    let mut objects = Vec::new();
    for job in &jobs {
        let masker = workspace.masker_for(job);
        for source in &job.sources {
            let (kind, reads) = (source.kind.name(), source.kind.place(&workspace.root, &masker));
            let name = masker.mask(&source.name);
            let mode = source.options.mode.as_str();
            objects.push(json!({"job": job.id.as_str(), "name": name, "type": kind, "reads": reads, "mode": mode}));
            rows.push(vec![job.id.to_string(), name, kind.to_owned(), reads, mode.to_owned()]);
        }
    }
    match format {
        Format::Json => output::json::print(&json!({"success": true, "sources": objects})),
        Format::Csv => output::print(&rows.csv()),
        Format::Table => output::print(&rows.text()),
    }
    if problems.is_empty() {
        return Ok(exit_code::DONE);
    }
    output::errors::tell(&problems);
    Ok(exit_code::INVALID)
}

/// Prints answers: one JSON object, or the rows of those that came and the errors of the others.
fn print(job: &str, answers: &[Answer], format: Format, rows: Rows) {
    match format {
        Format::Json => return output::json::print(&object(job, answers)),
        Format::Csv => output::print(&rows.csv()),
        Format::Table if rows.is_empty() => {}
        Format::Table => output::print(&rows.text()),
    }
    tell_errors(job, answers);
}

pub(super) fn tell_errors(job: &str, answers: &[Answer]) {
    for answer in answers {
        let tell = |message: &str, hint: Option<String>| {
            let failure = Failure::new(exit_code::FAILED, "source", format!("job {job}, source {}: {message}", answer.source));
            output::errors::print(&Failure { hint, ..failure }, Format::Table);
        };
        if let Err(error) = &answer.value {
            tell(&error.message, error.hint.clone());
        }
        for error in stream_errors(answer) {
            tell(&text_of(&error["message"]), error["hint"].as_str().map(str::to_owned));
        }
    }
}

fn object(job: &str, answers: &[Answer]) -> Value {
    let sources: Vec<Value> = answers.iter().map(answer_object).collect();
    json!({"success": answers.iter().all(is_good), "job": job, "sources": sources})
}

pub(super) fn answer_object(answer: &Answer) -> Value {
    let mut object = json!({"name": answer.source, "success": is_good(answer)});
    match &answer.value {
        Ok(Value::Object(fields)) => fields.iter().for_each(|(key, value)| object[key.as_str()] = value.clone()),
        Ok(other) => object["value"] = other.clone(),
        Err(error) => object["error"] = json!({"code": error.code, "message": error.message, "hint": error.hint}),
    }
    object
}

fn tested(answers: &[Answer]) -> Rows {
    let mut rows = Rows::new([("Source", Align::Left), ("Reached", Align::Left)]);
    for (answer, value) in answered(answers) {
        rows.push(vec![answer.source.clone(), text_of(&value["message"])]);
    }
    rows
}

fn columns(answers: &[Answer]) -> Rows {
    let headers = ["Source", "Stream", "Target", "Column", "Type"];
    let mut rows = Rows::new(headers.map(|header| (header, Align::Left)));
    for (answer, value) in answered(answers) {
        for stream in list_of(&value["streams"]) {
            for column in list_of(&stream["schema"]) {
                let cells = [&stream["name"], &stream["target"], &column["name"], &column["type"]].map(text_of);
                rows.push(std::iter::once(answer.source.clone()).chain(cells).collect());
            }
            for note in list_of(&stream["notes"]) {
                output::note(&printable(&format!("{}: {}", answer.source, text_of(note))));
            }
        }
    }
    rows
}

/// Prints the first rows of each stream as a table of its own; NULL is an empty cell.
fn preview(job: &str, answers: &[Answer], format: Format) {
    if format == Format::Json {
        return output::json::print(&object(job, answers));
    }
    let streams: Vec<(&Answer, &Value)> =
        answered(answers).flat_map(|(answer, value)| list_of(&value["streams"]).map(move |stream| (answer, stream))).collect();
    for (answer, stream) in streams.iter().filter(|(_, stream)| stream["error"].is_null()) {
        let names: Vec<String> = list_of(&stream["schema"]).map(|column| text_of(&column["name"])).collect();
        let mut rows = Rows::new(names.iter().map(|name| (name.as_str(), Align::Left))).cutting(CELL_MAX);
        for row in list_of(&stream["rows"]) {
            let mut cells: Vec<String> = list_of(row).map(text_of).collect();
            cells.resize(names.len(), String::new());
            rows.push(cells);
        }
        if streams.len() > 1 {
            output::note(&printable(&format!("{}: {}", answer.source, text_of(&stream["name"]))));
        }
        output::print(&if format == Format::Csv { rows.csv_as_named() } else { rows.text() });
    }
    tell_errors(job, answers);
}

fn answered(answers: &[Answer]) -> impl Iterator<Item = (&Answer, &Value)> {
    answers.iter().filter_map(|answer| answer.value.as_ref().ok().map(|value| (answer, value)))
}

fn list_of(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().map(Vec::as_slice).unwrap_or_default().iter()
}

fn text_of(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
