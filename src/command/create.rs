//! `etlsched create`.

use std::io::Read;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use clap::Args;
use serde_json::json;
use serde_yaml::{Mapping, Value};

use super::{Context, stored};
use crate::clock;
use crate::error::Failure;
use crate::exit_code;
use crate::job::positions::BYTES_MAX;
use crate::job::{JobId, Problem, keys, replaced, write};
use crate::output::{self, Format, errors};
use crate::state::{JobRecord, JobStatus};
use crate::text::printable;
use crate::workspace::{Workspace, files};

/// Write a job file from flags or from a document
///
/// The job is checked before anything is written; a file that is there is never replaced. Flags win over the document.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  etlsched create sales --path data/sales.csv --schedule daily --hour 6 --timezone Europe/Paris\n  etlsched create --from job.json"
)]
pub struct Create {
    /// The job (default with --from: made of its name)
    #[arg(value_name = "JOB", required_unless_present = "from")]
    pub job: Option<String>,
    /// A YAML or JSON document of a job; - is standard input
    #[arg(long, value_name = "FILE|-")]
    pub from: Option<PathBuf>,
    /// Its name, for people
    #[arg(long, value_name = "TEXT")]
    pub name: Option<String>,
    /// What it is for
    #[arg(long, value_name = "TEXT")]
    pub description: Option<String>,
    /// A word by which `list --tag` finds it (repeatable)
    #[arg(long = "tag", value_name = "TAG")]
    pub tags: Vec<String>,
    /// How often it is due
    #[arg(long, visible_alias = "schedule-type", value_name = "KIND", value_parser = clap::builder::PossibleValuesParser::new(keys::SCHEDULE_TYPES))]
    pub schedule: Option<String>,
    /// Five cron fields, for --schedule cron
    #[arg(long, value_name = "LINE")]
    pub cron: Option<String>,
    /// The hour, 0 to 23
    #[arg(long, value_name = "HOUR")]
    pub hour: Option<u8>,
    /// The minute, 0 to 59
    #[arg(long, value_name = "MINUTE")]
    pub minute: Option<u8>,
    /// Days of the week, for --schedule weekly: mon,fri
    #[arg(long, value_name = "DAY", value_delimiter = ',')]
    pub day_of_week: Vec<String>,
    /// Days of the month, for --schedule monthly: 1,15 or last
    #[arg(long, value_name = "DAY", value_delimiter = ',')]
    pub day_of_month: Vec<String>,
    /// The IANA time zone of its schedule
    #[arg(long, value_name = "ZONE")]
    pub timezone: Option<String>,
    /// A CSV file, a pattern of files, or a URL: a source (repeatable)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["connection", "table", "custom_sql"])]
    pub path: Vec<String>,
    /// The connection of the tables
    #[arg(long, value_name = "NAME")]
    pub connection: Option<String>,
    /// A table: a source (repeatable)
    #[arg(long, value_name = "TABLE", requires = "connection")]
    pub table: Vec<String>,
    /// A query: a source; needs --source-name
    #[arg(long, value_name = "SQL", requires = "connection", requires = "source_name", conflicts_with = "table")]
    pub custom_sql: Option<String>,
    /// The name of its one source
    #[arg(long, value_name = "NAME")]
    pub source_name: Option<String>,
    /// The table that takes the rows of its one source
    #[arg(long, value_name = "TABLE")]
    pub target: Option<String>,
    /// The connection that takes the tables
    #[arg(long, value_name = "NAME")]
    pub destination: Option<String>,
    /// All rows, or only what is new or changed
    #[arg(long, value_name = "MODE", value_parser = ["full", "incremental"])]
    pub mode: Option<String>,
    /// The columns by which rows are merged: id or order_id,line_no
    #[arg(long, value_name = "COLUMN", value_delimiter = ',')]
    pub primary_key: Vec<String>,
    /// The column that makes loads incremental
    #[arg(long, value_name = "COLUMN")]
    pub timestamp_column: Option<String>,
    /// Who is told (repeatable)
    #[arg(long = "email", value_name = "ADDRESS")]
    pub emails: Vec<String>,
}

