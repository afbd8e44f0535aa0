//! What customers are told: a consumer of the bus, with an inbox so that nobody is told twice.

use async_trait::async_trait;
use highwater::bus::{HandleError, Message, Topic};
use highwater::projections::InboxHandler;
use highwater::{OpenError, Vault};
use order_domain::orders::OrderEvent;
use serde::Serialize;
use sqlx::SqliteConnection;

use super::{ReadDatabase, on_either};

const TABLE: &str = "
    CREATE TABLE IF NOT EXISTS notifications (
        order_id TEXT NOT NULL,
        version  BIGINT NOT NULL,
        text     TEXT NOT NULL)";
const INSERT: &str = "INSERT INTO notifications (order_id, version, text) VALUES ($1, $2, $3)";
const OF_ORDER: &str = "SELECT text FROM notifications WHERE order_id = $1 ORDER BY version";
const COUNT: &str = "SELECT order_id, COUNT(*) FROM notifications GROUP BY order_id";
const UNTOLD: &str = "
    SELECT (SELECT CAST(COALESCE(SUM(changes), 0) AS BIGINT) FROM order_status)
         - (SELECT COUNT(*) FROM notifications)";

/// One thing that a customer was told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Notification {
    /// The words.
    pub text: String,
}

impl ReadDatabase {
    /// Creates the table that notifications stand in; harmless where it exists.
    pub async fn prepare_notifications(&self) -> Result<(), sqlx::Error> {
        on_either!(self, |pool| sqlx::query(TABLE).execute(pool).await.map(drop))
    }

    /// What the customer of one order was told, in order.
    pub async fn notifications(&self, order: &str) -> Result<Vec<Notification>, sqlx::Error> {
        let rows: Vec<(String,)> = on_either!(self, |pool| {
            sqlx::query_as(OF_ORDER).bind(order).fetch_all(pool).await
        })?;
        Ok(rows.into_iter().map(|(text,)| Notification { text }).collect())
    }

    /// How many changes of orders their customers haven't been told yet.
    pub async fn untold_changes(&self) -> Result<i64, sqlx::Error> {
        let (untold,) = on_either!(self, |pool| sqlx::query_as(UNTOLD).fetch_one(pool).await)?;
        Ok(untold)
    }

    /// How many notifications each order led to.
    pub async fn notifications_by_order(&self) -> Result<Vec<(String, i64)>, sqlx::Error> {
        on_either!(self, |pool| sqlx::query_as(COUNT).fetch_all(pool).await)
    }
}

/// Writes a notification for every change of an order.
pub struct Notifier {
    name: String,
    topic: Topic,
    vault: Vault,
}

impl Notifier {
    /// The notifier of the installation called `domain`; it listens to `topic`. Messages from
    /// Kafka are sealed; `vault` opens them.
    #[must_use]
    pub fn new(domain: &str, topic: Topic, vault: Vault) -> Self {
        Self { name: format!("{domain}.notifier"), topic, vault }
    }
}

fn not_opened(error: OpenError) -> HandleError {
    if error.is_retryable() { HandleError::unavailable(error) } else { HandleError::poison(error) }
}

fn words_for(event: &OrderEvent) -> String {
    match event {
        OrderEvent::Placed { .. } => "Thank you, we have your order.".to_owned(),
        OrderEvent::Confirmed { .. } => "Your order is paid and being packed.".to_owned(),
        OrderEvent::Shipped { .. } => "Your order is on its way.".to_owned(),
        OrderEvent::Cancelled { reason, .. } => format!("Your order was cancelled: {reason}."),
    }
}

macro_rules! handle_in {
    ($connection:ty) => {
        #[async_trait]
        impl InboxHandler<$connection> for Notifier {
            fn consumer(&self) -> &str {
                &self.name
            }

            fn topics(&self) -> Vec<Topic> {
                vec![self.topic.clone()]
            }

            async fn handle(
                &self,
                message: &Message,
                connection: &mut $connection,
            ) -> Result<(), HandleError> {
                let opened = self.vault.open_event(message.event.clone()).await;
                let event = opened.map_err(not_opened)?;
                for event in event.decode::<OrderEvent>().map_err(HandleError::poison)? {
                    sqlx::query(INSERT)
                        .bind(message.event.stream.key())
                        .bind(message.event.version.get() as i64)
                        .bind(words_for(&event))
                        .execute(&mut *connection)
                        .await
                        .map_err(HandleError::unavailable)?;
                }
                Ok(())
            }
        }
    };
}

handle_in!(SqliteConnection);
#[cfg(feature = "stack")]
handle_in!(sqlx::PgConnection);
