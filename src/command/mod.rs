//! The subcommands: one file each, arguments and `run`.

mod cancel;
mod completions;
mod create;
mod delete;
mod disable;
mod enable;
mod init;
mod json_schema;
mod list;
mod load;
mod logs;
mod man;
mod pause;
mod resume;
mod run;
mod show;
mod source;
mod status;
mod validate;
mod worker;

use std::path::PathBuf;

use clap::Subcommand;

use crate::error::Failure;
use crate::output::Format;

/// What every command gets beside its own arguments.
#[derive(Debug, Clone)]
pub struct Context {
    /// `-C`, or `ETLSCHED_PROJECT`.
    pub project: Option<PathBuf>,
    /// How results are printed.
    pub output: Format,
    /// Results and errors only.
    pub quiet: bool,
    /// How much more is printed.
    pub verbose: u8,
    /// Makes the command line's definition, for man pages and completions.
    pub definition: fn() -> clap::Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    Init(init::Init),
    Create(create::Create),
    List(list::List),
    Show(show::Show),
    Validate(validate::Validate),
    Enable(enable::Enable),
    Disable(disable::Disable),
    Pause(pause::Pause),
    Resume(resume::Resume),
    Delete(delete::Delete),
    Run(run::Run),
    Cancel(cancel::Cancel),
    Logs(logs::Logs),
    Status(status::Status),
    Source(source::Source),
    JsonSchema(json_schema::JsonSchema),
    Completions(completions::Completions),
    Man(man::Man),
    #[command(hide = true)]
    Load(load::Load),
}

impl Command {
    /// Runs the command; returns its exit code.
    ///
    /// # Errors
    /// What keeps it from being done.
    pub fn run(self, context: &Context) -> Result<u8, Failure> {
        match self {
            Self::Init(command) => command.run(context),
            Self::Create(command) => command.run(context),
            Self::List(command) => command.run(context),
            Self::Show(command) => command.run(context),
            Self::Validate(command) => command.run(context),
            Self::Enable(command) => command.run(context),
            Self::Disable(command) => command.run(context),
            Self::Pause(command) => command.run(context),
            Self::Resume(command) => command.run(context),
            Self::Delete(command) => command.run(context),
            Self::Run(command) => command.run(context),
            Self::Cancel(command) => command.run(context),
            Self::Logs(command) => command.run(context),
            Self::Status(command) => command.run(context),
            Self::Source(command) => command.run(context),
            Self::JsonSchema(command) => command.run(context),
            Self::Completions(command) => command.run(context),
            Self::Man(command) => command.run(context),
            Self::Load(command) => command.run(context),
        }
    }
}
