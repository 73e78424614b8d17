DROP TABLE told;

DROP INDEX slots_missed;

DROP INDEX outbox_closed;

DROP INDEX outbox_of_run;

DROP INDEX outbox_waiting;

ALTER TABLE outbox DROP COLUMN closed_at;

CREATE INDEX outbox_waiting ON outbox (due_at) WHERE sent_at IS NULL;
