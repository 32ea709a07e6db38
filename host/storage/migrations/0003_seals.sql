-- The documents of nodes, ports, operations, agent sessions and driver states are sealed from here on: bytes, although their columns
-- were made for text. Of each key that any of them may be sealed with there is a row.
CREATE TABLE seals (
    key_id TEXT PRIMARY KEY,
    -- Something known, sealed: tells another key of the same id.
    proof BLOB NOT NULL,
    -- Whether everything is sealed with this key.
    complete BOOLEAN NOT NULL
);
