//! The statements that read events, one per kind of question, for events whole and bare.
//!
//! What they select, in the order in which [`Rows`](crate::recorded_row::Rows) reads it, begins with
//! the position and the version. One that reads a single stream leaves the stream out, which everybody
//! knows: each column of a row costs the server some 50 ns.

/// The statements for one kind of event.
pub(crate) struct Statements {
    pub(super) all: &'static str,
    pub(super) category: &'static str,
    pub(super) stream: &'static str,
    pub(super) query: &'static str,
    pub(super) stream_forward: &'static str,
}

/// A further row, if events that were asked for may be gone: the mark in place of the position, and no
/// version. It comes on the snapshot of the events: whoever misses one sees the mark. Postgres never
/// runs a part with a LIMIT in parallel, so the parts keep their order.
macro_rules! mark {
    ($($nulls:literal),+; $of:literal) => {
        concat!(" UNION ALL SELECT m.mark, NULL", $($nulls,)+ " FROM highwater.", $of, " m(mark)")
    };
}
/// Of the log as above, or of the stream: its mark in place of the version, and no position.
macro_rules! marks_along_stream {
    ($nulls:literal) => {
        concat!(
            mark!($nulls; "log_mark($1)"),
            " UNION ALL SELECT NULL, m.mark",
            $nulls,
            " FROM highwater.stream_mark_along_log($4, $1) m(mark)"
        )
    };
}

/// `$columns` come behind position and version, and `$nulls` in their place.
macro_rules! statements {
    ($columns:literal, $nulls:literal) => {
        Statements {
            all: concat!(
                "(SELECT e.position, e.version, ",
                $columns,
                ", e.stream_id FROM highwater.events e
                 WHERE e.position > $1 AND e.position <= $2 ORDER BY e.position LIMIT $3)",
                mark!($nulls, ", NULL"; "log_mark($1)")
            ),
            // '-' ends a category's name and '.' is the next byte: with collation "C" the range holds
            // the category's streams and no others. A tenant's stream has "@tenant/" in front of its
            // category.
            category: concat!(
                "(SELECT e.position, e.version, ",
                $columns,
                ", e.stream_id FROM highwater.events e
                 WHERE e.position > $1 AND e.position <= $2
                   AND CASE WHEN e.stream_id LIKE '@%'
                            THEN substr(e.stream_id, strpos(e.stream_id, '/') + 1)
                            ELSE e.stream_id END >= $4
                   AND CASE WHEN e.stream_id LIKE '@%'
                            THEN substr(e.stream_id, strpos(e.stream_id, '/') + 1)
                            ELSE e.stream_id END < $5
                 ORDER BY e.position LIMIT $3)",
                mark!($nulls, ", NULL"; "log_mark($1)")
            ),
            // By version, which rises with the position, so that the stream's own index serves. Where
            // `after` is an event of the stream, as behind a full page, the scan starts there.
            stream: concat!(
                "(SELECT e.position, e.version, ",
                $columns,
                " FROM highwater.events e
                 WHERE e.stream_id = $4 AND e.position > $1 AND e.position <= $2
                   AND e.version > coalesce((SELECT f.version FROM highwater.events f
                                             WHERE f.position = $1 AND f.stream_id = $4), 0)
                 ORDER BY e.version LIMIT $3)",
                marks_along_stream!($nulls)
            ),
            // The positions first, each alternative from its own index and no more than a page of it;
            // then the events by their positions.
            query: concat!(
                "(SELECT e.position, e.version, ",
                $columns,
                ", e.stream_id FROM (
                     SELECT DISTINCT m.position
                     FROM highwater.matching_positions($4, $5, $1, $2, $3) m(position)
                     ORDER BY m.position LIMIT $3) m
                 JOIN highwater.events e ON e.position = m.position ORDER BY e.position)",
                mark!($nulls, ", NULL"; "log_mark($1)")
            ),
            // A tombstone comes, too, as the last one: to pass it over costs less here than there.
            stream_forward: concat!(
                "(SELECT e.position, e.version, ",
                $columns,
                " FROM highwater.events e
                 WHERE e.stream_id = $1 AND e.version > $2 ORDER BY e.version LIMIT $3)",
                mark!($nulls; "stream_mark($1, $2)")
            ),
        }
    };
}

pub(crate) const WHOLE: Statements = statements!(
    "e.schema_version, e.type, e.data, e.recorded_at, e.event_id, e.tags, e.metadata",
    ", NULL, NULL, NULL, NULL, NULL, NULL, NULL"
);
pub(crate) const BARE: Statements =
    statements!("e.schema_version, e.type, e.data", ", NULL, NULL, NULL");

/// Whole events. Sorted here and not there: asked for an order, the planner might walk the whole log
/// in it.
pub(crate) const BY_ID: &str = "SELECT e.position, e.version, e.schema_version, e.type, e.data,
    e.recorded_at, e.event_id, e.tags, e.metadata, e.stream_id
    FROM highwater.events e WHERE e.event_id = ANY ($1)";
