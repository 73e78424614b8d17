DROP INDEX runs_by_job;

CREATE INDEX runs_by_job ON runs (job, started_at, id);
