//! A table as it stands in the catalogue: its columns, and whether another table can take its place.

use super::session::{Outcome, Row, Session, failed, refusal};
use super::types::{Dialect, quoted};
use crate::batch::Column;
use crate::destination::evolution::LiveColumn;

/// A table that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LiveTable {
    /// Its name as the catalogue has it.
    pub name: String,
    pub columns: Vec<LiveColumn>,
    /// The statement that makes it, without what each insert changes.
    pub definition: String,
    engine: String,
    kind: String,
    pub comment: String,
}

const COLUMNS: &str = "SELECT column_name, column_type, collation_name, extra FROM information_schema.columns \
     WHERE table_schema = ? AND table_name = ? ORDER BY ordinal_position";

/// MariaDB keeps json as text with a check.
const JSON_CHECKS: &str = "SELECT constraint_name, check_clause FROM information_schema.check_constraints \
     WHERE constraint_schema = ? AND table_name = ?";

/// Triggers of the table, and foreign keys of it and towards it.
const TIED: &str = "SELECT (SELECT count(*) FROM information_schema.triggers WHERE event_object_schema = ? AND event_object_table = ?) + \
     (SELECT count(*) FROM information_schema.referential_constraints WHERE (constraint_schema = ? AND table_name = ?) \
     OR (unique_constraint_schema = ? AND referenced_table_name = ?))";

/// Whether the account is shown the triggers of a table: without the privilege the catalogue has none, and a RENAconcat('''', replace(current_user(), '@', '''@'''), '''') would lose them.
const SEES_TRIGGERS: &str = "SELECT (SELECT count(*) FROM information_schema.user_privileges WHERE privilege_type = 'TRIGGER' \
     AND grantee = concat('''', replace(current_user(), '@', '''@'''), '''')) + (SELECT count(*) FROM information_schema.schema_privileges WHERE privilege_type = 'TRIGGER' \
     AND grantee = concat('''', replace(current_user(), '@', '''@'''), '''') AND ? LIKE table_schema) + (SELECT count(*) FROM information_schema.table_privileges \
     WHERE privilege_type = 'TRIGGER' AND grantee = concat('''', replace(current_user(), '@', '''@'''), '''') AND table_schema = ? AND table_name = ?)";

/// The index that a key gets where it has none.
pub(super) const KEY_INDEX: &str = "_etlsched_key";

/// The longest comment beside which a mark of ours has room (2048 characters in all).
const COMMENT_CHARACTERS_MAX: usize = 1900;

impl LiveTable {
    /// Reads the table of that name; `None` where there is none. A name that differs in its case alone is the same table, as it is
    /// everywhere in a job; an exact one comes first.
    ///
    /// # Errors
    /// Something else of that name: a view, a sequence.
    pub(super) fn read(session: &mut Session, target: &str) -> Outcome<Option<Self>> {
        let what = format!("reading table {target}");
        let Some(name) = spelling(session, target)? else { return Ok(None) };
        let schema = session.schema.clone();
        let parameters = [Some(schema.as_str()), Some(name.as_str())];
        let sql = "SELECT table_type, engine, table_comment FROM information_schema.tables WHERE table_schema = ? AND table_name = ?";
        let found = session.rows(sql, &parameters).map_err(failed(&what))?;
        let Some(row) = found.first() else { return Ok(None) };
        let (kind, engine, comment) = (cell(row, 0), cell(row, 1), cell(row, 2));
        if !matches!(kind.as_str(), "BASE TABLE" | "SYSTEM VERSIONED") {
            let message = format!("{name} is a {}, not a table", kind.to_lowercase());
            return Err(refusal("target_not_a_table", message, "give the source another `target`"));
        }
        let columns = session.rows(COLUMNS, &parameters).map_err(failed(&what))?;
        let mut columns: Vec<LiveColumn> = columns.iter().map(column).collect();
        if session.dialect == Dialect::MariaDb && columns.iter().any(|column| column.declared == "longtext COLLATE utf8mb4_bin") {
            let checks = session.rows(JSON_CHECKS, &parameters).map_err(failed(&what))?;
            for column in columns.iter_mut().filter(|column| column.declared == "longtext COLLATE utf8mb4_bin") {
                let clause = format!("json_valid({})", quoted(&column.name));
                if checks.iter().any(|check| cell(check, 0) == column.name && cell(check, 1) == clause) {
                    column.declared = "json".to_owned();
                }
            }
        }
        let shown = session.query(&format!("SHOW CREATE TABLE {}", session.table(&name))).map_err(failed(&what))?;
        let definition = shown.first().map(|row| without_counter(&cell(row, 1))).unwrap_or_default();
        Ok(Some(Self { name, columns, definition, engine, kind, comment }))
    }

    pub(super) fn column(&self, name: &str) -> Option<&LiveColumn> {
        self.columns.iter().find(|column| column.name.eq_ignore_ascii_case(name))
    }

