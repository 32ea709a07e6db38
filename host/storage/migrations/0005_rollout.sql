-- What operators decided about each driver: versions to go back to, the one on trial, a pause.
CREATE TABLE driver_rollouts (
    name TEXT PRIMARY KEY,
    doc TEXT NOT NULL
);

-- Nothing may run on these any more, whatever name they have, and nobody can upload them.
CREATE TABLE driver_revocations (
    digest TEXT PRIMARY KEY,
    reason TEXT NOT NULL,
    revoked_at BIGINT NOT NULL,
    revoked_by TEXT NOT NULL
);

-- Who decided what, and what was denied to whom. Rows are added, never changed.
CREATE TABLE audit (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at BIGINT NOT NULL,
    principal TEXT NOT NULL,
    -- The address that a request came from.
    source TEXT,
    verb TEXT NOT NULL,
    object TEXT NOT NULL,
    outcome TEXT NOT NULL,
    -- Why, in words.
    reason TEXT NOT NULL,
    detail TEXT NOT NULL
);
CREATE INDEX audit_by_object ON audit (object, id);
CREATE INDEX audit_by_time ON audit (at);

-- What each driver keeps about a node was written by a version, in a form with a number. Nothing is known of older rows.
ALTER TABLE driver_state ADD COLUMN keeps BOOLEAN;
ALTER TABLE driver_state ADD COLUMN state_schema BIGINT;
ALTER TABLE driver_state ADD COLUMN digest TEXT;
