//! The pipeline in front of a writer whose every step the test decides.

mod conditional;
mod crowd;
mod looking;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::*;
use crate::{
    AppendCondition, ExpectedVersion, GlobalPosition, NewEvent, Query, StreamHead, StreamId,
    StreamVersion,
};

type Written = Result<Vec<Result<Appended, AppendError>>, BatchError>;

/// A batch that the pipeline handed to the writer and that waits for the test's answer.
struct Handed {
    batch: Vec<Append>,
    answer: oneshot::Sender<Written>,
}

impl Handed {
    fn streams(&self) -> Vec<String> {
        self.batch.iter().map(|append| append.streams()[0].stream.key().to_owned()).collect()
    }

    fn commit(self) {
        let outcomes = self.batch.iter().map(|append| Ok(appended(append, 1))).collect();
        self.answer(Ok(outcomes));
    }

    /// The same with the last of its appends at `position`, and those before it in front.
    fn commit_up_to(self, position: u64) {
        let first = position + 1 - self.batch.len() as u64;
        let outcomes = self.batch.iter().zip(first..).map(|(append, at)| Ok(appended(append, at)));
        let outcomes = outcomes.collect();
        self.answer(Ok(outcomes));
    }

    fn answer(self, written: Written) {
        assert!(self.answer.send(written).is_ok(), "the writer was dropped in mid-flight");
    }
}

/// Hands every batch to the test; an answer that is dropped makes the writer panic.
struct Scripted(mpsc::UnboundedSender<Handed>);

#[async_trait]
impl BatchWriter for Scripted {
    async fn write(&self, batch: &[Append]) -> Written {
        let (answer, answered) = oneshot::channel();
        let handed = Handed { batch: batch.to_vec(), answer };
        assert!(self.0.send(handed).is_ok(), "the test is over");
        answered.await.expect("the script says panic")
    }
}

struct Bench {
    pipeline: Arc<AppendPipeline>,
    writer: mpsc::UnboundedReceiver<Handed>,
    signal: AppendSignal,
}

impl Bench {
    fn start(limits: PipelineLimits) -> Self {
        let (sender, writer) = mpsc::unbounded_channel();
        let signal = AppendSignal::new();
        let mut limits = limits;
        limits.first_pause = std::time::Duration::ZERO;
        let pipeline = AppendPipeline::start(Scripted(sender), limits, signal.clone());
        Self { pipeline: Arc::new(pipeline), writer, signal }
    }

    fn one_at_a_time() -> Self {
        Self::start(PipelineLimits::new().with_batches_in_flight(1))
    }

    /// Appends from a task of its own, which has queued the append when this returns.
    async fn append(&self, append: Append) -> JoinHandle<Result<Appended, AppendError>> {
        let pipeline = self.pipeline.clone();
        let (started, has_started) = oneshot::channel();
        let caller = tokio::spawn(async move {
            let append = pipeline.append(append);
            tokio::pin!(append);
            // The first poll queues the append if there is room.
            let first = futures::poll!(&mut append);
            let _ = started.send(());
            match first {
                std::task::Poll::Ready(outcome) => outcome,
                std::task::Poll::Pending => append.await,
            }
        });
        has_started.await.expect("the caller was polled");
        caller
    }

    async fn handed(&mut self) -> Handed {
        self.writer.recv().await.expect("the pipeline holds the writer")
    }

    /// Lets every task run until it waits for the test.
    async fn settle_tasks(&self) {
        for _ in 0..32 {
            tokio::task::yield_now().await;
        }
    }

    async fn has_handed_nothing_more(&mut self) -> bool {
        self.settle_tasks().await;
        self.writer.try_recv().is_err()
    }
}

fn to(key: &str) -> Append {
    let event = NewEvent::new("tested", &key).expect("a text is JSON");
    Append::to(StreamId::new("test", key).expect("a valid key"), ExpectedVersion::Any, vec![event])
}

fn appended(append: &Append, position: u64) -> Appended {
    let heads = append.streams().iter().map(|part| StreamHead {
        stream: part.stream.clone(),
        version: StreamVersion::new(part.events.len() as u64),
    });
    Appended {
        position: GlobalPosition::new(position),
        recorded_at: jiff::Timestamp::UNIX_EPOCH,
        heads: heads.collect(),
        was_repeated: false,
    }
}

fn lost() -> BatchError {
    BatchError::OutcomeUnknown { source: "connection reset".into() }
}