impl Create {
    /// Runs the command; returns its exit code.
    ///
    /// # Errors
    /// What keeps it from being done.
    pub fn run(self, context: &Context) -> Result<u8, Failure> {
        let workspace = context.workspace()?;
        let mut map = match &self.from {
            None => Mapping::new(),
            Some(from) => document(from)?,
        };
        self.apply(&mut map)?;
        self.check_whole(&map)?;
        let id = self.id(&map)?;
        let file = workspace.job_file(&id);
        let shown = workspace.shown(&file);
        if file.symlink_metadata().is_ok() {
            return Err(exists(&id, &shown));
        }
        let text = write::text(&map).map_err(Failure::internal)?;
        let loaded = workspace.check(&id, text.clone()).map_err(Failure::invalid)?;
        // Opened first: a store that can't be used leaves no file behind.
        let mut store = stored::open(&workspace)?;
        let by = stored::actor();
        // Its log and its tables are those of the job that had this name before.
        if let Some(record) = store.job(id.as_str())? {
            stored::check_permitted(&workspace, &record, &by)?;
        }
        files::write_new(&file, text.as_bytes(), 0o644).map_err(|error| match error.kind() {
            std::io::ErrorKind::AlreadyExists => exists(&id, &shown),
            _ => Failure::new(exit_code::FAILED, "io", format!("writing {}: {error}", shown.display())),
        })?;
        let now = clock::now();
        let record = store.register_job(&stored::new_job(&loaded.job, &by), now)?;
        store.note(&by, "create", id.as_str(), Some(&shown.display().to_string()), now)?;
        super::init::schemas(&workspace.private_folder())?;
        print(context, &workspace, &loaded.job, &shown);
        tell_status(&record, now);
        if !context.quiet {
            self.path.iter().filter(|path| is_absent(path, &workspace)).for_each(|path| {
                output::note(&format!("note: no file {} is here yet: until it is there, runs fail", printable(path)));
            });
        }
        Ok(exit_code::DONE)
    }

    /// Checks, where all comes from flags, that nothing is missing: problems name places, and here is no file yet.
    fn check_whole(&self, map: &Mapping) -> Result<(), Failure> {
        if self.schedule.as_deref() == Some("cron") && !map.contains_key("schedule") {
            return Err(Failure::usage("create: --schedule cron without --cron").hint("give --cron \"0 6 * * *\""));
        }
        if self.from.is_none() && !map.contains_key("data_sources") {
            return Err(Failure::usage("create: no source").hint("give --path, or --connection with --table, or --from"));
        }
        Ok(())
    }

    fn id(&self, map: &Mapping) -> Result<JobId, Failure> {
        let text = match (&self.job, map.get("name").and_then(Value::as_str)) {
            (Some(job), _) => job.clone(),
            (None, Some(name)) => write::slug(name).ok_or_else(|| {
                Failure::usage(format!("no id can be made of the name {name:?}")).hint("name the job: etlsched create JOB --from FILE")
            })?,
            (None, None) => return Err(Failure::usage("the document has no name").hint("name the job: etlsched create JOB --from FILE")),
        };
        JobId::parse(&text).map_err(Failure::usage)
    }

    /// Puts the flags over the document.
    fn apply(&self, map: &mut Mapping) -> Result<(), Failure> {
        let mut put = |key: &str, value: Option<Value>| {
            if let Some(value) = value {
                map.insert(Value::from(key), value);
            }
        };
        put("name", text(&self.name));
        put("description", text(&self.description));
        put("tags", list(&self.tags));
        put("schedule_type", text(&self.schedule));
        put("schedule", text(&self.cron));
        put("timezone", text(&self.timezone));
        put("day_of_week", list(&self.day_of_week));
        put("day_of_month", days(&self.day_of_month));
        put("hour", self.hour.map(Value::from));
        put("minute", self.minute.map(Value::from));
        put("destination", text(&self.destination));
        put("notification_emails", list(&self.emails));
        let config: Mapping = [("mode", text(&self.mode)), ("timestamp_column", text(&self.timestamp_column))]
            .into_iter()
            .filter_map(|(key, value)| Some((Value::from(key), value?)))
            .collect();
        if !config.is_empty() {
            match map.entry(Value::from("etl_config")).or_insert_with(|| Value::Mapping(Mapping::new())) {
                Value::Mapping(there) => there.extend(config),
                _ => return Err(Failure::usage("etl_config of the document is not a map")),
            }
        }
        let sources = self.sources()?;
        if !sources.is_empty() {
            map.insert(Value::from("data_sources"), Value::Sequence(sources));
        }
        Ok(())
    }

