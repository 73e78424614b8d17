DROP INDEX runs_of_parts;

ALTER TABLE jobs DROP COLUMN sources_failing;
