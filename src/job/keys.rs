//! Every key that job files and etlsched.yaml may have: type, default, what it means, whether this version acts on it.
//!
//! Checks, `json-schema` and `show --resolved` all read these tables; a test walks them.

use super::defaults as d;
use crate::plan::kinds::key;
pub use crate::plan::kinds::{Default, Key, Kind, Level, Part, Status};

use Default::{Bool as B, Depends, Int as I, None as Nil, Text as T, Texts};
use Kind as K;
use Status::{NotYet, Schedule, Works};

/// The words of `schedule_type`
pub const SCHEDULE_TYPES: &[&str] = &["15min", "30min", "hourly", "daily", "weekly", "monthly", "cron", "manual"];
/// The types of connections that this version doesn't have
const CONNECTION_TYPES_TO_COME: &[&str] = &["adbc", "parquet"];

/// Returns the names of the keys of job files and of etlsched.yaml, those of maps of APIs aside; some more than once.
pub fn names() -> impl Iterator<Item = &'static str> {
    let levels = [&JOB, &SOURCE, &ETL_CONFIG, &WORKSPACE, &CONNECTION, &SMTP, &COLUMNS, &EXPECT];
    levels.into_iter().flat_map(|level| level.keys()).map(|key| key.name)
}

/// Returns the words of `type` of connections.
pub fn connection_types() -> Vec<&'static str> {
    let mut types = crate::plan::kinds::connection_types();
    let to_come = CONNECTION_TYPES_TO_COME.iter().filter(|name| !types.contains(name)).copied().collect::<Vec<_>>();
    types.extend(to_come);
    types
}

