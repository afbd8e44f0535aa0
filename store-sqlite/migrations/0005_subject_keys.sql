-- The keys that personal data is sealed with, each wrapped by a master key that is never in this file.
--
-- The file's write lock lets changes through one after another, so a row per key is enough. Version 0
-- is a tombstone: its subject was forgotten, and no key is ever made for it again.
CREATE TABLE highwater_subject_keys (
    subject TEXT    NOT NULL,
    version INTEGER NOT NULL,
    master  TEXT,
    wrapped BLOB,
    PRIMARY KEY (subject, version),
    CHECK ((version = 0) = (wrapped IS NULL)),
    CHECK ((version = 0) = (master IS NULL))
) STRICT, WITHOUT ROWID;

-- Prevents that a forgotten subject gets a key, whatever statement tries it.
CREATE TRIGGER highwater_the_forgotten_get_no_key BEFORE INSERT ON highwater_subject_keys
WHEN new.version > 0 AND EXISTS (
    SELECT 1 FROM highwater_subject_keys WHERE subject = new.subject AND version = 0)
BEGIN
    SELECT raise(IGNORE);
END;
