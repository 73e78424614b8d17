//! Tells that etlsched.yaml has errors, so that no job runs: what of it is good may still say by what and whom people are told.

use std::collections::{HashMap, HashSet};

use crate::clock;
use crate::job::Problem;
use crate::process;
use crate::secret::MASK;
use crate::state::{StateError, Store};
use crate::workspace::{FILE, Workspace};

use super::broken::{self, KIND, Look};

/// Puts a letter about the problems of etlsched.yaml into the outbox for the people of the defaults, where they weren't told; returns how many
/// letters that are. It is over when a look at the jobs finds the file good.
///
/// # Errors
/// The store can't be read or written.
pub fn tell_unusable(workspace: &Workspace, store: &mut Store, problems: &[Problem]) -> Result<usize, StateError> {
    let (good, ran) = (HashMap::new(), HashSet::new());
    let here = [process::host_name(), process::user_name()];
    let host = here[0].clone();
    let mut look =
        Look { workspace, broken: Vec::new(), mended: Vec::new(), is_of_settings: true, good: &good, ran: &ran, here, now: clock::now() };
    // Each job's firing meets it: it is told as a look tells it, not as a run.
    let mut causes = broken::causes(workspace, FILE, problems);
    for cause in &mut causes {
        // The secrets of what is not good of the file are unknown: no value of it is quoted.
        cause.message = without_quoted(&cause.message);
        cause.hint = cause.hint.as_deref().map(without_quoted);
    }
    look.add(FILE, causes, vec![host], false);
    look.tell(store)
}

/// Returns a text with what stands in double quotes hidden.
fn without_quoted(text: &str) -> String {
    let parts = text.split('"').enumerate();
    let shown: Vec<&str> = parts.map(|(index, part)| if index % 2 == 1 && !part.is_empty() { MASK } else { part }).collect();
    shown.join("\"")
}

impl Look<'_> {
    /// Tells what was found, where anybody is to be told of it and wasn't.
    pub(super) fn tell(&mut self, store: &mut Store) -> Result<usize, StateError> {
        let known = store.told(&[KIND])?;
        self.heed();
        self.find_mended(&known);
        if self.tidings(&known).is_empty() {
            return Ok(0);
        }
        if self.has_news(&known) {
            self.address(store)?;
        }
        self.address_mended(store)?;
        store.tell_by_look(&[KIND], self.now, &|known| self.tidings(known))
    }
}

#[cfg(test)]
mod tests {
    use super::without_quoted;

    #[test]
    fn no_value_of_the_file_is_quoted() {
        let said = "port: expected a whole number, not \"hunter22\"";
        assert_eq!(without_quoted(said), "port: expected a whole number, not \"***\"");
        assert_eq!(without_quoted("unknown key hots in a connection"), "unknown key hots in a connection");
        assert_eq!(without_quoted("ends in \"a"), "ends in \"***");
    }
}
