//! Chapter: nothing of one tenant meets anything of another, however alike they are.

use std::num::NonZeroUsize;

use highwater::{
    AppendCondition, AppendError, EventId, EventStore, ExpectedVersion, GlobalPosition, Payload,
    Query, QueryItem, Selection, Snapshot, StateSchema, StreamVersion, TenantStore,
};

use super::super::log::LogFactory;
use super::super::log::given::{
    appended, category, event, everything, query_tagged, refused, stream, tag, tagged, to_any,
    types, whole_stream,
};
use super::{tenant, two_tenants};

/// Both begin at version 1, and neither reads or conflicts with the other.
pub async fn streams_of_one_name_are_one_per_tenant(log: &dyn LogFactory) {
    let (acme, bolt) = two_tenants(log).await;
    for (store, event_type) in [(&acme, "of.acme"), (&bolt, "of.bolt")] {
        let new =
            highwater::Append::to(stream("7"), ExpectedVersion::NoStream, vec![event(event_type)]);
        let heads = appended(store, new).await.heads;
        assert_eq!((&heads[0].stream, heads[0].version.get()), (&stream("7"), 1));
    }
    for (store, event_type) in [(&acme, "of.acme"), (&bolt, "of.bolt")] {
        let read = whole_stream(store, &stream("7")).await;
        assert_eq!(types(&read), [event_type]);
        assert_eq!(read[0].stream, stream("7"));
    }
}

/// A tag finds its tenant's events, and comes back as it was given.
pub async fn equal_tags_of_two_tenants_never_meet(log: &dyn LogFactory) {
    let (acme, bolt) = two_tenants(log).await;
    let tags = ["course:1", "student:ada", "course:1"];
    appended(&acme, to_any(&stream("a"), vec![tagged("of.acme", &tags)])).await;
    appended(&bolt, to_any(&stream("a"), vec![tagged("of.bolt", &tags)])).await;
    for (store, event_type) in [(&acme, "of.acme"), (&bolt, "of.bolt")] {
        let selection = Selection::Query(query_tagged(&["student:ada", "course:1"]));
        let read = everything(store, &selection).await;
        assert_eq!(types(&read), [event_type]);
        assert_eq!(read[0].tags, tags.map(tag));
    }
}

/// A condition on tags, on types alone, and on anything at all: each is about one tenant.
pub async fn a_condition_sees_no_event_of_another_tenant(log: &dyn LogFactory) {
    let (acme, bolt) = two_tenants(log).await;
    let queries = [
        query_tagged(&["k:1"]),
        Query::of(QueryItem::types(["happened"])),
        Query::of(QueryItem::default()),
        query_tagged(&["k:2"]).or(QueryItem::types(["happened"]).and_tag(tag("k:1"))),
    ];
    appended(&acme, to_any(&stream("a"), vec![tagged("happened", &["k:1"])])).await;
    for query in &queries {
        let condition = AppendCondition::new(query.clone(), GlobalPosition::START);
        let append = to_any(&stream("b"), vec![event("decided")]).with_condition(condition);
        let in_acme = refused(&acme, append.clone()).await;
        assert!(matches!(in_acme, AppendError::ConditionFailed), "{query:?}: {in_acme:?}");
        let fresh = TenantStore::new(log.open().await, &tenant("fresh"));
        let outcome = bolt.append(append.clone()).await;
        let is_first = *query == queries[0] || *query == queries[1] || *query == queries[3];
        // What bolt decided before matches a condition on anything.
        assert_eq!(outcome.is_ok(), is_first, "{query:?}: {outcome:?}");
        if !is_first {
            appended(&fresh, append).await;
        }
    }
}

