//! Archives: what was written comes back, also after an interruption.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::SystemTime;

use highwater::retention::{Archive, ArchiveError, ArchiveScope, ArchivedLog, Truncation};
use highwater::{
    Append, EventStore, ExpectedVersion, MemoryStore, Metadata, NewEvent, Payload, Selection,
    StreamVersion,
};
use tempfile::TempDir;

use super::RetentionFactory;
use crate::conformance::log::given::{
    appended, event, events, everything, position, query_tagged, stream, tag, tagged, to_any,
    whole_stream,
};

fn version(number: u64) -> StreamVersion {
    StreamVersion::new(number)
}

/// Events of all sorts: tags, metadata, data that spans lines.
fn sundry() -> Vec<NewEvent> {
    let mut spread = event("spread");
    spread.data = Payload::from_json("{\n  \"a\": 1.50\n}".to_owned()).unwrap();
    spread.metadata = Metadata::default().with_actor("somebody").with_header("a", "\"b\"\n");
    let nothing = NewEvent::new("nothing", &()).unwrap();
    vec![spread, nothing, event("happened").with_tag(tag("about:\"a\" 🦀"))]
}

/// Every field of every event, of the log and of a stream.
pub async fn what_was_archived_comes_back_as_it_was_recorded(log: &impl RetentionFactory) {
    let store = log.open().await;
    for key in ["a", "b", "../'🦀'"] {
        appended(&*store, to_any(&stream(key), sundry())).await;
    }
    let directory = tempfile::tempdir().unwrap();
    let archive = Archive::in_directory(directory.path()).with_span(4);
    let mark = store.high_water_mark().await.unwrap();
    let of_log = ArchiveScope::of_log(position(0), mark);
    let verified = archive.write(&*store, of_log.clone(), &mut |_| {}).await.unwrap();
    assert_eq!(verified.events(), 9);
    let back: Vec<_> = archive.events(of_log).map(Result::unwrap).collect();
    assert_eq!(back, everything(&*store, &Selection::All).await);

    let odd = stream("../'🦀'");
    let of_stream = ArchiveScope::of_stream(odd.clone(), version(0), version(3));
    archive.write(&*store, of_stream.clone(), &mut |_| {}).await.unwrap();
    let back: Vec<_> = archive.events(of_stream).map(Result::unwrap).collect();
    assert_eq!(back, whole_stream(&*store, &odd).await);
}

fn written(directory: &Path) -> BTreeMap<String, SystemTime> {
    let files = std::fs::read_dir(directory).unwrap().map(Result::unwrap);
    files
        .map(|file| {
            let name = file.file_name().into_string().unwrap();
            (name, file.metadata().unwrap().modified().unwrap())
        })
        .collect()
}

/// Whole files stay as they are; only what has come since is written.
pub async fn archiving_again_writes_nothing_anew(log: &impl RetentionFactory) {
    let store = log.open().await;
    appended(&*store, to_any(&stream("a"), events(10))).await;
    let directory = tempfile::tempdir().unwrap();
    let archive = Archive::in_directory(directory.path()).with_span(4);
    let scope = |to| ArchiveScope::of_log(position(0), position(to));
    archive.write(&*store, scope(8), &mut |_| {}).await.unwrap();
    let first = written(directory.path());
    assert_eq!(first.len(), 2);
    archive.write(&*store, scope(8), &mut |_| {}).await.unwrap();
    assert_eq!(written(directory.path()), first);
    let mut reached = Vec::new();
    let mut tell = |progress: highwater::retention::RetentionProgress| reached.push(progress.done);
    let verified = archive.write(&*store, scope(10), &mut tell).await.unwrap();
    assert_eq!((verified.events(), reached.last()), (10, Some(&10)));
    let second = written(directory.path());
    assert!(first.iter().all(|(name, at)| second[name] == *at) && second.len() == 3);
}

/// The archive, in files of 4, of what was lost when a log was restored from a backup: the first 4
/// of its 8 events are in `store`, too, and 8 others behind them.
pub(super) async fn of_what_was_lost(store: &dyn EventStore) -> (TempDir, Archive) {
    let before = MemoryStore::new();
    let common = events(4);
    for log in [&before as &dyn EventStore, store] {
        appended(log, to_any(&stream("a"), common.clone())).await;
    }
    appended(&before, to_any(&stream("a"), events(4))).await;
    appended(store, to_any(&stream("a"), events(8))).await;
    let directory = tempfile::tempdir().unwrap();
    let archive = Archive::in_directory(directory.path()).with_span(4);
    let scope = ArchiveScope::of_log(position(0), position(8));
    archive.write(&before, scope, &mut |_| {}).await.unwrap();
    (directory, archive)
}

/// A restored log gives positions again. The old file stays as it is: it may be all that is left.
pub async fn a_file_of_another_history_is_neither_passed_over_nor_overwritten(
    log: &impl RetentionFactory,
) {
    let store = log.open().await;
    let (directory, archive) = of_what_was_lost(&*store).await;
    let lost = written(directory.path());
    let scope = ArchiveScope::of_log(position(0), position(10));
    let error = archive.write(&*store, scope.clone(), &mut |_| {}).await.unwrap_err();
    let ArchiveError::ForeignFile { path } = &error else { panic!("{error:?}") };
    assert!(!error.is_retryable());
    assert_eq!(written(directory.path()), lost);
    std::fs::rename(path, directory.path().join("put aside")).unwrap();
    archive.write(&*store, scope.clone(), &mut |_| {}).await.unwrap();
    let back: Vec<_> = archive.events(scope).map(|event| event.unwrap().id).collect();
    let all = everything(&*store, &Selection::All).await;
    assert_eq!(back, all[..10].iter().map(|event| event.id).collect::<Vec<_>>());
}

