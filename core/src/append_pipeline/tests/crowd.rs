//! When a batch begins beside one that is being written.

use super::*;

/// One of two workers writes a batch of `size`, and the other has nothing to do.
async fn beside_a_batch_of(size: usize) -> (Bench, Handed) {
    let mut bench = Bench::start(PipelineLimits::new().with_batches_in_flight(2));
    let _first = bench.append(to("first")).await;
    let first = bench.handed().await;
    let _second = bench.append(to("second")).await;
    let second = bench.handed().await;
    for key in 0..size {
        drop(bench.append(to(&format!("crowd-{key}"))).await);
    }
    first.commit();
    let crowd = bench.handed().await;
    assert_eq!(crowd.batch.len(), size);
    second.commit();
    (bench, crowd)
}

#[tokio::test(start_paused = true)]
async fn beside_a_large_batch_the_next_begins_once_it_has_half_its_size() {
    let (mut bench, crowd) = beside_a_batch_of(4).await;
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

#[tokio::test(start_paused = true)]
async fn what_is_too_little_for_a_batch_of_its_own_goes_when_the_one_in_flight_ends() {
    let (mut bench, crowd) = beside_a_batch_of(4).await;
    let one = bench.append(to("one")).await;
    assert!(bench.has_handed_nothing_more().await);
    // However it ends: the writer panics.
    drop(crowd);
    bench.handed().await.commit();
    assert!(one.await.expect("no panic").is_ok());
}

/// The batch in flight may wait for a lock that a caller holds who is about to append.
#[tokio::test(start_paused = true)]
async fn a_batch_that_is_stuck_holds_nobody_who_has_nothing_to_do_with_it() {
    let (mut bench, stuck) = beside_a_batch_of(8).await;
    for key in ["one", "two"] {
        let caller = bench.append(to(key)).await;
        assert!(bench.has_handed_nothing_more().await);
        // Nothing but the clock moves.
        bench.handed().await.commit();
        assert!(caller.await.expect("no panic").is_ok());
    }
    stuck.commit();
}

/// The others' batches keep the disk busy, and what each of these splits off costs a commit more.
#[tokio::test(start_paused = true)]
async fn where_others_append_more_a_crowd_goes_together_or_in_hundreds() {
    let mut bench = Bench::start(PipelineLimits::new().with_batches_in_flight(2));
    for position in [10, 20] {
        drop(bench.append(to(&format!("alone-{position}"))).await);
        bench.handed().await.commit_up_to(position);
    }
    drop(bench.append(to("first")).await);
    let first = bench.handed().await;
    for key in 0..99 {
        drop(bench.append(to(&format!("crowd-{key}"))).await);
    }
    assert!(bench.has_handed_nothing_more().await, "one is in flight, and 99 are no hundred");
    drop(bench.append(to("the hundredth")).await);
    let hundred = bench.handed().await;
    assert_eq!(hundred.batch.len(), 100);
    hundred.commit_up_to(140);
    first.commit_up_to(30);
}
