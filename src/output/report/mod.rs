//! A survey of all jobs, for the terminal, for scripts, and as a page for a browser.
//!
//! The page is one file without a network: style and script stand in it, allowed by their hashes alone, so that nothing else runs even if
//! something else got in. What is counted, explained or asked for stands in it as HTML; runs are data, which the script draws as
//! they are looked at. Without a script there are tables.

mod coming;
mod data;
mod escape;
mod failures;
mod html;
mod json;
mod matters;
mod summary;
mod tables;
mod text;
mod words;

#[cfg(test)]
mod html_tests;

use chrono::{DateTime, Utc};

use crate::zone::Zone;

pub use html::{MARK, html};
pub use json::{csv, json, written};
pub use text::text;

/// What stands around the facts.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    /// The workspace's folder.
    pub workspace: String,
    /// The host on which the report is made.
    pub host: String,
    /// The user's zone.
    pub zone: Zone,
    /// When it is made.
    pub made_at: DateTime<Utc>,
    /// How far slots to come are looked at.
    pub hours_ahead: u16,
}
