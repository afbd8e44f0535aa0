//! The promises of the bus, one function each.

use std::sync::Arc;

use highwater::{Component, EventStore};

use super::{BusFactory, Hosted, Recorder, given, oracle};

const STREAMS: usize = 7;

fn recorder(factory: &dyn BusFactory) -> Recorder {
    Recorder::new(factory.topic())
}

fn start(factory: &dyn BusFactory, handler: &Recorder) -> Hosted {
    let components: Vec<Arc<dyn Component>> = factory.components(handler.clone());
    Hosted::start(factory.store(), components)
}

async fn holds(store: &Arc<dyn EventStore>, handler: &Recorder) {
    oracle::holds(store, &handler.handled()).await;
}

/// At least once, whether appended before the start or after it.
pub async fn every_message_arrives_and_each_key_keeps_the_order_of_the_log(
    factory: &dyn BusFactory,
) {
    let (store, handler) = (factory.store(), recorder(factory));
    let mut ids = given::orders(&store, 150, STREAMS).await;
    let hosted = start(factory, &handler);
    ids.extend(given::orders(&store, 150, STREAMS).await);
    handler.has_handled(&ids).await;
    holds(&store, &handler).await;
    hosted.stop().await;
}

/// Id, type, stream, version, position, data and flow survive the journey.
pub async fn a_message_arrives_as_it_stands_in_the_log(factory: &dyn BusFactory) {
    let (store, handler) = (factory.store(), recorder(factory));
    let id = given::event(&store, "order", 1).await;
    let hosted = start(factory, &handler);
    handler.has_handled(&[id]).await;
    let stored = store.find(&[id]).await.unwrap().remove(0);
    let arrived = handler.handled().remove(0);
    assert_eq!(arrived.topic, factory.topic());
    let arrived = arrived.event;
    assert_eq!((arrived.id, &arrived.event_type), (stored.id, &stored.event_type));
    assert_eq!((&arrived.stream, arrived.version), (&stored.stream, stored.version));
    assert_eq!((arrived.position, arrived.recorded_at), (stored.position, stored.recorded_at));
    assert_eq!((arrived.schema_version, &arrived.data), (stored.schema_version, &stored.data));
    assert_eq!(arrived.metadata.correlation, stored.metadata.correlation);
    hosted.stop().await;
}

/// The route decides, and its "no" costs what is behind it nothing.
pub async fn what_has_no_topic_stays_inside(factory: &dyn BusFactory) {
    let (store, handler) = (factory.store(), recorder(factory));
    let mut ids = Vec::new();
    for number in 0..20 {
        given::event(&store, "internal", number).await;
        ids.push(given::event(&store, "order", number).await);
    }
    let hosted = start(factory, &handler);
    handler.has_handled(&ids).await;
    holds(&store, &handler).await;
    hosted.stop().await;
}

/// A failure that may pass is not an end, and nothing of the key overtakes.
pub async fn a_failed_message_comes_again_and_the_later_ones_of_its_key_wait(
    factory: &dyn BusFactory,
) {
    let (store, handler) = (factory.store(), recorder(factory));
    let ids = given::orders(&store, 60, 3).await;
    for &id in ids.iter().skip(10).step_by(17) {
        handler.fail_first(id, 3);
    }
    let hosted = start(factory, &handler);
    handler.has_handled(&ids).await;
    holds(&store, &handler).await;
    let calls = handler.calls();
    let tries = |id| calls.iter().filter(|call| call.message.id() == id).count();
    assert!(tries(ids[10]) >= 4, "three failures and a success");
    hosted.stop().await;
}

/// The place in the log outlives the process.
pub async fn what_is_appended_while_it_is_stopped_arrives_after_the_restart(
    factory: &dyn BusFactory,
) {
    let (store, handler) = (factory.store(), recorder(factory));
    let mut ids = given::orders(&store, 40, STREAMS).await;
    for _ in 0..2 {
        let hosted = start(factory, &handler);
        handler.has_handled(&ids).await;
        hosted.stop().await;
        ids.extend(given::orders(&store, 40, STREAMS).await);
    }
    let hosted = start(factory, &handler);
    handler.has_handled(&ids).await;
    holds(&store, &handler).await;
    hosted.stop().await;
}

/// What is durable decides what is done, wherever a crash falls.
pub async fn nothing_is_lost_or_out_of_order_however_often_it_is_killed(factory: &dyn BusFactory) {
    let (store, handler) = (factory.store(), recorder(factory));
    let mut ids = Vec::new();
    for round in 0..5 {
        let before = handler.call_count();
        let hosted = start(factory, &handler);
        ids.extend(given::orders(&store, 60, STREAMS).await);
        handler.has_calls(before + 1 + 13 * round % 29).await;
        hosted.kill().await;
    }
    let hosted = start(factory, &handler);
    handler.has_handled(&ids).await;
    holds(&store, &handler).await;
    hosted.stop().await;
}

/// Two processes that host the same: allowed, and what one leaves the other takes.
pub async fn two_at_once_lose_nothing_and_keep_the_order(factory: &dyn BusFactory) {
    let (store, handler) = (factory.store(), recorder(factory));
    let mut ids = given::orders(&store, 50, STREAMS).await;
    let (one, other) = (start(factory, &handler), start(factory, &handler));
    ids.extend(given::orders(&store, 150, STREAMS).await);
    handler.has_handled(&ids).await;
    one.stop().await;
    ids.extend(given::orders(&store, 50, STREAMS).await);
    handler.has_handled(&ids).await;
    holds(&store, &handler).await;
    other.stop().await;
}

/// Either it is set aside where it can be found and the rest goes on, or everything stops in front
/// of it and says so.
pub async fn poison_is_neither_lost_nor_skipped_in_silence(factory: &dyn BusFactory) {
    let (store, handler) = (factory.store(), recorder(factory));
    let before = given::orders(&store, 5, 1).await;
    let poison = given::event(&store, "order", 0).await;
    let after = given::orders(&store, 5, 1).await;
    handler.refuse(poison);
    let hosted = start(factory, &handler);
    tokio::select! {
        () = handler.has_handled(&after) => {
            assert_eq!(factory.set_aside().await, vec![poison], "set aside, where it can be found");
        }
        failure = hosted.fails() => {
            assert!(failure.contains("the test refuses this message"), "{failure}");
            assert!(handler.handled_ids().is_disjoint(&after.into_iter().collect()));
        }
    }
    handler.has_handled(&before).await;
    assert!(!handler.handled_ids().contains(&poison));
    hosted.stop().await;
}

/// An orderly stop makes durable what was done.
pub async fn after_an_orderly_stop_nothing_is_handled_again(factory: &dyn BusFactory) {
    let (store, handler) = (factory.store(), recorder(factory));
    let ids = given::orders(&store, 80, STREAMS).await;
    let hosted = start(factory, &handler);
    handler.has_handled(&ids).await;
    hosted.stop().await;
    let handled_before = handler.handled().len();
    let hosted = start(factory, &handler);
    let more = given::orders(&store, 20, STREAMS).await;
    handler.has_handled(&more).await;
    assert_eq!(handler.handled().len(), handled_before + more.len());
    holds(&store, &handler).await;
    hosted.stop().await;
}
