//! `etlsched init`.

use std::fs;
use std::path::Path;

use clap::Args;
use serde_json::json;

use super::Context;
use crate::error::Failure;
use crate::exit_code;
use crate::job::{json_schema, write};
use crate::output::{self, Format};
use crate::private;
use crate::workspace::{FILE, files};

/// Make a workspace that runs at once
///
/// Writes etlsched.yaml, an example job with a small CSV file, and .gitignore. Never overwrites a file.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  etlsched init\n  etlsched init warehouse && etlsched -C warehouse run example")]
pub struct Init {
    /// The folder, made when absent
    #[arg(default_value = ".")]
    pub dir: std::path::PathBuf,
}

const SETTINGS: &str = "
# The workspace: what holds for all jobs. Every key may be left out. `etlsched json-schema workspace` lists them.

timezone: UTC                          # yours: for display, and the default of jobs

# Where tables go when a job doesn't say. Without it: the SQLite file .etlsched/warehouse.db
# destination: marts
# connections:
#   marts: {type: sqlite, path: marts.db}
#   shop:  {type: sqlite, path: \"${SHOP_DB}\"}   # ${NAME} comes from the environment or from .env

# Sources that several jobs share: a job says `- source: regions`
# data_sources:
#   regions: {connection: shop, table: regions}

# The keys of a job, for all jobs
# defaults:
#   failure_threshold: 3
";

const EXAMPLE: &str = "
# One job, one file; its id is the file's name without .yaml. Run it: etlsched run example
# See what it would do: etlsched run example --dry-run. Check it: etlsched validate example

name: Example                          # for people
description: Cities and their inhabitants, from a CSV file into the table cities.
schedule_type: daily                   # 15min 30min hourly daily weekly monthly cron manual
hour: 6                                # 06:00 in its time zone
timezone: UTC                          # any IANA name: Europe/Paris, America/New_York

data_sources:
  - path: data/cities.csv              # a file, a pattern of files, or a URL; relative to this workspace
    primary_key: [name]
    columns:
      types: {founded: date}           # other types are inferred; a date that is none rejects its row
    expect:                            # checked before anybody sees the new rows
      min_rows: 3
      not_null: [name, country]
";

const CITIES: &str = "name,country,inhabitants,founded
Aachen,DE,252136,
Ålesund,NO,67114,1848-04-01
Canberra,AU,456692,1913-03-12
Lima,PE,10092000,1535-01-18
\"Washington, D.C.\",US,678972,1790-07-16
";

const IGNORE: [&str; 2] = [".etlsched/", ".env"];

impl Init {
    /// Runs the command; returns its exit code.
    ///
    /// # Errors
    /// What keeps it from being done.
    pub fn run(self, context: &Context) -> Result<u8, Failure> {
        let Self { dir } = self;
        let texts = [
            (FILE, format!("{}\n{}", write::WORKSPACE_SCHEMA_LINE, SETTINGS.trim_start())),
            ("jobs/example.yaml", format!("{}\n{}", write::JOB_SCHEMA_LINE, EXAMPLE.trim_start())),
            ("data/cities.csv", CITIES.to_owned()),
        ];
        // A link that leads nowhere would be replaced too: it counts as there.
        if let Some((name, _)) = texts.iter().find(|(name, _)| dir.join(name).symlink_metadata().is_ok()) {
            let message = format!("{} exists already; nothing was written", dir.join(name).display());
            return Err(Failure::usage(message).hint("name an empty folder: etlsched init DIR"));
        }
        for (name, text) in &texts {
            put(&dir, name, text)?;
        }
        let ignored = ignore(&dir)?;
        schemas(&dir.join(".etlsched"))?;
        let written: Vec<&str> = texts.iter().map(|(name, _)| *name).chain(ignored).collect();
        let folder = if dir.as_os_str() == "." { String::new() } else { format!(" -C {}", dir.display()) };
        if context.output == Format::Json {
            output::json::print(&json!({"success": true, "folder": dir, "written": written}));
        } else if !context.quiet {
            output::print(&format!("wrote {}\nrun the example: etlsched{folder} run example", written.join(", ")));
        }
        Ok(exit_code::DONE)
    }
}

fn put(dir: &Path, name: &str, text: &str) -> Result<(), Failure> {
    let path = dir.join(name);
    files::write_new(&path, text.as_bytes(), 0o644)
        .map_err(|error| Failure::new(exit_code::FAILED, "io", format!("writing {}: {error}", path.display())))
}

/// Writes .gitignore; one that is there stays as it is, and the lines that it lacks are told.
fn ignore(dir: &Path) -> Result<Option<&'static str>, Failure> {
    let path = dir.join(".gitignore");
    if path.symlink_metadata().is_err() {
        put(dir, ".gitignore", &format!("{}\n", IGNORE.join("\n")))?;
        return Ok(Some(".gitignore"));
    }
    let present = fs::read_to_string(&path).unwrap_or_default();
    let lacking: Vec<&str> =
        IGNORE.into_iter().filter(|line| !present.lines().any(|there| there.trim().trim_matches('/') == line.trim_matches('/'))).collect();
    if !lacking.is_empty() {
        output::note(&format!("{} exists already; add to it: {}", path.display(), lacking.join(" ")));
    }
    Ok(None)
}

/// Puts the JSON Schemas where the first lines of created files point to, unless they are there and current.
pub fn schemas(private_folder: &Path) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::new(exit_code::FAILED, "io", format!("writing {}: {error}", private_folder.display()));
    private::make_folder(private_folder).map_err(failed)?;
    for (name, schema) in [("job.schema.json", json_schema::job()), ("workspace.schema.json", json_schema::workspace())] {
        let path = private_folder.join(name);
        let text = format!("{schema:#}\n");
        if fs::read_to_string(&path).is_ok_and(|there| there == text) {
            continue;
        }
        let _ = fs::remove_file(&path);
        files::write_new(&path, text.as_bytes(), private::file_mode(&path)).map_err(failed)?;
    }
    Ok(())
}
