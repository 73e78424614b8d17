//! `etlsched schedule export`.

use std::path::{Path, PathBuf};

use clap::Args;
use clap::builder::PossibleValuesParser;
use serde_json::json;

use super::{Place, host, host_zone, planned, unsupported, workspace_id};
use crate::command::Context;
use crate::error::Failure;
use crate::exit_code;
use crate::output::{self, Format};
use crate::scheduler::{EXPORTERS, Exporter, Host, Rendered, Scope};
use crate::text::{count, printable};
use crate::workspace::{Workspace, files};
use crate::zone::Zone;

/// Print the entries or files of a scheduler
///
/// Changes no scheduler. Jobs that run by hand only and those with `is_active: false` are left out. A bad job file or a job that the
/// scheduler can't be told of stops all: entries without it would stop the job.
#[derive(Debug, Args)]
#[command(
    after_long_help = "Examples:\n  etlsched schedule export --format crontab --host-zone Europe/Berlin\n  etlsched schedule export --format systemd --out ~/.config/systemd/user"
)]
pub struct Export {
    /// The jobs (default: all)
    #[arg(value_name = "JOB")]
    pub jobs: Vec<String>,
    /// The scheduler: crontab, systemd, windows, kubernetes or launchd
    #[arg(long, value_name = "FORMAT", value_parser = formats())]
    pub format: String,
    /// Write the files into this folder in place of printing them
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    #[command(flatten)]
    pub place: Place,
    /// The user as whom the jobs run: systemd's system scope, windows (default: you)
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
    /// Whose systemd: user, or system for all
    #[arg(long, value_name = "SCOPE", value_parser = ["user", "system"], default_value = "user")]
    pub scope: String,
    /// The container image for kubernetes (default: etlsched:VERSION)
    #[arg(long, value_name = "IMAGE")]
    pub image: Option<String>,
}

fn formats() -> PossibleValuesParser {
    PossibleValuesParser::new(EXPORTERS.iter().map(|exporter| clap::builder::PossibleValue::new(exporter.name()).help(exporter.summary())))
}

impl Export {
    /// Runs the command; returns its exit code.
    ///
    /// # Errors
    /// What keeps it from being done.
    pub fn run(self, context: &Context) -> Result<u8, Failure> {
        let exporter = *EXPORTERS
            .iter()
            .find(|exporter| exporter.name() == self.format)
            .ok_or_else(|| Failure::usage(format!("unknown format {}", self.format)))?;
        let workspace = if exporter.nature().is_shared { context.workspace_for_export()? } else { context.workspace()? };
        let planned = planned(&workspace, &self.jobs)?;
        let host = self.host(&workspace, exporter)?;
        let files = exporter.render(&planned.entries, &host).map_err(|problems| unsupported(exporter.name(), &problems))?;
        for line in &planned.left_out {
            output::note(line);
        }
        match (&self.out, context.output) {
            (_, _) if files.is_empty() => output::note("no jobs are due by themselves"),
            (Some(folder), _) => self.write(folder, &files, context)?,
            (None, Format::Json) => output::json::print(&json!({"success": true, "format": exporter.name(), "files": objects(&files)})),
            (None, _) => print(&files, exporter)?,
        }
        Ok(exit_code::DONE)
    }

    fn host(&self, workspace: &Workspace, exporter: &dyn Exporter) -> Result<Host, Failure> {
        let zone = if exporter.nature().is_local { host_zone(&self.place)? } else { Zone::UTC };
        // Only a crontab is shared with other texts, so only its block needs the store's id.
        let id = if exporter.nature().is_marked { Some(workspace_id(workspace)?) } else { None };
        let host = host(workspace, &self.place, zone, id.as_deref())?;
        Ok(Host {
            user: self.user.clone().unwrap_or(host.user),
            scope: if self.scope == "system" { Scope::System } else { Scope::User },
            image: self.image.clone().unwrap_or(host.image),
            ..host
        })
    }

    fn write(&self, folder: &Path, files: &[Rendered], context: &Context) -> Result<(), Failure> {
        for file in files {
            let path = folder.join(&file.name);
            files::replace(&path, &file.bytes, 0o644)
                .map_err(|error| Failure::new(exit_code::FAILED, "io", format!("writing {}: {error}", path.display())))?;
        }
        if context.output == Format::Json {
            let names: Vec<&str> = files.iter().map(|file| file.name.as_str()).collect();
            output::json::print(&json!({"success": true, "format": self.format, "folder": folder, "written": names}));
        } else if !context.quiet {
            let folder = folder.display().to_string();
            output::print(&format!("wrote {} into {}", count(files.len() as u64, "file"), printable(&folder)));
        }
        Ok(())
    }
}

fn objects(files: &[Rendered]) -> Vec<serde_json::Value> {
    files.iter().map(|file| json!({"name": file.name, "text": file.text()})).collect()
}

/// The bytes as they are, so that they can be sent into a file.
fn print(files: &[Rendered], exporter: &dyn Exporter) -> Result<(), Failure> {
    if files.len() > 1 && !exporter.nature().is_joinable {
        let message = format!("{} for {} can't be printed one behind the other", count(files.len() as u64, "file"), exporter.name());
        return Err(Failure::usage(message).hint("name a folder with --out, or one job"));
    }
    for file in files {
        output::print_bytes(&file.bytes);
    }
    Ok(())
}
