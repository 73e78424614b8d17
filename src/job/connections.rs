//! The connections that a job uses: looked up, held to what this version does, made into plans.

use crate::plan::kinds;
use crate::plan::{DestinationKind, DestinationPlan, SqlitePlan};

use super::defaults;
use super::fields::{self, near};
use super::keys;
use super::load::Secrets;
use super::positions::{Node, Place};
use super::report::Report;
use super::said::Said;
use super::settings::{Settings, text};

/// A connection of a type that this version has.
#[derive(Debug, Clone)]
pub struct Connection<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its type.
    pub kind: &'a str,
    /// Its keys.
    pub node: &'a Node,
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
    let kind = text(node, "type").unwrap_or_default();
    if !kinds::connection_types().contains(&kind) {
        let message = format!("connection {name} is of type {kind}, which is not in this version");
        let destinations: Vec<&str> = kinds::DESTINATIONS.iter().map(|kind| kind.name).collect();
        let hint = format!(
            "this version has connections of type {}, and writes to {}",
            kinds::connection_types().join(", "),
            destinations.join(", ")
        );
        report.error(place, message, hint);
        return None;
    }
    only(name, node, kind, report);
    Some(Connection { name: &entry.key, kind, node })
}

/// Reports the keys of a used connection that its kind doesn't have.
fn only(name: &str, node: &Node, kind: &str, report: &mut Report<'_>) {
    let allowed: Vec<&str> = std::iter::once("type").chain(kinds::connection_keys(kind)).chain(std::iter::once("users")).collect();
    let flat = kinds::destination(kind).filter(|kind| !kind.has_schemas);
    for entry in node.entries().iter().filter(|entry| !entry.node.is_null() && !allowed.contains(&entry.key.as_str())) {
        if let (Some(flat), "schema") = (flat, entry.key.as_str()) {
            report.error(entry.place, format!("connection {name}: {} has no schemas", flat.title), "use table_prefix".to_owned());
        } else if keys::CONNECTION.key(&entry.key).is_some() {
            report.error(
                entry.place,
                format!("connection {name}: {} doesn't belong to type {kind}", entry.key),
                format!("its keys are {}", allowed.join(", ")),
            );
        }
    }
}

/// Returns where a job's rows go, and the prefix of its tables.
pub fn destination(job: &Node, settings: &Settings, secrets: Secrets, report: &mut Report<'_>) -> (DestinationPlan, String) {
    let named = job.get("destination").or_else(|| settings.tree.get("destination"));
    let named = named.and_then(|node| Some((node.as_scalar()?.text.as_str(), node.place)));
    let connection = named.and_then(|(name, place)| Some((find(name, place, settings, report)?, place)));
    let node = connection.as_ref().map(|(connection, _)| connection.node);
    let kind = connection.and_then(|(connection, place)| named_kind(&connection, place, settings, secrets, report));
    let described = kinds::destination(kind.as_ref().map_or(kinds::DESTINATIONS[0].name, DestinationKind::name));
    let is_known = named.is_none() || kind.is_some();
    let flat = described.filter(|described| is_known && !described.has_schemas);
    if let (Some(entry), Some(flat)) = (job.entry("schema"), flat) {
        let message = format!("schema: the destination is {}, which has no schemas", flat.title);
        report.error(entry.place, message, "use table_prefix".to_owned());
    }
    let prefix = text(job, "table_prefix").or_else(|| node.and_then(|node| text(node, "table_prefix"))).unwrap_or_default().to_owned();
    let embedded = || DestinationKind::Sqlite(SqlitePlan { path: settings.root.join(defaults::WAREHOUSE) });
    let name = named.map_or("warehouse", |(name, _)| name).to_owned();
    let schema = text(job, "schema").or_else(|| node.and_then(|node| text(node, "schema"))).map(str::to_owned);
    (DestinationPlan { name, kind: kind.unwrap_or_else(embedded), schema }, prefix)
}

fn named_kind(
    connection: &Connection<'_>,
    place: Place,
    settings: &Settings,
    secrets: Secrets,
    report: &mut Report<'_>,
) -> Option<DestinationKind> {
    let Connection { name, kind, node } = connection;
    let Some(destination) = kinds::destination(kind) else {
        let types: Vec<&str> = kinds::DESTINATIONS.iter().map(|kind| kind.name).collect();
        let hint = format!("name a connection of type {}", types.join(" or "));
        report.error(place, format!("connection {name} is of type {kind} and takes no tables"), hint);
        return None;
    };
    match (destination.plan)(&Said { source: None, connection: Some(node), settings, secrets }) {
        Ok(plan) if plan.file().is_some_and(|file| file == settings.root.join(".etlsched").join("state.db")) => {
            report.error(place, format!("connection {name} is the state store"), "give the warehouse a file of its own".to_owned());
            Some(plan)
        }
        Ok(plan) => Some(plan),
        Err(wrong) => {
            report.error(node.place, format!("connection {name}: {}", wrong.message), wrong.hint.map(str::to_owned));
            None
        }
    }
}

/// Reports the keys of a shared source that this version doesn't act on.
pub fn shared(node: &Node, report: &mut Report<'_>) {
    fields::check_status(node, &keys::SOURCE, report);
}