#[tokio::test]
async fn what_arrives_while_a_batch_commits_gathers_in_the_next() {
    let mut bench = Bench::one_at_a_time();
    let mut callers = vec![bench.append(to("a")).await];
    let first = bench.handed().await;
    for key in ["b", "c", "d"] {
        callers.push(bench.append(to(key)).await);
    }
    first.commit();
    let second = bench.handed().await;
    assert_eq!(second.streams(), ["b", "c", "d"]);
    second.commit();
    for caller in callers {
        assert!(caller.await.expect("no panic").is_ok());
    }
}

#[tokio::test]
async fn a_batch_holds_one_append_per_stream_in_the_order_of_arrival() {
    let mut bench = Bench::one_at_a_time();
    let blocker = bench.append(to("x")).await;
    let first = bench.handed().await;
    let firsts = [to("a"), to("a"), to("b"), to("a")];
    let ids: Vec<_> = firsts.iter().map(|append| append.streams()[0].events[0].id).collect();
    let mut callers = vec![blocker];
    for append in firsts {
        callers.push(bench.append(append).await);
    }
    first.commit();
    let mut order = Vec::new();
    for streams in [vec!["a", "b"], vec!["a"], vec!["a"]] {
        let handed = bench.handed().await;
        assert_eq!(handed.streams(), streams);
        order.push(handed.batch[0].streams()[0].events[0].id);
        handed.commit();
    }
    assert_eq!(order, [ids[0], ids[1], ids[3]]);
    for caller in callers {
        assert!(caller.await.expect("no panic").is_ok());
    }
}

#[tokio::test]
async fn several_batches_are_in_flight_at_once_but_never_on_one_stream() {
    let mut bench = Bench::start(PipelineLimits::new().with_batches_in_flight(3));
    let _a = bench.append(to("a")).await;
    let in_a = bench.handed().await;
    let _again = bench.append(to("a")).await;
    let _b = bench.append(to("b")).await;
    let in_b = bench.handed().await;
    assert_eq!(in_b.streams(), ["b"]);
    assert!(bench.has_handed_nothing_more().await, "the second append to a waits for the first");
    in_a.commit();
    let again = bench.handed().await;
    assert_eq!(again.streams(), ["a"]);
    again.commit();
    in_b.commit();
}

#[tokio::test]
async fn an_append_to_several_streams_occupies_all_of_them() {
    let mut bench = Bench::start(PipelineLimits::new().with_batches_in_flight(4));
    let event = || NewEvent::new("tested", &()).expect("unit is JSON");
    let key = |key| StreamId::new("test", key).expect("a valid key");
    let _a = bench.append(to("a")).await;
    let in_a = bench.handed().await;
    let both = to("b").and_to(key("a"), ExpectedVersion::Any, vec![event()]);
    let _both = bench.append(both).await;
    let _b = bench.append(to("b")).await;
    assert!(bench.has_handed_nothing_more().await, "b belongs to the append that waits for a");
    in_a.commit();
    let in_both = bench.handed().await;
    assert_eq!(in_both.batch[0].streams().len(), 2);
    assert!(bench.has_handed_nothing_more().await);
    in_both.commit();
    let in_b = bench.handed().await;
    assert_eq!(in_b.streams(), ["b"]);
    in_b.commit();
}

#[tokio::test]
async fn every_caller_gets_its_own_outcome() {
    let mut bench = Bench::one_at_a_time();
    let _x = bench.append(to("x")).await;
    let first = bench.handed().await;
    let conflicting = bench.append(to("a")).await;
    let succeeding = bench.append(to("b")).await;
    first.commit();
    let handed = bench.handed().await;
    let outcomes = vec![Err(AppendError::ConditionFailed), Ok(appended(&handed.batch[1], 7))];
    handed.answer(Ok(outcomes));
    assert!(matches!(conflicting.await.expect("no panic"), Err(AppendError::ConditionFailed)));
    let position = succeeding.await.expect("no panic").expect("it succeeded").position;
    assert_eq!(position, GlobalPosition::new(7));
}

#[tokio::test]
async fn what_was_interfered_with_is_tried_alone() {
    let mut bench = Bench::one_at_a_time();
    let _x = bench.append(to("x")).await;
    let first = bench.handed().await;
    let callers = [bench.append(to("a")).await, bench.append(to("b")).await];
    first.commit();
    let handed = bench.handed().await;
    handed.answer(Err(BatchError::Interfered { source: "unique violation".into() }));
    for key in ["a", "b"] {
        let alone = bench.handed().await;
        assert_eq!(alone.streams(), [key]);
        alone.commit();
    }
    for caller in callers {
        assert!(caller.await.expect("no panic").is_ok());
    }
}