/// The ids may be derived from equal things. Each tenant finds and repeats its own event, and
/// learns nothing from the id of the other's.
pub async fn equal_event_ids_of_two_tenants_are_two_events(log: &dyn LogFactory) {
    let (acme, bolt) = two_tenants(log).await;
    let append = to_any(&stream("a"), vec![event("happened"), event("happened")]);
    let ids: Vec<EventId> = append.events().map(|event| event.id).collect();
    let of_acme = appended(&acme, append.clone()).await;
    assert!(bolt.find(&ids).await.unwrap().is_empty());
    let of_bolt = appended(&bolt, append.clone()).await;
    assert!(!of_bolt.was_repeated);
    for (store, first) in [(&acme, of_acme), (&bolt, of_bolt)] {
        let found = store.find(&ids).await.unwrap();
        assert_eq!(found.iter().map(|event| event.id).collect::<Vec<_>>(), ids);
        assert_eq!(found, whole_stream(store, &stream("a")).await);
        let again = appended(store, append.clone()).await;
        assert_eq!((again.position, again.was_repeated), (first.position, true));
        let thief = to_any(&stream("b"), vec![event("other").with_id(ids[1])]);
        let refusal = refused(store, thief).await;
        assert!(matches!(refusal, AppendError::EventIdTaken { id } if id == ids[1]), "{refusal:?}");
    }
}

/// Each kind of selection, page by page, with the other tenants' events in between.
pub async fn every_selection_shows_one_tenants_events_only(log: &dyn LogFactory) {
    let (acme, bolt) = two_tenants(log).await;
    let whole = log.open().await;
    for _ in 0..7 {
        for store in [&acme as &dyn EventStore, &bolt, &*whole] {
            let events = vec![tagged("happened", &["k:1"]), event("other")];
            appended(store, to_any(&stream("a"), events)).await;
        }
    }
    let selections = [
        (Selection::All, 14),
        (Selection::Category(category("test")), 14),
        (Selection::Category(category("tes")), 0),
        (Selection::Stream(stream("a")), 14),
        (Selection::types(["happened"]), 7),
        (Selection::Query(query_tagged(&["k:1"])), 7),
        (Selection::Query(Query::of(QueryItem::default())), 14),
        (Selection::Query(Query::default()), 0),
    ];
    for (selection, count) in selections {
        for store in [&acme, &bolt] {
            let mut read = Vec::new();
            let mut after = GlobalPosition::START;
            loop {
                let page = store.read_all(&selection, after, 3).await.unwrap();
                assert!(page.events.len() <= 3 && page.read_to >= after);
                assert!(page.is_last || page.read_to > after, "{selection:?} stands still");
                after = page.read_to;
                read.extend(page.events);
                if page.is_last {
                    break;
                }
            }
            assert_eq!(read.len(), count, "{selection:?}");
            assert!(read.is_sorted_by_key(|event| event.position));
            assert_eq!(after, store.high_water_mark().await.unwrap());
            let own = whole_stream(store, &stream("a")).await;
            assert!(read.iter().all(|event| own.contains(event)), "{selection:?}");
        }
    }
}

/// A page ends at its last event although more of the tenant's log was looked through for it.
pub async fn a_category_is_found_among_many_other_events_of_its_tenant(log: &dyn LogFactory) {
    let (acme, _) = two_tenants(log).await;
    let rare = |key: &str| highwater::StreamId::new("rare", key).unwrap();
    for key in ["1", "2", "3"] {
        let many = (0..700).map(|_| event("common")).collect();
        appended(&acme, to_any(&stream(key), many)).await;
        appended(&acme, to_any(&rare(key), vec![event("rare")])).await;
    }
    let selection = Selection::Category(category("rare"));
    let first = acme.read_all(&selection, GlobalPosition::START, 1).await.unwrap();
    assert_eq!((first.events.len(), first.is_last), (1, false));
    assert_eq!((&first.events[0].stream, first.read_to), (&rare("1"), first.events[0].position));
    let rest = acme.read_all(&selection, first.read_to, 10).await.unwrap();
    assert_eq!((rest.events.len(), rest.is_last), (2, true));
}

