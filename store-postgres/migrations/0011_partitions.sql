-- Partitions of the log by ranges of positions, so that old ones can be taken off in constant time.
--
-- A log begins as one table and stays so unless it is partitioned (begin_partitions and
-- finish_partitions). Then `events` and `event_tags` are parents, events_<n> and event_tags_<n> their
-- partitions, and the former tables the first of these. One is *live*. The ones before it are *sealed*,
-- and behind it there is the *next* one, empty, so that it can become live without anybody waiting for
-- readers. No position is drawn behind the live one's end (has_room): that error tells the appender to
-- call roll_over() and to append again.
--
-- A unique index holds within a partition only, but a version must stand for one event of the log and
-- an id for one append.
--
-- # Invariants
--   1. Every append holds a type lock (shared, one of 64) from before it first looks at the log until
--      its transaction ends. roll_over() holds all of them exclusively (close_log). So an append that
--      has its lock before a roll-over has ended when that begins; and one that gets its lock after it
--      sees, in each later statement, everything that was appended before.
--   2. Positions are drawn up to the live one's end only (has_room). Only roll_over() moves that, under the
--      locks of 1, and what was left before the former end is never drawn. So appends write to the live
--      partition only. With 1: the next one is empty until it is live, a sealed one never changes again
--      but by retention, and every append that comes after sees all of it. Whoever changes partitions
--      runs READ COMMITTED: in a snapshot of before it got its locks it would seal what it doesn't see.
--   3. Hence whoever writes behind version v of a stream either has read v in a sealed partition,
--      where nothing follows any more, or meets each rival in the unique index of the live one. The
--      same with ids: those of sealed partitions are looked up (knows_any), those of the live one meet
--      its unique index.
--   4. Within a stream positions rise with versions. So the newest event of a stream is in the newest
--      partition that has any: the live one is asked first, the others newest first, and the first
--      answer is right.
--   5. live_events, has_room, older_head and knows_any change with the partitions, in one transaction:
--      under the locks of 1 when another one becomes live or retention begins. A session learns of a
--      change when it gets a lock on a table that it doesn't hold yet, and only then runs no plan of
--      before. So each append takes such a lock behind those of 1: on events to write, in the functions
--      that are one statement; of its own, in append_batch, which runs in callers' transactions, too.
--   6. older_head and knows_any are STABLE: they see the snapshot of the statement that asks, and an
--      event that retention takes away meanwhile is found or its mark is.
--   7. A roll-over that is given up leaves the log as it was, or with a gap up to the live one's end.
--   8. One at a time adds or takes off partitions (lock 24005). Dropping one that was taken off is
--      nobody's business.
--   9. Who attaches a partition holds the parents ACCESS EXCLUSIVE, though the server would be content
--      with less. Under less, a session that is making its plan meanwhile can miss it: what it knows of
--      the partitions is put together without regard to news that come in while it does so, and stays
--      so until the next news (seen with PostgreSQL 15). And a transaction that holds a lock on the
--      parent looks for no news at all. Under this lock nobody reads or plans, and whoever comes next
--      gets the news with its lock. It waits for all who read, a dump among them, so it is taken
--      ahead of time, for a tenth of a second or two, again and again. Only if nobody got it for as
--      long as the live partition lasted does roll_over() have to.
--
-- # Taking a partition off (detach_partition)
--  10. Marks first (0010_retention.sql): the log's, then those of each stream with events in it, so
--      that the streams' versions are known without it. It waits for the transactions that have not
--      seen the marks, and so finds nobody who would look for a version there in vain.
--  11. The high-water mark doesn't fall: it must stand behind the partition, on an event that stays.
--  12. The tables go only when the statements and snapshots have ended that began before they were taken
--      off: an older_head of before may still ask them. A caller's transaction that was idle meanwhile
--      may ask later than that; it runs into an error and is tried again.

-- Where appends look first: the live partition. The planner puts the table in place of the call. A view
-- would do the same, and pg_dump, which locks views, would keep it from being changed.
CREATE FUNCTION highwater.live_events() RETURNS SETOF highwater.events
LANGUAGE sql STABLE AS 'SELECT * FROM highwater.events';

-- The version of a stream of which the live partition has no event: that of its newest event in the
-- sealed ones, or the one that retention has kept; null if there is none; 9223372036854775807 if the
-- stream has ended. As long as there are neither, it is a constant that the planner puts in place of the
-- call. So is the next.
CREATE FUNCTION highwater.older_head(stream text) RETURNS bigint
LANGUAGE sql STABLE AS 'SELECT NULL::pg_catalog.int8';

