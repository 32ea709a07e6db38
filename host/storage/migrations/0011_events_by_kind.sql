-- Who waits for events of one kind does not read those of all others.
CREATE INDEX events_by_kind ON events (kind, id);
