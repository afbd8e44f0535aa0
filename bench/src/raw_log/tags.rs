//! Consistency boundaries of tags, by hand: lock the tag, then look, then write.

use std::ops::Range;

use super::{JsonBytes, RawLog, RawSession};
use crate::subscription::{self, Subscribed};

/// The check stands in a statement behind the locks: its snapshot must show what whoever held them
/// has committed.
pub(super) const SCHEMA: &str = "
    CREATE TABLE event_tags (
        tag text COLLATE \"C\" NOT NULL,
        position bigint NOT NULL,
        type text COLLATE \"C\" NOT NULL,
        PRIMARY KEY (tag, position) INCLUDE (type));
    CREATE FUNCTION append_if(
        asked text, after bigint, new_stream text, new_type text, tags text[], new_data json)
    RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
    DECLARE
        appended bigint;
        lock record;
    BEGIN
        FOR lock IN
            SELECT hashtextextended(t.tag, 0) AS key, t.tag = asked AS is_asked
            FROM unnest(tags) t(tag) ORDER BY 1
        LOOP
            IF lock.is_asked THEN
                PERFORM pg_advisory_xact_lock(lock.key);
            ELSE
                PERFORM pg_advisory_xact_lock_shared(lock.key);
            END IF;
        END LOOP;
        PERFORM 1 FROM event_tags t WHERE t.tag = asked AND t.position > after LIMIT 1;
        IF FOUND THEN
            RETURN NULL;
        END IF;
        INSERT INTO events (stream_id, version, type, data)
        VALUES (new_stream, 1, new_type, new_data) RETURNING position INTO appended;
        INSERT INTO event_tags SELECT t.tag, appended, new_type FROM unnest(tags) t(tag);
        RETURN appended;
    END $$;";
pub(super) const APPEND_IF: &str = "SELECT append_if($1, $2, $3, $4, $5, $6::text::json)";
pub(super) const SINCE: &str = "
    SELECT t.position, e.data FROM event_tags t JOIN events e USING (position)
    WHERE t.tag = $1 AND t.position > $2 ORDER BY t.position";
pub(super) const FILL: &str = "
    WITH written AS (
        INSERT INTO events (stream_id, version, type, data)
        SELECT u.stream_id, 1, $2, u.data::json FROM unnest($1::text[], $3::text[]) u(stream_id, data)
        RETURNING position, stream_id)
    INSERT INTO event_tags (tag, position, type)
    SELECT u.tag, w.position, $2
    FROM unnest($4::text[], $5::text[]) u(stream_id, tag) JOIN written w USING (stream_id)";

impl RawSession {
    /// Reads what is new under the tag, then appends if that is still all; again until it is.
    ///
    /// `known` is how far this caller has read. Whoever writes the tag holds its lock from before
    /// the position is drawn until the commit, so its positions become visible in order.
    pub async fn subscribe(&self, known: &mut i64, event: &Subscribed) {
        let (stream, data) = (event.stream(), event.json());
        let tags: Vec<_> = event.tags().iter().map(|tag| tag.as_str().to_owned()).collect();
        loop {
            *known = self.read_tag(&tags[0], *known).await;
            let row = self
                .client
                .query_one(
                    &self.statements.append_if,
                    &[&tags[0], &*known, &stream.as_str(), &subscription::TYPE, &tags, &data],
                )
                .await
                .expect("the append is answered");
            if row.get::<_, Option<i64>>(0).is_some() {
                return;
            }
        }
    }

    async fn read_tag(&self, tag: &str, after: i64) -> i64 {
        let rows = self
            .client
            .query(&self.statements.tags_since, &[&tag, &after])
            .await
            .expect("the tag can be read");
        for row in &rows {
            let JsonBytes(data) = row.get(1);
            subscription::fold(data);
        }
        rows.last().map_or(after, |row| row.get(0))
    }
}

impl RawLog {
    /// Writes one tagged event for each of `numbers`.
    pub async fn fill_tagged(&self, numbers: Range<u64>) {
        let session = self.session(numbers.start as usize);
        let events: Vec<_> = numbers.map(Subscribed::of_long_ago).collect();
        let streams: Vec<_> = events.iter().map(|event| event.stream().to_string()).collect();
        let data: Vec<_> = events.iter().map(Subscribed::json).collect();
        let (mut tagged, mut tags) = (Vec::new(), Vec::new());
        for (stream, event) in streams.iter().zip(&events) {
            for tag in event.tags() {
                tagged.push(stream.as_str());
                tags.push(tag.as_str().to_owned());
            }
        }
        session
            .client
            .execute(
                &session.statements.fill_tagged,
                &[&streams, &subscription::TYPE, &data, &tagged, &tags],
            )
            .await
            .expect("nobody else writes these streams");
    }
}
