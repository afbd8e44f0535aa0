//! The harness itself: every service it hands out is real, tests do not see each other, and what a fault test breaks
//! comes back with its data. When one of these fails, look here before you look at a suite that uses services.

use std::time::Duration;

use highwater_tests::services::{self, OwnKafka, OwnPostgres, OwnRedis, OwnService};
use rdkafka::ClientConfig;
use rdkafka::consumer::{Consumer, StreamConsumer};
use rdkafka::message::Message;
use rdkafka::producer::{FutureProducer, FutureRecord};
use redis::AsyncCommands;
use tokio_postgres::NoTls;

/// Longer than any answer takes on a busy machine.
const LONG: Duration = Duration::from_secs(60);

async fn sql(url: &str) -> tokio_postgres::Client {
    let (client, connection) =
        tokio_postgres::connect(url, NoTls).await.expect("the database accepts connections");
    tokio::spawn(connection);
    client
}

async fn setting(client: &tokio_postgres::Client, name: &str) -> String {
    let row =
        client.query_one("SELECT current_setting($1)", &[&name]).await.expect("the setting exists");
    row.get(0)
}

async fn redis_connection(url: &str) -> redis::aio::MultiplexedConnection {
    redis::Client::open(url)
        .expect("the harness gives a valid URL")
        .get_multiplexed_async_connection()
        .await
        .expect("Redis accepts connections")
}

fn kafka_client(brokers: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers).set("message.timeout.ms", "60000");
    config
}

async fn produce(brokers: &str, topic: &str, payload: &str) {
    let producer: FutureProducer = kafka_client(brokers).create().expect("valid configuration");
    producer
        .send(FutureRecord::to(topic).key("key").payload(payload), LONG)
        .await
        .expect("the broker acknowledges");
}

async fn first_message(brokers: &str, topic: &str) -> String {
    let consumer: StreamConsumer = kafka_client(brokers)
        .set("group.id", topic)
        .set("auto.offset.reset", "earliest")
        .create()
        .expect("valid configuration");
    consumer.subscribe(&[topic]).expect("a valid topic name");
    let message = tokio::time::timeout(LONG, consumer.recv())
        .await
        .expect("the message arrives")
        .expect("the broker delivers");
    let payload = message.payload().expect("the message has a payload");
    String::from_utf8(payload.to_vec()).expect("the payload is the text that was sent")
}

#[tokio::test]
async fn postgres_answers_and_is_durable() {
    let database = services::postgres().await.fresh_database().await;
    let client = sql(database.url()).await;
    assert_eq!(setting(&client, "fsync").await, "on");
    assert_eq!(setting(&client, "synchronous_commit").await, "on");
    client
        .batch_execute("CREATE TABLE t (n int); INSERT INTO t VALUES (7)")
        .await
        .expect("the database is the test's own");
    let row = client.query_one("SELECT n FROM t", &[]).await.expect("the row is there");
    assert_eq!(row.get::<_, i32>(0), 7);
}

#[tokio::test]
async fn fresh_databases_do_not_see_each_other() {
    let postgres = services::postgres().await;
    let (one, other) = tokio::join!(postgres.fresh_database(), postgres.fresh_database());
    assert_ne!(one.name(), other.name());
    let client = sql(one.url()).await;
    client.batch_execute("CREATE TABLE t ()").await.expect("a table in the first");
    let row = sql(other.url())
        .await
        .query_one("SELECT to_regclass('t') IS NULL", &[])
        .await
        .expect("the second answers");
    assert!(row.get::<_, bool>(0), "the second has no such table");
}

#[tokio::test]
async fn a_database_is_gone_when_its_test_is_done_even_with_open_connections() {
    let postgres = services::postgres().await;
    let database = postgres.fresh_database().await;
    let name = database.name().to_owned();
    let _left_open = sql(database.url()).await;
    drop(database);
    let found = sql(postgres.admin_url())
        .await
        .query("SELECT FROM pg_database WHERE datname = $1", &[&name])
        .await
        .expect("the server answers");
    assert!(found.is_empty());
}

