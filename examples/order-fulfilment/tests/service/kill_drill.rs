//! The drill: kill the service under load, again and again, and hold the books against the log.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::watch;

use super::Program;
use super::load::Customers;

const PRODUCTS: u64 = 40;

/// Places `orders` orders while the service is killed `kills` times and started again; then every
/// order must have ended, none twice, and every read model must equal a fold of the log.
pub async fn kill_under_load(program: Program, orders: u64, kills: u64) {
    let mut service = program.start();
    let (address, watched) = watch::channel(service.base.clone());
    let customers = Customers::new(watched);
    let (client, acknowledged) = (customers.client.clone(), customers.acknowledged());
    customers.stock_up(PRODUCTS, orders / 20).await;
    let load = tokio::spawn(async move { customers.place(orders, PRODUCTS).await });
    for kill in 1..=kills {
        // Each kill falls into the middle of the load: so many are in, so many are not.
        let due = orders * kill / (kills + 1);
        while acknowledged.load(Ordering::SeqCst) < due && !load.is_finished() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        service.kill();
        service = program.start();
        address.send_replace(service.base.clone());
    }
    load.await.expect("every order is acknowledged in the end");
    service.wait_until_settled(&client, orders).await;
    service.stop();

    let audit = program.assert_books_are_sound();
    let ended: u64 = audit["orders"]
        .as_object()
        .expect("orders by status")
        .values()
        .filter_map(serde_json::Value::as_u64)
        .sum();
    assert_eq!(ended, orders, "every acknowledged order is in the log, none twice: {audit}");
}
