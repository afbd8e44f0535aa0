//! Reading Highwater's own table by hand, every column that a recorded event has.

use std::hint::black_box;
use std::sync::Arc;
use std::time::SystemTime;

use futures::{TryStreamExt, pin_mut};
use highwater_tests::services::Database;
use tokio_postgres::binary_copy::{BinaryCopyOutRow, BinaryCopyOutStream};
use tokio_postgres::types::{FromSql, Type};
use tokio_postgres::{Client, Row};
use uuid::Uuid;

use super::replay::PAGE;
use super::{JsonBytes, RawReader, connect};
use crate::account::decode_by_hand;

macro_rules! columns {
    () => {
        "position, version, recorded_at, event_id, schema_version, type, tags, data, metadata, \
         stream_id"
    };
}

const NEXT_PAGE: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM highwater.events WHERE position > $1 ORDER BY position LIMIT $2"
);
const COPY: &str = concat!(
    "COPY (SELECT ",
    columns!(),
    " FROM highwater.events ORDER BY position) TO STDOUT (FORMAT binary)"
);
const COLUMNS: [Type; 10] = [
    Type::INT8,
    Type::INT8,
    Type::TIMESTAMPTZ,
    Type::UUID,
    Type::INT8,
    Type::TEXT,
    Type::TEXT_ARRAY,
    Type::JSON,
    Type::JSON,
    Type::TEXT,
];

/// A connection to the table.
#[derive(Clone)]
pub struct WholeEvents(Arc<Client>);

impl WholeEvents {
    /// Connects to the database of a store.
    pub async fn of(database: &Database) -> Self {
        Self(Arc::new(connect(database.url()).await))
    }

    /// Reads every event; says how many there were.
    pub async fn replay(&self, reader: RawReader) -> u64 {
        match reader {
            RawReader::KeysetPages => self.replay_pages().await,
            RawReader::BinaryCopy => self.replay_copy().await,
        }
    }

    async fn replay_pages(&self) -> u64 {
        let next_page = self.0.prepare(NEXT_PAGE).await.expect("the table is there");
        let (mut read, mut after) = (0, 0_i64);
        loop {
            let rows =
                self.0.query_raw(&next_page, [after, PAGE]).await.expect("the log can be read");
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
        let copied = self.0.copy_out(COPY).await.expect("the log can be copied");
        let rows = BinaryCopyOutStream::new(copied, &COLUMNS);
        pin_mut!(rows);
        let mut read = 0;
        while let Some(row) = rows.try_next().await.expect("the log can be copied") {
            decode(&row);
            read += 1;
        }
        read
    }
}

/// A row of either kind.
trait Columns {
    fn column<'a, T: FromSql<'a>>(&'a self, index: usize) -> T;
}

impl Columns for Row {
    fn column<'a, T: FromSql<'a>>(&'a self, index: usize) -> T {
        self.get(index)
    }
}

impl Columns for BinaryCopyOutRow {
    fn column<'a, T: FromSql<'a>>(&'a self, index: usize) -> T {
        self.get(index)
    }
}

/// Decodes all of a row, borrowing what can be, and gives its position back.
fn decode(row: &impl Columns) -> i64 {
    let JsonBytes(data) = row.column(7);
    black_box(decode_by_hand(row.column(5), data));
    black_box((row.column::<i64>(1), row.column::<i64>(4), row.column::<Uuid>(3)));
    black_box(row.column::<SystemTime>(2));
    black_box(row.column::<Option<Vec<&str>>>(6));
    black_box(row.column::<Option<JsonBytes<'_>>>(8).map(|JsonBytes(metadata)| metadata));
    black_box(row.column::<&str>(9));
    row.column(0)
}
