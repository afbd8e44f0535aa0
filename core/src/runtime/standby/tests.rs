//! Whose turn it is, with a leader that a test moves by hand and a clock that is stopped.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::*;
use crate::{
    Append, CheckpointError, CheckpointStore, EventStore, ExpectedVersion, GlobalPosition,
    MemoryStore, NewEvent, Payload, StreamId,
};

const TAKEOVER_AFTER: Duration = Duration::from_secs(2);

/// A log with a component's place, and this process's part in who holds it.
struct Case {
    store: Arc<MemoryStore>,
    context: ComponentContext,
    standby: Standby,
}

impl Case {
    fn new() -> Self {
        let store = Arc::new(MemoryStore::new());
        let context = ComponentContext::new(store.clone(), CancellationToken::new());
        Self { store, context, standby: Standby::new().with_takeover_after(TAKEOVER_AFTER) }
    }

    async fn append(&self) -> GlobalPosition {
        let event = NewEvent::new("tested", &()).unwrap();
        let stream = StreamId::new("tested", "a").unwrap();
        let append = Append::to(stream, ExpectedVersion::Any, vec![event]);
        self.store.append(append).await.unwrap().position
    }

    async fn claim(&self) -> crate::Claim {
        let claim = self.store.claim("tested").await.unwrap();
        self.standby.claimed(claim.epoch);
        claim
    }

    async fn turn(&self) -> bool {
        let look = || async { Ok(self.store.standing("tested").await?.unwrap_or_default()) };
        self.standby.turn::<_, _, Trouble>(&self.context, "tested", look).await.unwrap()
    }

    /// How long this process stands by, at most a minute; `None`: longer.
    async fn stands_by(&self) -> Option<Duration> {
        let began = Instant::now();
        let turn = tokio::time::timeout(Duration::from_secs(60), self.turn()).await;
        turn.ok().map(|_| began.elapsed())
    }
}

#[derive(Debug)]
#[expect(dead_code, reason = "shown when a test fails")]
enum Trouble {
    Log(ReadError),
    Checkpoint(CheckpointError),
}

impl From<ReadError> for Trouble {
    fn from(error: ReadError) -> Self {
        Self::Log(error)
    }
}

impl From<CheckpointError> for Trouble {
    fn from(error: CheckpointError) -> Self {
        Self::Checkpoint(error)
    }
}

#[tokio::test(start_paused = true)]
async fn who_never_claimed_or_claimed_last_has_its_turn_at_once() {
    let case = Case::new();
    case.store.claim("tested").await.unwrap();
    assert_eq!(case.stands_by().await, Some(Duration::ZERO));
    case.claim().await;
    case.append().await;
    assert_eq!(case.stands_by().await, Some(Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn a_leader_at_the_end_of_the_log_is_never_taken_over_from() {
    let case = Case::new();
    case.claim().await;
    let leader = case.store.claim("tested").await.unwrap();
    let head = case.append().await;
    case.store.advance(&leader, head, None).await.unwrap();
    assert_eq!(case.stands_by().await, None);
    assert_eq!(case.context.progress.position("tested"), Some(head), "it can be waited for");
}

#[tokio::test(start_paused = true)]
async fn a_leader_at_the_end_of_the_log_that_keeps_state_has_to_say_that_it_lives() {
    let case = Case::new();
    case.claim().await;
    let leader = case.store.claim("tested").await.unwrap();
    let head = case.append().await;
    let advance = async |state: Option<&str>| {
        let state = Payload::from_value(&state).unwrap();
        case.store.advance(&leader, head, Some(&state)).await.unwrap();
    };
    advance(Some("open")).await;
    assert!(case.stands_by().await >= Some(TAKEOVER_AFTER));
    advance(None).await;
    assert_eq!(case.stands_by().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_leader_behind_the_log_is_followed_as_long_as_it_says_that_it_lives() {
    let case = Case::new();
    case.claim().await;
    let leader = case.store.claim("tested").await.unwrap();
    case.append().await;
    let lives = async {
        loop {
            tokio::time::sleep(case.standby.beat()).await;
            case.store.advance(&leader, GlobalPosition::START, None).await.unwrap();
        }
    };
    tokio::select! {
        stood_by = case.stands_by() => assert_eq!(stood_by, None),
        () = lives => {}
    }
    let stood_by = case.stands_by().await.expect("it is silent now");
    assert!(stood_by >= TAKEOVER_AFTER && stood_by < 2 * TAKEOVER_AFTER, "{stood_by:?}");
}

#[tokio::test(start_paused = true)]
async fn a_failed_process_leaves_the_work_to_who_took_it_over_when_it_is_started_again() {
    let case = Case::new();
    case.claim().await;
    case.store.claim("tested").await.unwrap();
    case.append().await;
    assert!(case.stands_by().await >= Some(TAKEOVER_AFTER));
}

#[tokio::test(start_paused = true)]
async fn shutdown_ends_the_wait_without_a_turn() {
    let case = Case::new();
    case.claim().await;
    case.store.claim("tested").await.unwrap();
    let (turn, ()) = tokio::join!(case.turn(), async { case.context.shutdown.cancel() });
    assert!(!turn);
}
