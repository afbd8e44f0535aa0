//! Two tenants who use equal subject ids are two people with keys of their own.

use std::sync::Arc;

use highwater::{
    AppendError, CommandError, EventStore, ForgetError, GlobalPosition, Highwater, KeyWrapper,
    Payload, Personal, ReadError, SealError, SealedLog, Selection, Subject, TenantHandle, TenantId,
    TenantStore, Vault,
};

use super::PersonalDataFactory;
use super::given::{
    Customer, HARBOUR, all_wrapped, load, master, moves, process, subject, write_to,
};

const HILL: &str = "2-Hill-Street-4712";

fn acme() -> TenantId {
    TenantId::new("acme").unwrap()
}

fn bolt() -> TenantId {
    TenantId::new("bolt").unwrap()
}

async fn ann_of(tenant: &TenantHandle) -> Customer {
    tenant.commands().load::<Customer>(&"ann".to_owned()).await.unwrap().state
}

/// Ann lives somewhere for each of two tenants, and somewhere for nobody's.
async fn three_anns(app: &Highwater) {
    app.execute(moves("ann", "nowhere")).await.unwrap();
    app.for_tenant(&acme()).execute(moves("ann", HARBOUR)).await.unwrap();
    app.for_tenant(&bolt()).execute(moves("ann", HILL)).await.unwrap();
}

/// Forgotten by one tenant, the other's subject of the same id is readable, here and elsewhere.
pub async fn forgetting_a_subject_for_one_tenant_leaves_the_others_readable(
    data: &dyn PersonalDataFactory,
) {
    let here = process(data).await.0.start().unwrap();
    three_anns(&here).await;
    here.for_tenant(&acme()).forget(&subject("ann")).await.unwrap();
    let there = process(data).await.0.start().unwrap();
    for app in [&here, &there] {
        let (of_acme, of_bolt) = (app.for_tenant(&acme()), app.for_tenant(&bolt()));
        assert_eq!(ann_of(&of_acme).await.lives_at(), None);
        assert_eq!(ann_of(&of_bolt).await.lives_at(), Some(HILL));
        assert_eq!(load(app, "ann").await.lives_at(), Some("nowhere"));
        assert!(of_acme.execute(moves("ann", HARBOUR)).await.is_err(), "she is forgotten there");
        of_bolt.execute(moves("ann", HILL)).await.unwrap();
        of_bolt.execute(write_to("ann")).await.unwrap();
        app.commands().snapshots_settled().await;
    }
    here.shutdown().await;
    there.shutdown().await;
}

/// Whoever has one tenant's key has no other's, and can't pass one's data off as another's.
pub async fn the_key_of_one_tenant_never_opens_the_data_of_another(data: &dyn PersonalDataFactory) {
    let (builder, vault) = process(data).await;
    let app = builder.start().unwrap();
    three_anns(&app).await;
    let (log, keys) = data.open().await;
    let wrapped = all_wrapped(&*keys).await;
    let names: Vec<_> = wrapped.iter().map(|key| key.name.subject.as_str()).collect();
    assert_eq!(names, ["@acme/ann", "@bolt/ann", "ann"]);
    for one in &wrapped {
        for other in wrapped.iter().filter(|other| *other != one) {
            assert!(master().unwrap_key(&one.name, &other.wrapped).await.is_err());
        }
    }
    let page = log.read_all(&Selection::All, GlobalPosition::START, 9).await.unwrap();
    for event in page.events {
        let own = event.data.as_json();
        for name in ["\"@acme/ann\"", "\"@bolt/ann\"", "\"ann\",\"key\""] {
            // Only inside of the seal: the customer's own id stands elsewhere.
            let (before, sealed) = own.split_once("{\"$sealed\":{\"subject\":").unwrap();
            let (_, rest) = sealed.split_once(",\"key\"").unwrap();
            let name = name.trim_end_matches(",\"key\"");
            let passed_off = format!("{before}{{\"$sealed\":{{\"subject\":{name},\"key\"{rest}");
            let is_own = passed_off == own;
            let mut event = event.clone();
            event.data = Payload::from_json(passed_off).unwrap();
            assert_eq!(vault.open_event(event).await.is_ok(), is_own);
        }
    }
    app.shutdown().await;
}