/// A tenant's name is compared whole.
pub async fn tenants_whose_names_begin_alike_are_apart(log: &dyn LogFactory) {
    let names = ["a", "a-b", "a.b", "a-", "A", "aa"];
    for name in names {
        let store = TenantStore::new(log.open().await, &tenant(name));
        appended(&store, to_any(&stream("a"), vec![tagged(name, &["k:1"])])).await;
    }
    for name in names {
        let store = TenantStore::new(log.open().await, &tenant(name));
        for selection in [
            Selection::All,
            Selection::Category(category("test")),
            Selection::Query(query_tagged(&["k:1"])),
        ] {
            assert_eq!(types(&everything(&store, &selection).await), [name]);
        }
    }
}

/// Who appends to the whole log may write any tag; that makes no stream a tenant's.
pub async fn an_event_that_only_carries_a_tenants_tag_is_not_the_tenants(log: &dyn LogFactory) {
    let (acme, _) = two_tenants(log).await;
    let whole = log.open().await;
    let mine = tenant("acme");
    let planted = event("planted").with_tag(mine.tag()).with_tag(tag("k:1").in_tenant(&mine));
    let id = planted.id;
    appended(&*whole, to_any(&stream("a"), vec![planted])).await;
    assert!(everything(&acme, &Selection::All).await.is_empty());
    assert!(everything(&acme, &Selection::Query(query_tagged(&["k:1"]))).await.is_empty());
    assert!(acme.find(&[id, mine.translated(id)]).await.unwrap().is_empty());
}

/// Where the store keeps snapshots, each tenant has its own, and gets it back as it was saved.
pub async fn snapshots_of_one_stream_name_are_one_per_tenant(log: &dyn LogFactory) {
    let (acme, bolt) = two_tenants(log).await;
    let (Some(of_acme), Some(of_bolt)) = (acme.snapshots(), bolt.snapshots()) else {
        assert!(log.open().await.snapshots().is_none(), "the wall hides the store's snapshots");
        return;
    };
    let schema = StateSchema { name: "tally".into(), version: 1 };
    let snapshot = |text: &str| Snapshot {
        stream: stream("a"),
        schema: schema.clone(),
        version: StreamVersion::new(3),
        position: GlobalPosition::new(9),
        last_event: EventId::new(),
        data: Payload::from_value(&text).unwrap(),
        taken_at: jiff::Timestamp::UNIX_EPOCH,
    };
    let (one, other) = (snapshot("acme's"), snapshot("bolt's"));
    of_acme.save_snapshot(&one, NonZeroUsize::MIN).await.unwrap();
    let at_most = StreamVersion::new(9);
    assert_eq!(of_bolt.load_snapshot(&stream("a"), &schema, at_most).await.unwrap(), None);
    of_bolt.save_snapshot(&other, NonZeroUsize::MIN).await.unwrap();
    of_bolt.delete_snapshots(&stream("b")).await.unwrap();
    let found = of_acme.load_snapshot(&stream("a"), &schema, at_most).await.unwrap();
    assert_eq!(found, Some(one));
    of_acme.delete_snapshots(&stream("a")).await.unwrap();
    let found = of_bolt.load_snapshot(&stream("a"), &schema, at_most).await.unwrap();
    assert_eq!(found, Some(other));
    let foreign = stream("a").in_tenant(&tenant("bolt"));
    assert!(of_acme.load_snapshot(&foreign, &schema, at_most).await.is_err());
    assert!(of_acme.delete_snapshots(&foreign).await.is_err());
}

/// One tenant's application ends; the log goes on.
pub async fn closing_one_tenants_store_leaves_the_others_open(log: &dyn LogFactory) {
    let whole = log.open().await;
    let acme = TenantStore::new(whole.clone(), &tenant("acme"));
    let bolt = TenantStore::new(whole.clone(), &tenant("bolt"));
    acme.close().await;
    let refusal = refused(&acme, to_any(&stream("a"), vec![event("late")])).await;
    assert!(matches!(refusal, AppendError::Closed), "{refusal:?}");
    appended(&bolt, to_any(&stream("a"), vec![event("fine")])).await;
    appended(&*whole, to_any(&stream("a"), vec![event("fine")])).await;
}
