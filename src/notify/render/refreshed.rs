//! What a message says of what its run refreshed: of the job, of the sources that it was asked for, of tables of those that failed.

use crate::notify::message::{Message, SourceFacts};
use crate::run::SourceStatus;
use crate::text::{count, grouped, span};

use super::words::{clean, ended, rows};

/// So many sources of a run of some are named.
const NAMED_MAX: usize = 3;
/// So many tables are named.
const TABLES_MAX: usize = 6;

/// What a failed run refreshed and what it didn't.
pub(super) fn failed(message: &Message) -> Vec<String> {
    let all = message.sources.len() as u64;
    let bad: Vec<&SourceFacts> = message.sources.iter().filter(|source| source.status != SourceStatus::Success).collect();
    let (bad_count, good) = (bad.len() as u64, all - bad.len() as u64);
    let mut lead = Vec::new();
    if let Some(error) = message.run.as_ref().and_then(|run| run.error.as_deref()) {
        lead.push(ended(&clean(error, 400)));
    }
    let tables = tables(&bad);
    if bad_count == 0 {
        return lead;
    }
    let verb = if bad_count == 1 { "was" } else { "were" };
    if good > 0 {
        let rest = if good == 1 { "The other one is fresh." } else { "The others are fresh." };
        lead.push(format!("{} of {} {verb} not refreshed. {rest}", grouped(bad_count), count(all, "source")));
        lead.extend(message.source_count.map(|in_all| format!("The run was of {} of its {}.", grouped(all), count(in_all, "source"))));
    } else {
        let hold = match (message.source_count, &tables) {
            (_, Some(_)) => "",
            (None, None) => ": the tables hold what the last good run left",
            (Some(_), None) if all == 1 => ": its tables hold what its last good run left",
            (Some(_), None) => ": their tables hold what their last good runs left",
        };
        lead.push(match (part(message), all) {
            (Some(part), _) => format!("{part} {verb} not refreshed{hold}."),
            (None, 1) => format!("Its source was not refreshed{hold}."),
            (None, _) => format!("None of its {} was refreshed{hold}.", count(all, "source")),
        });
    }
    lead.extend(tables);
    lead
}

/// What a good run refreshed.
pub(super) fn good(message: &Message) -> String {
    let took = message.run.as_ref().map(|run| format!(" in {}", span(run.duration_seconds))).unwrap_or_default();
    let sources = match (part(message), message.sources.len() as u64) {
        (Some(part), 1) => format!("{part} was refreshed"),
        (Some(part), _) => format!("{part} were refreshed"),
        (None, 0) => "The run ended well".to_owned(),
        (None, 1) => "Its source was refreshed".to_owned(),
        (None, 2) => "Both sources were refreshed".to_owned(),
        (None, all) => format!("All {} were refreshed", count(all, "source")),
    };
    format!("{sources}: {}{took}.", rows(message))
}

/// Names the sources of a run that left others of its job out: `gone, 1 of its 3 sources,`.
fn part(message: &Message) -> Option<String> {
    let all = message.sources.len();
    let of = format!("{} of its {}", grouped(all as u64), count(message.source_count?, "source"));
    if all > NAMED_MAX {
        return Some(of);
    }
    let names: Vec<String> = message.sources.iter().map(|source| clean(&source.name, 60)).collect();
    Some(format!("{}, {of},", names.join(", ")))
}

/// Says which tables of sources that were not refreshed are fresh all the same.
fn tables(bad: &[&SourceFacts]) -> Option<String> {
    let fresh: Vec<&String> = bad.iter().flat_map(|source| &source.tables_refreshed).collect();
    if fresh.is_empty() {
        return None;
    }
    let whose = if bad.len() == 1 { "its" } else { "their" };
    let in_all: u64 = bad.iter().map(|source| source.tables_in_all).sum();
    let mut names: Vec<String> = fresh.iter().take(TABLES_MAX).map(|name| clean(name, 60)).collect();
    if let Some(more) = fresh.len().checked_sub(names.len()).filter(|more| *more > 0) {
        names.push(format!("and {} more", grouped(more as u64)));
    }
    let (number, verb) = (fresh.len() as u64, if fresh.len() == 1 { "is" } else { "are" });
    Some(format!(
        "{} of {whose} {} {verb} fresh all the same ({}); what the others hold is of the last good run.",
        grouped(number),
        count(in_all, "table"),
        names.join(", ")
    ))
}
