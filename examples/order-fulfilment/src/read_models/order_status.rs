//! Where each order stands, in a table.

use async_trait::async_trait;
use highwater::RecordedEvent;
use highwater::projections::{Project, ProjectError, Projection};
use order_domain::orders::OrderEvent;
use serde::Serialize;
use sqlx::SqliteConnection;

use super::{ReadDatabase, on_either};

const TABLE: &str = "
    CREATE TABLE IF NOT EXISTS order_status (
        order_id    TEXT   PRIMARY KEY,
        status      TEXT   NOT NULL,
        total_cents BIGINT NOT NULL,
        changes     BIGINT NOT NULL)";
const PLACE: &str = "
    INSERT INTO order_status (order_id, status, total_cents, changes) VALUES ($1, 'placed', $2, 1)";
/// `changes` counts events: one that had its effect twice would show.
const CHANGE: &str = "
    UPDATE order_status SET status = $2, changes = changes + 1 WHERE order_id = $1";
const FIND: &str = "
    SELECT order_id, status, total_cents, changes FROM order_status WHERE order_id = $1";
const LIST: &str = "
    SELECT order_id, status, total_cents, changes FROM order_status ORDER BY order_id";
const COUNT: &str = "SELECT status, COUNT(*) FROM order_status GROUP BY status ORDER BY status";

/// One order as a list shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OrderRow {
    /// The order.
    pub order: String,
    /// `placed`, `confirmed`, `shipped` or `cancelled`.
    pub status: String,
    /// What it costs.
    pub total_cents: i64,
    /// How many events made this row.
    pub changes: i64,
}

type Columns = (String, String, i64, i64);

impl From<Columns> for OrderRow {
    fn from((order, status, total_cents, changes): Columns) -> Self {
        Self { order, status, total_cents, changes }
    }
}

impl ReadDatabase {
    /// One order, if the read model knows it.
    pub async fn order(&self, order: &str) -> Result<Option<OrderRow>, sqlx::Error> {
        let row: Option<Columns> = on_either!(self, |pool| {
            sqlx::query_as(FIND).bind(order).fetch_optional(pool).await
        })?;
        Ok(row.map(OrderRow::from))
    }

    /// Every order, by id.
    pub async fn orders(&self) -> Result<Vec<OrderRow>, sqlx::Error> {
        let rows: Vec<Columns> =
            on_either!(self, |pool| sqlx::query_as(LIST).fetch_all(pool).await)?;
        Ok(rows.into_iter().map(OrderRow::from).collect())
    }

    /// How many orders there are in each status.
    pub async fn orders_by_status(&self) -> Result<Vec<(String, i64)>, sqlx::Error> {
        on_either!(self, |pool| sqlx::query_as(COUNT).fetch_all(pool).await)
    }
}

/// Keeps the table up to date.
pub struct OrderStatus;

impl Projection for OrderStatus {
    type Event = OrderEvent;
    const NAME: &'static str = "order-status";
}

/// The status that an event leaves an order in.
pub(crate) fn status_behind(event: &OrderEvent) -> &'static str {
    match event {
        OrderEvent::Placed { .. } => "placed",
        OrderEvent::Confirmed { .. } => "confirmed",
        OrderEvent::Shipped { .. } => "shipped",
        OrderEvent::Cancelled { .. } => "cancelled",
    }
}

macro_rules! project_into {
    ($connection:ty) => {
        #[async_trait]
        impl Project<$connection> for OrderStatus {
            async fn prepare(&self, writer: &mut $connection) -> Result<(), ProjectError> {
                sqlx::query(TABLE).execute(&mut *writer).await?;
                Ok(())
            }

            async fn project(
                &self,
                event: &OrderEvent,
                recorded: &RecordedEvent,
                writer: &mut $connection,
            ) -> Result<(), ProjectError> {
                let order = recorded.stream.key();
                let query = match event {
                    OrderEvent::Placed { total, .. } => {
                        sqlx::query(PLACE).bind(order).bind(total.get())
                    }
                    changed => sqlx::query(CHANGE).bind(order).bind(status_behind(changed)),
                };
                query.execute(&mut *writer).await?;
                Ok(())
            }
        }
    };
}

project_into!(SqliteConnection);
#[cfg(feature = "stack")]
project_into!(sqlx::PgConnection);
