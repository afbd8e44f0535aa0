-- The log: events in one order, and their tags.

-- Positions. CACHE 1, because a session that cached values would use them later than it drew them:
-- a reader that had passed them would miss the events. 0 is burnt below, so that last_value always
-- names a position that was drawn, and every position drawn later is greater than it.
CREATE SEQUENCE highwater.event_position AS bigint MINVALUE 0 START WITH 0 CACHE 1 NO CYCLE;
SELECT nextval('highwater.event_position');

-- Fixed-width columns first: no padding between them. json, not jsonb: it keeps the text that was
-- written and reads back 2.7 times as fast. Collation "C": bytes compare as bytes, whatever the
-- database's locale, so a category is a range of streams.
-- position has no default: the functions that append draw it (draw_positions). That it and the version
-- are positive is theirs to see to: a CHECK is compiled anew for each statement, and takes a twentieth
-- of an append.
CREATE TABLE highwater.events (
    position       bigint      PRIMARY KEY,
    version        bigint      NOT NULL,
    recorded_at    timestamptz NOT NULL DEFAULT now(),
    event_id       uuid        NOT NULL,
    schema_version bigint      NOT NULL,
    stream_id      text        COLLATE "C" NOT NULL,
    type           text        COLLATE "C" NOT NULL,
    tags           text[]      COLLATE "C",
    data           json        NOT NULL,
    metadata       json,
    CONSTRAINT events_stream_version UNIQUE (stream_id, version),
    CONSTRAINT events_event_id UNIQUE (event_id)
);

-- Readers and conditions that ask by type, in order of position.
CREATE INDEX events_type ON highwater.events (type, position);

-- One row per tag of an event. (tag, position), not (tag, type, position): with several types the
-- latter made a generic plan read the whole tag.
CREATE TABLE highwater.event_tags (
    tag      text   COLLATE "C" NOT NULL,
    position bigint NOT NULL,
    type     text   COLLATE "C" NOT NULL,
    PRIMARY KEY (tag, position) INCLUDE (type)
);
