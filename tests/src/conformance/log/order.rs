//! Chapter: once a reader has seen a position, nothing appears at or before it.

use highwater::{GlobalPosition, Selection};

use super::LogFactory;
use super::given::{appended, events, stream, to_any};
use super::race::{RacePlan, race};

/// Single events, long appends, conflicts, abandoned and conditional appends through several
/// handles: no reader, of whatever selection and page size, misses an event, and no condition
/// passes an event that it should have failed on.
pub async fn no_reader_misses_an_event_however_many_append(log: &dyn LogFactory) {
    let plan = RacePlan { appenders: 24, appends_each: 12 };
    let report = race(log, plan).await.unwrap_or_else(|violation| panic!("{violation}"));
    // A race in which nobody got in anybody's way would show nothing.
    assert!(
        report.acknowledged > 100 && report.conflicts > 0 && report.conditional > 0,
        "{report:?}"
    );
}

/// Who waits for an append before it makes the next sees them in that order, also when they go
/// through different handles.
pub async fn positions_rise_in_the_order_of_the_appends_of_one_caller(log: &dyn LogFactory) {
    let handles = [log.open().await, log.open().await];
    let mut last = GlobalPosition::START;
    for index in 0..20 {
        let append = to_any(&stream(&index.to_string()), events(1 + index % 3));
        let position = appended(&*handles[index % 2], append).await.position;
        assert!(position > last, "append {index} got {position} behind {last}");
        last = position;
    }
}

/// What a high-water mark promises once is final: reading up to it gives the same for ever, while
/// others go on appending.
pub async fn nothing_appears_at_or_below_a_high_water_mark_that_was_seen(log: &dyn LogFactory) {
    let (writer, reader) = (log.open().await, log.open().await);
    let tasks = (0..6).map(|task| {
        let store = writer.clone();
        tokio::spawn(async move {
            for index in 0..15_usize {
                let count = if index.is_multiple_of(4) { 30 } else { 1 };
                store.append(to_any(&stream(&task.to_string()), events(count))).await.unwrap();
            }
        })
    });
    let tasks: Vec<_> = tasks.collect();
    let mut marks = Vec::new();
    while !tasks.iter().all(tokio::task::JoinHandle::is_finished) {
        let mark = reader.high_water_mark().await.unwrap();
        let page =
            reader.read_all(&Selection::All, GlobalPosition::START, usize::MAX).await.unwrap();
        let below = page.events.iter().filter(|event| event.position <= mark).count();
        assert!(marks.last().is_none_or(|(last, _)| *last <= mark), "the mark never falls");
        marks.push((mark, below));
        tokio::task::yield_now().await;
    }
    for task in tasks {
        task.await.unwrap();
    }
    let page = reader.read_all(&Selection::All, GlobalPosition::START, usize::MAX).await.unwrap();
    for (mark, below) in marks {
        let now = page.events.iter().filter(|event| event.position <= mark).count();
        assert_eq!(now, below, "events at or below {mark}");
    }
}

/// Nothing has been appended, so nothing is final but the start.
pub async fn the_high_water_mark_of_an_empty_log_is_the_start(log: &dyn LogFactory) {
    let store = log.open().await;
    assert_eq!(store.high_water_mark().await.unwrap(), GlobalPosition::START);
}
