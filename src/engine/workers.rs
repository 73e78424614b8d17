//! Workers as processes: started, told their order, listened to, waited for. What they say is judged in `source_run.rs`.

use std::io::Write;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use crate::plan::{Answer, Event, Level, Order, WorkerError};
use crate::process::{self, Child, Ended, Exit, Process, Program};

use super::wire::{self, ANSWER_LINE_BYTES_MAX, Events, LOAD_LINE_BYTES_MAX};

/// How much of a worker's standard error is kept for the log.
const STDERR_BYTES_MAX: usize = 8 * 1024;

/// The most lines that one worker may put into the execution log (a table with a warning on every row would fill the store).
pub(super) const LOG_LINES_MAX: u64 = 1000;

/// The most other events of one worker: thousands of streams with a dozen events each stay far below.
const EVENTS_MAX: u64 = 1_000_000;

/// The longest text of a log line.
const LOG_CHARACTERS_MAX: usize = 4000;

/// Progress is handed on at most so often.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(100);

/// How long a dead worker's pipes are still read; only a stranger that left its group can hold them open.
const PIPES_GRACE: Duration = Duration::from_secs(2);

/// What happens to a worker, as the supervisor hears it.
#[derive(Debug)]
pub(super) enum Happening {
    /// It is there and can be told and stopped.
    Started(Handle),
    /// It said something.
    Said(Event),
    /// It said something that is no event; it has been killed.
    Garbled(String),
    /// It is gone; nothing more comes from it.
    Ended(Ending),
}

/// How a worker ended.
#[derive(Debug, Default)]
pub(super) struct Ending {
    /// How the process ended, and what it used; `None` where it could not be started or waited for.
    pub(super) process: Option<Ended>,
    /// Why it could not be started.
    pub(super) not_started: Option<String>,
    /// The end of what it wrote to its standard error.
    pub(super) stderr: String,
    /// Lines for the log beyond [`LOG_LINES_MAX`].
    pub(super) log_lines_left_out: u64,
}

/// Speaks to a worker and stops it; never waits.
#[derive(Debug, Clone)]
pub(super) struct Handle {
    process: Process,
    lines: Sender<Vec<u8>>,
}

impl Handle {
    /// Answers [`Event::Ready`], or says something unasked.
    pub(super) fn answer(&self, answer: Answer) {
        let line = serde_json::to_vec(&answer).expect("an answer is a word");
        // A worker that is gone needs no answer; its end is reported anyway.
        let _ = self.lines.send(line);
    }

    /// Asks it to make smaller batches.
    pub(super) fn shrink(&self) {
        self.answer(Answer::Shrink);
    }

    /// Returns the number of its process.
    pub(super) fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// Asks it to roll back and end.
    pub(super) fn stop(&self) {
        if !self.process.terminate() {
            self.answer(Answer::Stop);
        }
    }

    /// Ends it at once.
    pub(super) fn kill(&self) {
        self.process.kill();
    }
}

/// Starts a worker for a load on a thread of its own and reports everything that happens to it through `tell`, its end last.
///
/// # Errors
/// When the system has no thread for it.
pub(super) fn start(
    program: &Program,
    order: &Order,
    tell: impl Fn(Happening) + Clone + Send + 'static,
) -> std::io::Result<thread::JoinHandle<()>> {
    let program = program.clone();
    let order = line_of(order);
    thread::Builder::new().name("worker".to_owned()).spawn(move || {
        let ending = attend(&program, order, LOAD_LINE_BYTES_MAX, &tell);
        tell(Happening::Ended(ending));
    })
}

fn line_of(order: &Order) -> Vec<u8> {
    serde_json::to_vec(order).expect("an order has string keys and finite numbers")
}

