//! Creates what this room keeps in the read model's file: two tables with the prefix `highwater_`.

use sqlx::{Error, SqliteConnection};

const CREATE: &str = "
    CREATE TABLE IF NOT EXISTS highwater_projection_checkpoint (
        name TEXT NOT NULL,
        version INTEGER NOT NULL,
        epoch INTEGER NOT NULL,
        position INTEGER NOT NULL,
        PRIMARY KEY (name, version)
    ) STRICT;
    CREATE TABLE IF NOT EXISTS highwater_inbox (
        consumer TEXT NOT NULL,
        message_id TEXT NOT NULL,
        received_at_ms INTEGER NOT NULL,
        PRIMARY KEY (consumer, message_id)
    ) STRICT;
    CREATE INDEX IF NOT EXISTS highwater_inbox_by_age
        ON highwater_inbox (consumer, received_at_ms);";

/// Creates the tables unless they are there. The caller's transaction writes from its beginning,
/// so one process at a time is here.
pub(super) async fn create(connection: &mut SqliteConnection) -> Result<(), Error> {
    sqlx::raw_sql(CREATE).execute(connection).await.map(drop)
}
