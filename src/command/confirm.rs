//! A question before something is gone: asked at a terminal, answered by `--yes` in scripts. No command itself.

use std::io::{self, BufRead, IsTerminal};

use crate::error::Failure;
use crate::output;

/// Demands, as soon as it is known what is asked of, that the question can be asked or needs no asking.
///
/// # Errors
/// Neither a terminal nor `--yes`: exit 2.
pub(super) fn check(what: &str, is_yes: bool) -> Result<(), Failure> {
    if is_yes || (io::stdin().is_terminal() && io::stderr().is_terminal()) {
        return Ok(());
    }
    Err(Failure::usage(format!("{what} needs a confirmation")).hint("add --yes"))
}

/// Asks, and says so where the answer was no.
pub(super) fn ask(question: &str, refused: &str) -> bool {
    output::note(&format!("{question} [y/N]"));
    let mut answer = String::new();
    let _ = io::stdin().lock().read_line(&mut answer);
    let is_yes = matches!(answer.trim().to_lowercase().as_str(), "y" | "yes");
    if !is_yes {
        output::note(refused);
    }
    is_yes
}
