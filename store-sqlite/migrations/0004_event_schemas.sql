-- What the events of the log look like: every shape that a program ever announced that it writes, so
-- that a program that couldn't read them, or would break others, refuses to start.
--
-- A version may have had several shapes, one after the other; none is ever removed or changed. The
-- number of a shape is part of the key, which prevents that two programs that start at once both
-- become the same one.
CREATE TABLE highwater_event_schemas (
    event_type       TEXT    NOT NULL,
    schema_version   INTEGER NOT NULL,
    shape            INTEGER NOT NULL,
    fails_on_unknown INTEGER NOT NULL,
    json_schema      TEXT    NOT NULL,
    PRIMARY KEY (event_type, schema_version, shape)
) STRICT;
