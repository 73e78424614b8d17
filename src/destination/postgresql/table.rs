//! A table as it stands in the catalogue: its columns, and what a table in its place would have to have too.

use super::session::{Outcome, Session, failed, refusal};
use super::types::{declaration, of_declaration, quoted};
use crate::batch::{Column, ColumnType};

/// A column of a table that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LiveColumn {
    pub name: String,
    /// As `format_type` spells it.
    pub declared: String,
    /// Computed by the table; never written.
    pub is_generated: bool,
}

/// A table that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LiveTable {
    pub oid: u32,
    /// Its name as the catalogue has it.
    pub name: String,
    pub columns: Vec<LiveColumn>,
}

/// A name that differs in its case alone is the same table, as it is everywhere in a job; an exact one comes first.
const FIND: &str = "SELECT c.oid, c.relname::text, c.relkind::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
     WHERE n.nspname = $1 AND (c.relname = $2 OR (lower(c.relname) = lower($2) AND c.relkind IN ('r', 'p'))) \
     ORDER BY c.relname = $2 DESC, c.relname LIMIT 1";

const COLUMNS: &str = "SELECT attname::text, format_type(atttypid, atttypmod), attgenerated <> '' FROM pg_attribute \
     WHERE attrelid = $1::oid AND attnum > 0 AND NOT attisdropped ORDER BY attnum";

/// Whether another table can take the table's place by a rename so that nothing is lost but what [`kept_sql`] brings: an ordinary table
/// of this role, of columns without rules, on which nothing in the catalogue depends but its own parts.
const IS_PLAIN: &str = "SELECT c.relkind = 'r' AND NOT c.relispartition AND c.relpersistence = 'p' AND c.relreplident = 'd' \
     AND c.relowner = (SELECT oid FROM pg_roles WHERE rolname = current_user) \
     AND c.reloptions IS NULL AND c.reltablespace = 0 AND c.reloftype = 0 AND NOT c.relrowsecurity AND NOT c.relforcerowsecurity \
     AND NOT c.relhasrules AND NOT c.relhastriggers AND NOT c.relhassubclass \
     AND NOT EXISTS (SELECT FROM pg_index WHERE indrelid = c.oid) \
     AND NOT EXISTS (SELECT FROM pg_constraint WHERE conrelid = c.oid OR confrelid = c.oid) \
     AND NOT EXISTS (SELECT FROM pg_inherits WHERE inhrelid = c.oid OR inhparent = c.oid) \
     AND NOT EXISTS (SELECT FROM pg_seclabel WHERE objoid = c.oid AND classoid = 'pg_class'::regclass) \
     AND NOT EXISTS (SELECT FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid \
         WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND (a.attnotnull OR a.atthasdef OR a.attidentity <> '' \
         OR a.attgenerated <> '' OR a.attacl IS NOT NULL OR a.attoptions IS NOT NULL OR a.attcollation <> t.typcollation \
         OR a.attstorage <> t.typstorage OR a.attcompression <> '')) \
     AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = c.oid AND d.deptype <> 'i') \
     AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.refclassid = 'pg_type'::regclass AND d.refobjid = c.reltype AND d.deptype <> 'i') \
     FROM pg_class c WHERE c.oid = $1::oid";

/// Statements that give a fresh table what the one in whose place it comes has beside its columns: grants, comments, statistics targets.
/// `$2` is the fresh table as SQL, `$3` its oid.
const KEPT: &str = "SELECT sql FROM ( \
     SELECT 1 AS step, format('REVOKE ALL ON %s FROM %s', $2, grantee) AS sql FROM ( \
         SELECT DISTINCT CASE WHEN acl.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(acl.grantee)) END AS grantee \
         FROM pg_class c, aclexplode(coalesce(c.relacl, acldefault('r', c.relowner))) acl WHERE c.oid = $3::oid) AS has \
         WHERE (SELECT relacl FROM pg_class WHERE oid = $1::oid) IS DISTINCT FROM (SELECT relacl FROM pg_class WHERE oid = $3::oid) \
     UNION ALL \
     SELECT 2, format('GRANT %s ON %s TO %s%s', acl.privilege_type, $2, \
         CASE WHEN acl.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(acl.grantee)) END, \
         CASE WHEN acl.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END) \
         FROM pg_class c, aclexplode(coalesce(c.relacl, acldefault('r', c.relowner))) acl WHERE c.oid = $1::oid \
         AND c.relacl IS DISTINCT FROM (SELECT relacl FROM pg_class WHERE oid = $3::oid) \
     UNION ALL \
     SELECT 3, format('COMMENT ON TABLE %s IS %L', $2, description) FROM pg_description \
         WHERE classoid = 'pg_class'::regclass AND objoid = $1::oid AND objsubid = 0 \
     UNION ALL \
     SELECT 4, format('COMMENT ON COLUMN %s.%I IS %L', $2, a.attname, d.description) FROM pg_description d \
         JOIN pg_attribute a ON a.attrelid = d.objoid AND a.attnum = d.objsubid \
         WHERE d.classoid = 'pg_class'::regclass AND d.objoid = $1::oid AND d.objsubid > 0 AND NOT a.attisdropped \
     UNION ALL \
     SELECT 5, format('ALTER TABLE %s ALTER COLUMN %I SET STATISTICS %s', $2, attname, attstattarget) FROM pg_attribute \
         WHERE attrelid = $1::oid AND attnum > 0 AND NOT attisdropped AND attstattarget >= 0) AS statements ORDER BY step, sql";