    fn sources(&self) -> Result<Vec<Value>, Failure> {
        let paths = self.path.iter().map(|path| ("path", path));
        let tables = self.table.iter().map(|table| ("table", table)).chain(self.custom_sql.iter().map(|sql| ("custom_sql", sql)));
        let sources: Vec<_> = paths.chain(tables).collect();
        if sources.len() != 1 && (self.source_name.is_some() || self.target.is_some()) {
            return Err(Failure::usage("--source-name and --target need exactly one source").hint("add one --path or --table"));
        }
        if sources.is_empty() && !self.primary_key.is_empty() {
            return Err(Failure::usage("--primary-key needs a source").hint("add --path or --table"));
        }
        let source = |(key, value): (&str, &String)| {
            let keys = [
                ("name", text(&self.source_name)),
                ("connection", text(&self.connection)),
                (key, Some(Value::from(value.as_str()))),
                ("target", text(&self.target)),
                ("primary_key", list(&self.primary_key)),
            ];
            Value::Mapping(keys.into_iter().filter_map(|(key, value)| Some((Value::from(key), value?))).collect())
        };
        Ok(sources.into_iter().map(source).collect())
    }
}

/// Whether a path names one file of this host, which isn't there; patterns and URLs name others.
fn is_absent(path: &str, workspace: &Workspace) -> bool {
    !path.contains(['*', '?', '[', '$']) && !path.contains("://") && !workspace.root.join(path).exists()
}

fn exists(id: &JobId, shown: &Path) -> Failure {
    Failure::usage(format!("job {id} exists already: {}", shown.display())).hint("choose another id, or edit the file")
}

fn text(value: &Option<String>) -> Option<Value> {
    value.as_deref().map(Value::from)
}

fn list(values: &[String]) -> Option<Value> {
    (!values.is_empty()).then(|| Value::Sequence(values.iter().map(|value| Value::from(value.as_str())).collect()))
}

fn days(values: &[String]) -> Option<Value> {
    let day = |text: &String| text.parse::<u8>().map_or_else(|_| Value::from(text.as_str()), Value::from);
    (!values.is_empty()).then(|| Value::Sequence(values.iter().map(day).collect()))
}

/// Reads a document; a job of the system replaced is turned into the keys of ours.
fn document(from: &Path) -> Result<Mapping, Failure> {
    let name = if from.as_os_str() == "-" { "standard input".to_owned() } else { from.display().to_string() };
    let failed = |message: String| Failure { location: Some(name.clone()), ..Failure::new(exit_code::INVALID, "invalid", message) };
    let mut bytes = Vec::new();
    let limit = BYTES_MAX as u64 + 1;
    let read = if from.as_os_str() == "-" {
        std::io::stdin().lock().take(limit).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(from).and_then(|file| file.take(limit).read_to_end(&mut bytes))
    };
    read.map_err(|error| Failure::usage(format!("reading {name}: {error}")))?;
    let mut map = write::read(&bytes).map_err(&failed)?;
    replaced::translate(&mut map).map_err(&failed)?;
    Ok(map)
}

/// Says where a job that had this id before, and whose file was removed by hand, leaves the new one its status.
fn tell_status(record: &JobRecord, now: DateTime<Utc>) {
    let status = record.status_at(now);
    if status != JobStatus::Active {
        let id = &record.id;
        output::note(&format!(
            "warning: job {id}: a job of this name was there before, and its status stays: {}\nhint: to let it run: etlsched enable {id}",
            status.as_str()
        ));
    }
}

fn print(context: &Context, workspace: &Workspace, job: &crate::job::Job, shown: &Path) {
    let warnings: Vec<Problem> = job.warnings.iter().chain(&workspace.warnings).cloned().collect();
    let schedule = job.schedule.describe();
    if context.output == Format::Json {
        let warnings: Vec<_> = warnings.iter().map(errors::problem_object).collect();
        output::json::print(&json!({"success": true, "id": job.id.as_str(), "file": shown, "schedule_display": schedule,
            "timezone": job.timezone.name(), "problems": warnings}));
        return;
    }
    if !warnings.is_empty() {
        errors::tell(&warnings);
    }
    if !context.quiet {
        output::print(&format!("wrote {}: {schedule} ({})", shown.display(), job.timezone));
    }
}
