//! A directory of archive files: writing the log into it, verifying, reading back, restoring.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::archive_format::{name_prefix, span_of_name};
use super::archive_reader::ArchiveReader;
use super::archive_writer::{ArchiveWriter, PARTIAL, failed, sync_directory};
use super::archived_part::{ArchivedPart, are_of_log};
use super::progress::Counting;
use super::{ArchiveError, ArchiveScope, RestoreError, RetentionProgress, VerifiedArchive};
use crate::{
    Append, EventStore, ExpectedVersion, GlobalPosition, NewEvent, RecordedEvent, Selection,
    StreamVersion,
};

/// How many events one read of the log brings.
const PAGE: usize = 1_000;
/// How many positions or versions one file spans unless told otherwise: a crash costs no more.
const SPAN: u64 = 100_000;

/// What a restore did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Restored {
    /// How many events were put back.
    pub appended: u64,
    /// How many were there already.
    pub repeated: u64,
}

/// A directory of archive files.
///
/// A file holds a span of the log, or of one stream, as gzipped JSON Lines with a header, and a
/// trailer that counts and hashes. Archiving the same again writes only what is missing. One process
/// archives into a directory at a time; a second one makes the first fail, never a bad file.
#[derive(Clone, Debug)]
pub struct Archive {
    directory: PathBuf,
    span: u64,
}

impl Archive {
    /// The archive in `directory`, which must exist.
    #[must_use]
    pub fn in_directory(directory: impl AsRef<Path>) -> Self {
        Self { directory: directory.as_ref().to_owned(), span: SPAN }
    }

    /// Begins a new file after this many positions or versions (100,000 unless told; at least 1).
    #[must_use]
    pub fn with_span(mut self, span: u64) -> Self {
        self.span = span.max(1);
        self
    }

    /// Writes what is missing of `scope` and reads all of it back, file by file. `tell` hears of the
    /// progress after each page.
    ///
    /// A file that is there already is held against the log: its first event and its last must stand
    /// in the log, or have been removed from it, and the log may hold nothing behind them that the
    /// file lacks. No file is ever overwritten.
    ///
    /// Personal data is archived as it is stored, sealed, also when `store` opens it for its readers:
    /// forgetting a subject reaches into every archive.
    ///
    /// # Errors
    /// [`ArchiveError`]; the files that were finished stay and are not written again.
    /// [`ArchiveError::ForeignFile`]: a file that is there isn't of this log, say because the log was
    /// restored from a backup since, or because the directory is another tenant's.
    ///
    /// # Cancel safety
    /// Leaves whole files and at most one that no reader looks at: call again.
    pub async fn write(
        &self,
        store: &dyn EventStore,
        scope: ArchiveScope,
        tell: &mut (dyn FnMut(RetentionProgress) + Send),
    ) -> Result<VerifiedArchive, ArchiveError> {
        // What is opened for readers would stay in plain text in the files for ever.
        let sealed = store.sealed();
        let store = sealed.as_deref().unwrap_or(store);
        let mark = store.high_water_mark().await.map_err(ArchiveError::Read)?;
        if scope.stream().is_none() && scope.to() > mark.get() {
            return Err(ArchiveError::NotFinal { scope, mark });
        }
        self.blocking({
            let scope = scope.clone();
            move |archive| archive.remove_partial(&scope)
        })
        .await?;
        let mut counting = Counting::of(scope.span(), tell);
        let (mut reached, mut parts) = (scope.after(), Vec::new());
        while reached < scope.to() {
            if self.file_behind(&scope, reached).await?.is_none() {
                self.write_file(store, mark, &scope, reached, &mut counting).await?;
            }
            let part = self.read_back(store, &scope, reached).await?;
            reached = part.to();
            parts.push(part);
            counting.reached(reached - scope.after(), 0);
        }
        self.blocking(move |archive| archive.vouch(scope, parts)).await
    }

