//! The keys of subjects beside the log, one row per subject.
//!
//! # Invariants
//! 1. Every change is one statement on a subject's row, so changes to a subject come one after another
//!    and each sees what the one before it left: a row that a statement waited for is looked at again.
//! 2. The row of a forgotten subject stays, and no statement but `FORGET` writes to it.

use async_trait::async_trait;
use deadpool_postgres::Client;
use highwater_core::{KeyName, KeyState, KeyStore, KeyStoreError, StoredKey, Subject, WrappedKey};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use crate::PostgresStore;

/// Of each subject the key of a number, or the newest where there is none.
const FIND: &str = "SELECT u.place, k.forgotten_at IS NOT NULL, v.version,
        k.masters[v.version], k.wrapped[v.version]
    FROM unnest($1::text[], $2::int4[]) WITH ORDINALITY u(subject, version, place)
    JOIN highwater.subject_keys k ON k.subject = u.subject
    CROSS JOIN LATERAL (SELECT coalesce(u.version, cardinality(k.wrapped))) v(version)";

/// Of several first keys at the same moment one is kept: the others wait for it and do nothing. The
/// subjects come sorted, so two that add several wait for each other in one direction only.
const ADD_FIRST: &str = "INSERT INTO highwater.subject_keys (subject, masters, wrapped)
    SELECT u.subject, ARRAY[u.master], ARRAY[u.wrapped]
    FROM unnest($1::text[], $2::text[], $3::bytea[]) u(subject, master, wrapped)
    ON CONFLICT (subject) DO NOTHING";

/// No row: forgotten, or another one has added this number.
const ADD_NEXT: &str = "UPDATE highwater.subject_keys k
    SET masters = k.masters || $3::text, wrapped = k.wrapped || $4::bytea
    WHERE k.subject = $1 AND cardinality(k.wrapped) = $2 - 1 AND k.forgotten_at IS NULL";

const FORGET: &str =
    "INSERT INTO highwater.subject_keys AS k (subject, masters, wrapped, forgotten_at)
    VALUES ($1, '{}', '{}', now())
    ON CONFLICT (subject) DO UPDATE
    SET masters = '{}', wrapped = '{}', forgotten_at = coalesce(k.forgotten_at, now())";

/// Compares what the caller read, so that nothing that changed meanwhile is overwritten.
const REWRAP: &str = "UPDATE highwater.subject_keys k
    SET masters[$2] = $4, wrapped[$2] = $5
    WHERE k.subject = $1 AND k.wrapped[$2] = $3";

const NOT_WRAPPED_BY: &str = "SELECT k.subject, v.version, k.masters[v.version],
        k.wrapped[v.version]
    FROM highwater.subject_keys k
    CROSS JOIN LATERAL generate_subscripts(k.wrapped, 1) v(version)
    WHERE k.subject >= $2 AND (k.subject > $2 OR v.version > $3) AND k.masters[v.version] <> $1
    ORDER BY k.subject, v.version LIMIT $4";

type Parameters<'a> = [&'a (dyn ToSql + Sync)];

#[async_trait]
impl KeyStore for PostgresStore {
    async fn newest(&self, subjects: &[Subject]) -> Result<Vec<KeyState>, KeyStoreError> {
        self.states(subjects.iter().map(|subject| (subject, None)).collect()).await
    }

    async fn find(&self, names: &[KeyName]) -> Result<Vec<KeyState>, KeyStoreError> {
        self.states(names.iter().map(|name| (&name.subject, Some(name.version))).collect()).await
    }

    async fn add(&self, keys: &[StoredKey]) -> Result<Vec<KeyState>, KeyStoreError> {
        let (first, next): (Vec<_>, Vec<_>) = keys.iter().partition(|key| key.name.version == 1);
        if !first.is_empty() {
            let subjects: Vec<_> = first.iter().map(|key| key.name.subject.as_str()).collect();
            let masters: Vec<_> = first.iter().map(|key| key.wrapped.master.as_str()).collect();
            let wrapped: Vec<_> = first.iter().map(|key| key.wrapped.bytes.as_slice()).collect();
            self.change("adding keys", ADD_FIRST, &[&subjects, &masters, &wrapped]).await?;
        }
        for StoredKey { name, wrapped } in next {
            let (subject, version) = (name.subject.as_str(), number(name.version));
            let parameters: &Parameters<'_> =
                &[&subject, &version, &wrapped.master, &wrapped.bytes];
            self.change("adding a key", ADD_NEXT, parameters).await?;
        }
        // A statement of its own: it sees what those that we waited for have committed.
        let names: Vec<_> = keys.iter().map(|key| key.name.clone()).collect();
        self.find(&names).await
    }

