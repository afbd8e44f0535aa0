//! A handler that notes everything it is given, and fails where it was told to.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use highwater::EventId;
use highwater::bus::{HandleError, Message, MessageHandler, Topic};
use tokio::sync::watch;

/// Longer than any delivery takes on a busy machine, a rebalance included.
const PATIENCE: Duration = Duration::from_secs(90);

/// What the handler does with one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// Fails for now, this many times.
    FailsFirst(u32),
    /// Can never be handled.
    Poison,
}

/// One call of the handler.
#[derive(Clone, Debug)]
pub struct Call {
    /// What it was given.
    pub message: Message,
    /// True if it handled the message.
    pub was_handled: bool,
}

/// Notes every call, in order. Clones are the same handler.
#[derive(Clone)]
pub struct Recorder {
    consumer: String,
    topic: Topic,
    calls: Arc<Mutex<Vec<Call>>>,
    handled_ids: Arc<Mutex<HashSet<EventId>>>,
    faults: Arc<Mutex<HashMap<EventId, Fault>>>,
    /// How many calls there were.
    count: Arc<watch::Sender<usize>>,
}

impl Recorder {
    /// A consumer that no other test has, of one topic.
    #[must_use]
    pub fn new(topic: Topic) -> Self {
        Self {
            consumer: format!("test-{}", uuid::Uuid::now_v7().simple()),
            topic,
            calls: Arc::default(),
            handled_ids: Arc::default(),
            faults: Arc::default(),
            count: Arc::new(watch::Sender::new(0)),
        }
    }

    /// Fails this message for now, the first `times` times.
    pub fn fail_first(&self, message: EventId, times: u32) {
        locked(&self.faults).insert(message, Fault::FailsFirst(times));
    }

    /// Refuses this message for good.
    pub fn refuse(&self, message: EventId) {
        locked(&self.faults).insert(message, Fault::Poison);
    }

    /// Every call so far.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        locked(&self.calls).clone()
    }

    /// The messages that were handled, repetitions included.
    #[must_use]
    pub fn handled(&self) -> Vec<Message> {
        let calls = self.calls();
        calls.into_iter().filter(|call| call.was_handled).map(|call| call.message).collect()
    }

    /// The ids of what was handled.
    #[must_use]
    pub fn handled_ids(&self) -> HashSet<EventId> {
        locked(&self.handled_ids).clone()
    }

    /// Waits until all of `ids` were handled.
    ///
    /// # Panics
    /// If that takes too long.
    pub async fn has_handled(&self, ids: &[EventId]) {
        let all_handled = || {
            let handled = locked(&self.handled_ids);
            ids.iter().all(|id| handled.contains(id))
        };
        self.until(&format!("{} messages", ids.len()), all_handled).await;
    }

    /// How many calls there were.
    #[must_use]
    pub fn call_count(&self) -> usize {
        *self.count.borrow()
    }

    /// Waits until there were `n` calls in all.
    ///
    /// # Panics
    /// If that takes too long.
    pub async fn has_calls(&self, n: usize) {
        self.until(&format!("{n} calls"), || self.call_count() >= n).await;
    }

    /// Waits until `is_so`, looking after every call.
    async fn until(&self, what: &str, is_so: impl Fn() -> bool) {
        let mut count = self.count.subscribe();
        // Not `wait_for`, which looks under a lock that the handler needs.
        let looking = async {
            while !is_so() {
                count.changed().await.expect("the recorder holds the sender");
            }
        };
        if tokio::time::timeout(PATIENCE, looking).await.is_err() {
            let handled = self.handled_ids().len();
            panic!("waited {PATIENCE:?} for {what}; {handled} different ones were handled");
        }
    }

    fn verdict(&self, message: &Message) -> Result<(), HandleError> {
        match locked(&self.faults).get_mut(&message.id()) {
            Some(Fault::Poison) => Err(HandleError::poison("the test refuses this message")),
            Some(Fault::FailsFirst(left)) if *left > 0 => {
                *left -= 1;
                Err(HandleError::unavailable("the test fails this message for now"))
            }
            _ => Ok(()),
        }
    }
}

#[async_trait]
impl MessageHandler for Recorder {
    fn consumer(&self) -> &str {
        &self.consumer
    }

    fn topics(&self) -> Vec<Topic> {
        vec![self.topic.clone()]
    }

    async fn handle(&self, message: &Message) -> Result<(), HandleError> {
        // A real handler waits for something, so others get their turn in the middle of this one.
        tokio::task::yield_now().await;
        let verdict = self.verdict(message);
        locked(&self.calls).push(Call { message: message.clone(), was_handled: verdict.is_ok() });
        if verdict.is_ok() {
            locked(&self.handled_ids).insert(message.id());
        }
        self.count.send_modify(|count| *count += 1);
        verdict
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
