//! Looking at sagas and helping them on, over the log: it works from any process, also while no
//! manager runs.

use std::collections::BTreeMap;
use std::sync::Arc;

use highwater_core::{
    AppendError, Category, EventStore, GlobalPosition, Selection, StreamId, TenantId,
};

use crate::error::DriveError;
use crate::instance::Instance;
use crate::recorder::{Recorded, Recorder, Transition};
use crate::saga_event::{Bare, SagaEvent, category_of, stream_of};
use crate::{SagaControlError, SagaStatus};

const PAGE: usize = 1_000;
/// How often a request is recorded anew when the saga moves on meanwhile.
const TRIES: usize = 5;

/// Lists, shows, resumes and compensates the sagas of one kind.
///
/// A request is recorded in the saga's stream; the manager that hosts the saga sees it there and
/// acts on it.
///
/// On the whole log it lists the sagas of all tenants, and shows and helps those of none. Those of a
/// tenant are [`SagaControl::for_tenant`]'s.
#[derive(Clone)]
pub struct SagaControl {
    recorder: Recorder,
    saga: String,
    tenant: Option<TenantId>,
}

impl SagaControl {
    /// The sagas called `saga` in `store`.
    #[must_use]
    pub fn new(store: Arc<dyn EventStore>, saga: impl Into<String>) -> Self {
        Self { recorder: Recorder { store }, saga: saga.into(), tenant: None }
    }

    /// The sagas of this kind that belong to `tenant`, and no others.
    #[must_use]
    pub fn for_tenant(&self, tenant: &TenantId) -> Self {
        Self { tenant: Some(tenant.clone()), ..self.clone() }
    }

    /// How the saga with this key is doing.
    ///
    /// # Errors
    /// [`SagaControlError`]: `NotFound`, `Key`, `Read` or `Decode`.
    ///
    /// # Cancel safety
    /// Changes nothing.
    pub async fn show(&self, key: &str) -> Result<SagaStatus, SagaControlError> {
        Ok(SagaStatus::of(&self.load(key).await?))
    }

    /// Every saga of this kind, by key. Reads the whole history of all of them.
    ///
    /// # Errors
    /// [`SagaControlError`]: `Key`, `Read` or `Decode`.
    ///
    /// # Cancel safety
    /// Changes nothing.
    pub async fn list(&self) -> Result<Vec<SagaStatus>, SagaControlError> {
        Ok(self.fold_all().await?.values().map(SagaStatus::of).collect())
    }

    /// The sagas that wait for somebody's help, by key. Reads the whole history of all sagas.
    ///
    /// # Errors
    /// [`SagaControlError`]: `Key`, `Read` or `Decode`.
    ///
    /// # Cancel safety
    /// Changes nothing.
    pub async fn stuck(&self) -> Result<Vec<SagaStatus>, SagaControlError> {
        let all = self.fold_all().await?;
        Ok(all.values().filter(|it| it.paused.is_some()).map(SagaStatus::of).collect())
    }

    /// Lets a paused saga go on with what it was doing.
    ///
    /// # Errors
    /// [`SagaControlError`]; `NotPossible` if it isn't paused.
    ///
    /// # Cancel safety
    /// It may be recorded or not; ask again.
    pub async fn resume(&self, key: &str) -> Result<(), SagaControlError> {
        self.request(key, "resumed", SagaEvent::Resumed(Bare {}), |it| it.paused.is_some()).await
    }

    /// Lets a saga turn back, paused or not, as long as its pivot hasn't started. To one that is
    /// paused while it compensates, this is a [`SagaControl::resume`].
    ///
    /// # Errors
    /// [`SagaControlError`]; `NotPossible` if there is no way back any more.
    ///
    /// # Cancel safety
    /// It may be recorded or not; ask again.
    pub async fn compensate(&self, key: &str) -> Result<(), SagaControlError> {
        let event = SagaEvent::CompensationRequested(Bare {});
        self.request(key, "compensated", event, |it| {
            let is_turned = matches!(it.phase, crate::instance::Phase::Compensating { .. });
            it.can_turn_back() || (it.paused.is_some() && is_turned)
        })
        .await
    }

    async fn request(
        &self,
        key: &str,
        wanted: &'static str,
        event: SagaEvent,
        is_possible: impl Fn(&Instance) -> bool,
    ) -> Result<(), SagaControlError> {
        for _ in 0..TRIES {
            let instance = self.load(key).await?;
            if !is_possible(&instance) {
                let status = SagaStatus::of(&instance).phase.to_string();
                return Err(SagaControlError::NotPossible { key: key.to_owned(), wanted, status });
            }
            // What follows is the manager's to record: it knows the definition's deadlines.
            let recorded = self.recorder.record(&instance, Transition::only(event.clone())).await;
            match recorded.map_err(|error| of_drive_error(key, error))? {
                Recorded::Done(_) => return Ok(()),
                Recorded::Overtaken | Recorded::Taken | Recorded::Refused(_) => {}
            }
        }
        Err(SagaControlError::Busy { key: key.to_owned() })
    }

    async fn load(&self, key: &str) -> Result<Instance, SagaControlError> {
        let stream = stream_of(&self.saga, key, self.tenant.as_ref());
        let stream = stream.map_err(SagaControlError::Key)?;
        let loaded =
            self.recorder.load(&stream).await.map_err(|error| of_drive_error(key, error))?;
        loaded.ok_or_else(|| SagaControlError::NotFound {
            saga: self.saga.clone(),
            key: key.to_owned(),
        })
    }

    async fn fold_all(&self) -> Result<BTreeMap<StreamId, Instance>, SagaControlError> {
        let category = Category::new(&category_of(&self.saga)).map_err(SagaControlError::Key)?;
        let selection = Selection::Category(category);
        let mut sagas = BTreeMap::new();
        let mut after = GlobalPosition::START;
        loop {
            let page = self
                .recorder
                .store
                .read_all(&selection, after, PAGE)
                .await
                .map_err(|source| SagaControlError::Read { key: String::new(), source })?;
            // A tenant's own store has taken the tenant off its streams.
            let wall = self.recorder.store.tenant();
            let is_meant = |stream: &StreamId| {
                self.tenant.is_none() || stream.tenant().or_else(|| wall.cloned()) == self.tenant
            };
            for event in page.events.iter().filter(|event| is_meant(&event.stream)) {
                let known = sagas.remove(&event.stream);
                let folded = Instance::fold(known, event).map_err(|source| {
                    SagaControlError::Decode { key: event.stream.key().to_owned(), source }
                })?;
                if let Some(instance) = folded {
                    sagas.insert(event.stream.clone(), instance);
                }
            }
            if page.is_last {
                return Ok(sagas);
            }
            after = page.read_to;
        }
    }
}

fn of_drive_error(key: &str, error: DriveError) -> SagaControlError {
    let key = key.to_owned();
    match error {
        DriveError::Read { source, .. } => SagaControlError::Read { key, source },
        DriveError::Decode { source, .. } => SagaControlError::Decode { key, source },
        DriveError::Append { source, .. } => SagaControlError::Append { key, source },
        DriveError::Encode { source, .. } => SagaControlError::Append {
            key,
            source: AppendError::Refused { source: Box::new(source) },
        },
        error @ DriveError::Refused { .. } => SagaControlError::Append {
            key,
            source: AppendError::Refused { source: Box::new(error) },
        },
    }
}
