//! Watches what the processes of a run hold in memory together, and acts before the system has to: at four fifths of the limit workers are
//! told to make smaller batches, at the limit the largest is ended. A thread of its own, since nothing may hold this up.

use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::plan::WorkerError;
use crate::process;

use super::supervisor::Message;
use super::workers::Handle;

/// How often the memory is looked at: a worker that takes 2 GB/s gets no further than 512 MB beyond the limit.
const INTERVAL: Duration = Duration::from_millis(250);

/// What is told shows in the next batches; before, it is not told again.
const SHRINK_INTERVAL: Duration = Duration::from_secs(2);

/// Watches until it is dropped.
#[derive(Debug)]
pub(super) struct MemoryWatch {
    workers: Arc<Mutex<Vec<(usize, Handle)>>>,
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl MemoryWatch {
    /// Begins to watch; `None` where the system tells nothing of its processes' memory, or has no thread to spare.
    pub(super) fn start(limit_mb: u32, tell: Sender<Message>) -> Option<Self> {
        process::anonymous_bytes(std::process::id())?;
        let workers = Arc::<Mutex<Vec<(usize, Handle)>>>::default();
        let (stop, stopped) = mpsc::channel::<()>();
        let watched = Arc::clone(&workers);
        let limit = Limit { bytes: u64::from(limit_mb) << 20, limit_mb };
        let thread = thread::Builder::new().name("memory".to_owned()).spawn(move || {
            let mut shrunk_at = None;
            while stopped.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
                let workers = watched.lock().unwrap_or_else(PoisonError::into_inner).clone();
                limit.look(&workers, &mut shrunk_at, &tell);
            }
        });
        Some(Self { workers, stop: Some(stop), thread: Some(thread.ok()?) })
    }

    /// Watches the worker of a source too.
    pub(super) fn add(&self, index: usize, worker: Handle) {
        self.workers.lock().unwrap_or_else(PoisonError::into_inner).push((index, worker));
    }

    /// Forgets the worker of a source.
    pub(super) fn remove(&self, index: usize) {
        self.workers.lock().unwrap_or_else(PoisonError::into_inner).retain(|(of, _)| *of != index);
    }
}

impl Drop for MemoryWatch {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What is held against the limit.
struct Limit {
    bytes: u64,
    limit_mb: u32,
}

impl Limit {
    fn look(&self, workers: &[(usize, Handle)], shrunk_at: &mut Option<Instant>, tell: &Sender<Message>) {
        // In unit tests this process is every other test too.
        let own = if cfg!(test) { 0 } else { process::anonymous_bytes(std::process::id()).unwrap_or(0) };
        let each: Vec<u64> = workers.iter().map(|(_, worker)| process::anonymous_bytes(worker.process_id()).unwrap_or(0)).collect();
        let all = own + each.iter().sum::<u64>();
        let Some((place, largest)) = each.iter().copied().enumerate().max_by_key(|(_, bytes)| *bytes) else { return };
        let (index, worker) = &workers[place];
        if all >= self.bytes {
            // Told first, so that it is known by the time its end is.
            let _ = tell.send(Message::Exceeded(*index, self.exceeded(largest, all)));
            worker.kill();
        } else if all >= self.bytes / 5 * 4 && shrunk_at.is_none_or(|at| at.elapsed() >= SHRINK_INTERVAL) {
            *shrunk_at = Some(Instant::now());
            let (all, limit) = (mebibytes(all), self.limit_mb);
            let text = format!("the run holds {all} MiB of the {limit} MiB that memory_limit_mb allows: workers make smaller batches");
            let _ = tell.send(Message::Shrunk(text));
            workers.iter().for_each(|(_, worker)| worker.shrink());
        }
    }

    fn exceeded(&self, largest: u64, all: u64) -> WorkerError {
        let (largest, all, limit) = (mebibytes(largest), mebibytes(all), self.limit_mb);
        let message = format!(
            "its worker was ended: it held {largest} MiB of memory, the run {all} MiB, and memory_limit_mb allows {limit} MiB for all of it"
        );
        let hint = "raise memory_limit_mb, lower batch_size or max_parallel_sources, or leave out wide columns";
        WorkerError::new("memory_limit", message, Some(hint))
    }
}

fn mebibytes(bytes: u64) -> u64 {
    bytes >> 20
}
