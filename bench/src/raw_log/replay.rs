//! Reading the whole log into typed events on one task, by hand, in two ways.

use std::hint::black_box;

use futures::{TryStreamExt, pin_mut};
use tokio_postgres::Row;
use tokio_postgres::binary_copy::BinaryCopyOutStream;
use tokio_postgres::types::Type;

use super::{JsonBytes, RawSession};
use crate::account::decode_by_hand;

/// Events per page: what was fastest of 100, 1,000 and 5,000.
pub(super) const PAGE: i64 = 5_000;
const NEXT_PAGE: &str = "
    SELECT position, stream_id, version, type, data FROM events
    WHERE position > $1 ORDER BY position LIMIT $2";
const COPY: &str = "
    COPY (SELECT position, stream_id, version, type, data FROM events ORDER BY position)
    TO STDOUT (FORMAT binary)";
const COLUMNS: [Type; 5] = [Type::INT8, Type::TEXT, Type::INT8, Type::TEXT, Type::JSON];

/// How the log is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RawReader {
    /// `WHERE position > $1 ORDER BY position LIMIT 5000`, again and again.
    KeysetPages,
    /// One COPY in binary format.
    BinaryCopy,
}

impl RawReader {
    /// Its name in a report.
    pub fn name(self) -> &'static str {
        match self {
            Self::KeysetPages => "keyset pages",
            Self::BinaryCopy => "COPY BINARY",
        }
    }
}

impl RawSession {
    /// Reads every event; says how many there were.
    pub async fn replay(&self, reader: RawReader) -> u64 {
        match reader {
            RawReader::KeysetPages => self.replay_pages().await,
            RawReader::BinaryCopy => self.replay_copy().await,
        }
    }

    async fn replay_pages(&self) -> u64 {
        let next_page = self.client.prepare(NEXT_PAGE).await.expect("the table is there");
        let (mut read, mut after) = (0, 0_i64);
        loop {
            let rows = self
                .client
                .query_raw(&next_page, [after, PAGE])
                .await
                .expect("the log can be read");
            pin_mut!(rows);
            let before = read;
            while let Some(row) = rows.try_next().await.expect("the log can be read") {
                after = decode(&row);
                read += 1;
            }
            if read - before < PAGE as u64 {
                return read;
            }
        }
    }

    async fn replay_copy(&self) -> u64 {
        let copied = self.client.copy_out(COPY).await.expect("the log can be copied");
        let rows = BinaryCopyOutStream::new(copied, &COLUMNS);
        pin_mut!(rows);
        let mut read = 0;
        while let Some(row) = rows.try_next().await.expect("the log can be copied") {
            let JsonBytes(data) = row.get(4);
            let event = decode_by_hand(row.get(3), data);
            black_box((row.get::<i64>(0), row.get::<&str>(1), row.get::<i64>(2), event));
            read += 1;
        }
        read
    }
}

/// Decodes all of a row, and gives its position back.
fn decode(row: &Row) -> i64 {
    let JsonBytes(data) = row.get(4);
    let event = decode_by_hand(row.get(3), data);
    black_box((row.get::<_, &str>(1), row.get::<_, i64>(2), event));
    row.get(0)
}