#[tokio::test]
async fn a_lost_commit_is_repeated_with_the_same_events() {
    let mut bench = Bench::one_at_a_time();
    let append = to("a");
    let id = append.streams()[0].events[0].id;
    let caller = bench.append(append).await;
    bench.handed().await.answer(Err(lost()));
    // While the store is away nobody can say that nothing was written.
    bench.handed().await.answer(Err(BatchError::Unavailable { source: "refused".into() }));
    let third = bench.handed().await;
    assert_eq!(third.batch[0].streams()[0].events[0].id, id);
    third.commit();
    assert!(caller.await.expect("no panic").is_ok());
}

#[tokio::test]
async fn a_store_that_stays_away_after_a_lost_commit_leaves_the_outcome_unknown() {
    let mut bench = Bench::one_at_a_time();
    let caller = bench.append(to("a")).await;
    bench.handed().await.answer(Err(lost()));
    let away = async {
        while let Some(handed) = bench.writer.recv().await {
            handed.answer(Err(BatchError::Unavailable { source: "refused".into() }));
        }
        panic!("the pipeline holds the writer")
    };
    let outcome = tokio::select! {
        outcome = caller => outcome.expect("no panic"),
        () = away => unreachable!("it ends with a panic"),
    };
    assert!(matches!(outcome, Err(AppendError::OutcomeUnknown { .. })));
}

#[tokio::test]
async fn an_unreachable_store_fails_the_batch_at_once_and_not_the_next() {
    let mut bench = Bench::one_at_a_time();
    let caller = bench.append(to("a")).await;
    bench.handed().await.answer(Err(BatchError::Unavailable { source: "refused".into() }));
    let outcome = caller.await.expect("no panic");
    assert!(matches!(outcome, Err(AppendError::Unavailable { .. })));
    let next = bench.append(to("a")).await;
    bench.handed().await.commit();
    assert!(next.await.expect("no panic").is_ok());
}

#[tokio::test]
async fn a_full_pipeline_makes_callers_wait_and_counts_bytes_too() {
    let bytes = limits::weight_bytes(&to("a")) * 2;
    for limits in
        [PipelineLimits::new().with_queue_appends(2), PipelineLimits::new().with_queue_bytes(bytes)]
    {
        let mut bench = Bench::start(limits.with_batches_in_flight(3));
        let (_a, _b) = (bench.append(to("a")).await, bench.append(to("b")).await);
        let (in_a, in_b) = (bench.handed().await, bench.handed().await);
        let c = bench.append(to("c")).await;
        assert!(bench.has_handed_nothing_more().await, "there is no room for a third");
        in_a.commit();
        bench.handed().await.commit();
        assert!(c.await.expect("no panic").is_ok());
        in_b.commit();
    }
}

#[tokio::test]
async fn an_append_larger_than_any_bound_still_passes() {
    let limits = PipelineLimits::new().with_queue_bytes(1).with_batch_bytes(1);
    let mut bench = Bench::start(limits);
    let caller = bench.append(to("a")).await;
    bench.handed().await.commit();
    assert!(caller.await.expect("no panic").is_ok());
}

#[tokio::test]
async fn a_batch_is_bounded_by_its_events_and_by_its_bytes() {
    let bytes = limits::weight_bytes(&to("a")) * 2;
    for limits in
        [PipelineLimits::new().with_batch_events(2), PipelineLimits::new().with_batch_bytes(bytes)]
    {
        let mut bench = Bench::start(limits.with_batches_in_flight(1));
        let _x = bench.append(to("x")).await;
        let first = bench.handed().await;
        for key in ["a", "b", "c"] {
            drop(bench.append(to(key)).await);
        }
        first.commit();
        for streams in [vec!["a", "b"], vec!["c"]] {
            let handed = bench.handed().await;
            assert_eq!(handed.streams(), streams);
            handed.commit();
        }
    }
}

#[tokio::test]
async fn a_dropped_caller_gives_its_room_and_its_stream_back() {
    let limits = PipelineLimits::new().with_batches_in_flight(1).with_queue_appends(2);
    let mut bench = Bench::start(limits);
    let _x = bench.append(to("x")).await;
    let first = bench.handed().await;
    let gone = bench.append(to("a")).await;
    gone.abort();
    assert!(gone.await.expect_err("aborted").is_cancelled());
    let waiting = bench.append(to("a")).await;
    first.commit();
    // The append whose caller is gone was left out; its stream and its room went to the next.
    let handed = bench.handed().await;
    assert_eq!(handed.streams(), ["a"]);
    handed.commit();
    assert!(waiting.await.expect("no panic").is_ok());
    assert!(bench.has_handed_nothing_more().await);
}

