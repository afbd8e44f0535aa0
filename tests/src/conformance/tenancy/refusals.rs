//! Chapter: what names another tenant is refused, and never rewritten.

use highwater::{
    Append, AppendCondition, AppendError, EventStore, ExpectedVersion, GlobalPosition, Metadata,
    Query, QueryItem, ReadError, Selection, StreamId, StreamVersion, Tag, TenantError, TenantStore,
};

use super::super::log::LogFactory;
use super::super::log::given::{
    appended, event, everything, refused, stream, tag, tagged, to_any, types, whole_stream,
};
use super::{tenant, two_tenants};

fn reason<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a TenantError> {
    error.downcast_ref()
}

fn why_append(error: &AppendError) -> Option<&TenantError> {
    match error {
        AppendError::Refused { source } => reason(&**source),
        _ => None,
    }
}

fn why_read(error: &ReadError) -> Option<&TenantError> {
    match error {
        ReadError::Refused { source } => reason(&**source),
        _ => None,
    }
}

/// To append, to read, to select: a stream of bolt isn't acme's. Acme's own, named in full, is.
pub async fn a_stream_of_another_tenant_is_refused_wherever_it_is_named(log: &dyn LogFactory) {
    let (acme, bolt) = two_tenants(log).await;
    appended(&bolt, to_any(&stream("a"), vec![event("of.bolt")])).await;
    let foreign = stream("a").in_tenant(&tenant("bolt"));
    let expected = TenantError::Stream { tenant: tenant("acme"), stream: foreign.clone() };

    let append = to_any(&stream("mine"), vec![event("fine")]).and_to(
        foreign.clone(),
        ExpectedVersion::Any,
        vec![event("forged")],
    );
    let error = refused(&acme, append).await;
    assert_eq!(why_append(&error), Some(&expected));
    assert!(!error.is_retryable());
    let error = acme.read_stream(&foreign, StreamVersion::EMPTY, 9).await.unwrap_err();
    assert_eq!(why_read(&error), Some(&expected));
    assert!(!error.is_retryable());
    let selection = Selection::Stream(foreign);
    let error = acme.read_all(&selection, GlobalPosition::START, 9).await.unwrap_err();
    assert_eq!(why_read(&error), Some(&expected));

    let own = stream("mine").in_tenant(&tenant("acme"));
    appended(&acme, to_any(&own, vec![event("fine")])).await;
    assert_eq!(whole_stream(&acme, &own).await, whole_stream(&acme, &stream("mine")).await);
    assert_eq!(whole_stream(&acme, &own).await.len(), 1);
}

/// On an event, in a condition, in a selection: the wall writes these tags, nobody else.
pub async fn a_tag_that_names_a_tenant_is_refused_wherever_it_is_named(log: &dyn LogFactory) {
    let (acme, bolt) = two_tenants(log).await;
    appended(&bolt, to_any(&stream("a"), vec![tagged("of.bolt", &["k:1"])])).await;
    let names = [tenant("bolt").tag(), tenant("acme").tag()]
        .into_iter()
        .chain(["bolt", "acme"].map(|name| tag("k:1").in_tenant(&tenant(name))));
    for name in names {
        let expected = TenantError::Tag { tenant: tenant("acme"), tag: name.clone() };
        let forged = to_any(&stream("a"), vec![event("forged").with_tag(name.clone())]);
        assert_eq!(why_append(&refused(&acme, forged).await), Some(&expected));
        let query = Query::of(QueryItem::types(["x"])).or(QueryItem::tagged([name.clone()]));
        let condition = AppendCondition::new(query.clone(), GlobalPosition::START);
        let spying = to_any(&stream("a"), vec![event("spying")]).with_condition(condition);
        assert_eq!(why_append(&refused(&acme, spying).await), Some(&expected));
        let selection = Selection::Query(query);
        let error = acme.read_all(&selection, GlobalPosition::START, 9).await.unwrap_err();
        assert_eq!(why_read(&error), Some(&expected));
    }
}

