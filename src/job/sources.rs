//! The sources of a job: shared ones looked up, settings brought together, names and targets settled, combinations checked.

use std::collections::{HashMap, HashSet};

use crate::plan::kinds::{self, SourceType};
use crate::plan::{Mode, SourceKind};
use crate::text::shortened;

use super::columns;
use super::connections::{self, Connection};
use super::defaults;
use super::fields::near;
use super::keys::{self, RUN_KEYS};
use super::load::Secrets;
use super::naming::{self, Targets};
use super::options;
use super::positions::{Entry, Node, Origin, Place, ScalarKind, Value};
use super::report::Report;
use super::said::Said;
use super::settings::{self, Settings, filled, merged, set, take, unset};
use super::spec::DataSource;

/// How many sources a job may have.
const SOURCES_MAX: usize = 1000;
/// How many settings all sources may have together, shared ones written out at each: a few times many sources are too many.
const NODES_MAX: usize = 50_000;

/// Returns each source with everything that holds for it: its shared declaration, the job's `etl_config`, its own keys.
pub fn resolved(job: &Node, settings: &Settings, report: &mut Report<'_>) -> Vec<Node> {
    let items = match job.get("data_sources").map(|node| &node.value) {
        Some(Value::List(items)) => items.as_slice(),
        _ => &[],
    };
    let mut config = job.get("etl_config").cloned().unwrap_or_else(|| Node::map(Origin::Job));
    if config.get("publish").is_none()
        && let Some(publish) = job.get("publish")
    {
        set(&mut config, "publish", publish.clone());
    }
    config = filled(config, &keys::ETL_CONFIG, |_| false);
    RUN_KEYS.iter().for_each(|key| unset(&mut config, key));
    let query = config.entry("custom_sql").cloned();
    unset(&mut config, "custom_sql");
    if let Some(query) = query.as_ref().filter(|_| items.len() > 1) {
        let hint = "write custom_sql at the source that it reads".to_owned();
        report.error(query.place, format!("etl_config.custom_sql needs a job of one source; this one has {}", items.len()), hint);
    }
    if let Some(item) = items.get(SOURCES_MAX) {
        report.error(item.place, format!("more than {SOURCES_MAX} sources in one job"), "split the job".to_owned());
        return Vec::new();
    }
    let mut sources = Vec::new();
    let mut nodes = 0;
    for item in items.iter().filter(|item| matches!(item.value, Value::Map(_))) {
        let Some(mut source) = with_shared(item, settings, report) else {
            if report.is_full() {
                break;
            }
            continue;
        };
        let own = take(&mut source, "etl_config").unwrap_or_else(|| Node::map(item.place.origin));
        for entry in own.entries().iter().filter(|entry| RUN_KEYS.contains(&entry.key.as_str())) {
            report.error(entry.place, format!("{} concerns the whole run", entry.key), "write it in the job's own etl_config".to_owned());
        }
        let mut config = merged(&config, &own);
        if let Some(query) = config.entry("custom_sql").cloned().or_else(|| query.clone().filter(|_| items.len() == 1)) {
            place_query(&mut source, &query, report);
            unset(&mut config, "custom_sql");
        }
        set(&mut source, "etl_config", config);
        source.walk(&mut |_| nodes += 1);
        sources.push(source);
        if report.is_full() {
            break;
        }
        if nodes > NODES_MAX {
            report.error(item.place, format!("more than {NODES_MAX} settings in all sources"), "split the job".to_owned());
            break;
        }
    }
    sources
}

fn with_shared(item: &Node, settings: &Settings, report: &mut Report<'_>) -> Option<Node> {
    let Some(reference) = item.get("source") else { return Some(item.clone()) };
    let id = reference.as_scalar()?.text.as_str();
    let declared = settings.tree.get("data_sources").map(Node::entries).unwrap_or_default();
    let Some(entry) = declared.iter().find(|entry| entry.key == id) else {
        let hint = match near(id, declared.iter().map(|entry| entry.key.as_str())) {
            Some(near) => format!("did you mean {near}?"),
            None => "declare it in etlsched.yaml under data_sources".to_owned(),
        };
        report.error(reference.place, format!("unknown shared source {}", shortened(id, 60)), hint);
        return None;
    };
    if let Some(entry) = entry.node.entry("source") {
        report.error(entry.place, "a shared source can't refer to another one", "write its keys out".to_owned());
        return None;
    }
    connections::shared(&entry.node, report);
    let mut own = item.clone();
    unset(&mut own, "source");
    let mut source = merged(&entry.node, &own);
    if source.get("name").is_none() && !is_uuid(id) {
        set(&mut source, "name", Node { place: reference.place, ..Node::scalar(Origin::Job, id, ScalarKind::Text) });
    }
    Some(source)
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36 && uuid::Uuid::parse_str(text).is_ok()
}

