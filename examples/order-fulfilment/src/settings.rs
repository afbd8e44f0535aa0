//! What the service can be told, by flags or by environment.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::providers::Behaviour;

/// Where the SQLite files go unless told otherwise.
const DEFAULT_FOLDER: &str = "order-fulfilment-data";

/// Order fulfilment on Highwater: place, pay, ship, or undo.
///
/// Without flags everything lives in SQLite files in one folder, and nothing else is needed.
#[derive(Clone, Debug, Parser)]
#[command(name = "order-fulfilment", version)]
pub struct Settings {
    #[command(subcommand)]
    pub task: Option<Task>,
    #[command(flatten)]
    pub stack: StackSettings,
    #[command(flatten)]
    pub providers: ProviderSettings,
    /// Where to serve HTTP; port 0 takes a free one.
    #[arg(long, env = "ORDER_LISTEN", default_value = "127.0.0.1:8080", global = true)]
    pub listen: SocketAddr,
}

/// What to do. Serving is the default.
#[derive(Clone, Debug, Subcommand)]
pub enum Task {
    /// Serve HTTP until interrupted.
    Serve,
    /// Place a few thousand orders through HTTP, wait until each is shipped or compensated, and
    /// check the books. Fails if an invariant is broken.
    Demo(DemoSettings),
    /// Check the books of a log that nobody writes to: fold it, compare every read model with the
    /// fold, check the invariants. Fails if one is broken.
    Audit {
        /// Print one JSON object instead of a table.
        #[arg(long)]
        json: bool,
    },
    /// Compare the events' schemas with the locked ones, or lock them. Fails if something breaks.
    Schema(SchemaSettings),
}

/// What to do with the schemas of events.
#[derive(Clone, Debug, Args)]
pub struct SchemaSettings {
    /// `check` fails if anything changed; `lock` records what changed, unless it breaks something.
    #[arg(value_enum)]
    pub action: SchemaAction,
    /// The lock file.
    #[arg(long, default_value = "examples/order-fulfilment/domain/events.lock.json")]
    pub file: PathBuf,
    /// What must not break.
    #[arg(long, value_enum, default_value = "backward")]
    pub compatibility: CompatibilityLevel,
    /// Print one JSON object instead of sentences.
    #[arg(long)]
    pub json: bool,
}

/// Whether to compare only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SchemaAction {
    /// Compare.
    Check,
    /// Compare, and record what breaks nothing.
    Lock,
}

/// What must not break.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum CompatibilityLevel {
    /// New programs read old events.
    Backward,
    /// Old programs read new events.
    Forward,
    /// Both.
    Full,
}

/// Where the data lives.
#[derive(Clone, Debug, Args)]
pub struct StackSettings {
    /// A folder for SQLite files, or a postgres:// address.
    #[arg(long, env = "ORDER_STORE", default_value = DEFAULT_FOLDER, global = true)]
    pub store: String,
    /// Kafka brokers, `host:port,host:port`. Without, messages stay in the process.
    #[arg(long, env = "ORDER_KAFKA", global = true)]
    pub kafka: Option<String>,
    /// A redis:// address for the top products. Without, they live beside the other read models.
    #[arg(long, env = "ORDER_REDIS", global = true)]
    pub redis: Option<String>,
    /// Keeps several installations on one Kafka and Redis apart.
    #[arg(long, env = "ORDER_DOMAIN", default_value = "shop", global = true)]
    pub domain: String,
}

/// How the simulated providers behave.
#[derive(Clone, Debug, Args)]
pub struct ProviderSettings {
    /// Which part of the payments is declined, 0 to 1.
    #[arg(long, default_value_t = 0.1, value_parser = rate, global = true)]
    pub payment_failure_rate: f64,
    /// How long the payment provider takes at most, in milliseconds.
    #[arg(long, default_value_t = 20, global = true)]
    pub payment_delay_ms: u64,
    /// Which part of the parcels the carrier refuses, 0 to 1.
    #[arg(long, default_value_t = 0.05, value_parser = rate, global = true)]
    pub carrier_failure_rate: f64,
    /// How long the carrier takes at most, in milliseconds.
    #[arg(long, default_value_t = 20, global = true)]
    pub carrier_delay_ms: u64,
}

/// How the demo loads the service.
#[derive(Clone, Debug, Args)]
pub struct DemoSettings {
    /// How many orders to place.
    #[arg(long, default_value_t = 3_000)]
    pub orders: u64,
    /// How many customers order at the same time.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub customers: u16,
    /// How long to wait for the last order to end, in seconds.
    #[arg(long, default_value_t = 120)]
    pub patience_s: u64,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    pub json: bool,
}

/// The kinds of place that `--store` can name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreAddress {
    /// A folder for SQLite files.
    Folder(PathBuf),
    /// A Postgres address.
    Postgres(String),
}

impl StackSettings {
    /// True if nobody said where the data is to live.
    #[must_use]
    pub fn is_default_store(&self) -> bool {
        self.store == DEFAULT_FOLDER
    }

    /// What `--store` names.
    #[must_use]
    pub fn store_address(&self) -> StoreAddress {
        if self.store.starts_with("postgres://") || self.store.starts_with("postgresql://") {
            StoreAddress::Postgres(self.store.clone())
        } else {
            StoreAddress::Folder(PathBuf::from(&self.store))
        }
    }
}

impl ProviderSettings {
    /// How the payment provider behaves.
    #[must_use]
    pub fn payment(&self) -> Behaviour {
        Behaviour {
            failure_rate: self.payment_failure_rate,
            max_delay: Duration::from_millis(self.payment_delay_ms),
        }
    }

    /// How the carrier behaves.
    #[must_use]
    pub fn carrier(&self) -> Behaviour {
        Behaviour {
            failure_rate: self.carrier_failure_rate,
            max_delay: Duration::from_millis(self.carrier_delay_ms),
        }
    }
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if (0.0..=1.0).contains(&rate) => Ok(rate),
        _ => Err("must be a number from 0 to 1".to_owned()),
    }
}