#[tokio::test]
async fn a_panicking_writer_fails_its_callers_and_the_pipeline_goes_on() {
    let mut bench = Bench::one_at_a_time();
    let caller = bench.append(to("a")).await;
    drop(bench.handed().await);
    let outcome = caller.await.expect("the panic is contained");
    assert!(matches!(outcome, Err(AppendError::OutcomeUnknown { .. })));
    let next = bench.append(to("a")).await;
    bench.handed().await.commit();
    assert!(next.await.expect("no panic").is_ok());
}

#[tokio::test]
async fn closing_drains_what_was_queued_and_refuses_the_rest() {
    let mut bench = Bench::one_at_a_time();
    let a = bench.append(to("a")).await;
    let in_a = bench.handed().await;
    let behind = bench.append(to("a")).await;
    let pipeline = bench.pipeline.clone();
    let closing = tokio::spawn(async move { pipeline.close().await });
    bench.settle_tasks().await;
    assert!(matches!(bench.pipeline.append(to("b")).await, Err(AppendError::Closed)));
    in_a.commit();
    assert!(!closing.is_finished());
    bench.handed().await.commit();
    closing.await.expect("no panic");
    assert!(a.await.expect("no panic").is_ok());
    assert!(behind.await.expect("no panic").is_ok());
}

#[tokio::test]
async fn a_committed_batch_signals_readers() {
    let mut bench = Bench::one_at_a_time();
    let mut signal = bench.signal.clone();
    let _a = bench.append(to("a")).await;
    bench.handed().await.commit();
    signal.wait().await;
}

#[tokio::test]
async fn an_invalid_append_never_reaches_the_queue() {
    let mut bench = Bench::one_at_a_time();
    let stream = StreamId::new("test", "a").expect("a valid key");
    let empty = Append::to(stream, ExpectedVersion::Any, vec![]);
    assert!(matches!(bench.pipeline.append(empty).await, Err(AppendError::Invalid(_))));
    assert!(bench.has_handed_nothing_more().await);
}

/// A writer that commits at once and checks what the pipeline promised to writers.
#[derive(Default)]
struct Checking {
    in_flight: Mutex<std::collections::HashSet<StreamId>>,
    batches: AtomicUsize,
}

#[async_trait]
impl BatchWriter for Arc<Checking> {
    async fn write(&self, batch: &[Append]) -> Written {
        let streams = || batch.iter().flat_map(Append::streams).map(|part| part.stream.clone());
        {
            let mut in_flight = self.in_flight.lock().expect("no test panicked");
            for stream in streams() {
                assert!(in_flight.insert(stream), "a stream is in flight twice");
            }
        }
        tokio::task::yield_now().await;
        self.batches.fetch_add(1, Ordering::Relaxed);
        let mut in_flight = self.in_flight.lock().expect("no test panicked");
        streams().for_each(|stream| assert!(in_flight.remove(&stream)));
        Ok(batch.iter().map(|append| Ok(appended(append, 1))).collect())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_callers_on_few_streams_are_all_answered() {
    let writer = Arc::new(Checking::default());
    let limits = PipelineLimits::new().with_queue_appends(16).with_batch_events(8);
    let pipeline = Arc::new(AppendPipeline::start(writer.clone(), limits, AppendSignal::new()));
    let callers = (0..64).map(|caller: usize| {
        let pipeline = pipeline.clone();
        tokio::spawn(async move {
            for round in 0..50 {
                let stream = StreamId::new("test", (caller + round) % 7).expect("a valid key");
                let event = NewEvent::new("tested", &round).expect("a number is JSON");
                let append = to(&format!("{}", (caller * round) % 5 + 100)).and_to(
                    stream,
                    ExpectedVersion::Any,
                    vec![event],
                );
                pipeline.append(append).await.expect("it is appended");
            }
        })
    });
    for caller in callers.collect::<Vec<_>>() {
        caller.await.expect("no panic");
    }
    pipeline.close().await;
    assert!(writer.in_flight.lock().expect("no test panicked").is_empty());
    assert!(writer.batches.load(Ordering::Relaxed) > 0);
}
