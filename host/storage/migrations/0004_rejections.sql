-- Uploads of drivers that were refused: what was found of each. Their bytes are not kept.
CREATE TABLE driver_rejections (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    rejected_at BIGINT NOT NULL,
    doc TEXT NOT NULL
);
CREATE INDEX driver_rejections_by_name ON driver_rejections (name, id);
