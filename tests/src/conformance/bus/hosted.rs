//! Hosts components as the runtime does, and can also kill them as a crash does.

use std::sync::Arc;
use std::time::Duration;

use highwater::{Component, ComponentContext, EventStore};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// How long an orderly stop may take.
const SOON: Duration = Duration::from_secs(30);
const RESTART_AFTER: Duration = Duration::from_millis(20);

/// Running components. Dropped, they are killed.
pub struct Hosted {
    tasks: Vec<JoinHandle<()>>,
    context: ComponentContext,
    failures: Arc<watch::Sender<Vec<String>>>,
}

impl Hosted {
    /// Starts `components` on `store`, and starts each again when it stops with an error that may
    /// pass.
    #[must_use]
    pub fn start(store: Arc<dyn EventStore>, components: Vec<Arc<dyn Component>>) -> Self {
        let context = ComponentContext::new(store, CancellationToken::new());
        let failures = Arc::new(watch::Sender::new(Vec::new()));
        let host = |component: Arc<dyn Component>| {
            context.progress.expect(component.name());
            tokio::spawn(host(component, context.clone(), failures.clone()))
        };
        let tasks = components.into_iter().map(host).collect();
        Self { tasks, context, failures }
    }

    /// What the components see.
    #[must_use]
    pub fn context(&self) -> &ComponentContext {
        &self.context
    }

    /// Waits until `component` has reached the end of the log as it is now.
    ///
    /// # Panics
    /// If that takes too long, or the log can't be read.
    pub async fn reaches_head(&self, component: &str) {
        let head = self.context.store.high_water_mark().await.unwrap();
        let patience = Duration::from_secs(90);
        self.context.progress.caught_up(component, head, patience).await.unwrap();
    }

    /// The first failure that a component can't get over by itself.
    ///
    /// # Panics
    /// If there is none for a long time.
    pub async fn fails(&self) -> String {
        let mut failures = self.failures.subscribe();
        let first = failures.wait_for(|failures| !failures.is_empty());
        let found = tokio::time::timeout(Duration::from_secs(90), first).await;
        found.expect("a component fails").expect("the sender lives")[0].clone()
    }

    /// Stops everything in order.
    ///
    /// # Panics
    /// If it doesn't stop soon.
    pub async fn stop(mut self) {
        self.context.shutdown.cancel();
        for task in &mut self.tasks {
            let stopped = tokio::time::timeout(SOON, task).await;
            stopped.expect("it stops soon after it was asked to").expect("it doesn't panic");
        }
    }

    /// Kills everything wherever it is; returns when it is gone.
    pub async fn kill(mut self) {
        for task in &mut self.tasks {
            task.abort();
            let _ = task.await;
        }
    }
}

impl Drop for Hosted {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

async fn host(
    component: Arc<dyn Component>,
    context: ComponentContext,
    failures: Arc<watch::Sender<Vec<String>>>,
) {
    while let Err(error) = component.run(context.clone()).await {
        if !error.is_retryable() {
            failures.send_modify(|failures| failures.push(told(&error)));
            return;
        }
        tokio::time::sleep(RESTART_AFTER).await;
    }
}

fn told(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {}", told(cause)),
        None => error.to_string(),
    }
}
