-- The way into the log: four functions, each called as a statement of its own, so that the
-- transaction ends with it. append_event and append_events are short ways for what most appends are,
-- one stream each and no condition, or (append_events) one on a single tag; append_batch takes
-- everything and says precisely what became of each append; append_in_turn is append_batch for
-- an append that others overtake.
--
-- SECURITY DEFINER: whoever may append needs no right to insert, so nobody can insert past the locks.
--
-- # The order of locks
--   0. The streams' turns, in append_in_turn only.
--   1. Tag and type locks, sorted by key. A condition must see every matching event that commits
--      before its own append does. So every append takes a shared lock on each of its tags and
--      types, tagged or not, and a conditional one an exclusive lock that every matching event must
--      meet: on one tag of an item with tags (a match carries all of them), on every type of an item
--      with types alone, on all types of an item with neither (every event has a type).
--      Tags share 256 locks and types 64, by hash: the server's lock table is small (some 6,400 by
--      default), and a batch may carry thousands of tags. Two tags that share one wait for each other
--      needlessly, for as long as a commit takes. Sorted, so that two batches can't wait in a circle.
--   2. The watermark lock and the draw lock, both in draw_positions. Behind the tags, because readers
--      stop below an append that holds the watermark lock: waiting for a tag must not hold readers.
--   3. Rows are written. An entry of a unique index that somebody else is writing is waited for here,
--      in the order of streams; it ends with a unique violation if that one commits, and is ours if it
--      aborts.
--
-- # What is drawn when
-- Positions are drawn behind the snapshot in which the streams' versions are read. Who reads a version
-- that another append left has therefore seen that one's commit first, and draws higher positions: so
-- within a stream positions rise with versions.
--
-- No step waits for a lock of an earlier one, and who holds the draw lock waits for nothing. So appends
-- can't lock each other in a circle.

-- Whether so many positions may be drawn: always, while the log is one table (0011_partitions.sql has
-- the rest). The planner puts the answer in place of the call.
CREATE FUNCTION highwater.has_room(wanted bigint) RETURNS boolean
LANGUAGE sql VOLATILE AS 'SELECT true';

CREATE FUNCTION highwater.refuse_for_want_of_room() RETURNS bigint
LANGUAGE plpgsql VOLATILE
AS $$
BEGIN
    RAISE EXCEPTION 'the live partition of the log has no room for this append'
        USING ERRCODE = 'HW001', HINT = 'Call highwater.roll_over.';
END
$$;

-- Waits for the draw lock where somebody has it. A wait that is cancelled just when the lock is granted
-- leaves the session with it: the handler gives it back, or finds nothing to give back and the server
-- warns. One statement, because between two a cancellation would be noticed.
CREATE FUNCTION highwater.wait_for_draw_lock() RETURNS boolean
LANGUAGE plpgsql VOLATILE
AS $$
BEGIN
    RETURN pg_catalog.pg_advisory_lock(6756525340962586624) IS NOT NULL;
EXCEPTION WHEN query_canceled OR OTHERS THEN
    PERFORM pg_catalog.pg_advisory_unlock(6756525340962586624);
    RAISE;
END
$$;

