//! What somebody finds who copies the database.

use std::sync::Arc;

use highwater::{EventStore, KeyWrapper, MasterKeys, SealedLog, SecretKey, Vault};

use super::PersonalDataFactory;
use super::given::{HARBOUR, all_wrapped, holds, load, master, moves, process, subject, write_to};

/// A customer whose address is in events, in snapshots and in a checkpoint's state.
async fn lived_in(data: &dyn PersonalDataFactory) {
    let (builder, vault) = process(data).await;
    let app = builder.start().unwrap();
    for customer in ["ann", "bob"] {
        app.execute(moves(customer, HARBOUR)).await.unwrap();
        app.execute(write_to(customer)).await.unwrap();
    }
    app.commands().snapshots_settled().await;
    vault.rotate(&subject("ann")).await.unwrap();
    app.execute(write_to("ann")).await.unwrap();
    let claim = app.store().claim("windows").await.unwrap();
    let state = highwater::Payload::from_value(&load(&app, "ann").await).unwrap();
    assert!(state.as_json().contains(HARBOUR));
    let head = app.store().high_water_mark().await.unwrap();
    app.store().advance(&claim, head, Some(&state)).await.unwrap();
    app.commands().snapshots_settled().await;
    app.shutdown().await;
}

/// Neither a value nor a key that opens one, while nobody is forgotten.
pub async fn nothing_in_a_dump_tells_what_is_sealed_or_a_key(data: &dyn PersonalDataFactory) {
    lived_in(data).await;
    let dump = data.dump().await;
    // It is the right place to look: what isn't sealed is there.
    assert!(holds(&dump, b"customer.moved") && holds(&dump, b"$sealed"));
    assert!(!holds(&dump, HARBOUR.as_bytes()));
    let (_, keys) = data.open().await;
    let wrapped = all_wrapped(&*keys).await;
    assert_eq!(wrapped.len(), 3);
    for key in wrapped {
        assert!(holds(&dump, &key.wrapped.bytes), "the wrapped key is there");
        let secret = master().unwrap_key(&key.name, &key.wrapped).await.unwrap();
        assert!(!holds(&dump, secret.as_bytes()), "the key itself is not");
    }
}

/// Not even whoever has the master key finds a key to unwrap.
pub async fn a_dump_from_after_forgetting_opens_with_no_master_key(data: &dyn PersonalDataFactory) {
    lived_in(data).await;
    let (_, keys) = data.open().await;
    let wrapped = all_wrapped(&*keys).await;
    let app = process(data).await.0.start().unwrap();
    app.forget(&subject("ann")).await.unwrap();
    app.shutdown().await;
    let dump = data.dump().await;
    assert!(!holds(&dump, HARBOUR.as_bytes()));
    for key in wrapped {
        let is_kept = key.name.subject == subject("bob");
        assert_eq!(holds(&dump, &key.wrapped.bytes), is_kept);
    }
}

/// The one copy that forgetting can't reach: so the master key is replaced and destroyed.
pub async fn a_dump_from_before_opens_with_the_master_key_until_that_is_replaced(
    data: &dyn PersonalDataFactory,
) {
    lived_in(data).await;
    let (log, keys) = data.open().await;
    // The copy: its keys, and the master key of its time.
    let copied = all_wrapped(&*keys).await;
    let of_ann = copied.iter().find(|key| key.name.subject == subject("ann")).unwrap();
    assert!(master().unwrap_key(&of_ann.name, &of_ann.wrapped).await.is_ok());
    let newer = || MasterKeys::new("newer", SecretKey::from_bytes([7; 32]));
    let both = newer().with_older("first", SecretKey::from_bytes([42; 32]));
    assert_eq!(Vault::new(keys.clone(), both).rewrap().await.unwrap(), 3);
    assert!(newer().unwrap_key(&of_ann.name, &of_ann.wrapped).await.is_err());
    let vault = Vault::new(keys, newer());
    let log: Arc<dyn EventStore> = Arc::new(SealedLog::new(log, vault));
    let app = highwater::Highwater::builder(log).start().unwrap();
    assert_eq!(load(&app, "ann").await.lives_at(), Some(HARBOUR));
    app.shutdown().await;
}