    /// Reads the file that goes on behind `reached`, and holds it against the log.
    async fn read_back(
        &self,
        store: &dyn EventStore,
        scope: &ArchiveScope,
        reached: u64,
    ) -> Result<ArchivedPart, ArchiveError> {
        let scope = scope.clone();
        let (part, path) = self.blocking(move |archive| archive.read_part(&scope, reached)).await?;
        let is_of_log = are_of_log(store, std::slice::from_ref(&part)).await;
        match is_of_log.map_err(ArchiveError::Read)? {
            true => Ok(part),
            false => Err(ArchiveError::ForeignFile { path }),
        }
    }

    async fn write_file(
        &self,
        store: &dyn EventStore,
        mark: GlobalPosition,
        scope: &ArchiveScope,
        after: u64,
        counting: &mut Counting<'_>,
    ) -> Result<(), ArchiveError> {
        let part = scope.part(after, scope.to().min(after.saturating_add(self.span)));
        let begun = part.clone();
        let mut writer =
            self.blocking(move |it| ArchiveWriter::begin(&it.directory, begun)).await?;
        let mut reached = after;
        while reached < part.to() {
            let (events, read_to) = read_page(store, mark, &part, reached).await?;
            let count = events.len() as u64;
            writer = self
                .blocking(move |_| {
                    events.iter().try_for_each(|event| writer.add(event)).map(|()| writer)
                })
                .await?;
            reached = read_to;
            counting.reached(reached - scope.after(), count);
        }
        self.blocking(move |_| writer.finish()).await
    }

    /// Reads every file of `scope` to its end: whole, unchanged, without a gap between them. Whether
    /// they are of the log at hand, [`Archive::write`] and [`Truncation`](super::Truncation) ask.
    ///
    /// # Errors
    /// [`ArchiveError`]. `Io` also if the names of the files can't be made durable.
    ///
    /// # Cancel safety
    /// Changes nothing.
    pub async fn verify(&self, scope: ArchiveScope) -> Result<VerifiedArchive, ArchiveError> {
        self.blocking(move |archive| {
            let parts = archive.read_parts(&scope)?;
            archive.vouch(scope, parts)
        })
        .await
    }

    fn read_parts(&self, scope: &ArchiveScope) -> Result<Vec<ArchivedPart>, ArchiveError> {
        let (mut reached, mut parts) = (scope.after(), Vec::new());
        while reached < scope.to() {
            let (part, _) = self.read_part(scope, reached)?;
            reached = part.to();
            parts.push(part);
        }
        Ok(parts)
    }

    /// Reads the file that goes on behind `reached` to its end.
    fn read_part(
        &self,
        scope: &ArchiveScope,
        reached: u64,
    ) -> Result<(ArchivedPart, PathBuf), ArchiveError> {
        let Some(file) = self.find_file(scope, reached)? else {
            return Err(ArchiveError::Missing { scope: scope.clone(), reached });
        };
        let of = scope.part(reached, file.to.min(scope.to()));
        let mut part = ArchivedPart::of(of.clone());
        for event in self.events(of) {
            part.add(&event?);
        }
        Ok((part, file.path))
    }

    /// What was read is whole; its names must be durable, too, before anything goes because of it.
    fn vouch(
        &self,
        scope: ArchiveScope,
        parts: Vec<ArchivedPart>,
    ) -> Result<VerifiedArchive, ArchiveError> {
        sync_directory(&self.directory)?;
        Ok(VerifiedArchive::new(scope, parts))
    }

    /// The events of `scope` in order, file by file, each as it was recorded. A gap between the files
    /// is an error, and every file is checked to its end, also where `scope` ends before it.
    ///
    /// It reads files, so it blocks: use it where that is allowed.
    pub fn events(
        &self,
        scope: ArchiveScope,
    ) -> impl Iterator<Item = Result<RecordedEvent, ArchiveError>> + Send + use<> {
        Events { archive: self.clone(), reached: scope.after(), scope, file: None, is_over: false }
    }

