//! A worker's lines, read so that no worker can cost more than a line's worth of memory, whatever it writes.

use std::io::{self, BufRead, BufReader, Read};

use crate::plan::Event;

/// The longest line of a worker that loads: a result with some thousand columns takes a tenth of it.
pub(super) const LOAD_LINE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The longest line of a worker that answers: a preview carries values.
pub(super) const ANSWER_LINE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Why a worker's output can't be gone on with.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum WireError {
    #[error("a line of more than {bytes_max} bytes")]
    TooLong { bytes_max: usize },
    #[error("a line that is no event ({reason}): {start}")]
    Malformed { reason: String, start: String },
    #[error("its output could not be read: {0}")]
    Unreadable(String),
}

/// Reads events from a worker's standard output.
pub(super) struct Events<R> {
    input: BufReader<R>,
    line: Vec<u8>,
    bytes_max: usize,
}

impl<R: Read> Events<R> {
    pub(super) fn new(input: R, bytes_max: usize) -> Self {
        Self { input: BufReader::with_capacity(64 * 1024, input), line: Vec::new(), bytes_max }
    }

    /// Returns the next event; `None` at the end of the output. A last line without its line end is malformed like any cut one.
    pub(super) fn next(&mut self) -> Result<Option<Event>, WireError> {
        self.line.clear();
        loop {
            let available = match self.input.fill_buf() {
                Ok(available) => available,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(WireError::Unreadable(error.to_string())),
            };
            if available.is_empty() {
                return if self.line.is_empty() { Ok(None) } else { parse(&self.line) };
            }
            let (taken, is_whole) = match available.iter().position(|byte| *byte == b'\n') {
                Some(end) => (end + 1, true),
                None => (available.len(), false),
            };
            if self.line.len() + taken > self.bytes_max {
                return Err(WireError::TooLong { bytes_max: self.bytes_max });
            }
            self.line.extend_from_slice(&available[..taken]);
            self.input.consume(taken);
            if is_whole {
                return parse(&self.line);
            }
        }
    }
}

fn parse(line: &[u8]) -> Result<Option<Event>, WireError> {
    serde_json::from_slice(line).map(Some).map_err(|error| {
        let text = String::from_utf8_lossy(line);
        WireError::Malformed { reason: error.to_string(), start: crate::text::shortened(text.trim_end(), 120).into_owned() }
    })
}

/// Reads to the end and keeps the last `bytes_max` bytes, for what a worker wrote to its standard error.
pub(super) fn tail(mut input: impl Read, bytes_max: usize) -> String {
    let mut kept: Vec<u8> = Vec::new();
    let mut buffer = [0_u8; 4096];
    let mut is_cut = false;
    loop {
        match input.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => kept.extend_from_slice(&buffer[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
        if kept.len() > 2 * bytes_max {
            kept.drain(..kept.len() - bytes_max);
            is_cut = true;
        }
    }
    if kept.len() > bytes_max {
        kept.drain(..kept.len() - bytes_max);
        is_cut = true;
    }
    let text = String::from_utf8_lossy(&kept).trim_end().to_owned();
    if is_cut { format!("…{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_line_by_line_to_the_true_end() {
        let text = "{\"event\":\"ready\",\"stream\":\"a\"}\n{\"event\":\"finished\",\"error\":null}\n";
        let mut events = Events::new(text.as_bytes(), 1000);
        assert_eq!(events.next(), Ok(Some(Event::Ready { stream: "a".to_owned() })));
        assert_eq!(events.next(), Ok(Some(Event::Finished { error: None })));
        assert_eq!(events.next(), Ok(None));
    }

    #[test]
    fn a_line_without_end_costs_no_more_than_its_limit() {
        let mut events = Events::new(io::repeat(b'x'), 100_000);
        assert_eq!(events.next(), Err(WireError::TooLong { bytes_max: 100_000 }));
        assert!(events.line.capacity() <= 200_000);
    }

    #[test]
    fn what_is_no_event_is_refused_with_its_start() {
        for line in
            ["Segmentation fault\n", "{\"event\":\"ready\"}\n", "{\"event\":\"nonsense\"}\n", "\n", "{\"event\":\"rea", "\u{0}\u{ff}\n"]
        {
            let error = Events::new(line.as_bytes(), 1000).next().expect_err(line);
            assert!(matches!(error, WireError::Malformed { .. }), "{line:?}: {error}");
        }
    }

    #[test]
    fn only_the_tail_of_a_flood_on_standard_error_is_kept() {
        let flood = io::repeat(b'y').take(1_000_000).chain(&b"last words\n"[..]);
        let kept = tail(flood, 100);
        assert!(kept.ends_with("ylast words") && kept.starts_with('…') && kept.len() <= 103, "{kept}");
        assert_eq!(tail(&b"short\n"[..], 100), "short");
    }
}