/// Runs one worker from start to end. The child dies with this thread, so the thread stays until the child has ended.
fn attend(program: &Program, order: Vec<u8>, line_bytes_max: usize, tell: &(impl Fn(Happening) + Clone + Send + 'static)) -> Ending {
    let Child { process, stdin, stdout, stderr } = match process::spawn(program) {
        Ok(child) => child,
        Err(error) => return Ending { not_started: Some(error.to_string()), ..Ending::default() },
    };
    let (lines, to_write) = mpsc::channel::<Vec<u8>>();
    thread::spawn(move || write_lines(stdin, to_write));
    // Both fail only when the writer is gone, which is then seen as the worker's end.
    let _ = lines.send(order);
    tell(Happening::Started(Handle { process: process.clone(), lines: lines.clone() }));
    let (done, is_done) = mpsc::channel();
    let (said, killer) = (tell.clone(), process.clone());
    thread::spawn(move || {
        let left_out = listen(Events::new(stdout, line_bytes_max), &said, &killer);
        let _ = done.send(left_out);
    });
    let (words, last_words) = mpsc::channel();
    thread::spawn(move || words.send(wire::tail(stderr, STDERR_BYTES_MAX)));
    let ended = process.wait();
    drop(lines);
    Ending {
        process: ended.ok(),
        not_started: None,
        log_lines_left_out: is_done.recv_timeout(PIPES_GRACE).unwrap_or(0),
        stderr: last_words.recv_timeout(PIPES_GRACE).unwrap_or_default(),
    }
}

/// Writes lines until nobody has more to say; a worker that doesn't read holds up this thread alone.
fn write_lines(mut stdin: impl Write, lines: mpsc::Receiver<Vec<u8>>) {
    for mut line in lines {
        line.push(b'\n');
        if stdin.write_all(&line).and_then(|()| stdin.flush()).is_err() {
            return;
        }
    }
}

/// Hands events on until the output ends; holds back floods of log lines and progress. Returns how many log lines were left out.
fn listen(mut events: Events<impl std::io::Read>, tell: &impl Fn(Happening), killer: &Process) -> u64 {
    let (mut log_lines, mut left_out, mut others) = (0_u64, 0_u64, 0_u64);
    let mut progress_told: Option<Instant> = None;
    let mut last_phase = None;
    let fault = loop {
        let mut event = match events.next() {
            Ok(Some(event)) => event,
            Ok(None) => break None,
            Err(error) => break Some(error.to_string()),
        };
        match &mut event {
            Event::Log { level, message, .. } => {
                log_lines += 1;
                // Errors get half as much again, so that a flood of warnings doesn't hide them.
                let lines_max = if *level == Level::Error { LOG_LINES_MAX * 3 / 2 } else { LOG_LINES_MAX };
                if log_lines > lines_max {
                    left_out += 1;
                    continue;
                }
                *message = crate::text::shortened(message, LOG_CHARACTERS_MAX).into_owned();
            }
            Event::Progress { .. } => {
                if progress_told.is_some_and(|told| told.elapsed() < PROGRESS_INTERVAL) {
                    continue;
                }
                progress_told = Some(Instant::now());
            }
            Event::Phase { stream, phase } => {
                let this = Some((stream.clone(), *phase));
                if last_phase == this {
                    continue;
                }
                last_phase = this;
                others += 1;
            }
            _ => others += 1,
        }
        if others > EVENTS_MAX {
            break Some(format!("more than {EVENTS_MAX} events"));
        }
        tell(Happening::Said(event));
    };
    if let Some(fault) = fault {
        killer.kill();
        tell(Happening::Garbled(fault));
    }
    left_out
}

/// Asks a worker for the answer to one order and waits for it, at most `timeout`.
///
/// # Errors
/// What the worker says went wrong; `timeout`, `worker_crashed`, `driver_crashed`, `worker_fault` and `worker_not_started` from here.
pub fn ask(program: &Program, order: &Order, timeout: Duration) -> Result<serde_json::Value, WorkerError> {
    let line = line_of(order);
    let program = program.clone();
    let (happenings, heard) = mpsc::channel();
    let tell = move |happening| {
        let _ = happenings.send(happening);
    };
    let spawned = thread::Builder::new().name("worker".to_owned()).spawn(move || {
        let ending = attend(&program, line, ANSWER_LINE_BYTES_MAX, &tell);
        tell(Happening::Ended(ending));
    });
    if let Err(error) = spawned {
        return Err(not_started(&error.to_string()));
    }
    hear_answer(&heard, timeout)
}

fn hear_answer(heard: &mpsc::Receiver<Happening>, timeout: Duration) -> Result<serde_json::Value, WorkerError> {
    let deadline = Instant::now() + timeout;
    let (mut handle, mut value, mut finished, mut fault) = (None::<Handle>, None, None, None);
    loop {
        match heard.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(Happening::Started(started)) => handle = Some(started),
            Ok(Happening::Said(Event::Answered { value: answer })) => value = Some(answer),
            Ok(Happening::Said(Event::Finished { error })) => finished = Some(error),
            Ok(Happening::Said(_)) => {}
            Ok(Happening::Garbled(what)) => fault = Some(garbled(&what)),
            Ok(Happening::Ended(ending)) => {
                return match (fault, finished, value) {
                    (Some(fault), _, _) => Err(fault),
                    (None, Some(Some(error)), _) => Err(error),
                    (None, Some(None), Some(value)) => Ok(value),
                    (None, _, _) => Err(crashed(&ending)),
                };
            }
            Err(RecvTimeoutError::Timeout) => {
                if let Some(handle) = handle {
                    handle.kill();
                }
                let message = format!("no answer within {} s", timeout.as_secs_f64());
                return Err(WorkerError { is_transient: true, ..WorkerError::new("timeout", message, None) });
            }
            Err(RecvTimeoutError::Disconnected) => return Err(crashed(&Ending::default())),
        }
    }
}

/// The error of a worker that could not be started.
pub(super) fn not_started(why: &str) -> WorkerError {
    let message = format!("the worker could not be started: {why}");
    WorkerError::new("worker_not_started", message, Some("look at the limits of this user: processes, memory, open files"))
}

/// How only a library ends a process that isn't ours: SIGBUS, SIGSEGV.
const CRASHES: [Exit; 2] = [Exit::Signal(7), Exit::Signal(11)];

/// The error of a worker that ended without saying how it ended.
pub(super) fn crashed(ending: &Ending) -> WorkerError {
    if let Some(why) = &ending.not_started {
        return not_started(why);
    }
    let how = ending.process.map_or_else(|| "in an unknown way".to_owned(), |ended| format!("by {}", ended.exit));
    if ending.process.is_some_and(|ended| CRASHES.contains(&ended.exit)) {
        let hint = "a driver crashed: some do where a connection is cut; run it again, and look for a newer version of the driver";
        return WorkerError::new("driver_crashed", format!("its worker ended {how} before it was done"), Some(hint));
    }
    let message = format!("its worker ended {how} before it was done");
    let hint = "the execution log holds its last words; a SIGKILL that nobody sent is most often the system being out of memory";
    WorkerError::new("worker_crashed", message, Some(hint))
}

/// The error of a worker that says what no worker says.
pub(super) fn garbled(what: &str) -> WorkerError {
    let hint = "this is a fault of etlsched or of a driver that writes to standard output: please report it";
    WorkerError::new("worker_fault", format!("its worker was ended because it wrote {what}"), Some(hint))
}