#[tokio::test]
async fn redis_keeps_what_was_set_and_prefixes_differ() {
    let redis = services::redis().await;
    let (one, other) = (redis.fresh_prefix(), redis.fresh_prefix());
    assert_ne!(one, other);
    let mut connection = redis_connection(redis.url()).await;
    let _: () = connection.set(format!("{one}k"), "v").await.expect("SET");
    let value: Option<String> = connection.get(format!("{one}k")).await.expect("GET");
    let absent: Option<String> = connection.get(format!("{other}k")).await.expect("GET");
    assert_eq!((value.as_deref(), absent), (Some("v"), None));
}

#[tokio::test]
async fn kafka_delivers_what_was_produced() {
    let kafka = services::kafka().await;
    let created = kafka.create_topic("created", 4).await;
    produce(kafka.brokers(), &created, "into a created topic").await;
    assert_eq!(first_message(kafka.brokers(), &created).await, "into a created topic");
    let on_first_use = kafka.fresh_topic("on-first-use");
    produce(kafka.brokers(), &on_first_use, "into a new topic").await;
    assert_eq!(first_message(kafka.brokers(), &on_first_use).await, "into a new topic");
}

#[tokio::test]
async fn an_own_postgres_keeps_committed_rows_and_its_port_through_kill_and_start() {
    let postgres = OwnPostgres::start().await.expect("an own PostgreSQL starts");
    let database = postgres.fresh_database().await;
    let client = sql(database.url()).await;
    client
        .batch_execute("CREATE TABLE t (n int); INSERT INTO t VALUES (7)")
        .await
        .expect("committed before the kill");
    postgres.kill().await.expect("killed");
    assert!(tokio_postgres::connect(database.url(), NoTls).await.is_err(), "it is dead");
    postgres.start_again().await.expect("started again");
    let row = sql(database.url()).await.query_one("SELECT n FROM t", &[]).await.expect("recovered");
    assert_eq!(row.get::<_, i32>(0), 7);
}

#[tokio::test]
async fn an_own_postgres_does_not_answer_while_paused_and_goes_on_afterwards() {
    let postgres = OwnPostgres::start().await.expect("an own PostgreSQL starts");
    let client = sql(postgres.admin_url()).await;
    postgres.pause().await.expect("paused");
    let answer = client.batch_execute("SELECT 1");
    tokio::pin!(answer);
    let while_paused = tokio::time::timeout(Duration::from_millis(300), &mut answer).await;
    assert!(while_paused.is_err(), "a frozen server cannot answer");
    postgres.unpause().await.expect("unpaused");
    answer.await.expect("the same query is answered now");
}

#[tokio::test]
async fn an_own_redis_keeps_acknowledged_writes_through_kill_and_start() {
    let redis = OwnRedis::start().await.expect("an own Redis starts");
    let _: () = redis_connection(redis.url()).await.set("k", "v").await.expect("SET");
    redis.kill().await.expect("killed");
    redis.start_again().await.expect("started again");
    let value: Option<String> = redis_connection(redis.url()).await.get("k").await.expect("GET");
    assert_eq!(value.as_deref(), Some("v"));
}

#[tokio::test]
async fn an_own_kafka_keeps_messages_through_an_orderly_stop_and_a_kill() {
    let kafka = OwnKafka::start().await.expect("an own Kafka starts");
    let topic = kafka.create_topic("kept", 1).await;
    produce(kafka.brokers(), &topic, "before the stop").await;
    kafka.stop().await.expect("stopped");
    kafka.start_again().await.expect("started after the stop");
    kafka.kill().await.expect("killed");
    kafka.start_again().await.expect("started after the kill");
    assert_eq!(first_message(kafka.brokers(), &topic).await, "before the stop");
}
