//! A plain session beside the store: appends through the store's own function in a transaction that
//! the test leaves open, looks at what the store doesn't show, and does damage.

use std::time::{Duration, Instant};

use highwater::EventId;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

/// The lowest key that an append in flight holds, or the greatest number.
pub(crate) const OLDEST_IN_FLIGHT: &str = "SELECT coalesce(min(((l.classid::bigint & 65535) << 32) | l.objid::bigint), 9223372036854775807)
    FROM pg_locks l JOIN pg_database d ON d.oid = l.database AND d.datname = current_database()
    WHERE l.locktype = 'advisory' AND l.classid::bigint >> 16 = 24001 AND l.mode = 'ShareLock'";

/// The functions that append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// One event without tags.
    Event,
    /// Events without conditions.
    Events,
    Batch,
    /// The same, for whom others overtook.
    Turn,
}

impl Way {
    pub(crate) const ALL: [Self; 4] = [Self::Event, Self::Events, Self::Batch, Self::Turn];

    pub(crate) fn function(self) -> &'static str {
        match self {
            Self::Event => "append_event",
            Self::Events => "append_events",
            Self::Batch => "append_batch",
            Self::Turn => "append_in_turn",
        }
    }

    /// Appends an event to stream $1 under the id $2, of type $3, with the tags $4.
    fn sql(self) -> &'static str {
        match self {
            Self::Event => {
                "SELECT highwater.append_event($1::text, (SELECT coalesce(max(e.version), 0)
                FROM highwater.events e WHERE e.stream_id = $1), $2::uuid, $3::text, 1, '{}', NULL)
                WHERE $4::text = '{}'"
            }
            Self::Events => {
                "SELECT positions[1] FROM highwater.append_events(ARRAY[$1::text], '{-2}', '{1}',
                ARRAY[$2::uuid], ARRAY[$3::text], '{1}', ARRAY[$4::text], ARRAY['{}'::json], NULL,
                NULL, NULL, NULL)"
            }
            Self::Batch => {
                "SELECT positions[1] FROM highwater.append_batch(1, '{1}', ARRAY[$1::text], '{-2}',
                '{1}', '{1}', ARRAY[$1], ARRAY[$2::uuid], ARRAY[$3::text], '{1}', ARRAY[$4::text],
                ARRAY['{}'::json], ARRAY[NULL::json], NULL, NULL, NULL, NULL, NULL, NULL)"
            }
            Self::Turn => {
                "SELECT positions[1] FROM highwater.append_in_turn(1, '{1}', ARRAY[$1::text],
                '{-2}', '{1}', '{1}', ARRAY[$1], ARRAY[$2::uuid], ARRAY[$3::text], '{1}', ARRAY[$4::text],
                ARRAY['{}'::json], ARRAY[NULL::json], NULL, NULL, NULL, NULL, NULL, NULL)"
            }
        }
    }
}

/// The list of the crate's documentation, "Privileges", to the letter.
fn documented_grants() -> String {
    let documentation =
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../store-postgres/src/lib.rs"));
    let lines = documentation.lines().map(|line| line.trim_start_matches("//!"));
    let list = lines.skip_while(|line| line.trim() != "```sql").skip(1);
    list.take_while(|line| line.trim() != "```").collect::<Vec<_>>().join("\n")
}

pub(crate) struct Session {
    url: String,
    client: Client,
}

impl Session {
    pub(crate) async fn open(url: &str) -> Self {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await.expect("a session");
        tokio::spawn(async move {
            // A session that a test has cut off ends with an error, as the test wants it to.
            let _ = connection.await;
        });
        let session = Self { url: url.to_owned(), client };
        session.run("SET application_name = 'raw session of a test'").await;
        session
    }

    /// A second session on the same database, outside of this one's transaction.
    pub(crate) async fn outside(&self) -> Self {
        Self::open(&self.url).await
    }

    pub(crate) async fn run(&self, sql: &str) {
        if let Err(error) = self.client.batch_execute(sql).await {
            panic!("{sql}: {error:?}");
        }
    }

    pub(crate) async fn try_run(&self, sql: &str) -> Result<(), tokio_postgres::Error> {
        self.client.batch_execute(sql).await
    }

    pub(crate) async fn run_into_error(&self, sql: &str) {
        assert!(self.client.batch_execute(sql).await.is_err(), "this should fail: {sql}");
    }

    pub(crate) async fn number(&self, sql: &str) -> i64 {
        let row = self.client.query_one(sql, &[]).await;
        row.unwrap_or_else(|error| panic!("{sql}: {error:?}")).get(0)
    }

