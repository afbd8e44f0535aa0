//! A read model in Redis: a page is one script, and the checkpoint is in it.

use std::sync::Arc;

use async_trait::async_trait;
use highwater_core::{Claim, GlobalPosition, Page, RecordedEvent, Selection};
use redis::RedisError;
use redis::aio::ConnectionManager;

use super::batch::RedisBatch;
use super::checkpoint::{Applied, Checkpoint, Claimed, EventCommands};
use crate::projection::{project_one, selection_of};
use crate::{Project, ProjectError, ProjectionRunner, ReadModel, ReadModelError, Standing};

/// A read model in Redis, written by the projection `P`.
///
/// It owns every key that begins with its prefix. Its checkpoint is among them, so the two are lost
/// together and kept together: on a Redis that persists by append-only file, or fails over to a
/// replica, both go back to the same point and the runner goes on from there. Where the checkpoint
/// is missing (first start, `FLUSHALL`, no persistence), whatever lies beneath the prefix is deleted
/// and the read model is built from the first event; deleting the checkpoint therefore rebuilds it.
///
/// Redis must run with `maxmemory-policy noeviction` (its default): eviction would take single keys
/// out of a read model without a word.
///
/// A page is one script and Redis runs nothing beside it, so keep pages small where other clients
/// need answers within milliseconds ([`ProjectionRunner::with_page_size`]).
pub struct RedisReadModel<P> {
    projection: P,
    connection: ConnectionManager,
    prefix: Arc<str>,
    checkpoint: Checkpoint,
}

impl ProjectionRunner {
    /// Keeps the read model of `projection` in Redis up to date, in keys that begin with `prefix`.
    ///
    /// The prefix belongs to this read model alone (`shop:hot-products:v1:`, say): keys beneath it
    /// are deleted when the read model is built anew. It must not be empty.
    #[must_use]
    pub fn in_redis<P: Project<RedisBatch>>(
        projection: P,
        connection: ConnectionManager,
        prefix: &str,
    ) -> Self {
        Self::new(RedisReadModel::new(projection, connection, prefix))
    }
}

impl<P: Project<RedisBatch>> RedisReadModel<P> {
    /// The read model of `projection` beneath `prefix`. Nothing is done yet.
    #[must_use]
    pub fn new(projection: P, connection: ConnectionManager, prefix: &str) -> Self {
        Self { projection, connection, prefix: prefix.into(), checkpoint: Checkpoint::new(prefix) }
    }

    fn failed(error: RedisError) -> ReadModelError {
        // Whatever Redis says to a script of ours, it may say something else after a fail-over.
        ReadModelError::unavailable(P::NAME, error)
    }

    fn fenced(claim: &Claim) -> ReadModelError {
        ReadModelError::Fenced { name: P::NAME.to_owned(), epoch: claim.epoch }
    }

    fn torn(&self, detail: &str) -> ReadModelError {
        let told = format!(
            "an event was applied in part ({detail}); mend the cause, then delete the key \
             {}{} to have the read model built anew",
            self.prefix,
            super::checkpoint::CHECKPOINT
        );
        ReadModelError::refused(P::NAME, told)
    }

    async fn take_over(&self, connection: &mut ConnectionManager) -> Result<Claim, ReadModelError> {
        let claimed = self.checkpoint.claim(connection, P::NAME, P::VERSION).await;
        let (standing, is_new) = match claimed.map_err(Self::failed)? {
            Claimed::Holds { standing, is_new } => (standing, is_new),
            Claimed::Torn { position, detail } => {
                return Err(self.torn(&format!("behind position {position}, {detail}")));
            }
            Claimed::Foreign(owner) => {
                let told = format!("prefix {:?} belongs to read model {owner}", self.prefix);
                return Err(ReadModelError::refused(P::NAME, told));
            }
        };
        let claim = Claim {
            consumer: P::NAME.to_owned(),
            epoch: standing.epoch,
            position: standing.position,
            state: None,
        };
        let holds = !is_new
            || self.checkpoint.clear(connection, claim.epoch).await.map_err(Self::failed)?;
        if holds { Ok(claim) } else { Err(Self::fenced(&claim)) }
    }

