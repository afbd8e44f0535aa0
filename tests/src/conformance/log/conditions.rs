//! Chapter: a conditional append succeeds only if nothing that matches stands behind its position.

use highwater::{
    Append, AppendCondition, AppendError, ExpectedVersion, GlobalPosition, Query, QueryItem,
    Selection,
};

use super::LogFactory;
use super::given::{
    appended, event, everything, exactly, query_tagged, refused, stream, tag, tagged, to_any,
};

/// Something that matches stands behind the position: the append fails and appends nothing.
pub async fn a_match_behind_the_position_fails_the_append(log: &dyn LogFactory) {
    let store = log.open().await;
    let decided_at = store.high_water_mark().await.unwrap();
    appended(&*store, to_any(&stream("a"), vec![tagged("taken", &["seat:1"])])).await;
    let refusal = refused(&*store, if_no(query_tagged(&["seat:1"]), decided_at)).await;
    assert!(matches!(refusal, AppendError::ConditionFailed), "{refusal:?}");
    assert!(refusal.is_conflict());
    assert_eq!(everything(&*store, &Selection::All).await.len(), 1);
}

/// What stands at the position or before it was known to the decision.
pub async fn a_match_at_or_before_the_position_does_not_fail_it(log: &dyn LogFactory) {
    let store = log.open().await;
    for _ in 0..3 {
        appended(&*store, to_any(&stream("a"), vec![tagged("taken", &["seat:1"])])).await;
    }
    let decided_at = store.high_water_mark().await.unwrap();
    appended(&*store, to_any(&stream("a"), vec![tagged("taken", &["seat:2"])])).await;
    appended(&*store, if_no(query_tagged(&["seat:1"]), decided_at)).await;
}

/// An item matches an event of any of its types that carries all of its tags; a query matches what
/// any of its items matches.
pub async fn types_are_alternatives_tags_are_all_needed_items_are_alternatives(
    log: &dyn LogFactory,
) {
    let store = log.open().await;
    let both = tagged("moved", &["from:a", "to:b"]);
    appended(&*store, to_any(&stream("a"), vec![both, event("noticed")])).await;
    let [from, to, other] = ["from:a", "to:b", "to:c"].map(tag);
    let matching = [
        Query::of(QueryItem::types(["moved"])),
        Query::of(QueryItem::types(["other", "moved"])),
        Query::of(QueryItem::tagged([from.clone()])),
        Query::of(QueryItem::tagged([to.clone(), from.clone()])),
        Query::of(QueryItem::types(["moved"]).and_tag(to.clone())),
        Query::of(QueryItem::types(["other"])).or(QueryItem::types(["noticed"])),
        Query::of(QueryItem::tagged([other.clone()])).or(QueryItem::tagged([to.clone()])),
    ];
    for query in matching {
        let outcome = store.append(if_no(query.clone(), GlobalPosition::START)).await;
        assert!(matches!(outcome, Err(AppendError::ConditionFailed)), "{query:?}: {outcome:?}");
    }
    let missing = [
        Query::of(QueryItem::types(["other"])),
        Query::of(QueryItem::tagged([other.clone()])),
        Query::of(QueryItem::tagged([from, other])),
        Query::of(QueryItem::types(["noticed"]).and_tag(to)),
    ];
    for query in missing {
        let outcome = store.append(if_no(query.clone(), GlobalPosition::START)).await;
        assert!(outcome.is_ok(), "{query:?}: {outcome:?}");
    }
}

/// A query without items matches nothing, so nothing fails it.
pub async fn a_query_without_items_never_fails_an_append(log: &dyn LogFactory) {
    let store = log.open().await;
    appended(&*store, to_any(&stream("a"), vec![event("any")])).await;
    appended(&*store, if_no(Query::default(), GlobalPosition::START)).await;
}

/// An item with neither types nor tags matches every event: the log must not have moved at all.
pub async fn an_item_that_names_nothing_matches_every_event(log: &dyn LogFactory) {
    let store = log.open().await;
    let everything = || Query::of(QueryItem::default());
    appended(&*store, if_no(everything(), GlobalPosition::START)).await;
    let refusal = refused(&*store, if_no(everything(), GlobalPosition::START)).await;
    assert!(matches!(refusal, AppendError::ConditionFailed), "{refusal:?}");
    let head = store.high_water_mark().await.unwrap();
    appended(&*store, if_no(everything(), head)).await;
}

/// A condition doesn't replace the expected version, nor the other way round.
pub async fn a_condition_and_an_expected_version_must_both_hold(log: &dyn LogFactory) {
    let store = log.open().await;
    appended(&*store, to_any(&stream("a"), vec![tagged("taken", &["seat:1"])])).await;
    let condition = |text| AppendCondition::new(query_tagged(&[text]), GlobalPosition::START);
    let append = |version, text| {
        Append::to(stream("a"), exactly(version), vec![event("next")])
            .with_condition(condition(text))
    };
    let refusal = refused(&*store, append(1, "seat:1")).await;
    assert!(matches!(refusal, AppendError::ConditionFailed), "{refusal:?}");
    let refusal = refused(&*store, append(0, "seat:2")).await;
    assert!(matches!(refusal, AppendError::VersionConflict { .. }), "{refusal:?}");
    appended(&*store, append(1, "seat:2")).await;
}