    /// The first column of the only row, as text.
    pub(crate) async fn text(&self, sql: &str) -> String {
        let messages = self.client.simple_query(sql).await.expect("an answer");
        let row = messages.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0),
            _ => None,
        });
        row.expect("a text").to_owned()
    }

    /// Appends one event through the store's function, in whatever transaction is open; its id and
    /// position.
    pub(crate) async fn append(
        &self,
        stream: &str,
        event_type: &str,
        tags: &[&str],
    ) -> (EventId, u64) {
        self.append_tagged(stream, event_type, &format!("{{{}}}", tags.join(","))).await
    }

    pub(crate) async fn append_tagged(
        &self,
        stream: &str,
        event_type: &str,
        tags: &str,
    ) -> (EventId, u64) {
        self.try_append(stream, event_type, tags).await.expect("nobody else appends to the stream")
    }

    /// `None` if another session appended to the stream at the same moment; whatever transaction
    /// was open has then failed.
    pub(crate) async fn try_append(
        &self,
        stream: &str,
        event_type: &str,
        tags: &str,
    ) -> Option<(EventId, u64)> {
        self.append_by(Way::Batch, stream, event_type, tags).await
    }

    /// Like [`Session::try_append`], through the function of this name.
    pub(crate) async fn append_by(
        &self,
        way: Way,
        stream: &str,
        event_type: &str,
        tags: &str,
    ) -> Option<(EventId, u64)> {
        let id = EventId::new();
        let row =
            self.client.query_one(way.sql(), &[&stream, &id.as_uuid(), &event_type, &tags]).await;
        match row {
            Ok(row) => Some((id, row.get::<_, i64>(0).unsigned_abs())),
            Err(error) if error.code() == Some(&SqlState::UNIQUE_VIOLATION) => None,
            Err(error) => panic!("{way:?}: {error:?}"),
        }
    }

    /// How an append fails.
    pub(crate) async fn error_of_appending(&self, way: Way) -> SqlState {
        let id = EventId::new().as_uuid();
        let appended = self.client.query_one(way.sql(), &[&"test-a", &id, &"tested", &"{}"]).await;
        let error = appended.expect_err("this append should fail");
        error.code().cloned().expect("the server says why")
    }

    /// Replaces pieces of a function's text in this database: a variant with a guard removed. Each
    /// piece must be there.
    pub(crate) async fn change_function(&self, function: &str, pieces: &[(&str, &str)]) {
        let sql = "SELECT pg_get_functiondef(oid) FROM pg_proc WHERE proname = $1";
        let row = self.client.query_one(sql, &[&function]).await.expect("the function");
        let changed = pieces.iter().fold(row.get::<_, String>(0), |text, (old, new)| {
            assert!(text.contains(old), "{function} has no {old}");
            text.replace(old, new)
        });
        self.run(&changed).await;
    }

    /// What no application may do: draws a position without any lock.
    pub(crate) async fn insert_without_lock(&self, stream: &str) {
        self.run(&format!(
            "INSERT INTO highwater.events (position, version, event_id, schema_version, stream_id, type, data)
             VALUES (nextval('highwater.event_position'), 1, gen_random_uuid(), 1, '{stream}', 'x', '1')"
        ))
        .await;
    }

    /// A session whose role has the rights that the crate's documentation grants, and no more.
    pub(crate) async fn as_application_role(&self) -> Self {
        let role = format!("app_{}", EventId::new().as_uuid().simple());
        let session = self.outside().await;
        let grants = documented_grants().replace(" app;", &format!(" {role};"));
        assert!(grants.contains(&role), "the documentation grants nothing: {grants}");
        session.run(&format!("CREATE ROLE {role};\n{grants}\nSET ROLE {role}")).await;
        session
    }

    /// The position of the last event that is committed.
    pub(crate) async fn head(&self) -> i64 {
        let sql = "SELECT coalesce(max(position), 0) FROM highwater.events";
        self.client.query_one(sql, &[]).await.expect("a position").get(0)
    }

    /// Terminates one of the store's sessions that is at work; how many it was.
    pub(crate) async fn kill_a_connection_of_the_store(&self) -> u64 {
        let sql = "SELECT pg_terminate_backend(pid) FROM (
            SELECT pid FROM pg_stat_activity
            WHERE datname = current_database() AND application_name = 'highwater' AND state = 'active'
            ORDER BY random() LIMIT 1) victim";
        let messages = self.client.simple_query(sql).await.expect("it may kill");
        let rows = messages.iter().filter(|message| matches!(message, SimpleQueryMessage::Row(_)));
        rows.count() as u64
    }

    /// Waits until some session of this database waits for a lock of this kind.
    pub(crate) async fn wait_until_somebody_waits_for(&self, lock_type: &str) {
        let waited_for = self.until_somebody_waits(&format!("l.locktype = '{lock_type}'")).await;
        assert_eq!(waited_for, lock_type);
    }

    /// Waits until so many sessions of this database wait for advisory locks.
    pub(crate) async fn wait_until_so_many_wait_for_advisory_locks(&self, sessions: usize) {
        let enough = format!(
            "(SELECT count(*) FROM pg_locks w JOIN pg_stat_activity b USING (pid)
              WHERE NOT w.granted AND w.locktype = 'advisory' AND b.datname = current_database())
             >= {sessions}"
        );
        self.until_somebody_waits(&enough).await;
    }

    /// Waits until some session of this database waits for any lock; says for which kind.
    pub(crate) async fn kind_of_lock_that_is_waited_for(&self) -> String {
        self.until_somebody_waits("true").await
    }

    async fn until_somebody_waits(&self, condition: &str) -> String {
        let outside = self.outside().await;
        let started = Instant::now();
        let sql = format!(
            "SELECT l.locktype FROM pg_locks l JOIN pg_stat_activity a USING (pid)
             WHERE NOT l.granted AND a.datname = current_database() AND {condition} LIMIT 1"
        );
        loop {
            let waits = outside.client.query_opt(&sql, &[]).await.expect("it may look");
            if let Some(wait) = waits {
                return wait.get(0);
            }
            assert!(started.elapsed() < Duration::from_secs(20), "nobody waits, {condition}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}
