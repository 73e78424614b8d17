//! `etlsched metrics`.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use clap::Args;

use super::{Context, examined};
use crate::clock;
use crate::error::Failure;
use crate::exit_code;
use crate::output;
use crate::output::check::Checked;
use crate::output::metrics::{self, Measured};
use crate::workspace::files;

/// Print metrics of the jobs for Prometheus
///
/// In the text format, for the textfile collector of node_exporter. With --out a file is written whole or not at all, readable for everyone.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  etlsched metrics\n  etlsched metrics --out /var/lib/prometheus/node-exporter/etlsched.prom")]
pub struct Metrics {
    /// The file to replace, in place of standard output; its folder must be there
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

impl Metrics {
    /// Runs the command; returns its exit code.
    ///
    /// # Errors
    /// What keeps it from being done.
    pub fn run(self, context: &Context) -> Result<u8, Failure> {
        let Self { out } = self;
        let workspace = context.workspace()?;
        let (checked, mut store) = examined::jobs(&workspace, &[], context.slot_clock().now())?;
        let ended = store.as_mut().map(|store| store.ended_runs()).transpose()?.unwrap_or_else(HashMap::new);
        let outbox = store.as_mut().map(|store| store.outbox_waiting(clock::now())).transpose()?;
        let Checked { jobs, broken, .. } = &checked;
        let measured = Measured { version: env!("CARGO_PKG_VERSION"), jobs, broken, ended: &ended, outbox: outbox.as_ref() };
        let text = metrics::text(&measured);
        match out {
            None => output::print(&text),
            Some(file) => write(&file, text.as_bytes())?,
        }
        Ok(exit_code::DONE)
    }
}

/// Readers see the old file or the new one; node_exporter is another user, whatever the umask here.
fn write(file: &Path, text: &[u8]) -> Result<(), Failure> {
    let failed = |why: &str| Failure::new(exit_code::FAILED, "io", format!("writing {}: {why}", file.display()));
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !folder.is_dir() {
        return Err(failed("its folder is not there").hint(format!("make it, or name another with --out: mkdir -p {}", folder.display())));
    }
    if file.exists() && !file.is_file() {
        return Err(failed("it is there, and no file").hint("name a file with --out, or leave --out away for standard output"));
    }
    files::replace(file, text, 0o644).map_err(|error| failed(&error.to_string()))
}
