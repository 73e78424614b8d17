-- A letter that was sent, or that nothing more is done about, is closed; what was told is remembered until its trouble is over.

ALTER TABLE outbox ADD COLUMN closed_at TIMESTAMP;

UPDATE outbox SET closed_at = sent_at WHERE sent_at IS NOT NULL;

DROP INDEX outbox_waiting;

CREATE INDEX outbox_waiting ON outbox (due_at) WHERE closed_at IS NULL;

CREATE INDEX outbox_of_run ON outbox (run_id);

CREATE INDEX outbox_closed ON outbox (closed_at);

CREATE INDEX slots_missed ON slots (updated_at) WHERE status = 'missed';

CREATE TABLE told (
    job TEXT NOT NULL,
    kind TEXT NOT NULL,
    cause TEXT NOT NULL,
    sources TEXT NOT NULL DEFAULT '[]',
    told_at TIMESTAMP NOT NULL,
    PRIMARY KEY (job, kind, cause)
);
