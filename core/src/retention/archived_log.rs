//! A log whose older part is read from its archive.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::Mutex;

use super::{Archive, ArchiveError, ArchiveScope, VerifiedArchive};
use crate::{
    EventStore, GlobalPosition, Page, ReadError, RecordedEvent, Selection, SnapshotStore,
    StoreLayer,
};

type Events = Box<dyn Iterator<Item = Result<RecordedEvent, ArchiveError>> + Send>;

/// A log whose older part is read from its archive, event for event and position for position.
///
/// Give it to a projection that is built anew, and it sees the whole history: up to the archive's
/// end from the files, behind it from the store. Everything else passes through to the store.
/// `read_stream` reads the store only: an aggregate is loaded from its snapshot.
///
/// Personal data comes out of the files as it was stored, sealed. Put
/// [`SealedLog`](crate::SealedLog) outside, around the archived log; inside, below it, it would open
/// what the store holds and nothing of what the files do.
///
/// It shows what the archive holds: what a stream had lost, by truncation, before the archive was
/// written is missing from both, and no reader is told.
///
/// One page costs the scan from where the page before ended; a reader that jumps costs a scan of the
/// archive from its beginning, and several readers at once disturb each other in the same way.
pub struct ArchivedLog {
    store: Arc<dyn EventStore>,
    archive: Archive,
    scope: ArchiveScope,
    /// Where the last page ended, and what comes behind it.
    place: Mutex<Option<(GlobalPosition, Events)>>,
}

impl ArchivedLog {
    /// Reads positions of `verified` from `archive`, later ones from `store`. `None` if what was
    /// verified is the archive of one stream.
    #[must_use]
    pub fn new(
        store: Arc<dyn EventStore>,
        archive: Archive,
        verified: &VerifiedArchive,
    ) -> Option<Self> {
        let scope = verified.scope().clone();
        scope.stream().is_none().then(|| Self { store, archive, scope, place: Mutex::new(None) })
    }

    fn scope_behind(&self, after: GlobalPosition) -> ArchiveScope {
        ArchiveScope::of_log(after, GlobalPosition::new(self.scope.to()))
    }

    async fn read_archive(
        &self,
        selection: &Selection,
        after: GlobalPosition,
        limit: usize,
    ) -> Result<Page, ReadError> {
        // Taken out for as long as it is in use: a read that is dropped leaves no half-moved place.
        let kept = self.place.lock().await.take().filter(|(reached, _)| *reached == after);
        let events = match kept {
            Some((_, events)) => events,
            None => Box::new(self.archive.events(self.scope_behind(after))),
        };
        let wanted = selection.clone();
        let read = tokio::task::spawn_blocking(move || take(events, &wanted, limit));
        let (found, events) = read
            .await
            .map_err(|error| ReadError::Unavailable { source: Box::new(error) })?
            .map_err(|error| unreadable(after, error))?;
        let read_to = match found.last() {
            Some(last) if found.len() >= limit => last.position,
            _ => GlobalPosition::new(self.scope.to()),
        };
        *self.place.lock().await = Some((read_to, events));
        // The log goes on behind the archive, so this is never its last page.
        Ok(Page { events: found, read_to, is_last: false })
    }
}

/// A page of the store that begins before the archive ends where the archive begins: of what comes
/// then, the store may have lost a part.
fn cut(mut page: Page, edge: GlobalPosition) -> Page {
    if page.read_to >= edge {
        page.events.retain(|event| event.position <= edge);
        page.read_to = edge;
        page.is_last = false;
    }
    page
}

fn take(
    mut events: Events,
    selection: &Selection,
    limit: usize,
) -> Result<(Vec<RecordedEvent>, Events), ArchiveError> {
    let is_wanted = |event: &Result<RecordedEvent, _>| {
        event.as_ref().map_or(true, |event| selection.matches(event))
    };
    let found = events.by_ref().filter(is_wanted).take(limit).collect::<Result<_, _>>()?;
    Ok((found, events))
}

fn unreadable(after: GlobalPosition, error: ArchiveError) -> ReadError {
    let source = Box::new(error);
    match *source {
        ArchiveError::Io { .. } => ReadError::Unavailable { source },
        _ => ReadError::Corrupt { position: after, source },
    }
}

#[async_trait]
impl StoreLayer for ArchivedLog {
    fn inner(&self) -> &dyn EventStore {
        &*self.store
    }

    /// Two reads at a time would each scan the archive anew: one place is kept.
    fn pages_ahead(&self) -> usize {
        1
    }

    fn snapshots(&self) -> Option<&dyn SnapshotStore> {
        self.store.snapshots()
    }

    fn sealed(&self) -> Option<Arc<dyn EventStore>> {
        let (archive, scope) = (self.archive.clone(), self.scope.clone());
        let store = self.store.sealed()?;
        Some(Arc::new(Self { store, archive, scope, place: Mutex::new(None) }))
    }

    async fn read_all(
        &self,
        selection: &Selection,
        after: GlobalPosition,
        limit: usize,
    ) -> Result<Page, ReadError> {
        let is_archived = after.get() >= self.scope.after() && after.get() < self.scope.to();
        if is_archived && limit > 0 {
            return self.read_archive(selection, after, limit).await;
        }
        let page = self.store.read_all(selection, after, limit).await?;
        let is_before = after.get() < self.scope.after();
        Ok(if is_before { cut(page, GlobalPosition::new(self.scope.after())) } else { page })
    }
}
