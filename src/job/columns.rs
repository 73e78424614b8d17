//! `columns` of a source as [`ColumnRules`], its combinations checked.

use std::collections::{HashMap, HashSet};

use crate::batch::ColumnType;
use crate::plan::ColumnRules;
use crate::text::shortened;

use super::positions::Node;
use super::report::Report;
use super::settings::{Settings, text_map, texts};

/// Builds the rules of a source; those that contradict each other are reported.
pub fn rules(node: &Node, primary_key: &[String], settings: &Settings, report: &mut Report<'_>) -> ColumnRules {
    let Some(columns) = node.get("columns") else { return ColumnRules::default() };
    let list = |key: &str| texts(columns, key).unwrap_or_default();
    let (select, exclude, hash) = (list("select"), list("exclude"), list("hash"));
    let rename = text_map(columns, "rename");
    let place = |key: &str| columns.get(key).map_or(columns.place, |node| node.place);
    let excluded: HashSet<&str> = exclude.iter().map(String::as_str).collect();
    for column in select.iter().filter(|column| excluded.contains(column.as_str())) {
        report.error(place("exclude"), format!("column {} is selected and excluded", shortened(column, 60)), "keep one of them".to_owned());
    }
    let declared = columns.get("types").map(Node::entries).unwrap_or_default();
    let used =
        declared.iter().map(|entry| (entry.key.as_str(), entry.place)).chain(hash.iter().map(|column| (column.as_str(), place("hash"))));
    let keyed = primary_key.iter().map(|column| (column.as_str(), node.get("primary_key").map_or(node.place, |node| node.place)));
    for (column, place) in used.chain(keyed) {
        if excluded.contains(column) {
            report.error(
                place,
                format!("column {} is excluded, and needed here", shortened(column, 60)),
                "take it out of columns.exclude".to_owned(),
            );
        }
    }
    let mut names = HashMap::new();
    for (from, to) in &rename {
        if let Some(other) = names.insert(to.to_lowercase(), from) {
            let message = format!("columns {} and {} are both renamed to {}", shortened(other, 60), shortened(from, 60), shortened(to, 60));
            report.error(place("rename"), message, "choose another name for one of them".to_owned());
        }
    }
    if !hash.is_empty() && settings.tree.get("hash_key").is_none() {
        report.error(place("hash"), "columns.hash without a hash_key", "add hash_key: \"${HASH_KEY}\" to etlsched.yaml".to_owned());
    }
    let types = text_map(columns, "types");
    let types = types.into_iter().filter_map(|(column, text)| Some((column, ColumnType::parse(&text).ok()?))).collect();
    ColumnRules { select, exclude, types, rename, hash }
}
