//! The wish of a person or the system that this process ends: the first is heard, the second ends it at once.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What asked for the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopSignal {
    /// SIGINT, Ctrl-C.
    Interrupt,
    /// SIGTERM; on Windows the end of the console or of the session.
    Terminate,
}

impl StopSignal {
    /// Returns 128 and the signal's number, as shells do: 130 or 143.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Interrupt => 130,
            Self::Terminate => 143,
        }
    }
}

type Listener = Box<dyn Fn(StopSignal) + Send>;

#[derive(Default)]
struct Inner {
    requested: Option<StopSignal>,
    listeners: Vec<Listener>,
}

/// Whether this process is asked to stop, and by what. Clones share it.
#[derive(Clone, Default)]
pub struct Stop(Arc<Mutex<Inner>>);

impl fmt::Debug for Stop {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Stop({:?})", self.requested())
    }
}

impl Stop {
    /// Makes one that nobody has asked yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks for the stop; returns whether this was the first request. Listeners hear of the first only.
    pub fn request(&self, signal: StopSignal) -> bool {
        let mut inner = self.lock();
        if inner.requested.is_some() {
            return false;
        }
        inner.requested = Some(signal);
        for listener in &inner.listeners {
            listener(signal);
        }
        true
    }

    /// Returns what asked, if anything did.
    pub fn requested(&self) -> Option<StopSignal> {
        self.lock().requested
    }

    /// Calls `listener` at the first request; at once where it was made already. It must not wait or call back.
    pub fn listen(&self, listener: impl Fn(StopSignal) + Send + 'static) {
        let mut inner = self.lock();
        if let Some(signal) = inner.requested {
            listener(signal);
        }
        inner.listeners.push(Box::new(listener));
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Turns SIGINT, SIGTERM and SIGHUP (Ctrl-C and the console's end on Windows) into requests. The second ends this process at once with its
/// exit code: workers end with it, because their standard input closes, and what they had staged is dropped.
///
/// # Errors
/// When the system refuses the handlers.
pub fn watch_signals(stop: &Stop) -> io::Result<()> {
    #[cfg(unix)]
    return super::unix::watch_signals(stop.clone());
    #[cfg(windows)]
    return super::windows::watch_signals(stop.clone());
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn listeners_hear_the_first_request_only_and_late_ones_at_once() {
        let stop = Stop::new();
        let (sender, receiver) = mpsc::channel();
        let early = sender.clone();
        stop.listen(move |signal| early.send(("early", signal)).expect("the test holds the receiver"));
        assert!(stop.request(StopSignal::Interrupt));
        assert!(!stop.request(StopSignal::Terminate));
        stop.listen(move |signal| sender.send(("late", signal)).expect("the test holds the receiver"));
        drop(stop);
        let heard: Vec<_> = receiver.iter().collect();
        assert_eq!(heard, [("early", StopSignal::Interrupt), ("late", StopSignal::Interrupt)]);
    }
}
