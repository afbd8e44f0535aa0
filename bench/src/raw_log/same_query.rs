//! Loading an account from Highwater's own table by hand, with the statement that Highwater sends.

use std::sync::Arc;

use futures::{TryStreamExt, pin_mut};
use highwater::Evolve;
use highwater_tests::services::Database;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Statement};

use super::accounts::stream_of;
use super::{JsonBytes, connect};
use crate::account::{Account, decode_by_hand};

/// As `BARE.stream_forward` in the store: what it costs to leave out is measured against
/// [`RawSession::load`](super::RawSession::load).
const LOAD: &str = "
    (SELECT e.position, e.version, e.schema_version, e.type, e.data FROM highwater.events e
     WHERE e.stream_id = $1 AND e.version > $2 ORDER BY e.version LIMIT $3)
    UNION ALL SELECT m.mark, NULL, NULL, NULL, NULL FROM highwater.stream_mark($1, $2) m(mark)";
/// A page of it, as there.
const PAGE: i64 = 1_000;

/// A connection to the database of a store.
#[derive(Clone)]
pub struct SameQuery {
    client: Arc<Client>,
    load: Statement,
}

impl SameQuery {
    /// Connects to the database of a store.
    pub async fn of(database: &Database) -> Self {
        let client = connect(database.url()).await;
        let load = client.prepare(LOAD).await.expect("the tables are there");
        Self { client: Arc::new(client), load }
    }

    /// Loads an account: its state and its version.
    pub async fn load(&self, account: u64) -> (Account, i64) {
        let stream = stream_of(account);
        let parameters: [&(dyn ToSql + Sync); 3] = [&stream, &0_i64, &PAGE];
        let rows = self.client.query_raw(&self.load, parameters).await;
        let rows = rows.expect("the account can be read");
        pin_mut!(rows);
        let (mut state, mut version) = (Account::default(), 0);
        while let Some(row) = rows.try_next().await.expect("the account can be read") {
            let JsonBytes(data) = row.get(4);
            state.evolve(&decode_by_hand(row.get(3), data));
            version = row.get(1);
        }
        (state, version)
    }
}
