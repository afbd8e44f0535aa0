-- What may be gone, and what has ended. A mark stands here before the first event goes.
--
-- marked_by is the transaction that raised the mark. An append reads the newest version of its stream
-- first and writes behind it later, and what keeps it from writing a version that somebody else has
-- written in between is that one's entry in the unique index. If that event were removed meanwhile,
-- one version would be given twice. So nothing is removed while a snapshot is in use that doesn't see
-- the mark: every append that read before it has ended by then.

-- One row per stream that lost events. removed_to: everything up to this version may be gone. The
-- versions go on behind it even if no event is left: without it a stream that went whole would begin
-- at 1 again, and one version would stand for two events.
-- removed_position: where that version stood, for readers of the stream along the log, who name a
-- position. 0 if the event went with the log before: then the log's mark speaks.
-- is_tombstoned: the stream's tombstone went, too. While it is there, it speaks for itself.
CREATE TABLE highwater.stream_retention (
    stream_id        text    COLLATE "C" PRIMARY KEY,
    removed_to       bigint  NOT NULL CHECK (removed_to > 0),
    removed_position bigint  NOT NULL DEFAULT 0,
    is_tombstoned    boolean NOT NULL DEFAULT false,
    marked_by        xid8    NOT NULL DEFAULT pg_current_xact_id()
);

-- One row: everything up to this position may be gone.
-- has_begun: there may be marks. Nobody looks for any before (begin_retention): most logs never have
-- one, and looking costs every append and every read.
CREATE TABLE highwater.log_retention (
    is_only_row boolean PRIMARY KEY DEFAULT true CHECK (is_only_row),
    removed_to  bigint  NOT NULL DEFAULT 0,
    marked_by   xid8    NOT NULL DEFAULT pg_current_xact_id(),
    has_begun   boolean NOT NULL DEFAULT false
);
INSERT INTO highwater.log_retention DEFAULT VALUES;

CREATE FUNCTION highwater.insist_on_begun_retention() RETURNS trigger
LANGUAGE plpgsql VOLATILE
AS $$
BEGIN
    IF NOT (SELECT r.has_begun FROM highwater.log_retention r) THEN
        RAISE EXCEPTION 'nobody would look at this mark'
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Call highwater.begin_retention.';
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER marks_are_looked_at BEFORE INSERT ON highwater.stream_retention
    FOR EACH STATEMENT EXECUTE FUNCTION highwater.insist_on_begun_retention();
CREATE TRIGGER marks_are_looked_at BEFORE UPDATE OF removed_to ON highwater.log_retention
    FOR EACH STATEMENT EXECUTE FUNCTION highwater.insist_on_begun_retention();

-- What readers see of the marks: that of the log, if it stands behind `after`; that of a stream, if it
-- stands behind that version, or behind that position. Nothing, and the planner leaves them out, before
-- there can be any.
CREATE FUNCTION highwater.log_mark(after bigint) RETURNS SETOF bigint
LANGUAGE sql STABLE AS 'SELECT NULL::pg_catalog.int8 WHERE false';
CREATE FUNCTION highwater.stream_mark(stream text, after bigint) RETURNS SETOF bigint
LANGUAGE sql STABLE AS 'SELECT NULL::pg_catalog.int8 WHERE false';
CREATE FUNCTION highwater.stream_mark_along_log(stream text, after bigint) RETURNS SETOF bigint
LANGUAGE sql STABLE AS 'SELECT NULL::pg_catalog.int8 WHERE false';

-- Lets appends and readers look for marks: needed before the first one, and done once. Under the locks of
-- all appends (close_log, 0011_partitions.sql): one that doesn't look yet has ended before anything is
-- marked. And alone with the table: a reader has its plan before it has its snapshot, and in between it
-- holds the table; so one that doesn't look has ended, too. It waits for them, a dump among them, and those who come meanwhile for it. So it gives up soon
-- (lock_timeout), and is called again.
CREATE FUNCTION highwater.begin_retention() RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '100ms'
AS $$
BEGIN
    IF (SELECT r.has_begun FROM highwater.log_retention r) THEN
        RETURN;
    END IF;
    PERFORM highwater.insist_on_read_committed();
    PERFORM pg_advisory_xact_lock(24005::bigint << 48);
    PERFORM highwater.close_log();
    LOCK TABLE ONLY highwater.events IN ACCESS EXCLUSIVE MODE;
    UPDATE highwater.log_retention SET has_begun = true;
    PERFORM highwater.write_older_lookups();
    CREATE OR REPLACE FUNCTION highwater.log_mark(after bigint) RETURNS SETOF bigint
    LANGUAGE sql STABLE AS 'SELECT r.removed_to FROM highwater.log_retention r
        WHERE r.removed_to OPERATOR(pg_catalog.>) after';
    CREATE OR REPLACE FUNCTION highwater.stream_mark(stream text, after bigint) RETURNS SETOF bigint
    LANGUAGE sql STABLE AS 'SELECT r.removed_to FROM highwater.stream_retention r
        WHERE r.stream_id OPERATOR(pg_catalog.=) stream AND r.removed_to OPERATOR(pg_catalog.>) after';
    CREATE OR REPLACE FUNCTION highwater.stream_mark_along_log(stream text, after bigint)
    RETURNS SETOF bigint
    LANGUAGE sql STABLE AS 'SELECT r.removed_to FROM highwater.stream_retention r
        WHERE r.stream_id OPERATOR(pg_catalog.=) stream
          AND r.removed_position OPERATOR(pg_catalog.>) after';
END
$$;

REVOKE ALL ON FUNCTION highwater.begin_retention FROM PUBLIC;

-- The transactions of this database that may use a snapshot which doesn't see what transaction
-- `marker` committed. Asked after the commit, so whoever comes later sees it.
-- A snapshot that doesn't was taken while the marker ran or before it began, so its oldest
-- transaction isn't younger than the marker; and it is published (backend_xmin) before the marker can
-- commit. The reverse isn't true: a write transaction of another database that is still open makes
-- every snapshot look old. Hence transactions are named and their end is waited for, once: nobody
-- waits for those that begin meanwhile.
-- age() counts from the next transaction to begin, which is not before xmax: so a snapshot is rather
-- taken for older than it is.
CREATE FUNCTION highwater.transactions_before(marker xid8) RETURNS text[]
LANGUAGE sql VOLATILE
AS $$
    SELECT coalesce(array_agg(l.virtualxid), '{}')
    FROM pg_catalog.pg_stat_activity a
    JOIN pg_catalog.pg_locks l ON l.pid = a.pid AND l.locktype = 'virtualxid' AND l.granted
        AND l.virtualxid = l.virtualtransaction
    WHERE a.datname = current_database() AND a.pid <> pg_backend_pid()
      AND a.backend_xmin IS NOT NULL
      AND pg_snapshot_xmax(pg_current_snapshot())::text::numeric - age(a.backend_xmin)
          <= marker::text::numeric
$$;
