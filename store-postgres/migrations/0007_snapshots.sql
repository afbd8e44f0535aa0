-- States of aggregates, so that a long stream needn't be read from its start. Copies of what the log
-- says: nothing is lost with them.
--
-- A snapshot's version is part of its key, which prevents that an older one, saved late, replaces a
-- newer one.
CREATE TABLE highwater.snapshots (
    stream_id      text        COLLATE "C" NOT NULL,
    schema_name    text        COLLATE "C" NOT NULL,
    schema_version bigint      NOT NULL CHECK (schema_version >= 0),
    version        bigint      NOT NULL CHECK (version >= 0),
    position       bigint      NOT NULL CHECK (position >= 0),
    last_event     uuid        NOT NULL,
    data           json        NOT NULL,
    taken_at       timestamptz NOT NULL,
    PRIMARY KEY (stream_id, schema_name, schema_version, version)
);
