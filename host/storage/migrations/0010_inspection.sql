-- What was found about nodes, by their agents and drivers: the latest of each kind.
CREATE TABLE findings (
    node TEXT NOT NULL REFERENCES nodes (uuid) ON DELETE CASCADE,
    kind TEXT NOT NULL,
    found_at BIGINT NOT NULL,
    doc BLOB NOT NULL,
    PRIMARY KEY (node, kind)
);

-- What operators have done with what inspections find.
CREATE TABLE inspection_rules (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    uuid TEXT NOT NULL UNIQUE,
    priority BIGINT NOT NULL,
    phase TEXT NOT NULL,
    description TEXT,
    sensitive BOOLEAN NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT,
    doc BLOB NOT NULL
);
