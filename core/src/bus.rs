//! The bus: messages on their way to other systems, and from them.
//!
//! The log is the outbox. An event is published because it stands in the log, so it and its
//! message commit or vanish together, and the relay needs no second table.

mod in_process_consumer;
mod message;
mod message_handler;
mod place;
mod publisher;
mod relay;
mod routing;

pub use in_process_consumer::InProcessConsumer;
pub use message::{InvalidMessage, Message};
pub use message_handler::{HandleError, MessageHandler};
pub use publisher::{PublishError, Publisher};
pub use relay::Relay;
pub use routing::{Route, RouteByCategory, Topic};