/// What is gone can't be held against the log, and can't be archived again either.
pub async fn files_whose_events_were_removed_still_count(log: &impl RetentionFactory) {
    let store = log.open().await;
    appended(&*store, to_any(&stream("a"), events(9))).await;
    appended(&*store, to_any(&stream("b"), events(3))).await;
    let directory = tempfile::tempdir().unwrap();
    let archive = Archive::in_directory(directory.path()).with_span(3);
    let scope = |to| ArchiveScope::of_log(position(0), position(to));
    let of_stream = ArchiveScope::of_stream(stream("a"), version(0), version(8));
    archive.write(&*store, of_stream.clone(), &mut |_| {}).await.unwrap();
    let mut gone = 0;
    for to in [4, 8, 12] {
        let verified = archive.write(&*store, scope(to), &mut |_| {}).await.unwrap();
        assert_eq!(verified.events(), to);
        let truncation = Truncation::archived(&*store, &verified);
        gone += truncation.of_log_to(position(to - 1), &mut |_| {}).await.unwrap();
    }
    assert_eq!(gone, 11);
    archive.write(&*store, scope(12), &mut |_| {}).await.unwrap();
    archive.write(&*store, of_stream, &mut |_| {}).await.unwrap();
}

/// Dropped at any of its waits, it leaves whole files and nothing that is taken for one.
pub async fn an_archive_that_was_stopped_is_ended_by_the_next(log: &impl RetentionFactory) {
    let store = log.open().await;
    appended(&*store, to_any(&stream("a"), events(10))).await;
    let directory = tempfile::tempdir().unwrap();
    let archive = Archive::in_directory(directory.path()).with_span(3);
    let scope = ArchiveScope::of_log(position(0), position(10));
    let mut was_stopped = false;
    for polls in 1..200 {
        let mut tell = |_: highwater::retention::RetentionProgress| {};
        let mut writing = Box::pin(archive.write(&*store, scope.clone(), &mut tell));
        let mut polled = 0;
        let stopping = std::future::poll_fn(|context| {
            polled += 1;
            match writing.as_mut().poll(context) {
                std::task::Poll::Ready(done) => std::task::Poll::Ready(Some(done)),
                std::task::Poll::Pending if polled >= polls => std::task::Poll::Ready(None),
                std::task::Poll::Pending => std::task::Poll::Pending,
            }
        });
        match stopping.await {
            None => was_stopped = true,
            Some(done) => {
                assert_eq!(done.unwrap().events(), 10);
                assert!(was_stopped);
                return;
            }
        }
    }
    panic!("it never came to its end");
}

/// Versions and ids are the old ones, so a second time finds everything there.
pub async fn a_restored_stream_has_its_versions_and_is_restored_once(log: &impl RetentionFactory) {
    let source = MemoryStore::new();
    appended(&source, to_any(&stream("a"), sundry())).await;
    appended(&source, to_any(&stream("b"), events(2))).await;
    let directory = tempfile::tempdir().unwrap();
    let archive = Archive::in_directory(directory.path());
    let scope = ArchiveScope::of_log(position(0), position(5));
    archive.write(&source, scope.clone(), &mut |_| {}).await.unwrap();

    let store = log.open().await;
    let restored = archive.restore(scope.clone(), &*store, &mut |_| {}).await.unwrap();
    assert_eq!((restored.appended, restored.repeated), (5, 0));
    let again = archive.restore(scope, &*store, &mut |_| {}).await.unwrap();
    assert_eq!((again.appended, again.repeated), (0, 5));
    for key in ["a", "b"] {
        let (old, new) =
            (whole_stream(&source, &stream(key)).await, whole_stream(&*store, &stream(key)).await);
        assert_eq!(old.len(), new.len());
        for (old, new) in old.iter().zip(&new) {
            assert_eq!((old.id, old.version), (new.id, new.version));
            assert_eq!(
                (&old.data, &old.tags, &old.metadata),
                (&new.data, &new.tags, &new.metadata)
            );
        }
    }
    let append = Append::to(stream("b"), ExpectedVersion::Exact(version(2)), events(1));
    appended(&*store, append).await;
}

/// A projection that is built anew sees what was removed, at its old positions, and what came since.
pub async fn a_reader_of_the_whole_history_goes_from_the_archive_into_the_log(
    log: &impl RetentionFactory,
) {
    let store = log.open().await;
    for number in 0..20 {
        let about = if number % 3 == 0 { "about:a" } else { "about:b" };
        appended(&*store, to_any(&stream("a"), vec![tagged("happened", &[about])])).await;
    }
    let about_a = Selection::Query(query_tagged(&["about:a"]));
    let (all, of_a) =
        (everything(&*store, &Selection::All).await, everything(&*store, &about_a).await);
    let archived_to = all[12].position;
    let directory = tempfile::tempdir().unwrap();
    let archive = Archive::in_directory(directory.path()).with_span(5);
    let scope = ArchiveScope::of_log(position(0), archived_to);
    let verified = archive.write(&*store, scope, &mut |_| {}).await.unwrap();
    let truncation = Truncation::archived(&*store, &verified);
    assert_eq!(truncation.of_log_to(archived_to, &mut |_| {}).await.unwrap(), 13);

    let below: std::sync::Arc<dyn EventStore> = store.clone();
    let whole = ArchivedLog::new(below, archive, &verified).unwrap();
    for (selection, expected) in [(Selection::All, all), (about_a, of_a)] {
        let mut read = Vec::new();
        let mut after = position(0);
        loop {
            let page = whole.read_all(&selection, after, 4).await.unwrap();
            after = page.read_to;
            read.extend(page.events);
            if page.is_last {
                break;
            }
        }
        assert_eq!(read, expected);
    }
}
