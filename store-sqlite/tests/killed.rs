//! A process that is killed in mid-append loses nothing that it was told is appended.
//!
//! This test starts itself again as the victim, reads from its output what was acknowledged, and
//! kills it while it appends.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use highwater_core::{
    Append, EventId, EventStore, ExpectedVersion, GlobalPosition, NewEvent, RecordedEvent,
    Selection, StreamId,
};
use highwater_store_sqlite::SqliteStore;

/// Set for the victim: the file that it appends to.
const VICTIM_FILE: &str = "HIGHWATER_KILLED_FILE";
const APPENDERS: usize = 8;
const EVENTS: usize = 3;

#[test]
fn what_was_acknowledged_survives_kill_9_whole_and_once() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("log.db");
    let mut acknowledged = Vec::new();
    for round in 1..=4 {
        let mut victim = start_victim(&path);
        let output = victim.stdout.take().expect("the victim's output");
        let mut lines = BufReader::new(output).lines();
        for line in lines.by_ref().take(40 * round) {
            acknowledged.extend(acknowledgement(&line.expect("a line")));
        }
        victim.kill().expect("killed in mid-append");
        victim.wait().expect("dead");
        // What it had said before it died counts as well; its last line may be torn.
        for line in lines.map_while(Result::ok) {
            acknowledged.extend(acknowledgement(&line));
        }
        check(&read(&path), &acknowledged);
    }
    assert!(acknowledged.len() > 300, "{} acknowledgements", acknowledged.len());
}

/// Not a test: what the victim does, until it is killed.
#[test]
fn victim() {
    let Ok(path) = std::env::var(VICTIM_FILE) else {
        return;
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let store = SqliteStore::open(path).await.expect("a log");
        let appenders =
            (0..APPENDERS).map(|index| tokio::spawn(append_for_ever(store.clone(), index)));
        for appender in appenders.collect::<Vec<_>>() {
            appender.await.expect("never returns");
        }
    });
}

async fn append_for_ever(store: std::sync::Arc<SqliteStore>, index: usize) {
    let stream = StreamId::new("killed", index).expect("a stream");
    loop {
        let event = || NewEvent::new("happened", &"x".repeat(500)).expect("an event");
        let events: Vec<_> = (0..EVENTS).map(|_| event()).collect();
        let last = events[EVENTS - 1].id;
        let append = Append::to(stream.clone(), ExpectedVersion::Any, events);
        let appended = store.append(append).await.expect("an append");
        let mut output = std::io::stdout().lock();
        writeln!(output, "acknowledged {last} {} .", appended.position).expect("a reader");
    }
}

fn start_victim(path: &Path) -> Child {
    Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "victim", "--nocapture"])
        .env(VICTIM_FILE, path)
        .stdout(Stdio::piped())
        .spawn()
        .expect("a victim")
}

/// A whole line of the victim's: the id of an append's last event, and its position.
fn acknowledgement(line: &str) -> Option<(EventId, GlobalPosition)> {
    let mut words = line.split(' ').skip_while(|word| *word != "acknowledged").skip(1);
    let id = words.next()?.parse().ok()?;
    let position = words.next()?.parse().ok()?;
    (words.next()? == ".").then_some((id, GlobalPosition::new(position)))
}

fn read(path: &Path) -> Vec<RecordedEvent> {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let store = SqliteStore::open(path).await.expect("the log can be opened");
        let page = store.read_all(&Selection::All, GlobalPosition::START, usize::MAX).await;
        page.expect("the log can be read").events
    })
}

fn check(log: &[RecordedEvent], acknowledged: &[(EventId, GlobalPosition)]) {
    let mut streams: HashMap<&StreamId, u64> = HashMap::new();
    for event in log {
        let version = streams.entry(&event.stream).or_default();
        *version += 1;
        assert_eq!(event.version.get(), *version, "no gap in {}", event.stream);
    }
    for (stream, version) in streams {
        assert_eq!(version % EVENTS as u64, 0, "half an append in {stream}");
    }
    let positions: HashMap<EventId, GlobalPosition> =
        log.iter().map(|event| (event.id, event.position)).collect();
    assert_eq!(positions.len(), log.len(), "an event is there twice");
    for (id, position) in acknowledged {
        assert_eq!(positions.get(id), Some(position), "acknowledged event {id}");
    }
}