-- Draws `wanted` positions for the transaction that it runs in, and returns the last of them.
--
-- The planner puts the expression in place of the call, and CASE fixes the order:
--   1. The watermark lock, before any position (high_water_mark has the proof: a lock taken afterwards
--      would leave a moment in which a reader sees a position drawn and nobody holding it, and skips the
--      event). It is shared with every other append, so it never waits.
--   2. The draw lock. One session at a time reads the sequence and moves it on: two that had read the
--      same value would draw the same positions. It belongs to the session, as only such locks can be
--      given back before the transaction ends.
--   3. The sequence moves in one step, however many positions are drawn. So its value is the end of some
--      append whenever it is read, for a key or for a mark: readers see an append whole.
--   4. The draw lock is given back. A session that kept it would stop every append until it closed. So
--      nothing between having it and here waits, looks for a cancellation, or can fail: what could is
--      done before (the lock on the sequence with the first look at it, a transaction id with
--      pg_current_xact_id), and where there is no room the lock goes first.
--
-- One position is drawn by nextval, which writes to the WAL once in 32 times; setval does each time.
--
-- append_event runs it under its caller's search path: hence the qualified names. The locks are
-- 24001 << 48 and 24004 << 48.
CREATE FUNCTION highwater.draw_positions(wanted bigint) RETURNS bigint
LANGUAGE sql VOLATILE
AS $$
    SELECT CASE
        WHEN pg_catalog.pg_advisory_xact_lock_shared(6755680916032454656 OPERATOR(pg_catalog.|)
                pg_catalog.pg_sequence_last_value('highwater.event_position')) IS NOT NULL
            AND pg_catalog.pg_current_xact_id() IS NOT NULL
            AND (pg_catalog.pg_try_advisory_lock(6756525340962586624) OR highwater.wait_for_draw_lock())
        THEN CASE
            WHEN highwater.has_room(wanted) THEN
                CASE WHEN wanted OPERATOR(pg_catalog.=) 1
                    THEN pg_catalog.nextval('highwater.event_position')
                    ELSE pg_catalog.setval('highwater.event_position',
                        pg_catalog.pg_sequence_last_value('highwater.event_position')
                            OPERATOR(pg_catalog.+) wanted)
                END OPERATOR(pg_catalog.+)
                CASE WHEN pg_catalog.pg_advisory_unlock(6756525340962586624) THEN 0 ELSE 0 END
            WHEN pg_catalog.pg_advisory_unlock(6756525340962586624) THEN
                highwater.refuse_for_want_of_room()
        END
    END
$$;

-- Appends one event without tags or condition to a stream that is expected at exactly this version,
-- and returns its position; null, and nothing was written, if the stream isn't there. For a new stream
-- (expected 0) a unique violation says that, too.
--
-- Nothing but unique indexes guards it, so it doesn't matter how old a version it has read: a stream
-- that went on since makes the insert fail.
--
-- A writer that is alone waits for all of this at each append, so microseconds count:
--   - A query costs more to start than to look into a table, and each table that it names costs a tenth
--     of an append. So there is one query, and a new stream is looked for in none: its first version
--     meets the unique index, unless the live table doesn't know of it (older_head).
--   - All columns are listed, in order: the server would else put a second projection behind the first.
--   - Expressions need no executor, but each statement of its own costs; a lock's void would be
--     converted to whatever variable took it.
--   - No SET search_path, which takes as long as an index entry. Instead every name is qualified and so
--     is every operator: what the caller's search path could capture would run with the owner's rights.
CREATE FUNCTION highwater.append_event(
    stream             text,
    expected           bigint,
    id                 uuid,
    type_of_event      text,
    schema_of_event    bigint,
    data_of_event      json,
    metadata_of_event  json,
    OUT drawn bigint
)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
AS $$
DECLARE
    -- 24002 << 48 | 256, as in append_batch.
    type_locks constant pg_catalog.int8 := 6755962391009165568;
    -- A version that no stream reaches, for one that has ended.
    tombstoned constant pg_catalog.int8 := 9223372036854775807;
