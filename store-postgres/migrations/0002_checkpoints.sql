-- How far consumers beside the log have come. Few rows, changed often: room on the page lets an
-- update stay on it, without touching the index.
CREATE TABLE highwater.checkpoints (
    consumer   text        COLLATE "C" PRIMARY KEY,
    epoch      bigint      NOT NULL CHECK (epoch > 0),
    position   bigint      NOT NULL CHECK (position >= 0),
    state      json,
    claimed_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50);
