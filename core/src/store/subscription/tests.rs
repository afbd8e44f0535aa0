//! Reading along, on a clock that stands still: whoever is woken is woken at once, and whoever
//! polls is seen to wait.

use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use tokio::time::Instant;

use super::*;
use crate::testing::{FaultyStore, ReadFault};
use crate::{Append, ExpectedVersion, MemoryStore, NewEvent, StoreLayer, StreamId};

fn store() -> Arc<FaultyStore> {
    Arc::new(FaultyStore::new(Arc::new(MemoryStore::new())))
}

fn from_the_start(store: &Arc<FaultyStore>) -> Subscription {
    Subscription::new(store.clone(), Selection::All, GlobalPosition::START)
}

async fn append(store: &impl EventStore, event_type: &'static str, count: usize) {
    let event = |_| NewEvent::new(event_type, &1).unwrap();
    let stream = StreamId::new("test", event_type).unwrap();
    let append = Append::to(stream, ExpectedVersion::Any, (0..count).map(event).collect());
    store.append(append).await.unwrap();
}

/// Twenty events come as soon as somebody has read to the end.
struct GrowsAtItsEnd {
    inner: MemoryStore,
    has_grown: AtomicBool,
}

#[async_trait]
impl StoreLayer for GrowsAtItsEnd {
    fn inner(&self) -> &dyn EventStore {
        &self.inner
    }

    async fn read_all(
        &self,
        selection: &Selection,
        after: GlobalPosition,
        limit: usize,
    ) -> Result<Page, ReadError> {
        let page = self.inner.read_all(selection, after, limit).await?;
        if page.is_last && !self.has_grown.swap(true, Ordering::SeqCst) {
            append(&self.inner, "new", 20).await;
        }
        Ok(page)
    }
}

/// The next page. Who waits for ever is noticed: an hour costs nothing here.
async fn next(subscription: &mut Subscription) -> Result<Page, ReadError> {
    let an_hour = Duration::from_secs(3_600);
    tokio::time::timeout(an_hour, subscription.next_page()).await.expect("a page within the hour")
}

/// Reads until `last` has been seen, and says what was.
async fn seen_up_to(subscription: &mut Subscription, last: u64) -> Vec<u64> {
    let mut seen = Vec::new();
    while seen.last() != Some(&last) {
        let page = next(subscription).await.unwrap();
        seen.extend(page.events.iter().map(|event| event.position.get()));
    }
    seen
}

#[tokio::test(start_paused = true)]
async fn it_catches_up_and_then_reads_along_without_losing_or_doubling() {
    let store = store();
    append(&*store, "old", 25).await;
    let mut subscription = from_the_start(&store).with_page_size(4);
    let writes = async {
        for number in 0..50 {
            append(&*store, "new", 1).await;
            // Now among reads, now while the reader waits.
            tokio::time::sleep(Duration::from_millis(number % 4)).await;
        }
    };
    let (seen, ()) = tokio::join!(seen_up_to(&mut subscription, 75), writes);
    assert_eq!(seen, (1..=75).collect::<Vec<_>>());
    assert_eq!(subscription.position(), GlobalPosition::new(75));
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_waits_is_woken_by_an_append_at_once() {
    let store = store();
    let mut subscription = from_the_start(&store);
    let writes = async {
        // Long enough for the polling to have become slow, and off its beat.
        tokio::time::sleep(Duration::from_millis(10_013)).await;
        append(&*store, "tested", 1).await;
        Instant::now()
    };
    let reads = async {
        next(&mut subscription).await.unwrap();
        Instant::now()
    };
    let (read, written) = tokio::join!(reads, writes);
    assert_eq!(read, written);
}

#[tokio::test(start_paused = true)]
async fn an_append_between_a_read_and_the_wait_behind_it_is_not_slept_through() {
    let store = store();
    let mut subscription = from_the_start(&store);
    // The read finds nothing, and its answer takes a second.
    store.fail_next_read(ReadFault::Delay(Duration::from_secs(1)));
    let begin = Instant::now();
    let writes = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        append(&*store, "tested", 1).await;
    };
    let (page, ()) = tokio::join!(next(&mut subscription), writes);
    assert_eq!(page.unwrap().events.len(), 1);
    assert_eq!((begin.elapsed(), store.reads()), (Duration::from_secs(1), 2));
}

