//! The process that writes until it is killed, and the one that reads along.

use std::io::{BufRead, Write};
use std::sync::Arc;
use std::time::Duration;

use highwater::postgres::PostgresStore;
use highwater::{
    AppendError, CommandHandler, CommandId, EventId, EventStore, GlobalPosition, Metadata,
    Selection, StreamId, StreamVersion, Subscription, Tag,
};

use super::Honesty;
use super::protocol::{Acknowledgement, Intent, Known, Part, Said, append_of};
use super::tally::Count;

/// Streams that all writers of all processes append to.
const SHARED_STREAMS: usize = 5;
/// Tallies that all writers of all processes count at.
const TALLIES: usize = 24;
/// A decision asks about a stretch of the log, so that it stays as short as it is in practice.
const STRETCH: u64 = 1_000;

/// What a process knows of its place in the test.
#[derive(Clone, Debug)]
pub struct Life {
    /// Tells this process's streams from those of all others and of all its earlier lives.
    pub name: String,
    /// How many write at the same time.
    pub writers: usize,
    /// Whether it tells the truth.
    pub honesty: Honesty,
}

/// Settles what earlier lives left open, one intent per line of `input`, then writes until killed.
/// Without writers it ends when everything is settled.
///
/// # Panics
/// If the log can't be opened, or nobody reads what it says.
pub async fn write(url: &str, life: Life, input: impl BufRead) {
    let store: Arc<dyn EventStore> = PostgresStore::connect(url).await.expect("a log");
    let writer = Writer { commands: CommandHandler::new(store.clone()), store, life };
    let open: Vec<Intent> = input
        .lines()
        .map(|line| serde_json::from_str(&line.expect("a line")).expect("an intent"))
        .collect();
    let settling = open.into_iter().map(|intent| {
        let writer = writer.clone();
        tokio::spawn(async move {
            writer.settle(&intent).await;
        })
    });
    let writing = (0..writer.life.writers).map(|index| {
        let writer = writer.clone();
        tokio::spawn(async move { writer.write_for_ever(index).await })
    });
    for task in settling.chain(writing).collect::<Vec<_>>() {
        task.await.expect("no writer panics");
    }
}

#[derive(Clone)]
struct Writer {
    store: Arc<dyn EventStore>,
    commands: CommandHandler,
    life: Life,
}

impl Writer {
    async fn write_for_ever(&self, index: usize) {
        let own = stream("own", &format!("{}.{index}", self.life.name));
        let mut version = StreamVersion::EMPTY;
        for turn in 0.. {
            let intent = match (index + turn) % 4 {
                0 => one_stream(&own, version),
                1 => several_streams(&own, version, turn),
                2 => self.decide(index, turn).await,
                _ => Intent::Command { id: CommandId::new(), tally: tally(index + turn) },
            };
            if self.life.honesty == Honesty::AcknowledgesEarly {
                say(&Said::Acknowledged(too_early(&intent)));
            }
            say(&Said::Meant(intent.clone()));
            let heads = self.settle(&intent).await;
            let head = heads.iter().find(|(stream, _)| *stream == own);
            version = head.map_or(version, |(_, head)| *head);
        }
    }

    /// Makes the attempt, again and again, until the store says what became of it.
    async fn settle(&self, intent: &Intent) -> Vec<(StreamId, StreamVersion)> {
        let settled = match intent {
            Intent::Append { parts, known } => self.append(parts, known.as_ref()).await,
            Intent::Command { id, tally } => self.count(*id, tally).await,
        };
        let attempt = intent.attempt();
        let heads = match &settled {
            Ok((_, heads)) => heads.clone(),
            Err(_) => Vec::new(),
        };
        say(&match settled {
            Ok((position, heads)) => {
                Said::Acknowledged(Acknowledgement { attempt, position, heads })
            }
            Err(Trouble::Refused) => Said::Refused(attempt),
            Err(Trouble::Failed(reason)) => Said::Failed(reason),
        });
        heads
    }

    async fn append(&self, parts: &[Part], known: Option<&Known>) -> Settled {
        let append = append_of(parts, known);
        loop {
            match self.store.append(append.clone()).await {
                Ok(appended) => {
                    let heads = appended.heads.into_iter().map(|head| (head.stream, head.version));
                    return Ok((appended.position, heads.collect()));
                }
                Err(AppendError::ConditionFailed) if known.is_some() => {
                    return Err(Trouble::Refused);
                }
                Err(error) if error.is_retryable() => pause().await,
                Err(error) => return Err(Trouble::Failed(told(&error))),
            }
        }
    }

