-- The whole store. One dialect for SQLite and PostgreSQL: text ids, 64-bit integers, timestamps in UTC without a zone
-- cut to microseconds, JSON as text.

CREATE TABLE workspace (
    id TEXT NOT NULL PRIMARY KEY,
    created_at TIMESTAMP NOT NULL
);

CREATE TABLE jobs (
    id TEXT NOT NULL PRIMARY KEY,
    file TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    schedule_fingerprint TEXT NOT NULL,
    owner TEXT NOT NULL,
    first_seen_at TIMESTAMP NOT NULL,
    schedule_noticed_at TIMESTAMP NOT NULL,
    active_since TIMESTAMP,
    status TEXT NOT NULL CHECK (status IN ('active', 'inactive', 'error', 'paused')),
    status_changed_at TIMESTAMP NOT NULL,
    paused_until TIMESTAMP,
    consecutive_failures BIGINT NOT NULL DEFAULT 0,
    success_count BIGINT NOT NULL DEFAULT 0,
    failure_count BIGINT NOT NULL DEFAULT 0,
    cancelled_count BIGINT NOT NULL DEFAULT 0,
    last_run_id TEXT,
    last_run_at TIMESTAMP,
    last_run_status TEXT,
    last_success_at TIMESTAMP,
    next_run_at TIMESTAMP
);

CREATE TABLE runs (
    id TEXT NOT NULL PRIMARY KEY,
    job TEXT NOT NULL REFERENCES jobs (id),
    status TEXT NOT NULL CHECK (status IN ('started', 'running', 'success', 'failed', 'cancelled', 'timeout')),
    triggered_by TEXT NOT NULL CHECK (triggered_by IN ('schedule', 'catch_up', 'manual', 'ci')),
    slot TEXT,
    started_at TIMESTAMP NOT NULL,
    completed_at TIMESTAMP,
    execution_time_seconds DOUBLE PRECISION,
    exit_code BIGINT,
    data_sources_processed TEXT NOT NULL DEFAULT '[]',
    data_sources_failed TEXT NOT NULL DEFAULT '[]',
    data_sources_skipped TEXT NOT NULL DEFAULT '[]',
    total_records_processed BIGINT NOT NULL DEFAULT 0,
    total_records_added BIGINT NOT NULL DEFAULT 0,
    total_records_updated BIGINT NOT NULL DEFAULT 0,
    total_records_deleted BIGINT NOT NULL DEFAULT 0,
    total_records_rejected BIGINT NOT NULL DEFAULT 0,
    bytes_read BIGINT NOT NULL DEFAULT 0,
    retry_count BIGINT NOT NULL DEFAULT 0,
    peak_memory_usage_mb DOUBLE PRECISION,
    cpu_time_seconds DOUBLE PRECISION,
    error_message TEXT,
    error_details TEXT,
    is_interrupted BOOLEAN NOT NULL DEFAULT FALSE,
    host TEXT NOT NULL,
    pid BIGINT NOT NULL,
    process_start TEXT NOT NULL,
    username TEXT NOT NULL,
    version TEXT NOT NULL,
    CHECK ((status IN ('started', 'running')) = (completed_at IS NULL))
);

-- A job has one open run at most, whatever the code does.
CREATE UNIQUE INDEX runs_one_open ON runs (job) WHERE status IN ('started', 'running');
CREATE INDEX runs_by_time ON runs (started_at, id);
CREATE INDEX runs_by_job ON runs (job, started_at, id);
CREATE INDEX runs_by_status ON runs (status, started_at, id);

CREATE TABLE run_sources (
    run_id TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    source TEXT NOT NULL,
    position BIGINT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('waiting', 'running', 'success', 'failed', 'skipped', 'cancelled', 'timeout')),
    attempt BIGINT NOT NULL DEFAULT 0,
    records_added BIGINT NOT NULL DEFAULT 0,
    records_updated BIGINT NOT NULL DEFAULT 0,
    records_unchanged BIGINT NOT NULL DEFAULT 0,
    records_folded BIGINT NOT NULL DEFAULT 0,
    records_skipped BIGINT NOT NULL DEFAULT 0,
    records_rejected BIGINT NOT NULL DEFAULT 0,
    records_deleted BIGINT NOT NULL DEFAULT 0,
    bytes_read BIGINT NOT NULL DEFAULT 0,
    duration_seconds DOUBLE PRECISION,
    cpu_time_seconds DOUBLE PRECISION,
    peak_memory_usage_mb DOUBLE PRECISION,
    rejects_path TEXT,
    error_code TEXT,
    error_message TEXT,
    error_hint TEXT,
    PRIMARY KEY (run_id, source)
);

