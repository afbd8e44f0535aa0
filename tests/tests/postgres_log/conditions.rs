//! Conditions against appends in flight: locks first, the check in a later statement.

use highwater::PipelineLimits;
use highwater::postgres::PostgresOptions;

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
        for way in Way::ALL.into_iter().filter(|way| *way != Way::Event || tags == "{}") {
            let database = database().await;
            let outcome = outcome_beside(&database, query.clone(), way, tags).await;
            let is_refused = matches!(outcome, Err(AppendError::ConditionFailed));
            assert!(is_refused, "{question}, {way:?}: {outcome:?}");
        }
    }
}

/// Without its shared locks, an append is not waited for: the condition holds though it shouldn't.
#[tokio::test]
async fn a_condition_would_pass_by_an_append_that_took_no_lock_on_its_type_and_tags() {
    for (way, lock) in [
        (Way::Event, "pg_catalog.pg_advisory_xact_lock_shared(type_locks"),
        (Way::Events, "PERFORM pg_advisory_xact_lock_shared(k.key)"),
        (Way::Batch, "PERFORM pg_advisory_xact_lock_shared(k.key)"),
    ] {
        let database = database().await;
        open(&database).await.close().await;
        let without = lock.replace("pg_advisory_xact_lock_shared", "int8abs");
        Session::open(database.url())
            .await
            .change_function(way.function(), &[(lock, &without)])
            .await;
        let query = Query::of(QueryItem::types(["matching"]));
        let outcome = outcome_beside(&database, query, way, "{}").await;
        assert!(outcome.is_ok(), "{way:?}: {outcome:?}");
    }
}

/// Nor is it, by a condition that doesn't shut others out of what it asks about: neither on the short
/// way of a single tag nor on the long one.
#[tokio::test]
async fn a_condition_would_pass_by_an_append_if_it_shared_its_lock() {
    let one_tag = Query::of(QueryItem::tagged([tag("x")]));
    let two_tags = Query::of(QueryItem::tagged([tag("x"), tag("y")]));
    for (asking, query) in [(Way::Events, one_tag), (Way::Batch, two_tags)] {
        let database = database().await;
        open(&database).await.close().await;
        let shared = ("pg_advisory_xact_lock(k.key)", "pg_advisory_xact_lock_shared(k.key)");
        Session::open(database.url()).await.change_function(asking.function(), &[shared]).await;
        let outcome = outcome_beside(&database, query, Way::Batch, "{about:x,about:y}").await;
        assert!(outcome.is_ok(), "{asking:?}: {outcome:?}");
    }
}

/// What becomes of an append on condition that nothing matches `query`, while another that does is
/// in flight and then commits. An append that waits for it is given the time to begin to.
async fn outcome_beside(
    database: &Database,
    query: Query,
    way: Way,
    tags: &str,
) -> Result<highwater::Appended, AppendError> {
    let store = open(database).await;
    let other = Session::open(database.url()).await;
    other.run("BEGIN").await;
    other.append_by(way, "test-other", "matching", tags).await.expect("nobody else appends");
    // The decision reads while the other append is in flight, and sees nothing of it.
    let after = store.high_water_mark().await.expect("a mark");
    let append = to("mine").with_condition(AppendCondition::new(query, after));
    let mut appending = tokio::spawn({
        let store = store.clone();
        async move { store.append(append).await }
    });
    tokio::select! {
        outcome = &mut appending => return outcome.expect("no panic"),
        () = other.wait_until_somebody_waits_for("advisory") => {}
    }
    other.run("COMMIT").await;
    appending.await.expect("no panic")
}

/// Of appends that ask about each other, one wins, though they share a batch: the log doesn't hold
/// the first yet when the second is looked at. The variant that forgets about rivals lets both in.
#[tokio::test]
async fn of_two_in_one_batch_that_ask_about_each_other_the_first_wins() {
    for is_broken in [false, true] {
        let database = database().await;
        let limits = PipelineLimits::new().with_batches_in_flight(1);
        let options = PostgresOptions::new().with_pipeline(limits);
        let store = PostgresStore::connect_with(database.url(), options).await.expect("a log");
        let holder = Session::open(database.url()).await;
        if is_broken {
            let rivals = "FROM unnest(rivals_first, rivals_second) r(first, second)";
            let none = format!("FROM (SELECT 1 AS first, 1 AS second WHERE false) r -- {rivals}");
            holder.change_function(Way::Batch.function(), &[(rivals, &none)]).await;
        }
        let hot = Query::of(QueryItem::tagged([tag("hot")]));
        let on_condition = |key: &str, query: &Query| {
            Append::to(
                stream(key),
                ExpectedVersion::Any,
                vec![event("tested").with_tag(tag("hot"))],
            )
            .with_condition(AppendCondition::new(query.clone(), GlobalPosition::START))
        };
        let spawn = |append: Append| {
            let store = store.clone();
            tokio::spawn(async move { store.append(append).await })
        };
        // The first batch waits, so that the next gathers.
        holder.run("BEGIN").await;
        holder.run("SELECT pg_advisory_xact_lock_shared((24002::bigint << 48) | n) FROM generate_series(0, 255) n").await;
        let cold = Query::of(QueryItem::tagged([tag("cold")]));
        let ahead =
            spawn(to("ahead").with_condition(AppendCondition::new(cold, GlobalPosition::START)));
        holder.wait_until_somebody_waits_for("advisory").await;
        let (first, second) = (spawn(on_condition("b", &hot)), spawn(on_condition("a", &hot)));
        tokio::task::yield_now().await;
        holder.run("COMMIT").await;
        ahead.await.expect("no panic").expect("nobody is cold");
        let first = first.await.expect("no panic").is_ok();
        let second = second.await.expect("no panic").is_ok();
        assert!(first || second);
        assert_eq!(first && second, is_broken, "{first} {second}");
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
