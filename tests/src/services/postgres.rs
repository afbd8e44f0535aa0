//! PostgreSQL for tests: one durable server for all, one database for each.
//!
//! Schemas and migrations are not made here: a test gets an empty database and applies what it tests.

use std::time::Duration;

use tokio_postgres::NoTls;

use super::container::{Container, Recipe};
use super::own::{OwnInstance, OwnService};
use super::programs::LocalPostgres;
use super::readiness::until_ready;
use super::service_error::with_causes;
use super::{
    POSTGRES_IMAGE, POSTGRES_PROGRAMS, POSTGRES_URL, ServiceError, given_by_environment,
    unique_name,
};

const SERVICE: &str = "PostgreSQL";
/// Not a secret: the server listens on loopback and lives as long as the test run.
const PASSWORD: &str = "highwater";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(60);

const RECIPE: Recipe = Recipe {
    service: SERVICE,
    url_variable: POSTGRES_URL,
    image_variable: POSTGRES_IMAGE,
    default_image: "postgres:17-alpine",
    container_port: 5432,
    environment: |_| vec![("POSTGRES_PASSWORD", PASSWORD.to_owned())],
    // Durable on purpose: what these tests claim about kill -9 would be worth nothing with fsync off.
    command: &[
        "postgres",
        "-c",
        "fsync=on",
        "-c",
        "synchronous_commit=on",
        "-c",
        "max_connections=300",
        "-c",
        "shared_buffers=256MB",
    ],
    small_disk: Some((SMALL_DISK, "size=32m,mode=1777")),
};

/// Where a container has its small disk.
const SMALL_DISK: &str = "/small";
/// How much fits on it.
pub(super) const SMALL_DISK_MIB: usize = 32;

/// A PostgreSQL server shared by all tests of the process.
pub struct PostgresService {
    admin_url: String,
    _container: Option<Container>,
}

impl PostgresService {
    /// The server named by [`POSTGRES_URL`], or else a container of its own; answers when this returns.
    ///
    /// # Errors
    /// [`ServiceError::Start`] or [`ServiceError::NotReady`].
    pub async fn obtain() -> Result<Self, ServiceError> {
        let (admin_url, container) = match given_by_environment(POSTGRES_URL) {
            Some(url) => (url, None),
            None => {
                let container = Container::start(&RECIPE).await?;
                (admin_url_at(&container), Some(container))
            }
        };
        answers(&admin_url).await?;
        Ok(Self { admin_url, _container: container })
    }

    /// The URL of the superuser's database, for what concerns the whole server. Contains the password.
    #[must_use]
    pub fn admin_url(&self) -> &str {
        &self.admin_url
    }

    /// A new, empty database that nobody else uses, dropped with the returned value.
    ///
    /// # Panics
    /// When the server refuses, with its reason.
    pub async fn fresh_database(&self) -> Database {
        fresh_database(&self.admin_url).await.unwrap_or_else(|error| panic!("{error}"))
    }
}

/// A PostgreSQL server that one test owns and may kill, pause and start again.
pub struct OwnPostgres {
    server: OwnServer,
    admin_url: String,
}

enum OwnServer {
    Container(Box<Container>),
    Programs(LocalPostgres),
}

impl OwnPostgres {
    /// As [`PostgresService::admin_url`].
    #[must_use]
    pub fn admin_url(&self) -> &str {
        &self.admin_url
    }

    /// A new, empty database on a disk of 32 MiB; only the write-ahead log is elsewhere.
    ///
    /// # Panics
    /// When the server refuses, with its reason.
    pub async fn fresh_database_on_small_disk(&self) -> Database {
        let disk = match &self.server {
            OwnServer::Container(_) => SMALL_DISK.to_owned(),
            OwnServer::Programs(local) => {
                local.small_disk().unwrap_or_else(|error| panic!("{error}"))
            }
        };
        let database = self.fresh_database().await;
        // The server makes the folder itself: it must own it.
        for statement in [
            format!("COPY (SELECT 1) TO PROGRAM 'mkdir {disk}/space'"),
            format!("CREATE TABLESPACE small LOCATION '{disk}/space'"),
            format!(r#"ALTER DATABASE "{}" SET TABLESPACE small"#, database.name),
        ] {
            let done = execute(&self.admin_url, &statement).await;
            done.unwrap_or_else(|error| panic!("{statement}: {}", with_causes(&error)));
        }
        database
    }

    /// As [`PostgresService::fresh_database`].
    ///
    /// # Panics
    /// When the server refuses, with its reason.
    pub async fn fresh_database(&self) -> Database {
        let mut database =
            fresh_database(&self.admin_url).await.unwrap_or_else(|error| panic!("{error}"));
        // It goes with its container, which may be dead when the test ends.
        database.is_dropped_by_us = false;
        database
    }
}

impl OwnService for OwnPostgres {
    async fn start() -> Result<Self, ServiceError> {
        let (server, admin_url) = match given_by_environment(POSTGRES_PROGRAMS) {
            Some(programs) => {
                // Without its first word, which names the program.
                let local = LocalPostgres::start(&programs, &RECIPE.command[1..])?;
                let admin_url = local.admin_url();
                (OwnServer::Programs(local), admin_url)
            }
            None => {
                let container = Container::start(&RECIPE).await?;
                let admin_url = admin_url_at(&container);
                (OwnServer::Container(Box::new(container)), admin_url)
            }
        };
        answers(&admin_url).await?;
        Ok(Self { server, admin_url })
    }

