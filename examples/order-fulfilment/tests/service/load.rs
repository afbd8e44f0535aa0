//! Customers who don't take no connection for an answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::stream::{self, StreamExt};
use serde_json::json;
use tokio::sync::watch;

/// Places orders at an address that may change while the load runs.
pub struct Customers {
    pub client: reqwest::Client,
    address: watch::Receiver<String>,
    acknowledged: Arc<AtomicU64>,
}

impl Customers {
    pub fn new(address: watch::Receiver<String>) -> Self {
        Self { client: reqwest::Client::new(), address, acknowledged: Arc::default() }
    }

    /// Counts the orders that were acknowledged so far.
    pub fn acknowledged(&self) -> Arc<AtomicU64> {
        self.acknowledged.clone()
    }

    /// Puts a few of each product on the shelves.
    pub async fn stock_up(&self, products: u64, units: u64) {
        for product in 0..products {
            let path = format!("stock/product-{product}");
            self.post(&path, &format!("stock-{product}"), json!({ "quantity": units })).await;
        }
    }

    /// Places orders of two lines each, 32 at a time; each is repeated until it is acknowledged.
    pub async fn place(&self, orders: u64, products: u64) {
        let placing = stream::iter(0..orders).map(|order| async move {
            let line = |product: u64| {
                json!({
                    "product": format!("product-{}", product % products),
                    "quantity": 1 + order % 2,
                    "unit_price_cents": 250,
                })
            };
            let body = order_body(order, &[line(order), line(order + 1)]);
            self.post("orders", &format!("order-{order}"), body).await;
            self.acknowledged.fetch_add(1, Ordering::SeqCst);
        });
        placing.buffer_unordered(32).for_each(|()| async {}).await;
    }

    async fn post(&self, path: &str, key: &str, body: serde_json::Value) {
        loop {
            let base = self.address.borrow().clone();
            let request = self.client.post(format!("{base}/{path}")).header("Idempotency-Key", key);
            match request.json(&body).send().await {
                Ok(answer) if answer.status().is_success() => return,
                Ok(answer) if answer.status().is_client_error() => {
                    panic!("{path}: {}", answer.text().await.unwrap_or_default())
                }
                // Down, or not ready: try again, under the same key.
                _ => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }
}

/// An order of `lines` by the customer of this number.
pub fn order_body(customer: u64, lines: &[serde_json::Value]) -> serde_json::Value {
    json!({
        "customer": customer_id(customer),
        "ship_to": { "name": "Ada Lovelace", "street": "1 Harbour Street", "town": "Aarhus" },
        "lines": lines,
    })
}

/// The id of the customer of this number.
pub fn customer_id(customer: u64) -> String {
    ulid::Ulid::from(u128::from(customer)).to_string()
}
