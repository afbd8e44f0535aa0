//! Chapter: who reads the whole log sees all tenants, and whose each event is.

use highwater::{CommandId, EventStore, Metadata, Query, QueryItem, Selection};

use super::super::log::LogFactory;
use super::super::log::given::{
    appended, category, event, everything, stream, tag, tagged, to_any, types, whole_stream,
};
use super::{tenant, two_tenants};

/// By its stream; and one tenant's events, or one tag of them, can be selected.
pub async fn the_whole_log_shows_whose_each_event_is(log: &dyn LogFactory) {
    let (acme, bolt) = two_tenants(log).await;
    let whole = log.open().await;
    appended(&acme, to_any(&stream("a"), vec![tagged("one", &["k:1"])])).await;
    appended(&*whole, to_any(&stream("a"), vec![tagged("two", &["k:1"])])).await;
    appended(&bolt, to_any(&stream("a"), vec![tagged("three", &["k:1"])])).await;
    let read = everything(&*whole, &Selection::All).await;
    let whose: Vec<_> = read.iter().map(|event| event.stream.tenant()).collect();
    assert_eq!(whose, [Some(tenant("acme")), None, Some(tenant("bolt"))]);
    assert!(read.iter().all(|event| event.stream.without_tenant() == stream("a")));
    let of = |item| Selection::Query(Query::of(item));
    let of_bolt = everything(&*whole, &of(QueryItem::tagged([tenant("bolt").tag()]))).await;
    assert_eq!(types(&of_bolt), ["three"]);
    let item = QueryItem::tagged([tag("k:1").in_tenant(&tenant("acme"))]);
    assert_eq!(types(&everything(&*whole, &of(item)).await), ["one"]);
    assert_eq!(types(&everything(&*whole, &of(QueryItem::tagged([tag("k:1")]))).await), ["two"]);
}

/// A category is a kind of thing, whoever's.
pub async fn the_whole_log_is_selected_by_category_over_all_tenants(log: &dyn LogFactory) {
    let (acme, bolt) = two_tenants(log).await;
    let whole = log.open().await;
    for store in [&acme as &dyn EventStore, &bolt, &*whole] {
        appended(store, to_any(&stream("a"), vec![event("of.test")])).await;
        for other in ["tes-a", "test_-a", "test.b-a", "b-test-a"] {
            let other = highwater::StreamId::parse(other).unwrap();
            appended(store, to_any(&other, vec![event("other")])).await;
        }
    }
    let read = everything(&*whole, &Selection::Category(category("test"))).await;
    assert_eq!(types(&read), ["of.test"; 3]);
}

/// The cost is what the book says: one tag, the tenant's.
pub async fn an_event_costs_one_tag_more(log: &dyn LogFactory) {
    let (acme, _) = two_tenants(log).await;
    let whole = log.open().await;
    let events = vec![event("plain"), tagged("tagged", &["k:1"])];
    appended(&acme, to_any(&stream("a"), events)).await;
    let read = everything(&*whole, &Selection::All).await;
    let mine = tenant("acme");
    assert_eq!(read[0].tags, [mine.tag()]);
    assert_eq!(read[1].tags, [mine.tag(), tag("k:1").in_tenant(&mine)]);
}

/// The cause that the tenant names and the cause that the whole log shows are one event.
pub async fn a_cause_is_the_same_event_from_both_sides(log: &dyn LogFactory) {
    let (acme, _) = two_tenants(log).await;
    let whole = log.open().await;
    appended(&acme, to_any(&stream("a"), vec![event("cause")])).await;
    let cause = whole_stream(&acme, &stream("a")).await.remove(0);
    let metadata = Metadata::caused_by(&cause).with_command(CommandId::new());
    let effect = event("effect").with_metadata(metadata.clone());
    appended(&acme, to_any(&stream("b"), vec![effect])).await;
    let effect = whole_stream(&acme, &stream("b")).await.remove(0);
    assert_eq!(effect.metadata, metadata);
    let read = everything(&*whole, &Selection::All).await;
    assert_eq!(read[1].metadata.causation, Some(read[0].id));
    assert_eq!(tenant("acme").translated(read[0].id), cause.id);
}