BEGIN
    -- The type's lock, before the stream is looked at: no partition is sealed behind this append's back
    -- (0011_partitions.sql). The rest as in append_batch.
    IF pg_catalog.pg_advisory_xact_lock_shared(type_locks OPERATOR(pg_catalog.|)
            (pg_catalog.hashtext(type_of_event) OPERATOR(pg_catalog.&) 63)::pg_catalog.int8) IS NULL
        OR pg_catalog.current_setting('transaction_isolation') OPERATOR(pg_catalog.<>) 'read committed'
        OR pg_catalog.current_setting('synchronous_commit') OPERATOR(pg_catalog.=) 'off'
    THEN
        IF pg_catalog.current_setting('transaction_isolation') OPERATOR(pg_catalog.<>) 'read committed' THEN
            RAISE EXCEPTION 'append_event needs READ COMMITTED'
                USING ERRCODE = 'invalid_transaction_state';
        END IF;
        PERFORM pg_catalog.set_config('synchronous_commit', 'on', true);
    END IF;

    -- Nothing is written if the id is in a sealed partition: append_batch then says what became of it.
    IF expected OPERATOR(pg_catalog.=) 0 THEN
        INSERT INTO highwater.events (position, version, recorded_at, event_id, schema_version,
            stream_id, type, tags, data, metadata)
        SELECT highwater.draw_positions(1), 1::pg_catalog.int8, pg_catalog.now(), id, schema_of_event,
            stream, type_of_event, NULL::pg_catalog.text[], data_of_event, metadata_of_event
        WHERE highwater.older_head(stream) IS NULL AND NOT highwater.knows_any(ARRAY[id])
        RETURNING position INTO drawn;
    ELSE
        INSERT INTO highwater.events (position, version, recorded_at, event_id, schema_version,
            stream_id, type, tags, data, metadata)
        SELECT highwater.draw_positions(1), expected OPERATOR(pg_catalog.+) 1, pg_catalog.now(), id,
            schema_of_event, stream, type_of_event, NULL::pg_catalog.text[], data_of_event,
            metadata_of_event
        WHERE coalesce(
                (SELECT CASE WHEN e.type OPERATOR(pg_catalog.=) 'highwater.tombstone' THEN tombstoned
                             ELSE e.version END
                 FROM highwater.live_events() e
                 WHERE e.stream_id OPERATOR(pg_catalog.=) stream ORDER BY e.version DESC LIMIT 1),
                highwater.older_head(stream)) OPERATOR(pg_catalog.=) expected
            AND expected OPERATOR(pg_catalog.<) tombstoned
            AND NOT highwater.knows_any(ARRAY[id])
        RETURNING position INTO drawn;
    END IF;
END
$$;

-- Appends events, each append to one stream, with conditions on one tag each at most. All arrays have
-- one element per event: its stream, what is expected of that stream (as in append_batch; the same for
-- all events of an append), its place in the append (1, 2, ...), id, type, schema version, tags (an
-- array literal, or null; the array itself is null if no event has tags), data, metadata (null if none
-- has any); and its append's condition (three arrays, null if there are none): the tag that is asked
-- about, the position behind which nothing may carry it, the types it is asked about (an array
-- literal, null for any).
--
-- No condition may be about an event of another append in the arrays: rivals go through append_batch.
--
-- Output: which events were appended (by their place in the arrays), at which positions, as which
-- versions. An append that is missing was not written: its stream isn't where it was expected, or its
-- condition doesn't hold.
--
-- As in append_event, only unique indexes guard the streams; the locks of step 1 (below, append_batch)
-- guard the conditions.
CREATE FUNCTION highwater.append_events(
    event_streams         text[],
    event_expected        bigint[],
    event_places          integer[],
    event_ids             uuid[],
    event_types           text[],
    event_schema_versions bigint[],
    event_tags            text[],
    event_data            json[],
    event_metadata        json[],
    condition_tags        text[],
    condition_after       bigint[],
    condition_types       text[],
    OUT appended  integer[],
    OUT positions bigint[],
    OUT versions  bigint[]
)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
-- As in append_batch.
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    tag_locks  constant bigint := 24002::bigint << 48;
    type_locks constant bigint := (24002::bigint << 48) | 256;
    -- The head of a stream that has ended: nothing goes behind it, whatever is expected.
    tombstoned constant bigint := 9223372036854775807;
    taken text;
