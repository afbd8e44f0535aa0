//! The Highwater bus on Kafka.
//!
//! [`KafkaPublisher`] is where a [`Relay`](highwater_core::bus::Relay) sends messages;
//! [`KafkaConsumer`] hands messages to a handler as a member of a consumer group. This crate owns
//! how Kafka is spoken to. When something is published, and what a handler does, it leaves to
//! others.
//!
//! # What is promised
//! At least once, a key's messages in order, the same message id every time. Kafka's own "exactly
//! once" covers one producer session and no database, so nothing here relies on it: a handler
//! recognises a repetition by its id, in the transaction of its effect.

mod config;
mod consumer;
mod dead_letter;
mod failure;
mod lanes;
mod membership;
mod producing;
mod publisher;
mod topics;
mod wire;

pub use config::{InvalidKafkaConfig, KafkaConfig};
pub use consumer::{KafkaConsumer, PoisonPolicy};
pub use publisher::KafkaPublisher;
