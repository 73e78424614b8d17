//! The command line as typed: global options, subcommands, and the way from arguments to exit code.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::process::ExitCode;

use chrono::{DateTime, Utc};
use clap::{CommandFactory, Parser, ValueEnum};

use crate::command::man_page::GLOBAL_OPTIONS;
use crate::command::{Command, Context};
use crate::output::log_file::LogFileOptions;
use crate::output::log_line::LogFormat;
use crate::output::{self, Color, Format};
use crate::{exit_code, output::errors};

/// Keep a warehouse fresh from YAML jobs, without a daemon
#[derive(Debug, Parser)]
#[command(name = "etlsched", version, propagate_version = false, next_help_heading = GLOBAL_OPTIONS, after_long_help = exit_codes_help())]
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
    /// Write log lines in this format: what runs say on standard error away from a terminal, or into --log-file
    ///
    /// Without --log-file it also asks for lines at a terminal, in place of bars, and from `run --scheduled`, which else says nothing.
    #[arg(long, global = true, value_name = "FORMAT", value_enum, env = "ETLSCHED_LOG_FORMAT", hide_env = true)]
    pub log_format: Option<LogFormat>,
    /// Add log lines of runs, and of commands that fail, to this file; processes may share it
    ///
    /// A run is logged with its sources, attempts, warnings and errors, whatever standard error is told; with -v its steps too. Made for
    /// its owner alone (0600); a link, a folder or a pipe is refused. A full disk never fails a run.
    #[arg(long, global = true, value_name = "FILE", env = "ETLSCHED_LOG_FILE", hide_env = true)]
    pub log_file: Option<PathBuf>,
    /// How large --log-file may become before it is put aside as FILE.1
    #[arg(long, global = true, value_name = "MB", default_value_t = 20, env = "ETLSCHED_LOG_FILE_MAX_MB", hide_env = true,
          value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub log_file_max_mb: u64,
    /// How many files that were put aside are kept: FILE.1 is the latest
    #[arg(long, global = true, value_name = "N", default_value_t = 5, env = "ETLSCHED_LOG_FILE_KEEP", hide_env = true,
          value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub log_file_keep: u32,
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
    {
        crate::process::fail_on_large_files();
        crate::process::keep_memory_private();
    }
    crate::zone::database::use_folder(std::env::var_os("TZDIR").filter(|folder| !folder.is_empty()).map(PathBuf::from));
    ExitCode::from(run(std::env::args_os()))
}

fn run(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let cli = match Cli::try_parse_from(&arguments) {
        Ok(cli) => cli,
        Err(error) if is_plugin(&arguments) && error.use_stderr() => return plugin_misused(&error),
        Err(error) => return errors::usage(&error, asked_format(&arguments, std::env::var_os("ETLSCHED_OUTPUT").as_deref())),
    };
    let Cli { project, output, quiet, verbose, color, log_format, log_file, log_file_max_mb, log_file_keep, now, command } = cli;
    output::set_color(color);
    let log_file = log_file.map(|path| LogFileOptions {
        path,
        format: log_format.unwrap_or_default(),
        max_bytes: log_file_max_mb * 1_000_000,
        keep: log_file_keep,
    });
    let context = Context { project, output, quiet, verbose, log_format, log_file, now, definition };
    match command.run(&context) {
        // What nobody could read was not done.
        Ok(exit_code::DONE) if output::has_failed() => exit_code::FAILED,
        Ok(code) => code,
        Err(failure) => {
            context.log_failure(&failure);
            errors::print(&failure, output);
            failure.exit_code
        }
    }
}

/// Whether `check --nagios` is asked for by a command line that could not be parsed: its exit codes are those of plugins.
fn is_plugin(arguments: &[OsString]) -> bool {
    let is_there = |word: &str| arguments.iter().skip(1).any(|argument| argument == word);
    is_there("check") && is_there("--nagios")
}

fn plugin_misused(error: &clap::Error) -> u8 {
    let text = error.to_string();
    let first = text.lines().next().unwrap_or_default();
    let answer = output::nagios::unknown(&format!("wrong usage: {}", first.trim_start_matches("error: ")));
    output::print(&answer.line);
    answer.exit_code
}

/// Returns the format that a command line asks for which could not be parsed, as far as it can be told.
fn asked_format(arguments: &[OsString], variable: Option<&OsStr>) -> Format {
    let words: Vec<&str> =
        arguments.iter().skip(1).map(|word| word.to_str().unwrap_or_default()).take_while(|word| *word != "--").collect();
    let given = words.iter().enumerate().rev().find_map(|(index, word)| {
        let value = match word.strip_prefix("--") {
            Some(long) => long.strip_prefix("output")?,
            None => word.strip_prefix('-')?.trim_start_matches(['q', 'v']).strip_prefix('o')?,
        };
        match value.strip_prefix('=') {
            Some(value) => Some(value),
            None if value.is_empty() => Some(words.get(index + 1).copied().unwrap_or_default()),
            None => (!word.starts_with("--")).then_some(value),
        }
    });
    let word = given.or_else(|| variable.and_then(OsStr::to_str)).unwrap_or_default();
    Format::from_str(word, false).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, variable: Option<&str>, expected: Format) {
        let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        assert_eq!(asked_format(&words, variable.map(OsStr::new)), expected, "{line} {variable:?}");
    }

    #[test]
    fn the_format_is_told_from_a_line_that_could_not_be_parsed() {
        for line in
            ["etl -o json x", "etl run --output json", "etl --output=json", "etl run -ojson --nonsense", "etl -qvo json", "etl -o=json"]
        {
            check(line, None, Format::Json);
            check(line, Some("csv"), Format::Json);
        }
        check("etl run", Some("json"), Format::Json);
        check("etl run -o csv", Some("json"), Format::Csv);
        check("etl run -o jsn", Some("json"), Format::Table);
        check("etl run -o", None, Format::Table);
        check("etl run -- -o json", None, Format::Table);
        check("etl run --outputs json", None, Format::Table);
    }
}
