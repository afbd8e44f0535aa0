//! What retention must withstand: damaged archives, a process killed in the middle, and a store
//! without the guards, which the conformance suite's races must catch.

use std::collections::HashSet;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use highwater::retention::{
    Archive, ArchiveError, ArchiveReader, ArchiveScope, ArchivedLog, Retention, RetentionProgress,
    TruncateError, Truncation, VerifiedArchive,
};
use highwater::sqlite::SqliteStore;
use highwater::{
    Append, AppendError, Appended, EventStore, ExpectedVersion, GlobalPosition, MasterKeys,
    MemoryKeyStore, MemoryStore, NewEvent, Page, Personal, ReadError, RecordedEvent, SealedLog,
    Selection, StoreLayer, StreamId, StreamVersion, Subject, TenantId, TenantStore, Vault,
};
use highwater_tests::conformance::retention::tombstones::race_for_the_end;
use tempfile::TempDir;

fn scope(to: u64) -> ArchiveScope {
    ArchiveScope::of_log(GlobalPosition::START, GlobalPosition::new(to))
}

fn stream(key: impl std::fmt::Display) -> StreamId {
    StreamId::new("test", key).expect("a stream")
}

fn untold(_: RetentionProgress) {}

async fn append(store: &dyn EventStore, count: usize) {
    let event = |number: usize| NewEvent::new("happened", &number).expect("an event");
    let events = (0..count).map(event).collect();
    store.append(Append::to(stream("a"), ExpectedVersion::Any, events)).await.expect("appended");
}

/// An archive of 50 events in one file.
async fn archive() -> (TempDir, Archive, PathBuf) {
    let store = MemoryStore::new();
    append(&store, 50).await;
    let directory = tempfile::tempdir().expect("a directory");
    let archive = Archive::in_directory(directory.path());
    archive.write(&store, scope(50), &mut untold).await.expect("an archive");
    let file = fs::read_dir(directory.path()).expect("files").next().expect("one").expect("one");
    (directory, archive, file.path())
}

fn lines(path: &Path) -> Vec<String> {
    let packed = fs::File::open(path).expect("the file");
    let unpacked = Command::new("gzip").arg("-dc").stdin(packed).output().expect("gzip");
    assert!(unpacked.status.success());
    unpacked.stdout.lines().map(|line| line.expect("text")).collect()
}

/// Writes other lines under the same name, packed as they should be.
fn replace(path: &Path, lines: &[String]) {
    let packed = fs::File::create(path).expect("the file");
    let mut gzip = Command::new("gzip").stdin(Stdio::piped()).stdout(packed).spawn().expect("gzip");
    let mut input = gzip.stdin.take().expect("its input");
    input.write_all((lines.join("\n") + "\n").as_bytes()).expect("written");
    drop(input);
    assert!(gzip.wait().expect("gzip").success());
}

async fn damage(archive: &Archive) -> ArchiveError {
    archive.verify(scope(50)).await.expect_err("the damage is found")
}

#[tokio::test]
async fn a_file_that_was_cut_short_anywhere_is_found() {
    let (_directory, archive, path) = archive().await;
    let whole = fs::read(&path).expect("the file");
    for length in (0..whole.len()).step_by(7) {
        fs::write(&path, &whole[..length]).expect("cut");
        let error = damage(&archive).await;
        assert!(matches!(error, ArchiveError::Damaged { .. }), "at {length}: {error:?}");
    }
    fs::write(&path, &whole).expect("mended");
    assert_eq!(archive.verify(scope(50)).await.expect("whole").events(), 50);
}

#[tokio::test]
async fn a_bit_that_fell_over_anywhere_is_found() {
    let (_directory, archive, path) = archive().await;
    let (whole, told) = (fs::read(&path).expect("the file"), lines(&path));
    let mut unfound = 0;
    // Behind gzip's own header, whose time and name of a system say nothing of the events.
    for place in (10..whole.len()).step_by(5) {
        let mut changed = whole.clone();
        changed[place] ^= 0b100;
        fs::write(&path, &changed).expect("changed");
        if archive.verify(scope(50)).await.is_ok() {
            // What fills up the last byte says nothing either.
            assert_eq!(lines(&path), told, "at {place}");
            unfound += 1;
        }
    }
    assert!(unfound <= 1, "{unfound} bits were found to be whole");
}

