//! `etlsched completions`.

use clap::Args;

use super::Context;
use crate::error::Failure;
use crate::output;

/// Print completions for a shell
#[derive(Debug, Args)]
#[command(
    after_long_help = "Examples:\n  etlsched completions bash > ~/.local/share/bash-completion/completions/etlsched\n  etlsched completions fish > ~/.config/fish/completions/etlsched.fish"
)]
pub struct Completions {
    /// The shell
    pub shell: clap_complete::Shell,
}

impl Completions {
    /// Runs the command; returns its exit code.
    ///
    /// # Errors
    /// What keeps it from being done.
    pub fn run(self, context: &Context) -> Result<u8, Failure> {
        let mut text = Vec::new();
        clap_complete::generate(self.shell, &mut (context.definition)(), "etlsched", &mut text);
        let text = String::from_utf8(text).map_err(|_| Failure::internal("completions are not text"))?;
        output::print(&text);
        Ok(crate::exit_code::DONE)
    }
}
