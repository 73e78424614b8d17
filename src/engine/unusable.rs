//! Tells that etlsched.yaml has errors, so that no job runs: what of it is good may still say by what and whom people are told.

use std::collections::{HashMap, HashSet};

use crate::clock;
use crate::job::Problem;
use crate::process;
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
    look.add(FILE, broken::causes(workspace, FILE, problems), vec![host], false);
    look.tell(store)
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
