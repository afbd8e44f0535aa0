//! Conditions against appends in flight: locks first, the check in a later statement.

use super::*;

/// Locks first, the check in a later statement; and every append takes part, tagged or not.
#[tokio::test]
async fn a_condition_waits_for_a_matching_append_in_flight_and_then_fails() {
    let questions = [
        ("one of its tags", Query::of(QueryItem::tagged([tag("x")])), "{about:x,about:y}"),
        (
            "two of its tags",
            Query::of(QueryItem::tagged([tag("y"), tag("x")])),
            "{about:x,about:y}",
        ),
        ("the type of an untagged event", Query::of(QueryItem::types(["matching"])), "{}"),
        ("type and tag", Query::of(QueryItem::types(["matching"]).and_tag(tag("x"))), "{about:x}"),
        ("any event", Query::of(QueryItem::default()), "{}"),
        (
            "an alternative",
            Query::of(QueryItem::types(["other"])).or(QueryItem::types(["matching"])),
            "{}",
        ),
    ];
    for (question, query, tags) in questions {
        let database = database().await;
        let store = open(&database).await;
        let other = Session::open(database.url()).await;
        other.run("BEGIN").await;
        other.append_tagged("test-other", "matching", tags).await;
        // The decision reads while the other append is in flight, and sees nothing of it.
        let after = store.high_water_mark().await.expect("a mark");
        let append = to("mine").with_condition(AppendCondition::new(query, after));
        let appending = tokio::spawn({
            let store = store.clone();
            async move { store.append(append).await }
        });
        other.wait_until_somebody_waits_for("advisory").await;
        other.run("COMMIT").await;
        let outcome = appending.await.expect("no panic");
        assert!(matches!(outcome, Err(AppendError::ConditionFailed)), "{question}: {outcome:?}");
    }
}

/// Waiting for a tag happens before the watermark lock: it holds no reader.
#[tokio::test]
async fn a_condition_that_waits_holds_no_reader() {
    let database = database().await;
    let store = open(&database).await;
    let holder = Session::open(database.url()).await;
    holder.run("BEGIN").await;
    holder.run("SELECT pg_advisory_xact_lock_shared((24002::bigint << 48) | n) FROM generate_series(0, 319) n").await;
    let query = Query::of(QueryItem::tagged([tag("x")]));
    let waiting = to("mine").with_condition(AppendCondition::new(query, GlobalPosition::START));
    let waiting = tokio::spawn({
        let store = store.clone();
        async move { store.append(waiting).await }
    });
    holder.wait_until_somebody_waits_for("advisory").await;
    let position = store.append(to("other")).await.expect("plain appends don't wait").position;
    assert_eq!(store.high_water_mark().await.expect("a mark"), position);
    holder.run("COMMIT").await;
    waiting.await.expect("no panic").expect("the condition holds");
}