/// The keys of a job file, and of `defaults` in etlsched.yaml
pub static JOB: Level = Level::new(
    "a job",
    &[Part::Keys(&[
        key("name", K::Text, Works, Depends("the job's id"), "Its name, for display"),
        key("description", K::Prose, Works, Nil, "What it is for"),
        key("tags", K::Texts, Works, Nil, "Words by which `list --tag` finds it"),
        key("is_active", K::Bool, Works, B(d::IS_ACTIVE), "Whether it runs at all"),
        key("schedule_type", K::Word(SCHEDULE_TYPES), Works, T(d::SCHEDULE_TYPE), "How often it is due"),
        key("schedule", K::Cron, Works, Nil, "Five cron fields in the job's zone, for schedule_type cron; quote them"),
        key("timezone", K::Zone, Works, Depends("the timezone of etlsched.yaml, else UTC"), "The IANA time zone of its schedule"),
        key("hour", K::Int(0, 23), Works, I(d::HOUR), "The hour, for daily, weekly and monthly"),
        key("minute", K::Int(0, 59), Works, I(d::MINUTE), "The minute; for 15min and 30min the offset"),
        key("day_of_week", K::Weekdays, Works, T(d::DAY_OF_WEEK), "The days, for weekly: mon to sun, or 0 = Monday to 6"),
        key("day_of_month", K::MonthDays, Works, I(d::DAY_OF_MONTH), "The days, for monthly: 1 to 31, or last"),
        key("short_month", K::Word(&["clip", "skip"]), Works, T(d::SHORT_MONTH), "What days 29 to 31 mean in a shorter month"),
        key("on_overlap", K::Word(&["skip", "wait", "fail"]), Works, T(d::ON_OVERLAP), "What a run does while another one runs"),
        key("catch_up", K::Word(&["none", "last", "all"]), Schedule, T(d::CATCH_UP), "Which missed slots are run later"),
        key(
            "catch_up_window_minutes",
            K::Int(1, 525_600),
            Schedule,
            Depends("until the next slot; 1440 for all"),
            "How old a slot may be to be caught up",
        ),
        key(
            "catch_up_wakeups",
            K::Word(&["off", "hourly"]),
            Schedule,
            T(d::CATCH_UP_WAKEUPS),
            "Whether the scheduler also fires hourly to catch up",
        ),
        key("grace_minutes", K::Int(1, 1440), Schedule, I(d::GRACE_MINUTES), "How late a start is still on time"),
        key("deadline", K::Clock, Schedule, Nil, "When its data must be fresh, HH:MM in its zone"),
        key(
            "destination",
            K::Text,
            Works,
            Depends("the destination of etlsched.yaml, else .etlsched/warehouse.db"),
            "The connection that takes the tables",
        ),
        key("schema", K::Text, Works, Nil, "The schema of its tables, where the engine has schemas"),
        key("table_prefix", K::Text, Works, Nil, "Put before the names of tables that have no target of their own"),
        key("publish", K::Word(&["swap", "replace"]), Works, T(d::PUBLISH), "How a full load becomes visible"),
        key("etl_config", K::Map(&ETL_CONFIG), Works, Nil, "How its sources are loaded"),
        key("data_sources", K::List(&SOURCE), Works, Nil, "Where its rows come from, at least one"),
        key("max_retries", K::Int(0, 100), Works, I(d::MAX_RETRIES), "How often a source is tried again after an error that may pass"),
        key("retry_delay_seconds", K::Int(0, 86_400), Works, I(d::RETRY_DELAY_SECONDS), "The delay before the first retry; it doubles"),
        key("retry_delay_minutes", K::Int(0, 1440), Works, Nil, "The same in minutes"),
        key("retry_delay_max_seconds", K::Int(1, 86_400), Works, I(d::RETRY_DELAY_MAX_SECONDS), "The longest delay between retries"),
        key(
            "failure_threshold",
            K::Int(1, 1000),
            Works,
            I(d::FAILURE_THRESHOLD),
            "After how many failed runs in a row the job is put into error",
        ),
        key("partial_counts", K::Bool, Works, B(d::PARTIAL_COUNTS), "Whether partly failed runs count towards it"),
        key("notify_on_success", K::Bool, Works, B(d::NOTIFY_ON_SUCCESS), "Whether people are told of each success"),
        key("notify_on_failure", K::Bool, Works, B(d::NOTIFY_ON_FAILURE), "Whether people are told of failures"),
        key("notify_on", K::Words(d::NOTIFY_ON), Works, Texts(d::NOTIFY_ON), "What else people are told of"),
        key("notify_repeat", K::Word(&["first", "all", "daily"]), Works, T(d::NOTIFY_REPEAT), "How often they are told of one trouble"),
        key("notification_emails", K::Emails, Works, Nil, "Who is told by mail"),
        key("webhooks", K::Urls, Works, Nil, "Web addresses that are told by POST, in the form of Slack, of Teams, or as plain JSON"),
        key("healthcheck_url", K::Secret, Works, Nil, "A URL that is told of start, success and failure"),
    ])],
);

