//! Loading an account and depositing, by hand.

use futures::{TryStreamExt, pin_mut};
use highwater::{Aggregate, Event, Evolve};
use tokio_postgres::error::SqlState;

use super::{JsonBytes, RawSession};
use crate::account::{Account, Deposit, decode_by_hand};

pub(super) const LOAD: &str =
    "SELECT version, type, data FROM events WHERE stream_id = $1 ORDER BY version";

impl RawSession {
    /// Loads an account: its state and its version.
    pub async fn load(&self, account: u64) -> (Account, i64) {
        let stream = stream_of(account);
        let rows = self
            .client
            .query_raw(&self.statements.load, [&stream])
            .await
            .expect("the account can be read");
        pin_mut!(rows);
        let (mut state, mut version) = (Account::default(), 0);
        while let Some(row) = rows.try_next().await.expect("the account can be read") {
            let JsonBytes(data) = row.get(2);
            state.evolve(&decode_by_hand(row.get(1), data));
            version = row.get(0);
        }
        (state, version)
    }

    /// Loads, decides and inserts; again at once if somebody else came first.
    pub async fn deposit(&self, account: u64) {
        let stream = stream_of(account);
        loop {
            let (state, version) = self.load(account).await;
            let event = state.deposit(Deposit::into(account));
            let data = event.encode().expect("this is JSON");
            match self.insert(&stream, version + 1, event.event_type(), data.as_json()).await {
                Ok(()) => return,
                Err(error) if error.code() == Some(&SqlState::UNIQUE_VIOLATION) => {}
                Err(error) => panic!("a deposit could not be written: {error}"),
            }
        }
    }
}

pub(super) fn stream_of(account: u64) -> String {
    format!("{}-{account}", Account::CATEGORY)
}
