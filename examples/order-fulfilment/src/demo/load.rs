//! Orders placed through HTTP, by many customers at once.

use std::time::{Duration, Instant};

use futures::stream::{self, StreamExt};
use hdrhistogram::Histogram;
use indicatif::ProgressBar;
use serde_json::json;

/// How many products the demo trades in.
pub const PRODUCTS: u64 = 50;

/// How many customers place the orders, each several times.
const CUSTOMERS: u64 = 500;

/// What is slower than a minute counts as a minute.
const SLOWEST_US: u64 = 60_000_000;
/// How often one order is tried before the load gives up on the service.
const TRIES: u32 = 60;

/// What the load saw.
pub struct LoadReport {
    /// Orders that the service acknowledged.
    pub acknowledged: u64,
    /// From request to acknowledgement, in microseconds.
    pub latencies: Histogram<u64>,
    /// How long the whole load took.
    pub elapsed: Duration,
}

/// Places orders at a running service.
pub struct Load {
    client: reqwest::Client,
    base: String,
    run: String,
}

impl Load {
    /// A load on the service at `base`; `run` keeps the orders of several runs apart.
    #[must_use]
    pub fn new(base: String, run: String) -> Self {
        Self { client: reqwest::Client::new(), base, run }
    }

    /// Fills the shelves: every product gets `units`.
    ///
    /// # Errors
    /// If the service doesn't accept the stock.
    pub async fn stock_up(&self, units: u64) -> Result<(), reqwest::Error> {
        for product in 0..PRODUCTS {
            self.client
                .post(format!("{}/stock/{}", self.base, product_name(product)))
                .header("Idempotency-Key", format!("{}-stock-{product}", self.run))
                .json(&json!({ "quantity": units }))
                .send()
                .await?
                .error_for_status()?;
        }
        Ok(())
    }

    /// Places `orders` orders, `customers` at a time.
    ///
    /// # Errors
    /// If an order isn't acknowledged in spite of many tries.
    pub async fn place(
        &self,
        orders: u64,
        customers: usize,
        bar: &ProgressBar,
    ) -> Result<LoadReport, reqwest::Error> {
        let started = Instant::now();
        let mut acknowledged = 0;
        let mut latencies = Histogram::new_with_bounds(1, SLOWEST_US, 3).expect("bounds in order");
        let mut placed =
            stream::iter(0..orders).map(|order| self.place_one(order)).buffer_unordered(customers);
        while let Some(latency) = placed.next().await {
            latencies.saturating_record(latency?.as_micros() as u64);
            acknowledged += 1;
            bar.inc(1);
        }
        Ok(LoadReport { acknowledged, latencies, elapsed: started.elapsed() })
    }

    /// Places one order; the same key makes a repetition harmless.
    async fn place_one(&self, order: u64) -> Result<Duration, reqwest::Error> {
        let request = self
            .client
            .post(format!("{}/orders", self.base))
            .header("Idempotency-Key", format!("{}-{order}", self.run))
            .json(&order_body(order));
        let started = Instant::now();
        let mut tries = 0;
        loop {
            tries += 1;
            let request = request.try_clone().expect("a JSON body can be cloned");
            let error = match request.send().await.and_then(reqwest::Response::error_for_status) {
                Ok(_) => return Ok(started.elapsed()),
                Err(error) => error,
            };
            let is_final = error.status().is_some_and(|status| status.is_client_error());
            if is_final || tries == TRIES {
                return Err(error);
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
}

fn product_name(product: u64) -> String {
    format!("product-{product:02}")
}

/// Two lines of different products, spread so that some are asked for more often.
fn order_body(order: u64) -> serde_json::Value {
    let first = (order * 37 % PRODUCTS).min(order * 53 / 7 % PRODUCTS);
    let second = (first + 1 + order % (PRODUCTS - 1)) % PRODUCTS;
    let customer = order % CUSTOMERS;
    json!({
        "customer": ulid::Ulid::from(u128::from(customer)).to_string(),
        "ship_to": {
            "name": format!("Customer {customer}"),
            "street": format!("{customer} Harbour Street"),
            "town": "Aarhus",
        },
        "lines": [
            { "product": product_name(first), "quantity": 1 + order % 3, "unit_price_cents": 1_999 },
            { "product": product_name(second), "quantity": 1, "unit_price_cents": 499 },
        ],
    })
}
