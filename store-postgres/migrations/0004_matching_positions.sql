-- The first `at_most` positions in (after, up_to] per alternative of a query; not sorted, and a
-- position that matches several alternatives comes several times.
--
-- A query is given as one array literal of types and one of tags per item. An event matches an item
-- if its type is among the types, or there are none, and it carries all the tags. Every branch reads
-- an index in order of position and stops after `at_most` rows.
CREATE FUNCTION highwater.matching_positions(
    item_types text[],
    item_tags  text[],
    after      bigint,
    up_to      bigint,
    at_most    bigint
) RETURNS SETOF bigint
LANGUAGE plpgsql STABLE
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    types text[];
    tags  text[];
    rare  text;
    wanted_type text COLLATE "C";
BEGIN
    FOR item IN 1 .. coalesce(cardinality(item_types), 0) LOOP
        types := item_types[item]::text[];
        tags := item_tags[item]::text[];
        IF cardinality(tags) > 0 THEN
            -- Start from a tag that few events carry. Counting to 64 tells rare from common. In order of
            -- position, so that an index is read, however many events carry the tag.
            rare := tags[1];
            IF cardinality(tags) > 1 THEN
                SELECT u.tag INTO rare
                FROM unnest(tags) u(tag)
                ORDER BY (SELECT count(*) FROM (
                    SELECT 1 FROM highwater.event_tags t
                    WHERE t.tag = u.tag AND t.position > after
                    ORDER BY t.position LIMIT 64) few)
                LIMIT 1;
            END IF;
            RETURN QUERY
            SELECT t.position
            FROM highwater.event_tags t
            WHERE t.tag = rare AND t.position > after AND t.position <= up_to
              AND (cardinality(types) = 0 OR t.type = ANY (types))
              AND NOT EXISTS (
                  SELECT 1 FROM unnest(tags) other(tag)
                  WHERE other.tag <> rare AND (
                      SELECT 1 FROM highwater.event_tags o
                      WHERE o.tag = other.tag AND o.position = t.position LIMIT 1) IS NULL)
            ORDER BY t.position LIMIT at_most;
        ELSIF cardinality(types) > 0 THEN
            FOREACH wanted_type IN ARRAY types LOOP
                RETURN QUERY
                -- Rows compared as a pair: only the index on (type, position) has that order, so a
                -- rare type is never looked for by walking the log. The position alone once more:
                -- by it, partitions are left out.
                SELECT e.position FROM highwater.events e
                WHERE (e.type, e.position) > (wanted_type, after)
                  AND (e.type, e.position) <= (wanted_type, up_to)
                  AND e.position > after AND e.position <= up_to
                ORDER BY e.type, e.position LIMIT at_most;
            END LOOP;
        ELSE
            RETURN QUERY
            SELECT e.position FROM highwater.events e
            WHERE e.position > after AND e.position <= up_to
            ORDER BY e.position LIMIT at_most;
        END IF;
    END LOOP;
END
$$;
