-- What `stats` sums up stands in the index by which it goes from job to job: no run is looked up for it.

DROP INDEX runs_by_job;

CREATE INDEX runs_by_job ON runs (
    job, started_at, id, status, is_interrupted, exit_code, execution_time_seconds, total_records_processed, total_records_rejected,
    retry_count, bytes_read, peak_memory_usage_mb
);
