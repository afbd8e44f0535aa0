//! One turn at a desk: commands decided one after another, and committed together.
//!
//! # Why nobody sees or acknowledges what did not commit
//! 1. Each command is decided on the state that the ones before it leave. All their events go into
//!    one append at the version that the turn began with: together, or not at all.
//! 2. Answers are given only once that append is durable. It also shows that the state the turn
//!    began with was the latest, so the "no" of a command in between is as good as the events
//!    around it. A turn without events has no append to show it: it reads the stream's end.
//! 3. If somebody else came first, all commands of the turn are decided again, on what is there
//!    now. The state that was thought of is thrown away.
//! 4. A command that may have been carried out before (its caller gave it an id) is looked up
//!    before it is decided: by its first event's id, which no other command can have. A second run
//!    in the same turn as its first would be looked up too early, and decided on what the first
//!    one did: it is left for after the append, and looked up again.
//! 5. A store that may give back something else than what was appended (a layer that changes events)
//!    is read again: what was thought of isn't what anybody will ever load.
//! 6. An append that was carried out before is no proof of what was decided now: another run of the
//!    same command may have emitted something else, elsewhere in the stream. What was thought of is
//!    thrown away then, too.

use std::any::Any;
use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use jiff::Timestamp;

use super::desk::{Answer, Case};
use super::history::{History, Past, Runs, is_truncated};
use super::snapshots::Snapshots;
use super::{CommandReceipt, Loaded, new_events};
use crate::retry_pauses::{MAX_ATTEMPTS, retry_pauses};
use crate::shared_error::SharedError;
use crate::{
    Append, AppendError, Clock, CommandError, CommandId, DecisionContext, EncodeError, EventId,
    EventStore, Evolve, ExpectedVersion, NewEvent, ReadError, StreamId, StreamVersion,
};

/// The most events, and bytes of data, that commands which share a turn append together; a single
/// command may have more.
const MOST_EVENTS: usize = 1_000;
const MOST_BYTES: usize = 1024 * 1024;

/// A turn at the desk of one aggregate.
#[derive(Clone, Copy)]
pub(super) struct Turn<'a> {
    pub(super) store: &'a dyn EventStore,
    pub(super) stream: &'a StreamId,
    pub(super) clock: &'a dyn Clock,
    pub(super) snapshots: &'a Snapshots,
}

/// How a command was decided, on a state that may not have been the latest.
enum Verdict<R> {
    Emitted { version: StreamVersion },
    Nothing { version: StreamVersion },
    Rejected(R),
    CannotEncode(EncodeError),
}

/// Everything that a turn would do.
struct Draft<A: Evolve> {
    verdicts: Vec<Verdict<A::Rejection>>,
    /// Commands that may run twice and have emitted something.
    emitted: HashSet<CommandId>,
    events: Vec<NewEvent>,
    state: A,
    version: StreamVersion,
    bytes: usize,
}

/// What is wrong for every command of a turn.
enum Trouble {
    Read(ReadError),
    Append(AppendError),
    Contended,
}

