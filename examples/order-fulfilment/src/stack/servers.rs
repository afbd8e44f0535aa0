//! The real stack: log and read models in Postgres, top products in Redis.

use highwater::postgres::PostgresStore;
use redis::aio::ConnectionManager;
use sqlx::postgres::PgPoolOptions;

use super::{Log, StackError, master_keys};
use crate::read_models::ReadDatabase;
use crate::read_models::top_products::TopProductsStore;

pub(super) async fn connect_postgres(url: &str) -> Result<(Log, ReadDatabase), StackError> {
    let master_keys = master_keys::of_environment()?;
    let store = PostgresStore::connect(url)
        .await
        .map_err(|error| StackError::connect("Postgres")(error.into()))?;
    let read = PgPoolOptions::new()
        .max_connections(8)
        .connect(url)
        .await
        .map_err(|error| StackError::connect("Postgres")(error.into()))?;
    Ok((Log::new(store, master_keys), ReadDatabase::Postgres(read)))
}

pub(super) async fn connect_redis(url: &str, domain: &str) -> Result<TopProductsStore, StackError> {
    let client =
        redis::Client::open(url).map_err(|error| StackError::connect("Redis")(error.into()))?;
    let connection = ConnectionManager::new(client)
        .await
        .map_err(|error| StackError::connect("Redis")(error.into()))?;
    Ok(TopProductsStore::Redis(connection, format!("{domain}:top-products:")))
}