-- Is one of these ids in a sealed partition?
CREATE FUNCTION highwater.knows_any(ids uuid[]) RETURNS boolean
LANGUAGE sql STABLE AS 'SELECT false';

-- opening: the first partition, while its constraint is being validated; the log is still one table.
CREATE TABLE highwater.log_partitions (
    number      integer PRIMARY KEY,
    state       text    NOT NULL CHECK (state IN ('opening', 'next', 'live', 'sealed', 'detached')),
    -- It holds the positions behind the first, up to the second.
    after       bigint  NOT NULL,
    up_to       bigint  NOT NULL CHECK (up_to > after),
    -- How many positions the one behind it gets.
    span        bigint  NOT NULL CHECK (span > 0),
    -- The smallest and the greatest id of a sealed one. Ids that rise with time, as new ones do, lie
    -- behind it and need not be looked up.
    least_id    uuid,
    greatest_id uuid,
    -- Up to here the streams' marks are written, by this transaction at last; or it took it off.
    prepared_to bigint  NOT NULL DEFAULT 0,
    changed_by  xid8
);
CREATE UNIQUE INDEX log_partitions_one_is_live ON highwater.log_partitions ((true))
    WHERE state IN ('opening', 'live');
CREATE UNIQUE INDEX log_partitions_one_is_next ON highwater.log_partitions ((true))
    WHERE state = 'next';

CREATE FUNCTION highwater.insist_on_read_committed() RETURNS void
LANGUAGE plpgsql VOLATILE
AS $$
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'the log''s partitions can only be changed under READ COMMITTED'
            USING ERRCODE = 'invalid_transaction_state';
    END IF;
END
$$;

-- Waits until no append is under way and lets none begin before the transaction ends.
CREATE FUNCTION highwater.close_log() RETURNS void
LANGUAGE plpgsql VOLATILE
AS $$
BEGIN
    -- In the order in which appends take them. 24002 << 48 | 256, as in append_batch.
    PERFORM pg_catalog.pg_advisory_xact_lock(((24002::bigint << 48) | 256) + n)
    FROM pg_catalog.generate_series(0, 63) n;
END
$$;

-- Writes older_head and knows_any anew. The newest sealed partition has a statement of its own: a single
-- one over all of them would lock and prepare each of them though the first answers. A stream that is
-- nowhere is found missing faster by one statement for all the rest than by one for each.
CREATE FUNCTION highwater.write_older_lookups() RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    sealed highwater.log_partitions;
    heads  text[] := '{}';
    ids    text := '';
BEGIN
    FOR sealed IN
        SELECT * FROM highwater.log_partitions p WHERE p.state = 'sealed' ORDER BY p.number DESC
    LOOP
        heads := heads || format($text$
        (SELECT CASE WHEN e.type OPERATOR(pg_catalog.=) 'highwater.tombstone' THEN 9223372036854775807
                     ELSE e.version END
         FROM highwater.events_%s e
         WHERE e.stream_id OPERATOR(pg_catalog.=) stream ORDER BY e.version DESC LIMIT 1)$text$,
            sealed.number);
        CONTINUE WHEN sealed.least_id IS NULL;
        ids := ids || format($text$
    IF greatest_id OPERATOR(pg_catalog.>=) %L::pg_catalog.uuid
        AND least_id OPERATOR(pg_catalog.<=) %L::pg_catalog.uuid THEN
        PERFORM FROM pg_catalog.unnest(ids) u(id)
        WHERE (SELECT 1 FROM highwater.events_%s e
               WHERE e.event_id OPERATOR(pg_catalog.=) u.id LIMIT 1) IS NOT NULL;
        IF FOUND THEN RETURN true; END IF;
    END IF;$text$, sealed.least_id, sealed.greatest_id, sealed.number);
    END LOOP;
    -- Behind all events: a stream that has any goes on behind the newest.
    IF (SELECT r.has_begun FROM highwater.log_retention r) THEN
        heads := heads || $text$
        (SELECT CASE WHEN r.is_tombstoned THEN 9223372036854775807 ELSE r.removed_to END
         FROM highwater.stream_retention r WHERE r.stream_id OPERATOR(pg_catalog.=) stream)$text$::text;
    END IF;
    -- Every name is qualified: append_event, which asks, has its caller's search path.
    EXECUTE format($text$
CREATE OR REPLACE FUNCTION highwater.older_head(stream text) RETURNS bigint
LANGUAGE plpgsql STABLE AS $function$
DECLARE
    head pg_catalog.int8;
BEGIN
    head := %s;
    IF head IS NOT NULL THEN RETURN head; END IF;
    RETURN coalesce(%s);
END
$function$
$text$, coalesce(heads[1], 'NULL'), coalesce(nullif(array_to_string(heads[2:], ','), ''), 'NULL'));
    IF ids = '' THEN
        CREATE OR REPLACE FUNCTION highwater.knows_any(ids uuid[]) RETURNS boolean
        LANGUAGE sql STABLE AS 'SELECT false';
        RETURN;
    END IF;
    EXECUTE format($text$
CREATE OR REPLACE FUNCTION highwater.knows_any(ids uuid[]) RETURNS boolean
LANGUAGE plpgsql STABLE AS $function$
DECLARE
    least_id    pg_catalog.uuid := ids[1];
    greatest_id pg_catalog.uuid := ids[1];
BEGIN
    IF ids[2] IS NOT NULL THEN
        SELECT (pg_catalog.array_agg(u.id ORDER BY u.id))[1],
            (pg_catalog.array_agg(u.id ORDER BY u.id DESC))[1]
        INTO least_id, greatest_id FROM pg_catalog.unnest(ids) u(id);
    END IF;%s
    RETURN false;
END
$function$
$text$, ids);
END
$$;

