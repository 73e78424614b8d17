//! What a load reads, where it goes and how: settings as resolved, defaults filled in.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::api::ApiSourcePlan;
use super::mysql::{MysqlDestinationPlan, MysqlSourcePlan};
use super::odbc::OdbcSourcePlan;
use super::postgresql::{PostgresConnection, PostgresSourcePlan};
use super::window::Window;
use crate::batch::ColumnType;
use crate::secret::{Secret, exposed_list, exposed_option};

/// A data source of a job.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SourcePlan {
    /// The source's name in its job.
    pub name: String,
    /// The name of its connection, for messages; files have none.
    #[serde(default)]
    pub connection: Option<String>,
    /// What kind it is and how it is reached.
    pub kind: SourceKind,
    /// Which columns, under which names and types.
    pub columns: ColumnRules,
    /// The key for `columns.hash`.
    #[serde(serialize_with = "exposed_option::serialize")]
    pub hash_key: Option<Secret>,
}

/// The kinds of sources, each with what it needs.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum SourceKind {
    /// A resource of a REST API.
    Api(Box<ApiSourcePlan>),
    /// Delimited text: a file, a glob of files, or a URL.
    Csv(CsvPlan),
    /// A table or query of a MySQL or MariaDB database.
    Mysql(MysqlSourcePlan),
    /// A table or query that an ODBC driver reaches: of SQL Server, Oracle, or any other database.
    Odbc(OdbcSourcePlan),
    /// A table or query of a PostgreSQL database.
    Postgresql(PostgresSourcePlan),
    /// A table or query of a SQLite file.
    Sqlite(SqliteSourcePlan),
}

/// A CSV source. What is `None` is sniffed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CsvPlan {
    /// An absolute path, a glob of absolute paths, or an http(s) URL. Files that end in .gz or .zst are decompressed.
    pub path: String,
    /// The values of variables in it: never shown, never kept in a destination.
    #[serde(serialize_with = "exposed_list::serialize")]
    pub path_secrets: Vec<Secret>,
    /// The byte between fields.
    pub delimiter: Option<char>,
    /// The quote character (`"` where not given).
    pub quote: Option<char>,
    /// Whether the first row holds names.
    pub header: Option<bool>,
    /// The text encoding.
    pub encoding: Encoding,
    /// Unquoted values that are NULL (an empty unquoted field where not given).
    pub null_values: Option<Vec<String>>,
    /// Headers of the HTTP request for a URL.
    pub connect_timeout_seconds: u64,
    /// Whether link-local and cloud metadata addresses may be fetched from.
    pub allow_link_local: bool,
}

/// A SQLite file as a source. Exactly one of `table`, `tables` and `custom_sql`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SqliteSourcePlan {
    /// The absolute path of the file.
    pub path: PathBuf,
    /// A table or view.
    pub table: Option<String>,
    /// Names and globs of tables ([`super::tables`]), each a stream of its own; empty where there is one.
    pub tables: Vec<String>,
    /// A query; may name `:last_sync`, `:lower_bound`, `:slot` and `:run_started`.
    pub custom_sql: Option<String>,
    /// A condition that the rows of each table must meet.
    pub filter: Option<String>,
}

/// A text encoding by its name in job files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Encoding {
    /// By the byte order mark, else UTF-8, or UTF-16 where every second byte is zero.
    #[default]
    Auto,
    /// UTF-8
    Utf8,
    /// UTF-16, by its byte order mark, else by where its zero bytes stand
    Utf16,
    /// UTF-16, little endian
    Utf16Le,
    /// UTF-16, big endian
    Utf16Be,
    /// windows-1252
    Windows1252,
    /// ISO 8859-1
    Latin1,
}

/// Which columns of a source are loaded, under which names and types.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ColumnRules {
    /// Only these, in this order; empty means all. Names are those of the source.
    pub select: Vec<String>,
    /// Not these.
    pub exclude: Vec<String>,
    /// Declared types: a value that doesn't fit is a rejected row.
    pub types: Vec<(String, ColumnType)>,
    /// Source name to target name.
    pub rename: Vec<(String, String)>,
    /// Columns replaced by the hex HMAC-SHA256 of their text.
    pub hash: Vec<String>,
}

/// Where rows go.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DestinationPlan {
    /// The connection's name, for messages.
    pub name: String,
    /// What kind it is and how it is reached.
    pub kind: DestinationKind,
    /// The schema of the target, where the engine has schemas.
    pub schema: Option<String>,
}