    async fn forget(&self, subject: &Subject) -> Result<(), KeyStoreError> {
        self.change("forgetting a subject", FORGET, &[&subject.as_str()]).await.map(drop)
    }

    async fn rewrap(&self, old: &StoredKey, new: &WrappedKey) -> Result<bool, KeyStoreError> {
        let (subject, version) = (old.name.subject.as_str(), number(old.name.version));
        let parameters: &Parameters<'_> =
            &[&subject, &version, &old.wrapped.bytes, &new.master, &new.bytes];
        Ok(self.change("wrapping a key anew", REWRAP, parameters).await? > 0)
    }

    async fn not_wrapped_by(
        &self,
        master: &str,
        after: Option<&KeyName>,
        limit: usize,
    ) -> Result<Vec<StoredKey>, KeyStoreError> {
        let subject = after.map_or("", |name| name.subject.as_str());
        let version = number(after.map_or(0, |name| name.version));
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = self.rows(NOT_WRAPPED_BY, &[&master, &subject, &version, &limit]).await?;
        let key = |row: &Row| {
            let subject: &str = row.try_get(0).map_err(failed(READING))?;
            let subject = Subject::new(subject).map_err(|error| failed(READING)(error))?;
            stored_key(subject, row, 1)
        };
        rows.iter().map(key).collect()
    }
}

const READING: &str = "looking keys up";

impl PostgresStore {
    async fn key_client(&self, doing: &'static str) -> Result<Client, KeyStoreError> {
        self.reads.get().await.map_err(failed(doing))
    }

    async fn change(
        &self,
        doing: &'static str,
        statement: &str,
        parameters: &Parameters<'_>,
    ) -> Result<u64, KeyStoreError> {
        let client = self.key_client(doing).await?;
        let statement = client.prepare_cached(statement).await.map_err(failed(doing))?;
        client.execute(&statement, parameters).await.map_err(failed(doing))
    }

    async fn rows(
        &self,
        statement: &str,
        parameters: &Parameters<'_>,
    ) -> Result<Vec<Row>, KeyStoreError> {
        let client = self.key_client(READING).await?;
        let statement = client.prepare_cached(statement).await.map_err(failed(READING))?;
        client.query(&statement, parameters).await.map_err(failed(READING))
    }

    async fn states(
        &self,
        keys: Vec<(&Subject, Option<u32>)>,
    ) -> Result<Vec<KeyState>, KeyStoreError> {
        let subjects: Vec<_> = keys.iter().map(|(subject, _)| subject.as_str()).collect();
        let versions: Vec<_> = keys.iter().map(|(_, version)| version.map(number)).collect();
        let mut states = vec![KeyState::Missing; keys.len()];
        for row in self.rows(FIND, &[&subjects, &versions]).await? {
            let place: i64 = row.try_get(0).map_err(failed(READING))?;
            let asked = usize::try_from(place - 1).ok().and_then(|place| keys.get(place));
            let Some((subject, _)) = asked else {
                return Err(failed(READING)("the database answered what nobody asked"));
            };
            states[place as usize - 1] = state((*subject).clone(), &row)?;
        }
        Ok(states)
    }
}

fn state(subject: Subject, row: &Row) -> Result<KeyState, KeyStoreError> {
    if row.try_get(1).map_err(failed(READING))? {
        return Ok(KeyState::Forgotten);
    }
    // An array has NULL where it has nothing.
    match row.try_get::<_, Option<&str>>(3).map_err(failed(READING))? {
        None => Ok(KeyState::Missing),
        Some(_) => stored_key(subject, row, 2).map(KeyState::Kept),
    }
}

/// Reads number, master and wrapped key from the column `first` on.
fn stored_key(subject: Subject, row: &Row, first: usize) -> Result<StoredKey, KeyStoreError> {
    let version: i32 = row.try_get(first).map_err(failed(READING))?;
    let master = row.try_get(first + 1).map_err(failed(READING))?;
    let bytes = row.try_get(first + 2).map_err(failed(READING))?;
    let name = KeyName { subject, version: version.unsigned_abs() };
    Ok(StoredKey { name, wrapped: WrappedKey { master, bytes } })
}

/// No subject has that many keys: a larger number is found nowhere.
fn number(version: u32) -> i32 {
    i32::try_from(version).unwrap_or(i32::MAX)
}

fn failed<E>(doing: &'static str) -> impl FnOnce(E) -> KeyStoreError
where
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    move |error| KeyStoreError::new(doing, error)
}
