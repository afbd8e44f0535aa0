//! Conditional appends in the pipeline: whom they share a batch with, and whom they never hold up.

use super::*;

#[tokio::test]
async fn conditional_appends_share_batches_with_their_like_and_no_kind_is_passed_over() {
    let mut bench = Bench::one_at_a_time();
    let _x = bench.append(to("x")).await;
    let first = bench.handed().await;
    let condition = || AppendCondition::new(Query::default(), GlobalPosition::START);
    let conditional = |key| to(key).with_condition(condition());
    for append in [conditional("a"), to("b"), conditional("c"), to("d")] {
        drop(bench.append(append).await);
    }
    // Dropping a handle detaches the task: its caller still waits.
    first.commit();
    let handed = bench.handed().await;
    assert_eq!(handed.streams(), ["a", "c"]);
    // What comes now goes behind the plain appends, which have waited for longer.
    drop(bench.append(conditional("e")).await);
    handed.commit();
    for streams in [vec!["b", "d"], vec!["e"]] {
        let handed = bench.handed().await;
        assert_eq!(handed.streams(), streams);
        handed.commit();
    }
}

#[tokio::test]
async fn conditions_that_wait_for_locks_hold_no_plain_append() {
    let mut bench = Bench::start(PipelineLimits::new().with_batches_in_flight(2));
    let condition = AppendCondition::new(Query::default(), GlobalPosition::START);
    let conditional = |key| to(key).with_condition(condition.clone());
    let _a = bench.append(conditional("a")).await;
    let in_a = bench.handed().await;
    let _b = bench.append(conditional("b")).await;
    assert!(bench.has_handed_nothing_more().await, "conditions are in flight already");
    for key in ["c", "d"] {
        let _plain = bench.append(to(key)).await;
        let handed = bench.handed().await;
        assert_eq!(handed.streams(), [key]);
        handed.commit();
    }
    in_a.commit();
    let in_b = bench.handed().await;
    assert_eq!(in_b.streams(), ["b"]);
    // A writer that panics is no longer in flight either.
    drop(in_b);
    let _e = bench.append(conditional("e")).await;
    bench.handed().await.commit();
}

#[tokio::test]
async fn a_batch_holds_a_hundred_conditional_appends_at_most() {
    let mut bench = Bench::one_at_a_time();
    let _x = bench.append(to("x")).await;
    let first = bench.handed().await;
    let condition = AppendCondition::new(Query::default(), GlobalPosition::START);
    for key in 0..150 {
        drop(bench.append(to(&key.to_string()).with_condition(condition.clone())).await);
    }
    first.commit();
    for count in [100, 50] {
        let handed = bench.handed().await;
        assert_eq!(handed.batch.len(), count);
        handed.commit();
    }
}