#[tokio::test]
async fn lines_that_were_taken_out_moved_doubled_or_edited_are_found() {
    let (_directory, archive, path) = archive().await;
    let whole = lines(&path);
    assert_eq!(whole.len(), 52);
    type Edit = fn(&mut Vec<String>);
    let edits: [(&str, Edit); 8] = [
        ("an event is gone", |lines| drop(lines.remove(7))),
        ("the last event is gone", |lines| drop(lines.remove(50))),
        ("two events changed places", |lines| lines.swap(3, 4)),
        ("an event came twice", |lines| lines.insert(9, lines[9].clone())),
        ("data was edited", |lines| lines[5] = lines[5].replace("\"data\":4", "\"data\":5")),
        ("the trailer is gone", |lines| drop(lines.pop())),
        ("something stands behind the end", |lines| lines.push("{}".to_owned())),
        ("the header is gone", |lines| drop(lines.remove(0))),
    ];
    for (edit, change) in edits {
        let mut changed = whole.clone();
        change(&mut changed);
        assert_ne!(changed, whole, "{edit}");
        replace(&path, &changed);
        let error = damage(&archive).await;
        assert!(matches!(error, ArchiveError::Damaged { .. }), "{edit}: {error:?}");
        assert!(!error.is_retryable());
    }
    replace(&path, &whole);
    archive.verify(scope(50)).await.expect("whole");
}

#[tokio::test]
async fn nothing_is_restored_from_a_damaged_archive() {
    let (_directory, archive, path) = archive().await;
    let whole = lines(&path);
    replace(&path, &whole[..40]);
    let store = MemoryStore::new();
    archive.restore(scope(50), &store, &mut untold).await.expect_err("the damage is found");
    assert_eq!(store.high_water_mark().await.expect("a mark"), GlobalPosition::START);
}

/// A log that opens personal data for its readers, the vault, and the log below.
async fn sealed_log() -> (Arc<dyn EventStore>, Vault, Arc<MemoryStore>) {
    let below = Arc::new(MemoryStore::new());
    let master = format!("1:{}=", "A".repeat(43));
    let keys = MasterKeys::parse(&master).expect("master keys");
    let vault = Vault::new(Arc::new(MemoryKeyStore::new()), keys);
    let log: Arc<dyn EventStore> = Arc::new(SealedLog::new(below.clone(), vault.clone()));
    let moved = NewEvent::new("moved", &Personal::of("customer-7", STREET)).expect("an event");
    let append = Append::to(stream("a"), ExpectedVersion::NoStream, vec![moved]);
    log.append(append).await.expect("appended");
    append_to(&*log, "b").await;
    (log, vault, below)
}

const STREET: &str = "1 Harbour Street";

async fn append_to(store: &dyn EventStore, key: &str) {
    let events = vec![NewEvent::new("happened", &()).expect("an event")];
    store.append(Append::to(stream(key), ExpectedVersion::Any, events)).await.expect("appended");
}

#[tokio::test]
async fn personal_data_is_archived_sealed_and_forgetting_reaches_into_the_archive() {
    let (log, vault, below) = sealed_log().await;
    let directory = tempfile::tempdir().expect("a directory");
    let archive = Archive::in_directory(directory.path());
    let verified = archive.write(&*log, scope(1), &mut untold).await.expect("an archive");
    let file = fs::read_dir(directory.path()).expect("files").next().expect("one").expect("one");
    let text = lines(&file.path()).join("\n");
    assert!(!text.contains(STREET) && text.contains("$sealed"), "{text}");

    let archived = ArchivedLog::new(below, archive.clone(), &verified).expect("of the log");
    let archived = SealedLog::new(Arc::new(archived), vault.clone());
    let over_open = ArchivedLog::new(log, archive.clone(), &verified).expect("of the log");
    let copy = SealedLog::new(Arc::new(MemoryStore::new()), vault.clone());
    archive.restore(scope(1), &copy, &mut untold).await.expect("restored");
    assert!(first(&archived).await.contains(STREET));
    assert!(first(&copy).await.contains(STREET));
    assert!(
        first(&*StoreLayer::sealed(&over_open).expect("a log below")).await.contains("$sealed")
    );
    assert!(StoreLayer::snapshots(&over_open).is_some());

    vault.forget(&Subject::new("customer-7").expect("a subject")).await.expect("forgotten");
    assert!(!first(&archived).await.contains(STREET));
}

