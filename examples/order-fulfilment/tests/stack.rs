//! The service on real Postgres, Kafka and Redis: the demo, `kill -9`, and services that are down.

mod service;

use std::sync::atomic::Ordering;

use highwater_tests::services::{self, Database, OwnKafka, OwnPostgres, OwnService};
use service::Program;
use service::kill_drill::kill_under_load;
use service::load::Customers;
use tokio::sync::watch;

/// The program on a database, topics and keys of its own.
fn on_stack(database: &str, brokers: &str, redis: &str, domain: &str) -> Program {
    Program::on(&["--store", database, "--kafka", brokers, "--redis", redis, "--domain", domain])
}

/// A name that no other test uses, for topics, keys and the consumer group.
fn fresh_domain() -> String {
    format!("shop{}", ulid::Ulid::new().to_string().to_lowercase())
}

async fn on_shared_stack() -> (Program, Database) {
    let database = services::postgres().await.fresh_database().await;
    let (kafka, redis) = (services::kafka().await, services::redis().await);
    let program = on_stack(database.url(), kafka.brokers(), redis.url(), &fresh_domain());
    (program, database)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_ends_with_sound_books_on_the_real_stack() {
    let (program, _database) = on_shared_stack().await;
    let demo = program.run(&["demo", "--orders", "500", "--patience-s", "600", "--json"]);
    let complaints = String::from_utf8_lossy(&demo.stderr);
    let told = String::from_utf8_lossy(&demo.stdout);
    assert!(demo.status.success(), "{complaints}\n{told}");
    let summary = told.lines().last().expect("the summary is the last line");
    let summary: serde_json::Value = serde_json::from_str(summary).expect("it is JSON");
    assert_eq!(summary["acknowledged"], 500);
    program.assert_books_are_sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_service_loses_and_doubles_nothing_on_the_real_stack() {
    let (program, _database) = on_shared_stack().await;
    kill_under_load(program, 600, 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_and_kafka_killed_in_flight_lose_nothing() {
    let postgres = OwnPostgres::start().await.expect("a Postgres of our own");
    let kafka = OwnKafka::start().await.expect("a Kafka of our own");
    let redis = services::redis().await;
    let database = postgres.fresh_database().await;
    let program = on_stack(database.url(), kafka.brokers(), redis.url(), &fresh_domain());
    let service = program.start();
    let (_address, watched) = watch::channel(service.base.clone());
    let customers = Customers::new(watched);
    let (client, acknowledged) = (customers.client.clone(), customers.acknowledged());
    customers.stock_up(20, 100).await;
    let load = tokio::spawn(async move { customers.place(300, 20).await });
    let until = async |due: u64| {
        while acknowledged.load(Ordering::SeqCst) < due && !load.is_finished() {
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
    };

    until(100).await;
    kafka.kill().await.expect("Kafka can be killed");
    until(150).await;
    postgres.kill().await.expect("Postgres can be killed");
    postgres.start_again().await.expect("Postgres comes back");
    until(250).await;
    kafka.start_again().await.expect("Kafka comes back");

    load.await.expect("every order is acknowledged in the end");
    service.wait_until_settled(&client, 300).await;
    service.stop();
    program.assert_books_are_sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kafka_that_is_down_at_start_means_lag_and_no_loss() {
    let kafka = OwnKafka::start().await.expect("a Kafka of our own");
    kafka.stop().await.expect("Kafka can be stopped");
    let database = services::postgres().await.fresh_database().await;
    let redis = services::redis().await;
    let program = on_stack(database.url(), kafka.brokers(), redis.url(), &fresh_domain());
    let service = program.start();
    let (_address, watched) = watch::channel(service.base.clone());
    let customers = Customers::new(watched);
    customers.stock_up(10, 100).await;
    customers.place(50, 10).await;

    kafka.start_again().await.expect("Kafka comes back");
    service.wait_until_settled(&customers.client, 50).await;
    service.stop();
    program.assert_books_are_sound();
}

#[tokio::test]
async fn a_postgres_that_is_down_at_start_is_named_without_its_password() {
    let address = "postgres://shop:secret-word@127.0.0.1:1/shop";
    let output = Program::on(&["--store", address]).run(&["audit"]);
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success());
    assert!(complaint.contains("could not connect to Postgres"), "{complaint}");
    assert!(complaint.contains("127.0.0.1"), "{complaint}");
    assert!(!complaint.contains("secret-word"), "{complaint}");
}
