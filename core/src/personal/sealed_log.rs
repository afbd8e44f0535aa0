//! [`SealedLog`]: a log whose personal data is sealed below, and opened for whoever reads here.
//!
//! # Why a repeated append stays one append
//! 1. An append is sealed once, before it reaches the store, and the store's own retries carry the
//!    sealed text.
//! 2. A caller's retry is sealed anew and so to another text; but the log knows an append by its event
//!    ids, which sealing leaves alone, and keeps the text that came first.
//! 3. An append that can't be sealed any more, because its subject was forgotten meanwhile, may have
//!    been appended before: it is looked up before it is refused.

use std::sync::Arc;

use async_trait::async_trait;

use super::context::Context;
use super::sealed_snapshots::SealedSnapshots;
use super::vault::SealStateError;
use super::{OpenError, SealError, Vault};
use crate::{
    Append, AppendError, Appended, CheckpointError, Claim, EventId, EventStore, GlobalPosition,
    InvalidAppend, Page, Payload, ReadError, RecordedEvent, Selection, SnapshotStore, StoreLayer,
    StreamId, StreamVersion,
};

/// A log on top of another one: seals personal data on its way in, opens it on its way out.
///
/// It keeps every promise of [`EventStore`]. A value of a forgotten subject comes out as forgotten;
/// an append with a new value of one is refused with
/// [`InvalidAppend::SubjectForgotten`]. Events without personal data cost one search of their bytes.
///
/// A tenant's personal data is sealed with keys of the tenant's own subjects. For that it makes no
/// difference whether this stands below a [`TenantStore`](crate::TenantStore) or on top of one.
///
/// A sealed value is bound to its event's id. So this goes below any other layer that changes ids, and
/// around whatever reads sealed events from elsewhere, such as an archived log.
pub struct SealedLog {
    log: Arc<dyn EventStore>,
    vault: Vault,
    snapshots: SealedSnapshots,
}

impl SealedLog {
    /// The log below, with its personal data opened by `vault`.
    #[must_use]
    pub fn new(log: Arc<dyn EventStore>, vault: Vault) -> Self {
        let snapshots = SealedSnapshots { log: log.clone(), vault: vault.clone() };
        Self { log, vault, snapshots }
    }

    async fn open(&self, events: Vec<RecordedEvent>) -> Result<Vec<RecordedEvent>, ReadError> {
        self.vault.open_behind(self.log.tenant(), events).await.map_err(not_read)
    }

    /// What became of an append with a new value of a subject that is forgotten; point 3 above.
    async fn refused(
        &self,
        append: &Append,
        refusal: InvalidAppend,
    ) -> Result<Appended, AppendError> {
        let ids: Vec<_> = append.events().map(|event| event.id).collect();
        let found = self.log.find(&ids).await;
        let found = found.map_err(|error| AppendError::Unavailable { source: Box::new(error) })?;
        Appended::of_earlier_try(append, &found).ok_or(AppendError::Invalid(refusal))
    }
}

#[async_trait]
impl StoreLayer for SealedLog {
    fn inner(&self) -> &dyn EventStore {
        &*self.log
    }

    fn sealed(&self) -> Option<Arc<dyn EventStore>> {
        Some(self.log.sealed().unwrap_or_else(|| self.log.clone()))
    }

    fn returns_what_was_appended(&self) -> bool {
        self.log.returns_what_was_appended()
    }

    fn forgettings(&self) -> u64 {
        self.log.forgettings() + self.vault.forgettings()
    }

    async fn append(&self, append: Append) -> Result<Appended, AppendError> {
        if !Vault::concerns(&append) {
            return self.log.append(append).await;
        }
        match self.vault.seal_behind(self.log.tenant(), append.clone()).await {
            Ok(sealed) => self.log.append(sealed).await,
            Err(SealError::Invalid(refusal @ InvalidAppend::SubjectForgotten { .. })) => {
                self.refused(&append, refusal).await
            }
            Err(SealError::Invalid(refusal)) => Err(AppendError::Invalid(refusal)),
            Err(error) if error.is_retryable() => {
                Err(AppendError::Unavailable { source: Box::new(error) })
            }
            Err(error) => Err(AppendError::Refused { source: Box::new(error) }),
        }
    }

    async fn read_stream(
        &self,
        stream: &StreamId,
        after: StreamVersion,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        self.open(self.log.read_stream(stream, after, limit).await?).await
    }

    async fn read_all(
        &self,
        selection: &Selection,
        after: GlobalPosition,
        limit: usize,
    ) -> Result<Page, ReadError> {
        let Page { events, read_to, is_last } = self.log.read_all(selection, after, limit).await?;
        Ok(Page { events: self.open(events).await?, read_to, is_last })
    }

    async fn find(&self, ids: &[EventId]) -> Result<Vec<RecordedEvent>, ReadError> {
        self.open(self.log.find(ids).await?).await
    }

    fn snapshots(&self) -> Option<&dyn SnapshotStore> {
        self.log.snapshots().map(|_| &self.snapshots as &dyn SnapshotStore)
    }

    async fn claim(&self, consumer: &str) -> Result<Claim, CheckpointError> {
        let mut claim = self.log.claim(consumer).await?;
        if let Some(state) = claim.state.take() {
            let context = Context::consumer(self.log.tenant(), consumer);
            let opened = self.vault.open_state(context, consumer, state).await;
            let failed = |error: OpenError| not_moved(consumer, error.is_retryable(), error);
            claim.state = Some(opened.map_err(failed)?);
        }
        Ok(claim)
    }

    async fn advance(
        &self,
        claim: &Claim,
        position: GlobalPosition,
        state: Option<&Payload>,
    ) -> Result<(), CheckpointError> {
        let sealed = match state {
            None => None,
            Some(state) => {
                let context = Context::consumer(self.log.tenant(), &claim.consumer);
                let sealed = self.vault.seal_state(context, state).await;
                let consumer = &claim.consumer;
                let failed =
                    |error: SealStateError| not_moved(consumer, error.is_retryable(), error);
                sealed.map_err(failed)?
            }
        };
        self.log.advance(claim, position, sealed.as_ref().or(state)).await
    }
}

fn not_read(error: OpenError) -> ReadError {
    match &error {
        OpenError::Event { position, .. } => {
            ReadError::Corrupt { position: *position, source: Box::new(error) }
        }
        _ => ReadError::Unavailable { source: Box::new(error) },
    }
}

fn not_moved(
    consumer: &str,
    is_retryable: bool,
    source: impl std::error::Error + Send + Sync + 'static,
) -> CheckpointError {
    let (consumer, source) = (consumer.to_owned(), Box::new(source));
    if is_retryable {
        CheckpointError::Unavailable { consumer, source }
    } else {
        CheckpointError::Refused { consumer, source }
    }
}
