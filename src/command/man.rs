//! `etlsched man`: pages made from the command line's definition; equal on every machine.

use std::path::Path;

use clap::Args;

use super::Context;
use super::man_page::page;
use crate::error::Failure;
use crate::{exit_code, output};

/// Write the man pages
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  etlsched man | man -l -\n  etlsched man ~/.local/share/man/man1")]
pub struct Man {
    /// The folder; without it the main page is printed
    pub dir: Option<std::path::PathBuf>,
}

impl Man {
    /// Runs the command; returns its exit code.
    ///
    /// # Errors
    /// What keeps it from being done.
    pub fn run(self, context: &Context) -> Result<u8, Failure> {
        let pages = pages((context.definition)())?;
        match self.dir {
            None => output::print(&pages[0].1),
            Some(folder) => write(&folder, &pages)?,
        }
        Ok(exit_code::DONE)
    }
}

/// Returns every page with its file name: the main one, then one for each visible subcommand, its own subcommands in it.
fn pages(definition: clap::Command) -> Result<Vec<(String, String)>, Failure> {
    // A fixed width: help texts must not depend on the terminal.
    let mut main = definition.term_width(100).disable_help_subcommand(true);
    main.build();
    let mut found = vec![("etlsched.1".to_owned(), page(&main, "etlsched")?)];
    collect(&main, "etlsched", &mut found)?;
    Ok(found)
}

fn collect(command: &clap::Command, name: &str, found: &mut Vec<(String, String)>) -> Result<(), Failure> {
    for subcommand in command.get_subcommands().filter(|subcommand| !subcommand.is_hide_set() && subcommand.get_name() != "help") {
        let full = format!("{name}-{}", subcommand.get_name());
        // The title is the file's name, the synopsis what is typed.
        let named =
            subcommand.clone().display_name(full.clone()).bin_name(full.replacen('-', " ", usize::MAX)).version(env!("CARGO_PKG_VERSION"));
        found.push((format!("{full}.1"), page(&named, &full)?));
        collect(subcommand, &full, found)?;
    }
    Ok(())
}

fn write(folder: &Path, pages: &[(String, String)]) -> Result<(), Failure> {
    let failed =
        |path: &Path, error: std::io::Error| Failure::new(exit_code::FAILED, "write_failed", format!("write {}: {error}", path.display()));
    std::fs::create_dir_all(folder).map_err(|error| failed(folder, error))?;
    for (name, text) in pages {
        let path = folder.join(name);
        std::fs::write(&path, text).map_err(|error| failed(&path, error))?;
    }
    Ok(())
}
