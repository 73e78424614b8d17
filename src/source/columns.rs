//! Names of columns and what the job says about them: select, exclude, rename, hash, declared types.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::batch::ColumnType;
use crate::plan::ColumnRules;
use crate::secret::Secret;
use crate::source::SourceError;
use crate::text;

/// A column that is loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OutputColumn {
    /// Its name in the source.
    pub source: String,
    /// Its name in the target.
    pub name: String,
    /// Its declared type.
    pub declared: Option<ColumnType>,
    /// Whether its values are replaced by their HMAC.
    pub is_hashed: bool,
}

/// Returns names made whole: trimmed, `column_N` for empty ones, `_2` behind one that is there already (in any case), and what was changed.
pub(crate) fn whole_names(given: &[String]) -> (Vec<String>, Vec<String>) {
    let mut names: Vec<String> = Vec::with_capacity(given.len());
    let mut taken: std::collections::HashSet<String> = given.iter().map(|name| name.trim().to_lowercase()).collect();
    let mut seen = std::collections::HashSet::new();
    let mut notes = Vec::new();
    for (index, given) in given.iter().enumerate() {
        let trimmed = given.trim();
        let base = if trimmed.is_empty() { format!("column_{}", index + 1) } else { trimmed.to_owned() };
        let mut name = base.clone();
        let mut number = 2;
        let is_new = |name: &str, taken: &std::collections::HashSet<String>, seen: &std::collections::HashSet<String>| {
            let lower = name.to_lowercase();
            !seen.contains(&lower) && (name == trimmed || !taken.contains(&lower))
        };
        while !is_new(&name, &taken, &seen) {
            name = format!("{base}_{number}");
            number += 1;
        }
        if name != trimmed {
            notes.push(format!("column {} is named {given:?} in the file and {name} here", index + 1));
        }
        taken.insert(name.to_lowercase());
        seen.insert(name.to_lowercase());
        names.push(name);
    }
    (names, notes)
}

/// Returns the columns to load of those that the source has.
///
/// # Errors
/// Rules that name a column that isn't there, two columns of one name, `hash` without a key.
pub(crate) fn layout(
    source: &str,
    names: &[String],
    rules: &ColumnRules,
    hash_key: Option<&Secret>,
) -> Result<Vec<OutputColumn>, SourceError> {
    let ColumnRules { select, exclude, types, rename, hash } = rules;
    let used = [
        ("select", select.iter().collect::<Vec<_>>()),
        ("exclude", exclude.iter().collect()),
        ("types", types.iter().map(|(name, _)| name).collect()),
        ("rename", rename.iter().map(|(name, _)| name).collect()),
        ("hash", hash.iter().collect()),
    ];
    for (rule, used) in used {
        if let Some(unknown) = used.into_iter().find(|used| !names.contains(used)) {
            return Err(unknown_column(source, rule, unknown, names));
        }
    }
    if !hash.is_empty() && hash_key.is_none() {
        let error = SourceError::new("invalid", format!("source {source}: columns.hash needs a key"));
        return Err(error.hint("set hash_key: \"${HASH_KEY}\" in etlsched.yaml"));
    }
    let chosen = if select.is_empty() { names } else { select };
    let columns: Vec<OutputColumn> = chosen
        .iter()
        .filter(|name| !exclude.contains(name))
        .map(|name| OutputColumn {
            source: name.clone(),
            name: rename.iter().find(|(from, _)| from == name).map_or_else(|| name.clone(), |(_, to)| to.clone()),
            declared: types.iter().find(|(declared, _)| declared == name).map(|(_, column_type)| *column_type),
            is_hashed: hash.contains(name),
        })
        .collect();
    let mut seen = std::collections::HashSet::new();
    if let Some(twice) = columns.iter().find(|column| !seen.insert(column.name.to_lowercase())) {
        return Err(SourceError::new("invalid", format!("source {source}: two columns are named {}", twice.name))
            .hint("check columns.rename and columns.select"));
    }
    if columns.is_empty() {
        return Err(SourceError::new("invalid", format!("source {source}: no column is left to load")).hint("check columns.exclude"));
    }
    Ok(columns)
}

