//! When a batch begins beside one that is being written.

use super::*;

#[tokio::test]
async fn beside_a_large_batch_the_next_begins_once_it_has_half_its_size() {
    let mut bench = Bench::start(PipelineLimits::new().with_batches_in_flight(2));
    let _first = bench.append(to("first")).await;
    let first = bench.handed().await;
    let _second = bench.append(to("second")).await;
    let second = bench.handed().await;
    for key in 0..4 {
        drop(bench.append(to(&format!("crowd-{key}"))).await);
    }
    first.commit();
    let crowd = bench.handed().await;
    assert_eq!(crowd.batch.len(), 4);
    second.commit();
    let _one = bench.append(to("one")).await;
    assert!(bench.has_handed_nothing_more().await, "one is too few beside four");
    let _two = bench.append(to("two")).await;
    let beside = bench.handed().await;
    assert_eq!(beside.streams(), ["one", "two"]);
    let _three = bench.append(to("three")).await;
    assert!(bench.has_handed_nothing_more().await, "both workers are busy");
    crowd.commit();
    let last = bench.handed().await;
    assert_eq!(last.streams(), ["three"]);
    last.commit();
    beside.commit();
}

#[tokio::test]
async fn what_is_too_little_for_a_batch_of_its_own_goes_when_the_one_in_flight_ends() {
    let mut bench = Bench::start(PipelineLimits::new().with_batches_in_flight(2));
    let _first = bench.append(to("first")).await;
    let first = bench.handed().await;
    let _second = bench.append(to("second")).await;
    let second = bench.handed().await;
    for key in 0..4 {
        drop(bench.append(to(&format!("crowd-{key}"))).await);
    }
    first.commit();
    let crowd = bench.handed().await;
    second.commit();
    let one = bench.append(to("one")).await;
    assert!(bench.has_handed_nothing_more().await);
    // However it ends: the writer panics.
    drop(crowd);
    bench.handed().await.commit();
    assert!(one.await.expect("no panic").is_ok());
}
