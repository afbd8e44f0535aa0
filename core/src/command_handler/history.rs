//! An aggregate's past: its state, and which of the commands in question were carried out in it.
//!
//! # When a snapshot is believed
//! 1. Never by itself. The stream is read from the snapshot's own last event on, and that event must
//!    be there, at its version and position, under its id. A snapshot above the stream's end, of
//!    another log, or of a log that was restored from a backup therefore falls through.
//! 2. Its state must be readable as the shape that this program asks for.
//! 3. Whatever is wrong with it, an older one or the whole stream is read instead, and the command
//!    doesn't notice. Where the whole stream is gone, it fails only when no older one is left.
//! 4. A state that passed over an event which this program doesn't know is never kept: a program that
//!    knows the event would be given a state without it, and nothing would tell.
//! 5. A stream whose beginning is gone can't be read whole. It is loaded once more then, with a patience
//!    that also asks a snapshot store which is being left alone; if that can't be reached, the command
//!    fails in a way that may pass.
//! 6. Commands carried out at or before a snapshot don't show in what is read behind it. So they are
//!    looked up by their events' ids, and only after the snapshot was loaded: what it holds is in the
//!    log by then, and found.
//! 7. Events are read bare where that tells all that is asked: no command is looked for in their
//!    metadata, and no snapshot is ever taken, which needs the id of the last one. They are folded as
//!    they arrive; a state whose reading failed half-way is thrown away by whoever is told so.

use std::collections::HashMap;

use jiff::Timestamp;

use super::snapshots::{Candidate, Patience, Snapshots};
use super::{CommandReceipt, LOAD_PAGE, Loaded};
use crate::{
    BareEvent, CommandError, CommandId, Event, EventId, EventStore, EventType, Evolve,
    GlobalPosition, Payload, ReadError, RecordedEvent, Snapshot, StreamId, StreamVersion,
};

/// How many event ids of a command are looked for at a time. Few commands emit more events.
const IDS_AT_A_TIME: usize = 64;

/// How many snapshots of a stream are found wrong before the whole stream is read instead. Where it
/// can't be, all of them are tried.
const MOST_DISTRUSTED: usize = 3;

/// Commands that may have been carried out before, and what was found of them.
pub(super) struct Runs {
    asked: HashMap<CommandId, Option<CommandReceipt>>,
}

impl Runs {
    pub(super) fn of(commands: impl IntoIterator<Item = CommandId>) -> Self {
        Self { asked: commands.into_iter().map(|command| (command, None)).collect() }
    }

    /// What a command did, if it was carried out; the last of its events speaks for it.
    pub(super) fn receipt_of(&self, command: CommandId) -> Option<CommandReceipt> {
        self.asked.get(&command).cloned().flatten()
    }

    fn is_empty(&self) -> bool {
        self.asked.is_empty()
    }

    fn note(&mut self, recorded: &RecordedEvent) {
        let Some(command) = recorded.metadata.command else {
            return;
        };
        if let Some(found) = self.asked.get_mut(&command) {
            *found = Some(CommandReceipt {
                command,
                stream: recorded.stream.clone(),
                version: recorded.version,
                position: recorded.position,
                was_repeated: true,
            });
        }
    }
}

/// A state that the log has made, and how it stands to the snapshots of its stream.
#[derive(Clone)]
pub(super) struct Past<A> {
    pub(super) loaded: Loaded<A>,
    /// The id of its last event, unless that was read bare.
    pub(super) last_event: Option<EventId>,
    /// The version of the newest snapshot that this process knows of.
    pub(super) kept_at: StreamVersion,
    /// How much data the events behind that snapshot have.
    pub(super) bytes_since_kept: u64,
    /// An event was passed over that this program doesn't know (invariant 4).
    pub(super) has_unknown: bool,
}

impl<A: Evolve> Past<A> {
    fn blank() -> Self {
        Self {
            loaded: Loaded {
                state: A::default(),
                version: StreamVersion::EMPTY,
                position: GlobalPosition::START,
            },
            last_event: None,
            kept_at: StreamVersion::EMPTY,
            bytes_since_kept: 0,
            has_unknown: false,
        }
    }

