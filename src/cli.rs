//! The command line as typed: global options, subcommands, and the way from arguments to exit code.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use chrono::{DateTime, Utc};
use clap::{CommandFactory, Parser};

use crate::command::{Command, Context};
use crate::output::{self, Color, Format};
use crate::{exit_code, output::errors};

/// Keep a warehouse fresh from YAML jobs, without a daemon
#[derive(Debug, Parser)]
#[command(name = "etlsched", version, propagate_version = false, disable_help_subcommand = true, after_long_help = exit_codes_help())]
pub struct Cli {
    /// The workspace: the folder that holds etlsched.yaml (default: found from here upwards)
    #[arg(short = 'C', long, global = true, value_name = "DIR", env = "ETLSCHED_PROJECT", hide_env = true)]
    pub project: Option<PathBuf>,
    /// How listings and results are printed
    #[arg(short, long, global = true, value_name = "FORMAT", value_enum, default_value_t, env = "ETLSCHED_OUTPUT", hide_env = true)]
    pub output: Format,
    /// Print results and errors only
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Print more; twice for everything
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Whether to colour
    #[arg(long, global = true, value_name = "WHEN", value_enum, default_value_t)]
    pub color: Color,
    /// Take this for the present instant where slots are concerned (RFC 3339); for tests and simulation
    #[arg(long, global = true, hide = true, value_name = "TIME", value_parser = instant, env = "ETLSCHED_NOW")]
    pub now: Option<DateTime<Utc>>,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

fn instant(text: &str) -> Result<DateTime<Utc>, String> {
    let time = DateTime::parse_from_rfc3339(text).map_err(|error| format!("{error}; write it as 2026-10-25T00:30:00Z"))?;
    Ok(time.to_utc())
}

fn exit_codes_help() -> String {
    let mut text = String::from("Exit codes:\n");
    for (code, meaning) in exit_code::ALL {
        text.push_str(&format!("  {code:>3}  {meaning}\n"));
    }
    text
}

/// Returns the command line's definition, for man pages, completions and tests.
pub fn definition() -> clap::Command {
    Cli::command()
}

/// Runs the program with the process's own arguments.
pub fn main() -> ExitCode {
    #[cfg(unix)]
    crate::process::fail_on_large_files();
    crate::zone::database::use_folder(std::env::var_os("TZDIR").filter(|folder| !folder.is_empty()).map(PathBuf::from));
    ExitCode::from(run(std::env::args_os()))
}

fn run(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => return errors::usage(&error),
    };
    let Cli { project, output, quiet, verbose, color, now, command } = cli;
    output::set_color(color);
    let context = Context { project, output, quiet, verbose, now, definition };
    match command.run(&context) {
        // What nobody could read was not done.
        Ok(exit_code::DONE) if output::has_failed() => exit_code::FAILED,
        Ok(code) => code,
        Err(failure) => {
            errors::print(&failure, output);
            failure.exit_code
        }
    }
}
