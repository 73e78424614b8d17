//! The connections that a job uses: looked up, held to what this version does, made into plans.

use std::path::PathBuf;

use crate::plan::{DestinationKind, DestinationPlan, SqlitePlan};

use super::defaults;
use super::fields::{self, near};
use super::keys;
use super::positions::{Node, Place};
use super::report::Report;
use super::settings::{Settings, boolean, int, text};

/// A connection of a kind that this version has.
#[derive(Debug, Clone)]
pub enum Connection<'a> {
    /// A SQLite file.
    Sqlite {
        /// Absolute.
        path: PathBuf,
        /// The connection's keys.
        node: &'a Node,
    },
    /// Settings for fetching files.
    Csv(&'a Node),
}

/// What a fetch of a URL may do.
#[derive(Debug, Clone, Copy)]
pub struct Fetch {
    /// How long connecting may take.
    pub connect_timeout_seconds: u64,
    /// Whether link-local addresses may be fetched from.
    pub allow_link_local: bool,
}

/// Returns a connection that a job names at `place`; `None` when a problem was reported.
pub fn find<'a>(name: &str, place: Place, settings: &'a Settings, report: &mut Report<'_>) -> Option<Connection<'a>> {
    let declared = settings.tree.get("connections").map(Node::entries).unwrap_or_default();
    let Some(entry) = declared.iter().find(|entry| entry.key == name) else {
        let hint = match near(name, declared.iter().map(|entry| entry.key.as_str())) {
            Some(near) => format!("did you mean {near}?"),
            None if declared.is_empty() => "etlsched.yaml declares no connections: add it under connections".to_owned(),
            None => format!(
                "etlsched.yaml declares {}",
                declared.iter().map(|entry| entry.key.as_str()).take(20).collect::<Vec<_>>().join(", ")
            ),
        };
        report.error(place, format!("unknown connection {}", crate::text::shortened(name, 60)), hint);
        return None;
    };
    let node = &entry.node;
    match text(node, "type").unwrap_or_default() {
        "sqlite" => {
            only(entry.key.as_str(), node, &["type", "path", "table_prefix"], report);
            let Some(path) = text(node, "path") else {
                report.error(entry.place, format!("connection {name} has no path"), "add path: the SQLite file".to_owned());
                return None;
            };
            Some(Connection::Sqlite { path: settings.root.join(path), node })
        }
        "csv" => {
            only(entry.key.as_str(), node, &["type", "connect_timeout_seconds", "allow_link_local"], report);
            Some(Connection::Csv(node))
        }
        kind => {
            let message = format!("connection {name} is of type {kind}, which is not in this version");
            report.error(place, message, "this version reads CSV files and connections of type sqlite, and writes to sqlite".to_owned());
            None
        }
    }
}

/// Reports the keys of a used connection that its kind doesn't have.
fn only(name: &str, node: &Node, allowed: &[&str], report: &mut Report<'_>) {
    let kind = text(node, "type").unwrap_or_default();
    for entry in node.entries().iter().filter(|entry| !entry.node.is_null() && !allowed.contains(&entry.key.as_str())) {
        if entry.key == "users" {
            report.error(entry.place, "users is not in this version", "remove it".to_owned());
        } else if entry.key == "schema" && kind == "sqlite" {
            report.error(entry.place, format!("connection {name}: SQLite has no schemas"), "use table_prefix".to_owned());
        } else if keys::CONNECTION.key(&entry.key).is_some() {
            report.error(
                entry.place,
                format!("connection {name}: {} doesn't belong to type {kind}", entry.key),
                format!("its keys are {}", allowed.join(", ")),
            );
        }
    }
}

/// Returns what fetches over a csv connection, or none, may do.
pub fn fetch(node: Option<&Node>) -> Fetch {
    let seconds = node.and_then(|node| int(node, "connect_timeout_seconds")).unwrap_or(defaults::CONNECT_TIMEOUT_SECONDS);
    Fetch {
        connect_timeout_seconds: u64::try_from(seconds).unwrap_or(1),
        allow_link_local: node.and_then(|node| boolean(node, "allow_link_local")).unwrap_or(defaults::ALLOW_LINK_LOCAL),
    }
}

/// Returns where a job's rows go, and the prefix of its tables.
pub fn destination(job: &Node, settings: &Settings, report: &mut Report<'_>) -> (DestinationPlan, String) {
    let named = job.get("destination").or_else(|| settings.tree.get("destination"));
    let embedded = settings.root.join(defaults::WAREHOUSE);
    let (name, path, node) = match named.and_then(|node| Some((node.as_scalar()?.text.as_str(), node.place))) {
        None => ("warehouse".to_owned(), embedded, None),
        Some((name, place)) => match find(name, place, settings, report) {
            Some(Connection::Sqlite { path, node }) => {
                if path == settings.root.join(".etlsched").join("state.db") {
                    report.error(place, format!("connection {name} is the state store"), "give the warehouse a file of its own".to_owned());
                }
                (name.to_owned(), path, Some(node))
            }
            Some(Connection::Csv(_)) => {
                report.error(
                    place,
                    format!("connection {name} is of type csv and takes no tables"),
                    "name a connection of type sqlite".to_owned(),
                );
                (name.to_owned(), embedded, None)
            }
            None => (name.to_owned(), embedded, None),
        },
    };
    if let Some(entry) = job.entry("schema").filter(|_| named.is_none() || node.is_some()) {
        report.error(entry.place, "schema: the destination is SQLite, which has no schemas", "use table_prefix".to_owned());
    }
    let prefix = text(job, "table_prefix").or_else(|| node.and_then(|node| text(node, "table_prefix"))).unwrap_or_default().to_owned();
    (DestinationPlan { name, kind: DestinationKind::Sqlite(SqlitePlan { path }), schema: None }, prefix)
}

/// Reports the keys of a shared source that this version doesn't act on.
pub fn shared(node: &Node, report: &mut Report<'_>) {
    fields::check_status(node, &keys::SOURCE, report);
}