    /// Refuses a table whose rows don't go in and out by transactions.
    pub(super) fn refuse_engine(&self) -> Outcome<()> {
        if self.engine.eq_ignore_ascii_case("InnoDB") {
            return Ok(());
        }
        let message =
            format!("table {} is kept by {}, which has no transactions: a load that fails would leave half of it", self.name, self.engine);
        Err(refusal("not_transactional", message, format!("change it: ALTER TABLE {} ENGINE = InnoDB", quoted(&self.name))))
    }

    /// Returns how a column of the target is declared: as it is there while its type stays, else by its type.
    pub(super) fn declared(live: Option<&Self>, dialect: Dialect, column: &Column) -> String {
        let fresh = dialect.declaration(column.column_type);
        match live.and_then(|live| live.column(&column.name)) {
            Some(there) => match dialect.of_declaration(&there.declared) {
                Some(own) if dialect.declaration(own) != fresh => fresh,
                _ => there.declared.clone(),
            },
            None => fresh,
        }
    }

    /// Whether another table, made like this one, may take its place: no triggers, no foreign keys, nothing that a copy of the
    /// definition wouldn't have.
    pub(super) fn is_plain(&self, session: &mut Session) -> Outcome<bool> {
        let text = self.definition.to_uppercase();
        let is_more =
            ["PARTITION BY", "DATA DIRECTORY", "INDEX DIRECTORY", "TABLESPACE", "AUTO_INCREMENT"].iter().any(|word| text.contains(word));
        if is_more || self.kind != "BASE TABLE" || self.comment.chars().count() > COMMENT_CHARACTERS_MAX {
            return Ok(false);
        }
        let schema = session.schema.clone();
        let parameters: Vec<Option<&str>> = [schema.as_str(), self.name.as_str()].into_iter().cycle().take(6).map(Some).collect();
        let found = session.rows(TIED, &parameters).map_err(failed(format_args!("looking at table {}", self.name)))?;
        Ok(found.first().is_some_and(|row| cell(row, 0) == "0") && self.sees_triggers(session)?)
    }

    /// Whether the table may have triggers: it has one, or the account isn't shown them.
    pub(super) fn may_have_triggers(&self, session: &mut Session) -> Outcome<bool> {
        let schema = session.schema.clone();
        let sql = "SELECT count(*) FROM information_schema.triggers WHERE event_object_schema = ? AND event_object_table = ?";
        let found =
            session.rows(sql, &[Some(&schema), Some(&self.name)]).map_err(failed(format_args!("looking at table {}", self.name)))?;
        Ok(found.first().is_none_or(|row| cell(row, 0) != "0") || !self.sees_triggers(session)?)
    }

    fn sees_triggers(&self, session: &mut Session) -> Outcome<bool> {
        let schema = session.schema.clone();
        let found = session.rows(SEES_TRIGGERS, &[Some(&schema), Some(&schema), Some(&self.name)]);
        let found = found.map_err(failed(format_args!("reading the privileges on table {}", self.name)))?;
        Ok(found.first().is_some_and(|row| cell(row, 0) != "0"))
    }

    /// Whether the table has the index that we put on a key.
    pub(super) fn has_key_index(&self) -> bool {
        self.definition.contains(&format!("UNIQUE KEY {} ", quoted(KEY_INDEX)))
    }

    /// Whether the table has a unique index that isn't ours.
    pub(super) fn has_unique_index(&self) -> bool {
        let own = format!("UNIQUE KEY {} ", quoted(KEY_INDEX));
        let is_unique = |line: &str| line.starts_with("PRIMARY KEY") || (line.starts_with("UNIQUE KEY") && !line.starts_with(&own));
        self.definition.lines().map(str::trim_start).any(is_unique)
    }

    /// Whether a key or an index of the table has a column.
    pub(super) fn is_indexed(&self, column: &str) -> bool {
        let name = quoted(column);
        self.definition.lines().map(str::trim_start).any(|line| !line.starts_with('`') && line.contains("KEY ") && line.contains(&name))
    }

    /// Returns what a column has beside its type: default, NOT NULL, comment, checks.
    pub(super) fn attributes(&self, column: &str) -> String {
        let name = quoted(column);
        let line = self.definition.lines().map(str::trim_start).find_map(|line| line.strip_prefix(&name)?.strip_prefix(' '));
        let rest = after_type(line.unwrap_or_default().trim_end_matches(','));
        // What is json no more needs no check for it.
        rest.replace(&format!("CHECK (json_valid({name}))"), "").trim().to_owned()
    }
}

/// Returns the name of a table as the catalogue spells it.
fn spelling(session: &mut Session, target: &str) -> Outcome<Option<String>> {
    let schema = session.schema.clone();
    let what = format!("looking for table {target}");
    let sql = "SELECT table_name FROM information_schema.tables WHERE table_schema = ? AND table_name = ?";
    let found = session.rows(sql, &[Some(&schema), Some(target)]).map_err(failed(&what))?;
    let mut names: Vec<String> = found.iter().map(|row| cell(row, 0)).collect();
    if !names.iter().any(|name| name == target) {
        names = names_in(session, "")?;
    }
    let lower = target.to_lowercase();
    let exact = names.iter().position(|name| name == target).or_else(|| names.iter().position(|name| name.to_lowercase() == lower));
    Ok(exact.map(|place| names.swap_remove(place)))
}

