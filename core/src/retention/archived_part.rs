//! What each file adds to an archive, held against the log.
//!
//! A file proves that it is whole, not that it is of this log: a log that was restored from a backup
//! gives positions again, and a tenant's part of a log spans the same ones as the log.
//!
//! # Invariants
//! 1. Two histories of one log part once and never meet again. So a part whose last event stands in
//!    the log, with nothing of the log behind it up to the part's end, is of this history.
//! 2. What was removed from the log can't be held against it, and needs not: it can't go again.

use std::collections::HashMap;

use super::ArchiveScope;
use crate::{
    EventId, EventStore, GlobalPosition, ReadError, RecordedEvent, Selection, StreamId,
    StreamVersion,
};

/// How many parts are looked up at a time: two events each are in memory meanwhile.
const LOOKED_UP_AT_A_TIME: usize = 32;

/// Where an archived event stood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ArchivedPlace {
    id: EventId,
    stream: StreamId,
    version: StreamVersion,
    position: GlobalPosition,
}

impl ArchivedPlace {
    fn of(event: &RecordedEvent) -> Self {
        Self {
            id: event.id,
            stream: event.stream.clone(),
            version: event.version,
            position: event.position,
        }
    }
}

/// What one file adds to an archive.
#[derive(Clone, Debug)]
pub(super) struct ArchivedPart {
    scope: ArchiveScope,
    events: u64,
    /// The first event and the last; one if they are the same.
    ends: Vec<ArchivedPlace>,
}

impl ArchivedPart {
    #[cfg(feature = "archive")]
    pub(super) fn of(scope: ArchiveScope) -> Self {
        Self { scope, events: 0, ends: Vec::new() }
    }

    /// Takes the next event of the part.
    #[cfg(feature = "archive")]
    pub(super) fn add(&mut self, event: &RecordedEvent) {
        self.events += 1;
        // The first stays, the second is always the last so far.
        self.ends.truncate(1);
        self.ends.push(ArchivedPlace::of(event));
    }

    #[cfg(feature = "archive")]
    pub(super) fn to(&self) -> u64 {
        self.scope.to()
    }

    pub(super) fn events(&self) -> u64 {
        self.events
    }
}

/// True if every part is of the log in `store`: its ends stand where the archive says, or were removed
/// from there, and the log holds nothing behind them that the part lacks.
pub(super) async fn are_of_log(
    store: &dyn EventStore,
    parts: &[ArchivedPart],
) -> Result<bool, ReadError> {
    for batch in parts.chunks(LOOKED_UP_AT_A_TIME) {
        let ids: Vec<_> = batch.iter().flat_map(|part| &part.ends).map(|end| end.id).collect();
        let found = store.find(&ids).await?;
        let found: HashMap<_, _> =
            found.iter().map(|event| (event.id, ArchivedPlace::of(event))).collect();
        for end in batch.iter().flat_map(|part| &part.ends) {
            let stands = match found.get(&end.id) {
                Some(place) => place == end,
                None => was_removed(store, end).await?,
            };
            if !stands {
                return Ok(false);
            }
        }
        for part in batch {
            if !reaches_its_end(store, part).await? {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// True if an event that isn't found has been removed from where it stood.
async fn was_removed(store: &dyn EventStore, end: &ArchivedPlace) -> Result<bool, ReadError> {
    let before = GlobalPosition::new(end.position.get().saturating_sub(1));
    match store.read_all(&Selection::All, before, 1).await {
        Err(ReadError::LogTruncated { .. }) => return Ok(true),
        Err(error) => return Err(error),
        Ok(page) => {
            // Another event in its place: it was never here, whatever the stream has lost.
            let found = page.events.first().filter(|event| event.position == end.position);
            if let Some(event) = found {
                return Ok(ArchivedPlace::of(event) == *end);
            }
        }
    }
    let before = StreamVersion::new(end.version.get().saturating_sub(1));
    match store.read_stream(&end.stream, before, 1).await {
        Err(ReadError::StreamTruncated { .. } | ReadError::LogTruncated { .. }) => Ok(true),
        // A stream that isn't this store's to show: another tenant's.
        Ok(_) | Err(ReadError::Refused { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// True if the log holds no event behind the part's last one, or behind its beginning if it is empty,
/// up to its end. Of a stream that is so by itself: its versions have no gaps.
async fn reaches_its_end(store: &dyn EventStore, part: &ArchivedPart) -> Result<bool, ReadError> {
    if part.scope.stream().is_some() {
        return Ok(true);
    }
    let begin = GlobalPosition::new(part.scope.after());
    let mut after = part.ends.last().map_or(begin, |last| last.position);
    while after.get() < part.scope.to() {
        match store.read_all(&Selection::All, after, 1).await {
            Ok(page) => match page.events.first() {
                Some(event) => return Ok(event.position.get() > part.scope.to()),
                None if page.is_last => return Ok(true),
                // A store that leaves out what isn't its own stops on its way now and then.
                None => after = page.read_to,
            },
            Err(ReadError::LogTruncated { removed_to, .. }) => after = removed_to,
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}