    /// Executes the command twice at once, as a client does whose first call seems to hang.
    async fn count(&self, id: CommandId, tally: &str) -> Settled {
        let metadata = || Metadata::default().with_command(id);
        loop {
            let (one, other) = tokio::join!(
                self.commands.execute_with(Count(tally.to_owned()), metadata()),
                self.commands.execute_with(Count(tally.to_owned()), metadata()),
            );
            match (one, other) {
                (Ok(one), Ok(other))
                    if (one.version, &one.stream) != (other.version, &other.stream) =>
                {
                    return Err(Trouble::Failed(format!("one command did {one:?} and {other:?}")));
                }
                (Ok(receipt), _) | (_, Ok(receipt)) => {
                    return Ok((receipt.position, vec![(receipt.stream, receipt.version)]));
                }
                (Err(error), _) if error.is_retryable() => pause().await,
                (Err(error), _) => return Err(Trouble::Failed(told(&error))),
            }
        }
    }

    /// Reads what a decision needs, and decides on it.
    async fn decide(&self, index: usize, turn: usize) -> Intent {
        loop {
            if let Some(known) = self.known(index, turn).await {
                let part = Part {
                    stream: stream("decided", &EventId::new().to_string()),
                    expected: None,
                    ids: vec![EventId::new()],
                };
                return Intent::Append { parts: vec![part], known: Some(known) };
            }
            pause().await;
        }
    }

    async fn known(&self, index: usize, turn: usize) -> Option<Known> {
        let head = self.store.high_water_mark().await.ok()?;
        let stretch = head.get() / STRETCH;
        let tag = Tag::new("decided", format!("{stretch}.{}", (index + turn / 4) % 6)).ok()?;
        let (read_to, seen) = (GlobalPosition::START, Vec::new());
        let mut known = Known { tag, read_to, seen };
        let selection = Selection::Query(known.query());
        loop {
            let page = self.store.read_all(&selection, known.read_to, 1_000).await.ok()?;
            known.seen.extend(page.events.iter().map(|event| event.position));
            known.read_to = page.read_to;
            if page.is_last {
                return Some(known);
            }
        }
    }
}

type Settled = Result<(GlobalPosition, Vec<(StreamId, StreamVersion)>), Trouble>;

enum Trouble {
    Refused,
    Failed(String),
}

fn one_stream(own: &StreamId, version: StreamVersion) -> Intent {
    let ids = (0..3).map(|_| EventId::new()).collect();
    let part = Part { stream: own.clone(), expected: Some(version), ids };
    Intent::Append { parts: vec![part], known: None }
}

fn several_streams(own: &StreamId, version: StreamVersion, turn: usize) -> Intent {
    let mut parts = vec![Part {
        stream: own.clone(),
        expected: Some(version),
        ids: vec![EventId::new(), EventId::new()],
    }];
    for offset in [0, 2] {
        let shared = ((turn + offset) % SHARED_STREAMS).to_string();
        let ids = vec![EventId::new()];
        parts.push(Part { stream: stream("shared", &shared), expected: None, ids });
    }
    Intent::Append { parts, known: None }
}

fn tally(number: usize) -> String {
    (number % TALLIES).to_string()
}

fn stream(category: &str, key: &str) -> StreamId {
    StreamId::new(category, key).expect("a valid name")
}

/// An acknowledgement of what nobody has appended yet.
fn too_early(intent: &Intent) -> Acknowledgement {
    let (attempt, position) = (intent.attempt(), GlobalPosition::START);
    Acknowledgement { attempt, position, heads: Vec::new() }
}

/// The store stays away: a pace, not a synchronisation.
async fn pause() {
    tokio::time::sleep(Duration::from_millis(5)).await;
}

/// Reads along until it stands at the position that `input` names, and says what it was given.
///
/// # Panics
/// If the log can't be opened, or nobody reads what it says.
pub async fn read(url: &str, input: impl BufRead + Send + 'static) {
    let store = PostgresStore::connect(url).await.expect("a log");
    let mut reading = Subscription::new(store, Selection::All, GlobalPosition::START);
    let (end, mut known_end) = tokio::sync::watch::channel(None);
    std::thread::spawn(move || {
        let line = input.lines().next().and_then(Result::ok).unwrap_or_default();
        end.send_replace(Some(line.parse().map_or(GlobalPosition::START, GlobalPosition::new)));
    });
    loop {
        let is_over = known_end.borrow_and_update().is_some_and(|end| reading.position() >= end);
        if is_over {
            return;
        }
        tokio::select! {
            // Reading on is safe to drop, and learning of the end doesn't wait for a next event.
            page = reading.next_page() => match page {
                Ok(page) => {
                    let events = page.events.iter().map(|event| (event.position, event.id));
                    say(&Said::Read { events: events.collect(), read_to: page.read_to });
                }
                Err(error) if error.is_retryable() => pause().await,
                Err(error) => say(&Said::Failed(told(&error))),
            },
            changed = known_end.changed() => {
                if changed.is_err() && known_end.borrow().is_none() {
                    return;
                }
            }
        }
    }
}

/// One write of one line: a process that is killed leaves its last line torn at worst.
fn say(said: &Said) {
    let mut line = serde_json::to_string(said).expect("what is said is JSON");
    line.push('\n');
    let mut output = std::io::stdout().lock();
    output.write_all(line.as_bytes()).and_then(|()| output.flush()).expect("somebody reads");
}

fn told(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {}", told(cause)),
        None => error.to_string(),
    }
}
