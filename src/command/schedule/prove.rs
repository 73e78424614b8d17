//! `etlsched schedule prove`.

use std::path::{Path, PathBuf};

use chrono::{DateTime, Months, Utc};
use clap::Args;
use clap::builder::PossibleValuesParser;

use super::{Place, host, host_zone, planned, unsupported};
use crate::command::Context;
use crate::error::Failure;
use crate::exit_code;
use crate::output::prove::{self as view, Proved};
use crate::output::{self, Format};
use crate::scheduler::prove::{Called, Claim, Daemon, Script, TextError, prove};
use crate::scheduler::{EXPORTERS, Entry, Host, Rendered};
use crate::text::printable;
use crate::zone::database;

/// Prove by simulation that every slot is started once
///
/// Reads the entries as they are emitted, plays the scheduler's rules and the gate over them for years of minutes, and counts the slots that
/// are due, started, missed and started twice. Ends with 10 where one isn't started once and in time.
#[derive(Debug, Args)]
#[command(
    after_long_help = "Examples:\n  etlsched schedule prove\n  etlsched schedule prove flights --host-zone Europe/Berlin --daemon busybox\n  crontab -l | etlsched schedule prove --crontab -"
)]
pub struct Prove {
    /// The jobs (default: all)
    #[arg(value_name = "JOB")]
    pub jobs: Vec<String>,
    /// How many years, at most 5: entries are made for that long
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u8).range(1..=5))]
    pub years: u8,
    /// The scheduler: debian, cronie, busybox or systemd (default: all four)
    #[arg(long = "daemon", value_name = "NAME", value_parser = PossibleValuesParser::new(Daemon::ALL.map(Daemon::as_str)))]
    pub daemons: Vec<String>,
    /// Prove this crontab in place of the one that would be made; - reads standard input
    #[arg(long, value_name = "FILE")]
    pub crontab: Option<PathBuf>,
    #[command(flatten)]
    pub place: Place,
}

impl Prove {
    /// Runs the command; returns its exit code.
    ///
    /// # Errors
    /// What keeps it from being done.
    pub fn run(self, context: &Context) -> Result<u8, Failure> {
        let workspace = context.workspace()?;
        let planned = planned(&workspace, &self.jobs)?;
        planned.left_out.iter().for_each(|line| output::note(line));
        let zone = host_zone(&self.place)?;
        let host = host(&workspace, &self.place, zone, None)?;
        let from = context.slot_clock().now();
        let until = from.checked_add_months(Months::new(12 * u32::from(self.years))).unwrap_or(from);
        let proved = self.proved(&planned.entries, &host, from, until)?;
        match context.output {
            Format::Json => output::json::print(&view::json(&proved)),
            Format::Csv => output::print(&view::csv(&proved).csv()),
            Format::Table if proved.proofs.is_empty() => output::note("no jobs are due by themselves"),
            Format::Table => output::print(&view::text(&proved)),
        }
        Ok(if proved.holds() { exit_code::DONE } else { exit_code::FINDING })
    }

    fn proved(&self, entries: &[Entry], host: &Host, from: DateTime<Utc>, until: DateTime<Utc>) -> Result<Proved, Failure> {
        let daemons = self.daemons(self.crontab.is_some());
        let is_asked = |is_systemd: bool| daemons.iter().any(|daemon| (*daemon == Daemon::Systemd) == is_systemd);
        let crontab = match &self.crontab {
            Some(path) => read(path)?,
            None if is_asked(false) => rendered("crontab", entries, host)?.iter().map(Rendered::text).collect(),
            None => String::new(),
        };
        if self.crontab.is_some() {
            entries.iter().for_each(|entry| tell_unread(&crontab, &entry.job, host));
        }
        let units = if is_asked(true) { self.units(entries, host)? } else { Some(Vec::new()) };
        let mut proofs = Vec::new();
        for daemon in daemons {
            for entry in entries {
                let script = match (daemon, &units) {
                    (Daemon::Systemd, Some(units)) => script_of_units(units, &entry.job),
                    (Daemon::Systemd, None) => continue,
                    (Daemon::Debian | Daemon::Cronie | Daemon::Busybox, _) => {
                        let is_given = self.crontab.is_some();
                        let is_program = |path: &str| is_ours(path, host, is_given);
                        let called = Called { job: &entry.job, workspace: Some(&host.workspace), is_program: &is_program };
                        Script::of_crontab(&crontab, called)
                    }
                };
                let script = script.map_err(|error| unreadable(&entry.job, &error))?;
                let Entry { job, schedule, zone, .. } = entry;
                let claim = Claim { job, schedule, zone: *zone, host_zone: host.zone, daemon, from, until };
                proofs.push((job.clone(), daemon.as_str(), prove(&script, &claim)));
            }
        }
        proofs.sort_by(|(one, ..), (other, ..)| one.cmp(other));
        Ok(Proved {
            from,
            until,
            host_zone: host.zone,
            tzdata: database::describe(entries.iter().map(|entry| entry.zone).chain([host.zone])),
            proofs,
        })
    }

