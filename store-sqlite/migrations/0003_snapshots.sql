-- States of aggregates, so that a long stream needn't be read from its start. Copies of what the log
-- says: nothing is lost with them.
--
-- A snapshot's version is part of its key, which prevents that an older one, saved late, replaces a
-- newer one. With a rowid, because the states would make the rows of its index long.
CREATE TABLE highwater_snapshots (
    stream_id      TEXT    NOT NULL,
    schema_name    TEXT    NOT NULL,
    schema_version INTEGER NOT NULL,
    version        INTEGER NOT NULL,
    position       INTEGER NOT NULL,
    last_event     BLOB    NOT NULL,
    data           TEXT    NOT NULL,
    taken_at_us    INTEGER NOT NULL,
    PRIMARY KEY (stream_id, schema_name, schema_version, version)
) STRICT;
