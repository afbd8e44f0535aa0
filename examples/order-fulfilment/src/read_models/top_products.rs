//! Which products are ordered most: a table beside the other read models, or a sorted set in Redis.

use async_trait::async_trait;
use highwater::RecordedEvent;
use highwater::projections::{Project, ProjectError, Projection};
use order_domain::orders::OrderEvent;
use serde::Serialize;
use sqlx::SqliteConnection;

use super::{ReadDatabase, on_either};

const TABLE: &str = "
    CREATE TABLE IF NOT EXISTS top_products (product TEXT PRIMARY KEY, units BIGINT NOT NULL)";
const COUNT: &str = "
    INSERT INTO top_products (product, units) VALUES ($1, $2)
    ON CONFLICT (product) DO UPDATE SET units = top_products.units + excluded.units";
const TOP: &str = "
    SELECT product, units FROM top_products ORDER BY units DESC, product LIMIT $1";

/// The sorted set, behind the read model's prefix.
#[cfg(feature = "stack")]
const KEY: &str = "units";

/// A product and how often it was ordered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ProductUnits {
    /// The product.
    pub product: String,
    /// How many units were ordered.
    pub units: i64,
}

/// Where the top products live.
#[derive(Clone)]
pub enum TopProductsStore {
    /// Beside the other read models.
    Sql(ReadDatabase),
    /// In Redis, behind a key prefix.
    #[cfg(feature = "stack")]
    Redis(redis::aio::ConnectionManager, String),
}

/// Why the top products can't be told.
#[derive(Debug, thiserror::Error)]
#[error("the top products can't be read")]
pub struct TopProductsError(#[source] Box<dyn std::error::Error + Send + Sync>);

impl TopProductsStore {
    /// The `limit` products that were ordered most.
    ///
    /// # Errors
    /// If the database or Redis can't be reached.
    pub async fn top(&self, limit: u32) -> Result<Vec<ProductUnits>, TopProductsError> {
        let rows: Vec<(String, i64)> = match self {
            Self::Sql(database) => on_either!(database, |pool| {
                sqlx::query_as(TOP).bind(i64::from(limit)).fetch_all(pool).await
            })
            .map_err(|error| TopProductsError(error.into()))?,
            #[cfg(feature = "stack")]
            Self::Redis(connection, prefix) => top_in_redis(connection.clone(), prefix, limit)
                .await
                .map_err(|error| TopProductsError(error.into()))?,
        };
        Ok(rows.into_iter().map(|(product, units)| ProductUnits { product, units }).collect())
    }
}

#[cfg(feature = "stack")]
async fn top_in_redis(
    mut connection: redis::aio::ConnectionManager,
    prefix: &str,
    limit: u32,
) -> redis::RedisResult<Vec<(String, i64)>> {
    redis::cmd("ZREVRANGE")
        .arg(format!("{prefix}{KEY}"))
        .arg(0)
        .arg(i64::from(limit) - 1)
        .arg("WITHSCORES")
        .query_async(&mut connection)
        .await
}

/// Keeps the counts up to date.
pub struct TopProducts;

impl Projection for TopProducts {
    type Event = OrderEvent;
    const NAME: &'static str = "top-products";
}

macro_rules! project_into {
    ($connection:ty) => {
        #[async_trait]
        impl Project<$connection> for TopProducts {
            async fn prepare(&self, writer: &mut $connection) -> Result<(), ProjectError> {
                sqlx::query(TABLE).execute(&mut *writer).await?;
                Ok(())
            }

            async fn project(
                &self,
                event: &OrderEvent,
                _: &RecordedEvent,
                writer: &mut $connection,
            ) -> Result<(), ProjectError> {
                let OrderEvent::Placed { lines, .. } = event else {
                    return Ok(());
                };
                for line in lines {
                    sqlx::query(COUNT)
                        .bind(line.product.to_string())
                        .bind(i64::from(line.quantity.get()))
                        .execute(&mut *writer)
                        .await?;
                }
                Ok(())
            }
        }
    };
}

project_into!(SqliteConnection);
#[cfg(feature = "stack")]
project_into!(sqlx::PgConnection);

#[cfg(feature = "stack")]
#[async_trait]
impl Project<highwater::projections::RedisBatch> for TopProducts {
    async fn project(
        &self,
        event: &OrderEvent,
        _: &RecordedEvent,
        writer: &mut highwater::projections::RedisBatch,
    ) -> Result<(), ProjectError> {
        let OrderEvent::Placed { lines, .. } = event else {
            return Ok(());
        };
        for line in lines {
            writer.zincrby(KEY, f64::from(line.quantity.get()), line.product.as_str());
        }
        Ok(())
    }
}
