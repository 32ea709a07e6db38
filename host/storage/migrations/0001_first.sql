-- Times are microseconds since 1970, documents are JSON, UUIDs are lower-case text with hyphens.

CREATE TABLE nodes (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    uuid TEXT NOT NULL UNIQUE,
    doc TEXT NOT NULL,
    name TEXT UNIQUE,
    driver TEXT NOT NULL,
    instance_uuid TEXT UNIQUE,
    instance_name TEXT,
    chassis_uuid TEXT,
    provision_state TEXT NOT NULL,
    target_provision_state TEXT,
    provision_updated_at BIGINT,
    power_state TEXT,
    target_power_state TEXT,
    maintenance BOOLEAN NOT NULL,
    fault TEXT,
    resource_class TEXT,
    conductor_group TEXT NOT NULL,
    conductor TEXT,
    owner TEXT,
    lessee TEXT,
    shard TEXT,
    parent_node TEXT,
    retired BOOLEAN NOT NULL,
    protected BOOLEAN NOT NULL,
    description TEXT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT,
    reservation TEXT,
    fence BIGINT NOT NULL,
    revision BIGINT NOT NULL
);
CREATE INDEX nodes_by_provision_state ON nodes (provision_state);
CREATE INDEX nodes_by_parent_node ON nodes (parent_node);
CREATE INDEX nodes_by_owner ON nodes (owner);
CREATE INDEX nodes_by_lessee ON nodes (lessee);

CREATE TABLE ports (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    uuid TEXT NOT NULL UNIQUE,
    node TEXT NOT NULL REFERENCES nodes (uuid) ON DELETE CASCADE,
    address TEXT NOT NULL UNIQUE,
    name TEXT UNIQUE,
    portgroup TEXT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT,
    doc TEXT NOT NULL
);
CREATE INDEX ports_by_node ON ports (node);

CREATE TABLE operations (
    node TEXT PRIMARY KEY REFERENCES nodes (uuid) ON DELETE CASCADE,
    id TEXT NOT NULL UNIQUE,
    due_at BIGINT,
    doc TEXT NOT NULL
);
CREATE INDEX operations_by_due_at ON operations (due_at);

CREATE TABLE driver_state (
    node TEXT NOT NULL REFERENCES nodes (uuid) ON DELETE CASCADE,
    driver TEXT NOT NULL,
    doc TEXT NOT NULL,
    PRIMARY KEY (node, driver)
);

CREATE TABLE agent_sessions (
    node TEXT PRIMARY KEY REFERENCES nodes (uuid) ON DELETE CASCADE,
    doc TEXT NOT NULL
);

CREATE TABLE shared_locks (
    name TEXT PRIMARY KEY,
    node TEXT NOT NULL REFERENCES nodes (uuid) ON DELETE CASCADE,
    operation TEXT NOT NULL,
    acquired_at BIGINT NOT NULL
);
CREATE INDEX shared_locks_by_node ON shared_locks (node);

CREATE TABLE history (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    uuid TEXT NOT NULL UNIQUE,
    node TEXT NOT NULL REFERENCES nodes (uuid) ON DELETE CASCADE,
    created_at BIGINT NOT NULL,
    severity TEXT NOT NULL,
    event_type TEXT NOT NULL,
    event TEXT NOT NULL,
    user_name TEXT NOT NULL,
    conductor TEXT
);
CREATE INDEX history_by_node ON history (node, id);

CREATE TABLE components (
    digest TEXT PRIMARY KEY,
    size BIGINT NOT NULL,
    uploaded_at BIGINT NOT NULL
);

CREATE TABLE driver_versions (
    name TEXT NOT NULL,
    digest TEXT NOT NULL REFERENCES components (digest),
    version TEXT NOT NULL,
    status TEXT NOT NULL,
    uploaded_at BIGINT NOT NULL,
    doc TEXT NOT NULL,
    PRIMARY KEY (name, digest)
);

CREATE TABLE driver_grants (
    name TEXT NOT NULL,
    capability TEXT NOT NULL,
    PRIMARY KEY (name, capability)
);

CREATE TABLE active_drivers (
    name TEXT PRIMARY KEY,
    digest TEXT NOT NULL,
    generation BIGINT NOT NULL,
    FOREIGN KEY (name, digest) REFERENCES driver_versions (name, digest)
);

CREATE TABLE counters (
    name TEXT PRIMARY KEY,
    value BIGINT NOT NULL
);
INSERT INTO counters (name, value) VALUES ('driver generation', 0);
