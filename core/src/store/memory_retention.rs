//! Retention in memory: the model of what the other stores remove.

use std::collections::HashMap;

use async_trait::async_trait;

use super::memory_store::Log;
use super::{MemoryStore, ReadError};
use crate::retention::{ConsumerPlace, Retention, RetentionError, StreamRetention};
use crate::{
    AppendError, GlobalPosition, RecordedEvent, Selection, StreamId, StreamVersion, TOMBSTONE_TYPE,
};

/// What may be gone, and what has ended.
#[derive(Default)]
pub(super) struct Removed {
    log_to: GlobalPosition,
    streams: HashMap<StreamId, Mark>,
}

#[derive(Clone, Copy, Default)]
struct Mark {
    removed_to: StreamVersion,
    is_tombstoned: bool,
}

impl Removed {
    fn mark(&self, stream: &StreamId) -> Mark {
        self.streams.get(stream).copied().unwrap_or_default()
    }

    fn raise(&mut self, stream: &StreamId, to: StreamVersion) -> &mut Mark {
        let mark = self.streams.entry(stream.clone()).or_default();
        mark.removed_to = mark.removed_to.max(to);
        mark
    }

    pub(super) fn check_stream(
        &self,
        stream: &StreamId,
        after: StreamVersion,
    ) -> Result<(), ReadError> {
        let removed_to = self.mark(stream).removed_to;
        if after >= removed_to {
            return Ok(());
        }
        Err(ReadError::StreamTruncated { stream: stream.clone(), after, removed_to })
    }

    fn check_log(&self, after: GlobalPosition) -> Result<(), ReadError> {
        let removed_to = self.log_to;
        if after >= removed_to {
            return Ok(());
        }
        Err(ReadError::LogTruncated { after, removed_to })
    }
}

impl Log {
    /// Fails if events that `selection` asks for behind `after` may be gone.
    pub(super) fn check_selection(
        &self,
        selection: &Selection,
        after: GlobalPosition,
    ) -> Result<(), ReadError> {
        self.removed.check_log(after)?;
        let Selection::Stream(stream) = selection else {
            return Ok(());
        };
        let removed_to = self.removed.mark(stream).removed_to;
        let positions = self.streams.get(stream).map_or(&[][..], Vec::as_slice);
        let newest = positions.iter().take(removed_to.get() as usize).next_back();
        if newest.is_none_or(|newest| *newest <= after) {
            return Ok(());
        }
        let (stream, after) = (stream.clone(), StreamVersion::EMPTY);
        Err(ReadError::StreamTruncated { stream, after, removed_to })
    }

    /// Empties a place, unless the newest event of the log stands there.
    fn remove(&mut self, position: GlobalPosition) -> bool {
        if position >= self.head() {
            return false;
        }
        let removed = self.events[position.get() as usize - 1].take();
        if let Some(event) = &removed {
            self.ids.remove(&event.id);
        }
        removed.is_some()
    }

    /// True if the stream's last event was its tombstone, which may have gone with the log.
    fn is_tombstoned(&self, stream: &StreamId) -> bool {
        let newest = self.streams.get(stream).and_then(|positions| positions.last());
        let is_last = newest.and_then(|newest| self.get(*newest)).is_some_and(is_tombstone);
        is_last || self.removed.mark(stream).is_tombstoned
    }

    pub(super) fn check_open(&self, stream: &StreamId) -> Result<(), AppendError> {
        match self.is_tombstoned(stream) {
            true => Err(AppendError::StreamTombstoned { stream: stream.clone() }),
            false => Ok(()),
        }
    }
}

pub(super) fn is_tombstone(event: &RecordedEvent) -> bool {
    event.event_type.as_str() == TOMBSTONE_TYPE
}

#[async_trait]
impl Retention for MemoryStore {
    async fn removed_to(&self) -> Result<GlobalPosition, ReadError> {
        Ok(self.log().removed.log_to)
    }

    async fn stream_retention(&self, stream: &StreamId) -> Result<StreamRetention, ReadError> {
        let log = self.log();
        Ok(StreamRetention {
            head: log.version(stream),
            removed_to: log.removed.mark(stream).removed_to,
            is_tombstoned: log.is_tombstoned(stream),
        })
    }

    async fn consumers(&self) -> Result<Vec<ConsumerPlace>, ReadError> {
        let log = self.log();
        let places = log.checkpoints.iter().map(|(consumer, stored)| ConsumerPlace {
            consumer: consumer.clone(),
            position: stored.claim.position,
        });
        Ok(places.collect())
    }

    async fn mark_stream(
        &self,
        stream: &StreamId,
        to: StreamVersion,
    ) -> Result<(), RetentionError> {
        self.log().removed.raise(stream, to);
        Ok(())
    }

    async fn remove_from_stream(
        &self,
        stream: &StreamId,
        limit: usize,
    ) -> Result<u64, RetentionError> {
        let mut log = self.log();
        let marked = log.removed.mark(stream).removed_to.get() as usize;
        let positions = log.streams.get(stream).map_or(&[][..], Vec::as_slice);
        let positions: Vec<_> = positions.iter().take(marked).copied().collect();
        let gone = positions.into_iter().filter(|position| log.remove(*position)).take(limit);
        Ok(gone.count() as u64)
    }

    async fn mark_log(&self, to: GlobalPosition) -> Result<(), RetentionError> {
        let mut log = self.log();
        log.removed.log_to = log.removed.log_to.max(to);
        Ok(())
    }

    async fn remove_from_log(
        &self,
        limit: usize,
    ) -> Result<Option<(GlobalPosition, u64)>, RetentionError> {
        let mut log = self.log();
        let marked =
            log.removed.log_to.min(GlobalPosition::new(log.head().get().saturating_sub(1)));
        let behind: Vec<_> = log.events[..marked.get() as usize]
            .iter()
            .flatten()
            .take(limit)
            .map(|event| (event.position, event.stream.clone(), event.version, is_tombstone(event)))
            .collect();
        for (position, stream, version, is_tombstone) in &behind {
            log.removed.raise(stream, *version).is_tombstoned |= is_tombstone;
            log.remove(*position);
        }
        Ok(behind.last().map(|(position, ..)| (*position, behind.len() as u64)))
    }
}
