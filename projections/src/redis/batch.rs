//! What a projection writes through in Redis: commands that are collected, and sent by the runner.

use std::sync::Arc;
use std::time::Duration;

use redis::{ToRedisArgs, ToSingleRedisArg};

use super::checkpoint::CHECKPOINT;
use crate::ProjectError;

/// The most arguments of one command: Lua's stack, through which they go, holds some 8,000.
const MAX_ARGUMENTS: usize = 4_000;

/// Collects the commands that follow from an event. Nothing is sent before the page is complete.
///
/// The read model's prefix is put before every key. Nothing can be read: what a command depends on
/// must be in the event, or be left to Redis (`hincrby`, `zincrby`). The methods named after a
/// command are checked against the types of their keys before any command of the event runs, so
/// that an event is applied as a whole or not at all; what is left are numbers that overflow or
/// aren't numbers, and [`RedisBatch::command`]: where a second or later command of an event fails
/// at run time, the read model is marked as torn and stops for good.
#[derive(Debug)]
pub struct RedisBatch {
    prefix: Arc<str>,
    commands: Vec<RedisCommand>,
}

/// One command on its way into a [`RedisBatch`].
#[derive(Debug)]
pub struct RedisCommand {
    prefix: Arc<str>,
    kind: &'static str,
    arguments: Vec<Vec<u8>>,
    problem: Option<&'static str>,
}

impl RedisBatch {
    pub(super) fn new(prefix: Arc<str>) -> Self {
        Self { prefix, commands: Vec::new() }
    }

    /// Adds any command; its keys and other arguments follow.
    ///
    /// It is not checked beforehand, and neither is what comes after it in the same event.
    pub fn command(&mut self, name: &'static str) -> &mut RedisCommand {
        self.push("any", name)
    }

    /// `SET`: replaces whatever the key holds.
    pub fn set(&mut self, key: &str, value: impl ToSingleRedisArg) {
        self.push("replace", "SET").key(key).arg(value);
    }

    /// `INCRBY`.
    pub fn incrby(&mut self, key: &str, by: i64) {
        self.push("string", "INCRBY").key(key).arg(by);
    }

    /// `DEL`.
    pub fn del(&mut self, key: &str) {
        self.push("delete", "DEL").key(key);
    }

    /// `PEXPIRE`: the key goes away after `time`, counted from when the event is applied.
    pub fn expire(&mut self, key: &str, time: Duration) {
        let time_ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        self.push("keep", "PEXPIRE").key(key).arg(time_ms);
    }

    /// `HSET` of one field.
    pub fn hset(&mut self, key: &str, field: impl ToSingleRedisArg, value: impl ToSingleRedisArg) {
        self.push("hash", "HSET").key(key).arg(field).arg(value);
    }

    /// `HDEL` of one field.
    pub fn hdel(&mut self, key: &str, field: impl ToSingleRedisArg) {
        self.push("hash", "HDEL").key(key).arg(field);
    }

    /// `HINCRBY`.
    pub fn hincrby(&mut self, key: &str, field: impl ToSingleRedisArg, by: i64) {
        self.push("hash", "HINCRBY").key(key).arg(field).arg(by);
    }

    /// `SADD` of one member.
    pub fn sadd(&mut self, key: &str, member: impl ToSingleRedisArg) {
        self.push("set", "SADD").key(key).arg(member);
    }

    /// `SREM` of one member.
    pub fn srem(&mut self, key: &str, member: impl ToSingleRedisArg) {
        self.push("set", "SREM").key(key).arg(member);
    }

    /// `ZADD` of one member.
    pub fn zadd(&mut self, key: &str, score: f64, member: impl ToSingleRedisArg) {
        self.push("zset", "ZADD").key(key).arg(score).arg(member);
    }

    /// `ZINCRBY`.
    pub fn zincrby(&mut self, key: &str, by: f64, member: impl ToSingleRedisArg) {
        self.push("zset", "ZINCRBY").key(key).arg(by).arg(member);
    }

    /// `ZREM` of one member.
    pub fn zrem(&mut self, key: &str, member: impl ToSingleRedisArg) {
        self.push("zset", "ZREM").key(key).arg(member);
    }

    /// `RPUSH` of one element.
    pub fn rpush(&mut self, key: &str, element: impl ToSingleRedisArg) {
        self.push("list", "RPUSH").key(key).arg(element);
    }

    fn push(&mut self, kind: &'static str, name: &'static str) -> &mut RedisCommand {
        self.commands.push(RedisCommand {
            prefix: self.prefix.clone(),
            kind,
            arguments: vec![name.as_bytes().to_vec()],
            problem: None,
        });
        let last = self.commands.len() - 1;
        &mut self.commands[last]
    }

    /// Takes out the commands of one event.
    pub(super) fn take(&mut self) -> Result<Vec<RedisCommand>, ProjectError> {
        let commands = std::mem::take(&mut self.commands);
        for command in &commands {
            if let Some(problem) = command.problem {
                return Err(ProjectError::failed(problem));
            }
            if command.arguments.len() > MAX_ARGUMENTS {
                return Err(ProjectError::failed("a command has more than 4000 arguments"));
            }
        }
        Ok(commands)
    }
}

impl RedisCommand {
    /// Adds a key; the read model's prefix is put before it.
    pub fn key(&mut self, key: &str) -> &mut Self {
        if key == CHECKPOINT {
            self.problem = Some("the key of the checkpoint is no key for a projection");
        }
        self.arguments.push(format!("{}{key}", self.prefix).into_bytes());
        self
    }

    /// Adds an argument that is no key, or several (a slice, say).
    pub fn arg(&mut self, argument: impl ToRedisArgs) -> &mut Self {
        self.arguments.extend(argument.to_redis_args());
        self
    }

    /// What kind of key it is for, as `apply.lua` knows it.
    pub(super) fn kind(&self) -> &'static str {
        self.kind
    }

    /// Its name and arguments.
    pub(super) fn arguments(&self) -> &[Vec<u8>] {
        &self.arguments
    }
}