/// The kinds of destinations, each with what it needs.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum DestinationKind {
    /// A SQLite file.
    Sqlite(SqlitePlan),
    /// A PostgreSQL database.
    Postgresql(PostgresConnection),
    /// A MySQL or MariaDB database.
    Mysql(MysqlDestinationPlan),
}

/// A SQLite file as a destination.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SqlitePlan {
    /// The absolute path of the file; made when absent.
    pub path: PathBuf,
}

/// How the rows of a source are loaded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LoadOptions {
    /// The target table of a source with one stream, prefix included; else each stream's name with `table_prefix`.
    pub target: Option<String>,
    /// Put before the names of targets that are not given.
    pub table_prefix: String,
    /// Full or incremental.
    pub mode: Mode,
    /// Load everything once, whatever the mode, and set the cursor anew.
    pub is_full_refresh: bool,
    /// How a full load becomes visible.
    pub publish: Publish,
    /// The key by which rows are merged; empty means the catalogue's, else none.
    pub primary_key: Vec<String>,
    /// The column that makes a load incremental.
    pub timestamp_column: Option<String>,
    /// How far behind the cursor the window begins.
    pub lookback: Lookback,
    /// Exactly these rows (`--since`, `--until`) instead of the window from the cursor.
    pub window: Option<Window>,
    /// What a NULL in the cursor column means; `None` is include on a first load, skip later.
    pub null_cursor: Option<NullCursor>,
    /// May the table's columns change.
    pub schema_change: SchemaPolicy,
    /// What becomes of rows that can't be loaded.
    pub bad_rows: BadRows,
    /// What becomes of values that a type can't hold.
    pub invalid_values: OnInvalidValue,
    /// A full load of no rows may replace rows.
    pub allow_empty: bool,
    /// What must hold before anything is published.
    pub expect: Expect,
    /// The most rows of a batch.
    pub batch_size: usize,
    /// How many rows of a file or an API are looked at to infer types.
    pub sample_rows: usize,
}

impl LoadOptions {
    /// Whether a column of the target is part of the job's key.
    pub fn is_key(&self, column: &str) -> bool {
        self.primary_key.iter().any(|name| name.eq_ignore_ascii_case(column))
    }
}

/// Full or incremental.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// The whole source takes the place of the whole table.
    #[default]
    Full,
    /// Only what is new or changed.
    Incremental,
}

impl Mode {
    /// Returns the word that job files and logs use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Incremental => "incremental",
        }
    }
}

/// How a full load becomes visible.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Publish {
    /// The staging table takes the target's place.
    #[default]
    Swap,
    /// DELETE and INSERT in one transaction.
    Replace,
}

/// How far behind the cursor a window begins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lookback {
    /// For timestamps and dates; `None` is the source's own rule (60 where it can't list open transactions).
    Minutes(Option<u32>),
    /// For numbers, in the column's units.
    Value(i64),
}

/// What a NULL in the cursor column means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NullCursor {
    /// The row is loaded.
    Include,
    /// The row is left out and counted.
    Skip,
    /// The load fails.
    Fail,
}

/// Whether a table's columns may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SchemaPolicy {
    /// New columns are added, types widen; anything else fails.
    #[default]
    Evolve,
    /// Any change fails before a row is written.
    Freeze,
}

/// What becomes of rows that can't be loaded, and how many there may be.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BadRows {
    /// Fail, or keep them aside.
    pub on_bad_row: OnBadRow,
    /// The most rows that may be rejected; `None` is 100 or 1 % of the rows read, whichever is larger.
    pub max_bad_rows: Option<u64>,
}

/// What becomes of a row that can't be loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnBadRow {
    /// The load fails.
    Fail,
    /// The row goes to the reject file with its reason.
    Reject,
}

/// What becomes of a value that its type can't hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnInvalidValue {
    /// It is loaded as NULL and counted.
    Null,
    /// Its row is rejected.
    #[default]
    Reject,
    /// The load fails.
    Fail,
}

/// What must hold of a load before it is published.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Expect {
    /// At least so many rows.
    pub min_rows: Option<u64>,
    /// At most so many rows.
    pub max_rows: Option<u64>,
    /// At most so many percent fewer rows than the last good load.
    pub max_row_drop_percent: Option<f64>,
    /// Columns without NULLs.
    pub not_null: Vec<String>,
    /// Columns that together name a row once.
    pub unique: Vec<String>,
    /// A query that must return no rows; `{table}` stands for the staged table.
    pub sql: Option<String>,
}

impl Expect {
    /// Whether nothing is asked for.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
