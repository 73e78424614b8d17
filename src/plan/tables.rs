//! Which tables a source of several reads: names and globs against a catalogue, the same for every engine. Pure.
//!
//! `*` stands for any signs and `?` for one, in a table's name and in its schema's; double quotes hold dots and these signs together as
//! they are. A name or glob without a schema finds what the engine finds without one. Case counts.

use crate::text::{nearest, printable, shortened};

/// The most tables of a source.
pub const TABLES_MAX: usize = 10_000;

/// Tables of our own, in any case.
const OWN: &str = "_etlsched_";

/// A table or view as a catalogue lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its schema; empty where the engine has none.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// Whether its name alone finds it.
    pub is_in_path: bool,
    /// Whether only its own name finds it, no glob: a table of the system, or one whose rows another one shows.
    pub is_by_name_only: bool,
}

impl Listed {
    /// Whether globs find it, and hints name it.
    fn is_offered(&self) -> bool {
        let is_own = self.name.get(..OWN.len()).is_some_and(|start| start.eq_ignore_ascii_case(OWN));
        !self.is_by_name_only && !is_own
    }

    /// Returns its name with its schema as a job would say it.
    pub fn written(&self) -> String {
        let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
        let part = |name: &str| {
            let is_plain = !name.is_empty() && !name.contains(['.', '"', '*', '?']);
            if is_plain { name.to_owned() } else { quoted(name) }
        };
        if self.schema.is_empty() { part(&self.name) } else { format!("{}.{}", part(&self.schema), part(&self.name)) }
    }
}

/// A name or glob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    schema: Option<Vec<Sign>>,
    name: Vec<Sign>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sign {
    Is(char),
    /// `?`
    One,
    /// `*`
    Any,
}

impl Pattern {
    /// Reads a name or glob.
    ///
    /// # Errors
    /// What is wrong with it: a lower-case fragment.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (schema, name) = signs(text);
        if name.is_empty() || schema.as_ref().is_some_and(Vec::is_empty) {
            return Err(format!("\"{}\" can't be a table: write table or schema.table", printable(&shortened(text, 60))));
        }
        Ok(Self { text: text.to_owned(), schema, name })
    }

    /// Returns the name of the one table that it can find; `None` of a glob.
    pub fn table(&self) -> Option<String> {
        let is_glob = |signs: &[Sign]| signs.iter().any(|sign| !matches!(sign, Sign::Is(_)));
        let has_glob = is_glob(&self.name) || self.schema.as_deref().is_some_and(is_glob);
        (!has_glob).then(|| literal(&self.name))
    }

    fn finds(&self, listed: &Listed) -> bool {
        let is_there = match &self.schema {
            Some(schema) => is_match(schema, &listed.schema),
            None => listed.is_in_path,
        };
        is_there && is_match(&self.name, &listed.name) && (self.table().is_some() || listed.is_offered())
    }
}

/// Parts `schema.table` as it is written; quotes hold dots together.
pub fn parts(text: &str) -> (Option<String>, String) {
    let (schema, name) = signs(text);
    (schema.as_deref().map(literal), literal(&name))
}

fn literal(signs: &[Sign]) -> String {
    let literal = |sign: &Sign| match sign {
        Sign::Is(sign) => *sign,
        Sign::One => '?',
        Sign::Any => '*',
    };
    signs.iter().map(literal).collect()
}

fn signs(text: &str) -> (Option<Vec<Sign>>, Vec<Sign>) {
    let mut schema = None;
    let mut last = Vec::new();
    let mut is_quoted = false;
    let mut rest = text.chars().peekable();
    while let Some(sign) = rest.next() {
        match sign {
            '"' if is_quoted && rest.peek() == Some(&'"') => {
                rest.next();
                last.push(Sign::Is('"'));
            }
            '"' if is_quoted || last.is_empty() => is_quoted = !is_quoted,
            '.' if !is_quoted && schema.is_none() => schema = Some(std::mem::take(&mut last)),
            '*' if !is_quoted => last.push(Sign::Any),
            '?' if !is_quoted => last.push(Sign::One),
            _ => last.push(Sign::Is(sign)),
        }
    }
    (schema, last)
}

/// Whether a name is as the signs say, in time proportional to both lengths at most.
fn is_match(signs: &[Sign], name: &str) -> bool {
    let name: Vec<char> = name.chars().collect();
    let (mut sign, mut at) = (0, 0);
    // Where the last `*` stands, and how far it reaches.
    let mut any: Option<(usize, usize)> = None;
    while at < name.len() {
        match signs.get(sign) {
            Some(Sign::Any) => {
                any = Some((sign, at));
                sign += 1;
            }
            Some(Sign::One) => (sign, at) = (sign + 1, at + 1),
            Some(Sign::Is(is)) if *is == name[at] => (sign, at) = (sign + 1, at + 1),
            _ => {
                let Some((star, reach)) = any else { return false };
                any = Some((star, reach + 1));
                (sign, at) = (star + 1, reach + 1);
            }
        }
    }
    signs[sign..].iter().all(|sign| *sign == Sign::Any)
}

/// Why a source's names and globs don't make tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unmatched {
    /// One is neither name nor glob.
    Malformed(String),
    /// A name finds nothing.
    NoTable {
        /// As it is written.
        table: String,
        /// The one that was probably meant.
        near: Option<String>,
        /// What there is.
        tables: Vec<String>,
    },
    /// A glob finds nothing.
    NoMatch {
        /// As it is written.
        glob: String,
        /// What there is.
        tables: Vec<String>,
    },
    /// Two tables would have one target.
    OneTarget(String, String),
    /// More than [`TABLES_MAX`].
    TooMany(usize),
}

