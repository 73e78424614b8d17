//! Who was told of a run, or is to be, as `logs --run` shows it.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::measure::{abbreviation, local, utc};
use crate::state::LetterRecord;
use crate::text::{count, printable};
use crate::zone::Zone;

/// Returns the letters of a run as a list.
pub fn json(letters: &[LetterRecord]) -> Value {
    let object = |letter: &LetterRecord| {
        json!({
            "channel": letter.channel,
            "recipient": letter.recipient,
            "kind": letter.kind,
            "status": status(letter),
            "written_at": utc(letter.created_at),
            "sent_at": letter.sent_at.map(utc),
            "attempts": letter.attempt,
            "error": letter.last_error,
        })
    };
    letters.iter().map(object).collect()
}

/// Returns a section for people; nothing where nobody is told.
pub fn text(letters: &[LetterRecord], zone: Zone) -> Option<String> {
    let first = letters.first()?;
    let mut text = format!("\nTold ({})", abbreviation([first.created_at], zone));
    for letter in letters {
        let LetterRecord { channel, recipient, kind, attempt, sent_at, last_error, .. } = letter;
        let fate = match sent_at {
            Some(at) => format!("sent {}", local(*at, zone)),
            None => {
                let tries = if *attempt > 0 { format!(", {}", count((*attempt).into(), "try")) } else { String::new() };
                let why = last_error.as_ref().map(|why| format!(": {}", printable(why))).unwrap_or_default();
                format!("{}{tries}{why}", status(letter))
            }
        };
        let _ = write!(text, "\n  {} ({channel}), {kind}: {fate}", printable(recipient));
    }
    Some(text)
}

fn status(letter: &LetterRecord) -> &'static str {
    match (letter.sent_at, letter.closed_at) {
        (Some(_), _) => "sent",
        (None, None) => "waiting",
        (None, Some(_)) => "not sent",
    }
}
