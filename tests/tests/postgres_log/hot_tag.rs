//! A condition on a tag that a million events carry costs a few steps in an index. The server counts
//! them; nothing is timed.

use super::*;

/// Every one of them carries the hot tag, one in a thousand the rare one.
const EVENTS: i64 = 1_000_000;
/// What was appended since the decision was made.
const BEHIND: i64 = 5;
/// A few: each entry that was appended since, for each thing that is asked about.
const FEW: i64 = 40;

/// Conditions look at the tags alone, so the events themselves are left out.
async fn log_with_a_hot_tag() -> (Database, Session) {
    let database = database().await;
    open(&database).await.close().await;
    let session = Session::open(database.url()).await;
    let fill = format!(
        "INSERT INTO highwater.event_tags SELECT 'about:hot', n, 'tested' FROM generate_series(1, {EVENTS}) n;
         INSERT INTO highwater.event_tags SELECT 'about:rare', n, 'tested' FROM generate_series(1000, {EVENTS}, 1000) n;
         SELECT setval('highwater.event_position', {EVENTS})"
    );
    session.run(&fill).await;
    (database, session)
}

/// An append on condition that nothing of a type carries all of the tags: by the short way if it is about one tag.
fn append_unless(tags: &str, types: &str) -> String {
    let after = EVENTS - BEHIND;
    if tags.contains(',') {
        format!(
            "highwater.append_batch(1, '{{1}}', '{{test-a}}', '{{-2}}', '{{1}}', '{{1}}', '{{test-a}}',
             ARRAY[gen_random_uuid()], '{{tested}}', '{{1}}', ARRAY['{{about:hot}}'], ARRAY['{{}}'::json],
             ARRAY[NULL::json], '{{1}}', '{{{after}}}', ARRAY['{types}'], ARRAY['{tags}'], NULL, NULL)"
        )
    } else {
        format!(
            "highwater.append_events('{{test-a}}', '{{-2}}', '{{1}}', ARRAY[gen_random_uuid()], '{{tested}}',
             '{{1}}', ARRAY['{{about:hot}}'], ARRAY['{{}}'::json], NULL, ARRAY[btrim('{tags}', '{{}}')],
             '{{{after}}}', ARRAY['{types}'])"
        )
    }
}

/// What this session has looked at of the tags, in the table and in its indexes.
const LOOKED_AT: &str = "SELECT (pg_stat_get_xact_tuples_returned(t.oid) + coalesce((
        SELECT sum(pg_stat_get_xact_tuples_returned(i.indexrelid)) FROM pg_index i
        WHERE i.indrelid = t.oid), 0))::bigint
    FROM pg_class t WHERE t.oid = 'highwater.event_tags'::regclass";

/// How many entries of the tags the server looks at for it.
async fn looked_at(session: &Session, append: &str) -> i64 {
    session.run("BEGIN").await;
    let before = session.number(LOOKED_AT).await;
    session.run(&format!("SELECT {append}")).await;
    let behind = session.number(LOOKED_AT).await;
    session.run("ROLLBACK").await;
    behind - before
}

#[tokio::test]
async fn a_condition_on_a_tag_that_a_million_events_carry_costs_a_few_steps_in_an_index() {
    let (_database, session) = log_with_a_hot_tag().await;
    let conditions = [
        ("{about:hot}", "{other}"),
        ("{about:hot}", "{}"),
        ("{about:hot,about:rare}", "{other}"),
        ("{about:rare,about:hot}", "{}"),
        ("{about:hot,about:new}", "{}"),
    ];
    // With what the server knew of a log that was empty, and with what it knows of this one.
    for statistics in ["SELECT 1", "ANALYZE highwater.event_tags"] {
        session.run(statistics).await;
        for (tags, types) in conditions {
            let looked_at = looked_at(&session, &append_unless(tags, types)).await;
            assert!(looked_at <= FEW, "{tags} {types}, behind {statistics}: {looked_at}");
        }
    }
    session.run("ALTER TABLE highwater.event_tags DROP CONSTRAINT event_tags_pkey").await;
    for (tags, types) in conditions {
        let looked_at = looked_at(&session, &append_unless(tags, types)).await;
        assert!(looked_at > EVENTS / 2, "the variant can't fail: {looked_at}");
    }
}