impl Turn<'_> {
    /// Carries out `cases`, beginning with what is `known` of the aggregate; returns what is known
    /// afterwards.
    pub(super) async fn run<A: Evolve>(
        self,
        cases: Vec<Case<A>>,
        known: Option<Past<A>>,
    ) -> Option<Past<A>> {
        let history = self.history();
        let is_fresh = known.is_none();
        let (cases, past) = match known {
            Some(known) => (self.without_repeated(history, cases).await, known),
            None => {
                let mut runs = runs_of(&cases);
                let past = match history.load(&mut runs).await {
                    Ok(past) => past,
                    Err(error) => return self.each_alone_or_fail(cases, error).await,
                };
                let cases = answer_repeated(cases, &runs);
                match past.begins_with_snapshot() {
                    // What it stands for was not read; asked after it was loaded (history, 6).
                    true => (self.without_repeated(history, cases).await, past),
                    false => (cases, past),
                }
            }
        };
        self.decide_and_commit(history, cases, past, is_fresh).await
    }

    fn history(&self) -> History<'_> {
        History { store: self.store, stream: self.stream, snapshots: self.snapshots }
    }

    async fn decide_and_commit<A: Evolve>(
        self,
        history: History<'_>,
        mut cases: Vec<Case<A>>,
        mut past: Past<A>,
        mut is_fresh: bool,
    ) -> Option<Past<A>> {
        let mut pauses = retry_pauses();
        while !cases.is_empty() {
            let (decided, draft) = self.draft(cases, &past.loaded);
            cases = decided;
            if draft.events.is_empty() && is_fresh {
                let rest = cases.split_off(draft.verdicts.len());
                self.answer(cases, draft.verdicts, &past.loaded);
                cases = rest;
                continue;
            }
            if let Some(last) = draft.events.last() {
                let last_event = last.id;
                let expected = ExpectedVersion::Exact(past.loaded.version);
                let append = Append::to(self.stream.clone(), expected, draft.events);
                match self.store.append(append).await {
                    Ok(appended) if appended.was_repeated => {
                        return self.decide_anew(history, cases).await;
                    }
                    Ok(appended) => {
                        let mut rest = cases.split_off(draft.verdicts.len());
                        let (version, position) = (draft.version, appended.position);
                        let thought_of = Loaded { state: draft.state, version, position };
                        self.answer(cases, draft.verdicts, &thought_of);
                        if rest.iter().any(|case| draft.emitted.contains(&case.command)) {
                            rest = self.without_repeated(history, rest).await;
                        }
                        if self.store.returns_what_was_appended() {
                            past.loaded = thought_of;
                            past.last_event = Some(last_event);
                            past.bytes_since_kept += draft.bytes as u64;
                        } else if history.catch_up(&mut past, &mut runs_of(&rest)).await.is_err() {
                            return self.run_on_what_is_read(rest).await;
                        }
                        (cases, is_fresh, pauses) = (rest, false, retry_pauses());
                        continue;
                    }
                    Err(error) if error.is_conflict() => match pauses.next() {
                        Some(pause) => tokio::time::sleep(pause).await,
                        None => return fail_all(self.stream, cases, Trouble::Contended),
                    },
                    Err(error) => return self.not_appended(history, cases, error).await,
                }
            }
            let mut runs = runs_of(&cases);
            match history.catch_up(&mut past, &mut runs).await {
                Ok(()) => (cases, is_fresh) = (answer_repeated(cases, &runs), true),
                // What was known ends before the stream begins: a snapshot stands for the rest.
                Err(error) if is_truncated(&error) => {
                    return Box::pin(self.run(cases, None)).await;
                }
                Err(error) => return self.each_alone_or_fail(cases, error).await,
            }
        }
        Some(past)
    }

    /// Nothing that is known can be relied upon; whoever is left learns why, or is decided.
    async fn run_on_what_is_read<A: Evolve>(self, cases: Vec<Case<A>>) -> Option<Past<A>> {
        match cases.is_empty() {
            true => None,
            false => Box::pin(self.run(cases, None)).await,
        }
    }

    /// The events of the turn were in the log already (invariant 6): whoever put them there is
    /// looked up, and who is left is decided on what the log has now.
    async fn decide_anew<A: Evolve>(
        self,
        history: History<'_>,
        mut cases: Vec<Case<A>>,
    ) -> Option<Past<A>> {
        for case in &mut cases {
            case.may_be_repeated = true;
        }
        let cases = self.without_repeated(history, cases).await;
        Box::pin(self.run(cases, None)).await
    }

    /// What an append's failure means: for one command its own, for several whoever it is about.
    async fn not_appended<A: Evolve>(
        self,
        history: History<'_>,
        mut cases: Vec<Case<A>>,
        error: AppendError,
    ) -> Option<Past<A>> {
        if cases.len() > 1 && !is_about_the_store(&error) {
            return self.each_alone(cases).await;
        }
        match (error, cases.len()) {
            (AppendError::EventIdTaken { id }, 1) => {
                if let Some(case) = cases.pop() {
                    self.who_took(history, case, id).await;
                }
                None
            }
            (source, 1) => {
                if let Some(case) = cases.pop() {
                    let command = case.command;
                    case.fail(CommandError::Append { command, source });
                }
                None
            }
            (error, _) => fail_all(self.stream, cases, Trouble::Append(error)),
        }
    }

    async fn each_alone<A: Evolve>(self, cases: Vec<Case<A>>) -> Option<Past<A>> {
        let mut known = None;
        for mut case in cases {
            // What became of it in company is not known for sure.
            case.may_be_repeated = true;
            known = Box::pin(self.run(vec![case], known)).await;
        }
        known
    }

    async fn each_alone_or_fail<A: Evolve>(
        self,
        mut cases: Vec<Case<A>>,
        error: CommandError<A::Rejection>,
    ) -> Option<Past<A>> {
        match error {
            CommandError::Load { source, .. } if cases.len() > 1 && source.is_retryable() => {
                fail_all(self.stream, cases, Trouble::Read(source))
            }
            _ if cases.len() > 1 => self.each_alone(cases).await,
            error => {
                if let Some(case) = cases.pop() {
                    case.fail(error);
                }
                None
            }
        }
    }

    /// Answers the cases that were carried out before; invariant 4.
    async fn without_repeated<A: Evolve>(
        self,
        history: History<'_>,
        cases: Vec<Case<A>>,
    ) -> Vec<Case<A>> {
        let first_ids: Vec<_> = cases
            .iter()
            .filter(|case| case.may_be_repeated)
            .map(|case| EventId::of_command(case.command, 0))
            .collect();
        if first_ids.is_empty() {
            return cases;
        }
        let found = match self.store.find(&first_ids).await {
            Ok(found) => found,
            // It is about one of them, and the others have nothing to do with it.
            Err(error) if cases.len() > 1 && !error.is_retryable() => {
                let mut new = Vec::with_capacity(cases.len());
                for case in cases {
                    new.extend(Box::pin(self.without_repeated(history, vec![case])).await);
                }
                return new;
            }
            Err(error) => {
                let _: Option<Past<A>> = fail_all(self.stream, cases, Trouble::Read(error));
                return Vec::new();
            }
        };
        let mut new = Vec::with_capacity(cases.len());
        for case in cases {
            let first_id = EventId::of_command(case.command, 0);
            if found.iter().any(|event| event.id == first_id) {
                self.who_took(history, case, first_id).await;
            } else {
                new.push(case);
            }
        }
        new
    }

    /// An event id of the command is in the log: an earlier run of it put it there, or its id was
    /// used for something else.
    async fn who_took<A: Evolve>(self, history: History<'_>, case: Case<A>, event: EventId) {
        let (command, stream) = (case.command, self.stream.clone());
        match history.earlier_run(command).await {
            Err(source) => case.fail(CommandError::Load { stream, source }),
            Ok(Some(receipt)) => case.answer(Answer::Result(Ok(receipt))),
            Ok(None) => case.fail(CommandError::IdTaken { command, stream, event }),
        }
    }

    /// Decides the cases one after another, as many as fit into one append. A case whose decision
    /// panics is answered with the panic and left out; the others are decided anew without it.
    fn draft<A: Evolve>(
        self,
        mut cases: Vec<Case<A>>,
        loaded: &Loaded<A>,
    ) -> (Vec<Case<A>>, Draft<A>) {
        loop {
            let (now, mut at) = (self.clock.now(), 0);
            let drafted =
                catch_unwind(AssertUnwindSafe(|| draft_all(&cases, loaded, now, &mut at)));
            match drafted {
                Ok(draft) => return (cases, draft),
                Err(panic) => {
                    let stream = self.stream;
                    tracing::error!(%stream, "an aggregate's decision panicked");
                    answer_panic(cases.remove(at), panic);
                }
            }
        }
    }

    /// Gives each decided case its verdict, which has become final.
    fn answer<A: Evolve>(
        self,
        cases: Vec<Case<A>>,
        verdicts: Vec<Verdict<A::Rejection>>,
        loaded: &Loaded<A>,
    ) {
        for (case, verdict) in cases.into_iter().zip(verdicts) {
            let receipt = |version| CommandReceipt {
                command: case.command,
                stream: self.stream.clone(),
                version,
                position: loaded.position,
                was_repeated: false,
            };
            let result = match verdict {
                Verdict::Emitted { version } | Verdict::Nothing { version } => Ok(receipt(version)),
                Verdict::Rejected(rejection) => Err(CommandError::Rejected(rejection)),
                Verdict::CannotEncode(source) => {
                    Err(CommandError::Encode { stream: self.stream.clone(), source })
                }
            };
            case.answer(Answer::Result(result));
        }
    }
}

