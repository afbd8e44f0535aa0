//! Many events in one statement, by hand: the fastest way in that still numbers streams.

use std::ops::Range;

use highwater::Event;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::accounts::stream_of;
use super::{RawLog, RawSession};
use crate::account::history;

pub(super) const INSERT: &str = "
    INSERT INTO events (stream_id, version, type, data)
    SELECT u.stream_id, $2, $3, u.data::json FROM unnest($1::text[], $4::text[]) u(stream_id, data)";

impl RawSession {
    /// Inserts an event into each of `streams` in one transaction.
    async fn insert_each<S>(&self, streams: &[String], version: i64, event_type: &str, data: &[S])
    where
        S: ToSql + Sync,
    {
        self.client
            .execute(&self.statements.insert_batch, &[&streams, &version, &event_type, &data])
            .await
            .expect("nobody else writes these streams");
    }

    /// Inserts an event into a new stream for each of `data`, in one transaction.
    pub async fn insert_batch(&self, data: Vec<String>, event_type: &str) {
        let streams: Vec<_> = data.iter().map(|_| format!("account-{}", Uuid::now_v7())).collect();
        self.insert_each(&streams, 1, event_type, &data).await;
    }
}

impl RawLog {
    /// Gives each of `accounts` the event that stands at `version` of its history.
    pub async fn fill_accounts(&self, accounts: Range<u64>, version: u64) {
        let session = self.session(accounts.start as usize);
        let streams: Vec<_> = accounts.map(stream_of).collect();
        let event = history(version);
        let data = event.encode().expect("this is JSON");
        let data = vec![data.as_json(); streams.len()];
        session.insert_each(&streams, version as i64, event.event_type(), &data).await;
    }
}
