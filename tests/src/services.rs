//! Real PostgreSQL, Redis and Kafka for tests: shared ones by [`postgres`], [`redis`] and [`kafka`],
//! and ones a test may break by [`OwnPostgres`], [`OwnRedis`] and [`OwnKafka`].
//!
//! Where a service comes from, first match wins:
//!
//! 1. its address in the environment ([`POSTGRES_URL`], [`REDIS_URL`], [`KAFKA_BROKERS`]): used as it is,
//!    nothing is started;
//! 2. a container, started by the first test of the process that asks and removed when the process ends,
//!    however it ends. [`POSTGRES_IMAGE`] and its siblings replace the official image.
//!
//! A service that cannot be had is a failed test whose message names the command that starts it. No test is
//! skipped for it. Tests share a server and never its contents: each asks for a database, a key prefix or
//! topics of its own.
//!
//! Left out: preparing the machine (engine, images), which is `cargo xtask test`'s work.

mod container;
mod host_port;
mod kafka;
mod own;
mod postgres;
mod programs;
mod readiness;
mod reaper;
mod redis;
mod service_error;

pub use self::kafka::{KafkaService, OwnKafka};
pub use self::own::OwnService;
pub use self::postgres::{Database, OwnPostgres, PostgresService};
pub use self::redis::{OwnRedis, RedisService};
pub use self::service_error::ServiceError;

use tokio::sync::OnceCell;

/// Environment variable: `postgresql://…` of a server where tests may create databases.
pub const POSTGRES_URL: &str = "HIGHWATER_TEST_POSTGRES_URL";
/// Environment variable: `redis://…` of a server where tests may write keys below `test:`.
pub const REDIS_URL: &str = "HIGHWATER_TEST_REDIS_URL";
/// Environment variable: `host:port,…` of a cluster where tests may create topics.
pub const KAFKA_BROKERS: &str = "HIGHWATER_TEST_KAFKA_BROKERS";
/// Environment variable: the image to start PostgreSQL from, `postgres:17-alpine` when unset.
pub const POSTGRES_IMAGE: &str = "HIGHWATER_TEST_POSTGRES_IMAGE";
/// Environment variable: the folder of `initdb` and `postgres`. Where it is set, a test's own PostgreSQL is run from
/// these programs, and needs no container engine.
pub const POSTGRES_PROGRAMS: &str = "HIGHWATER_TEST_POSTGRES_PROGRAMS";
/// Environment variable: the image to start Redis from, `redis:7-alpine` when unset.
pub const REDIS_IMAGE: &str = "HIGHWATER_TEST_REDIS_IMAGE";
/// Environment variable: the image to start Kafka from, `apache/kafka-native:4.1.1` when unset.
pub const KAFKA_IMAGE: &str = "HIGHWATER_TEST_KAFKA_IMAGE";

/// The PostgreSQL that all tests of this process share.
///
/// # Panics
/// When it cannot be had, with a message that names the command that starts it: in a test, that is the failure.
pub async fn postgres() -> &'static PostgresService {
    static SHARED: Shared<PostgresService> = Shared::const_new();
    shared(&SHARED, PostgresService::obtain()).await
}

/// The Redis that all tests of this process share.
///
/// # Panics
/// As [`postgres`].
pub async fn redis() -> &'static RedisService {
    static SHARED: Shared<RedisService> = Shared::const_new();
    shared(&SHARED, RedisService::obtain()).await
}

/// The Kafka that all tests of this process share.
///
/// # Panics
/// As [`postgres`].
pub async fn kafka() -> &'static KafkaService {
    static SHARED: Shared<KafkaService> = Shared::const_new();
    shared(&SHARED, KafkaService::obtain()).await
}

/// The failure is kept as well: a machine without an engine fails every test at once, not one time-out each.
type Shared<S> = OnceCell<Result<S, ServiceError>>;

async fn shared<S>(
    cell: &'static Shared<S>,
    obtain: impl Future<Output = Result<S, ServiceError>>,
) -> &'static S {
    match cell.get_or_init(|| obtain).await {
        Ok(service) => service,
        Err(error) => panic!("{error}"),
    }
}

fn given_by_environment(variable: &str) -> Option<String> {
    std::env::var(variable).ok().filter(|value| !value.is_empty())
}

/// A name no other test uses, in this run or another one on the same server.
fn unique_name() -> String {
    uuid::Uuid::now_v7().simple().to_string()
}
