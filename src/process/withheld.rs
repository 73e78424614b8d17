//! Variables of this process that no program gets which it starts: those that files use in `${}`, since they may hold secrets.

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::{Mutex, PoisonError};

static WITHHELD: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// Without these, programs are not found or don't know whose they are; no secret is in them.
const NEEDED: [&str; 7] = ["PATH", "HOME", "USER", "LOGNAME", "TZ", "SYSTEMROOT", "USERPROFILE"];

/// Keeps variables from programs that are started from now on.
pub fn withhold(names: impl IntoIterator<Item = String>) {
    let mut withheld = WITHHELD.lock().unwrap_or_else(PoisonError::into_inner);
    withheld.extend(names.into_iter().filter(|name| !NEEDED.contains(&name.to_ascii_uppercase().as_str())));
}

/// Takes out of a command's environment what is withheld.
pub fn strip(command: &mut Command) {
    for name in WITHHELD.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        command.env_remove(name);
    }
}
