//! An aggregate's past: its state, and which of the commands in question were carried out in it.

use std::collections::HashMap;

use super::{CommandReceipt, LOAD_PAGE, Loaded};
use crate::{
    CommandError, CommandId, EventStore, Evolve, GlobalPosition, RecordedEvent, StreamId,
    StreamVersion,
};

/// Commands that may have been carried out before, and what was found of them.
pub(super) struct Runs {
    asked: HashMap<CommandId, Option<CommandReceipt>>,
}

impl Runs {
    pub(super) fn of(commands: impl IntoIterator<Item = CommandId>) -> Self {
        Self { asked: commands.into_iter().map(|command| (command, None)).collect() }
    }

    /// What a command did, if it was carried out; the last of its events speaks for it.
    pub(super) fn receipt_of(&self, command: CommandId) -> Option<CommandReceipt> {
        self.asked.get(&command).cloned().flatten()
    }

    fn note(&mut self, recorded: &RecordedEvent) {
        let Some(command) = recorded.metadata.command else {
            return;
        };
        if let Some(found) = self.asked.get_mut(&command) {
            *found = Some(CommandReceipt {
                command,
                stream: recorded.stream.clone(),
                version: recorded.version,
                position: recorded.position,
                was_repeated: true,
            });
        }
    }
}

/// Reads one aggregate's stream.
#[derive(Clone, Copy)]
pub(super) struct History<'a> {
    pub(super) store: &'a dyn EventStore,
    pub(super) stream: &'a StreamId,
}

impl History<'_> {
    /// Folds the whole stream.
    pub(super) async fn load<A: Evolve>(
        self,
        runs: &mut Runs,
    ) -> Result<Loaded<A>, CommandError<A::Rejection>> {
        let mut loaded = Loaded {
            state: A::default(),
            version: StreamVersion::EMPTY,
            position: GlobalPosition::START,
        };
        self.catch_up(&mut loaded, runs).await?;
        Ok(loaded)
    }

    /// Folds what was appended behind `loaded`.
    pub(super) async fn catch_up<A: Evolve>(
        self,
        loaded: &mut Loaded<A>,
        runs: &mut Runs,
    ) -> Result<(), CommandError<A::Rejection>> {
        loop {
            let page = self
                .store
                .read_stream(self.stream, loaded.version, LOAD_PAGE)
                .await
                .map_err(|source| CommandError::Load { stream: self.stream.clone(), source })?;
            let is_last = page.len() < LOAD_PAGE;
            for recorded in page {
                let event: A::Event = recorded.decode().map_err(|source| CommandError::Decode {
                    stream: self.stream.clone(),
                    source,
                })?;
                loaded.state.evolve(&event);
                loaded.version = recorded.version;
                loaded.position = recorded.position;
                runs.note(&recorded);
            }
            if is_last {
                return Ok(());
            }
        }
    }
}
