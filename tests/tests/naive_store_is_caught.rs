//! A store without the mechanism doesn't pass: the conformance suite's checks can fail.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use highwater::{
    Append, AppendCondition, AppendError, Appended, EventId, EventStore, GlobalPosition,
    MemoryStore, Selection, StoreLayer,
};
use highwater_tests::conformance::log::LogFactory;
use highwater_tests::conformance::log::given::{everything, query_tagged, stream, tagged, to_any};
use highwater_tests::conformance::log::oracle::{
    Attempt, Decision, Tail, Violation, check_conditions,
};
use highwater_tests::conformance::log::race::{RacePlan, race};
use highwater_tests::conformance::log::repetition::an_event_id_is_called_taken_only_of_what_is_committed;
use highwater_tests::naive_store::NaiveStore;
use highwater_tests::services::{self, Database};

/// How often the race may be run before it must have caught the store. One is nearly always enough.
const ROUNDS: usize = 10;

struct NaiveLog {
    database: Database,
}

impl NaiveLog {
    async fn fresh() -> Self {
        Self { database: services::postgres().await.fresh_database().await }
    }
}

#[async_trait]
impl LogFactory for NaiveLog {
    async fn open(&self) -> Arc<dyn EventStore> {
        Arc::new(NaiveStore::connect(self.database.url()).await)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_race_reports_events_that_readers_of_a_naive_store_missed() {
    let plan = RacePlan { appenders: 24, appends_each: 12 };
    for _ in 0..ROUNDS {
        match race(&NaiveLog::fresh().await, plan).await {
            Err(Violation::Missed { .. }) => return,
            other => println!("not caught by this round: {other:?}"),
        }
    }
    panic!("the race found nothing in {ROUNDS} rounds: it doesn't check what it should");
}

/// A draws 1 and stays uncommitted, B commits 2, a reader reads, A commits.
#[tokio::test]
async fn an_event_committed_behind_a_reader_is_reported() {
    let log = NaiveLog::fresh().await;
    let store = NaiveStore::connect(log.database.url()).await;
    let a = to_any(&stream("a"), vec![tagged("late", &[])]);
    let b = to_any(&stream("b"), vec![tagged("early", &[])]);
    let in_flight = store.begin(&a).await.expect("A draws its position");
    store.append(b).await.expect("B commits");
    let mut tail = Tail::new("tail", Selection::All);
    let page = store.read_all(&Selection::All, GlobalPosition::START, 10).await.expect("a page");
    tail.take(&page).expect("a page in order");
    let late = store.commit(in_flight).await.expect("A commits");
    let missed = Violation::Missed { reader: "tail".to_owned(), position: late.position };
    assert_eq!(tail.check(&everything(&store, &Selection::All).await), Err(missed));
}

/// A draws 1 and stays uncommitted, B commits 2, somebody decides with what is read up to 2, A
/// commits: the conditional append must not pass, and here it does.
#[tokio::test]
async fn a_condition_that_passes_an_event_it_never_saw_is_reported() {
    let log = NaiveLog::fresh().await;
    let store = NaiveStore::connect(log.database.url()).await;
    let a = to_any(&stream("a"), vec![tagged("late", &["seat:1"])]);
    let in_flight = store.begin(&a).await.expect("A draws its position");
    let b = to_any(&stream("b"), vec![tagged("early", &[])]);
    store.append(b).await.expect("B commits");
    let mut tail = Tail::new("that decides", Selection::Query(query_tagged(&["seat:1"])));
    let page = store.read_all(&tail.selection, GlobalPosition::START, 10).await.expect("a page");
    tail.take(&page).expect("a page in order");
    let late = store.commit(in_flight).await.expect("A commits");
    let condition = AppendCondition::new(query_tagged(&["seat:1"]), tail.read_to);
    let append = to_any(&stream("c"), vec![tagged("decided", &["seat:1"])])
        .with_condition(condition.clone());
    let ids = append.events().map(|event| event.id).collect();
    let acknowledged = Some(store.append(append).await.expect("it passes, which is the fault"));
    let decision = Some(Decision { condition, seen: tail.seen });
    let attempt = Attempt { ids, decision, acknowledged };
    let passed = check_conditions(&everything(&store, &Selection::All).await, &[attempt]);
    let expected = Violation::ConditionPassed { after: tail.read_to, position: late.position };
    assert_eq!(passed, Err(expected));
}

/// Calls an id taken as soon as somebody has brought it, whatever becomes of them.
#[derive(Default)]
struct Gossip {
    inner: Arc<MemoryStore>,
    heard_of: Mutex<HashSet<EventId>>,
}

#[async_trait]
impl StoreLayer for Gossip {
    fn inner(&self) -> &dyn EventStore {
        &*self.inner
    }

    async fn append(&self, append: Append) -> Result<Appended, AppendError> {
        let heard_of = |id| !self.heard_of.lock().expect("nobody panics in here").insert(id);
        if let Some(known) = append.events().find(|event| heard_of(event.id)) {
            return Err(AppendError::EventIdTaken { id: known.id });
        }
        // As far away as a server would be: others get in between.
        tokio::task::yield_now().await;
        self.inner.append(append).await
    }
}

struct GossipLog(Arc<Gossip>);

#[async_trait]
impl LogFactory for GossipLog {
    async fn open(&self) -> Arc<dyn EventStore> {
        self.0.clone()
    }
}

#[tokio::test]
async fn a_store_that_calls_an_id_taken_before_it_is_committed_is_caught() {
    let checking = tokio::spawn(async {
        an_event_id_is_called_taken_only_of_what_is_committed(&GossipLog(Arc::default())).await;
    });
    assert!(checking.await.is_err_and(|error| error.is_panic()), "it passed");
}