    /// Puts the events of `scope` into `store`, one append each, under their ids and versions.
    ///
    /// They get new positions, at the end of that log: this is for a log of its own (a copy to look
    /// into, a machine after a disaster), or to bring a stream back that was removed as a whole. What
    /// is there already is recognised by its id. To read old events at their old positions, use
    /// [`ArchivedLog`](super::ArchivedLog).
    ///
    /// Sealed personal data is put back as it is, below whatever seals and opens it in `store`.
    ///
    /// # Errors
    /// [`RestoreError`]; what was put back stays, and is recognised the next time.
    ///
    /// # Cancel safety
    /// As after an error.
    pub async fn restore(
        &self,
        scope: ArchiveScope,
        store: &dyn EventStore,
        tell: &mut (dyn FnMut(RetentionProgress) + Send),
    ) -> Result<Restored, RestoreError> {
        // What is sealed already would be refused from above.
        let sealed = store.sealed();
        let store = sealed.as_deref().unwrap_or(store);
        // Nothing is put back from a damaged archive, not even the part before the damage.
        let of = scope.clone();
        let read = self.blocking(move |archive| archive.read_parts(&of)).await;
        read.map_err(RestoreError::Archive)?;
        let mut counting = Counting::of(scope.span(), tell);
        let mut restored = Restored::default();
        let mut events = self.events(scope.clone());
        loop {
            let page;
            (page, events) = self
                .blocking(move |_| {
                    let page = events.by_ref().take(PAGE).collect::<Result<Vec<_>, _>>()?;
                    Ok((page, events))
                })
                .await
                .map_err(RestoreError::Archive)?;
            let Some(last) = page.last() else {
                return Ok(restored);
            };
            let (reached, count) = (scope.place_of(last), page.len() as u64);
            for event in page {
                put_back(store, event, &mut restored).await?;
            }
            counting.reached(reached - scope.after(), count);
        }
    }

    /// The file that reaches furthest of those that begin at or before `reached` and go on behind it.
    fn find_file(&self, scope: &ArchiveScope, reached: u64) -> Result<Option<Span>, ArchiveError> {
        let prefix = name_prefix(scope);
        let mut best: Option<Span> = None;
        for entry in self.entries()? {
            let Some((after, to)) = span_of_name(&entry, &prefix) else {
                continue;
            };
            let goes_on = after <= reached && to > reached;
            if goes_on && best.as_ref().is_none_or(|best| best.to < to) {
                best = Some(Span { path: self.directory.join(entry), after, to });
            }
        }
        Ok(best)
    }

    async fn file_behind(
        &self,
        scope: &ArchiveScope,
        reached: u64,
    ) -> Result<Option<Span>, ArchiveError> {
        let scope = scope.clone();
        self.blocking(move |archive| archive.find_file(&scope, reached)).await
    }

    fn remove_partial(&self, scope: &ArchiveScope) -> Result<(), ArchiveError> {
        let prefix = name_prefix(scope);
        for entry in self.entries()? {
            if entry.starts_with(&prefix) && entry.ends_with(PARTIAL) {
                let path = self.directory.join(entry);
                match std::fs::remove_file(&path) {
                    // A call that was dropped still did what it had begun, and gave it its name.
                    Err(error) if error.kind() == ErrorKind::NotFound => {}
                    removed => removed.map_err(failed("remove", &path))?,
                }
            }
        }
        Ok(())
    }

    fn entries(&self) -> Result<Vec<String>, ArchiveError> {
        let entries =
            std::fs::read_dir(&self.directory).map_err(failed("list", &self.directory))?;
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(failed("list", &self.directory))?;
            // A name that is no text is none of ours.
            names.extend(entry.file_name().into_string());
        }
        Ok(names)
    }

    /// Files are slow and compressing takes a processor: neither may hold up the runtime.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, ArchiveError> + Send + 'static,
    ) -> Result<T, ArchiveError> {
        let archive = self.clone();
        match tokio::task::spawn_blocking(move || work(&archive)).await {
            Ok(done) => done,
            // Cancelled: the runtime is shutting down, and so is this call.
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => std::future::pending().await,
            },
        }
    }
}

