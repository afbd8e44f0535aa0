-- The one way into the log: writes a batch of appends in one transaction and says what became of
-- each. Called as a statement of its own, so the transaction ends with it.
--
-- Input, in three widths:
--   per append: appends counts them, 1 .. appends
--   per part (an append's events for one stream): its append, its stream, what it expects of the
--     stream's version (-2 anything, -1 at least one event, else exactly this one)
--   per event: its part, its place in the part (1, 2, ...), its stream, id, type, schema version,
--     tags (an array literal, or null), data, metadata
--   condition_*: null, or a condition for the batch as a whole
-- Output:
--   outcomes, per append: 0 appended, 1 a stream isn't where it was expected, 2 an event id is in
--     the log already, 3 the condition doesn't hold
--   heads, per part: the stream's version when the batch was checked
--   positions: the last position of every append with outcome 0, in order
--
-- Locks are taken in this order, and no statement waits for one that comes earlier:
--   tag and type locks, sorted by key  ->  watermark lock (never waits)  ->  unique index entries,
--   sorted by stream and version. So appends can't lock each other in a circle.
--
-- SECURITY DEFINER: whoever may append needs no right to insert, so nobody can insert past the locks.
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
    condition_after       bigint,
    condition_types       text[],
    condition_tags        text[],
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
    lock    record;
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

    -- Step 1: lock what conditions ask about. A condition must see every matching event that
    -- commits before its own append does. So every append takes a shared lock on each of its tags
    -- and types, tagged or not, and a conditional one an exclusive lock that every matching event
    -- must meet: on one tag of an item with tags (a match carries all of them), on every type of an
    -- item with types alone, on all types of an item with neither (every event has a type).
    -- Tags share 256 locks and types 64, by hash: the server's lock table is small (some 6,400 by
    -- default), and a batch may carry thousands of tags. Two tags that share one wait for each other
    -- needlessly, for as long as a commit takes. Sorted, so that two batches can't wait in a circle.
    IF condition_after IS NULL THEN
        PERFORM pg_advisory_xact_lock_shared(k.key) FROM (
            SELECT DISTINCT type_locks | (hashtext(u.type) & 63) AS key FROM unnest(event_types) u(type)
            UNION
            SELECT tag_locks | (hashtext(t.tag) & 255)
            FROM unnest(event_tags) u(literal) CROSS JOIN LATERAL unnest(u.literal::text[]) t(tag)
            ORDER BY key) k;
    ELSE
        FOR lock IN
            SELECT k.key, bool_or(k.is_exclusive) AS is_exclusive FROM (
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
            ) k GROUP BY k.key ORDER BY k.key
        LOOP
            IF lock.is_exclusive THEN
                PERFORM pg_advisory_xact_lock(lock.key);
            ELSE
                PERFORM pg_advisory_xact_lock_shared(lock.key);
            END IF;
        END LOOP;
    END IF;

    -- Step 2, in statements of their own: a snapshot taken before the locks were granted would not
    -- show what their former holders committed (297 of 300 races had two winners).
    -- Scalar subqueries: the planner can't turn them into a join that reads the whole table, as it
    -- would with a plan made while the table was small.
    outcomes := array_fill(0, ARRAY[appends]);
    SELECT array_agg(coalesce(
        (SELECT e.version FROM highwater.events e
         WHERE e.stream_id = p.stream_id ORDER BY e.version DESC LIMIT 1), 0) ORDER BY p.part)
    INTO heads
    FROM unnest(part_streams) WITH ORDINALITY p(stream_id, part);

    FOR refused IN
        SELECT part_appends[p.part] AS append
        FROM unnest(part_expected, heads) WITH ORDINALITY p(expected, head, part)
        WHERE NOT CASE p.expected WHEN -2 THEN true WHEN -1 THEN p.head > 0 ELSE p.head = p.expected END
    LOOP
        outcomes[refused.append] := 1;
    END LOOP;

    -- After the versions, so that it wins: an append that is repeated finds its own events behind
    -- the version that it expects, and must not lose against itself.
    FOR refused IN
        SELECT part_appends[i.part] AS append
        FROM unnest(event_ids, event_parts) i(id, part)
        WHERE (SELECT 1 FROM highwater.events e WHERE e.event_id = i.id LIMIT 1) IS NOT NULL
    LOOP
        outcomes[refused.append] := 2;
    END LOOP;

    -- Step 3: the condition.
    IF condition_after IS NOT NULL AND 0 = ANY (outcomes) THEN
        PERFORM 1 FROM highwater.matching_positions(
            condition_types, condition_tags, condition_after, 9223372036854775807, 1) LIMIT 1;
        IF FOUND THEN
            outcomes := array_replace(outcomes, 0, 3);
        END IF;
    END IF;

    IF NOT 0 = ANY (outcomes) THEN
        RETURN;
    END IF;

    -- Step 4: the watermark lock, before the first position is drawn (high_water_mark has the
    -- proof: a lock taken afterwards would leave a moment in which a reader sees a position drawn
    -- and nobody holding it, and skips the event). Behind step 1, because readers stop below an
    -- append that holds it: waiting for a tag must not hold readers. Shared with every other append:
    -- nobody takes it exclusively, so it never waits.
    PERFORM pg_advisory_xact_lock_shared((24001::bigint << 48) | s.last_value)
    FROM highwater.event_position s;

    -- Step 5: draw and write. Positions are drawn in the order of the batch; rows are written in
    -- the order of streams, which is the same unless an append names several: two processes that
    -- wrote two streams in opposite orders would wait for each other's unique entries.
    -- A stream that another process appends to at this moment makes the insert wait for that
    -- process's commit, and then fail with a unique violation; if it aborts instead, go on.
    WITH drawn AS MATERIALIZED (
        SELECT nextval('highwater.event_position') AS position, e.*
        FROM (
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

-- Appending is granted, not given: see the crate's documentation, "Privileges".
REVOKE ALL ON FUNCTION highwater.append_batch FROM PUBLIC;