/// The keys of `etl_config`, of a job or of a source
pub static ETL_CONFIG: Level = Level::new(
    "etl_config",
    &[Part::Keys(&[
        key("mode", K::Word(&["full", "incremental"]), Works, T(d::MODE), "All rows, or only what is new or changed"),
        key("timestamp_column", K::Text, Works, Nil, "The column that makes a load incremental: a timestamp, a date or a growing number"),
        key(
            "lookback_minutes",
            K::Int(0, 525_600),
            Works,
            Depends("60 where the source can't list open transactions"),
            "How far behind the cursor a window begins",
        ),
        key("lookback_value", K::Int(0, i64::MAX), Works, Nil, "The same for a number, in the column's units"),
        key(
            "null_cursor",
            K::Word(&["include", "skip", "fail"]),
            Works,
            Depends("include on a first load, then skip"),
            "What NULL in the cursor column means",
        ),
        key("custom_sql", K::Text, Works, Nil, "The query, where the job has exactly one source"),
        key("batch_size", K::Int(1, 1_048_576), Works, I(d::BATCH_SIZE), "The most rows of a batch"),
        key("timeout_minutes", K::Int(1, 10_080), Works, I(d::TIMEOUT_MINUTES), "The longest that a run may take"),
        key("parallel_processing", K::Bool, Works, B(d::PARALLEL_PROCESSING), "Whether sources run side by side"),
        key("max_parallel_sources", K::Int(1, 64), Works, Depends("the number of cores, at most 4"), "How many sources run side by side"),
        key("memory_limit_mb", K::Int(64, 1_048_576), Works, I(d::MEMORY_LIMIT_MB), "The most memory that a run may take"),
        key("cpu_nice", K::Int(0, 19), Works, I(d::CPU_NICE), "How much the run gives way to other programs"),
        key("schema_change", K::Word(&["evolve", "freeze"]), Works, T(d::SCHEMA_CHANGE), "Whether a table's columns may change"),
        key("publish", K::Word(&["swap", "replace"]), Works, T(d::PUBLISH), "How a full load becomes visible"),
        key(
            "on_bad_row",
            K::Word(&["fail", "reject"]),
            Works,
            Depends("fail for databases, reject for files and APIs"),
            "What becomes of rows that can't be loaded",
        ),
        key("max_bad_rows", K::Int(0, i64::MAX), Works, Depends("100 or 1 %, whichever is larger"), "How many rows may be rejected"),
        key(
            "invalid_values",
            K::Word(&["null", "reject", "fail"]),
            Works,
            T(d::INVALID_VALUES),
            "What becomes of values that a type can't hold",
        ),
        key("null_values", K::Scalars, Works, Nil, "Unquoted values of a file that are NULL"),
        key("sample_rows", K::Int(1, 10_000_000), Works, I(d::SAMPLE_ROWS), "How many rows of a file are looked at to infer types"),
        key(
            "flatten_depth",
            K::Int(0, 10),
            Works,
            I(d::FLATTEN_DEPTH),
            "How deep objects of an API's records become columns a__b; what lies deeper is JSON",
        ),
    ])],
);

/// The keys of a source, of a job or of `data_sources` in etlsched.yaml
pub static SOURCE: Level = Level::new(
    "a data source",
    &[
        Part::Keys(&[
            key("name", K::Text, Works, Depends("the table, the file's stem or the endpoint's last part"), "Its name, once in the job"),
            key("source", K::Text, Works, Nil, "A source that etlsched.yaml declares under data_sources"),
            key("connection", K::Text, Works, Nil, "The connection that it is read from"),
        ]),
        Part::OfSources,
        Part::Keys(&[
            key("target", K::Text, Works, Depends("table_prefix and the name"), "The table that takes its rows"),
            key("primary_key", K::Texts, Works, Depends("the source's own key"), "The columns by which rows are merged"),
            key("etl_config", K::Map(&ETL_CONFIG), Works, Nil, "How it is loaded; wins over the job's, key by key"),
            key("columns", K::Map(&COLUMNS), Works, Nil, "Which columns, under which names and types"),
            key("expect", K::Map(&EXPECT), Works, Nil, "What must hold before anything becomes visible"),
            key("allow_empty", K::Bool, Works, B(d::ALLOW_EMPTY), "Whether a full load of no rows may replace rows"),
        ]),
    ],
);

/// The keys of `columns`
pub static COLUMNS: Level = Level::new(
    "columns",
    &[Part::Keys(&[
        key("select", K::Texts, Works, Nil, "Only these, in this order"),
        key("exclude", K::Texts, Works, Nil, "Not these"),
        key("types", K::TypeMap, Works, Nil, "Declared types: a value that doesn't fit is a rejected row"),
        key("rename", K::TextMap, Works, Nil, "Names in the target by names in the source"),
        key("hash", K::Texts, Works, Nil, "Columns replaced by their HMAC-SHA256 under hash_key"),
    ])],
);