BEGIN
    -- As in append_batch.
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'append_events needs READ COMMITTED'
            USING ERRCODE = 'invalid_transaction_state';
    END IF;
    IF current_setting('synchronous_commit') = 'off' THEN
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;

    -- Most batches need one lock, and a query that sorts it takes as long as six appends.
    IF condition_tags IS NULL AND event_tags IS NULL AND event_types[1] = ALL (event_types) THEN
        taken := pg_advisory_xact_lock_shared(type_locks | (hashtext(event_types[1]) & 63));
    ELSIF condition_tags IS NULL THEN
        PERFORM pg_advisory_xact_lock_shared(k.key) FROM (
            SELECT DISTINCT type_locks | (hashtext(u.type) & 63) AS key FROM unnest(event_types) u(type)
            UNION
            SELECT tag_locks | (hashtext(t.tag) & 255)
            FROM unnest(event_tags) u(literal) CROSS JOIN LATERAL unnest(u.literal::text[]) t(tag)
            ORDER BY key) k;
    ELSE
        PERFORM CASE WHEN k.is_exclusive THEN pg_advisory_xact_lock(k.key)
                     ELSE pg_advisory_xact_lock_shared(k.key) END
        FROM (
            SELECT u.key, bool_or(u.is_exclusive) AS is_exclusive FROM (
                SELECT type_locks | (hashtext(u.type) & 63) AS key, false AS is_exclusive
                FROM unnest(event_types) u(type)
                UNION ALL
                SELECT tag_locks | (hashtext(t.tag) & 255), false
                FROM unnest(event_tags) u(literal) CROSS JOIN LATERAL unnest(u.literal::text[]) t(tag)
                UNION ALL
                SELECT tag_locks | (hashtext(u.tag) & 255), true
                FROM unnest(condition_tags) u(tag) WHERE u.tag IS NOT NULL
            ) u GROUP BY u.key ORDER BY u.key) k;
    END IF;

    -- By subscripts: unnest of nine arrays writes each of them to a store of its own first.
    -- OFFSET 0 keeps the version from being looked up wherever it is mentioned.
    -- The condition in order of position, though any match will do: only an index has that order. Where most
    -- events carry one of a few tags, the server would else hope for a match early in the whole table.
    WITH block AS MATERIALIZED (
        SELECT highwater.draw_positions(cardinality(event_ids)) - cardinality(event_ids) AS before
    ), written AS (
        INSERT INTO highwater.events
            (position, version, event_id, schema_version, stream_id, type, tags, data, metadata)
        SELECT b.before + h.event, h.head + event_places[h.event], event_ids[h.event],
            event_schema_versions[h.event], event_streams[h.event], event_types[h.event],
            event_tags[h.event]::text[], event_data[h.event], event_metadata[h.event]
        FROM block b
        CROSS JOIN (
            SELECT u.event, coalesce(
                (SELECT CASE e.type WHEN 'highwater.tombstone' THEN tombstoned ELSE e.version END
                 FROM highwater.live_events() e
                 WHERE e.stream_id = event_streams[u.event] ORDER BY e.version DESC LIMIT 1),
                highwater.older_head(event_streams[u.event]), 0) AS head
            FROM generate_series(1, cardinality(event_ids)) u(event)
            OFFSET 0) h
        -- If one id is in a sealed partition, nothing is appended: append_batch decides on them all.
        WHERE NOT highwater.knows_any(event_ids)
          AND h.head < tombstoned AND CASE event_expected[h.event]
            WHEN -2 THEN true WHEN -1 THEN h.head > 0 ELSE h.head = event_expected[h.event] END
          AND (condition_tags IS NULL OR
              (SELECT 1 FROM highwater.event_tags t
               WHERE t.tag = condition_tags[h.event] AND t.position > condition_after[h.event]
                 AND (condition_types[h.event] IS NULL
                      OR t.type = ANY (condition_types[h.event]::text[]))
               ORDER BY t.position LIMIT 1) IS NULL)
        RETURNING position, version
    )
    SELECT array_agg((w.position - (SELECT b.before FROM block b))::integer), array_agg(w.position),
        array_agg(w.version)
    INTO appended, positions, versions
    FROM written w;

    IF event_tags IS NOT NULL THEN
        INSERT INTO highwater.event_tags (tag, position, type)
        SELECT DISTINCT t.tag COLLATE "C", d.position, event_types[d.event]
        FROM unnest(appended, positions) d(event, position)
        CROSS JOIN LATERAL unnest(event_tags[d.event]::text[]) t(tag)
        ORDER BY 1, 2;
    END IF;
END
$$;