    fn of_snapshot(snapshot: &Snapshot, state: A) -> Self {
        let (version, position) = (snapshot.version, snapshot.position);
        Self {
            loaded: Loaded { state, version, position },
            last_event: Some(snapshot.last_event),
            kept_at: version,
            ..Self::blank()
        }
    }

    /// True if some of the stream's events were not read.
    pub(super) fn begins_with_snapshot(&self) -> bool {
        !self.kept_at.is_empty()
    }
}

/// Where folding a stream ends.
#[derive(Clone, Copy, Debug)]
pub(super) enum End {
    /// With its last event.
    Now,
    /// With this version.
    Version(StreamVersion),
    /// With the last event at or before this position.
    Position(GlobalPosition),
}

impl End {
    fn holds(self, version: StreamVersion, position: GlobalPosition) -> bool {
        match self {
            Self::Now => true,
            Self::Version(end) => version <= end,
            Self::Position(end) => position <= end,
        }
    }
}

/// Reads one aggregate's stream.
#[derive(Clone, Copy)]
pub(super) struct History<'a> {
    pub(super) store: &'a dyn EventStore,
    pub(super) stream: &'a StreamId,
    pub(super) snapshots: &'a Snapshots,
}

impl History<'_> {
    /// The newest state: that of a snapshot and what stands behind it, or of the whole stream.
    pub(super) async fn load<A: Evolve>(
        self,
        runs: &mut Runs,
    ) -> Result<Past<A>, CommandError<A::Rejection>> {
        self.load_until(End::Now, runs).await
    }

    /// The state at an end.
    pub(super) async fn load_until<A: Evolve>(
        self,
        end: End,
        runs: &mut Runs,
    ) -> Result<Past<A>, CommandError<A::Rejection>> {
        match self.load_with(Patience::Short, end, runs).await {
            // Truncated meanwhile, or known only by a snapshot that was not to be had in time.
            Err(error) if is_truncated(&error) => self.load_with(Patience::Long, end, runs).await,
            done => done,
        }
    }

    async fn load_with<A: Evolve>(
        self,
        patience: Patience,
        end: End,
        runs: &mut Runs,
    ) -> Result<Past<A>, CommandError<A::Rejection>> {
        let mut at_most = match end {
            End::Version(version) => version,
            End::Now | End::Position(_) => StreamVersion::new(u64::MAX),
        };
        let (mut distrusted, mut is_unavailable) = (0, false);
        while patience == Patience::Long || distrusted < MOST_DISTRUSTED {
            let bad = match self.snapshots.load(self.store, self.stream, at_most, patience).await {
                Candidate::None => break,
                Candidate::Unavailable => {
                    is_unavailable = true;
                    break;
                }
                Candidate::Unreadable(version) => {
                    distrusted += 1;
                    version
                }
                // Each is older than the one before, so this ends.
                Candidate::Readable(snapshot, _)
                    if !end.holds(snapshot.version, snapshot.position) =>
                {
                    Some(snapshot.version)
                }
                Candidate::Readable(snapshot, state) => {
                    if let Some(past) = self.load_behind(&snapshot, state, end, runs).await? {
                        return Ok(past);
                    }
                    self.snapshots.distrust(self.stream, "the log doesn't hold its last event");
                    distrusted += 1;
                    Some(snapshot.version)
                }
            };
            match bad.and_then(version_before) {
                Some(before) => at_most = before,
                None => break,
            }
        }
        let mut past = Past::blank();
        match self.fold(&mut past, end, runs).await {
            Ok(()) => Ok(past),
            Err(error) if is_unavailable && patience == Patience::Long && is_truncated(&error) => {
                // A snapshot may stand for what is gone; nobody can tell just now.
                Err(self.unread(ReadError::Unavailable { source: SnapshotsOutOfReach.into() }))
            }
            Err(error) => Err(error),
        }
    }

    /// Goes on from a snapshot; `None` if the log doesn't bear it out (invariant 1). The snapshot's
    /// own event comes with the first page behind it, so being careful costs no round trip.
    async fn load_behind<A: Evolve>(
        self,
        snapshot: &Snapshot,
        state: A,
        end: End,
        runs: &mut Runs,
    ) -> Result<Option<Past<A>>, CommandError<A::Rejection>> {
        let Some(before) = version_before(snapshot.version) else {
            return Ok(None);
        };
        let page = self.page(before).await.map_err(|error| self.unread(error))?;
        let Some(own) = page.first().filter(|own| is_last_event_of(snapshot, own)) else {
            return Ok(None);
        };
        runs.note(own);
        let mut past = Past::of_snapshot(snapshot, state);
        let is_last = page.len() < LOAD_PAGE;
        let has_ended = self.take_all(&mut past, &page[1..], end, runs)?;
        if !has_ended && !is_last {
            self.fold(&mut past, end, runs).await?;
        }
        Ok(Some(past))
    }

    /// Folds what was appended behind `past`.
    pub(super) async fn catch_up<A: Evolve>(
        self,
        past: &mut Past<A>,
        runs: &mut Runs,
    ) -> Result<(), CommandError<A::Rejection>> {
        self.fold(past, End::Now, runs).await
    }

    async fn fold<A: Evolve>(
        self,
        past: &mut Past<A>,
        end: End,
        runs: &mut Runs,
    ) -> Result<(), CommandError<A::Rejection>> {
        let needs_whole = !runs.is_empty() || self.snapshots.are_taken::<A>(self.store);
        loop {
            let (read, has_ended) = if needs_whole {
                let page = self.page(past.loaded.version).await;
                let page = page.map_err(|error| self.unread(error))?;
                (page.len(), self.take_all(past, &page, end, runs)?)
            } else {
                self.visit_page(past, end).await?
            };
            if has_ended || read < LOAD_PAGE {
                return Ok(());
            }
        }
    }

    /// Folds a page of bare events, while it arrives, up to an end; says how many it has, and whether
    /// the end has come (invariant 7).
    async fn visit_page<A: Evolve>(
        self,
        past: &mut Past<A>,
        end: End,
    ) -> Result<(usize, bool), CommandError<A::Rejection>> {
        let after = past.loaded.version;
        let (mut has_ended, mut folded) = (false, Ok(()));
        let mut visit = |event: BareEvent| {
            has_ended |= !end.holds(event.version, event.position);
            if !has_ended && folded.is_ok() {
                folded = self.take(past, Step::of_bare(&event));
            }
        };
        let read = self.store.visit_stream(self.stream, after, LOAD_PAGE, &mut visit).await;
        // Why a page can't be read in full explains what is amiss with the part that was.
        let read = read.map_err(|error| self.unread(error))?;
        if read > 0 {
            past.last_event = None;
        }
        folded.map(|()| (read, has_ended))
    }

    /// Folds events up to an end; true if it has come.
    fn take_all<A: Evolve>(
        self,
        past: &mut Past<A>,
        events: &[RecordedEvent],
        end: End,
        runs: &mut Runs,
    ) -> Result<bool, CommandError<A::Rejection>> {
        for recorded in events {
            if !end.holds(recorded.version, recorded.position) {
                return Ok(true);
            }
            self.take(past, Step::of(recorded))?;
            past.last_event = Some(recorded.id);
            runs.note(recorded);
        }
        Ok(false)
    }

    fn take<A: Evolve>(
        self,
        past: &mut Past<A>,
        step: Step<'_>,
    ) -> Result<(), CommandError<A::Rejection>> {
        let Step { version, position, event_type, schema_version, data } = step;
        if version != past.loaded.version.next() {
            // A state that lacks an event is a wrong state: better none.
            let missing = format!("version {version} follows {}", past.loaded.version);
            return Err(self.unread(ReadError::Corrupt { position, source: missing.into() }));
        }
        let events = A::Event::decode(event_type.as_str(), schema_version, data);
        let events = events.map_err(|source| CommandError::Decode {
            stream: self.stream.clone(),
            position,
            source,
        })?;
        for event in &events {
            past.loaded.state.evolve(event);
        }
        past.has_unknown |= events.is_unknown();
        (past.loaded.version, past.loaded.position) = (version, position);
        past.bytes_since_kept += data.size_bytes() as u64;
        Ok(())
    }

    /// The version of the last event that was recorded at or before a moment.
    ///
    /// Clocks jump, so a later event may bear an earlier time: the whole stream is looked through.
    pub(super) async fn last_recorded_by(
        self,
        moment: Timestamp,
    ) -> Result<StreamVersion, ReadError> {
        let (mut last, mut read_to) = (StreamVersion::EMPTY, StreamVersion::EMPTY);
        loop {
            let page = self.page(read_to).await?;
            for recorded in &page {
                read_to = recorded.version;
                if recorded.recorded_at <= moment {
                    last = recorded.version;
                }
            }
            if page.len() < LOAD_PAGE {
                return Ok(last);
            }
        }
    }

    /// What an earlier run of `command` did to this aggregate, found by its events' ids.
    ///
    /// They are the ids 0, 1, 2 … of the command and became visible together, so the first one that
    /// is missing ends them.
    pub(super) async fn earlier_run(
        self,
        command: CommandId,
    ) -> Result<Option<CommandReceipt>, ReadError> {
        let mut runs = Runs::of([command]);
        for first in (0..).step_by(IDS_AT_A_TIME) {
            let ids =
                (first..first + IDS_AT_A_TIME).map(|index| EventId::of_command(command, index));
            let found = self.store.find(&ids.collect::<Vec<_>>()).await?;
            let here = found.iter().filter(|recorded| recorded.stream == *self.stream);
            here.for_each(|recorded| runs.note(recorded));
            if found.len() < IDS_AT_A_TIME {
                break;
            }
        }
        Ok(runs.receipt_of(command))
    }

    async fn page(self, after: StreamVersion) -> Result<Vec<RecordedEvent>, ReadError> {
        self.store.read_stream(self.stream, after, LOAD_PAGE).await
    }

    fn unread<R: std::error::Error>(self, source: ReadError) -> CommandError<R> {
        CommandError::Load { stream: self.stream.clone(), source }
    }
}

