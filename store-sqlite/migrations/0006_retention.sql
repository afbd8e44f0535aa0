-- What may be gone, and what has ended. A mark stands here before the first event goes.

-- removed_to: everything up to this version may be gone; versions go on behind it even if no event
-- is left, so that no version is ever given twice. removed_position: where that version stood, for
-- readers of the stream along the log, who name a position. is_tombstoned: the stream's tombstone went, too;
-- while it is there, it speaks for itself.
CREATE TABLE highwater_stream_retention (
    stream_id        TEXT    NOT NULL PRIMARY KEY,
    removed_to       INTEGER NOT NULL DEFAULT 0,
    removed_position INTEGER NOT NULL DEFAULT 0,
    is_tombstoned    INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

-- One row: everything up to this position may be gone.
CREATE TABLE highwater_log_retention (
    only_row   INTEGER PRIMARY KEY CHECK (only_row = 1),
    removed_to INTEGER NOT NULL
) STRICT;
INSERT INTO highwater_log_retention (only_row, removed_to) VALUES (1, 0);
