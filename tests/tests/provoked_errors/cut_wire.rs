//! The wire is cut, or the server killed, while an append is on its way: nobody is told a lie, and
//! a repetition is recognised.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use highwater::postgres::{PostgresOptions, PostgresStore};
use highwater::{
    Append, AppendError, Appended, EventId, EventStore, ExpectedVersion, NewEvent, Selection,
    StreamId,
};
use highwater_tests::conformance::log::given::everything;
use highwater_tests::conformance::log::oracle::{
    Attempt, check_answers, check_attempts, check_versions,
};
use highwater_tests::cut_proxy::{Afterwards, Cut, CutProxy};
use highwater_tests::services::{self, Database, OwnPostgres, OwnService};

fn append(marker: &str) -> Append {
    let stream = StreamId::new("test", "a").expect("a name");
    let event = NewEvent::new("sent", &marker).expect("a text is JSON");
    Append::to(stream, ExpectedVersion::Any, vec![event])
}

async fn wired() -> (Database, CutProxy, Arc<PostgresStore>) {
    let database = services::postgres().await.fresh_database().await;
    let proxy = CutProxy::to(database.url()).await;
    let options = PostgresOptions::new().with_connect_patience(Duration::from_secs(10));
    let url = proxy.url(database.url());
    let store = PostgresStore::connect_with(&url, options).await.expect("a log");
    (database, proxy, store)
}

#[tokio::test]
async fn an_append_that_is_cut_off_for_a_moment_is_settled_before_its_caller_hears_of_it() {
    for (cut, was_repeated) in [(Cut::BeforeServer, false), (Cut::BehindCommit, true)] {
        let (_database, proxy, store) = wired().await;
        proxy.cut_when_sent("the cut one", cut, Afterwards::Reachable);
        let appended = store.append(append("the cut one")).await.expect("settled");
        assert_eq!((proxy.cuts(), appended.was_repeated), (1, was_repeated), "{cut:?}");
        assert_eq!(everything(&*store, &Selection::All).await.len(), 1, "{cut:?}");
    }
}

#[tokio::test]
async fn an_answer_that_is_lost_for_good_is_an_unknown_outcome_and_a_repetition_settles_it() {
    let lost = |cut: Cut, is_there: bool| async move {
        let (_database, proxy, store) = wired().await;
        proxy.cut_when_sent("the cut one", cut, Afterwards::Away);
        let append = append("the cut one");
        let error = store.append(append.clone()).await.expect_err("nobody answers");
        assert!(matches!(error, AppendError::OutcomeUnknown { .. }), "{cut:?}: {error:?}");
        assert!(error.is_retryable());
        proxy.mend();
        let appended = store.append(append).await.expect("settled");
        assert_eq!(appended.was_repeated, is_there, "{cut:?}");
        assert_eq!(everything(&*store, &Selection::All).await.len(), 1, "{cut:?}");
    };
    tokio::join!(lost(Cut::BeforeServer, false), lost(Cut::BehindCommit, true));
}

/// A server that can't be reached at all hasn't heard of an append: that is no doubt.
#[tokio::test]
async fn an_append_that_was_never_sent_is_unavailable_and_no_unknown_outcome() {
    let (_database, proxy, store) = wired().await;
    proxy.cut_when_sent("the cut one", Cut::BeforeServer, Afterwards::Away);
    // It takes the wire down for everybody.
    let cut = tokio::spawn({
        let store = store.clone();
        async move { store.append(append("the cut one")).await }
    });
    proxy.is_cut().await;
    let other = StreamId::new("test", "other").expect("a name");
    let event = NewEvent::new("sent", &1).expect("a number is JSON");
    let never_sent = Append::to(other, ExpectedVersion::Any, vec![event]);
    let error = store.append(never_sent).await.expect_err("nobody answers");
    assert!(matches!(error, AppendError::Unavailable { .. }), "{error:?}");
    proxy.mend();
    let _ = cut.await.expect("no panic");
}

/// Appends to one stream until it is told to stop; each append again and again until it is known.
async fn write(store: Arc<PostgresStore>, index: usize, is_over: Arc<AtomicBool>) -> Vec<Attempt> {
    let own = StreamId::new("own", index).expect("a name");
    let shared = StreamId::new("shared", index % 3).expect("a name");
    let mut attempts = Vec::new();
    while !is_over.load(Ordering::SeqCst) {
        let event = || NewEvent::new("sent", &index).expect("a number is JSON");
        let append = Append::to(own.clone(), ExpectedVersion::Any, vec![event(), event()]);
        let append = append.and_to(shared.clone(), ExpectedVersion::Any, vec![event()]);
        let ids: Vec<EventId> = append.events().map(|event| event.id).collect();
        let acknowledged = Some(until_known(&*store, append).await);
        attempts.push(Attempt { ids, decision: None, acknowledged });
    }
    attempts
}

async fn until_known(store: &dyn EventStore, append: Append) -> Appended {
    loop {
        match store.append(append.clone()).await {
            Ok(appended) => return appended,
            // The server is down: a pace, not a synchronisation.
            Err(error) if error.is_retryable() => {
                tokio::time::sleep(Duration::from_millis(20)).await
            }
            Err(error) => panic!("{error:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_with_appends_in_flight_loses_and_doubles_nothing() {
    let server = OwnPostgres::start().await.expect("an own PostgreSQL starts");
    let database = server.fresh_database().await;
    let store = PostgresStore::connect(database.url()).await.expect("a log");
    let is_over = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> =
        (0..16).map(|index| tokio::spawn(write(store.clone(), index, is_over.clone()))).collect();
    for round in 1..=3 {
        grows_beyond(&store, round * 200).await;
        server.kill().await.expect("killed");
        server.start_again().await.expect("started again");
    }
    is_over.store(true, Ordering::SeqCst);
    let mut attempts = Vec::new();
    for writer in writers {
        attempts.extend(writer.await.expect("no writer panics"));
    }
    let log = everything(&*store, &Selection::All).await;
    check_versions(&log).expect("versions");
    check_attempts(&log, &attempts).expect("attempts");
    check_answers(&log, &attempts).expect("answers");
    assert_eq!(log.len(), attempts.len() * 3, "an event is there that nobody appended");
}

/// Waits until the log has this many events, whatever the server is doing.
async fn grows_beyond(store: &PostgresStore, events: u64) {
    let mut own = store.signal();
    loop {
        if store.high_water_mark().await.is_ok_and(|mark| mark.get() > events) {
            return;
        }
        own.wait().await;
    }
}
