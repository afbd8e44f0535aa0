//! A store as it is often written: positions from an identity column, readers without a guard.
//!
//! It lives here to be caught. A check of the conformance suite that this store passes checks
//! nothing. It keeps no promise that a race can break, and leaves out what the race doesn't call.

use async_trait::async_trait;
use highwater::{
    Append, AppendError, AppendSignal, Appended, CheckpointError, CheckpointStore, Claim, EventId,
    EventStore, GlobalPosition, Metadata, Page, Payload, ReadError, RecordedEvent, Selection,
    Standing, StreamHead, StreamId, StreamVersion, Tag,
};
use tokio::sync::Mutex;
use tokio_postgres::{Client, NoTls, Row};

type Failure = Box<dyn std::error::Error + Send + Sync>;

const TABLE: &str = "CREATE TABLE IF NOT EXISTS naive (
    position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    stream text NOT NULL, version bigint NOT NULL, id uuid NOT NULL, type text NOT NULL,
    tags text[] NOT NULL, data text NOT NULL, UNIQUE (stream, version))";

/// Appends in one transaction per append, reads whatever is committed.
pub struct NaiveStore {
    url: String,
    idle: Mutex<Vec<Client>>,
    signal: AppendSignal,
}

impl NaiveStore {
    /// Creates the table in the database at `url` unless it is there.
    ///
    /// # Panics
    /// If the database refuses.
    pub async fn connect(url: &str) -> Self {
        let store =
            Self { url: url.to_owned(), idle: Mutex::default(), signal: AppendSignal::new() };
        let client = store.client().await.expect("a connection");
        client.batch_execute(TABLE).await.expect("the naive table");
        store.idle.lock().await.push(client);
        store
    }