/// Who writes a prefix reaches nobody: the value is refused, and so is the wish to forget.
pub async fn a_tenant_names_no_other_tenants_subject(data: &dyn PersonalDataFactory) {
    let app = process(data).await.0.start().unwrap();
    three_anns(&app).await;
    let of_acme = app.for_tenant(&acme());
    let error = of_acme.execute(moves("@bolt/ann", HARBOUR)).await.unwrap_err();
    let CommandError::Append { source: AppendError::Refused { source }, .. } = error else {
        panic!("{error:?}")
    };
    let told = source.downcast_ref::<SealError>();
    assert!(matches!(told, Some(SealError::OtherTenant { tenant }) if *tenant == acme()));
    let error = of_acme.forget(&Subject::new("@bolt/ann").unwrap()).await.unwrap_err();
    assert!(matches!(error, ForgetError::OtherTenant { tenant } if tenant == acme()));
    assert_eq!(ann_of(&app.for_tenant(&bolt())).await.lives_at(), Some(HILL));
    app.shutdown().await;
}

/// An application for one tenant alone, on its part of the log, means the same people as the one for
/// all: each reads what the other has sealed, and forgets for both.
pub async fn an_application_for_one_tenant_shares_its_subjects_with_the_one_for_all(
    data: &dyn PersonalDataFactory,
) {
    let for_all = process(data).await.0.start().unwrap();
    three_anns(&for_all).await;
    let (log, keys) = data.open().await;
    let alone = || {
        let vault = Vault::new(keys.clone(), master());
        let store = Arc::new(TenantStore::new(log.clone(), &acme()));
        Highwater::builder(store).personal_data(vault).start().unwrap()
    };
    let for_acme = alone();
    assert_eq!(load(&for_acme, "ann").await.lives_at(), Some(HARBOUR));
    for_acme.execute(moves("ann", HILL)).await.unwrap();
    for_acme.commands().snapshots_settled().await;
    let of_acme = for_all.for_tenant(&acme());
    assert_eq!(ann_of(&of_acme).await.lives_at(), Some(HILL));
    for_acme.forget(&subject("ann")).await.unwrap();
    assert_eq!(load(&alone(), "ann").await.lives_at(), None);
    let anew = process(data).await.0.start().unwrap();
    assert_eq!(ann_of(&anew.for_tenant(&acme())).await.lives_at(), None);
    assert_eq!(ann_of(&anew.for_tenant(&bolt())).await.lives_at(), Some(HILL));
}

/// Who reads the whole log and keeps something of a tenant's subject keeps it for that subject.
pub async fn what_a_component_keeps_of_all_tenants_goes_with_each_ones_own_subjects(
    data: &dyn PersonalDataFactory,
) {
    let (builder, vault) = process(data).await;
    let app = builder.start().unwrap();
    three_anns(&app).await;
    let kept: Vec<_> = [acme(), bolt()]
        .map(|tenant| app.for_tenant(&tenant))
        .into_iter()
        .map(|tenant| async move { ann_of(&tenant).await.address.unwrap() })
        .collect();
    let kept = futures::future::join_all(kept).await;
    let head = app.store().high_water_mark().await.unwrap();
    let claim = app.store().claim("addresses").await.unwrap();
    let state = Payload::from_value(&kept).unwrap();
    app.store().advance(&claim, head, Some(&state)).await.unwrap();
    // By the name that a value carries, without asking whose it is.
    app.forget(kept[0].subject()).await.unwrap();
    let (log, _) = data.open().await;
    let log: Arc<dyn EventStore> = Arc::new(SealedLog::new(log, vault));
    let state = log.claim("addresses").await.unwrap().state.unwrap();
    let kept: Vec<Personal<String>> = state.to_value().unwrap();
    assert_eq!(kept[0].reveal(), None);
    assert_eq!(kept[1].reveal().map(String::as_str), Some(HILL));
    let read: Result<_, ReadError> = log.read_all(&Selection::All, GlobalPosition::START, 9).await;
    assert!(!read.unwrap().events.iter().any(|event| event.data.as_json().contains(HARBOUR)));
    app.shutdown().await;
}
