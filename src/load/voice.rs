//! What passes between the worker and its supervisor: events out, answers in, and the wish to stop.

use std::io::{BufRead, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use super::Fault;
use crate::batch;
use crate::plan::{Answer, Event, Level};

/// How long the worker tries to end by itself once it is told to stop; then it ends in the middle of whatever it waits for,
/// and the destination rolls back. The supervisor kills after 8 s.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

/// How long the supervisor has to answer [`Event::Ready`].
const ANSWER_PATIENCE: Duration = Duration::from_secs(30);

/// How often a waiting thread looks whether it must stop.
pub(super) const LOOK: Duration = Duration::from_millis(50);

/// The wish that the worker stops: raised once, by a signal, an answer or the end of standard input.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Returns the flag itself, for a signal handler.
    pub fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.0)
    }

    /// Asks the worker to stop.
    pub fn raise(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// Whether it was asked.
    pub fn is_raised(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// The one writer of events.
#[derive(Clone)]
pub(super) struct Voice {
    output: Arc<Mutex<Output>>,
    /// While a publish is under way nothing but its own end or a kill may end the worker.
    is_publishing: Arc<AtomicBool>,
    stop: Stop,
}

struct Output {
    writer: Box<dyn Write + Send>,
    is_over: bool,
}

impl Voice {
    pub(super) fn new(writer: Box<dyn Write + Send>, stop: Stop) -> Self {
        Self { output: Arc::new(Mutex::new(Output { writer, is_over: false })), is_publishing: Arc::default(), stop }
    }

    /// Says an event. Where nobody hears it any longer the supervisor is gone: stop.
    pub(super) fn say(&self, event: &Event) {
        let mut output = self.output.lock().unwrap_or_else(PoisonError::into_inner);
        if !output.is_over && write_line(&mut output.writer, event).is_err() {
            self.stop.raise();
        }
    }

    /// Says the last event; nothing is said after it.
    pub(super) fn last(&self, event: &Event) {
        self.say(event);
        self.output.lock().unwrap_or_else(PoisonError::into_inner).is_over = true;
    }

    pub(super) fn log(&self, level: Level, stream: &str, message: impl Into<String>) {
        self.say(&Event::Log { level, stream: Some(stream.to_owned()), message: message.into() });
    }

    /// Does the work of a publish: from here on a stop no longer ends the worker in its middle.
    pub(super) fn publishing<T>(&self, work: impl FnOnce() -> T) -> T {
        self.is_publishing.store(true, Ordering::SeqCst);
        let result = work();
        self.is_publishing.store(false, Ordering::SeqCst);
        result
    }

    /// Ends the process where it can't end itself in time: a driver that hangs, a lock that isn't given.
    pub(super) fn watch_stop(&self, stop: Stop) {
        let voice = self.clone();
        thread::spawn(move || {
            while !stop.is_raised() {
                thread::sleep(LOOK);
            }
            thread::sleep(STOP_PATIENCE);
            while voice.is_publishing.load(Ordering::SeqCst) {
                thread::sleep(LOOK);
            }
            let is_over = voice.output.lock().unwrap_or_else(PoisonError::into_inner).is_over;
            if !is_over {
                voice.last(&Event::Finished { error: Some(Fault::cancelled().error) });
                std::process::exit(0);
            }
        });
    }
}

fn write_line(writer: &mut dyn Write, event: &Event) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(event)?;
    line.push(b'\n');
    writer.write_all(&line)?;
    writer.flush()
}

/// Listens to the supervisor. The end of its words means that it died: a load stops then.
pub(super) fn listen(input: impl BufRead + Send + 'static, stop: Stop, is_load: bool) -> Receiver<Answer> {
    let (sender, answers) = channel();
    thread::spawn(move || {
        for line in input.lines() {
            let Ok(line) = line else { break };
            match serde_json::from_str(&line) {
                Ok(Answer::Stop) => stop.raise(),
                Ok(Answer::Shrink) => batch::shrink(),
                Ok(answer) => _ = sender.send(answer),
                Err(_) if line.trim().is_empty() => {}
                Err(_) => break,
            }
        }
        if is_load {
            stop.raise();
        }
    });
    answers
}

/// Waits for the answer to [`Event::Ready`]; no answer in time, and any but `Publish`, means that everything staged is dropped.
pub(super) fn await_publish(answers: &Receiver<Answer>, stop: &Stop) -> Result<(), Fault> {
    let mut waited = Duration::ZERO;
    while waited < ANSWER_PATIENCE {
        if stop.is_raised() {
            return Err(Fault::cancelled());
        }
        match answers.recv_timeout(LOOK) {
            Ok(Answer::Publish) => return Ok(()),
            Ok(Answer::Drop) => {
                return Err(Fault::new("not_published", "the supervisor refused to publish; nothing of the load is visible"));
            }
            // The one that listens acts on it.
            Ok(Answer::Shrink) => {}
            Ok(Answer::Stop) | Err(RecvTimeoutError::Disconnected) => return Err(Fault::cancelled()),
            Err(RecvTimeoutError::Timeout) => waited += LOOK,
        }
    }
    Err(Fault::new("not_published", "the supervisor gave no answer in 30 s; nothing of the load is visible"))
}
