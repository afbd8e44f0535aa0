//! Redis for tests: one server for all, one key prefix for each test.

use ::redis::aio::MultiplexedConnection;

use super::container::{Container, Recipe};
use super::own::{OwnInstance, OwnService};
use super::readiness::until_ready;
use super::{REDIS_IMAGE, REDIS_URL, ServiceError, given_by_environment, unique_name};

const SERVICE: &str = "Redis";

const RECIPE: Recipe = Recipe {
    service: SERVICE,
    url_variable: REDIS_URL,
    image_variable: REDIS_IMAGE,
    default_image: "redis:7-alpine",
    container_port: 6379,
    environment: |_| Vec::new(),
    // Every write reaches the disk before its answer: a read model must not forget its checkpoint in a kill -9 test.
    command: &["redis-server", "--appendonly", "yes", "--appendfsync", "always"],
    small_disk: None,
};

/// A Redis server shared by all tests of the process.
pub struct RedisService {
    url: String,
    _container: Option<Container>,
}

impl RedisService {
    /// The server named by [`REDIS_URL`], or else a container of its own; answers when this returns.
    ///
    /// # Errors
    /// [`ServiceError::Start`] or [`ServiceError::NotReady`].
    pub async fn obtain() -> Result<Self, ServiceError> {
        let (url, container) = match given_by_environment(REDIS_URL) {
            Some(url) => (url, None),
            None => {
                let container = Container::start(&RECIPE).await?;
                (url_at(&container), Some(container))
            }
        };
        answers(&url).await?;
        Ok(Self { url, _container: container })
    }

    /// Where to connect.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A prefix that no other test's keys have; it ends with a colon.
    #[must_use]
    pub fn fresh_prefix(&self) -> String {
        format!("test:{}:", unique_name())
    }
}

/// A Redis server that one test owns and may kill, pause and start again.
pub struct OwnRedis {
    container: Container,
    url: String,
}

impl OwnRedis {
    /// Where to connect.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl OwnService for OwnRedis {
    async fn start() -> Result<Self, ServiceError> {
        let container = Container::start(&RECIPE).await?;
        let url = url_at(&container);
        answers(&url).await?;
        Ok(Self { container, url })
    }

    async fn ready(&self) -> Result<(), ServiceError> {
        answers(&self.url).await
    }

    fn instance(&self) -> OwnInstance<'_> {
        OwnInstance::Container(&self.container)
    }
}

fn url_at(container: &Container) -> String {
    format!("redis://127.0.0.1:{}/", container.host_port())
}

async fn answers(url: &str) -> Result<(), ServiceError> {
    let address = url.rsplit_once('@').map_or(url, |(_, address)| address);
    until_ready(SERVICE, address, || ping(url)).await
}

async fn ping(url: &str) -> Result<(), ::redis::RedisError> {
    let client = ::redis::Client::open(url)?;
    let mut connection: MultiplexedConnection = client.get_multiplexed_async_connection().await?;
    ::redis::cmd("PING").query_async(&mut connection).await
}
