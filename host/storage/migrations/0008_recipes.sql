-- Lists of steps that operators keep under a name.
CREATE TABLE deploy_templates (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    uuid TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL UNIQUE,
    created_at BIGINT NOT NULL,
    updated_at BIGINT,
    owner TEXT,
    public BOOLEAN NOT NULL,
    doc BLOB NOT NULL
);
CREATE TABLE runbooks (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    uuid TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL UNIQUE,
    created_at BIGINT NOT NULL,
    updated_at BIGINT,
    owner TEXT,
    public BOOLEAN NOT NULL,
    doc BLOB NOT NULL
);
