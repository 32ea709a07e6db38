-- Files that operators uploaded for drivers. The bytes lie in the data folder, under the digest.
CREATE TABLE artifacts (
    name TEXT PRIMARY KEY,
    digest TEXT NOT NULL,
    size BIGINT NOT NULL,
    uploaded_at BIGINT NOT NULL,
    uploaded_by TEXT NOT NULL,
    uploaded_from TEXT,
    -- Until when a URL that a driver was given may be used.
    url_until BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX artifacts_by_digest ON artifacts (digest);