fn draft_all<A: Evolve>(
    cases: &[Case<A>],
    loaded: &Loaded<A>,
    now: Timestamp,
    at: &mut usize,
) -> Draft<A> {
    let mut draft = Draft {
        verdicts: Vec::with_capacity(cases.len()),
        emitted: HashSet::new(),
        events: Vec::new(),
        state: loaded.state.clone(),
        version: loaded.version,
        bytes: 0,
    };
    for (index, case) in cases.iter().enumerate() {
        *at = index;
        if draft.emitted.contains(&case.command) {
            break;
        }
        let context = DecisionContext::new(now, case.command);
        let verdict = match (case.decide)(&draft.state, &context) {
            Err(rejection) => Verdict::Rejected(rejection),
            Ok(decided) if decided.is_empty() => Verdict::Nothing { version: draft.version },
            Ok(decided) => match new_events(&decided, case.command, &case.metadata) {
                Err(source) => Verdict::CannotEncode(source),
                Ok(events) => {
                    let more: usize = events.iter().map(|event| event.data.size_bytes()).sum();
                    let is_full = draft.events.len() + events.len() > MOST_EVENTS
                        || draft.bytes + more > MOST_BYTES;
                    if is_full && !draft.events.is_empty() {
                        break;
                    }
                    decided.iter().for_each(|event| draft.state.evolve(event));
                    draft.version = draft.version.plus(events.len() as u64);
                    draft.bytes += more;
                    draft.events.extend(events);
                    if case.may_be_repeated {
                        draft.emitted.insert(case.command);
                    }
                    Verdict::Emitted { version: draft.version }
                }
            },
        };
        draft.verdicts.push(verdict);
    }
    draft
}

