//! Customers who are forgotten, and orders from before their address was on record.

mod service;

use std::io::ErrorKind;
use std::path::Path;

use highwater::sqlite::SqliteStore;
use highwater::{
    Append, Event, EventStore, ExpectedVersion, MasterKeys, NewEvent, Personal, SealedLog,
    StreamId, Subject, Vault, stream_of,
};
use order_domain::inventory::{StockEvent, StockItem};
use order_domain::orders::{Order, OrderEvent, OrderLine};
use order_domain::{AddressLine, Cents, CustomerId, DeliveryAddress, OrderId, ProductId, Quantity};
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use service::load::{customer_id, order_body};
use service::{MASTER_KEYS, Program, Running};

/// What the addresses of all these tests hold, and nothing else does.
const NAME: &[u8] = b"Ada Lovelace";

/// A program on `folder` whose providers never refuse.
fn program(folder: &Path) -> Program {
    let store = folder.display().to_string();
    Program::on(&["--store", &store, "--payment-failure-rate", "0", "--carrier-failure-rate", "0"])
}

async fn history(client: &Client, service: &Running, order: &str) -> String {
    let answer = client.get(format!("{}/orders/{order}/history", service.base)).send().await;
    let answer = answer.expect("the service answers").error_for_status().expect("it is known");
    answer.text().await.expect("it is text")
}

async fn status_of(client: &Client, service: &Running, order: OrderId) -> Value {
    let answer = client.get(format!("{}/orders/{order}", service.base)).send().await;
    let row: Value = answer.expect("the service answers").json().await.expect("it is JSON");
    row["status"].clone()
}

/// True if a file in `folder` holds these bytes.
fn is_anywhere_in(folder: &Path, bytes: &[u8]) -> bool {
    let files = std::fs::read_dir(folder).expect("the folder is there");
    files.into_iter().any(|file| {
        // One that went away meanwhile holds nothing.
        let content = match std::fs::read(file.expect("it can be listed").path()) {
            Err(error) if error.kind() == ErrorKind::NotFound => return false,
            content => content.expect("it is a file"),
        };
        content.windows(bytes.len()).any(|window| window == bytes)
    })
}

#[tokio::test]
async fn a_forgotten_customer_can_not_be_read_any_more() {
    let folder = tempfile::tempdir().expect("a folder for the data");
    let service = program(folder.path()).start();
    let client = Client::new();
    let line = json!({ "product": "teapot", "quantity": 1, "unit_price_cents": 1 });
    let place = |customer| {
        let body = order_body(customer, std::slice::from_ref(&line));
        client.post(format!("{}/orders", service.base)).json(&body).send()
    };
    let placed = place(7).await.expect("the service answers");
    assert_eq!(placed.status(), StatusCode::CREATED);
    let placed: Value = placed.json().await.expect("it is JSON");
    let order = placed["order"].as_str().expect("it has an id").to_owned();
    service.wait_until_settled(&client, 1).await;
    assert!(history(&client, &service, &order).await.contains("Ada Lovelace"));
    assert!(is_anywhere_in(folder.path(), b"teapot"), "what isn't personal can be found");
    assert!(!is_anywhere_in(folder.path(), NAME), "what is personal can't, from the beginning");

    let personal = format!("{}/customers/{}/personal-data", service.base, customer_id(7));
    for _ in 0..2 {
        let answer = client.delete(&personal).send().await.expect("the service answers");
        assert_eq!(answer.status(), StatusCode::NO_CONTENT);
    }
    let told = history(&client, &service, &order).await;
    assert!(told.contains("order.placed") && !told.contains("Lovelace"), "{told}");
    let refused = place(7).await.expect("the service answers");
    assert_eq!(refused.status(), StatusCode::CONFLICT);
    assert!(refused.text().await.expect("it is text").contains("/problems/customer-forgotten"));
    let other = place(8).await.expect("the service answers");
    assert_eq!(other.status(), StatusCode::CREATED, "nobody else is forgotten");
    service.wait_until_settled(&client, 2).await;
    service.stop();

    program(folder.path()).assert_books_are_sound();
    let service = program(folder.path()).start();
    let told = history(&client, &service, &order).await;
    assert!(!told.contains("Lovelace"), "still forgotten after a restart: {told}");
}

/// A log as an earlier program left it: one order of version 1, one of a customer forgotten since.
async fn old_log(folder: &Path, of_version_1: OrderId, of_forgotten: OrderId) {
    let store = SqliteStore::open(folder.join("log.db")).await.expect("a log can be made");
    let master_keys = MasterKeys::parse(MASTER_KEYS).expect("they are keys");
    let vault = Vault::new(store.clone(), master_keys);
    let log = SealedLog::new(store, vault.clone());
    let product = ProductId::new("teapot").expect("it is a product id");
    let quantity = Quantity::new(10).expect("it is a quantity");
    let stock = stream_of::<StockItem>(&product).expect("it names a stream");
    append(&log, stock, typed(&StockEvent::Received { product, quantity })).await;

    let stored = json!({
        "order": of_version_1,
        "lines": [{ "product": "teapot", "quantity": 1, "unit_price_cents": 5 }],
        "total_cents": 5,
    });
    let old = NewEvent::new("order.placed", &stored);
    let stream = stream_of::<Order>(&of_version_1).expect("it names a stream");
    append(&log, stream, old.expect("it is JSON")).await;

    let stream = stream_of::<Order>(&of_forgotten).expect("it names a stream");
    append(&log, stream, typed(&placed(of_forgotten))).await;
    let customer = Subject::new(CustomerId::unknown_of(of_forgotten)).expect("it is a subject");
    vault.forget(&customer).await.expect("it can be forgotten");
    log.close().await;
}

fn placed(order: OrderId) -> OrderEvent {
    let line = |text| AddressLine::new(text).expect("it is a line");
    let address = DeliveryAddress {
        name: line("Ada Lovelace"),
        street: line("1 Harbour Street"),
        town: line("Aarhus"),
    };
    let customer = CustomerId::unknown_of(order);
    let product = ProductId::new("teapot").expect("it is a product id");
    let quantity = Quantity::new(1).expect("it is a quantity");
    let total = Cents::new(5).expect("it is an amount");
    OrderEvent::Placed {
        order,
        customer,
        ship_to: Some(Personal::of(customer, address)),
        lines: vec![OrderLine { product, quantity, unit_price: total }],
        total,
    }
}

fn typed<E: Event>(event: &E) -> NewEvent {
    NewEvent::from_event(event).expect("it can be written")
}

async fn append(log: &SealedLog, stream: StreamId, event: NewEvent) {
    let append = Append::to(stream, ExpectedVersion::NoStream, vec![event]);
    log.append(append).await.expect("it can be appended");
}

#[tokio::test]
async fn an_order_of_version_1_is_shipped_and_one_of_a_forgotten_customer_is_undone() {
    let folder = tempfile::tempdir().expect("a folder for the data");
    let (of_version_1, of_forgotten) = (OrderId::new(), OrderId::new());
    old_log(folder.path(), of_version_1, of_forgotten).await;

    let service = program(folder.path()).start();
    let client = Client::new();
    service.wait_until_settled(&client, 2).await;
    assert_eq!(status_of(&client, &service, of_version_1).await, "shipped");
    assert_eq!(status_of(&client, &service, of_forgotten).await, "cancelled");
    let told = history(&client, &service, &of_forgotten.to_string()).await;
    assert!(told.contains("the customer was forgotten"), "{told}");
    service.stop();
    program(folder.path()).assert_books_are_sound();
}