/// Metadata may name the tenant or none.
pub async fn metadata_that_names_another_tenant_is_refused(log: &dyn LogFactory) {
    let (acme, _) = two_tenants(log).await;
    let with = |name: &str| {
        let metadata = Metadata::default().with_tenant(&tenant(name));
        to_any(&stream("a"), vec![event("happened").with_metadata(metadata)])
    };
    let expected = TenantError::Metadata { tenant: tenant("acme"), named: "bolt".to_owned() };
    assert_eq!(why_append(&refused(&acme, with("bolt")).await), Some(&expected));
    appended(&acme, with("acme")).await;
    let read = whole_stream(&acme, &stream("a")).await;
    assert_eq!(read[0].metadata, Metadata::default().with_tenant(&tenant("acme")));
}

/// Two walls, one behind the other, of whichever tenants: what the inner one writes, the outer one
/// refuses. So nobody gets a second set of ids, or out.
pub async fn a_tenants_store_over_a_tenants_store_takes_no_append(log: &dyn LogFactory) {
    for name in ["acme", "bolt"] {
        let (acme, _) = two_tenants(log).await;
        let nested = TenantStore::new(std::sync::Arc::new(acme), &tenant(name));
        let error = refused(&nested, to_any(&stream("a"), vec![event("happened")])).await;
        assert!(why_append(&error).is_some(), "{error:?}");
        assert!(nested.read_all(&Selection::All, GlobalPosition::START, 9).await.is_err());
    }
}

/// Keys, tags and consumers that look like a way out are names like any other.
pub async fn hostile_names_stay_within_their_tenant(log: &dyn LogFactory) {
    let (acme, bolt) = two_tenants(log).await;
    let whole = log.open().await;
    let names =
        ["@bolt/test-a", "/@bolt/a", "../bolt/a", "@:bolt", "bolt", "%", "_", "🦀", "'\"\\"];
    for name in names {
        let value = Tag::new("k", name).unwrap();
        let events = vec![event(name).with_tag(value.clone())];
        appended(&acme, to_any(&stream(name), events)).await;
        let by_tag = Selection::Query(Query::of(QueryItem::tagged([value])));
        for selection in [by_tag, Selection::Stream(stream(name)), Selection::types([name])] {
            assert_eq!(types(&everything(&acme, &selection).await), [name], "{selection:?}");
            assert!(everything(&bolt, &selection).await.is_empty(), "{selection:?}");
        }
        let of_acme = stream(name).in_tenant(&tenant("acme"));
        assert_eq!(whole_stream(&*whole, &of_acme).await.len(), 1);
    }
    for name in ["@bolt/order-7", "@acme/order-7"] {
        // What comes in from outside as a key is a key.
        let key = StreamId::new("test", name).unwrap();
        assert_eq!(key.tenant(), None);
    }
    // The longest names that a log takes, a tenant's log takes as well.
    let (long, value) = ("k".repeat(512 - "test-".len()), "v".repeat(256 - "k:".len()));
    let longest = TenantStore::new(log.open().await, &tenant(&"t".repeat(64)));
    let events = vec![event("long").with_tag(Tag::new("k", value).unwrap())];
    appended(&longest, to_any(&stream(&long), events.clone())).await;
    assert_eq!(whole_stream(&longest, &stream(&long)).await[0].tags, events[0].tags);
}

/// A refusal comes before anything is done.
pub async fn what_is_refused_leaves_nothing(log: &dyn LogFactory) {
    let (acme, _) = two_tenants(log).await;
    let foreign = stream("a").in_tenant(&tenant("bolt"));
    let append = Append::to(stream("a"), ExpectedVersion::NoStream, vec![event("fine")]).and_to(
        foreign,
        ExpectedVersion::Any,
        vec![event("forged")],
    );
    refused(&acme, append).await;
    let whole = log.open().await;
    assert!(everything(&*whole, &Selection::All).await.is_empty());
}
