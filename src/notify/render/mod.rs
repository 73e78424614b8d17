//! Messages as people see them. Pure: the same message is rendered the same at each try.
//!
//! `content` says what is told, in which order and how much of it; every text that it hands on is one line without control characters,
//! cut to a length. `text`, `html` and `chat` only lay it out.

mod chat;
mod content;
mod html;
mod refreshed;
mod roundup;
mod text;
mod words;

#[cfg(test)]
pub(super) mod samples;
#[cfg(test)]
mod tests;

pub(super) use chat::{Form, chat};
use content::Content;
pub(super) use words::trouble;

use super::message::Message;

/// A message as a mail has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// One line.
    pub subject: String,
    /// Plain text, wrapped.
    pub text: String,
    /// A whole document, which loads nothing.
    pub html: String,
}

/// Renders a message.
pub fn render(message: &Message) -> Rendered {
    let content = Content::of(message);
    let (text, html) = (text::text(&content), html::html(&content));
    Rendered { subject: content.subject, text, html }
}
