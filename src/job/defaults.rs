//! What holds where no file says otherwise: one constant each. `json-schema` and `show --resolved` print them.

/// `schedule_type`
pub const SCHEDULE_TYPE: &str = "daily";
/// `hour`: nights are quiet, and 02:00 is after most closing jobs.
pub const HOUR: i64 = 2;
/// `minute`
pub const MINUTE: i64 = 0;
/// `day_of_week`
pub const DAY_OF_WEEK: &str = "mon";
/// `day_of_month`
pub const DAY_OF_MONTH: i64 = 1;
/// `short_month`
pub const SHORT_MONTH: &str = "clip";
/// `timezone`, where the user has none
pub const TIMEZONE: &str = "UTC";
/// `is_active`
pub const IS_ACTIVE: bool = true;
/// `on_overlap`
pub const ON_OVERLAP: &str = "skip";
/// `catch_up`
pub const CATCH_UP: &str = "last";
/// `catch_up_wakeups`
pub const CATCH_UP_WAKEUPS: &str = "off";
/// `grace_minutes`
pub const GRACE_MINUTES: i64 = 10;
/// `mode`
pub const MODE: &str = "full";
/// `publish`
pub const PUBLISH: &str = "swap";
/// `batch_size`: rows of a batch; 4 MiB of values end one before.
pub const BATCH_SIZE: i64 = 65_536;
/// `sample_rows`
pub const SAMPLE_ROWS: i64 = 10_000;
/// `timeout_minutes`
pub const TIMEOUT_MINUTES: i64 = 60;
/// `parallel_processing`
pub const PARALLEL_PROCESSING: bool = true;
/// `max_parallel_sources`: as many as there are cores, but never more than this.
pub const MAX_PARALLEL_SOURCES: usize = 4;
/// `memory_limit_mb`
pub const MEMORY_LIMIT_MB: i64 = 512;
/// `cpu_nice`
pub const CPU_NICE: i64 = 0;
/// `schema_change`
pub const SCHEMA_CHANGE: &str = "evolve";
/// `on_bad_row` of databases
pub const ON_BAD_ROW_DATABASE: &str = "fail";
/// `on_bad_row` of files and APIs
pub const ON_BAD_ROW_FILE: &str = "reject";
/// `invalid_values`
pub const INVALID_VALUES: &str = "reject";
/// `flatten_depth`
pub const FLATTEN_DEPTH: i64 = 1;
/// `allow_empty`
pub const ALLOW_EMPTY: bool = false;
/// `max_retries`
pub const MAX_RETRIES: i64 = 3;
/// `retry_delay_seconds`
pub const RETRY_DELAY_SECONDS: i64 = 30;
/// `retry_delay_max_seconds`
pub const RETRY_DELAY_MAX_SECONDS: i64 = 600;
/// `failure_threshold`
pub const FAILURE_THRESHOLD: i64 = 5;
/// `partial_counts`
pub const PARTIAL_COUNTS: bool = false;
/// `notify_on_failure`
pub const NOTIFY_ON_FAILURE: bool = true;
/// `notify_on_success`
pub const NOTIFY_ON_SUCCESS: bool = false;
/// `notify_on`
pub const NOTIFY_ON: &[&str] = &["recovery", "disabled", "missed", "schema_change", "rejected_rows", "deadline", "invalid"];
/// `notify_repeat`
pub const NOTIFY_REPEAT: &str = "first";
/// `timeout_seconds` of `smtp`: servers that look a sender up before they answer take up to 20 s.
pub const SMTP_TIMEOUT_SECONDS: i64 = 30;
/// `retention_days`
pub const RETENTION_DAYS: i64 = 90;
/// `state`
pub const STATE: &str = "sqlite:.etlsched/state.db";
/// The file of the embedded warehouse, below the workspace
pub const WAREHOUSE: &str = ".etlsched/warehouse.db";