impl LiveTable {
    /// Reads the table of that name; `None` where there is none.
    ///
    /// # Errors
    /// Something else of that name: a view, an index, a sequence, a foreign table.
    pub(super) fn read(session: &mut Session, target: &str) -> Outcome<Option<Self>> {
        let schema = session.schema.clone();
        let what = format!("reading table {target}");
        let found = session.rows(FIND, &[Some(&schema), Some(target)]).map_err(failed(&what))?;
        let Some(row) = found.first() else { return Ok(None) };
        let (oid, name, kind): (u32, String, String) = (row.get(0), row.get(1), row.get(2));
        let kind = match kind.as_str() {
            "r" | "p" => None,
            "v" => Some("a view"),
            "m" => Some("a materialized view"),
            "f" => Some("a foreign table"),
            "i" | "I" => Some("an index"),
            "S" => Some("a sequence"),
            _ => Some("a type"),
        };
        if let Some(kind) = kind {
            return Err(refusal("target_not_a_table", format!("{name} is {kind}, not a table"), "give the source another `target`"));
        }
        let columns = session.rows(COLUMNS, &[Some(&oid.to_string())]).map_err(failed(&what))?;
        let columns = columns.iter().map(|row| LiveColumn { name: row.get(0), declared: row.get(1), is_generated: row.get(2) }).collect();
        Ok(Some(Self { oid, name, columns }))
    }

    pub(super) fn column(&self, name: &str) -> Option<&LiveColumn> {
        self.columns.iter().find(|column| column.name.eq_ignore_ascii_case(name))
    }

    /// Returns how a column of the target is declared: as it is there, else by its type.
    pub(super) fn declared(live: Option<&Self>, column: &Column) -> String {
        match live.and_then(|live| live.column(&column.name)) {
            Some(there) if of_declaration(&there.declared).is_none() => there.declared.clone(),
            _ => declaration(column.column_type),
        }
    }

    /// Whether another table may take this one's place.
    pub(super) fn is_plain(&self, session: &mut Session) -> Outcome<bool> {
        let rows =
            session.rows(IS_PLAIN, &[Some(&self.oid.to_string())]).map_err(failed(format_args!("looking at table {}", self.name)))?;
        Ok(rows.first().is_some_and(|row| row.get::<_, Option<bool>>(0).unwrap_or(false)))
    }

    /// Returns what gives `successor` the grants, comments and statistics targets of this table.
    pub(super) fn kept_sql(&self, session: &mut Session, successor: &Self) -> Outcome<Vec<String>> {
        let name = session.table(&successor.name);
        let parameters = [self.oid.to_string(), name, successor.oid.to_string()];
        let parameters = parameters.each_ref().map(|text| Some(text.as_str()));
        let rows = session.rows(KEPT, &parameters).map_err(failed(format_args!("reading the grants and comments of {}", self.name)))?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }
}

/// What becomes of a staging table when the server crashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Durability {
    /// It becomes the target.
    Logged,
    /// It is emptied, and the load with it fails.
    Unlogged,
}

/// Returns the SQL that makes a table of declared columns; `name` is SQL.
pub(super) fn create_sql<'a>(name: &str, durability: Durability, columns: impl IntoIterator<Item = (&'a str, String)>) -> String {
    let list: Vec<String> = columns.into_iter().map(|(name, declared)| format!("{} {declared}", quoted(name))).collect();
    let unlogged = if durability == Durability::Unlogged { "UNLOGGED " } else { "" };
    format!("CREATE {unlogged}TABLE {name} ({})", list.join(", "))
}

/// Returns the columns that a type of ours gives: what staging tables are made of.
pub(super) fn of_types(columns: &[Column]) -> impl Iterator<Item = (&str, String)> {
    columns.iter().map(|column| (column.name.as_str(), declaration(column.column_type)))
}

/// Returns the type of a column that no load brought: its own, else text.
pub(super) fn derived(declared: &str) -> ColumnType {
    of_declaration(declared).unwrap_or(ColumnType::Text)
}