/// A file and what its name says that it holds.
struct Span {
    path: PathBuf,
    after: u64,
    to: u64,
}

/// A page of the log behind `reached`, and how far it goes.
async fn read_page(
    store: &dyn EventStore,
    mark: GlobalPosition,
    part: &ArchiveScope,
    reached: u64,
) -> Result<(Vec<RecordedEvent>, u64), ArchiveError> {
    let Some(stream) = part.stream() else {
        let after = GlobalPosition::new(reached);
        let page =
            store.read_all(&Selection::All, after, PAGE).await.map_err(ArchiveError::Read)?;
        let mut events = page.events;
        events.retain(|event| event.position.get() <= part.to());
        return Ok((events, page.read_to.get().min(part.to())));
    };
    let after = StreamVersion::new(reached);
    let page = store.read_stream(stream, after, PAGE).await.map_err(ArchiveError::Read)?;
    let in_part =
        |event: &RecordedEvent| event.version.get() <= part.to() && event.position <= mark;
    let events: Vec<_> = page.into_iter().take_while(in_part).collect();
    match events.last().map(|last| last.version.get()) {
        Some(read_to) => Ok((events, read_to)),
        // The stream ends before the scope does, or isn't final there yet.
        None => Err(ArchiveError::NotFinal { scope: part.clone(), mark }),
    }
}

async fn put_back(
    store: &dyn EventStore,
    event: RecordedEvent,
    restored: &mut Restored,
) -> Result<(), RestoreError> {
    let before = StreamVersion::new(event.version.get().saturating_sub(1));
    let id = event.id;
    let again = NewEvent {
        id,
        event_type: event.event_type,
        schema_version: event.schema_version,
        data: event.data,
        tags: event.tags,
        metadata: event.metadata,
    };
    let append = Append::to(event.stream, ExpectedVersion::Exact(before), vec![again]);
    match store.append(append).await {
        Ok(appended) if appended.was_repeated => restored.repeated += 1,
        Ok(_) => restored.appended += 1,
        Err(source) => return Err(RestoreError::Append { id, source }),
    }
    Ok(())
}

/// The events of a scope over all of its files.
struct Events {
    archive: Archive,
    scope: ArchiveScope,
    reached: u64,
    file: Option<(ArchiveReader, u64)>,
    is_over: bool,
}

impl Events {
    fn read(&mut self) -> Result<Option<RecordedEvent>, ArchiveError> {
        loop {
            if let Some((file, to)) = &mut self.file {
                // To the file's end, wherever the scope ends: only there it says that it is whole.
                for event in file.by_ref() {
                    let event = event?;
                    let place = self.scope.place_of(&event);
                    if place > self.reached && place <= self.scope.to() {
                        self.reached = place;
                        return Ok(Some(event));
                    }
                }
                self.reached = *to;
                self.file = None;
            }
            if self.reached >= self.scope.to() {
                return Ok(None);
            }
            self.file = Some(self.open_next()?);
        }
    }

    fn open_next(&self) -> Result<(ArchiveReader, u64), ArchiveError> {
        let Some(span) = self.archive.find_file(&self.scope, self.reached)? else {
            return Err(ArchiveError::Missing { scope: self.scope.clone(), reached: self.reached });
        };
        let file = ArchiveReader::open(&span.path)?;
        if *file.scope() != self.scope.part(span.after, span.to) {
            return Err(ArchiveError::Damaged {
                path: span.path,
                line: 1,
                what: "its name and its header tell of different events",
                source: None,
            });
        }
        Ok((file, span.to))
    }
}

impl Iterator for Events {
    type Item = Result<RecordedEvent, ArchiveError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let next = self.read().transpose();
        self.is_over = !matches!(next, Some(Ok(_)));
        next
    }
}