    /// Where systemd is one of all, and can't be told of a job, the others are proved without it.
    fn units(&self, entries: &[Entry], host: &Host) -> Result<Option<Vec<Rendered>>, Failure> {
        match rendered("systemd", entries, host) {
            Err(failure) if self.daemons.is_empty() => {
                output::note(&format!("note: systemd is left out: {}", failure.message));
                Ok(None)
            }
            units => units.map(Some),
        }
    }

    /// A crontab says nothing to systemd.
    fn daemons(&self, is_crontab: bool) -> Vec<Daemon> {
        let is_named = |daemon: &Daemon| self.daemons.is_empty() || self.daemons.iter().any(|name| name == daemon.as_str());
        Daemon::ALL.into_iter().filter(is_named).filter(|daemon| !is_crontab || *daemon != Daemon::Systemd).collect()
    }
}

/// Whether a path is the program's: in a crontab that was written by hand any that is there.
fn is_ours(path: &str, host: &Host, is_given: bool) -> bool {
    path == host.program || is_given && Path::new(path).is_file()
}

/// Says which lines of a crontab that was given look like starts of a job and count as none.
fn tell_unread(crontab: &str, job: &str, host: &Host) {
    let is_program = |path: &str| is_ours(path, host, true);
    let unread = Script::unread(crontab, Called { job, workspace: Some(&host.workspace), is_program: &is_program });
    for (line, why) in &unread {
        output::note(&format!("line {line} is not read: {}", printable(why)));
    }
    if !unread.is_empty() {
        output::note(&format!("hint: a line that is read calls: {} -C {} run {job} --scheduled", host.program, host.workspace));
    }
}

/// A timer starts the service of its own name.
fn script_of_units(units: &[Rendered], job: &str) -> Result<Script, TextError> {
    let mut script = Script::default();
    for timer in units {
        let Some(stem) = timer.name.strip_suffix(".timer") else { continue };
        let service = units.iter().find(|unit| unit.name.strip_suffix(".service") == Some(stem)).map(Rendered::text);
        script.lines.append(&mut Script::of_timer(&timer.text(), &service.unwrap_or_default(), job)?.lines);
    }
    Ok(script)
}

fn rendered(format: &str, entries: &[Entry], host: &Host) -> Result<Vec<Rendered>, Failure> {
    let exporter = EXPORTERS.iter().find(|exporter| exporter.name() == format);
    let exporter = exporter.ok_or_else(|| Failure::internal(format!("no exporter makes {format} entries")))?;
    exporter.render(entries, host).map_err(|problems| unsupported(format, &problems))
}

fn read(path: &PathBuf) -> Result<String, Failure> {
    let failed = |error: std::io::Error| {
        Failure::new(exit_code::FAILED, "io", format!("reading {}: {error}", printable(&path.display().to_string())))
    };
    let bytes = if path.as_os_str() == "-" {
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut std::io::stdin().lock(), &mut bytes).map_err(failed)?;
        bytes
    } else {
        std::fs::read(path).map_err(failed)?
    };
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn unreadable(job: &str, error: &TextError) -> Failure {
    Failure::new(exit_code::INVALID, "bad_crontab", format!("job {job}, line {}: {}", error.line, error.message))
        .hint("a line that its scheduler can't read starts nothing; see: etlsched schedule export")
}
