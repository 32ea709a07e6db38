-- Who waits for a lock that nodes share, in the order of asking.
CREATE TABLE lock_waiters (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    node TEXT NOT NULL REFERENCES nodes (uuid) ON DELETE CASCADE,
    operation TEXT NOT NULL,
    asked_at BIGINT NOT NULL,
    UNIQUE (name, operation)
);
CREATE INDEX lock_waiters_by_node ON lock_waiters (node);

-- Locks that were taken away from operations that go on: each learns of it at its next effect.
CREATE TABLE broken_locks (
    name TEXT NOT NULL,
    node TEXT NOT NULL REFERENCES nodes (uuid) ON DELETE CASCADE,
    operation TEXT NOT NULL,
    PRIMARY KEY (name, operation)
);
CREATE INDEX broken_locks_by_node ON broken_locks (node);

-- The limits of a driver's calls that differ from the host's.
CREATE TABLE driver_limits (
    name TEXT PRIMARY KEY,
    doc TEXT NOT NULL
);
