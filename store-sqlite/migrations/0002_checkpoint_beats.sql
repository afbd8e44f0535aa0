-- Counts the writes to a checkpoint, so that a process that stands by sees whether the one that
-- leads lives, also while it stands at one position. Without it, only a clock could tell.
ALTER TABLE highwater_checkpoints ADD COLUMN beats INTEGER NOT NULL DEFAULT 0;
