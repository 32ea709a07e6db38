-- What nodes stand in, and what belongs to them beside ports.
CREATE TABLE chassis (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    uuid TEXT NOT NULL UNIQUE,
    description TEXT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT,
    doc BLOB NOT NULL
);
CREATE INDEX nodes_by_chassis ON nodes (chassis_uuid);
CREATE INDEX nodes_by_shard ON nodes (shard);

CREATE TABLE portgroups (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    uuid TEXT NOT NULL UNIQUE,
    node TEXT NOT NULL REFERENCES nodes (uuid) ON DELETE CASCADE,
    address TEXT UNIQUE,
    name TEXT UNIQUE,
    mode TEXT NOT NULL,
    standalone_ports_supported BOOLEAN NOT NULL,
    physical_network TEXT,
    category TEXT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT,
    doc BLOB NOT NULL
);
CREATE INDEX portgroups_by_node ON portgroups (node);
CREATE INDEX ports_by_portgroup ON ports (portgroup);

CREATE TABLE volume_connectors (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    uuid TEXT NOT NULL UNIQUE,
    node TEXT NOT NULL REFERENCES nodes (uuid) ON DELETE CASCADE,
    type TEXT NOT NULL,
    connector_id TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT,
    doc BLOB NOT NULL,
    UNIQUE (type, connector_id)
);
CREATE INDEX volume_connectors_by_node ON volume_connectors (node);

CREATE TABLE volume_targets (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    uuid TEXT NOT NULL UNIQUE,
    node TEXT NOT NULL REFERENCES nodes (uuid) ON DELETE CASCADE,
    boot_index BIGINT NOT NULL,
    volume_id TEXT NOT NULL,
    volume_type TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT,
    doc BLOB NOT NULL,
    UNIQUE (node, boot_index)
);