CREATE FUNCTION highwater.end_live_at(last bigint) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    EXECUTE format('CREATE OR REPLACE FUNCTION highwater.has_room(wanted bigint) RETURNS boolean
        LANGUAGE sql VOLATILE AS ''SELECT %s OPERATOR(pg_catalog.-)
            pg_catalog.pg_sequence_last_value(''''highwater.event_position'''')
            OPERATOR(pg_catalog.>=) wanted''', last);
END
$$;

-- Lays out the partition behind another one, with room for so many positions, and attaches it. The locks
-- first: who waits for them in vain, again and again, leaves nothing behind in the catalogue.
CREATE FUNCTION highwater.attach_behind(before highwater.log_partitions, room bigint)
RETURNS highwater.log_partitions
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    added highwater.log_partitions;
    name  text;
BEGIN
    LOCK TABLE ONLY highwater.events, ONLY highwater.event_tags IN ACCESS EXCLUSIVE MODE;
    INSERT INTO highwater.log_partitions (number, state, after, up_to, span)
    VALUES (before.number + 1, 'next', before.up_to, before.up_to + room, before.span)
    RETURNING * INTO added;
    FOREACH name IN ARRAY ARRAY['events', 'event_tags'] LOOP
        EXECUTE format('CREATE TABLE highwater.%I (LIKE highwater.%I INCLUDING ALL)',
            name || '_' || added.number, name || '_' || before.number);
        EXECUTE format('ALTER TABLE highwater.%I ATTACH PARTITION highwater.%I
            FOR VALUES FROM (%s) TO (%s)',
            name, name || '_' || added.number, added.after + 1, added.up_to + 1);
    END LOOP;
    RETURN added;
END
$$;

-- Sees to it that there is a partition behind the live one. It waits for all who read the log, and those
-- who come meanwhile for it. So it gives up soon, and is called again.
CREATE FUNCTION highwater.add_next_partition() RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '100ms'
AS $$
DECLARE
    live highwater.log_partitions;
BEGIN
    PERFORM highwater.insist_on_read_committed();
    PERFORM pg_advisory_xact_lock(24005::bigint << 48);
    SELECT * INTO live FROM highwater.log_partitions p WHERE p.state = 'live';
    IF FOUND AND NOT EXISTS (SELECT FROM highwater.log_partitions p WHERE p.state = 'next') THEN
        PERFORM highwater.attach_behind(live, live.span);
    END IF;
END
$$;

-- The first of three steps in which the log becomes partitioned, each of which can be repeated; the
-- second validates what this one constrains (ALTER TABLE … VALIDATE CONSTRAINT, beside which appends
-- and readers go on). In a partitioned log it changes the span of the partitions to come; the next one
-- is there already.
CREATE FUNCTION highwater.begin_partitions(new_span bigint) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '100ms'
AS $$
DECLARE
    drawn bigint;
    first_end bigint;
BEGIN
    PERFORM highwater.insist_on_read_committed();
    IF new_span IS NULL OR new_span NOT BETWEEN 1 AND 1000000000000 THEN
        RAISE EXCEPTION 'a partition has room for 1 to 1,000,000,000,000 events, not for %', new_span
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    PERFORM pg_advisory_xact_lock(24005::bigint << 48);
    UPDATE highwater.log_partitions p SET span = new_span WHERE p.state IN ('opening', 'live', 'next');
    IF FOUND THEN
        RETURN;
    END IF;
    -- Before the sequence is read: what is inserted from now on meets the constraint.
    LOCK TABLE highwater.events, highwater.event_tags IN ACCESS EXCLUSIVE MODE;
    SELECT s.last_value INTO drawn FROM highwater.event_position s;
    -- Room for what is appended while the constraint is validated.
    first_end := drawn + drawn / 8 + new_span;
    EXECUTE format('ALTER TABLE highwater.events
        ADD CONSTRAINT events_up_to CHECK (position <= %s) NOT VALID', first_end);
    EXECUTE format('ALTER TABLE highwater.event_tags
        ADD CONSTRAINT event_tags_up_to CHECK (position <= %s) NOT VALID', first_end);
    PERFORM highwater.end_live_at(first_end);
    INSERT INTO highwater.log_partitions (number, state, after, up_to, span)
    VALUES (1, 'opening', 0, first_end, new_span);
END
$$;

-- The third step: the tables become the first partition of new parents. Nothing is scanned, because
-- the constraints are valid.
CREATE FUNCTION highwater.finish_partitions() RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '100ms'
AS $$
DECLARE
    opening highwater.log_partitions;
    name    text;
    granted record;
BEGIN
    PERFORM highwater.insist_on_read_committed();
    PERFORM pg_advisory_xact_lock(24005::bigint << 48);
    SELECT * INTO opening FROM highwater.log_partitions p WHERE p.state = 'opening';
    IF NOT FOUND THEN
        PERFORM highwater.add_next_partition();
        RETURN;
    END IF;
    PERFORM highwater.close_log();
    LOCK TABLE highwater.events, highwater.event_tags IN ACCESS EXCLUSIVE MODE;
    FOREACH name IN ARRAY ARRAY['events', 'event_tags'] LOOP
        EXECUTE format('ALTER TABLE highwater.%I RENAME TO %I', name, name || '_1');
        EXECUTE format('CREATE TABLE highwater.%I (LIKE highwater.%I INCLUDING DEFAULTS)
            PARTITION BY RANGE (position)', name, name || '_1');
        EXECUTE format('ALTER TABLE highwater.%I ATTACH PARTITION highwater.%I
            FOR VALUES FROM (MINVALUE) TO (%s)', name, name || '_1', opening.up_to + 1);
        EXECUTE format('ALTER TABLE highwater.%I DROP CONSTRAINT %I', name || '_1', name || '_up_to');
        -- Whoever might read the table may read the parent.
        FOR granted IN
            SELECT a.privilege_type, coalesce(quote_ident(r.rolname), 'PUBLIC') AS grantee, c.relowner
            FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) a
            LEFT JOIN pg_roles r ON r.oid = a.grantee
            WHERE c.oid = format('highwater.%I', name || '_1')::regclass AND a.grantee <> c.relowner
        LOOP
            EXECUTE format('GRANT %s ON highwater.%I TO %s', granted.privilege_type, name, granted.grantee);
        END LOOP;
        EXECUTE format('ALTER TABLE highwater.%I OWNER TO %I', name, (SELECT r.rolname
            FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner
            WHERE c.oid = format('highwater.%I', name || '_1')::regclass));
    END LOOP;
    -- Anew: what it returned was a row of the former table.
    DROP FUNCTION highwater.live_events;
    CREATE FUNCTION highwater.live_events() RETURNS SETOF highwater.events
    LANGUAGE sql STABLE AS 'SELECT * FROM highwater.events_1';
    EXECUTE format('ALTER FUNCTION highwater.live_events OWNER TO %I', (SELECT r.rolname
        FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner
        WHERE c.oid = 'highwater.events'::regclass));
    UPDATE highwater.log_partitions p SET state = 'live' WHERE p.number = opening.number;
    -- Under its owner's rights, so that what appends call may read the new tables.
    PERFORM highwater.add_next_partition();
END
$$;

-- Makes the next partition live if the live one has no room for `wanted` positions: so that the append
-- that met the end fits, and, if it asks for more each time, some day whatever overtakes it. True if
-- there is room now; null if the log has no partitions.
--
-- It waits for appends in flight, and later ones wait for it. So it gives up soon where one stays open
-- (lock_timeout), and is called again. Readers it waits for only if there is no next partition.
CREATE FUNCTION highwater.roll_over(wanted bigint) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '100ms'
AS $$
DECLARE
    live   highwater.log_partitions;
    coming highwater.log_partitions;
    drawn  bigint;
BEGIN
    -- Whoever may append may call this, and each call may skip as many positions.
    IF wanted IS NULL OR wanted NOT BETWEEN 1 AND 1000000 THEN
        RAISE EXCEPTION 'room can be made for 1 to 1,000,000 events, not for %', wanted
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    PERFORM highwater.insist_on_read_committed();
    PERFORM pg_advisory_xact_lock(24005::bigint << 48);
    SELECT * INTO live FROM highwater.log_partitions p WHERE p.state IN ('opening', 'live');
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    IF live.state = 'opening' THEN
        RAISE EXCEPTION 'the log is being partitioned and takes no more before that is done'
            USING ERRCODE = 'lock_not_available';
    END IF;
    SELECT s.last_value INTO drawn FROM highwater.event_position s;
    IF live.up_to - drawn >= wanted THEN
        -- Somebody has rolled over since.
        RETURN true;
    END IF;
    PERFORM highwater.close_log();
    SELECT s.last_value INTO drawn FROM highwater.event_position s;
    WHILE live.up_to - drawn < wanted LOOP
        SELECT * INTO coming FROM highwater.log_partitions p WHERE p.state = 'next';
        IF NOT FOUND THEN
            coming := highwater.attach_behind(live, live.span + wanted);
        END IF;
        EXECUTE format('UPDATE highwater.log_partitions SET state = ''sealed'',
                least_id = (SELECT e.event_id FROM highwater.events_%1$s e ORDER BY e.event_id LIMIT 1),
                greatest_id = (SELECT e.event_id FROM highwater.events_%1$s e
                    ORDER BY e.event_id DESC LIMIT 1)
            WHERE number = %1$s', live.number);
        UPDATE highwater.log_partitions p SET state = 'live' WHERE p.number = coming.number;
        drawn := greatest(drawn, live.up_to);
        live := coming;
    END LOOP;
    EXECUTE format('CREATE OR REPLACE FUNCTION highwater.live_events() RETURNS SETOF highwater.events
        LANGUAGE sql STABLE AS ''SELECT * FROM highwater.events_%s''', live.number);
    PERFORM highwater.end_live_at(live.up_to);
    PERFORM highwater.write_older_lookups();
    -- What is left of the former one is a gap. At last, because no roll-back takes this back.
    PERFORM setval('highwater.event_position', drawn);
    RETURN true;
END
$$;

-- Takes the oldest partition off the log: its tables stay, and are no part of the log any more. Both
-- marks must be written and settled. It takes as long for a million events as for one.
CREATE FUNCTION highwater.detach_partition(which integer) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '100ms'
AS $$
DECLARE
    sealed highwater.log_partitions;
BEGIN
    PERFORM pg_advisory_xact_lock(24005::bigint << 48);
    SELECT * INTO sealed FROM highwater.log_partitions p
    WHERE p.state = 'sealed' ORDER BY p.number LIMIT 1;
    IF NOT FOUND OR sealed.number > which THEN
        RETURN;
    END IF;
    IF sealed.number < which OR sealed.prepared_to < sealed.up_to
        OR sealed.up_to > (SELECT r.removed_to FROM highwater.log_retention r)
        OR sealed.up_to >= highwater.high_water_mark() THEN
        RAISE EXCEPTION 'partition % of the log is not ready to be taken off', which
            USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    EXECUTE format('ALTER TABLE highwater.events DETACH PARTITION highwater.events_%s', which);
    EXECUTE format('ALTER TABLE highwater.event_tags DETACH PARTITION highwater.event_tags_%s', which);
    UPDATE highwater.log_partitions p
    SET state = 'detached', changed_by = pg_current_xact_id() WHERE p.number = which;
    PERFORM highwater.write_older_lookups();
END
$$;

-- Drops the tables of a partition that was taken off.
CREATE FUNCTION highwater.drop_partition(which integer) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '100ms'
AS $$
BEGIN
    DELETE FROM highwater.log_partitions p WHERE p.number = which AND p.state = 'detached';
    IF FOUND THEN
        EXECUTE format('DROP TABLE IF EXISTS highwater.events_%1$s, highwater.event_tags_%1$s', which);
    END IF;
END
$$;

REVOKE ALL ON FUNCTION highwater.close_log, highwater.write_older_lookups, highwater.end_live_at,
    highwater.attach_behind, highwater.add_next_partition, highwater.begin_partitions,
    highwater.finish_partitions, highwater.roll_over, highwater.detach_partition,
    highwater.drop_partition FROM PUBLIC;
