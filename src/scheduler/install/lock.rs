//! A lock of ours: two etlsched that change one crontab at once wait for each other. Other programs don't know it.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;
use std::time::Duration;

use super::NotInstalled;
use crate::private;

/// How long, and how often, the lock is asked for.
const POLL: Duration = Duration::from_millis(50);
const POLLS_MAX: u32 = 200;

/// Held until it is dropped, or until the process ends.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock; the folder is made where it is missing.
    ///
    /// # Errors
    /// Another process has held it for ten seconds, or the file can't be made.
    pub fn take(path: &Path) -> Result<Self, NotInstalled> {
        let failed = |error: std::io::Error| {
            let message = format!("locking {}: {error}", path.display());
            NotInstalled::new("lock", message, "see that this user may write there")
        };
        if let Some(folder) = path.parent() {
            private::make_folder(folder).map_err(failed)?;
        }
        let file = private::open(OpenOptions::new().create(true).truncate(false).write(true), path).map_err(failed)?;
        for _ in 0..POLLS_MAX {
            match file.try_lock() {
                Ok(()) => return Ok(Self { _file: file }),
                Err(TryLockError::WouldBlock) => std::thread::sleep(POLL),
                Err(TryLockError::Error(error)) => return Err(failed(error)),
            }
        }
        let message = format!("another etlsched has been changing schedules for {} s", (POLL * POLLS_MAX).as_secs());
        Err(NotInstalled::new("locked", message, "answer its question, or wait for its end, then try again"))
    }
}