async fn first(store: &dyn EventStore) -> String {
    let events = all_events(store, GlobalPosition::START).await;
    events.first().expect("an event").data.as_json().to_owned()
}

/// A layer that opens what is personal and doesn't say what lies below.
struct Opened(Arc<dyn EventStore>);

#[async_trait]
impl StoreLayer for Opened {
    fn inner(&self) -> &dyn EventStore {
        &*self.0
    }

    fn sealed(&self) -> Option<Arc<dyn EventStore>> {
        None
    }
}

#[tokio::test]
async fn personal_data_in_plain_text_is_never_archived() {
    let (log, ..) = sealed_log().await;
    let directory = tempfile::tempdir().expect("a directory");
    let archive = Archive::in_directory(directory.path());
    let refused = archive.write(&Opened(log), scope(1), &mut untold).await;
    let error = refused.expect_err("in plain text");
    assert!(matches!(error, ArchiveError::UnsealedPersonalData { .. }), "{error:?}");
    assert!(!error.is_retryable());
    archive.verify(scope(1)).await.expect_err("no file was finished");
}

#[tokio::test]
async fn a_file_of_a_newer_format_and_a_missing_one_are_told_from_damage() {
    let (_directory, archive, path) = archive().await;
    let missing = archive.verify(scope(60)).await.expect_err("there is no more");
    assert!(matches!(missing, ArchiveError::Missing { reached: 50, .. }), "{missing:?}");
    let mut newer = lines(&path);
    newer[0] = newer[0].replace("\"highwater_archive\":1", "\"highwater_archive\":2");
    replace(&path, &newer);
    let error = ArchiveReader::open(&path).err().expect("unknown");
    assert!(matches!(error, ArchiveError::UnknownFormat { found: 2, known: 1, .. }), "{error:?}");
}

#[tokio::test]
async fn what_is_not_final_is_not_archived() {
    let store = MemoryStore::new();
    append(&store, 3).await;
    let directory = tempfile::tempdir().expect("a directory");
    let archive = Archive::in_directory(directory.path());
    let refusal = archive.write(&store, scope(4), &mut untold).await.expect_err("too far");
    assert!(matches!(refusal, ArchiveError::NotFinal { .. }), "{refusal:?}");
    assert!(refusal.is_retryable());
}

/// A log that shows its first events only: a reader who may not see the rest.
struct FirstEvents(Arc<dyn EventStore>, usize);

#[async_trait]
impl StoreLayer for FirstEvents {
    fn inner(&self) -> &dyn EventStore {
        &*self.0
    }

    async fn read_all(
        &self,
        selection: &Selection,
        after: GlobalPosition,
        limit: usize,
    ) -> Result<Page, ReadError> {
        let mut page = self.0.read_all(selection, after, limit).await?;
        page.events.retain(|event| event.position.get() <= self.1 as u64);
        Ok(page)
    }
}

#[tokio::test]
async fn an_archive_of_less_than_the_log_holds_lets_nothing_go() {
    let log = Arc::new(MemoryStore::new());
    append(&*log, 6).await;
    let tenant = TenantId::new("acme").expect("a tenant");
    let sifted: [Arc<dyn EventStore>; 3] = [
        Arc::new(TenantStore::new(log.clone(), &tenant)),
        Arc::new(FirstEvents(log.clone(), 0)),
        Arc::new(FirstEvents(log.clone(), 4)),
    ];
    for (store, held) in sifted.iter().zip([0, 0, 4]) {
        let directory = tempfile::tempdir().expect("a directory");
        let archive = Archive::in_directory(directory.path());
        archive.write(&**store, scope(5), &mut untold).await.ok();
        let verified = archive.verify(scope(5)).await.expect("whole files");
        assert_eq!(verified.events(), held);
        let truncation = Truncation::archived(&*log, &verified);
        let refusal = truncation.of_log_to(GlobalPosition::new(5), &mut untold).await;
        assert!(matches!(refusal, Err(TruncateError::ForeignArchive { .. })), "{refusal:?}");
        let refusal = archive.write(&*log, scope(5), &mut untold).await;
        assert!(matches!(refusal, Err(ArchiveError::ForeignFile { .. })), "{refusal:?}");
    }
    assert_eq!(all_events(&*log, GlobalPosition::START).await.len(), 6);
}

