-- What the events of the log look like: every shape that a program ever announced that it writes, so
-- that a program that couldn't read them, or would break others, refuses to start.
--
-- A version may have had several shapes, one after the other; none is ever removed or changed. The
-- number of a shape is part of the key, which prevents that two programs that start at once both
-- become the same one.
CREATE TABLE highwater.event_schemas (
    event_type       text        COLLATE "C" NOT NULL,
    schema_version   bigint      NOT NULL CHECK (schema_version > 0),
    shape            integer     NOT NULL CHECK (shape > 0),
    fails_on_unknown boolean     NOT NULL,
    -- Not jsonb: compared as it was written.
    json_schema      json        NOT NULL,
    kept_at          timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (event_type, schema_version, shape)
);
