//! Read models in Redis: effects and checkpoint of a page in one script.

mod batch;
mod checkpoint;
mod read_model;

pub use batch::{RedisBatch, RedisCommand};
pub use read_model::RedisReadModel;
