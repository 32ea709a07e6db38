-- Requests for nodes, and the nodes that they were given: an allocation goes with its node.
CREATE TABLE allocations (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    uuid TEXT NOT NULL UNIQUE,
    name TEXT UNIQUE,
    node TEXT UNIQUE REFERENCES nodes (uuid) ON DELETE CASCADE,
    state TEXT NOT NULL,
    resource_class TEXT,
    owner TEXT,
    last_error TEXT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT,
    doc BLOB NOT NULL
);
CREATE INDEX allocations_by_state ON allocations (state);

-- On whose behalf an entry was made, in which state the node was then, and how long what it tells of had lasted.
ALTER TABLE history ADD COLUMN project TEXT;
ALTER TABLE history ADD COLUMN state TEXT;
ALTER TABLE history ADD COLUMN target_state TEXT;
ALTER TABLE history ADD COLUMN duration_ms BIGINT;