#[tokio::test(start_paused = true)]
async fn appends_of_other_processes_are_seen_by_polling() {
    let inner = Arc::new(MemoryStore::new());
    let store = Arc::new(FaultyStore::new(inner).without_signals());
    let mut subscription = from_the_start(&store);
    let writes = async {
        tokio::time::sleep(Duration::from_secs(60)).await;
        append(&*store, "tested", 1).await;
        Instant::now()
    };
    let reads = async {
        next(&mut subscription).await.unwrap();
        Instant::now()
    };
    let (read, written) = tokio::join!(reads, writes);
    // The clock of tokio counts whole milliseconds.
    assert!(read - written <= LONGEST_POLL + Duration::from_millis(1), "{:?}", read - written);
    assert!(store.reads() < 650, "a quiet log is left in peace: {} reads", store.reads());
}

#[tokio::test(start_paused = true)]
async fn polling_is_quick_again_once_the_log_has_moved() {
    let inner = Arc::new(MemoryStore::new());
    let store = Arc::new(FaultyStore::new(inner).without_signals());
    let mut subscription = from_the_start(&store);
    append(&*store, "tested", 1).await;
    subscription.poll = LONGEST_POLL;
    next(&mut subscription).await.unwrap();
    assert_eq!(subscription.poll, SHORTEST_POLL);
}

#[tokio::test(start_paused = true)]
async fn a_page_is_never_larger_than_asked_for_and_never_empty_by_request() {
    let store = store();
    append(&*store, "tested", 5).await;
    for (asked, expected) in [(2, vec![2, 2, 1]), (5, vec![5]), (0, vec![1, 1, 1, 1, 1])] {
        let mut subscription = from_the_start(&store).with_page_size(asked);
        let mut sizes = Vec::new();
        while subscription.position() < GlobalPosition::new(5) {
            sizes.push(next(&mut subscription).await.unwrap().events.len());
        }
        assert_eq!(sizes, expected, "{asked} asked for");
    }
}

#[tokio::test(start_paused = true)]
async fn a_page_of_events_that_nobody_wants_moves_the_reader_on() {
    let store = store();
    append(&*store, "noise", 40).await;
    let selection = Selection::types(["wanted"]);
    let mut subscription =
        Subscription::new(store.clone(), selection, GlobalPosition::START).with_page_size(3);
    let page = next(&mut subscription).await.unwrap();
    assert!(page.events.is_empty());
    assert_eq!((page.read_to.get(), subscription.position().get()), (40, 40));
    append(&*store, "wanted", 1).await;
    append(&*store, "noise", 1).await;
    let page = next(&mut subscription).await.unwrap();
    assert_eq!((page.events.len(), page.read_to.get()), (1, 42));
}

#[tokio::test(start_paused = true)]
async fn bare_it_gives_the_same_events_in_the_same_order() {
    let store = store();
    append(&*store, "tested", 25).await;
    let whole = from_the_start(&store).next_page().await.unwrap().map(BareEvent::from);
    let mut subscription = from_the_start(&store).with_page_size(10).bare();
    let mut bare = Vec::new();
    while bare.len() < 25 {
        bare.extend(subscription.next_page().await.unwrap().events);
    }
    assert_eq!(bare, whole.events);
}

#[tokio::test(start_paused = true)]
async fn it_begins_behind_the_position_that_it_is_given() {
    let store = store();
    append(&*store, "tested", 5).await;
    let mut subscription = Subscription::new(store.clone(), Selection::All, GlobalPosition::new(3));
    assert_eq!(seen_up_to(&mut subscription, 5).await, [4, 5]);
}

