-- What happened to nodes: rows are added, never changed, and outlive their node.
CREATE TABLE events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at BIGINT NOT NULL,
    node TEXT NOT NULL,
    kind TEXT NOT NULL,
    doc TEXT NOT NULL
);
CREATE INDEX events_by_node ON events (node, id);

-- How far each webhook has told of events, and how many it passed over since it last told of one.
CREATE TABLE webhooks (
    name TEXT PRIMARY KEY,
    cursor BIGINT NOT NULL,
    skipped BIGINT NOT NULL
);

-- The last operation of a node, when it failed: what a retry goes on with.
CREATE TABLE failed_operations (
    node TEXT PRIMARY KEY REFERENCES nodes (uuid) ON DELETE CASCADE,
    failed_at BIGINT NOT NULL,
    doc BLOB NOT NULL
);
