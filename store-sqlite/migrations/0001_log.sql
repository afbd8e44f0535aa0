-- The log, its tags, and the checkpoints of consumers. SQLite has no schemas: the prefix keeps these
-- tables apart from a user's own in the same file.

CREATE TABLE highwater_events (
    -- An alias of the rowid: the table is stored in this order. The writer assigns it.
    position       INTEGER PRIMARY KEY,
    stream_id      TEXT    NOT NULL,
    version        INTEGER NOT NULL,
    event_id       BLOB    NOT NULL,
    type           TEXT    NOT NULL,
    schema_version INTEGER NOT NULL,
    tags           TEXT,
    data           TEXT    NOT NULL,
    metadata       TEXT,
    recorded_at_us INTEGER NOT NULL,
    -- Two events of one version, or one event twice: the writer looks before it writes, and these
    -- turn a mistake in that into an error instead of a broken log.
    CONSTRAINT one_event_per_version UNIQUE (stream_id, version),
    CONSTRAINT one_event_per_id UNIQUE (event_id)
) STRICT;

-- Readers and conditions that ask by type, in order of position, which every index ends with.
CREATE INDEX highwater_events_type ON highwater_events (type);

-- Prevents that a position is given twice: the next one is the highest plus one, so the newest
-- event must never go.
CREATE TRIGGER highwater_the_newest_event_stays BEFORE DELETE ON highwater_events
WHEN old.position = (SELECT max(position) FROM highwater_events)
BEGIN
    SELECT raise(ABORT, 'the newest event of the log must stay: its position would be given twice');
END;

CREATE TABLE highwater_event_tags (
    tag      TEXT    NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (tag, position)
) STRICT, WITHOUT ROWID;

CREATE TABLE highwater_checkpoints (
    consumer TEXT    NOT NULL PRIMARY KEY,
    epoch    INTEGER NOT NULL,
    position INTEGER NOT NULL,
    state    TEXT
) STRICT, WITHOUT ROWID;
