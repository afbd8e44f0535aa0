-- The keys that personal data is sealed with, each wrapped by a master key that is never in this
-- database.
--
-- One row per subject, with all of its keys, and not one row per key: so every change to a subject is
-- one statement on one row, and its lock lets them through one after another. With a row per key, a
-- key that is added and the tombstone that is written at the same moment would not see each other,
-- and a forgotten subject would have a key.
CREATE TABLE highwater.subject_keys (
    subject      text        COLLATE "C" PRIMARY KEY,
    -- Key 1, 2, 3 …: which master key wraps it, and what came out.
    masters      text[]      NOT NULL,
    wrapped      bytea[]     NOT NULL,
    -- A tombstone: the row stays, so that no key is ever made for this subject again.
    forgotten_at timestamptz,
    CHECK (cardinality(masters) = cardinality(wrapped)),
    CHECK (forgotten_at IS NULL OR cardinality(wrapped) = 0)
    -- The old version of a forgotten row lies in the table's file until it is vacuumed: soon.
) WITH (fillfactor = 70, autovacuum_vacuum_threshold = 0, autovacuum_vacuum_scale_factor = 0);
