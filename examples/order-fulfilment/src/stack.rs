//! Where the data lives: SQLite files in a folder, or Postgres, Redis and Kafka.
//!
//! This is the one place that knows which; everything behind it is the same code.

mod embedded;
mod master_keys;
#[cfg(feature = "stack")]
mod servers;

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;

use highwater::{EventStore, KeyStore, MasterKeys, Vault};

use crate::read_models::ReadDatabase;
use crate::read_models::top_products::TopProductsStore;
use crate::settings::{StackSettings, StoreAddress};
pub use master_keys::MasterKeysError;

/// Everything that the service is connected to.
pub struct Stack {
    /// The log, with personal data sealed in it.
    pub store: Arc<dyn EventStore>,
    /// What opens it; the keys lie beside the log.
    pub vault: Vault,
    /// The SQL read models.
    pub read: ReadDatabase,
    /// The top products.
    pub top_products: TopProductsStore,
    /// How messages travel.
    pub bus: Bus,
}

/// A log and what opens the personal data in it.
struct Log {
    store: Arc<dyn EventStore>,
    vault: Vault,
}

impl Log {
    /// The keys of customers lie beside the log, wrapped by `master_keys`, which don't.
    fn new<S: EventStore + KeyStore>(store: Arc<S>, master_keys: MasterKeys) -> Self {
        Self { vault: Vault::new(store.clone(), master_keys), store }
    }
}

/// How messages travel.
pub enum Bus {
    /// Within the process: the log itself is the broker.
    InProcess,
    /// Through Kafka.
    #[cfg(feature = "stack")]
    Kafka(highwater::kafka::KafkaConfig),
}

/// Why the service has nothing to stand on.
#[derive(Debug, thiserror::Error)]
pub enum StackError {
    /// The folder for the SQLite files can't be made.
    #[error("could not create the folder {folder}; choose another one with --store")]
    Folder {
        folder: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// Something doesn't answer.
    #[error("could not connect to {what}; is it running, and is the address right?")]
    Connect {
        what: &'static str,
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// Personal data can't be sealed.
    #[error("there is no key to seal personal data with")]
    MasterKeys(#[from] MasterKeysError),
    /// This program was built without the real stack.
    #[error(
        "{flag} needs a build with the real stack: cargo run -p order-fulfilment --features stack"
    )]
    #[cfg_attr(feature = "stack", expect(dead_code, reason = "said by the embedded build only"))]
    NotBuiltIn { flag: &'static str },
}

impl StackError {
    pub(crate) fn connect(what: &'static str) -> impl FnOnce(Box<dyn Error + Send + Sync>) -> Self {
        move |source| Self::Connect { what, source }
    }
}

impl Stack {
    /// Connects to what the settings name.
    ///
    /// # Errors
    /// [`StackError`] says what doesn't answer.
    pub async fn connect(settings: &StackSettings) -> Result<Self, StackError> {
        let (log, read) = match settings.store_address() {
            StoreAddress::Folder(folder) => embedded::open(&folder).await?,
            #[cfg(feature = "stack")]
            StoreAddress::Postgres(url) => servers::connect_postgres(&url).await?,
            #[cfg(not(feature = "stack"))]
            StoreAddress::Postgres(_) => return Err(StackError::NotBuiltIn { flag: "--store" }),
        };
        Ok(Self {
            store: log.store,
            vault: log.vault,
            top_products: top_products(settings, &read).await?,
            read,
            bus: bus(settings)?,
        })
    }
}

#[cfg(feature = "stack")]
async fn top_products(
    settings: &StackSettings,
    read: &ReadDatabase,
) -> Result<TopProductsStore, StackError> {
    match &settings.redis {
        Some(url) => servers::connect_redis(url, &settings.domain).await,
        None => Ok(TopProductsStore::Sql(read.clone())),
    }
}

#[cfg(not(feature = "stack"))]
async fn top_products(
    settings: &StackSettings,
    read: &ReadDatabase,
) -> Result<TopProductsStore, StackError> {
    match &settings.redis {
        Some(_) => Err(StackError::NotBuiltIn { flag: "--redis" }),
        None => Ok(TopProductsStore::Sql(read.clone())),
    }
}

fn bus(settings: &StackSettings) -> Result<Bus, StackError> {
    match &settings.kafka {
        #[cfg(feature = "stack")]
        Some(brokers) => Ok(Bus::Kafka(highwater::kafka::KafkaConfig::new(brokers))),
        #[cfg(not(feature = "stack"))]
        Some(_) => Err(StackError::NotBuiltIn { flag: "--kafka" }),
        None => Ok(Bus::InProcess),
    }
}
