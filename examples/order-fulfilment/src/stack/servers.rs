//! The real stack: log and read models in Postgres, top products in Redis.

use std::sync::Arc;

use highwater::EventStore;
use highwater::postgres::PostgresStore;
use redis::aio::ConnectionManager;
use sqlx::postgres::PgPoolOptions;

use super::StackError;
use crate::read_models::ReadDatabase;
use crate::read_models::top_products::TopProductsStore;

pub(super) async fn connect_postgres(
    url: &str,
) -> Result<(Arc<dyn EventStore>, ReadDatabase), StackError> {
    let store = PostgresStore::connect(url)
        .await
        .map_err(|error| StackError::connect("Postgres")(error.into()))?;
    let read = PgPoolOptions::new()
        .max_connections(8)
        .connect(url)
        .await
        .map_err(|error| StackError::connect("Postgres")(error.into()))?;
    Ok((store, ReadDatabase::Postgres(read)))
}

pub(super) async fn connect_redis(url: &str, domain: &str) -> Result<TopProductsStore, StackError> {
    let client =
        redis::Client::open(url).map_err(|error| StackError::connect("Redis")(error.into()))?;
    let connection = ConnectionManager::new(client)
        .await
        .map_err(|error| StackError::connect("Redis")(error.into()))?;
    Ok(TopProductsStore::Redis(connection, format!("{domain}:top-products:")))
}