/// Returns the names of the database's tables that begin so.
pub(super) fn names_in(session: &mut Session, prefix: &str) -> Outcome<Vec<String>> {
    let schema = session.schema.clone();
    let sql = "SELECT table_name FROM information_schema.tables WHERE table_schema = ?";
    let rows = session.rows(sql, &[Some(&schema)]).map_err(failed("listing tables"))?;
    let mut names: Vec<String> = rows.iter().map(|row| cell(row, 0)).filter(|name| name.starts_with(prefix)).collect();
    names.sort();
    Ok(names)
}

pub(super) fn cell(row: &Row, place: usize) -> String {
    row.get(place).cloned().flatten().unwrap_or_default()
}

fn column(row: &Row) -> LiveColumn {
    let (declared, extra) = (without_width(&cell(row, 1)), cell(row, 3).to_uppercase());
    let declared = match row.get(2).cloned().flatten() {
        Some(collation) => format!("{declared} COLLATE {collation}"),
        None => declared,
    };
    let is_generated = ["VIRTUAL GENERATED", "STORED GENERATED", "PERSISTENT", "VIRTUAL"].iter().any(|word| extra.starts_with(word));
    LiveColumn { name: cell(row, 0), declared, is_generated }
}

/// Whole numbers have a display width in MariaDB and older servers, which says nothing of their values; that of tinyint(1) does.
fn without_width(declared: &str) -> String {
    let (name, rest) = declared.split_once('(').unwrap_or((declared, ""));
    if !matches!(name, "tinyint" | "smallint" | "mediumint" | "int" | "bigint") || declared == "tinyint(1)" {
        return declared.to_owned();
    }
    format!("{name}{}", rest.split_once(')').map_or("", |(_, rest)| rest))
}

/// Returns a definition without the counter of its AUTO_INCREMENT and its comment, which a swap's mark changes.
fn without_counter(definition: &str) -> String {
    match definition.find(" AUTO_INCREMENT=") {
        Some(start) => {
            let rest = definition[start + " AUTO_INCREMENT=".len()..].trim_start_matches(|digit: char| digit.is_ascii_digit());
            format!("{}{rest}", &definition[..start])
        }
        None => definition.to_owned(),
    }
}

/// Skips a type as SHOW CREATE TABLE writes it.
fn after_type(text: &str) -> &str {
    let mut rest = text.trim_start_matches(|letter: char| letter.is_ascii_alphanumeric() || letter == '_');
    if rest.starts_with('(') {
        // Of the types that are ever changed none has a text in its parentheses.
        rest = rest.split_once(')').map_or("", |(_, rest)| rest);
    }
    loop {
        let trimmed = rest.trim_start();
        let skipped = ["unsigned", "zerofill", "CHARACTER SET", "COLLATE"].iter().find_map(|word| {
            let after = trimmed.strip_prefix(word)?;
            let is_name = word.chars().all(char::is_uppercase) || word.contains(' ');
            Some(if is_name { after.trim_start().split_once(' ').map_or("", |(_, rest)| rest) } else { after })
        });
        match skipped {
            Some(after) => rest = after,
            None => return trimmed,
        }
    }
}

/// Returns the SQL that makes a table of declared columns; `name` is SQL.
pub(super) fn create_sql<'a>(dialect: Dialect, name: &str, columns: impl IntoIterator<Item = (&'a str, String)>) -> String {
    let list: Vec<String> = columns.into_iter().map(|(name, declared)| format!("{} {declared}", quoted(name))).collect();
    format!(
        "CREATE TABLE {name} ({}) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARSET = utf8mb4 COLLATE = {}",
        list.join(", "),
        dialect.collation()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_read_without_what_says_nothing_of_values() {
        assert_eq!(without_width("bigint(20) unsigned"), "bigint unsigned");
        assert_eq!(without_width("tinyint(1)"), "tinyint(1)");
        assert_eq!(without_width("tinyint(4)"), "tinyint");
        assert_eq!(without_width("decimal(5,2)"), "decimal(5,2)");
        assert_eq!(without_counter("a ENGINE=InnoDB AUTO_INCREMENT=17 DEFAULT"), "a ENGINE=InnoDB DEFAULT");
    }

    #[test]
    fn attributes_are_what_stands_behind_the_type() {
        assert_eq!(after_type("bigint(20) unsigned NOT NULL DEFAULT 5 COMMENT 'it''s'"), "NOT NULL DEFAULT 5 COMMENT 'it''s'");
        assert_eq!(after_type("varchar(5) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT 'x'"), "DEFAULT 'x'");
        assert_eq!(after_type("double DEFAULT NULL"), "DEFAULT NULL");
        assert_eq!(after_type("date"), "");
    }
}
