-- The highest position that is safe to read: everything at or before it is committed and visible to
-- a statement started afterwards, or will never be.
--
-- Every append holds a shared advisory lock whose key is a value that the sequence had before the
-- append drew its first position (draw_positions). So, with `drawn` read first and the lowest
-- such key `held` read later:
--   an append that drew p <= drawn held a key < p before `drawn` was read. If it has not ended, its
--   key is in pg_locks, so held < p. If it has ended, what it committed is visible to a statement
--   started from now on, because Postgres makes a commit visible before it releases its locks.
-- Hence everything at or before least(drawn, held) is decided. No clock takes part.
-- Both numbers are ends of batches (draw_positions), so the mark never stands within an append.
CREATE FUNCTION highwater.high_water_mark() RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    drawn bigint;
    held  bigint;
BEGIN
    -- One snapshot for all three statements would show events of before with locks of now: an append
    -- that commits in between would have no lock any more and no visible event yet.
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'the high-water mark needs READ COMMITTED'
            USING ERRCODE = 'invalid_transaction_state';
    END IF;
    -- A standby shows none of the primary's locks: it would take appends in flight for ended ones.
    IF pg_is_in_recovery() THEN
        RAISE EXCEPTION 'the log can only be followed on the primary'
            USING ERRCODE = 'read_only_sql_transaction';
    END IF;

    -- The order of these two is the proof's. Locks first, and an append could take its lock, draw and
    -- stay open between the two reads: `drawn` would then cover it unguarded.
    SELECT s.last_value INTO drawn FROM highwater.event_position s;

    -- Keys are 16 bits of name and 48 bits of position. `database`: the keys of another database's
    -- log say nothing here. objsubid = 1: keys of one bigint, not of two integers. Shared and granted:
    -- what only waits has drawn nothing, and an exclusive lock is somebody else's.
    SELECT min(((l.classid::bigint & 65535) << 32) | l.objid::bigint) INTO held
    FROM pg_catalog.pg_locks l
    WHERE l.locktype = 'advisory'
      AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = current_database())
      AND l.objsubid = 1
      AND l.classid::bigint >> 16 = 24001
      AND l.mode = 'ShareLock'
      AND l.granted;

    -- Down to an event that is there. A position that was drawn and given up may not have reached
    -- the disk: a crash gives the sequence back an older value, and the position is drawn again. A
    -- consumer that had gone up to it would miss the event that gets it then.
    RETURN coalesce(
        (SELECT e.position FROM highwater.events e
         WHERE e.position <= least(drawn, held) ORDER BY e.position DESC LIMIT 1), 0);
END
$$;