/// The keys of `expect`
pub static EXPECT: Level = Level::new(
    "expect",
    &[Part::Keys(&[
        key("min_rows", K::Int(0, i64::MAX), Works, Nil, "At least so many rows"),
        key("max_rows", K::Int(0, i64::MAX), Works, Nil, "At most so many rows"),
        key("max_row_drop_percent", K::Number(0.0, 100.0), Works, Nil, "At most so many percent fewer rows than the last good load"),
        key("not_null", K::Texts, Works, Nil, "Columns without NULLs"),
        key("unique", K::Texts, Works, Nil, "Columns that together name a row once"),
        key("sql", K::Text, Works, Nil, "A query that must return no rows; {table} stands for the loaded rows"),
    ])],
);

/// The keys of a connection
pub static CONNECTION: Level = Level::new(
    "a connection",
    &[
        Part::Keys(&[key("type", K::ConnectionType, Works, Nil, "What it connects to")]),
        Part::OfConnections,
        Part::Keys(&[
            key("schema", K::Text, NotYet, Nil, "The schema of tables"),
            key("entrypoint", K::Text, NotYet, Nil, "The function by which an ADBC driver begins"),
            key("infile", K::Any, NotYet, Nil, "Whether a mysql connection loads by LOAD DATA LOCAL"),
            key("users", K::Texts, Works, Nil, "OS users who may run jobs that use it, root aside (default: all)"),
        ]),
    ],
);

/// The keys of `smtp`
pub static SMTP: Level = Level::new(
    "smtp",
    &[Part::Keys(&[
        key("url", K::Secret, Works, Nil, "The mail server: smtps://user:password@host:465, or smtp://host:587 with STARTTLS"),
        key("from", K::Mailbox, Works, Nil, "The sender: an address, or Name <address>"),
        key("username", K::Text, Works, Nil, "The login, where url has none"),
        key("password", K::Secret, Works, Nil, "Its password, as it is; in url, special characters are written as %XX"),
        key(
            "tls",
            K::Word(&["required", "none"]),
            Works,
            Depends("required; none for localhost by smtp://"),
            "Whether the connection must be encrypted",
        ),
        key("ca_file", K::Text, Works, Nil, "Certificates (PEM) that are trusted beside those of the system"),
        key("timeout_seconds", K::Int(1, 300), Works, I(d::SMTP_TIMEOUT_SECONDS), "How long sending one mail may take"),
    ])],
);

/// The keys of etlsched.yaml
pub static WORKSPACE: Level = Level::new(
    "etlsched.yaml",
    &[Part::Keys(&[
        key("timezone", K::Zone, Works, T(d::TIMEZONE), "The user's zone: for display, and the default of jobs"),
        key("state", K::Text, Works, T(d::STATE), "The state store: sqlite:PATH, or postgresql://... for several hosts"),
        key(
            "destination",
            K::Text,
            Works,
            Depends("the SQLite file .etlsched/warehouse.db"),
            "The connection that takes the tables of all jobs",
        ),
        key("connections", K::MapOf(&CONNECTION), Works, Nil, "Databases and APIs by name"),
        key("data_sources", K::MapOf(&SOURCE), Works, Nil, "Sources that jobs share, by name or UUID"),
        key("hash_key", K::Secret, Works, Nil, "The key for columns.hash"),
        key("defaults", K::Map(&JOB), Works, Nil, "The keys of a job, for all jobs"),
        key("smtp", K::Map(&SMTP), Works, Nil, "The mail server"),
        key("admins", K::Texts, Works, Nil, "OS users who may change every job"),
        key("retention_days", K::Int(1, 36_500), Works, I(d::RETENTION_DAYS), "How long run logs are kept"),
        key("grace_minutes", K::Int(1, 1440), Schedule, I(d::GRACE_MINUTES), "How late a start is still on time"),
        key("crontab_environment", K::TextMap, Schedule, Nil, "Variables set in the installed crontab block"),
        key("state_group", K::Text, Works, Nil, "The group whose members share .etlsched: state store, warehouse, rejects"),
    ])],
);

/// Keys of `etl_config` that concern a whole run: a source can't have its own.
pub const RUN_KEYS: &[&str] = &["timeout_minutes", "parallel_processing", "max_parallel_sources", "memory_limit_mb", "cpu_nice"];
