//! The worker: serves one order, reads one source and loads its tables, nothing else. The only folder that knows both ends.
//!
//! One thread reads the source, the main thread writes the destination, one listens to the supervisor. What the worker says
//! goes line by line to the writer it was given; it opens no state store and reads no settings.

mod cast;
mod copy;
mod dry;
mod names;
mod orders;
mod rejects;
mod stream;
mod tell;
mod voice;
mod window;

#[cfg(test)]
mod tests;

use std::io::{BufRead, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::destination::DestinationError;
use crate::exit_code;
use crate::plan::verdict::agrees;
use crate::plan::{Event, Order, WorkerError};
use crate::source::SourceError;

use names::End;
pub use voice::Stop;
use voice::{Voice, listen};

/// The code of what ends because it was told to.
const CANCELLED: &str = "cancelled";

/// Why a stream, or an order, failed.
#[derive(Debug)]
struct Fault {
    error: WorkerError,
    /// Where, if at one of the ends.
    end: Option<End>,
}

impl Fault {
    fn new(code: &str, message: impl Into<String>) -> Self {
        Self { error: WorkerError::new(code, message, None), end: None }
    }

    /// Takes over what a driver says; that it agrees with the table of codes is checked wherever tests meet a real error.
    fn told(end: End, error: WorkerError) -> Self {
        let WorkerError { code, is_transient, .. } = &error;
        debug_assert!(agrees(code, *is_transient), "code {code:?} says is_transient: {is_transient} against src/plan/verdict.rs");
        Self { error, end: Some(end) }
    }

    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.error.hint = Some(hint.into());
        self
    }

    fn cancelled() -> Self {
        Self::new(CANCELLED, "the load was cancelled; nothing of it is visible")
    }

    fn is_cancelled(&self) -> bool {
        self.error.code == CANCELLED
    }
}

impl From<SourceError> for Fault {
    fn from(error: SourceError) -> Self {
        let SourceError { code, message, hint, is_transient, retry_after } = error;
        if code == CANCELLED {
            return Self::cancelled();
        }
        let (code, message) = (code.to_owned(), without_name(message));
        Self::told(End::Source, WorkerError { code, message, hint, is_transient, retry_after })
    }
}

/// Cuts the source's name from before what happened: whoever hears of it knows whose worker said it, and says so. Names have no colon;
/// the table that stands behind one stays.
fn without_name(message: String) -> String {
    match message.strip_prefix("source ").and_then(|rest| rest.split_once(": ")) {
        Some((whose, what)) => match whose.split_once(", table ") {
            Some((_, table)) => format!("table {table}: {what}"),
            None => what.to_owned(),
        },
        None => message,
    }
}

impl From<DestinationError> for Fault {
    fn from(error: DestinationError) -> Self {
        let DestinationError { code, message, hint, is_transient } = error;
        Self::told(End::Destination, WorkerError { code: code.to_owned(), message, hint, is_transient, retry_after: None })
    }
}

/// Serves the order on the first line of `input`; says what happens on `output`, one JSON event a line. Returns the exit code.
///
/// `stop` is raised from outside (a signal), by [`crate::plan::Answer::Stop`], and where the supervisor is gone.
pub fn serve(mut input: impl BufRead + Send + 'static, output: Box<dyn Write + Send>, stop: &Stop) -> u8 {
    let voice = Voice::new(output, stop.clone());
    let mut line = String::new();
    let order = match input.read_line(&mut line) {
        Ok(_) => serde_json::from_str::<Order>(&line).map_err(|error| {
            // The error's own text could quote a secret of the plan: only its place is told.
            Fault::new("internal", format!("the order on standard input is malformed at column {}", error.column()))
        }),
        Err(error) => Err(Fault::new("internal", format!("reading the order from standard input: {error}"))),
    };
    drop(line);
    let result = order.and_then(|order| {
        let is_load = matches!(order, Order::Load(_));
        let answers = listen(input, stop.clone(), is_load);
        voice.watch_stop(stop.clone());
        catch_unwind(AssertUnwindSafe(|| orders::serve(order, &voice, &answers, stop))).unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
            Err(Fault::new("internal", format!("a fault of etlsched itself: {}", text.unwrap_or("a panic"))))
        })
    });
    let error = match result {
        Ok(()) => None,
        Err(fault) => Some(fault.error),
    };
    voice.last(&Event::Finished { error });
    exit_code::DONE
}
