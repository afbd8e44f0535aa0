//! Personal data on its way through Kafka: sealed on the broker, opened by who has the keys, and by
//! nobody once its subject is forgotten.

use highwater::{MemoryKeyStore, NewEvent, Personal, RecordedEvent, Subject, Vault};
use highwater_tests::conformance::personal_data::given::{HARBOUR, holds, master};
use serde::{Deserialize, Serialize};

use super::*;

#[derive(Serialize, Deserialize)]
struct Placed {
    ship_to: Personal<String>,
}

async fn address(vault: &Vault, event: &RecordedEvent) -> Option<String> {
    let opened = vault.open_event(event.clone()).await.expect("the keys are there");
    let placed: Placed = opened.data.to_value().expect("as it was sent");
    placed.ship_to.reveal().cloned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_sent_is_sealed_and_can_not_be_read_once_its_subject_is_forgotten() {
    let case = Case::shared().await;
    let keys = Arc::new(MemoryKeyStore::new());
    let vault = Vault::new(keys.clone(), master());
    let placed = Placed { ship_to: Personal::of("ann", HARBOUR.to_owned()) };
    let event = NewEvent::new("order.placed", &placed).expect("it is JSON");
    let id = event.id;
    let stream = StreamId::new("order", 1).expect("a valid key");
    let append = Append::to(stream, ExpectedVersion::NoStream, vec![event]);
    let sealed = vault.seal(append).await.expect("a key");
    case.store.append(sealed).await.expect("the stream is new");

    let hosted = case.host([case.relay(), case.consumer()]);
    case.handler.has_handled(&[id]).await;
    let sent = case.handler.handled().remove(0).event;
    let raw = first_record(&case, case.topic().as_str()).await;
    assert!(!holds(&raw.payload.expect("its data"), HARBOUR.as_bytes()));
    assert!(raw.headers.iter().all(|(_, value)| !value.contains(HARBOUR)));
    assert_eq!(address(&vault, &sent).await.as_deref(), Some(HARBOUR));

    vault.forget(&Subject::new("ann").expect("a valid id")).await.expect("it is forgotten");
    assert_eq!(address(&vault, &sent).await, None);
    let elsewhere = Vault::new(keys, master());
    assert_eq!(address(&elsewhere, &sent).await, None);
    hosted.stop().await;
}
