-- Of each job the sources that the last run of each did not refresh, and how many runs in a row that was so: a JSON object of counts by name.

ALTER TABLE jobs ADD COLUMN sources_failing TEXT NOT NULL DEFAULT '{}';

-- Runs of some sources of their job; few are.
CREATE INDEX runs_of_parts ON runs (id) WHERE data_sources_skipped <> '[]';