-- Writes a batch of appends in one transaction and says what became of each.
--
-- Input, in three widths:
--   per append: appends counts them, 1 .. appends
--   per part (an append's events for one stream): its append, its stream, what it expects of the
--     stream's version (-2 anything, -1 at least one event, else exactly this one)
--   per event: its part, its place in the part (1, 2, ...), its stream, id, type, schema version,
--     tags (an array literal, or null), data, metadata
--   per item of a condition (condition_*, null without conditions): its append, the position behind
--     which nothing may match, the item's types and tags (array literals)
--   rivals: pairs of appends. The second's condition asks about an event of the first, which stands
--     before it in the batch and isn't in the log yet: only one of them is appended
-- Output:
--   outcomes, per append: 0 appended, 1 a stream isn't where it was expected, 2 an event id is in
--     the log already, 3 its condition doesn't hold
--   heads, per part: the stream's version when the batch was checked; 9223372036854775807 if it has
--     ended
--   positions: the last position of every append with outcome 0, in order
CREATE FUNCTION highwater.append_batch(
    appends               integer,
    part_appends          integer[],
    part_streams          text[],
    part_expected         bigint[],
    event_parts           integer[],
    event_places          integer[],
    event_streams         text[],
    event_ids             uuid[],
    event_types           text[],
    event_schema_versions bigint[],
    event_tags            text[],
    event_data            json[],
    event_metadata        json[],
    condition_appends     integer[],
    condition_after       bigint[],
    condition_types       text[],
    condition_tags        text[],
    rivals_first          integer[],
    rivals_second         integer[],
    OUT outcomes  integer[],
    OUT heads     bigint[],
    OUT positions bigint[]
)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
-- The arrays' lengths differ from call to call, and planning anew for each costs ten times what an
-- append of one event does. Every statement below has one good plan whatever the lengths.
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    tag_locks  constant bigint := 24002::bigint << 48;
    type_locks constant bigint := (24002::bigint << 48) | 256;
    -- The head of a stream that has ended: nothing goes behind it, whatever is expected.
    tombstoned constant bigint := 9223372036854775807;
    refused record;
BEGIN
    -- Under one snapshot, step 2 would not see what was committed while step 1 waited.
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'append_batch needs READ COMMITTED'
            USING ERRCODE = 'invalid_transaction_state';
    END IF;
    -- What is acknowledged must be on disk, whatever the role's or the database's setting says.
    IF current_setting('synchronous_commit') = 'off' THEN
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;

    -- Step 1: lock what conditions ask about, and what they could be asking about.
    IF condition_appends IS NULL THEN
        PERFORM pg_advisory_xact_lock_shared(k.key) FROM (
            SELECT DISTINCT type_locks | (hashtext(u.type) & 63) AS key FROM unnest(event_types) u(type)
            UNION
            SELECT tag_locks | (hashtext(t.tag) & 255)
            FROM unnest(event_tags) u(literal) CROSS JOIN LATERAL unnest(u.literal::text[]) t(tag)
            ORDER BY key) k;
    ELSE
        PERFORM CASE WHEN k.is_exclusive THEN pg_advisory_xact_lock(k.key)
                     ELSE pg_advisory_xact_lock_shared(k.key) END
        FROM (
            SELECT u.key, bool_or(u.is_exclusive) AS is_exclusive FROM (
                SELECT type_locks | (hashtext(u.type) & 63) AS key, false AS is_exclusive
                FROM unnest(event_types) u(type)
                UNION ALL
                SELECT tag_locks | (hashtext(t.tag) & 255), false
                FROM unnest(event_tags) u(literal) CROSS JOIN LATERAL unnest(u.literal::text[]) t(tag)
                UNION ALL
                SELECT tag_locks | (hashtext((i.tags::text[])[1]) & 255), true
                FROM unnest(condition_tags) i(tags) WHERE cardinality(i.tags::text[]) > 0
                UNION ALL
                SELECT type_locks | (hashtext(t.type) & 63), true
                FROM unnest(condition_types, condition_tags) i(types, tags)
                CROSS JOIN LATERAL unnest(i.types::text[]) t(type)
                WHERE cardinality(i.tags::text[]) = 0
                UNION ALL
                SELECT type_locks | n, true
                FROM unnest(condition_types, condition_tags) i(types, tags)
                CROSS JOIN generate_series(0, 63) n
                WHERE cardinality(i.tags::text[]) = 0 AND cardinality(i.types::text[]) = 0
            ) u GROUP BY u.key ORDER BY u.key) k;
    END IF;

    -- A session learns that a partition was added when it gets a lock on a table that it doesn't hold
    -- yet. A caller's transaction may have read all that is looked at below; this lock it can't have.
    LOCK TABLE highwater.stream_retention IN ROW SHARE MODE;

    -- Step 2, in statements of their own: a snapshot taken before the locks were granted would not
    -- show what their former holders committed (297 of 300 races had two winners).
    -- Scalar subqueries: the planner can't turn them into a join that reads the whole table, as it
    -- would with a plan made while the table was small.
    outcomes := array_fill(0, ARRAY[appends]);
    SELECT array_agg(coalesce(
        (SELECT CASE e.type WHEN 'highwater.tombstone' THEN tombstoned ELSE e.version END
         FROM highwater.live_events() e
         WHERE e.stream_id = p.stream_id ORDER BY e.version DESC LIMIT 1),
        highwater.older_head(p.stream_id), 0) ORDER BY p.part)
    INTO heads
    FROM unnest(part_streams) WITH ORDINALITY p(stream_id, part);

    FOR refused IN
        SELECT part_appends[p.part] AS append
        FROM unnest(part_expected, heads) WITH ORDINALITY p(expected, head, part)
        WHERE p.head = tombstoned
           OR NOT CASE p.expected WHEN -2 THEN true WHEN -1 THEN p.head > 0 ELSE p.head = p.expected END
    LOOP
        outcomes[refused.append] := 1;
    END LOOP;

    -- After the versions, so that it wins: an append that is repeated finds its own events behind
    -- the version that it expects, and must not lose against itself.
    FOR refused IN
        SELECT part_appends[i.part] AS append
        FROM unnest(event_ids, event_parts) i(id, part)
        WHERE (SELECT 1 FROM highwater.live_events() e WHERE e.event_id = i.id LIMIT 1) IS NOT NULL
           OR highwater.knows_any(ARRAY[i.id])
    LOOP
        outcomes[refused.append] := 2;
    END LOOP;

    -- Step 3: the conditions. Most ask about one tag, and need no call of a function. In order of
    -- position, as in append_events.
    IF condition_appends IS NOT NULL AND 0 = ANY (outcomes) THEN
        FOR refused IN
            SELECT c.append
            FROM (
                SELECT u.*, u.types::text[] AS type_array, u.tags::text[] AS tag_array
                FROM unnest(condition_appends, condition_after, condition_types, condition_tags)
                    u(append, after, types, tags)
                WHERE outcomes[u.append] = 0
                OFFSET 0) c
            WHERE CASE WHEN cardinality(c.tag_array) = 1 THEN
                (SELECT 1 FROM highwater.event_tags t
                 WHERE t.tag = c.tag_array[1] AND t.position > c.after
                   AND (cardinality(c.type_array) = 0 OR t.type = ANY (c.type_array))
                 ORDER BY t.position LIMIT 1) IS NOT NULL
            ELSE
                EXISTS (SELECT FROM highwater.matching_positions(
                    ARRAY[c.types], ARRAY[c.tags], c.after, 9223372036854775807, 1))
            END
        LOOP
            outcomes[refused.append] := 3;
        END LOOP;
        -- Then those that are asked about within the batch, in its order: whether the first of two
        -- rivals is appended is known before the second is looked at.
        FOR refused IN
            SELECT r.first, r.second AS append
            FROM unnest(rivals_first, rivals_second) r(first, second)
            WHERE outcomes[r.first] = 0 AND outcomes[r.second] = 0
            ORDER BY r.second, r.first
        LOOP
            IF outcomes[refused.first] = 0 THEN
                outcomes[refused.append] := 3;
            END IF;
        END LOOP;
    END IF;

    IF NOT 0 = ANY (outcomes) THEN
        RETURN;
    END IF;

    -- Step 4: draw and write. Positions follow the order of the batch; rows are written in the order
    -- of streams, which is the same unless an append names several: two processes that wrote two
    -- streams in opposite orders would wait for each other's unique entries.
    WITH block AS MATERIALIZED (
        SELECT highwater.draw_positions(cardinality(event_ids)) - cardinality(event_ids) AS before
    ), drawn AS MATERIALIZED (
        SELECT b.before + e.turn AS position, e.*
        FROM block b
        CROSS JOIN (
            SELECT u.*
            FROM unnest(event_parts, event_places, event_streams, event_ids, event_types,
                event_schema_versions, event_tags, event_data, event_metadata)
                WITH ORDINALITY u(part, place, stream_id, event_id, type, schema_version, tags,
                    data, metadata, turn)
            WHERE outcomes[part_appends[u.part]] = 0
            ORDER BY u.turn) e
    ), written AS (
        INSERT INTO highwater.events
            (position, version, event_id, schema_version, stream_id, type, tags, data, metadata)
        SELECT d.position, heads[d.part] + d.place, d.event_id, d.schema_version, d.stream_id,
            d.type, d.tags::text[], d.data, d.metadata
        FROM drawn d
        ORDER BY d.stream_id COLLATE "C", d.place
    ), tagged AS (
        INSERT INTO highwater.event_tags (tag, position, type)
        SELECT t.tag, d.position, d.type
        FROM drawn d
        CROSS JOIN LATERAL (SELECT DISTINCT u.tag FROM unnest(d.tags::text[]) u(tag)) t
        WHERE d.tags IS NOT NULL
    )
    SELECT array_agg(a.position ORDER BY a.append) INTO positions
    FROM (SELECT part_appends[d.part] AS append, max(d.position) AS position
          FROM drawn d GROUP BY 1) a;
END
$$;

-- append_batch for an append that others overtook. Of all who meet in a stream's unique index one wins,
-- and the winner may be back before who lost has heard of it, time and again. Those who lost once
-- stand in line here, so each loses only to who comes anew; and it looks again as soon as it has
-- lost, before the winner has heard of its success.
--
-- Turns are 256 locks, by hash of the stream. They come before all others, sorted: who waits for one
-- holds nothing but turns before it. A try that loses gives all its other locks back, so each try keeps
-- the order of locks.
CREATE FUNCTION highwater.append_in_turn(
    appends               integer,
    part_appends          integer[],
    part_streams          text[],
    part_expected         bigint[],
    event_parts           integer[],
    event_places          integer[],
    event_streams         text[],
    event_ids             uuid[],
    event_types           text[],
    event_schema_versions bigint[],
    event_tags            text[],
    event_data            json[],
    event_metadata        json[],
    condition_appends     integer[],
    condition_after       bigint[],
    condition_types       text[],
    condition_tags        text[],
    rivals_first          integer[],
    rivals_second         integer[],
    OUT outcomes  integer[],
    OUT heads     bigint[],
    OUT positions bigint[]
)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    turns constant bigint := 24006::bigint << 48;
    tries integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(k.key) FROM (
        SELECT DISTINCT turns | (hashtext(u.stream_id) & 255) AS key
        FROM unnest(part_streams) u(stream_id) ORDER BY key) k;
    LOOP
        BEGIN
            SELECT b.outcomes, b.heads, b.positions INTO outcomes, heads, positions
            FROM highwater.append_batch(
                appends, part_appends, part_streams, part_expected, event_parts, event_places,
                event_streams, event_ids, event_types, event_schema_versions, event_tags, event_data,
                event_metadata, condition_appends, condition_after, condition_types, condition_tags,
                rivals_first, rivals_second) b;
            RETURN;
        EXCEPTION WHEN unique_violation THEN
            tries := tries + 1;
            IF tries = 20 THEN
                RAISE;
            END IF;
        END;
    END LOOP;
END
$$;

-- Appending is granted, not given: see the crate's documentation, "Privileges".
REVOKE ALL ON FUNCTION highwater.append_event, highwater.append_events, highwater.append_batch,
    highwater.append_in_turn, highwater.draw_positions, highwater.wait_for_draw_lock,
    highwater.refuse_for_want_of_room FROM PUBLIC;
