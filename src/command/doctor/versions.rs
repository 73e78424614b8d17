//! Which program this is, on which system, with which libraries.

use super::scene::Scene;
use super::tell::Tell;
use crate::process;
use crate::state::sqlite_version;

/// Looks, and tells what it finds.
pub fn check(_scene: &Scene, tell: &Tell) {
    let build = if cfg!(debug_assertions) { "a debug build, several times slower than a release build" } else { "a release build" };
    let version = env!("CARGO_PKG_VERSION");
    match std::env::current_exe() {
        Ok(program) => tell.ok("etlsched", format!("{version}, {build}, {}", program.display())),
        Err(error) => {
            let found = format!("{version}, {build}; its own path can't be read: {error}");
            tell.fail("etlsched", found, "start it by its path, where /proc is mounted: it starts itself for every source");
        }
    }
    tell.ok("sqlite", format!("{}, built in", sqlite_version()));
    tell.ok("system", format!("{}, host {}", process::system_name(), process::host_name()));
}