/// Puts the job's query in place of a source's table.
fn place_query(source: &mut Node, query: &Entry, report: &mut Report<'_>) {
    if let Some(own) = source.entry("custom_sql").or_else(|| source.entry("table").filter(|entry| entry.place.origin == Origin::Job)) {
        let message = format!("etl_config.custom_sql beside the source's own {} (line {})", own.key, own.place.line);
        return report.error(query.place, message, "keep one of them".to_owned());
    }
    if source.get("name").is_none()
        && let Some(table) = source.get("table").cloned()
    {
        set(source, "name", table);
    }
    unset(source, "table");
    set(source, "custom_sql", Node { place: query.place, ..query.node.clone() });
}

/// Builds the sources and returns, beside each, its map with defaults filled in.
pub fn build(nodes: Vec<Node>, prefix: &str, settings: &Settings, secrets: Secrets, report: &mut Report<'_>) -> Vec<(DataSource, Node)> {
    let mut sources = Vec::new();
    let mut names: HashMap<String, usize> = HashMap::new();
    let mut targets: HashMap<String, usize> = HashMap::new();
    for mut node in nodes {
        if report.is_full() {
            break;
        }
        let Some(kind) = kind(&node, settings, secrets, report) else { continue };
        let described = kinds::source(kind.name());
        let Some(name) = naming::name(&mut node, described.is_some_and(|kind| kind.has_schemas), report) else { continue };
        // What a shared source says stands in another file: here two of them meet.
        let own_place = node.place;
        let here = |place: Place| if place.origin == Origin::Workspace { own_place } else { place };
        if let Some(line) = names.insert(name.to_lowercase(), node.place.line) {
            let place = node.get("name").map_or(node.place, |name| here(name.place));
            report.error(
                place,
                format!("two sources are called {}: the first is in line {line}", shortened(&name, 60)),
                "give one of them another name".to_owned(),
            );
            continue;
        }
        let Targets { only: target, known } = naming::targets(&mut node, &name, prefix, report);
        let mut own = HashSet::new();
        for (target, place) in known.iter().filter(|(target, _)| own.insert(target.to_lowercase())) {
            naming::check_target(target, *place, report);
            if let Some(line) = targets.insert(target.to_lowercase(), node.place.line) {
                let message = format!("two sources have the target {}: the first is in line {line}", shortened(target, 60));
                report.error(here(*place), message, "give one of them another target".to_owned());
            }
        }
        let is_file = described.is_some_and(|kind| kind.is_files);
        let has_config = |key: &str| described.is_some_and(|kind| kind.config_keys.contains(&key));
        let default = if has_config("sample_rows") { defaults::ON_BAD_ROW_FILE } else { defaults::ON_BAD_ROW_DATABASE };
        let mut config = take(&mut node, "etl_config").unwrap_or_else(|| Node::map(Origin::BuiltIn));
        let is_skipped = |key: &str| RUN_KEYS.contains(&key) || (["flatten_depth", "sample_rows"].contains(&key) && !has_config(key));
        if config.get("on_bad_row").is_none() {
            set(&mut config, "on_bad_row", Node::scalar(Origin::BuiltIn, default, ScalarKind::Text));
        }
        set(&mut node, "etl_config", filled(config, &keys::ETL_CONFIG, |key| !is_skipped(key)));
        let is_default = |key: &str| key == "allow_empty" || described.is_some_and(|kind| kind.has_key(key));
        let node = filled(node, &keys::SOURCE, is_default);
        let options = options::build(&node, target, prefix, report);
        if !is_file && options.mode == Mode::Incremental && options.timestamp_column.is_none() && options.primary_key.is_empty() {
            let place = node.get("etl_config").and_then(|config| config.get("mode")).map_or(node.place, |mode| mode.place);
            let hint = "add etl_config.timestamp_column (a column that only grows, such as updated_at or id), or primary_key".to_owned();
            report.error(place, format!("source {name}: incremental without a cursor column or a key"), hint);
        }
        let columns = columns::rules(&node, &options.primary_key, settings, report);
        let connection = settings::text(&node, "connection").map(str::to_owned);
        sources.push((DataSource { name, connection, kind, columns, options }, node));
    }
    sources
}

