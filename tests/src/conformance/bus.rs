//! The conformance suite of the bus: what a handler may rely on, whatever carries the messages.
//!
//! [`enrol_bus!`](crate::enrol_bus) is the table of contents. A bus enrols with an expression that
//! makes a fresh factory: a log, and the components that carry its events to a handler. Each promise
//! is then a `#[tokio::test]` of its own.
//!
//! Left out: what only one broker can do wrong (it dies, it refuses); that is tested beside it.

use std::sync::Arc;

use async_trait::async_trait;
use highwater::bus::Topic;
use highwater::{Component, EventId, EventStore};

pub mod delivery;
pub mod given;
pub mod hosted;
pub mod oracle;
pub mod recorder;

pub use hosted::Hosted;
pub use recorder::Recorder;

/// A log, and what carries its events to a handler.
#[async_trait]
pub trait BusFactory: Send + Sync {
    /// The log.
    fn store(&self) -> Arc<dyn EventStore>;

    /// The topic that the events of category `order` go to. All others stay inside.
    fn topic(&self) -> Topic;

    /// The components between the log and `handler`. Asked twice, it makes a second set, as a
    /// second process would.
    fn components(&self, handler: Recorder) -> Vec<Arc<dyn Component>>;

    /// The messages that were set aside because they can't be handled. A bus that pauses in front of
    /// such a message has none.
    async fn set_aside(&self) -> Vec<EventId>;
}

/// Makes each promise of the bus a test of its own: `enrol_bus!(name, fresh_bus_factory)`.
#[macro_export]
macro_rules! enrol_bus {
    ($bus:ident, $factory:expr) => {
        mod $bus {
            #[allow(unused_imports)]
            use super::*;

            $crate::bus_promises! { $factory;
                every_message_arrives_and_each_key_keeps_the_order_of_the_log,
                a_message_arrives_as_it_stands_in_the_log,
                what_has_no_topic_stays_inside,
                a_failed_message_comes_again_and_the_later_ones_of_its_key_wait,
                what_is_appended_while_it_is_stopped_arrives_after_the_restart,
                nothing_is_lost_or_out_of_order_however_often_it_is_killed,
                two_at_once_lose_nothing_and_keep_the_order,
                poison_is_neither_lost_nor_skipped_in_silence,
                after_an_orderly_stop_nothing_is_handled_again,
            }
        }
    };
}

/// What [`enrol_bus!`](crate::enrol_bus) is made of.
#[doc(hidden)]
#[macro_export]
macro_rules! bus_promises {
    ($factory:expr; $($promise:ident,)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $promise() {
            let factory = $factory.await;
            $crate::conformance::bus::delivery::$promise(&factory).await;
        }
    )*};
}