impl Unmatched {
    /// Returns a stable word for scripts, what is wrong (a lower-case fragment), and what to do; `place` is the database as people know it.
    pub fn told(&self, place: &str) -> (&'static str, String, String) {
        let list = |tables: &[String]| match tables {
            [] => "the login sees no tables in this database: check database and user of the connection".to_owned(),
            _ => format!("its tables are {}", shortened(&tables.join(", "), 500)),
        };
        let (code, message, hint) = match self {
            Self::Malformed(message) => ("invalid", message.clone(), "correct it under tables".to_owned()),
            Self::NoTable { table, near, tables } => {
                let hint = near.as_ref().map_or_else(|| list(tables), |near| format!("did you mean {near}?"));
                ("not_found", format!("there is no table {table} in {place}"), hint)
            }
            Self::NoMatch { glob, tables } => ("not_found", format!("no table matches {glob} in {place}"), list(tables)),
            Self::OneTarget(one, other) => (
                "invalid",
                format!("{one} and {other} would be loaded into one table"),
                "make one of them a source of its own, with another target".to_owned(),
            ),
            Self::TooMany(number) => (
                "invalid",
                format!("{number} tables match; a source has at most {TABLES_MAX}"),
                "part them into several sources".to_owned(),
            ),
        };
        (code, printable(&message).into_owned(), printable(&hint).into_owned())
    }
}

/// Returns the tables that some names and globs find: in the order in which these are written, those of a glob by schema and name, each
/// table once.
///
/// # Errors
/// One that finds nothing, two tables whose names differ in case or schema only.
pub fn matching<'a>(patterns: &[String], listed: &'a [Listed]) -> Result<Vec<&'a Listed>, Unmatched> {
    let mut sorted: Vec<&Listed> = listed.iter().collect();
    sorted.sort_by_key(|table| (&table.schema, &table.name));
    let mut found: Vec<&Listed> = Vec::new();
    let mut seen = std::collections::HashSet::new();
    for text in patterns {
        let pattern = Pattern::parse(text).map_err(Unmatched::Malformed)?;
        let mut own = sorted.iter().filter(|table| pattern.finds(table)).peekable();
        if own.peek().is_none() {
            return Err(unmatched(&pattern, &sorted));
        }
        found.extend(own.filter(|table| seen.insert((&table.schema, &table.name))));
    }
    let mut targets: std::collections::HashMap<String, &Listed> = std::collections::HashMap::new();
    for table in &found {
        if let Some(other) = targets.insert(table.name.to_lowercase(), table) {
            return Err(Unmatched::OneTarget(other.written(), table.written()));
        }
    }
    if found.len() > TABLES_MAX { Err(Unmatched::TooMany(found.len())) } else { Ok(found) }
}

fn unmatched(pattern: &Pattern, sorted: &[&Listed]) -> Unmatched {
    let tables = || sorted.iter().filter(|table| table.is_offered()).map(|table| table.written()).collect();
    match pattern.table() {
        Some(name) => {
            let schema = pattern.schema.as_deref().map(literal);
            let near = near(schema.as_deref(), &name, sorted.iter().copied()).map(Listed::written);
            Unmatched::NoTable { table: pattern.text.clone(), near, tables: tables() }
        }
        None => Unmatched::NoMatch { glob: pattern.text.clone(), tables: tables() },
    }
}

/// Returns why there is no such table: what was probably meant, or what there is.
pub fn no_table(text: &str, listed: &[Listed]) -> Unmatched {
    let (schema, name) = parts(text);
    let near = near(schema.as_deref(), &name, listed.iter()).map(Listed::written);
    let tables = listed.iter().filter(|table| table.is_offered()).map(Listed::written).collect();
    Unmatched::NoTable { table: text.to_owned(), near, tables }
}

/// Returns the table that was probably meant: the same name in another case or schema, else the nearest name, best in the same schema.
fn near<'a>(schema: Option<&str>, name: &str, listed: impl Iterator<Item = &'a Listed>) -> Option<&'a Listed> {
    let tables: Vec<&Listed> = listed.filter(|table| table.is_offered()).collect();
    let own: Vec<&Listed> = tables.iter().copied().filter(|table| schema.is_none_or(|schema| schema == table.schema)).collect();
    let is_same = |table: &&&Listed| table.name.to_lowercase() == name.to_lowercase();
    let closest = |tables: &[&'a Listed]| {
        let closest = nearest(name, tables.iter().map(|table| table.name.as_str()))?;
        tables.iter().find(|table| table.name == closest).copied()
    };
    let same = own.iter().find(is_same).or_else(|| tables.iter().find(is_same)).copied();
    same.or_else(|| closest(&own)).or_else(|| closest(&tables))
}

/// Returns why a name can't be a target, and what to do; `None` where it can.
pub fn target_fault(target: &str) -> Option<(String, &'static str)> {
    let lower = target.to_lowercase();
    let shown = shortened(target, 60);
    if lower.starts_with(OWN) || lower.starts_with("sqlite_") {
        let hint = "names that begin with _etlsched_ and sqlite_ are kept: choose another target";
        Some((format!("{shown} can't be a target"), hint))
    } else if target.trim().is_empty() || target.chars().any(crate::text::is_steering) || target.len() > 128 {
        Some((format!("\"{}\" can't be a target", printable(&shown)), "a target has 1 to 128 printable characters"))
    } else {
        None
    }
}

#[cfg(test)]
#[path = "tables_tests.rs"]
mod tests;
