//! Connections: reading the URL, the session settings that correctness rests on, pools, patience.

use std::time::{Duration, Instant};

use backon::{BackoffBuilder, ExponentialBuilder};
use deadpool_postgres::{
    Client, Manager, ManagerConfig, Pool, PoolError, RecyclingMethod, Runtime, Timeouts,
};
use tokio_postgres::config::Host;
use tokio_postgres::{Config, NoTls};

use crate::{ConnectError, PostgresOptions, sqlstate};

/// How long one try to connect may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a peer may be silent before it counts as dead.
const SILENCE: Duration = Duration::from_secs(15);

/// Where to connect to.
pub(crate) struct Target {
    config: Config,
    /// How long a caller waits for a connection that others use.
    wait: Duration,
    /// Host, port and database: what may be shown.
    pub(crate) address: String,
}

impl Target {
    pub(crate) fn parse(url: &str, options: &PostgresOptions) -> Result<Self, ConnectError> {
        // The parser's error may repeat a piece of the URL, so it is dropped.
        let mut config: Config = url.parse().map_err(|_| ConnectError::Url)?;
        let address = address(&config);
        let session = session_settings(config.get_options(), options.statement_timeout);
        config
            .options(session)
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_user_timeout(SILENCE)
            .keepalives_idle(SILENCE)
            .keepalives_interval(Duration::from_secs(5))
            .keepalives_retries(3);
        if config.get_application_name().is_none() {
            config.application_name("highwater");
        }
        Ok(Self { config, wait: options.connection_wait, address })
    }

    pub(crate) fn pool(&self, connections: usize) -> Pool {
        let settings = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = Manager::from_config(self.config.clone(), NoTls, settings);
        let timeouts = Timeouts {
            wait: Some(self.wait),
            create: Some(CONNECT_TIMEOUT),
            recycle: Some(CONNECT_TIMEOUT),
        };
        Pool::builder(manager)
            .max_size(connections)
            .timeouts(timeouts)
            .runtime(Runtime::Tokio1)
            .build()
            .expect("a pool with time-outs needs a runtime, and has one")
    }
}

/// Sent with the connection request, so they hold whatever the role's or database's defaults are.
///
/// READ COMMITTED: what waits for a lock must look afterwards, with a snapshot of afterwards. No
/// JIT: compiling costs more than any statement of ours takes. No lock_timeout: the statement's
/// bounds it.
///
/// The planner: every statement here follows an index in its order and stops at a limit. Without
/// statistics, on a log that was filled but never analysed, it prefers to fetch and sort all that
/// is left: a page of 5,000 out of 640,000 events took 174 ms instead of 2. One plan for all
/// parameters, because planning a page anew costs as much as reading a short one.
fn session_settings(given: Option<&str>, statement_timeout: Duration) -> String {
    let ours = format!(
        "-c default_transaction_isolation=read\\ committed -c jit=off -c lock_timeout=0 \
         -c idle_in_transaction_session_timeout=0 -c statement_timeout={} \
         -c plan_cache_mode=force_generic_plan -c enable_seqscan=off -c enable_bitmapscan=off \
         -c enable_sort=off -c enable_hashjoin=off -c enable_mergejoin=off",
        statement_timeout.as_millis()
    );
    // Ours come last and so win.
    given.map_or_else(|| ours.clone(), |given| format!("{given} {ours}"))
}

fn address(config: &Config) -> String {
    let ports = config.get_ports();
    let port = |index: usize| ports.get(index).or(ports.first()).copied().unwrap_or(5432);
    let hosts = config.get_hosts().iter().enumerate().map(|(index, host)| match host {
        Host::Tcp(name) => format!("{name}:{}", port(index)),
        #[cfg(unix)]
        Host::Unix(path) => format!("{}:{}", path.display(), port(index)),
    });
    let hosts = hosts.collect::<Vec<_>>().join(",");
    format!("{hosts}/{}", config.get_dbname().or(config.get_user()).unwrap_or_default())
}

/// Gets the first connection, trying again with growing pauses until `patience` is at its end.
pub(crate) async fn first_connection(
    pool: &Pool,
    address: &str,
    patience: Duration,
) -> Result<Client, ConnectError> {
    let started = Instant::now();
    let mut pauses = ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(100))
        .with_max_delay(Duration::from_secs(2))
        .without_max_times()
        .with_jitter()
        .build();
    let mut attempts = 0;
    loop {
        attempts += 1;
        let error = match pool.get().await {
            Ok(client) => return Ok(client),
            Err(error) => error,
        };
        if let PoolError::Backend(error) = &error
            && sqlstate::is_refusal_to_connect(error)
        {
            return Err(ConnectError::Refused {
                address: address.to_owned(),
                source: error_of(error),
            });
        }
        let pause = pauses.next().unwrap_or_default();
        if started.elapsed() + pause > patience {
            let address = address.to_owned();
            return Err(ConnectError::Unreachable { address, attempts, source: Box::new(error) });
        }
        tracing::warn!(address, attempts, error = %with_causes(&error), "no connection to PostgreSQL yet");
        tokio::time::sleep(pause).await;
    }
}

fn error_of(error: &tokio_postgres::Error) -> Box<dyn std::error::Error + Send + Sync> {
    with_causes(error).into()
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let mut told = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        told.push_str(": ");
        told.push_str(&error.to_string());
        cause = error.source();
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_names_server_and_database_and_no_password() {
        let url = "postgresql://app:secret@db.local:6543/orders?options=-c%20work_mem=8MB";
        let target = Target::parse(url, &PostgresOptions::new()).expect("a valid URL");
        assert_eq!(target.address, "db.local:6543/orders");
        let options = target.config.get_options().expect("session settings");
        assert!(options.starts_with("-c work_mem=8MB -c default_transaction_isolation"));
    }

    #[test]
    fn a_url_that_is_none_is_not_repeated() {
        let error = Target::parse("postgres://u:secret@h:notaport/d", &PostgresOptions::new());
        let Err(error) = error else { panic!("it is no URL") };
        assert!(!format!("{error} {error:?}").contains("secret"));
    }
}