    /// Runs what `prepare` asks for, as an event of its own at the claim's position.
    async fn prepare(
        &self,
        connection: &mut ConnectionManager,
        claim: &Claim,
    ) -> Result<(), ReadModelError> {
        let failed = |source| ReadModelError::Prepare { name: P::NAME.to_owned(), source };
        let mut batch = RedisBatch::new(self.prefix.clone());
        self.projection.prepare(&mut batch).await.map_err(failed)?;
        let commands = batch.take().map_err(failed)?;
        if commands.is_empty() {
            return Ok(());
        }
        let commands = [(claim.position, commands)];
        let sent = self.checkpoint.apply(connection, claim, claim.position, &commands).await;
        match sent.map_err(Self::failed)? {
            Applied::Failed { detail, .. } => Err(failed(ProjectError::failed(detail))),
            other => self.outcome(claim, &Page::default(), other),
        }
    }

    /// The commands of every event of the page, in order.
    async fn commands(&self, page: &Page) -> Result<Vec<EventCommands>, ReadModelError> {
        let mut batch = RedisBatch::new(self.prefix.clone());
        let mut events = Vec::with_capacity(page.events.len());
        for recorded in &page.events {
            let commands = match project_one(&self.projection, recorded, &mut batch).await {
                Ok(()) => batch.take(),
                Err(error) => Err(error),
            };
            let commands = commands.map_err(|source| ReadModelError::at(recorded, source))?;
            if !commands.is_empty() {
                events.push((recorded.position, commands));
            }
        }
        Ok(events)
    }

    fn outcome(&self, claim: &Claim, page: &Page, applied: Applied) -> Result<(), ReadModelError> {
        match applied {
            Applied::Done => Ok(()),
            Applied::Fenced => Err(Self::fenced(claim)),
            Applied::Moved(found) => Err(ReadModelError::Moved {
                name: P::NAME.to_owned(),
                expected: claim.position,
                found,
            }),
            Applied::Failed { position, detail } => Err(match at(page, position) {
                Some(event) => ReadModelError::at(event, ProjectError::failed(detail)),
                None => ReadModelError::refused(P::NAME, detail),
            }),
            Applied::Torn { position, detail } => {
                let event = at(page, position)
                    .map(|event| format!("{} of stream {} ", event.event_type, event.stream))
                    .unwrap_or_default();
                Err(self.torn(&format!("{event}at position {position}, {detail}")))
            }
        }
    }
}

fn at(page: &Page, position: GlobalPosition) -> Option<&RecordedEvent> {
    page.events.iter().find(|event| event.position == position)
}

#[async_trait]
impl<P: Project<RedisBatch>> ReadModel for RedisReadModel<P> {
    fn name(&self) -> &str {
        P::NAME
    }

    fn selection(&self) -> Selection {
        selection_of::<P>()
    }

    async fn claim(&self) -> Result<Claim, ReadModelError> {
        if self.prefix.is_empty() {
            return Err(ReadModelError::refused(P::NAME, "the key prefix is empty"));
        }
        let mut connection = self.connection.clone();
        let claim = self.take_over(&mut connection).await?;
        self.prepare(&mut connection, &claim).await?;
        Ok(claim)
    }

    async fn apply(&self, claim: &Claim, page: &Page) -> Result<(), ReadModelError> {
        let events = self.commands(page).await?;
        let mut connection = self.connection.clone();
        let applied = self.checkpoint.apply(&mut connection, claim, page.read_to, &events).await;
        self.outcome(claim, page, applied.map_err(Self::failed)?)
    }

    async fn standing(&self) -> Result<Standing, ReadModelError> {
        self.checkpoint.look(&mut self.connection.clone()).await.map_err(Self::failed)
    }
}
