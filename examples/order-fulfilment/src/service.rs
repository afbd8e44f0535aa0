//! The service: what is hosted, on whatever stack it was given.

use std::sync::Arc;

use highwater::bus::{InProcessConsumer, RouteByCategory};
use highwater::projections::{ProjectionRunner, SqliteInbox};
use highwater::schema::{Compatibility, EventSchemas};
use highwater::{Highwater, HighwaterBuilder};
use order_domain::DomainEvent;
use order_domain::orders::Order;

use crate::fulfilment::fulfilment;
use crate::providers::SimulatedProvider;
use crate::read_models::ReadDatabase;
use crate::read_models::notifications::Notifier;
use crate::read_models::order_status::OrderStatus;
use crate::read_models::top_products::{TopProducts, TopProductsStore};
use crate::settings::{ProviderSettings, StackSettings};
use crate::stack::{Bus, Stack};

/// Everything that a request may need.
pub struct Service {
    /// Executes commands, hosts projections, saga and bus.
    pub app: Highwater,
    /// The SQL read models.
    pub read: ReadDatabase,
    /// The top products.
    pub top_products: TopProductsStore,
}

/// Why the service could not be put together.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    #[error("could not prepare the read models")]
    ReadModels(#[from] sqlx::Error),
    #[error("the definition of the fulfilment saga is wrong")]
    Saga(#[from] highwater::sagas::InvalidSaga),
    #[error("could not start the components")]
    Start(#[from] highwater::StartError),
    #[cfg(feature = "stack")]
    #[error("the configuration for Kafka is wrong")]
    Kafka(#[from] highwater::kafka::InvalidKafkaConfig),
}

impl Service {
    /// Starts everything on `stack`.
    ///
    /// # Errors
    /// [`ServiceError`].
    pub async fn start(
        stack: Stack,
        settings: &StackSettings,
        providers: &ProviderSettings,
    ) -> Result<Arc<Self>, ServiceError> {
        stack.read.prepare_notifications().await?;
        let payments = SimulatedProvider::new(providers.payment());
        let carrier = SimulatedProvider::new(providers.carrier());
        let app = Highwater::builder(stack.store.clone())
            .personal_data(stack.vault.clone())
            .host(order_status(&stack.read))
            .host(top_products(&stack.top_products))
            .host(fulfilment(payments, carrier)?);
        // Neither a program that can't read the log starts, nor one whose events others can't read.
        let app = host_bus(app, &stack, settings)?
            .event_schemas(EventSchemas::of::<DomainEvent>(), Compatibility::Backward)
            .await?
            .start()?;
        Ok(Arc::new(Self { app, read: stack.read, top_products: stack.top_products }))
    }
}

fn order_status(read: &ReadDatabase) -> ProjectionRunner {
    match read {
        ReadDatabase::Sqlite(pool) => ProjectionRunner::in_sqlite(OrderStatus, pool.clone()),
        #[cfg(feature = "stack")]
        ReadDatabase::Postgres(pool) => ProjectionRunner::in_postgres(OrderStatus, pool.clone()),
    }
}

fn top_products(store: &TopProductsStore) -> ProjectionRunner {
    match store {
        TopProductsStore::Sql(ReadDatabase::Sqlite(pool)) => {
            ProjectionRunner::in_sqlite(TopProducts, pool.clone())
        }
        #[cfg(feature = "stack")]
        TopProductsStore::Sql(ReadDatabase::Postgres(pool)) => {
            ProjectionRunner::in_postgres(TopProducts, pool.clone())
        }
        #[cfg(feature = "stack")]
        TopProductsStore::Redis(connection, prefix) => {
            ProjectionRunner::in_redis(TopProducts, connection.clone(), prefix)
        }
    }
}

/// Carries order events to the notifier, in the process or through Kafka.
fn host_bus(
    app: HighwaterBuilder,
    stack: &Stack,
    settings: &StackSettings,
) -> Result<HighwaterBuilder, ServiceError> {
    use highwater::Aggregate;
    let route = RouteByCategory::new(&settings.domain, [Order::CATEGORY]);
    let notifier =
        Notifier::new(&settings.domain, route.topic_of(Order::CATEGORY), stack.vault.clone());
    Ok(match (&stack.bus, &stack.read) {
        (Bus::InProcess, ReadDatabase::Sqlite(pool)) => {
            app.host(InProcessConsumer::new(SqliteInbox::new(notifier, pool.clone()), route))
        }
        #[cfg(feature = "stack")]
        (Bus::InProcess, ReadDatabase::Postgres(pool)) => {
            let inbox = highwater::projections::PostgresInbox::new(notifier, pool.clone());
            app.host(InProcessConsumer::new(inbox, route))
        }
        #[cfg(feature = "stack")]
        (Bus::Kafka(config), read) => host_kafka(app, config, route, notifier, read)?,
    })
}

#[cfg(feature = "stack")]
fn host_kafka(
    app: HighwaterBuilder,
    config: &highwater::kafka::KafkaConfig,
    route: RouteByCategory,
    notifier: Notifier,
    read: &ReadDatabase,
) -> Result<HighwaterBuilder, ServiceError> {
    use highwater::bus::Relay;
    use highwater::kafka::{KafkaConsumer, KafkaPublisher};
    use highwater::projections::PostgresInbox;

    let publisher = Arc::new(KafkaPublisher::connect(config.clone())?);
    let consumer = match read {
        ReadDatabase::Sqlite(pool) => {
            KafkaConsumer::new(config.clone(), SqliteInbox::new(notifier, pool.clone()))
        }
        ReadDatabase::Postgres(pool) => {
            KafkaConsumer::new(config.clone(), PostgresInbox::new(notifier, pool.clone()))
        }
    }?;
    Ok(app.host(Relay::new("kafka", publisher, route)).host(consumer))
}