    async fn ready(&self) -> Result<(), ServiceError> {
        answers(&self.admin_url).await
    }

    fn instance(&self) -> OwnInstance<'_> {
        match &self.server {
            OwnServer::Container(container) => OwnInstance::Container(container),
            OwnServer::Programs(local) => OwnInstance::Programs(local),
        }
    }
}

/// A test's own database.
pub struct Database {
    url: String,
    name: String,
    admin_url: String,
    is_dropped_by_us: bool,
}

impl Database {
    /// Where to connect. Contains the password.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The database's name on its server.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// The URL stays out: it contains the password.
impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Database").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Drop for Database {
    /// On a thread with its own runtime, because the test's may be gone; a failure leaves the database behind.
    fn drop(&mut self) {
        if !self.is_dropped_by_us {
            return;
        }
        // FORCE ends the sessions of pools the test did not close.
        let statement = format!(r#"DROP DATABASE IF EXISTS "{}" WITH (FORCE)"#, self.name);
        let admin_url = self.admin_url.clone();
        let worker = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
            runtime.block_on(execute(&admin_url, &statement)).ok()
        });
        drop(worker.join());
    }
}

fn admin_url_at(container: &Container) -> String {
    let port = container.host_port();
    format!("postgresql://postgres:{PASSWORD}@127.0.0.1:{port}/postgres")
}

async fn answers(admin_url: &str) -> Result<(), ServiceError> {
    until_ready(SERVICE, &without_credentials(admin_url), || async {
        let answer = execute(admin_url, "SELECT 1").await;
        answer.map_err(|error| with_causes(&error))
    })
    .await
}

async fn fresh_database(admin_url: &str) -> Result<Database, ServiceError> {
    let name = format!("test_{}", unique_name());
    // template0, because nobody can be connected to it and so block the copy.
    execute(admin_url, &format!(r#"CREATE DATABASE "{name}" TEMPLATE template0"#)).await.map_err(
        |error| ServiceError::Setup {
            action: format!("create database {name}"),
            reason: with_causes(&error),
        },
    )?;
    Ok(Database {
        url: with_database(admin_url, &name),
        name,
        admin_url: admin_url.to_owned(),
        is_dropped_by_us: true,
    })
}

async fn execute(url: &str, statement: &str) -> Result<(), tokio_postgres::Error> {
    let mut config: tokio_postgres::Config = url.parse()?;
    config.connect_timeout(CONNECT_TIMEOUT);
    let (client, connection) = config.connect(NoTls).await?;
    // The connection ends with the client, and so does the task that drives it.
    let driver = tokio::spawn(connection);
    let outcome = client.batch_execute(statement).await;
    drop(client);
    drop(driver.await);
    outcome
}

/// The same server and options, another database.
fn with_database(url: &str, name: &str) -> String {
    let (before_options, options) = match url.split_once('?') {
        Some((before, options)) => (before, format!("?{options}")),
        None => (url, String::new()),
    };
    let authority_start = before_options.find("://").map_or(0, |found| found + 3);
    let authority_end = before_options[authority_start..]
        .find('/')
        .map_or(before_options.len(), |found| authority_start + found);
    format!("{}/{name}{options}", &before_options[..authority_end])
}

fn without_credentials(url: &str) -> String {
    let address = url.rsplit_once('@').map_or(url, |(_, address)| address);
    address.split('?').next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_database_of_a_url_is_replaced() {
        let cases = [
            ("postgres://u:p@h:1/old", "postgres://u:p@h:1/new"),
            ("postgres://u:p@h:1", "postgres://u:p@h:1/new"),
            ("postgres://h/old?sslmode=disable", "postgres://h/new?sslmode=disable"),
        ];
        for (url, expected) in cases {
            assert_eq!(with_database(url, "new"), expected);
        }
    }

    #[test]
    fn an_address_in_a_message_has_no_password() {
        assert_eq!(without_credentials("postgres://u:secret@h:1/d?x=y"), "h:1/d");
    }
}
