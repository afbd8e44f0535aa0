//! The checkpoint's hash, and the scripts that are all that touches it.
//!
//! It lies beneath the read model's prefix, with the fields `name`, `version`, `epoch`, `position`;
//! `clearing` while an earlier life's keys are being deleted, and `torn` where an event was applied
//! in part.

use highwater_core::{Claim, GlobalPosition};
use redis::aio::ConnectionManager;
use redis::{RedisResult, Script};

use super::batch::RedisCommand;
use crate::Standing;

/// The checkpoint's key, behind the prefix.
pub(super) const CHECKPOINT: &str = "highwater:checkpoint";

/// How many keys are looked at, and deleted, in one go.
const CLEAR_SIZE: usize = 1_000;

/// The checkpoint of one prefix.
pub(super) struct Checkpoint {
    key: String,
    prefix: String,
    claim: Script,
    clear: Script,
    apply: Script,
}

/// What became of a claim.
pub(super) enum Claimed {
    /// It holds. If `is_new`, keys of an earlier life have to be deleted first.
    Holds { standing: Standing, is_new: bool },
    /// The prefix belongs to the read model that is named.
    Foreign(String),
    /// An event was applied in part.
    Torn { position: GlobalPosition, detail: String },
}

/// What became of a page.
pub(super) enum Applied {
    /// It is in, now or from an earlier try.
    Done,
    /// The claim's epoch is over.
    Fenced,
    /// The checkpoint stands elsewhere.
    Moved(GlobalPosition),
    /// The first command of the event at this position failed. The events before it are in.
    Failed { position: GlobalPosition, detail: String },
    /// A later command of the event at this position failed.
    Torn { position: GlobalPosition, detail: String },
}

/// The commands of the event at a position.
pub(super) type EventCommands = (GlobalPosition, Vec<RedisCommand>);

impl Checkpoint {
    pub(super) fn new(prefix: &str) -> Self {
        Self {
            key: format!("{prefix}{CHECKPOINT}"),
            prefix: prefix.to_owned(),
            claim: Script::new(include_str!("claim.lua")),
            clear: Script::new(include_str!("clear.lua")),
            apply: Script::new(include_str!("apply.lua")),
        }
    }

    /// Raises the epoch and returns where the checkpoint stands; the first claim creates it.
    pub(super) async fn claim(
        &self,
        connection: &mut ConnectionManager,
        name: &str,
        version: u32,
    ) -> RedisResult<Claimed> {
        let mut script = self.claim.key(&self.key);
        let (answer, epoch, position, detail): (String, u64, u64, Vec<u8>) =
            script.arg(name).arg(version).invoke_async(connection).await?;
        let (position, detail) = (GlobalPosition::new(position), text(&detail));
        Ok(match answer.as_str() {
            "foreign" => Claimed::Foreign(detail),
            "torn" => Claimed::Torn { position, detail },
            answer => Claimed::Holds {
                standing: Standing { epoch, position, ..Standing::default() },
                is_new: answer == "clear",
            },
        })
    }

    /// Deletes every other key beneath the prefix; false if the epoch is over.
    pub(super) async fn clear(
        &self,
        connection: &mut ConnectionManager,
        epoch: u64,
    ) -> RedisResult<bool> {
        let pattern = format!("{}*", glob_escaped(&self.prefix));
        let mut cursor = 0_u64;
        loop {
            let (next, keys): (u64, Vec<Vec<u8>>) = redis::cmd("SCAN")
                .arg(cursor)
                .arg("MATCH")
                .arg(&pattern)
                .arg("COUNT")
                .arg(CLEAR_SIZE)
                .query_async(connection)
                .await?;
            let mut script = self.clear.key(&self.key);
            for key in keys.iter().filter(|key| key.as_slice() != self.key.as_bytes()) {
                script.key(key.as_slice());
            }
            script.arg(epoch).arg(if next == 0 { "end" } else { "more" });
            let holds: bool = script.invoke_async(connection).await?;
            if !holds || next == 0 {
                return Ok(holds);
            }
            cursor = next;
        }
    }

    /// Runs the commands of the events and moves the checkpoint to `to`, in one script.
    ///
    /// Only the checkpoint is declared as a key: declaring the others too would send each twice. So
    /// a Redis Cluster is out of scope.
    pub(super) async fn apply(
        &self,
        connection: &mut ConnectionManager,
        claim: &Claim,
        to: GlobalPosition,
        events: &[EventCommands],
    ) -> RedisResult<Applied> {
        let mut script = self.apply.key(&self.key);
        script.arg(claim.epoch).arg(claim.position.get()).arg(to.get());
        for (position, commands) in events {
            script.arg(position.get()).arg(commands.len());
            for command in commands {
                let arguments = command.arguments();
                script.arg(command.kind()).arg(arguments.len()).arg(arguments);
            }
        }
        let (answer, position, detail): (String, u64, Vec<u8>) =
            script.invoke_async(connection).await?;
        let (position, detail) = (GlobalPosition::new(position), text(&detail));
        Ok(match answer.as_str() {
            "fenced" => Applied::Fenced,
            "moved" => Applied::Moved(position),
            "failed" => Applied::Failed { position, detail },
            "torn" => Applied::Torn { position, detail },
            _ => Applied::Done,
        })
    }

    /// Reads the checkpoint. One that isn't there has epoch 0.
    pub(super) async fn look(&self, connection: &mut ConnectionManager) -> RedisResult<Standing> {
        let (epoch, position): (Option<u64>, Option<u64>) = redis::cmd("HMGET")
            .arg(&self.key)
            .arg("epoch")
            .arg("position")
            .query_async(connection)
            .await?;
        Ok(Standing {
            epoch: epoch.unwrap_or_default(),
            position: GlobalPosition::new(position.unwrap_or_default()),
            ..Standing::default()
        })
    }
}

/// Errors of Redis may quote what it was sent, which need not be text.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Takes the meaning from the characters that mean something in a pattern.
fn glob_escaped(prefix: &str) -> String {
    let mut escaped = String::with_capacity(prefix.len());
    for character in prefix.chars() {
        if matches!(character, '*' | '?' | '[' | ']' | '^' | '-' | '\\') {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_stands_for_itself_in_a_pattern() {
        assert_eq!(glob_escaped("shop:"), "shop:");
        assert_eq!(glob_escaped("a*b[c]?\\"), "a\\*b\\[c\\]\\?\\\\");
    }
}
