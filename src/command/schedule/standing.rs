//! How what stands in a scheduler compares with what should. No command itself.

use std::collections::BTreeSet;

use super::apply::Change;
use super::machine::{self, Machine, Options, Wanted};
use crate::error::Failure;
use crate::scheduler::install::Shown;
use crate::state::Store;
use crate::text::printable;
use crate::workspace::Workspace;

/// How the line of a block begins that names the host's zone and the rules by which it was made.
const MADE_WITH: &str = "# Times of ";

/// What stands in a scheduler, and what should.
#[derive(Debug)]
pub struct Standing {
    /// The scheduler.
    pub machine: Machine,
    /// What should stand there.
    pub wanted: Wanted,
    /// The jobs that have entries there.
    pub installed: BTreeSet<String>,
    /// From what is to what should be.
    pub change: Change,
}

impl Standing {
    /// Looks at a scheduler. Writes nothing.
    ///
    /// # Errors
    /// This machine hasn't it, it can't be read, or it can't be told of a job.
    pub fn find(workspace: &Workspace, options: &Options, mut store: Option<&mut Store>) -> Result<Self, Failure> {
        let workspace_id = store.as_deref_mut().map(Store::workspace_id).transpose()?;
        let machine = Machine::find(workspace, options, workspace_id.as_deref())?;
        let before = machine.target.read()?;
        let installed = machine.target.jobs(&before)?;
        let records = store.map(Store::jobs).transpose()?.unwrap_or_default();
        let wanted = machine::wanted(workspace, &records, &installed, &[])?;
        let after = machine.after(&before, &wanted)?;
        let change = Change::new(&machine, before, after)?;
        Ok(Self { machine, wanted, installed, change })
    }

    /// Whether everything stands there as it should.
    pub fn is_right(&self) -> bool {
        !self.change.is_any() && self.wanted.kept.is_empty()
    }

    /// Says what has changed about this machine since the entries were made.
    ///
    /// # Errors
    /// Nobody can say what is ours.
    pub fn reasons(&self) -> Result<Vec<String>, Failure> {
        let made_with = |texts: Vec<Shown>| {
            let text = texts.first().map(|shown| String::from_utf8_lossy(&shown.bytes).into_owned()).unwrap_or_default();
            let line = text.lines().find_map(|line| line.strip_prefix(MADE_WITH))?;
            let (zone, rules) = line.split_once(", by ")?;
            Some((printable(zone).into_owned(), printable(rules).into_owned()))
        };
        let Self { machine, change, .. } = self;
        let before = made_with(machine.target.shown(&change.before)?);
        let after = made_with(machine.target.shown(&change.after)?);
        let (Some((old_zone, old_rules)), Some((zone, rules))) = (before, after) else { return Ok(Vec::new()) };
        let mut reasons = Vec::new();
        if old_zone != zone {
            reasons.push(format!("the entries were made for a clock in {old_zone}, and this machine's is in {zone}"));
        }
        if old_rules != rules {
            reasons.push(format!("the entries were made by the rules of {old_rules}, and this machine has {rules}"));
        }
        Ok(reasons)
    }
}
