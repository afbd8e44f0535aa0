//! Which topic an event goes to.

use std::fmt;
use std::sync::Arc;

use crate::RecordedEvent;

/// The name of a topic. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Topic(Arc<str>);

impl Topic {
    /// A topic by its name.
    #[must_use]
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self(name.into())
    }

    /// The topic's name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Topic({})", self.0)
    }
}

/// Decides which topic an event goes to.
///
/// It MUST depend on the event alone, and events whose order matters to each other MUST go to one
/// topic: brokers keep order within a topic's key, not across topics.
pub trait Route: Send + Sync + 'static {
    /// The topic, or `None` to keep the event inside.
    fn topic_for(&self, event: &RecordedEvent) -> Option<Topic>;
}

impl<F: Fn(&RecordedEvent) -> Option<Topic> + Send + Sync + 'static> Route for F {
    fn topic_for(&self, event: &RecordedEvent) -> Option<Topic> {
        self(event)
    }
}

/// The default rule, `domain.category.v1`: one topic per category, so that all events of one
/// aggregate stay in order.
///
/// The `v1` is the version of the topic's contract, not of one event's schema, which travels with
/// each message.
#[derive(Clone, Debug)]
pub struct RouteByCategory {
    domain: String,
    categories: Vec<String>,
}

impl RouteByCategory {
    /// Publishes the events of `categories` under `domain`; all others stay inside.
    pub fn new(
        domain: impl Into<String>,
        categories: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        Self { domain: domain.into(), categories: categories.into_iter().map(Into::into).collect() }
    }

    /// The topic of one category.
    #[must_use]
    pub fn topic_of(&self, category: &str) -> Topic {
        Topic::new(format!("{}.{category}.v1", self.domain))
    }
}

impl Route for RouteByCategory {
    fn topic_for(&self, event: &RecordedEvent) -> Option<Topic> {
        let category = event.stream.category();
        self.categories
            .iter()
            .any(|published| published == category)
            .then(|| self.topic_of(category))
    }
}