#[tokio::test(start_paused = true)]
async fn after_an_error_it_goes_on_from_the_same_place() {
    let store = store();
    append(&*store, "tested", 5).await;
    let mut subscription = from_the_start(&store).with_page_size(2);
    next(&mut subscription).await.unwrap();
    for fault in [ReadFault::Unavailable, ReadFault::Corrupt] {
        store.fail_next_read(fault);
        next(&mut subscription).await.unwrap_err();
        assert_eq!(subscription.position(), GlobalPosition::new(2));
    }
    assert_eq!(seen_up_to(&mut subscription, 5).await, [3, 4, 5]);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_call_loses_nothing() {
    let store = store();
    append(&*store, "tested", 5).await;
    let mut subscription = from_the_start(&store);
    store.fail_next_read(ReadFault::Delay(Duration::from_secs(60)));
    let patience = Duration::from_secs(1);
    tokio::time::timeout(patience, subscription.next_page()).await.unwrap_err();
    assert_eq!(seen_up_to(&mut subscription, 5).await, [1, 2, 3, 4, 5]);
    tokio::time::timeout(patience, subscription.next_page()).await.unwrap_err();
    append(&*store, "tested", 1).await;
    assert_eq!(seen_up_to(&mut subscription, 6).await, [6]);
}

#[tokio::test(start_paused = true)]
async fn behind_the_end_of_a_dense_log_two_pages_are_read_ahead_and_no_more() {
    let store = store();
    append(&*store, "tested", 30).await;
    let mut subscription = from_the_start(&store).with_page_size(10);
    for (position, reads) in [(10, 3), (20, 4), (30, 5)] {
        next(&mut subscription).await.unwrap();
        // Time for whoever has something to do; nobody asks for the page meanwhile.
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!((subscription.position().get(), store.reads()), (position, reads));
    }
}

#[tokio::test(start_paused = true)]
async fn what_fails_ahead_is_told_to_who_asks_and_then_read_again() {
    let store = store();
    append(&*store, "tested", 4).await;
    let mut subscription = from_the_start(&store).with_page_size(2);
    next(&mut subscription).await.unwrap();
    store.fail_next_read(ReadFault::Unavailable);
    assert!(next(&mut subscription).await.is_err());
    let page = next(&mut subscription).await.unwrap();
    assert_eq!((page.events.len(), page.read_to.get()), (2, 4));
}

#[tokio::test(start_paused = true)]
async fn a_dropped_call_leaves_the_page_that_is_on_its_way_to_the_next_one() {
    let store = store();
    append(&*store, "tested", 4).await;
    let mut subscription = from_the_start(&store).with_page_size(2);
    next(&mut subscription).await.unwrap();
    store.fail_next_read(ReadFault::Delay(Duration::from_secs(5)));
    let soon = Duration::from_secs(1);
    assert!(tokio::time::timeout(soon, subscription.next_page()).await.is_err());
    assert_eq!(next(&mut subscription).await.unwrap().read_to.get(), 4);
    // The first, the one that it was left to, and one behind that.
    assert_eq!(store.reads(), 3);
}

#[tokio::test(start_paused = true)]
async fn what_is_appended_behind_a_page_read_ahead_wakes_the_reader_at_once() {
    let store = store();
    append(&*store, "tested", 2).await;
    let mut subscription = from_the_start(&store).with_page_size(2);
    next(&mut subscription).await.unwrap();
    // Ahead there is nothing, and then there is.
    tokio::time::sleep(Duration::from_secs(1)).await;
    append(&*store, "tested", 1).await;
    let begin = Instant::now();
    assert_eq!(next(&mut subscription).await.unwrap().read_to.get(), 3);
    assert_eq!(begin.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn two_pages_of_a_dense_log_are_on_their_way_at_the_same_time() {
    let store = store();
    append(&*store, "tested", 6).await;
    let mut subscription = from_the_start(&store).with_page_size(2);
    next(&mut subscription).await.unwrap();
    for _ in 0..2 {
        store.fail_next_read(ReadFault::Delay(Duration::from_secs(5)));
    }
    let begin = Instant::now();
    assert_eq!(seen_up_to(&mut subscription, 6).await, [3, 4, 5, 6]);
    assert_eq!((begin.elapsed(), store.faults_left()), (Duration::from_secs(5), 0));
}

#[tokio::test(start_paused = true)]
async fn pages_that_share_events_give_each_of_them_once() {
    let store = store();
    let selection = Selection::types(["wanted"]);
    let mut wanted = Vec::new();
    // Dense enough for two pages ahead, and with a gap in every one of them.
    for position in (10..=100).step_by(10) {
        append(&*store, "wanted", 9).await;
        append(&*store, "noise", 1).await;
        wanted.extend(position - 9..position);
    }
    let mut subscription =
        Subscription::new(store.clone(), selection, GlobalPosition::START).with_page_size(15);
    assert_eq!(seen_up_to(&mut subscription, 99).await, wanted);
}

#[tokio::test(start_paused = true)]
async fn where_most_is_unwanted_one_page_is_read_ahead_and_no_more() {
    let store = store();
    for _ in 0..30 {
        append(&*store, "wanted", 1).await;
        append(&*store, "noise", 1).await;
    }
    let selection = Selection::types(["wanted"]);
    let mut subscription =
        Subscription::new(store.clone(), selection, GlobalPosition::START).with_page_size(10);
    next(&mut subscription).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(store.reads(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_comes_between_two_pages_that_are_on_their_way_is_not_passed_over() {
    let inner = MemoryStore::new();
    append(&inner, "old", 12).await;
    let store = Arc::new(GrowsAtItsEnd { inner, has_grown: AtomicBool::new(false) });
    let mut subscription =
        Subscription::new(store, Selection::All, GlobalPosition::START).with_page_size(10);
    // The page behind 10 holds two events. The one behind 20 is read when there are twenty more.
    let seen = seen_up_to(&mut subscription, 32).await;
    assert_eq!(seen, (1..=32).collect::<Vec<_>>());
}