/// What folding asks of an event, whole or bare.
struct Step<'a> {
    version: StreamVersion,
    position: GlobalPosition,
    event_type: &'a EventType,
    schema_version: u32,
    data: &'a Payload,
}

impl<'a> Step<'a> {
    fn of(event: &'a RecordedEvent) -> Self {
        let RecordedEvent { version, position, event_type, schema_version, data, .. } = event;
        let (version, position, schema_version) = (*version, *position, *schema_version);
        Self { version, position, event_type, schema_version, data }
    }

    fn of_bare(event: &'a BareEvent) -> Self {
        let BareEvent { version, position, event_type, schema_version, data, .. } = event;
        let (version, position, schema_version) = (*version, *position, *schema_version);
        Self { version, position, event_type, schema_version, data }
    }
}

/// True if a stream's beginning is gone.
pub(super) fn is_truncated<R: std::error::Error>(error: &CommandError<R>) -> bool {
    matches!(error, CommandError::Load { source: ReadError::StreamTruncated { .. }, .. })
}

/// Why a stream whose beginning is gone can't be loaded just now.
#[derive(Debug, thiserror::Error)]
#[error("the stream's beginning is gone, and its snapshots can't be reached")]
struct SnapshotsOutOfReach;

fn version_before(version: StreamVersion) -> Option<StreamVersion> {
    version.get().checked_sub(1).map(StreamVersion::new)
}

fn is_last_event_of(snapshot: &Snapshot, own: &RecordedEvent) -> bool {
    own.id == snapshot.last_event
        && own.version == snapshot.version
        && own.position == snapshot.position
}
