-- What driver calls did, operation by operation. It outlives its node and its operation, until it is purged.

CREATE TABLE journal_operations (
    operation TEXT PRIMARY KEY,
    node TEXT NOT NULL,
    kind TEXT NOT NULL,
    user_name TEXT NOT NULL,
    began_at BIGINT NOT NULL,
    ended_at BIGINT,
    -- Nothing when it succeeded.
    error TEXT,
    calls BIGINT NOT NULL,
    -- Of its chunks and parts.
    bytes BIGINT NOT NULL
);
CREATE INDEX journal_operations_by_node ON journal_operations (node, began_at);
CREATE INDEX journal_operations_by_end ON journal_operations (ended_at);

CREATE TABLE journal_calls (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    operation TEXT NOT NULL REFERENCES journal_operations (operation) ON DELETE CASCADE,
    turn BIGINT NOT NULL,
    driver TEXT NOT NULL,
    digest TEXT NOT NULL,
    function TEXT NOT NULL,
    step TEXT,
    fence BIGINT NOT NULL,
    began_at BIGINT NOT NULL,
    ended_at BIGINT,
    -- done, wait, steps, refused or fault; nothing while it has not ended.
    outcome TEXT,
    -- The first chunk; more are in journal_chunks.
    data BLOB NOT NULL,
    UNIQUE (operation, turn, driver)
);

CREATE TABLE journal_chunks (
    call BIGINT NOT NULL REFERENCES journal_calls (id) ON DELETE CASCADE,
    seq BIGINT NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (call, seq)
);

-- Values that the calls of an operation share, by hash.
CREATE TABLE journal_parts (
    operation TEXT NOT NULL REFERENCES journal_operations (operation) ON DELETE CASCADE,
    id BLOB NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (operation, id)
);

-- When the host was last alive, for the deadlines of what waits while it is down.
CREATE TABLE hosts (
    name TEXT PRIMARY KEY,
    alive_at BIGINT NOT NULL
);