fn unknown_column(source: &str, rule: &str, unknown: &str, names: &[String]) -> SourceError {
    let error =
        SourceError::new("unknown_column", format!("source {source}: columns.{rule} names {unknown}, which the source doesn't have"));
    match text::nearest(unknown, names.iter().map(String::as_str)) {
        Some(near) => error.hint(format!("did you mean {near}?")),
        None => error.hint(format!("its columns are {}", text::shortened(&names.join(", "), 500))),
    }
}

/// Returns a primary key under the target's names; none where one of its columns isn't loaded.
pub(crate) fn loaded_key(rules: &ColumnRules, key: &[String]) -> Vec<String> {
    let is_loaded = |name: &String| (rules.select.is_empty() || rules.select.contains(name)) && !rules.exclude.contains(name);
    if !key.iter().all(is_loaded) {
        return Vec::new();
    }
    let renamed = |name: &String| rules.rename.iter().find(|(from, _)| from == name).map_or(name, |(_, to)| to).clone();
    key.iter().map(renamed).collect()
}

/// Replaces values by the hex HMAC-SHA256 (RFC 2104) of their text.
pub(crate) struct Hasher(Hmac<Sha256>);

impl std::fmt::Debug for Hasher {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Hasher")
    }
}

impl Hasher {
    /// Takes the key.
    pub fn new(key: &Secret) -> Self {
        Self(Hmac::new_from_slice(key.expose().as_bytes()).expect("HMAC takes keys of any length"))
    }

    /// Returns 64 hex digits.
    pub fn hash(&self, text: &[u8]) -> String {
        let mut mac = self.0.clone();
        mac.update(text);
        mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn empty_and_equal_names_are_made_whole() {
        let (names, notes) = whole_names(&owned(&["id", "", " Name ", "name", "ID", "name_2"]));
        assert_eq!(names, owned(&["id", "column_2", "Name", "name_3", "ID_2", "name_2"]));
        assert_eq!(notes.len(), 3);
    }

    #[test]
    fn rules_choose_rename_and_type() {
        let rules = ColumnRules {
            select: owned(&["b", "a"]),
            types: vec![("a".to_owned(), ColumnType::Int32)],
            rename: vec![("b".to_owned(), "bee".to_owned())],
            ..ColumnRules::default()
        };
        let columns = layout("s", &owned(&["a", "b", "c"]), &rules, None).unwrap();
        assert_eq!(columns.iter().map(|column| column.name.as_str()).collect::<Vec<_>>(), ["bee", "a"]);
        assert_eq!(columns[1].declared, Some(ColumnType::Int32));
    }

    #[test]
    fn unknown_columns_and_a_missing_key_are_refused() {
        let names = owned(&["customer", "total"]);
        let rules = ColumnRules { exclude: owned(&["custmer"]), ..ColumnRules::default() };
        let error = layout("s", &names, &rules, None).unwrap_err();
        assert_eq!(error.to_string(), "source s: columns.exclude names custmer, which the source doesn't have");
        assert_eq!(error.hint.as_deref(), Some("did you mean customer?"));
        let rules = ColumnRules { hash: owned(&["total"]), ..ColumnRules::default() };
        assert!(layout("s", &names, &rules, None).is_err());
        let rules = ColumnRules { rename: vec![("total".to_owned(), "Customer".to_owned())], ..ColumnRules::default() };
        assert!(layout("s", &names, &rules, None).is_err());
    }

    #[test]
    fn the_hmac_is_that_of_rfc_4231() {
        let hasher = Hasher::new(&Secret::new("Jefe"));
        assert_eq!(hasher.hash(b"what do ya want for nothing?"), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    }
}