#[tokio::test]
async fn two_tenants_in_one_directory_do_not_take_each_others_files() {
    let log = Arc::new(MemoryStore::new());
    let tenants = ["acme", "bolt"].map(|name| TenantId::new(name).expect("a tenant"));
    let stores = tenants.map(|tenant| TenantStore::new(log.clone(), &tenant));
    for store in &stores {
        append(store, 3).await;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let archive = Archive::in_directory(directory.path());
    let verified = archive.write(&stores[0], scope(6), &mut untold).await.expect("an archive");
    assert_eq!(verified.events(), 3);
    for other in [&stores[1] as &dyn EventStore, &*log] {
        let refusal = archive.write(other, scope(6), &mut untold).await;
        assert!(matches!(refusal, Err(ArchiveError::ForeignFile { .. })), "{refusal:?}");
    }
    archive.write(&stores[0], scope(6), &mut untold).await.expect("its own");
}

#[tokio::test]
async fn a_page_that_begins_before_the_archive_ends_where_the_archive_begins() {
    let log = Arc::new(MemoryStore::new());
    append(&*log, 10).await;
    append_to(&*log, "b").await;
    let all = all_events(&*log, GlobalPosition::START).await;
    let directory = tempfile::tempdir().expect("a directory");
    let archive = Archive::in_directory(directory.path());
    let behind_4 = ArchiveScope::of_log(GlobalPosition::new(4), GlobalPosition::new(10));
    let verified = archive.write(&*log, behind_4, &mut untold).await.expect("an archive");
    // A hole that only the archive fills, and that no reader of the log is told of.
    log.tombstone(&stream("a")).await.expect("ended");
    log.mark_stream(&stream("a"), StreamVersion::new(10)).await.expect("marked");
    while log.remove_from_stream(&stream("a"), 4).await.expect("removed") > 0 {}
    let log: Arc<dyn EventStore> = log;
    let whole = ArchivedLog::new(log, archive, &verified).expect("of the log");
    let whole: &dyn EventStore = &whole;
    let page = whole.read_all(&Selection::All, GlobalPosition::new(2), 100).await.expect("a page");
    assert_eq!((page.events.len(), page.read_to.get(), page.is_last), (0, 4, false));
    let page = whole.read_all(&Selection::All, page.read_to, 6).await.expect("a page");
    assert_eq!(page.events, all[4..10]);
}

/// A process that only remembers that a stream has ended, and looks before it appends.
struct LooksFirst {
    inner: Arc<dyn EventStore>,
    ended: Mutex<HashSet<StreamId>>,
}

#[async_trait]
impl StoreLayer for LooksFirst {
    fn inner(&self) -> &dyn EventStore {
        &*self.inner
    }

    async fn append(&self, append: Append) -> Result<Appended, AppendError> {
        let of = append.streams()[0].stream.clone();
        if self.ended.lock().expect("whole").contains(&of) {
            return Err(AppendError::StreamTombstoned { stream: of });
        }
        tokio::task::yield_now().await;
        self.inner.append(append).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_race_catches_a_store_that_looks_before_it_appends() {
    for round in 0..50 {
        let key = format!("a{round}");
        let inner: Arc<dyn EventStore> = Arc::new(MemoryStore::new());
        let store = Arc::new(LooksFirst { inner: inner.clone(), ended: Mutex::default() });
        let (ending, of) = (store.clone(), stream(&key));
        let end = async move {
            let last = vec![NewEvent::new("ended", &()).expect("an event")];
            let append = Append::to(of.clone(), ExpectedVersion::Any, last);
            let version = inner.append(append).await.expect("ended").heads[0].version;
            ending.ended.lock().expect("whole").insert(of);
            version
        };
        let stores = (0..8).map(|_| store.clone() as Arc<dyn EventStore>).collect();
        if !race_for_the_end(&key, stores, end).await.is_empty() {
            return;
        }
    }
    panic!("the race caught nothing");
}

/// Set for the victim: where its log and its archive are.
const VICTIM_DIRECTORY: &str = "HIGHWATER_RETENTION_VICTIM";
const EVENTS: u64 = 3_000;

/// Archives and truncates to the last event but one, saying at every step that it goes on.
async fn archive_and_truncate(directory: &Path, mut tell: impl FnMut() + Send) {
    let store = SqliteStore::open(directory.join("log.db")).await.expect("a log");
    let archive = Archive::in_directory(directory.join("archive")).with_span(200);
    let to = GlobalPosition::new(EVENTS - 1);
    let mut step = |_: RetentionProgress| tell();
    let verified = match store.removed_to().await.expect("a mark") {
        GlobalPosition::START => {
            archive.write(&*store, scope(EVENTS - 1), &mut step).await.expect("an archive")
        }
        _ => verified(&archive).await,
    };
    let truncation = Truncation::archived(&*store, &verified).with_step(50);
    truncation.of_log_to(to, &mut step).await.expect("a truncation");
}

async fn verified(archive: &Archive) -> VerifiedArchive {
    archive.verify(scope(EVENTS - 1)).await.expect("an archive that is whole")
}

/// Not a test: what the victim does, until it is killed.
#[test]
fn victim() {
    let Ok(directory) = std::env::var(VICTIM_DIRECTORY) else {
        return;
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let say = || {
        let mut output = std::io::stdout().lock();
        writeln!(output, "step").expect("a reader");
    };
    runtime.block_on(archive_and_truncate(directory.as_ref(), say));
    println!("ended");
}

fn start_victim(directory: &Path) -> Child {
    Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "victim", "--nocapture"])
        .env(VICTIM_DIRECTORY, directory)
        .stdout(Stdio::piped())
        .spawn()
        .expect("a victim")
}

#[test]
fn a_process_killed_while_it_archives_and_truncates_loses_nothing() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let directory = tempfile::tempdir().expect("a directory");
    fs::create_dir(directory.path().join("archive")).expect("a directory");
    let original = runtime.block_on(async {
        let store = SqliteStore::open(directory.path().join("log.db")).await.expect("a log");
        for _ in 0..EVENTS / 100 {
            append(&*store, 100).await;
        }
        all_events(&*store, GlobalPosition::START).await
    });
    let mut kills = 0;
    loop {
        let mut victim = start_victim(directory.path());
        let output = victim.stdout.take().expect("the victim's output");
        let mut lines = BufReader::new(output).lines().map_while(Result::ok);
        let wanted = 3 + kills * 4;
        let has_ended = lines
            .by_ref()
            .filter(|line| line.contains("step") || line.contains("ended"))
            .take(wanted)
            .any(|line| line.contains("ended"));
        victim.kill().expect("killed");
        victim.wait().expect("dead");
        runtime.block_on(check(directory.path(), &original));
        if has_ended {
            break;
        }
        kills += 1;
    }
    assert!(kills >= 4, "it was killed {kills} times only");
}

/// Every event is in the log, or in the archive, as it was.
async fn check(directory: &Path, original: &[RecordedEvent]) {
    let store = SqliteStore::open(directory.join("log.db")).await.expect("a log");
    let removed_to = store.removed_to().await.expect("a mark");
    let left = all_events(&*store, removed_to).await;
    let mut found = Vec::new();
    if removed_to > GlobalPosition::START {
        let archive = Archive::in_directory(directory.join("archive"));
        verified(&archive).await;
        found.extend(archive.events(scope(removed_to.get())).map(|event| event.expect("whole")));
    }
    found.extend(left);
    assert_eq!(found, original);
    let head = store.stream_retention(&stream("a")).await.expect("a stream").head;
    assert_eq!(head, StreamVersion::new(EVENTS));
}

async fn all_events(store: &dyn EventStore, after: GlobalPosition) -> Vec<RecordedEvent> {
    let page = store.read_all(&Selection::All, after, usize::MAX).await.expect("a page");
    page.events
}

/// `gzip` reads what we write: the archive outlives this program.
#[tokio::test]
async fn an_archive_is_plain_gzip_and_json_lines() {
    let (_directory, _archive, path) = archive().await;
    let mut magic = [0; 2];
    fs::File::open(&path).expect("the file").read_exact(&mut magic).expect("two bytes");
    assert_eq!(magic, [0x1f, 0x8b]);
    for line in lines(&path) {
        serde_json::from_str::<serde_json::Value>(&line).expect("JSON");
    }
}
