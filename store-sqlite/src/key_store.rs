//! The keys of subjects beside the log.
//!
//! # Invariants
//! 1. Every change is one transaction under the file's write lock, so changes come one after another.
//! 2. A forgotten subject has one row, its tombstone, and a trigger ignores every key for it.
//! 3. What forgetting deletes is overwritten in the file and leaves the write-ahead log, as far as no
//!    reader needs it. That is a courtesy: without its master key, a wrapped key is worth nothing.

use async_trait::async_trait;
use highwater_core::{KeyName, KeyState, KeyStore, KeyStoreError, StoredKey, Subject, WrappedKey};
use sqlx::sqlite::SqliteRow;
use sqlx::{Connection, Row, SqliteConnection};

use crate::SqliteStore;
use crate::connections::Connections;
use crate::recorded_row::column_limit;
use crate::result_code::SqliteFault;

const READING: &str = "looking keys up";

/// Of each subject the key of a number, or the newest where there is none. The tombstone, number 0,
/// answers for every number.
const FIND: &str = "SELECT asked.key, k.version, k.master, k.wrapped FROM json_each(?1) AS asked \
     JOIN highwater_subject_keys AS k ON k.subject = json_extract(asked.value, '$[0]') \
     WHERE k.version IN (0, coalesce(json_extract(asked.value, '$[1]'), ( \
         SELECT max(version) FROM highwater_subject_keys AS n WHERE n.subject = k.subject)))";

/// Behind the one before it only, so that of several at the same moment the first is kept.
const ADD: &str = "INSERT INTO highwater_subject_keys (subject, version, master, wrapped) \
     SELECT ?1, ?2, ?3, ?4 WHERE ?2 = 1 + ( \
         SELECT coalesce(max(version), 0) FROM highwater_subject_keys WHERE subject = ?1)";

#[async_trait]
impl KeyStore for SqliteStore {
    async fn newest(&self, subjects: &[Subject]) -> Result<Vec<KeyState>, KeyStoreError> {
        let newest = subjects.iter().map(|subject| (subject, None)).collect();
        states(&self.connections, newest).await
    }

    async fn find(&self, names: &[KeyName]) -> Result<Vec<KeyState>, KeyStoreError> {
        let named = names.iter().map(|name| (&name.subject, Some(name.version))).collect();
        states(&self.connections, named).await
    }

    async fn add(&self, keys: &[StoredKey]) -> Result<Vec<KeyState>, KeyStoreError> {
        add(&self.connections, keys).await?;
        let names: Vec<_> = keys.iter().map(|key| key.name.clone()).collect();
        self.find(&names).await
    }

    async fn forget(&self, subject: &Subject) -> Result<(), KeyStoreError> {
        forget(&self.connections, subject).await
    }

    async fn rewrap(&self, old: &StoredKey, new: &WrappedKey) -> Result<bool, KeyStoreError> {
        rewrap(&self.connections, old, new).await
    }

    async fn not_wrapped_by(
        &self,
        master: &str,
        after: Option<&KeyName>,
        limit: usize,
    ) -> Result<Vec<StoredKey>, KeyStoreError> {
        not_wrapped_by(&self.connections, master, after, limit).await
    }
}

async fn states(
    connections: &Connections,
    keys: Vec<(&Subject, Option<u32>)>,
) -> Result<Vec<KeyState>, KeyStoreError> {
    let asked: Vec<_> = keys.iter().map(|(subject, number)| (subject.as_str(), number)).collect();
    let asked = serde_json::to_string(&asked).map_err(|error| failed(READING, error))?;
    let rows = sqlx::query(FIND).bind(asked).fetch_all(&connections.readers).await;
    let mut states = vec![KeyState::Missing; keys.len()];
    for row in rows.map_err(|error| fault(READING, error))? {
        let place: i64 = row.try_get(0).map_err(|error| fault(READING, error))?;
        let asked = usize::try_from(place).ok().and_then(|place| keys.get(place));
        let Some((subject, _)) = asked else {
            return Err(failed(READING, "the file answered what nobody asked"));
        };
        states[place as usize] = match stored_key((*subject).clone(), &row, 1) {
            Ok(Some(key)) => KeyState::Kept(key),
            Ok(None) => KeyState::Forgotten,
            Err(error) => return Err(fault(READING, error)),
        };
    }
    Ok(states)
}

/// Reads number, master and wrapped key from the column `first` on; `None` for a tombstone.
fn stored_key(
    subject: Subject,
    row: &SqliteRow,
    first: usize,
) -> Result<Option<StoredKey>, sqlx::Error> {
    let version = row.try_get::<i64, _>(first)?.unsigned_abs();
    let version = u32::try_from(version).map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
    if version == 0 {
        return Ok(None);
    }
    let wrapped = WrappedKey { master: row.try_get(first + 1)?, bytes: row.try_get(first + 2)? };
    Ok(Some(StoredKey { name: KeyName { subject, version }, wrapped }))
}