/// The events of an append don't fail its own condition.
pub async fn the_events_of_the_append_itself_do_not_count(log: &dyn LogFactory) {
    let store = log.open().await;
    let seats = vec![tagged("taken", &["seat:1"]), tagged("taken", &["seat:1"])];
    let condition = AppendCondition::new(query_tagged(&["seat:1"]), GlobalPosition::START);
    appended(&*store, to_any(&stream("a"), seats).with_condition(condition)).await;
}

/// Of many decisions made at the same place, through several handles and to streams of their own,
/// one is carried out.
pub async fn of_many_appends_on_the_same_decision_one_succeeds(log: &dyn LogFactory) {
    let handles = [log.open().await, log.open().await];
    for round in 0..6 {
        let seat = format!("seat:{round}");
        let decided_at = handles[0].high_water_mark().await.unwrap();
        let tasks = (0..16).map(|index| {
            let store = handles[index % 2].clone();
            let append =
                to_any(&stream(&format!("{round}.{index}")), vec![tagged("taken", &[&seat])])
                    .with_condition(AppendCondition::new(query_tagged(&[&seat]), decided_at));
            tokio::spawn(async move { store.append(append).await })
        });
        let mut winners = 0;
        for task in tasks.collect::<Vec<_>>() {
            match task.await.unwrap() {
                Ok(_) => winners += 1,
                Err(AppendError::ConditionFailed) => {}
                Err(other) => panic!("expected a failed condition, got {other:?}"),
            }
        }
        assert_eq!(winners, 1, "in round {round}");
    }
}

/// Two at the same moment, of which the first asks about what the second adds, and not the other way
/// round: whichever way the store puts them together, none of them stands behind what it forbade. Both
/// orders of their streams, because a store may write in that order.
pub async fn nobody_is_put_behind_a_match_that_came_at_the_same_moment(log: &dyn LogFactory) {
    let store = log.open().await;
    for round in 0..12 {
        let decided_at = store.high_water_mark().await.unwrap();
        let (door, bell) = (format!("door:{round}"), format!("bell:{round}"));
        let (asks, adds) = if round % 2 == 0 { ("z", "a") } else { ("a", "z") };
        let asking = to_any(&stream(&format!("{asks}.{round}")), vec![event("closed")])
            .with_condition(AppendCondition::new(query_tagged(&[&door]), decided_at));
        let adding = to_any(&stream(&format!("{adds}.{round}")), vec![tagged("opened", &[&door])])
            .with_condition(AppendCondition::new(query_tagged(&[&bell]), decided_at));
        let (asked, added) = tokio::join!(store.append(asking), store.append(adding));
        let added = added.expect("nobody rang");
        match asked {
            Ok(asked) => assert!(asked.position < added.position, "{asked:?} behind {added:?}"),
            Err(error) => assert!(matches!(error, AppendError::ConditionFailed), "{error:?}"),
        }
    }
}

/// Conditions about different things don't fail each other, however concurrent.
pub async fn appends_with_disjoint_conditions_do_not_fail_each_other(log: &dyn LogFactory) {
    let handles = [log.open().await, log.open().await];
    let tasks = (0..40).map(|index| {
        let seat = format!("seat:{index}");
        let store = handles[index % 2].clone();
        let append = to_any(&stream(&seat), vec![tagged("taken", &[&seat, "hall:1"])])
            .with_condition(AppendCondition::new(query_tagged(&[&seat]), GlobalPosition::START));
        tokio::spawn(async move { store.append(append).await })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap().unwrap();
    }
}

/// A query of a thousand items is answered, to conditions and to readers.
pub async fn a_query_with_many_items_is_answered(log: &dyn LogFactory) {
    let store = log.open().await;
    let item = |number: usize| {
        QueryItem::types([format!("type {number}").as_str(), "taken"])
            .and_tag(tag(&format!("seat:{number}")))
            .and_tag(tag("hall:1"))
    };
    let query = (1..1_000).fold(Query::of(item(0)), |query, number| query.or(item(number)));
    appended(&*store, if_no(query.clone(), GlobalPosition::START)).await;
    for seat in ["seat:7", "seat:999", "seat:1000"] {
        let taken = tagged("taken", &["hall:1", seat]);
        appended(&*store, to_any(&stream("a"), vec![taken])).await;
    }
    let refusal = refused(&*store, if_no(query.clone(), GlobalPosition::START)).await;
    assert!(matches!(refusal, AppendError::ConditionFailed), "{refusal:?}");
    let selection = Selection::Query(query);
    let all = everything(&*store, &selection).await;
    assert_eq!(all.len(), 2);
    let first = store.read_all(&selection, GlobalPosition::START, 1).await.unwrap();
    assert_eq!(first.events, all[..1]);
    assert_eq!(first.read_to, all[0].position);
}

/// An append to a stream nobody else uses, on condition that nothing matches behind `after`.
fn if_no(query: Query, after: GlobalPosition) -> Append {
    let own = stream(&format!("own {}", highwater::EventId::new()));
    Append::to(own, ExpectedVersion::NoStream, vec![event("conditional")])
        .with_condition(AppendCondition::new(query, after))
}