CREATE TABLE run_streams (
    run_id TEXT NOT NULL,
    source TEXT NOT NULL,
    stream TEXT NOT NULL,
    target TEXT NOT NULL,
    position BIGINT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('waiting', 'running', 'success', 'failed', 'skipped', 'cancelled', 'timeout')),
    attempt BIGINT NOT NULL DEFAULT 0,
    mode TEXT,
    records_added BIGINT NOT NULL DEFAULT 0,
    records_updated BIGINT NOT NULL DEFAULT 0,
    records_unchanged BIGINT NOT NULL DEFAULT 0,
    records_folded BIGINT NOT NULL DEFAULT 0,
    records_skipped BIGINT NOT NULL DEFAULT 0,
    records_rejected BIGINT NOT NULL DEFAULT 0,
    records_deleted BIGINT NOT NULL DEFAULT 0,
    rows_in_target BIGINT,
    bytes_read BIGINT NOT NULL DEFAULT 0,
    duration_seconds DOUBLE PRECISION,
    load_version BIGINT,
    cursor_text TEXT,
    schema_changes TEXT NOT NULL DEFAULT '[]',
    error_code TEXT,
    error_message TEXT,
    error_hint TEXT,
    PRIMARY KEY (run_id, source, stream),
    FOREIGN KEY (run_id, source) REFERENCES run_sources (run_id, source) ON DELETE CASCADE
);

CREATE TABLE run_events (
    run_id TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    sequence BIGINT NOT NULL,
    at TIMESTAMP NOT NULL,
    level TEXT NOT NULL CHECK (level IN ('info', 'warn', 'error')),
    source TEXT,
    stream TEXT,
    message TEXT NOT NULL,
    PRIMARY KEY (run_id, sequence)
);

CREATE TABLE slots (
    job TEXT NOT NULL REFERENCES jobs (id),
    slot TEXT NOT NULL,
    due_at TIMESTAMP NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('running', 'done', 'failed', 'interrupted', 'skipped', 'missed')),
    run_id TEXT,
    claim_count BIGINT NOT NULL DEFAULT 0,
    slot_count BIGINT NOT NULL DEFAULT 1,
    updated_at TIMESTAMP NOT NULL,
    PRIMARY KEY (job, slot)
);

CREATE INDEX slots_by_time ON slots (job, due_at);

CREATE TABLE leases (
    job TEXT NOT NULL PRIMARY KEY REFERENCES jobs (id),
    run_id TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    host TEXT NOT NULL,
    pid BIGINT NOT NULL,
    process_start TEXT NOT NULL,
    boot_id TEXT NOT NULL,
    renewed_boot_micros BIGINT NOT NULL,
    renewed_at TIMESTAMP NOT NULL,
    progress TEXT NOT NULL DEFAULT '{}',
    cancel_requested_at TIMESTAMP,
    cancel_requested_by TEXT
);

CREATE TABLE audit (
    id TEXT NOT NULL PRIMARY KEY,
    at TIMESTAMP NOT NULL,
    username TEXT NOT NULL,
    host TEXT NOT NULL,
    action TEXT NOT NULL,
    job TEXT,
    run_id TEXT,
    details TEXT
);

CREATE INDEX audit_by_job ON audit (job, at);

CREATE TABLE outbox (
    id TEXT NOT NULL PRIMARY KEY,
    job TEXT NOT NULL,
    run_id TEXT,
    channel TEXT NOT NULL,
    recipient TEXT NOT NULL,
    kind TEXT NOT NULL,
    body TEXT NOT NULL,
    created_at TIMESTAMP NOT NULL,
    due_at TIMESTAMP NOT NULL,
    expires_at TIMESTAMP NOT NULL,
    attempt BIGINT NOT NULL DEFAULT 0,
    leased_by TEXT,
    leased_until TIMESTAMP,
    last_error TEXT,
    sent_at TIMESTAMP
);

CREATE INDEX outbox_waiting ON outbox (due_at) WHERE sent_at IS NULL;
