//! ODBC drivers: those of this machine, and those that connections need.

use std::collections::BTreeSet;

use super::scene::Scene;
use super::tell::Tell;
use crate::connect::odbc::drivers;
use crate::plan::SourceKind;
use crate::text::count;

/// Looks, and tells what it finds.
pub fn check(scene: &Scene, tell: &Tell) {
    let plans: Vec<_> = scene
        .jobs
        .iter()
        .flat_map(|loaded| &loaded.job.sources)
        .filter_map(|source| match &source.kind {
            SourceKind::Odbc(plan) => Some(&plan.connection),
            _ => None,
        })
        .collect();
    if plans.is_empty() {
        return tell.skipped("", "no valid job needs an ODBC driver");
    }
    match drivers::installed() {
        Ok(installed) => {
            let names: BTreeSet<String> = installed.into_iter().map(|driver| driver.name).collect();
            let list = names.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
            let colon = if list.is_empty() { "" } else { ": " };
            tell.ok("installed", format!("{}{colon}{list}", count(names.len() as u64, "driver")));
        }
        Err(error) => {
            tell.fail("installed", format!("the driver manager doesn't start: {error:?}"), "see that odbcinst.ini can be read: odbcinst -j")
        }
    }
    let mut told = BTreeSet::new();
    for plan in plans {
        let place = plan.place();
        if !told.insert((place.clone(), plan.driver.clone())) {
            continue;
        }
        match drivers::of_connection(plan) {
            Ok(Some(driver)) => tell.ok(&place, driver),
            Ok(None) => tell.ok(&place, "its data source or connection string names the driver"),
            Err(error) => tell.fail(&place, error.message, error.hint.unwrap_or_default()),
        }
    }
}
