//! `etlsched load`.

use std::io::{self, BufReader};

use clap::Args;

use super::Context;
use crate::error::Failure;
use crate::load::{self, Stop};

/// Serve one order from standard input (a worker process)
#[derive(Debug, Args)]
pub struct Load {}

impl Load {
    /// Runs the command; returns its exit code.
    ///
    /// # Errors
    /// What keeps it from being done.
    pub fn run(self, _context: &Context) -> Result<u8, Failure> {
        let Self {} = self;
        let stop = Stop::default();
        heed_signals(&stop).map_err(|error| Failure::internal(format!("setting up signals: {error}")))?;
        Ok(load::serve(BufReader::new(io::stdin()), Box::new(io::stdout()), &stop))
    }
}

/// SIGTERM stops the worker. SIGINT does not: Ctrl-C reaches the supervisor too, which decides.
#[cfg(unix)]
fn heed_signals(stop: &Stop) -> io::Result<()> {
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    signal_hook::flag::register(signal_hook::consts::SIGTERM, stop.flag())?;
    signal_hook::flag::register(signal_hook::consts::SIGINT, Arc::new(AtomicBool::new(false)))?;
    Ok(())
}

/// Windows has no signals that a supervisor could send: it answers `Stop`, or closes standard input.
#[cfg(not(unix))]
fn heed_signals(_stop: &Stop) -> io::Result<()> {
    Ok(())
}