fn answer_panic<A: Evolve>(case: Case<A>, panic: Box<dyn Any + Send>) {
    case.answer(Answer::Panicked(panic));
}

/// An id that was made here can't have run before, and isn't looked for.
fn runs_of<A: Evolve>(cases: &[Case<A>]) -> Runs {
    Runs::of(cases.iter().filter(|case| case.may_be_repeated).map(|case| case.command))
}

/// Answers the cases that an earlier run carried out; returns the others.
fn answer_repeated<A: Evolve>(cases: Vec<Case<A>>, runs: &Runs) -> Vec<Case<A>> {
    let mut new = Vec::with_capacity(cases.len());
    for case in cases {
        match runs.receipt_of(case.command) {
            Some(receipt) => case.answer(Answer::Result(Ok(receipt))),
            None => new.push(case),
        }
    }
    new
}

/// True if every append would fail in the same way just now.
fn is_about_the_store(error: &AppendError) -> bool {
    error.is_retryable() || matches!(error, AppendError::Closed)
}

/// Tells every case of one trouble. Nothing is known of the aggregate afterwards.
fn fail_all<A: Evolve>(
    stream: &StreamId,
    cases: Vec<Case<A>>,
    trouble: Trouble,
) -> Option<Past<A>> {
    let copy: Box<dyn Fn(CommandId) -> CommandError<A::Rejection> + Send> = match trouble {
        Trouble::Contended => {
            Box::new(|_| CommandError::Contended { stream: stream.clone(), attempts: MAX_ATTEMPTS })
        }
        Trouble::Read(error) => {
            let copy = shared_read_error(error);
            Box::new(move |_| CommandError::Load { stream: stream.clone(), source: copy() })
        }
        Trouble::Append(error) => {
            let copy = shared_append_error(error);
            Box::new(move |command| CommandError::Append { command, source: copy() })
        }
    };
    for case in cases {
        let error = copy(case.command);
        case.fail(error);
    }
    None
}

/// Copies of one error, for everybody it is about.
fn shared_read_error(error: ReadError) -> Box<dyn Fn() -> ReadError + Send> {
    let is_refused = matches!(error, ReadError::Refused { .. });
    let (position, source) = match error {
        ReadError::Unavailable { source } | ReadError::Refused { source } => {
            (None, SharedError::of(source))
        }
        ReadError::Corrupt { position, source } => (Some(position), SharedError::of(source)),
        ReadError::StreamTruncated { stream, after, removed_to } => {
            return Box::new(move || {
                let stream = stream.clone();
                ReadError::StreamTruncated { stream, after, removed_to }
            });
        }
        ReadError::LogTruncated { after, removed_to } => {
            return Box::new(move || ReadError::LogTruncated { after, removed_to });
        }
    };
    Box::new(move || {
        let source = Box::new(source.clone());
        match position {
            None if is_refused => ReadError::Refused { source },
            None => ReadError::Unavailable { source },
            Some(position) => ReadError::Corrupt { position, source },
        }
    })
}

/// Copies of an error that is about the store; any other is taken for one as well.
fn shared_append_error(error: AppendError) -> impl Fn() -> AppendError + Send {
    let is_closed = matches!(error, AppendError::Closed);
    let (is_uncertain, source) = match error {
        AppendError::OutcomeUnknown { source } => (true, SharedError::of(source)),
        AppendError::Unavailable { source } => (false, SharedError::of(source)),
        other => (false, SharedError::of(Box::new(other))),
    };
    move || {
        let source = Box::new(source.clone());
        match (is_closed, is_uncertain) {
            (true, _) => AppendError::Closed,
            (false, true) => AppendError::OutcomeUnknown { source },
            (false, false) => AppendError::Unavailable { source },
        }
    }
}