/// Returns the keys of which a source has exactly one: those of every kind.
pub fn places() -> impl Iterator<Item = &'static str> {
    // Several kinds have tables.
    let mut seen = HashSet::new();
    kinds::SOURCES.iter().flat_map(|kind| kind.places.iter().copied()).filter(move |key| seen.insert(*key))
}

fn kind(node: &Node, settings: &Settings, secrets: Secrets, report: &mut Report<'_>) -> Option<SourceKind> {
    let given: Vec<&Entry> = places().filter_map(|key| node.entry(key)).collect();
    let connection = match node.get("connection").and_then(|node| Some((node.as_scalar()?.text.as_str(), node.place))) {
        None if node.get("connection").is_some() => return None,
        None => None,
        Some((name, place)) => Some(connections::find(name, place, settings, report)?),
    };
    let entry = match given.as_slice() {
        [] => {
            let of_connection = connection.as_ref().and_then(|connection| kinds::source(connection.kind));
            let hint = match of_connection {
                Some(kind) => format!("add {}", kind.places.join(" or ")),
                None => "add path: a CSV file, or connection and table".to_owned(),
            };
            report.error(node.place, "a source without data: no path, table, custom_sql or endpoint", hint);
            return None;
        }
        [entry] => *entry,
        [first, second, ..] => {
            report.error(
                second.place,
                format!("{} and {} together", first.key, second.key),
                "keep one of them, or make two sources".to_owned(),
            );
            return None;
        }
    };
    let kind = source_type(entry, connection.as_ref(), report)?;
    for entry in node.entries().iter().filter(|entry| !entry.node.is_null() && !kind.has_key(&entry.key)) {
        if let Some(other) = kinds::SOURCES.iter().find(|other| other.has_key(&entry.key)) {
            let who = if other.nouns == kind.nouns { format!("{} sources", other.title) } else { other.nouns.to_owned() };
            report.error(entry.place, format!("{} is what only {who} have", entry.key), "remove it".to_owned());
        }
    }
    let given = Said { source: Some(node), connection: connection.as_ref().map(|connection| connection.node), settings, secrets };
    match (kind.plan)(&given) {
        Ok(plan) => Some(plan),
        Err(wrong) => {
            let place = node.get(wrong.key).map_or(entry.node.place, |node| node.place);
            report.error(place, wrong.message, wrong.hint.map(str::to_owned));
            None
        }
    }
}

/// Returns the kind of source that a place and a connection make together.
fn source_type(entry: &Entry, connection: Option<&Connection<'_>>, report: &mut Report<'_>) -> Option<&'static SourceType> {
    let has_place = |kind: &SourceType| kind.places.contains(&entry.key.as_str());
    let Some(Connection { name, kind: type_name, .. }) = connection else {
        let kind = kinds::SOURCES.iter().copied().find(|kind| has_place(kind) && !kind.needs_connection);
        if kind.is_none() {
            let hint = "add connection: one that etlsched.yaml declares".to_owned();
            report.error(entry.place, format!("{} without a connection", entry.key), hint);
        }
        return kind;
    };
    let kind = kinds::source(type_name);
    if kind.is_some_and(has_place) {
        return kind;
    }
    let others: Vec<&str> = kinds::SOURCES.iter().filter(|kind| has_place(kind)).map(|kind| kind.name).collect();
    let places = kind.map(|kind| kind.places.join(" or ")).unwrap_or_default();
    let hint = format!("say {places}, or name a connection of type {}", others.join(" or "));
    report.error(entry.place, format!("{} beside connection {name}, which is of type {type_name}", entry.key), hint);
    None
}
