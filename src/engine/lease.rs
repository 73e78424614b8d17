//! Keeps a run's lease: a thread renews it, writes the progress, and hears `etlsched cancel` and the loss of the lease.

use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::journal::Ledger;
use super::policy::StopReason;
use super::supervisor::Message;

/// The progress is written so often, which renews the lease too; a cancel is heard so soon.
const INTERVAL: Duration = Duration::from_secs(2);

/// After so long without a renewal the run gives up: well before another may take the lease (60 s).
const GIVE_UP_AFTER: Duration = Duration::from_secs(40);

/// A lease that is being renewed, until this is dropped.
#[derive(Debug)]
pub(super) struct Keeper {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    /// Begins to renew; the lease was taken just now.
    ///
    /// # Errors
    /// When the system has no thread for it.
    pub(super) fn start(ledger: Ledger, tell: Sender<Message>) -> std::io::Result<Self> {
        Self::start_every(INTERVAL, ledger, tell)
    }

    fn start_every(interval: Duration, ledger: Ledger, tell: Sender<Message>) -> std::io::Result<Self> {
        let (stop, stopped) = mpsc::channel::<()>();
        let thread = std::thread::Builder::new().name("lease".to_owned()).spawn(move || {
            let mut renewed = Instant::now();
            while stopped.recv_timeout(interval) == Err(RecvTimeoutError::Timeout) {
                let reason = match ledger.renew() {
                    Ok(reason) => {
                        renewed = Instant::now();
                        reason
                    }
                    Err(error) if renewed.elapsed() > GIVE_UP_AFTER => Some(StopReason::LeaseLost(error.to_string())),
                    Err(_) => None,
                };
                if let Some(reason) = reason {
                    let _ = tell.send(Message::Stop(reason));
                    return;
                }
            }
        })?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