    /// A connection that nobody else is using.
    async fn client(&self) -> Result<Client, Failure> {
        if let Some(client) = self.idle.lock().await.pop() {
            return Ok(client);
        }
        let (client, connection) = tokio_postgres::connect(&self.url, NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    /// Begins an append and leaves it uncommitted: its positions are drawn, its events invisible.
    ///
    /// # Errors
    /// What the database says; an append that conflicts is rolled back.
    pub async fn begin(&self, append: &Append) -> Result<Uncommitted, Failure> {
        let client = self.client().await?;
        client.batch_execute("BEGIN").await?;
        match insert(&client, append).await {
            Ok(appended) => Ok(Uncommitted { client, appended }),
            Err(failure) => {
                client.batch_execute("ROLLBACK").await?;
                self.idle.lock().await.push(client);
                Err(failure)
            }
        }
    }

    /// Commits an append.
    ///
    /// # Errors
    /// What the database says.
    pub async fn commit(&self, uncommitted: Uncommitted) -> Result<Appended, Failure> {
        uncommitted.client.batch_execute("COMMIT").await?;
        self.idle.lock().await.push(uncommitted.client);
        Ok(uncommitted.appended)
    }

    async fn rows(
        &self,
        sql: &str,
        number: i64,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        let read = async {
            let client = self.client().await?;
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            let rows = client.query(sql, &[&number, &limit]).await?;
            self.idle.lock().await.push(client);
            rows.iter().map(recorded).collect::<Result<Vec<_>, Failure>>()
        };
        read.await.map_err(|source| ReadError::Unavailable { source })
    }
}

/// An append in an open transaction.
pub struct Uncommitted {
    client: Client,
    appended: Appended,
}

async fn insert(client: &Client, append: &Append) -> Result<Appended, Failure> {
    if let Some(condition) = append.condition() {
        let rows = client
            .query("SELECT * FROM naive WHERE position > $1", &[&number(condition.after.get())])
            .await?;
        for event in rows.iter().map(recorded).collect::<Result<Vec<_>, _>>()? {
            if condition.query.matches(&event.event_type, &event.tags) {
                return Err(AppendError::ConditionFailed.into());
            }
        }
    }
    let mut appended = Appended {
        position: GlobalPosition::START,
        recorded_at: jiff::Timestamp::UNIX_EPOCH,
        heads: vec![],
        was_repeated: false,
    };
    for part in append.streams() {
        let head = "SELECT coalesce(max(version), 0) FROM naive WHERE stream = $1";
        let head: i64 = client.query_one(head, &[&part.stream.as_str()]).await?.get(0);
        let mut version = StreamVersion::new(head.unsigned_abs());
        if !part.expected.is_met_by(version) {
            let (stream, expected) = (part.stream.clone(), part.expected);
            return Err(AppendError::VersionConflict { stream, expected, actual: version }.into());
        }
        for event in &part.events {
            version = version.next();
            let tags: Vec<&str> = event.tags.iter().map(Tag::as_str).collect();
            let sql = "INSERT INTO naive (stream, version, id, type, tags, data)
                       VALUES ($1, $2, $3, $4, $5, $6) RETURNING position";
            let (stream, event_type) = (part.stream.as_str(), event.event_type.as_str());
            let values: [&(dyn tokio_postgres::types::ToSql + Sync); 6] = [
                &stream,
                &number(version.get()),
                &event.id.as_uuid(),
                &event_type,
                &tags,
                &event.data.as_json(),
            ];
            let position: i64 = client.query_one(sql, &values).await?.get(0);
            appended.position = GlobalPosition::new(position.unsigned_abs());
        }
        appended.heads.push(StreamHead { stream: part.stream.clone(), version });
    }
    Ok(appended)
}

fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn recorded(row: &Row) -> Result<RecordedEvent, Failure> {
    let tags: Vec<&str> = row.try_get("tags")?;
    Ok(RecordedEvent {
        id: EventId::from_uuid(row.try_get("id")?),
        event_type: row.try_get::<_, &str>("type")?.into(),
        schema_version: 1,
        stream: StreamId::parse(row.try_get("stream")?)?,
        version: StreamVersion::new(row.try_get::<_, i64>("version")?.unsigned_abs()),
        position: GlobalPosition::new(row.try_get::<_, i64>("position")?.unsigned_abs()),
        recorded_at: jiff::Timestamp::UNIX_EPOCH,
        data: Payload::from_json(row.try_get("data")?)?,
        tags: tags.into_iter().map(Tag::parse).collect::<Result<_, _>>()?,
        metadata: Metadata::default(),
    })
}

#[async_trait]
impl EventStore for NaiveStore {
    async fn append(&self, append: Append) -> Result<Appended, AppendError> {
        let appended = async { self.commit(self.begin(&append).await?).await };
        appended.await.map_err(|failure| match failure.downcast::<AppendError>() {
            Ok(refusal) => *refusal,
            // Two appends to one stream that read the same head: one of them violates the unique
            // constraint, which is a conflict as good as any.
            Err(_) => AppendError::ConditionFailed,
        })
    }

    async fn read_stream(
        &self,
        stream: &StreamId,
        after: StreamVersion,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        let all = self.rows(
            "SELECT * FROM naive WHERE version > $1 ORDER BY version LIMIT $2",
            number(after.get()),
            limit,
        );
        Ok(all.await?.into_iter().filter(|event| event.stream == *stream).collect())
    }

    async fn read_all(
        &self,
        selection: &Selection,
        after: GlobalPosition,
        limit: usize,
    ) -> Result<Page, ReadError> {
        let sql = "SELECT * FROM naive WHERE position > $1 ORDER BY position LIMIT $2";
        let mut events = self.rows(sql, number(after.get()), limit).await?;
        let (is_last, read_to) =
            (events.len() < limit, events.last().map_or(after, |last| last.position));
        events.retain(|event| selection.matches(event));
        Ok(Page { events, read_to, is_last })
    }

    async fn find(&self, ids: &[EventId]) -> Result<Vec<RecordedEvent>, ReadError> {
        let all = self.rows(
            "SELECT * FROM naive WHERE position > $1 ORDER BY position LIMIT $2",
            0,
            usize::MAX,
        );
        Ok(all.await?.into_iter().filter(|event| ids.contains(&event.id)).collect())
    }

    async fn high_water_mark(&self) -> Result<GlobalPosition, ReadError> {
        let last = self.rows(
            "SELECT * FROM naive WHERE position > $1 ORDER BY position DESC LIMIT $2",
            0,
            1,
        );
        Ok(last.await?.first().map_or(GlobalPosition::START, |event| event.position))
    }

    fn signal(&self) -> AppendSignal {
        self.signal.clone()
    }

    async fn close(&self) {}
}

#[async_trait]
impl CheckpointStore for NaiveStore {
    async fn claim(&self, consumer: &str) -> Result<Claim, CheckpointError> {
        Err(CheckpointError::Unavailable {
            consumer: consumer.to_owned(),
            source: "left out".into(),
        })
    }

    async fn advance(
        &self,
        claim: &Claim,
        _: GlobalPosition,
        _: Option<&Payload>,
    ) -> Result<(), CheckpointError> {
        let consumer = claim.consumer.clone();
        Err(CheckpointError::Unavailable { consumer, source: "left out".into() })
    }

    async fn standing(&self, consumer: &str) -> Result<Option<Standing>, CheckpointError> {
        Err(CheckpointError::Unavailable {
            consumer: consumer.to_owned(),
            source: "left out".into(),
        })
    }
}