/// Adds keys, together.
async fn add(connections: &Connections, keys: &[StoredKey]) -> Result<(), KeyStoreError> {
    let adding = async |connection: &mut SqliteConnection| {
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
        for StoredKey { name, wrapped } in keys {
            sqlx::query(ADD)
                .bind(name.subject.as_str())
                .bind(i64::from(name.version))
                .bind(wrapped.master.as_str())
                .bind(wrapped.bytes.as_slice())
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await
    };
    write(connections, "adding keys", adding).await
}

/// Deletes a subject's keys and leaves a tombstone.
async fn forget(connections: &Connections, subject: &Subject) -> Result<(), KeyStoreError> {
    let forgetting = async |connection: &mut SqliteConnection| {
        sqlx::query("PRAGMA secure_delete = ON").execute(&mut *connection).await?;
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
        sqlx::query("DELETE FROM highwater_subject_keys WHERE subject = ?")
            .bind(subject.as_str())
            .execute(&mut *transaction)
            .await?;
        sqlx::query("INSERT INTO highwater_subject_keys (subject, version) VALUES (?, 0)")
            .bind(subject.as_str())
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        empty_write_ahead_log(connection).await
    };
    write(connections, "forgetting a subject", forgetting).await
}

/// Has the keys leave the write-ahead log as well. The subject is forgotten without it: a courtesy,
/// which a reader that is still in that log may refuse. So nobody waits for that reader, and least of
/// all those that want to write. Dropped or failed half-way, the connection isn't put back, and so nobody
/// is left with one that doesn't wait.
async fn empty_write_ahead_log(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    let patience: i64 =
        sqlx::query_scalar("PRAGMA busy_timeout").fetch_one(&mut *connection).await?;
    sqlx::query("PRAGMA busy_timeout = 0").execute(&mut *connection).await?;
    let emptied = sqlx::query_scalar("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(&mut *connection);
    match emptied.await {
        Ok(0_i64) => {}
        Ok(_) => tracing::debug!("the write-ahead log was not emptied: somebody reads it"),
        Err(error) => tracing::debug!(%error, "the write-ahead log could not be emptied"),
    }
    // Part of the statement's text: a pragma takes no parameters.
    let waits_again = format!("PRAGMA busy_timeout = {patience}");
    sqlx::query(sqlx::AssertSqlSafe(waits_again)).execute(connection).await.map(drop)
}

/// Replaces how a key is wrapped, if it still is what the caller read.
async fn rewrap(
    connections: &Connections,
    old: &StoredKey,
    new: &WrappedKey,
) -> Result<bool, KeyStoreError> {
    let rewrapping = async |connection: &mut SqliteConnection| {
        let done = sqlx::query(
            "UPDATE highwater_subject_keys SET master = ?, wrapped = ? \
             WHERE subject = ? AND version = ? AND wrapped = ?",
        )
        .bind(new.master.as_str())
        .bind(new.bytes.as_slice())
        .bind(old.name.subject.as_str())
        .bind(i64::from(old.name.version))
        .bind(old.wrapped.bytes.as_slice())
        .execute(connection)
        .await?;
        Ok(done.rows_affected() > 0)
    };
    write(connections, "wrapping a key anew", rewrapping).await
}

/// Keys that another master key wraps, in order of their names.
async fn not_wrapped_by(
    connections: &Connections,
    master: &str,
    after: Option<&KeyName>,
    limit: usize,
) -> Result<Vec<StoredKey>, KeyStoreError> {
    let rows = sqlx::query(
        "SELECT subject, version, master, wrapped FROM highwater_subject_keys \
         WHERE version > 0 AND master <> ?1 AND (subject, version) > (?2, ?3) \
         ORDER BY subject, version LIMIT ?4",
    )
    .bind(master)
    .bind(after.map_or("", |name| name.subject.as_str()))
    .bind(i64::from(after.map_or(0, |name| name.version)))
    .bind(column_limit(limit))
    .fetch_all(&connections.readers)
    .await
    .map_err(|error| fault(READING, error))?;
    let key = |row: &SqliteRow| {
        let subject: &str = row.try_get(0).map_err(|error| fault(READING, error))?;
        let subject = Subject::new(subject).map_err(|error| failed(READING, error))?;
        stored_key(subject, row, 1).map_err(|error| fault(READING, error))
    };
    rows.iter().filter_map(|row| key(row).transpose()).collect()
}

/// Takes its turn to write.
async fn write<T>(
    connections: &Connections,
    doing: &'static str,
    change: impl AsyncFnOnce(&mut SqliteConnection) -> Result<T, sqlx::Error>,
) -> Result<T, KeyStoreError> {
    let mut writer = connections.writer().await.map_err(|error| failed(doing, error))?;
    match change(&mut writer.connection).await {
        Ok(done) => {
            writer.put_back();
            Ok(done)
        }
        Err(error) => {
            writer.discard().await;
            Err(fault(doing, error))
        }
    }
}

fn fault(doing: &'static str, error: sqlx::Error) -> KeyStoreError {
    failed(doing, SqliteFault::from(error))
}

fn failed(
    doing: &'static str,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> KeyStoreError {
    KeyStoreError::new(doing, source)
}
